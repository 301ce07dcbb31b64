//! Between the kernel's words and the filesystem's.

use std::ffi::OsStr;
use std::time::SystemTime;

use fs_core::{Attr, FileKind, FsError, OpenFlags, TimeChange};
use fuser::{Errno, FileAttr, FileType, INodeNo, TimeOrNow};
use rustix::fs::OFlags;
use smb_proto::fscc::FileTime;

/// Preferred size of a request, for programs that ask stat(2) how to read.
const BLOCK_SIZE: u32 = 1 << 20;

pub(crate) fn attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: attr.accessed.to_system_time(),
        mtime: attr.modified.to_system_time(),
        ctime: attr.changed.to_system_time(),
        crtime: attr.created.to_system_time(),
        kind: kind(attr.kind),
        perm: attr.perm,
        nlink: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.device.map_or(0, crate::adapter::number),
        blksize: BLOCK_SIZE,
        flags: 0,
    }
}

pub(crate) fn kind(kind: FileKind) -> FileType {
    match kind {
        FileKind::Directory => FileType::Directory,
        FileKind::Symlink => FileType::Symlink,
        FileKind::Fifo => FileType::NamedPipe,
        FileKind::Socket => FileType::Socket,
        FileKind::CharDevice => FileType::CharDevice,
        FileKind::BlockDevice => FileType::BlockDevice,
        // What else a server has looks like a file; opening it gives the server's answer.
        _ => FileType::RegularFile,
    }
}

pub(crate) fn errno(error: &FsError) -> Errno {
    Errno::from_i32(error.errno())
}

/// The name as text; the server knows names in UTF-16 only.
pub(crate) fn name(name: &OsStr) -> Result<Box<str>, Errno> {
    name.to_str().map(Into::into).ok_or(Errno::EILSEQ)
}

pub(crate) fn open_flags(flags: i32) -> OpenFlags {
    let flags = oflags(flags);
    let mode = flags & OFlags::ACCMODE;
    OpenFlags {
        read: mode != OFlags::WRONLY,
        write: mode == OFlags::WRONLY || mode == OFlags::RDWR,
        truncate: flags.contains(OFlags::TRUNC),
        sync: flags.intersects(OFlags::DSYNC),
        direct: flags.contains(OFlags::DIRECT),
    }
}

pub(crate) fn oflags(flags: i32) -> OFlags {
    OFlags::from_bits_retain(flags.cast_unsigned())
}

pub(crate) fn time(time: TimeOrNow) -> TimeChange {
    match time {
        TimeOrNow::Now => TimeChange::Now,
        TimeOrNow::SpecificTime(at) => TimeChange::At(file_time(at)),
    }
}

pub(crate) fn file_time(time: SystemTime) -> FileTime {
    FileTime::from(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn open_flags_are_told_apart() {
        let of = |flags: OFlags| open_flags(flags.bits().cast_signed());
        assert_eq!((of(OFlags::RDONLY).read, of(OFlags::RDONLY).write), (true, false));
        assert_eq!((of(OFlags::WRONLY).read, of(OFlags::WRONLY).write), (false, true));
        assert_eq!((of(OFlags::RDWR).read, of(OFlags::RDWR).write), (true, true));
        assert!(of(OFlags::RDWR | OFlags::TRUNC).truncate && !of(OFlags::RDWR).truncate);
        assert!(of(OFlags::SYNC).sync && of(OFlags::DSYNC).sync && !of(OFlags::APPEND).sync);
    }

    #[test]
    fn a_name_that_is_not_text_is_refused() {
        assert_eq!(name(OsStr::from_bytes(b"a\xff")).unwrap_err().code(), 84);
    }
}
