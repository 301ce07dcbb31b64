//! Answers to the kernel that several requests have in common.

use std::time::Duration;

use fs_core::{Attr, DirItem, Entry, Fh, Filesystem, FsError, FsResult, Ino};
use fuser::{Errno, FileAttr, FopenFlags, INodeNo, ReplyAttr, ReplyEmpty, ReplyEntry};

use super::{GENERATION, UNKNOWN_INO};
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

pub(super) fn entry(operation: &'static str, result: FsResult<Entry>, reply: ReplyEntry) {
    match result {
        Ok(entry) => reply.entry(&valid(&entry.attr), &convert::attr(&entry.attr), GENERATION),
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

/// How long the kernel may believe what an answer about a name says. There it takes the inode for the number that
/// programs are shown: where that is another, it is to ask for the attributes.
pub(super) fn valid(attr: &Attr) -> Duration {
    if attr.number == attr.ino { attr.valid } else { Duration::ZERO }
}

/// The attributes of an inode, with the number that programs are shown.
pub(super) fn attributes(operation: &'static str, result: FsResult<Attr>, reply: ReplyAttr) {
    match result {
        Ok(attr) => {
            let shown = FileAttr { ino: INodeNo(attr.number.0), ..convert::attr(&attr) };
            reply.attr(&attr.valid, &shown);
        }
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

/// What the kernel may do with an open file.
pub(super) fn hints(fs: &Filesystem, fh: Fh) -> FopenFlags {
    let hints = fs.hints(fh).unwrap_or_default();
    let mut flags = FopenFlags::empty();
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, hints.keep_cache);
    flags.set(FopenFlags::FOPEN_DIRECT_IO, hints.direct);
    flags
}

/// Attributes for an entry that has none: its kind and number.
pub(super) fn dot(item: &DirItem<'_>) -> Attr {
    let zero = smb_proto::fscc::FileTime::ZERO;
    Attr {
        ino: item.ino.unwrap_or(Ino(UNKNOWN_INO.0)),
        number: item.ino.unwrap_or(Ino(UNKNOWN_INO.0)),
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
