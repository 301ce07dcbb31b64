//! Ranges of open files: locked, made holes of.

use std::ops::Range;

use smb_client::LockRange;
use smb_proto::NtStatus;

use super::SmbRemote;
use crate::remote::{LockedRange, RemoteHandle, RemoteResult};

fn ranges_of(ranges: &[LockedRange]) -> Vec<LockRange> {
    let of = |locked: &LockedRange| LockRange {
        offset: locked.range.start,
        length: locked.range.end.saturating_sub(locked.range.start),
        exclusive: locked.exclusive,
    };
    ranges.iter().map(of).collect()
}

impl SmbRemote {
    pub(super) async fn lock_ranges(
        &self,
        handle: RemoteHandle,
        ranges: &[LockedRange],
        wait: bool,
    ) -> RemoteResult<()> {
        Ok(self.file_of(handle)?.lock(&ranges_of(ranges), wait).await?)
    }

    pub(super) async fn unlock_ranges(
        &self,
        handle: RemoteHandle,
        ranges: &[LockedRange],
    ) -> RemoteResult<()> {
        Ok(self.file_of(handle)?.unlock(&ranges_of(ranges)).await?)
    }

    pub(super) async fn zero_range(
        &self,
        handle: RemoteHandle,
        range: Range<u64>,
        hole: bool,
    ) -> RemoteResult<()> {
        let file = self.file_of(handle)?;
        if hole && let Err(error) = file.set_sparse(true).await {
            // Zeros are what is promised; that they take no room is for the server to say.
            if error.status() == Some(NtStatus::ACCESS_DENIED) {
                return Err(error.into());
            }
            tracing::debug!(%error, "the file cannot be made sparse");
        }
        Ok(file.zero_range(range).await?)
    }
}
