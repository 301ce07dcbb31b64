//! Ranges of files: where data is, room set aside, holes, copies that the server makes.

use std::ops::Range;
use std::sync::Arc;

use smb_proto::NtStatus;

use super::Filesystem;
use crate::error::{FsError, FsResult, errno};
use crate::handle::{Fh, OpenFile};
use crate::remote::{RemoteError, SetAttr};

/// The largest size a file can have.
const MAX_SIZE: u64 = i64::MAX as u64;
/// Bytes that one request of a program copies at most: others are served meanwhile, and it can be interrupted.
const MOST_COPIED: u64 = 64 << 20;

/// What to look for from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The next byte that is not known to be in a hole.
    Data,
    /// The next byte that is in a hole; the end of the file counts as one.
    Hole,
}

/// What to do with a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Have room for it (fallocate without a mode, or KEEP_SIZE).
    Room {
        /// The file does not become longer.
        keep_size: bool,
    },
    /// Make it read as zeros (ZERO_RANGE).
    Zero {
        /// The file does not become longer.
        keep_size: bool,
    },
    /// Make it a hole; the file does not become longer (PUNCH_HOLE).
    Hole,
}

impl Filesystem {
    /// Where the next data or the next hole is, from an offset on.
    ///
    /// # Errors
    /// EBADF; ENXIO at or past the end, and if there is no more data; what the server says.
    pub async fn seek(&self, fh: Fh, offset: u64, what: Seek) -> FsResult<u64> {
        let file = self.files.get(fh)?;
        self.write_back(&file).await?;
        let size = self.getattr(file.ino, Some(fh)).await?.size;
        let nothing = || FsError::local(errno::ENXIO, "there is nothing at or behind the offset");
        if offset >= size {
            return Err(nothing());
        }
        let backing = &file.backing;
        let ranges = match self.remote.allocated(backing.handle, offset..size).await {
            Ok(ranges) => ranges,
            // Who keeps no account of ranges has files without holes.
            Err(error) if is_unsupported(&error) => std::iter::once(offset..size).collect(),
            Err(error) => return Err(error.into()),
        };
        match what {
            Seek::Data => {
                let first = ranges.iter().find(|range| range.end > offset && range.start < size);
                first.map(|range| range.start.max(offset)).ok_or_else(nothing)
            }
            Seek::Hole => {
                let mut at = offset;
                for range in &ranges {
                    if range.start > at {
                        break;
                    }
                    at = at.max(range.end);
                }
                Ok(at.min(size))
            }
        }
    }

    /// Set room aside, make zeros or a hole.
    ///
    /// # Errors
    /// EBADF; EFBIG; EINVAL for an empty range; EOPNOTSUPP if the server cannot; ENOSPC; what the server says.
    pub async fn allocate(&self, fh: Fh, range: Range<u64>, how: Allocation) -> FsResult<()> {
        self.writable()?;
        let file = self.writing(fh)?;
        if range.is_empty() {
            return Err(FsError::local(errno::EINVAL, "an empty range"));
        }
        if range.end > MAX_SIZE {
            return Err(FsError::local(errno::EFBIG, "past the largest size a file can have"));
        }
        let content = &file.content;
        let _alone = content.ordering.write().await;
        content.drain().await;
        file.take_error()?;
        let through = content.route(&file.backing, true);
        let open = match &through {
            Some(through) => Some(through.closed.read().await),
            None => None,
        };
        let handle = through.as_ref().filter(|_| open.as_deref() == Some(&false)).unwrap_or(&file.backing);
        let size = self.remote.attr(handle.handle).await?.size;
        let longer = match how {
            Allocation::Room { keep_size } | Allocation::Zero { keep_size } => !keep_size && range.end > size,
            Allocation::Hole => false,
        };
        match how {
            Allocation::Room { .. } => {
                // What is less than the file is long would cut it.
                if range.end > size {
                    match self.remote.allocate(handle.handle, range.end).await {
                        Err(error) if !is_unsupported(&error) => return Err(error.into()),
                        _ => {}
                    }
                }
            }
            Allocation::Zero { .. } | Allocation::Hole => {
                let within = range.start.min(size)..range.end.min(size);
                if !within.is_empty() {
                    content.overwritten(within.clone());
                    let done = self.remote.zero(handle.handle, within.clone(), how == Allocation::Hole).await;
                    content.overwritten(within);
                    done?;
                }
            }
        }
        let asked = self.inodes().stamp();
        let attr = if longer {
            let change = SetAttr { size: Some(range.end), ..SetAttr::default() };
            let attr = self.remote.set_attr_handle(handle.handle, &change).await?;
            content.resized(range.end);
            attr
        } else {
            self.remote.attr(handle.handle).await?
        };
        self.applied(file.ino, attr, asked);
        Ok(())
    }

    /// Have the server copy a range from one file to another, or within one: how many bytes it did, which may be fewer.
    ///
    /// # Errors
    /// EBADF; EOPNOTSUPP if the server cannot: whoever asks copies himself then; what the server says.
    pub async fn copy_range(&self, from: (Fh, u64), to: (Fh, u64), length: u64) -> FsResult<u64> {
        self.writable()?;
        let (source, target) = (self.files.get(from.0)?, self.writing(to.0)?);
        if !source.access.read {
            return Err(FsError::local(errno::EBADF, "not open for reading"));
        }
        self.write_back(&source).await?;
        let known = self.remote.attr(source.backing.handle).await?.size;
        let length = length.min(known.saturating_sub(from.1)).min(MOST_COPIED);
        if length == 0 {
            return Ok(0);
        }
        let end = to.1.checked_add(length).filter(|end| *end <= MAX_SIZE);
        let end = end.ok_or_else(|| FsError::local(errno::EFBIG, "past the largest size a file can have"))?;
        let content = &target.content;
        let _alone = content.ordering.write().await;
        content.drain().await;
        target.take_error()?;
        let through = content.route(&target.backing, true);
        let open = match &through {
            Some(through) => Some(through.closed.read().await),
            None => None,
        };
        let written = through.as_ref().filter(|_| open.as_deref() == Some(&false)).unwrap_or(&target.backing);
        content.overwritten(to.1..end);
        let copied = self.remote.copy(source.backing.handle, from.1, written.handle, to.1, length).await;
        content.overwritten(to.1..end);
        let copied = match copied {
            Ok(0) => return Err(FsError::local(errno::EOPNOTSUPP, "the server does not copy")),
            // Fewer rights than copying wants, for one: a file open for writing only.
            Err(error) if is_unsupported(&error) || error.is(NtStatus::ACCESS_DENIED) => {
                return Err(FsError::local(errno::EOPNOTSUPP, "the server does not copy"));
            }
            Ok(copied) => copied.min(length),
            Err(error) => return Err(error.into()),
        };
        let asked = self.inodes().stamp();
        let attr = self.remote.attr(written.handle).await?;
        content.grown(attr.size);
        self.applied(target.ino, attr, asked);
        Ok(copied)
    }

    fn writing(&self, fh: Fh) -> FsResult<Arc<OpenFile>> {
        let file = self.files.get(fh)?;
        if !file.access.write {
            return Err(FsError::local(errno::EBADF, "not open for writing"));
        }
        Ok(file)
    }
}

fn is_unsupported(error: &RemoteError) -> bool {
    matches!(
        error.status(),
        Some(
            NtStatus::NOT_SUPPORTED
                | NtStatus::NOT_IMPLEMENTED
                | NtStatus::INVALID_DEVICE_REQUEST
                | NtStatus::INVALID_INFO_CLASS
        )
    )
}
