//! Answers to the kernel that several requests have in common.

use std::time::Duration;

use fs_core::{Attr, DirItem, Entry, Fh, Filesystem, FsError, FsResult, Ino};
use fuser::{Errno, FileAttr, FopenFlags, INodeNo, ReplyEmpty, ReplyEntry};

use super::{GENERATION, UNKNOWN_INO, spelling};
use crate::convert;

/// The error number, after a word to the log.
pub(super) fn refuse(operation: &'static str, error: &FsError) -> Errno {
    let errno = convert::errno(error);
    tracing::debug!(operation, %error, errno = errno.code(), "refused");
    errno
}

pub(super) fn empty(operation: &'static str, result: FsResult<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

/// The entry that a name in a directory has become.
pub(super) fn entry(
    operation: &'static str,
    parent: INodeNo,
    name: &str,
    result: FsResult<Entry>,
    reply: ReplyEntry,
) {
    match result {
        Ok(entry) => {
            let node = spelling::node(parent, name, &entry);
            let attr = FileAttr { ino: node, ..convert::attr(&entry.attr) };
            reply.entry(&shown(node, &entry.attr), &attr, GENERATION);
        }
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
