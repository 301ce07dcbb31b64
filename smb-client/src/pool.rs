//! Large buffers that are used again once nobody holds what was in them.
//!
//! A fresh buffer costs a page fault for each 4 KiB, which is dearer than the copy from the socket.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::{Bytes, BytesMut};

/// The allocator serves what is smaller from memory it has.
const SMALLEST: usize = 64 << 10;
/// How many buffers to keep an eye on. A cache holds those of the last gigabyte perhaps, and gives the oldest back first:
/// a pool that had forgotten them by then would never see one again.
const MOST: usize = 1024;
/// Free buffers beyond so many go back to the allocator.
const MOST_FREE: usize = 16;
/// Free buffers that a pool keeps which nothing goes through at the moment.
const FEW_FREE: usize = 4;

/// Hands out buffers, and takes each back by itself when the last [`Bytes`] of it is dropped.
#[derive(Debug, Default)]
pub struct BufferPool {
    /// What was filled, oldest first; free where no other handle exists.
    lent: Mutex<VecDeque<Bytes>>,
}

impl BufferPool {
    /// An empty pool.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty buffer with room for `capacity` bytes.
    pub fn take(&self, capacity: usize) -> BytesMut {
        if capacity < SMALLEST {
            return BytesMut::with_capacity(capacity);
        }
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        // Buffers come free about as they were lent. Of the free ones at the front the last is the one whose memory
        // is likeliest in a cache still.
        let free = lent.iter().take_while(|buffer| buffer.is_unique()).count();
        let surplus = free.saturating_sub(MOST_FREE);
        lent.drain(..surplus);
        // Whoever keeps a small piece should not keep a large buffer for it.
        let fits = |buffer: &Bytes| buffer.len() >= capacity / 2 && buffer.len() / 2 <= capacity;
        let found = (0..free - surplus).rev().find(|index| lent.get(*index).is_some_and(fits));
        // Where something old is held for long, what is behind it is looked at one by one.
        let found = found.or_else(|| {
            (free - surplus..lent.len())
                .take(MOST_FREE)
                .find(|index| lent.get(*index).is_some_and(|buffer| fits(buffer) && buffer.is_unique()))
        });
        if let Some(Ok(mut buffer)) = found.and_then(|index| lent.remove(index)).map(Bytes::try_into_mut) {
            buffer.clear();
            if buffer.try_reclaim(capacity) {
                return buffer;
            }
        }
        drop(lent);
        // A little more than asked for, so that the next one, a header larger, fits as well.
        BytesMut::with_capacity((capacity + 512).next_multiple_of(4096))
    }

    /// Gives all free buffers but a few back to the allocator.
    pub fn trim(&self) {
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = 0;
        lent.retain(|buffer| {
            free += usize::from(buffer.is_unique());
            free <= FEW_FREE || !buffer.is_unique()
        });
    }

    /// Remembers a buffer for use after its other handles are gone. `whole` must span all that was filled.
    pub fn lend(&self, whole: Bytes) {
        // What is never taken again would only be kept from the allocator.
        if whole.len() < SMALLEST {
            return;
        }
        let mut lent = self.lent.lock().unwrap_or_else(PoisonError::into_inner);
        if lent.len() >= MOST {
            lent.pop_front();
        }
        lent.push_back(whole);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 1 << 20;

    fn filled(pool: &BufferPool) -> Bytes {
        let mut buffer = pool.take(LARGE);
        buffer.resize(LARGE, 7);
        let whole = buffer.freeze();
        pool.lend(whole.clone());
        whole
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_piece_is_dropped() {
        let pool = BufferPool::new();
        let first = filled(&pool);
        let at = first.as_ptr();
        let piece = first.slice(100..200);
        drop(first);
        assert_ne!(pool.take(LARGE).as_ptr(), at, "a piece of it is still in use");
        drop(piece);
        let again = pool.take(LARGE);
        assert_eq!(again.as_ptr(), at);
        assert!(again.is_empty() && again.capacity() >= LARGE);
    }

    #[test]
    fn what_was_cut_from_the_front_comes_back_too() {
        let pool = BufferPool::new();
        let mut buffer = pool.take(LARGE);
        let at = buffer.as_ptr();
        buffer.resize(LARGE, 1);
        let _ = buffer.split_to(52);
        pool.lend(buffer.freeze());
        let again = pool.take(LARGE).as_ptr() as usize;
        assert!((at as usize..at as usize + 4096).contains(&again), "{at:?} {again:x}");
    }

    #[test]
    fn buffers_of_another_size_do_not_stand_in_the_way() {
        let pool = BufferPool::new();
        let small: Vec<Bytes> = (0..2 * MOST_FREE)
            .map(|_| {
                let mut buffer = pool.take(SMALLEST);
                buffer.resize(SMALLEST, 1);
                let whole = buffer.freeze();
                pool.lend(whole.clone());
                whole
            })
            .collect();
        drop(small);
        let large = filled(&pool);
        let at = large.as_ptr();
        drop(large);
        assert!((0..3).any(|_| pool.take(LARGE).as_ptr() == at));
    }

    #[test]
    fn a_trimmed_pool_keeps_few() {
        let pool = BufferPool::new();
        let held: Vec<Bytes> = (0..2 * MOST_FREE).map(|_| filled(&pool)).collect();
        drop(held);
        pool.trim();
        assert_eq!(pool.lent.lock().unwrap().len(), FEW_FREE);
        let kept = filled(&pool);
        pool.trim();
        assert!(pool.lent.lock().unwrap().iter().any(|buffer| buffer.as_ptr() == kept.as_ptr()));
    }

    #[test]
    fn small_requests_do_not_take_large_buffers() {
        let pool = BufferPool::new();
        drop(filled(&pool));
        assert!(pool.take(LARGE / 4).capacity() < LARGE);
        assert!(pool.take(100).capacity() < 4096);
    }
}
