//! Requests under way, and the kernel's word that whoever waits for one has been sent a signal.
//!
//! A request that has reached the server is not taken back: its work goes on, and only its answer comes early. Whatever
//! the answer would have given to the kernel (lookups, open files, locks) is given back then.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fuser::{
    Errno, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, RequestId,
};
use tokio::sync::Notify;

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 16;
/// The kernel numbers its requests in steps of two.
const STEP: u64 = 2;
/// Interruptions that came before their request, or after its answer, that each part remembers.
const EARLY: usize = 8;
/// How often a program that waits, and was sent a signal, is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How many times a program is looked at that goes on after its signal, before it is told EINTR. Programs do not expect
/// that of most calls, and a server that is only slow has answered by then.
const LOOKS: u32 = 20;
/// SIGKILL in a mask of signals. Whatever else ends a program becomes it.
const KILL: u64 = 1 << 8;
/// `PF_EXITING` and `PF_SIGNALED` of a thread's flags.
const EXITING: u64 = 0x4;
const SIGNALED: u64 = 0x400;

/// What a signal does to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It asks: a program that ends is answered at once, another one after a while.
    Asks,
    /// It reads: as `Asks`, and its work ends with it.
    Reads,
    /// It writes where it was told to: as `Asks`, since the same may be written again.
    Writes,
    /// It changes something: only a program that ends is answered, since another would do it again.
    Changes,
    /// As `Changes`, at the end of a file's use.
    Closes,
}

impl Patience {
    /// Whether the kernel may say nothing of a program that ends: it closes the files of such a one without a signal, and
    /// reads and writes past its cache in the background.
    const fn looks_by_itself(self) -> bool {
        matches!(self, Self::Reads | Self::Writes | Self::Closes)
    }

    /// Whether only the end of a program is a reason to give up.
    const fn is_stubborn(self) -> bool {
        matches!(self, Self::Changes | Self::Closes)
    }
}

/// A reply that can say why there is no answer.
pub(super) trait Refusal: Send + 'static {
    fn refuse(self, errno: Errno);
}

macro_rules! refusals {
    ($($reply:ty),*) => {$(
        impl Refusal for $reply {
            fn refuse(self, errno: Errno) {
                self.error(errno);
            }
        }
    )*};
}

refusals!(
    ReplyAttr,
    ReplyCreate,
    ReplyData,
    ReplyDirectory,
    ReplyDirectoryPlus,
    ReplyEmpty,
    ReplyEntry,
    ReplyLock,
    ReplyLseek,
    ReplyOpen,
    ReplyStatfs,
    ReplyWrite,
    ReplyXattr
);

/// The requests under way, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Interrupts([Mutex<Shard>; SHARDS]);

#[derive(Debug, Default)]
struct Shard {
    under_way: HashMap<u64, Arc<Interrupted>>,
    early: VecDeque<u64>,
}

impl Interrupts {
    fn shard(&self, unique: u64) -> MutexGuard<'_, Shard> {
        let shard = &self.0[(unique / STEP) as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests there are that have no answer yet.
    pub(crate) fn under_way(&self) -> usize {
        let count =
            |shard: &Mutex<Shard>| shard.lock().unwrap_or_else(PoisonError::into_inner).under_way.len();
        self.0.iter().map(count).sum()
    }

    /// A request has come.
    pub(super) fn begin(self: &Arc<Self>, request: &Request, patience: Patience) -> Call {
        self.begin_as(request.unique().0, request.pid(), patience)
    }

    fn begin_as(self: &Arc<Self>, unique: u64, thread: u32, patience: Patience) -> Call {
        let interrupted = Arc::new(Interrupted::default());
        let mut shard = self.shard(unique);
        if let Some(at) = shard.early.iter().position(|early| *early == unique) {
            shard.early.remove(at);
            interrupted.raise();
        }
        shard.under_way.insert(unique, interrupted.clone());
        drop(shard);
        Call { table: self.clone(), unique, thread, patience, interrupted }
    }

    /// Whoever waits for a request has been sent a signal.
    ///
    /// # Errors
    /// EAGAIN if there is no such request. It may be on its way through another thread, and then finds this out; should
    /// the kernel look for it where this thread reads, it says it again.
    pub(super) fn interrupt(&self, unique: RequestId) -> Result<(), Errno> {
        let mut shard = self.shard(unique.0);
        if let Some(interrupted) = shard.under_way.get(&unique.0) {
            interrupted.raise();
            return Ok(());
        }
        if !shard.early.contains(&unique.0) {
            if shard.early.len() == EARLY {
                shard.early.pop_front();
            }
            shard.early.push_back(unique.0);
        }
        Err(Errno::EAGAIN)
    }
}

/// Whether a signal has come.
#[derive(Debug, Default)]
pub(super) struct Interrupted {
    raised: AtomicBool,
    changed: Notify,
}

impl Interrupted {
    fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Done once a signal has come.
    pub(super) async fn wait(&self) {
        let changed = self.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        if !self.raised.load(Ordering::Acquire) {
            changed.await;
        }
    }
}

/// A request under way. Dropped, it has been answered.
#[derive(Debug)]
pub(super) struct Call {
    table: Arc<Interrupts>,
    unique: u64,
    thread: u32,
    patience: Patience,
    interrupted: Arc<Interrupted>,
}

impl Call {
    /// What says whether a signal has come, of whatever kind.
    pub(super) fn interrupted(&self) -> Arc<Interrupted> {
        self.interrupted.clone()
    }

    /// Whether its work ends when it is answered early.
    pub(super) fn is_dropped(&self) -> bool {
        self.patience == Patience::Reads
    }

    /// Done once it is to be answered with EINTR.
    pub(super) async fn given_up(&self) {
        if self.patience.looks_by_itself() {
            tokio::select! {
                () = self.interrupted.wait() => {}
                () = ended(self.thread) => return,
            }
        } else {
            self.interrupted.wait().await;
        }
        for look in 0.. {
            match waiter(self.thread) {
                Waiter::Ended => return,
                Waiter::GoesOn if self.patience.is_stubborn() => {}
                Waiter::GoesOn | Waiter::Unknown if look < LOOKS => {}
                Waiter::GoesOn | Waiter::Unknown => return,
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.table.shard(self.unique).under_way.remove(&self.unique);
    }
}

/// What becomes of the thread that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiter {
    /// It ends as soon as it is let go.
    Ended,
    /// It handles the signal, if there is one.
    GoesOn,
    /// It belongs to another namespace, or is hidden from us.
    Unknown,
}

/// Done once a thread has been ended by a signal.
async fn ended(thread: u32) {
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        match waiter(thread) {
            Waiter::Ended => return,
            Waiter::GoesOn => {}
            Waiter::Unknown => return std::future::pending().await,
        }
    }
}

fn waiter(thread: u32) -> Waiter {
    if thread == 0 {
        return Waiter::Unknown;
    }
    let read = |name: &str| fs::read_to_string(format!("/proc/{thread}/{name}"));
    match (read("status"), read("stat")) {
        (Ok(status), Ok(stat)) if is_killed(&status) || has_ended(&stat) => Waiter::Ended,
        (Ok(_), Ok(_)) => Waiter::GoesOn,
        (Err(error), _) | (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => Waiter::Ended,
        _ => Waiter::Unknown,
    }
}

/// Whether a signal waits for the thread, or for its whole process, that ends it.
fn is_killed(status: &str) -> bool {
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default()
    };
    (mask("SigPnd") | mask("ShdPnd")) & KILL != 0
}

/// Whether the thread ends because of a signal.
fn has_ended(stat: &str) -> bool {
    // The command's name, in parentheses, may contain anything; the flags are the seventh field after it.
    let flags =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(6)?.parse().ok());
    flags.is_some_and(|flags: u64| flags & (EXITING | SIGNALED) == EXITING | SIGNALED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Arc<Interrupts> {
        Arc::default()
    }

    fn is_raised(call: &Call) -> bool {
        call.interrupted.raised.load(Ordering::Acquire)
    }

    #[test]
    fn a_request_hears_of_its_own_signal_only() {
        let table = table();
        let (one, other) =
            (table.begin_as(2, 0, Patience::Asks), table.begin_as(2 + 2 * 16, 0, Patience::Asks));
        assert_eq!(table.interrupt(RequestId(2)), Ok(()));
        assert!(is_raised(&one) && !is_raised(&other));
    }

    #[test]
    fn a_signal_that_comes_before_its_request_is_kept() {
        let table = table();
        assert_eq!(table.interrupt(RequestId(4)), Err(Errno::EAGAIN));
        assert_eq!(table.interrupt(RequestId(4)), Err(Errno::EAGAIN));
        assert!(!is_raised(&table.begin_as(6, 0, Patience::Asks)));
        assert!(is_raised(&table.begin_as(4, 0, Patience::Asks)));
        assert!(!is_raised(&table.begin_as(4, 0, Patience::Asks)));
    }

    #[test]
    fn signals_that_come_after_the_answer_take_no_room() {
        let table = table();
        drop(table.begin_as(2, 0, Patience::Asks));
        for unique in (0..10_000).step_by(2) {
            assert_eq!(table.interrupt(RequestId(unique)), Err(Errno::EAGAIN));
        }
        assert!(table.0.iter().all(|shard| shard.lock().unwrap().early.len() <= EARLY));
        assert!(table.0.iter().all(|shard| shard.lock().unwrap().under_way.is_empty()));
    }

    #[test]
    fn who_is_killed_is_told_apart_from_who_handles_a_signal() {
        let status =
            |own: u64, shared: u64| format!("Name:\tx\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\n");
        assert!(!is_killed("") && !is_killed(&status(0, 0)) && !is_killed(&status(0x2, 0x4000)));
        assert!(is_killed(&status(0x102, 0)) && is_killed(&status(0, 0x100)));
        let stat = |flags: u64| format!("12 (a) b) S 1 2 3 4 5 {flags} 0 0");
        assert!(has_ended(&stat(0x40_0404)) && !has_ended(&stat(0x40_0004)) && !has_ended(&stat(0x400)));
        assert!(!has_ended("") && !has_ended("1 (x"));
        assert_eq!(waiter(0), Waiter::Unknown);
        assert_eq!(waiter(std::process::id()), Waiter::GoesOn);
    }
}
