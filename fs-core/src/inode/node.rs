//! One inode: the names that lead to it, and what is known of it.

use std::collections::HashMap;
use std::sync::Arc;

use smb_proto::fscc::FileTime;
use tokio::time::Instant;

use super::{Ino, Stamp};
use crate::content::Content;
use crate::remote::{FileKind, RemoteAttr, SetPosix};

/// A name of an inode.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) parent: Ino,
    pub(super) name: Box<str>,
    /// When the server was last asked for the inode by this name: an open handle does not tell whether it still leads here.
    pub(super) shown: Stamp,
    /// Deleted by a user of this mount while open: to be removed with the last handle.
    pub(super) hidden: bool,
}

impl Name {
    pub(super) fn new(parent: Ino, name: &str, shown: Stamp) -> Self {
        Self { parent, name: name.into(), shown, hidden: false }
    }
}

/// What a mount makes up of a file, where the server does not keep it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MadeUp {
    pub(crate) set: SetPosix,
    /// When this mount last changed something that is not data.
    pub(crate) changed: Option<FileTime>,
}

/// What we know of one inode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: FileKind,
    /// Where it is: first the name that the server showed last, hidden ones at the end. None when detached; a
    /// directory has one at most.
    pub(super) names: Vec<Name>,
    /// Deleted by a user of this mount while open: only hidden names are left.
    pub(crate) doomed: bool,
    pub(super) lookups: u64,
    pub(crate) opens: u32,
    pub(super) children: HashMap<Box<str>, Ino>,
    /// Other spellings of names in `children`, as a server that ignores case has answered to them.
    pub(super) spellings: HashMap<Box<str>, Box<str>>,
    pub(crate) attr: Option<RemoteAttr>,
    pub(super) fresh_until: Instant,
    /// How long the kernel may believe what it was told last.
    pub(super) told_until: Instant,
    pub(super) changed: Stamp,
    /// Since when the lease of a directory is held: nobody else changes what is in it.
    pub(super) leased: Option<Stamp>,
    /// Since it was opened first.
    pub(crate) content: Option<Arc<Content>>,
    /// What programs set and the server cannot keep.
    pub(crate) made_up: MadeUp,
}

impl Node {
    pub(super) fn new(kind: FileKind, now: Instant) -> Self {
        Self {
            kind,
            names: Vec::new(),
            doomed: false,
            lookups: 0,
            opens: 0,
            children: HashMap::new(),
            spellings: HashMap::new(),
            attr: None,
            fresh_until: now,
            told_until: now,
            changed: Stamp::default(),
            leased: None,
            content: None,
            made_up: MadeUp::default(),
        }
    }

    /// Whether the attributes can be those of the same object. A server without file numbers says 0.
    pub(crate) fn is(&self, attr: &RemoteAttr) -> bool {
        let known = self.attr.map_or(0, |known| known.file_id);
        self.kind == attr.kind && (known == 0 || attr.file_id == 0 || known == attr.file_id)
    }

    /// Whether the attributes are certainly those of the same object. A number alone does not tell: servers give it again
    /// when its file is gone.
    pub(super) fn is_certainly(&self, attr: &RemoteAttr) -> bool {
        let same = |known: RemoteAttr| known.file_id == attr.file_id && known.created == attr.created;
        self.kind == attr.kind && attr.file_id != 0 && self.attr.is_some_and(same)
    }

    pub(super) fn position(&self, parent: Ino, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known.parent == parent && *known.name == *name)
    }

    /// A name that is another spelling of this one.
    pub(super) fn spelled_otherwise(&self, parent: Ino, name: &str) -> Option<&str> {
        let folded = name.to_lowercase();
        let other = |known: &&Name| {
            known.parent == parent
                && !known.hidden
                && *known.name != *name
                && known.name.to_lowercase() == folded
        };
        self.names.iter().find(other).map(|known| &*known.name)
    }
}
