//! Ranges of files: holes, room, copies.

use std::ops::Range;

use fs_core::{Allocation, Fh, Seek};
use fuser::{Errno, INodeNo, ReplyEmpty, ReplyLseek, ReplyWrite};
use rustix::fs::FallocateFlags;

use super::{Adapter, changed, empty, refuse};

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
    pub(super) fn seek(&self, fh: u64, offset: i64, whence: i32, reply: ReplyLseek) {
        let what = match whence {
            SEEK_DATA => Seek::Data,
            SEEK_HOLE => Seek::Hole,
            _ => return reply.error(Errno::EINVAL),
        };
        let Ok(offset) = u64::try_from(offset) else { return reply.error(Errno::ENXIO) };
        self.spawn(|fs| async move {
            match fs.seek(Fh(fh), offset, what).await {
                Ok(at) => reply.offset(i64::try_from(at).unwrap_or(i64::MAX)),
                Err(error) => reply.error(refuse("lseek", &error)),
            }
        });
    }

    pub(super) fn allocate(&self, node: INodeNo, fh: u64, range: Range<u64>, mode: i32, reply: ReplyEmpty) {
        let Some(how) = allocation(mode) else { return reply.error(Errno::EOPNOTSUPP) };
        self.spawn(|fs| async move {
            let allocated = fs.allocate(Fh(fh), range, how).await;
            changed(&fs, node);
            empty("fallocate", allocated, reply);
        });
    }

    pub(super) fn copy_range(
        &self,
        from: (u64, u64),
        to: (u64, u64),
        node: INodeNo,
        length: u64,
        reply: ReplyWrite,
    ) {
        self.spawn(|fs| async move {
            let copied = fs.copy_range((Fh(from.0), from.1), (Fh(to.0), to.1), length).await;
            changed(&fs, node);
            match copied {
                Ok(copied) => reply.written(u32::try_from(copied).unwrap_or(u32::MAX)),
                Err(error) => reply.error(refuse("copy_file_range", &error)),
            }
        });
    }
}
