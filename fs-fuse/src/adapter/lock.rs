//! Locks.

use std::ops::Range;
use std::sync::Arc;

use fs_core::{Fh, Filesystem, LockAsk, LockOwner};
use fuser::{ReplyEmpty, ReplyLock, Request};

use super::{Adapter, Patience, empty, refuse};

/// `F_RDLCK`, `F_WRLCK` and `F_UNLCK`
const READ: i32 = 0;
const WRITE: i32 = 1;
const UNLOCK: i32 = 2;

/// A lock as the kernel speaks of it: `end` is the last byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct KernelLock {
    pub(super) fh: u64,
    pub(super) owner: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) kind: i32,
    pub(super) pid: u32,
}

impl KernelLock {
    const fn range(self) -> Range<u64> {
        self.start..self.end.saturating_add(1)
    }

    const fn ask(self) -> LockAsk {
        LockAsk {
            range: self.range(),
            exclusive: self.kind == WRITE,
            owner: LockOwner(self.owner),
            pid: self.pid,
        }
    }
}

impl Adapter {
    pub(super) fn set_lock(&self, req: &Request, lock: KernelLock, wait: bool, reply: ReplyEmpty) {
        let (fh, owner) = (Fh(lock.fh), LockOwner(lock.owner));
        // That a program waits for a lock is not to end only with itself.
        let call = self.begin(req, if wait { Patience::Asks } else { Patience::Changes });
        let interrupted = call.interrupted();
        let work = |fs: Arc<Filesystem>| async move {
            match lock.kind {
                UNLOCK => fs.unlock(fh, lock.range(), owner).await,
                _ => fs.set_lock(fh, lock.ask(), wait, interrupted.wait()).await,
            }
        };
        let answer = |reply, done| empty("setlk", done, reply);
        self.spawn(call, reply, work, answer, async move |fs: Arc<Filesystem>, done| {
            // Who was told EINTR does not know of the lock. With the file closed there is none.
            if lock.kind != UNLOCK && done.is_ok() {
                let _ = fs.unlock(fh, lock.range(), owner).await;
            }
        });
    }

    pub(super) fn get_lock(&self, req: &Request, lock: KernelLock, reply: ReplyLock) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.get_lock(Fh(lock.fh), &lock.ask()).await };
        self.run(call, reply, work, move |reply, found| match found {
            Ok(Some(found)) => {
                let kind = if found.exclusive { WRITE } else { READ };
                reply.locked(found.range.start, found.range.end.saturating_sub(1), kind, found.pid);
            }
            Ok(None) => reply.locked(lock.start, lock.end, UNLOCK, 0),
            Err(error) => reply.error(refuse("getlk", &error)),
        });
    }
}
