//! Ranges of files: holes, room, copies.

use std::ops::Range;
use std::sync::Arc;

use fs_core::{Allocation, Fh, Filesystem, Seek};
use fuser::{Errno, INodeNo, ReplyEmpty, ReplyLseek, ReplyWrite, Request};
use rustix::fs::FallocateFlags;

use super::{Adapter, Patience, changed, empty, refuse};

/// `SEEK_DATA` and `SEEK_HOLE`; the kernel does the others itself.
const SEEK_DATA: i32 = 3;
const SEEK_HOLE: i32 = 4;

/// What `fallocate` is to do; `None` for what SMB does not have.
fn allocation(mode: i32) -> Option<Allocation> {
    let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let (keep, zero, hole) =
        (FallocateFlags::KEEP_SIZE, FallocateFlags::ZERO_RANGE, FallocateFlags::PUNCH_HOLE);
    match mode {
        mode if mode.is_empty() => Some(Allocation::Room { keep_size: false }),
        mode if mode == keep => Some(Allocation::Room { keep_size: true }),
        mode if mode == zero => Some(Allocation::Zero { keep_size: false }),
        mode if mode == zero | keep => Some(Allocation::Zero { keep_size: true }),
        mode if mode == hole | keep => Some(Allocation::Hole),
        _ => None,
    }
}

impl Adapter {
    pub(super) fn seek(&self, req: &Request, fh: u64, offset: i64, whence: i32, reply: ReplyLseek) {
        let what = match whence {
            SEEK_DATA => Seek::Data,
            SEEK_HOLE => Seek::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.seek(Fh(fh), offset, what).await };
        self.run(call, reply, work, |reply, at| match at {
            Ok(at) => reply.offset(i64::try_from(at).unwrap_or(i64::MAX)),
            Err(error) => reply.error(refuse("lseek", &error)),
        });
    }

    pub(super) fn allocate(
        &self,
        req: &Request,
        node: INodeNo,
        fh: u64,
        range: Range<u64>,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let Some(how) = allocation(mode) else { return reply.error(Errno::EOPNOTSUPP) };
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let allocated = fs.allocate(Fh(fh), range, how).await;
            changed(&fs, node);
            allocated
        };
        self.run(call, reply, work, |reply, done| empty("fallocate", done, reply));
    }

    pub(super) fn copy_range(
        &self,
        req: &Request,
        from: (u64, u64),
        to: (u64, u64),
        node: INodeNo,
        length: u64,
        reply: ReplyWrite,
    ) {
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let copied = fs.copy_range((Fh(from.0), from.1), (Fh(to.0), to.1), length).await;
            changed(&fs, node);
            copied
        };
        self.run(call, reply, work, |reply, copied| match copied {
            Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
            Err(error) => reply.error(refuse("copy_file_range", &error)),
        });
    }
}
