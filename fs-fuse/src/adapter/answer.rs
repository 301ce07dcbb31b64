//! Answers to the kernel that several requests have in common.

use std::sync::LazyLock;
use std::time::Duration;

use fs_core::{Adviser, Attr, DirItem, Entry, Fh, Filesystem, FsError, FsResult, Ino};
use fuser::{Errno, FileAttr, FopenFlags, INodeNo, ReplyAttr, ReplyEmpty, ReplyEntry};

use super::{GENERATION, UNKNOWN_INO, spelling};
use crate::convert;

/// The error number, after a word to the log: a loud one where somebody can do something about it.
pub(super) fn refuse(operation: &'static str, error: &FsError) -> Errno {
    static ADVISER: LazyLock<Adviser> = LazyLock::new(Adviser::default);
    let errno = convert::errno(error);
    if let Some(advice) = ADVISER.advise(error) {
        tracing::warn!("{operation} failed: {error}: {advice}");
    }
    tracing::debug!(operation, %error, errno = errno.code(), "refused");
    errno
}

pub(super) fn empty(operation: &'static str, result: FsResult<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

/// An entry and its node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) node: INodeNo,
    pub(super) entry: Entry,
}

/// What a name in a directory has become.
pub(super) fn named(parent: INodeNo, name: &str, found: FsResult<Entry>) -> FsResult<Named> {
    found.map(|entry| Named { node: spelling::node(parent, name, &entry), entry })
}

pub(super) fn entry(operation: &'static str, found: FsResult<Named>, reply: ReplyEntry) {
    match found {
        Ok(Named { node, entry: Entry { attr, .. } }) => {
            reply.entry(&shown(node, &attr), &FileAttr { ino: node, ..convert::attr(&attr) }, GENERATION);
        }
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

pub(super) fn attributes(operation: &'static str, node: INodeNo, result: FsResult<Attr>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&shown(node, &attr), &FileAttr { ino: node, ..convert::attr(&attr) }),
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

/// How long the kernel may show attributes of a node.
pub(super) fn shown(node: INodeNo, attr: &Attr) -> Duration {
    if spelling::is_respelled(node) { Duration::ZERO } else { attr.valid }
}

/// What the kernel may do with an open file.
pub(super) fn hints(fs: &Filesystem, node: INodeNo, fh: Fh) -> FopenFlags {
    let hints = fs.hints(fh).unwrap_or_default();
    let respelled = spelling::is_respelled(node);
    let mut flags = FopenFlags::empty();
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, hints.keep_cache && !respelled);
    flags.set(FopenFlags::FOPEN_DIRECT_IO, hints.direct || respelled);
    flags
}

/// Attributes for an entry that has none: its kind and number.
pub(super) fn dot(item: &DirItem<'_>) -> Attr {
    let zero = smb_proto::fscc::FileTime::ZERO;
    Attr {
        ino: item.ino.unwrap_or(Ino(UNKNOWN_INO.0)),
        kind: item.kind,
        size: 0,
        blocks: 0,
        accessed: zero,
        modified: zero,
        changed: zero,
        created: zero,
        perm: 0o755,
        links: 1,
        uid: 0,
        gid: 0,
        device: None,
        valid: Duration::ZERO,
    }
}
