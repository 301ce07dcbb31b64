//! The inode table: which numbers we have given out, where they are on the server, and what we know of them.
//!
//! An inode lives as long as something refers to it: a lookup the kernel has not forgotten, an open handle, or
//! a child in the table. Its path is built by walking up, so that renaming a directory moves all below it for
//! free. An inode whose name is gone ("detached") is reached through its open handles only.
//!
//! Races are told by a counter, not by time. Each local change gives the inode a new [`Stamp`]; an answer of
//! the server is believed only if the inode's stamp is not newer than the one read before asking.

mod known;
mod node;
mod place;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use smb_proto::fscc::FileTime;
use tokio::time::Instant;

use crate::content::{Common, Content};
use crate::error::{FsError, FsResult};
use crate::fs::MountOptions;
use crate::name::RemotePath;
use crate::remote::{FileKind, SetPosix};
pub(crate) use node::{MadeUp, Node};

/// An inode number. Never reused while the filesystem is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the share.
    pub const ROOT: Self = Self(1);
}

/// A point in the order of local changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

/// The order is the same each time, so that what happens in it can be played again.
type Nodes = HashMap<Ino, Node, BuildHasherDefault<DefaultHasher>>;

/// The table.
#[derive(Debug)]
pub(crate) struct Inodes {
    nodes: Nodes,
    /// By the server's numbers: the inode that was seen last.
    numbers: HashMap<u64, Ino>,
    /// Names that differ by case only may be one.
    ignores_case: bool,
    last: Ino,
    stamp: Stamp,
    ttl: Ttl,
    /// How far the server's clock is ahead of ours, in units of 100 ns.
    skew: i64,
    /// The server cannot be reached.
    offline: bool,
}

/// How long an answer is believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ttl {
    files: Duration,
    directories: Duration,
}

impl Ttl {
    pub(crate) fn of(options: &MountOptions) -> Self {
        Self { files: options.attr_ttl, directories: options.dir_attr_ttl }
    }

    fn of_kind(self, kind: FileKind) -> Duration {
        if kind == FileKind::Directory { self.directories } else { self.files }
    }
}

impl Inodes {
    pub(crate) fn new(ttl: Ttl, ignores_case: bool, now: Instant) -> Self {
        let root = Node::new(FileKind::Directory, now);
        Self {
            nodes: Nodes::from_iter([(Ino::ROOT, root)]),
            numbers: HashMap::new(),
            ignores_case,
            last: Ino::ROOT,
            stamp: Stamp::default(),
            ttl,
            skew: 0,
            offline: false,
        }
    }

    /// How names are compared is known only when the server has been reached; until then there are none.
    pub(crate) fn set_ignores_case(&mut self, ignores_case: bool) {
        self.ignores_case = ignores_case;
    }

    /// The stamp to read before asking the server.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(crate) fn node(&self, ino: Ino) -> FsResult<&Node> {
        self.nodes.get(&ino).ok_or_else(FsError::stale)
    }

    /// A number for an inode that may come to be.
    pub(crate) fn reserve(&mut self) -> Ino {
        self.last = Ino(self.last.0 + 1);
        self.last
    }

    /// One more lookup of an inode that is known, and of which nothing new is known.
    pub(crate) fn looked_up_again(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.lookups += 1;
        }
    }

    /// The content of a file, made if it has none yet.
    pub(crate) fn content(&mut self, ino: Ino, common: &Arc<Common>) -> FsResult<Arc<Content>> {
        let node = self.node_mut(ino)?;
        let new = || Arc::new(Content::new(ino, common.clone()));
        Ok(node.content.get_or_insert_with(new).clone())
    }

    /// The content of a file that has been opened.
    pub(crate) fn content_of(&self, ino: Ino) -> Option<Arc<Content>> {
        self.nodes.get(&ino)?.content.clone()
    }

    /// All contents.
    pub(crate) fn contents(&self) -> Vec<Arc<Content>> {
        self.nodes.values().filter_map(|node| node.content.clone()).collect()
    }

    /// The contents of all files below a directory.
    pub(crate) fn contents_below(&self, directory: Ino) -> Vec<Arc<Content>> {
        self.below(directory).filter_map(|node| node.content.clone()).collect()
    }

    fn below(&self, directory: Ino) -> impl Iterator<Item = &Node> {
        let mut ahead = vec![directory];
        std::iter::from_fn(move || {
            loop {
                let Some(node) = self.nodes.get(&ahead.pop()?) else { continue };
                ahead.extend(node.children.values());
                return Some(node);
            }
        })
    }

    /// Whether something below a directory is open.
    pub(crate) fn has_open_below(&self, directory: Ino) -> bool {
        self.below(directory).any(|node| node.opens > 0)
    }

    /// What programs set and the server cannot keep.
    pub(crate) fn make_up(&mut self, ino: Ino, change: &SetPosix, at: FileTime) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            let SetPosix { mode, uid, gid } = &mut node.made_up.set;
            (*mode, *uid, *gid) = (change.mode.or(*mode), change.uid.or(*uid), change.gid.or(*gid));
            node.made_up.changed = Some(at);
        }
    }

    /// Take back `count` lookups.
    pub(crate) fn forget(&mut self, ino: Ino, count: u64) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.lookups = node.lookups.saturating_sub(count);
            self.collect(ino);
        }
    }

    /// Note one more open handle, or one being opened.
    pub(crate) fn opened(&mut self, ino: Ino) -> FsResult<()> {
        self.node_mut(ino)?.opens += 1;
        Ok(())
    }

    /// Note one open handle less. If it was the last, the paths that are to be removed from the server now: hidden
    /// names that were kept for it.
    pub(crate) fn closed(&mut self, ino: Ino) -> Vec<RemotePath> {
        let Some(node) = self.nodes.get_mut(&ino) else { return Vec::new() };
        node.opens = node.opens.saturating_sub(1);
        if node.opens > 0 {
            return Vec::new();
        }
        let hidden = self.hidden(ino);
        for (parent, name) in self.places(ino) {
            if self.is_doomed(parent, &name) {
                self.lose(parent, &name);
            }
        }
        self.collect(ino);
        hidden
    }

    /// Note one open handle less of which nobody can see to the rest: hidden names are left to the end of the mount.
    pub(crate) fn abandoned(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.opens = node.opens.saturating_sub(1);
            if node.names.iter().all(|name| !name.hidden) {
                self.collect(ino);
            }
        }
    }

    fn node_mut(&mut self, ino: Ino) -> FsResult<&mut Node> {
        self.nodes.get_mut(&ino).ok_or_else(FsError::stale)
    }

    /// Drop the inode if nothing refers to it, and then perhaps those above it.
    pub(crate) fn collect(&mut self, ino: Ino) {
        let mut ahead = vec![ino];
        while let Some(at) = ahead.pop() {
            let Some(node) = self.nodes.get(&at).filter(|_| at != Ino::ROOT) else { continue };
            if node.lookups > 0 || node.opens > 0 || !node.children.is_empty() {
                continue;
            }
            if node.content.as_ref().is_some_and(|content| content.is_open()) {
                // Who closes it comes here again.
                continue;
            }
            let Some(node) = self.nodes.remove(&at) else { continue };
            if let Some(attr) = node.attr
                && self.numbers.get(&attr.file_id) == Some(&at)
            {
                self.numbers.remove(&attr.file_id);
            }
            for name in node.names {
                self.unlink_entry(name.parent, &name.name);
                ahead.push(name.parent);
            }
        }
    }
}
