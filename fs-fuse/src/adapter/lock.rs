//! Locks, and how a program that waits for one is interrupted.

use std::fs;
use std::ops::Range;
use std::time::Duration;

use fs_core::{Fh, LockAsk, LockOwner};
use fuser::{ReplyEmpty, ReplyLock};

use super::{Adapter, empty, refuse};

/// `F_RDLCK`, `F_WRLCK` and `F_UNLCK`
const READ: i32 = 0;
const WRITE: i32 = 1;
const UNLOCK: i32 = 2;
/// How often is looked whether a waiting program has been sent a signal.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

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
    /// `thread` is who asks: the kernel interrupts him only where the file system knows of interruptions.
    pub(super) fn set_lock(&self, lock: KernelLock, wait: bool, thread: u32, reply: ReplyEmpty) {
        let fh = Fh(lock.fh);
        self.spawn(|fs| async move {
            let result = match lock.kind {
                UNLOCK => fs.unlock(fh, lock.range(), LockOwner(lock.owner)).await,
                _ => fs.set_lock(fh, lock.ask(), wait, interrupted(thread)).await,
            };
            empty("setlk", result, reply);
        });
    }

    pub(super) fn get_lock(&self, lock: KernelLock, reply: ReplyLock) {
        self.spawn(|fs| async move {
            match fs.get_lock(Fh(lock.fh), &lock.ask()).await {
                Ok(Some(found)) => {
                    let kind = if found.exclusive { WRITE } else { READ };
                    reply.locked(found.range.start, found.range.end.saturating_sub(1), kind, found.pid);
                }
                Ok(None) => reply.locked(lock.start, lock.end, UNLOCK, 0),
                Err(error) => reply.error(refuse("getlk", &error)),
            }
        });
    }
}

/// Done once the thread has been sent a signal that it does not hold off, or has gone.
///
/// The kernel's own word for it does not come this far: fuser answers it, by saying that there is no such thing.
async fn interrupted(thread: u32) {
    if thread == 0 {
        return std::future::pending().await;
    }
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        match fs::read_to_string(format!("/proc/{thread}/status")) {
            Ok(status) if !is_signalled(&status) => {}
            Ok(_) => return,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            // It may be hidden from us.
            Err(_) => return std::future::pending().await,
        }
    }
}

/// Whether a signal waits for the thread that it neither blocks nor ignores.
fn is_signalled(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default()
    };
    (mask("SigPnd") | mask("ShdPnd")) & !mask("SigBlk") & !mask("SigIgn") != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_nobody_hears_do_not_interrupt() {
        let status = |own: u64, shared: u64, blocked: u64, ignored: u64| {
            format!(
                "Name:\tx\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\n"
            )
        };
        assert!(!is_signalled(&status(0, 0, 0, 0)) && !is_signalled(""));
        assert!(is_signalled(&status(0x100, 0, 0, 0)) && is_signalled(&status(0, 0x100, 0, 0)));
        assert!(!is_signalled(&status(0x100, 0x200, 0x100, 0x200)));
    }
}
