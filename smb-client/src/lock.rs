//! Locks: ranges of a file that other opens may not touch.

use smb_proto::wire::{LockElement, LockFlags, LockRequest, Request, Response};

use crate::error::{Error, Result};
use crate::file::File;
use crate::share::expect;

/// A range of bytes, which may lie beyond the end of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockRange {
    /// The first byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// No other open may read or write there, instead of write only. Unlocking does not ask.
    pub exclusive: bool,
}

impl LockRange {
    /// Nobody else reads or writes there.
    pub const fn exclusive(offset: u64, length: u64) -> Self {
        Self { offset, length, exclusive: true }
    }

    /// Nobody else writes there.
    pub const fn shared(offset: u64, length: u64) -> Self {
        Self { offset, length, exclusive: false }
    }

    const fn element(self, flags: LockFlags) -> LockElement {
        LockElement { offset: self.offset, length: self.length, flags }
    }

    fn lock(self, wait: bool) -> LockElement {
        let kind = if self.exclusive { LockFlags::EXCLUSIVE } else { LockFlags::SHARED };
        self.element(if wait { kind } else { kind | LockFlags::FAIL_IMMEDIATELY })
    }
}

/// Ranges of a call that is not done: they are given back unless it comes to its end.
struct Partial<'a> {
    file: &'a File,
    held: Vec<LockElement>,
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        let share = self.file.share();
        for range in std::mem::take(&mut self.held) {
            share.client.link.post(share.client.chain(share.tree_id, vec![request(self.file, vec![range])]));
        }
    }
}

/// Only resilient and durable opens have sequence numbers, for a replay; this client has none.
fn request(file: &File, locks: Vec<LockElement>) -> Request {
    Request::Lock(LockRequest { sequence: 0, file_id: file.id(), locks })
}

impl File {
    /// Locks all of these ranges or none, for this open: another open of the same program is another. They are
    /// unlocked by [`Self::unlock`] with the same ranges, or by closing.
    ///
    /// With `wait` it takes as long as another holds one of them, without any limit; dropping the future gives up,
    /// and leaves nothing locked. A server waits for one range at a time: whoever waits for several may find, as
    /// with any locks that are taken one after the other, that another waits for him.
    ///
    /// # Errors
    /// Another holds one of the ranges ([`smb_proto::NtStatus::LOCK_NOT_GRANTED`]), there are too many for one
    /// request, or the server refuses or is lost.
    pub async fn lock(&self, ranges: &[LockRange], wait: bool) -> Result<()> {
        if !wait || ranges.len() < 2 {
            return self.send_locks(ranges.iter().map(|range| range.lock(wait)).collect(), wait).await;
        }
        let mut partial = Partial { file: self, held: Vec::with_capacity(ranges.len()) };
        for range in ranges {
            self.send_locks(vec![range.lock(true)], true).await?;
            partial.held.push(range.element(LockFlags::UNLOCK));
        }
        partial.held.clear();
        Ok(())
    }

    /// Unlocks ranges, each exactly as it was locked.
    ///
    /// # Errors
    /// One was not locked ([`smb_proto::NtStatus::RANGE_NOT_LOCKED`]; those before it are unlocked), there are too
    /// many for one request, or the server refuses or is lost.
    pub async fn unlock(&self, ranges: &[LockRange]) -> Result<()> {
        let unlocks = ranges.iter().map(|range| range.element(LockFlags::UNLOCK)).collect();
        self.send_locks(unlocks, false).await
    }

    async fn send_locks(&self, locks: Vec<LockElement>, wait: bool) -> Result<()> {
        if locks.is_empty() {
            return Ok(());
        }
        if locks.len() > usize::from(u16::MAX) {
            return Err(Error::TooLarge);
        }
        let share = self.share();
        let mut chain = share.client.chain(share.tree_id, vec![request(self, locks)]);
        if wait {
            chain.timeout = None;
        }
        let mut replies = share.client.link.request(chain).await?;
        match replies.pop().map(|reply| expect("locking", reply)) {
            Some(Ok(Response::Lock(_))) => Ok(()),
            Some(Err(error)) => Err(error),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }
}
