//! Breaks: what the server takes back of leases and oplocks.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smb_proto::conn::PeerMisbehaved;
use smb_proto::wire::{
    BreakBody, FileId, LeaseBreakAck, LeaseBreakNotification, LeaseState, OplockBreak, Request, Response,
};
use tokio::sync::Notify;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::{ALL, LeaseKey, oplock_left, state_of};
use crate::share::Share;

/// Leases and oplocks whose breaks may wait for [`Breaks::next`]: some megabytes. No client holds more that were
/// all broken while nobody looked.
const MOST_WAITING: usize = 1 << 16;

/// A lease or an oplock of which the server takes something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Break {
    /// A lease.
    Lease {
        /// Whose.
        key: LeaseKey,
        /// What was held, as the server has it.
        current: LeaseState,
        /// What is left.
        new: LeaseState,
        /// The lease's epoch from now on; 0 with dialect 2.1. See [`crate::Granted::epoch`].
        epoch: u16,
        /// The server, and whoever made it do so, waits for [`Share::acknowledge_lease`].
        acknowledge: bool,
    },
    /// An oplock. The server waits for [`File::acknowledge_oplock`], unless only READ was held.
    Oplock {
        /// Whose: see [`File::id`].
        file: FileId,
        /// What is left: READ or nothing.
        new: LeaseState,
    },
}

/// What is broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Target {
    Lease(LeaseKey),
    Oplock(FileId),
}

impl Break {
    /// `None` for what is no notification.
    fn from_wire(body: BreakBody) -> Option<Self> {
        match body {
            BreakBody::Oplock(OplockBreak { level, file_id }) => {
                Some(Self::Oplock { file: file_id, new: state_of(oplock_left(state_of(level))) })
            }
            BreakBody::LeaseNotification(body) => {
                let LeaseBreakNotification { epoch, ack_required, key, current, new } = body;
                let current = current & ALL;
                // A break only takes.
                let new = new & current;
                Some(Self::Lease { key: LeaseKey(key), current, new, epoch, acknowledge: ack_required })
            }
            BreakBody::LeaseAck(_) => None,
        }
    }

    const fn target(&self) -> Target {
        match self {
            Self::Lease { key, .. } => Target::Lease(*key),
            Self::Oplock { file, .. } => Target::Oplock(*file),
        }
    }

    /// This one and another that came before anybody looked, as one.
    fn and(self, later: Self) -> Self {
        match (self, later) {
            (
                Self::Lease { current: before, acknowledge: waits, .. },
                Self::Lease { key, current, new, epoch, acknowledge },
            ) => {
                Self::Lease { key, current: current | before, new, epoch, acknowledge: acknowledge || waits }
            }
            (Self::Oplock { new: earlier, .. }, Self::Oplock { file, new }) => {
                Self::Oplock { file, new: new & earlier }
            }
            _ => later,
        }
    }
}

/// Breaks on their way from the connection to whoever took its [`Breaks`].
#[derive(Default)]
pub(crate) struct BreakQueue {
    state: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// In the order in which the first break of each came.
    order: VecDeque<Target>,
    /// What is to be told of each: a server that repeats itself makes this no longer.
    breaks: HashMap<Target, Break>,
    reader: Reader,
    over: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reader {
    /// Nobody has asked for breaks yet.
    #[default]
    None,
    Here,
    Gone,
}

impl fmt::Debug for BreakQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakQueue").field("waiting", &self.lock().order.len()).finish_non_exhaustive()
    }
}

impl BreakQueue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what the server sent; where nobody reads, it is dropped.
    ///
    /// # Errors
    /// More leases are broken than anybody can hold.
    pub(crate) fn push(&self, body: BreakBody) -> std::result::Result<(), PeerMisbehaved> {
        let Some(new) = Break::from_wire(body) else { return Ok(()) };
        let mut waiting = self.lock();
        if waiting.reader != Reader::Here || waiting.over {
            return Ok(());
        }
        let full = waiting.order.len() >= MOST_WAITING;
        match waiting.breaks.entry(new.target()) {
            Entry::Occupied(mut known) => {
                let before = *known.get();
                known.insert(before.and(new));
            }
            Entry::Vacant(_) if full => return Err(PeerMisbehaved::TooManyBreaks),
            Entry::Vacant(free) => {
                free.insert(new);
                waiting.order.push_back(new.target());
            }
        }
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// There will be no more.
    pub(crate) fn end(&self) {
        self.lock().over = true;
        self.changed.notify_one();
    }

    fn take_reader(self: &Arc<Self>) -> Option<Breaks> {
        let mut waiting = self.lock();
        (waiting.reader == Reader::None).then(|| {
            waiting.reader = Reader::Here;
            Breaks { queue: self.clone() }
        })
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<Break> {
        let target = self.order.pop_front()?;
        self.breaks.remove(&target)
    }
}

/// The breaks of a connection. A break may be told before the open that it breaks has returned: both are on their
/// way at once.
///
/// Several breaks of one lease or oplock that came before anybody looked are told as one: what was held before the
/// first, what is left after the last. A server that breaks more than 65,536 different ones meanwhile ends its
/// connection with [`PeerMisbehaved::TooManyBreaks`].
#[derive(Debug)]
pub struct Breaks {
    queue: Arc<BreakQueue>,
}

impl Drop for Breaks {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        *waiting = Waiting { reader: Reader::Gone, ..Waiting::default() };
    }
}

impl Breaks {
    /// The next break; `None` once the connection is over, and all its leases with it. Dropping the future loses
    /// none.
    pub async fn next(&mut self) -> Option<Break> {
        loop {
            // One reader only: a notification that comes between the look and the wait is kept.
            {
                let mut waiting = self.queue.lock();
                if waiting.over {
                    return None;
                }
                if let Some(next) = waiting.pop() {
                    return Some(next);
                }
            }
            self.queue.changed.notified().await;
        }
    }
}

impl Client {
    /// What the server takes back of this connection's leases and oplocks; `None` where somebody has it already.
    /// What comes before anybody has asked for it is dropped, so whoever asks for leases does this first.
    pub fn breaks(&self) -> Option<Breaks> {
        self.inner.link.breaks().take_reader()
    }
}

impl Share {
    /// Tells the server that what it took of a lease is given back: `state`, which is no more than the break left,
    /// is still kept.
    ///
    /// # Errors
    /// The server knows of no such break ([`smb_proto::NtStatus::UNSUCCESSFUL`], `INVALID_PARAMETER` and their
    /// like): the lease is gone. Or the server is lost, and the lease as well.
    pub async fn acknowledge_lease(&self, key: LeaseKey, state: LeaseState) -> Result<()> {
        let body = BreakBody::LeaseAck(LeaseBreakAck { key: key.0, state });
        match self.inner.request_one("acknowledging a break", Request::OplockBreak(body)).await? {
            Response::OplockBreak(BreakBody::LeaseAck(_)) => Ok(()),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }
}

impl File {
    /// Tells the server that what it took of the file's oplock is given back: READ may still be kept, if the break
    /// left it, or nothing.
    ///
    /// # Errors
    /// The server knows of no such break: the oplock is gone. Or the server is lost, and the oplock as well.
    pub async fn acknowledge_oplock(&self, left: LeaseState) -> Result<()> {
        let body = BreakBody::Oplock(OplockBreak { level: oplock_left(left), file_id: self.id() });
        match self.share().request_one("acknowledging a break", Request::OplockBreak(body)).await? {
            Response::OplockBreak(BreakBody::Oplock(_)) => Ok(()),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use smb_proto::wire::OplockLevel;

    use super::*;

    fn lease(key: u64, current: LeaseState, new: LeaseState, epoch: u16, ack_required: bool) -> BreakBody {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key.to_le_bytes());
        BreakBody::LeaseNotification(LeaseBreakNotification { epoch, ack_required, key: bytes, current, new })
    }

    fn some(key: u64) -> BreakBody {
        lease(key, LeaseState::READ, LeaseState::empty(), 1, false)
    }

    fn reader() -> (Arc<BreakQueue>, Breaks) {
        let queue = Arc::new(BreakQueue::default());
        let breaks = queue.take_reader().unwrap();
        (queue, breaks)
    }

    #[tokio::test]
    async fn breaks_come_in_order_and_then_end() {
        let (queue, mut breaks) = reader();
        assert!(queue.take_reader().is_none(), "there is one reader");
        let reading = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(Break::Lease { key, .. }) = breaks.next().await {
                seen.push(key.0[0]);
            }
            seen
        });
        for key in 0..100 {
            queue.push(some(key)).unwrap();
            tokio::task::yield_now().await;
        }
        while !queue.lock().order.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        queue.end();
        assert_eq!(reading.await.unwrap(), Vec::from_iter(0..100));
    }

    #[tokio::test]
    async fn breaks_of_one_lease_are_told_as_one() {
        let (queue, mut breaks) = reader();
        let rh = LeaseState::READ | LeaseState::HANDLE;
        queue.push(lease(1, ALL, rh, 5, true)).unwrap();
        queue.push(some(2)).unwrap();
        queue.push(lease(1, rh, LeaseState::READ, 6, false)).unwrap();
        let Some(Break::Lease { key, current, new, epoch, acknowledge }) = breaks.next().await else {
            panic!("a break of the first lease")
        };
        assert_eq!(key.0[0], 1);
        assert_eq!((current, new, epoch, acknowledge), (ALL, LeaseState::READ, 6, true));
        assert!(matches!(breaks.next().await, Some(Break::Lease { key, .. }) if key.0[0] == 2));
        let file = FileId { persistent: 1, volatile: 2 };
        for level in [OplockLevel::LevelII, OplockLevel::None] {
            queue.push(BreakBody::Oplock(OplockBreak { level, file_id: file })).unwrap();
        }
        let none = LeaseState::empty();
        assert_eq!(breaks.next().await, Some(Break::Oplock { file, new: none }));
    }

    #[tokio::test]
    async fn a_break_only_takes() {
        let (queue, mut breaks) = reader();
        let all = LeaseState::from_bits_retain(u32::MAX);
        queue.push(lease(1, LeaseState::READ, all, 1, false)).unwrap();
        assert!(matches!(
            breaks.next().await,
            Some(Break::Lease { current: LeaseState::READ, new: LeaseState::READ, .. })
        ));
        let file_id = FileId::default();
        queue.push(BreakBody::Oplock(OplockBreak { level: OplockLevel::Batch, file_id })).unwrap();
        assert!(matches!(breaks.next().await, Some(Break::Oplock { new: LeaseState::READ, .. })));
    }

    #[test]
    fn a_flood_does_not_fill_the_memory() {
        let (queue, breaks) = reader();
        for _ in 0..2 {
            (0..MOST_WAITING as u64).for_each(|key| queue.push(some(key)).unwrap());
            assert_eq!(queue.lock().order.len(), MOST_WAITING);
        }
        assert_eq!(queue.push(some(u64::MAX)), Err(PeerMisbehaved::TooManyBreaks));
        drop(breaks);
        assert!(queue.push(some(u64::MAX)).is_ok() && queue.lock().order.is_empty(), "nobody reads any more");
        assert!(queue.take_reader().is_none());
    }

    #[test]
    fn nothing_is_kept_where_nobody_reads() {
        let queue = Arc::new(BreakQueue::default());
        queue.push(some(1)).unwrap();
        assert!(queue.lock().order.is_empty());
    }
}
