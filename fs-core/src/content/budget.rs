//! The memory that all files of a mount share for what they hold.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::Content;
use super::extents::{Evicted, Held};

/// Entries of what is gone are swept out of the queue when it has grown by as many.
const SWEEP: usize = 4096;

/// Buffers that are kept for use again, and the least size of one.
const MOST_SPARE: usize = 16;
const SPARE_SIZE: usize = 512 << 10;

/// How much may be held, how much is, and in which order it came.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    clean: AtomicU64,
    dirty: AtomicU64,
    queue: Mutex<Queue>,
    /// Buffers that were written from: a fresh one costs a page fault for each 4 KiB.
    spare: Mutex<Vec<BytesMut>>,
    /// Dirty bytes have become fewer.
    pub(super) freed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    parts: VecDeque<(Weak<Content>, u64)>,
    sweep_at: usize,
}

impl Budget {
    /// In bytes.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            clean: AtomicU64::new(0),
            dirty: AtomicU64::new(0),
            queue: Mutex::default(),
            spare: Mutex::default(),
            freed: Notify::new(),
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// What all files hold.
    pub(crate) fn held(&self) -> Held {
        Held { clean: self.clean.load(Ordering::Relaxed), dirty: self.dirty.load(Ordering::Relaxed) }
    }

    /// Whether so many bytes more may wait to be written: half of the memory may, and one write always.
    pub(super) fn admits(&self, bytes: u64) -> bool {
        let dirty = self.dirty.load(Ordering::Relaxed);
        dirty == 0 || dirty.saturating_add(bytes) <= self.limit / 2
    }

    /// Whether what waits to be written should go now, whatever its size.
    pub(super) fn is_short(&self) -> bool {
        self.dirty.load(Ordering::Relaxed) > self.limit / 4
    }

    /// Notes that a file holds `now` instead of `before`.
    pub(super) fn account(&self, before: Held, now: Held) {
        let note = |count: &AtomicU64, before: u64, now: u64| {
            if now >= before {
                count.fetch_add(now - before, Ordering::Relaxed);
            } else {
                count.fetch_sub(before - now, Ordering::Relaxed);
            }
        };
        note(&self.clean, before.clean, now.clean);
        note(&self.dirty, before.dirty, now.dirty);
        if now.dirty < before.dirty {
            self.freed.notify_waiters();
        }
    }

    /// Clean parts have come; the oldest of all go, until all are within the limit. No lock of a file may be held.
    pub(super) fn keep(&self, content: &Arc<Content>, parts: &[u64]) {
        {
            let mut queue = self.queue();
            queue.parts.extend(parts.iter().map(|at| (Arc::downgrade(content), *at)));
            if queue.parts.len() >= queue.sweep_at + SWEEP {
                let mut seen = HashSet::new();
                queue.parts.retain(|(content, at)| {
                    seen.insert((content.as_ptr(), *at))
                        && content.upgrade().is_some_and(|it| it.has_clean(*at))
                });
                queue.sweep_at = queue.parts.len();
            }
        }
        let mut again = usize::MAX;
        while self.clean.load(Ordering::Relaxed) + self.dirty.load(Ordering::Relaxed) > self.limit
            && again > 0
        {
            let (oldest, length) = {
                let mut queue = self.queue();
                (queue.parts.pop_front(), queue.parts.len())
            };
            let Some((content, at)) = oldest else { return };
            // Each is spared once.
            again = again.min(2 * length + 2) - 1;
            match content.upgrade().map(|held| held.evict(at)) {
                Some(Evicted::Spared) => self.queue().parts.push_back((content, at)),
                Some(Evicted::Gone(Some(data))) => self.recycle(data),
                _ => {}
            }
        }
    }

    /// An empty buffer with room for `size` bytes, used before where there is one.
    pub(super) fn buffer(&self, size: usize) -> BytesMut {
        let spare = self.spare().pop().filter(|buffer| buffer.capacity() >= size);
        spare.unwrap_or_else(|| BytesMut::with_capacity(size))
    }

    fn recycle(&self, data: Bytes) {
        // Parts of buffers that others hold, and those of the connection's own pool, are not for here.
        let Ok(mut buffer) = data.try_into_mut() else { return };
        buffer.clear();
        let mut spare = self.spare();
        if spare.len() < MOST_SPARE && buffer.capacity() >= SPARE_SIZE {
            spare.push(buffer);
        }
    }

    /// Gives buffers back that nobody has wanted for a while.
    pub(crate) fn tidy(&self) {
        let mut spare = self.spare();
        let half = spare.len() / 2;
        spare.truncate(half);
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<BytesMut>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
