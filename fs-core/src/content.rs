//! One file's content on this mount: its opens on the server, its lease, and what is held of its bytes.
//!
//! All open files of an inode share one [`Content`]. What it may do follows from the lease: with `read` what was read
//! is kept and the size is known, with `write` what is written is kept and sent later, with `handle` the server's
//! open is kept for a while after its last user. Without, every request goes to the server.
//!
//! Locks: the inode table may be locked first and a content's state after it, never the other way round; neither is
//! held over a request. `ordering` is shared by writes and taken alone by what depends on the size; `opening`
//! makes opens and last closes take turns, so that a lease's end and its new beginning are told apart. Who takes both
//! takes `opening` first.

mod behind;
pub(crate) mod budget;
mod data;
mod exposed;
pub(crate) mod extents;
mod failure;
mod lease;
mod losing;
mod opens;
pub(crate) mod pattern;

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use smb_proto::fscc::FileTime;
use tokio::sync::{Notify, RwLock};
use tokio::time::Instant;

use crate::error::FsError;
use crate::inode::Ino;
use crate::remote::{Caching, LeaseKey, Remote, RemoteAttr};
use budget::Budget;
pub(crate) use extents::Held;
use extents::{Evicted, Extents, overlap};
use failure::Failures;
pub(crate) use failure::Told;
pub(crate) use lease::Lease;
pub(crate) use losing::Losing;
use opens::Opens;
pub(crate) use opens::{Backing, Served, ask, handle_gone, idle_before};

/// Ten seconds, in the steps of [`FileTime`]: more than clocks should differ.
const CALM: u64 = 100_000_000;

/// How much is cached, and on whose word ([`crate::MountOptions::cache`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CacheMode {
    /// What the server's leases allow: never wrong.
    #[default]
    Strict,
    /// Nothing: each read and write goes to the server.
    None,
    /// Everything, until the file's time or size is seen to have changed: for shares with one client at a time.
    Loose,
    /// Everything, for ever: for shares that nobody changes.
    ReadOnly,
}

impl CacheMode {
    /// What is to be asked for.
    pub(crate) const fn wants(self) -> Caching {
        match self {
            Self::None => Caching::NONE,
            _ => Caching::ALL,
        }
    }

    /// What may be kept, given what was granted.
    const fn allows(self, granted: Caching) -> Caching {
        match self {
            Self::Strict => granted,
            Self::None => Caching::NONE,
            Self::Loose => Caching { read: true, write: true, handle: granted.handle },
            Self::ReadOnly => Caching { read: true, write: false, handle: granted.handle },
        }
    }
}

/// What all files of a mount share.
pub(crate) struct Common {
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) mode: CacheMode,
    /// How long a write may wait to be sent.
    pub(crate) flush_after: Duration,
    /// The server lets files be kept that have been read: reading one with its open is not in vain.
    pub(crate) reads_early: AtomicBool,
    /// Hears of a file of which something that was written is lost.
    pub(crate) losses: OnceLock<Losses>,
}

pub(crate) type Losses = Box<dyn Fn(Ino, &FsError) + Send + Sync>;

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) ino: Ino,
    common: Arc<Common>,
    state: Mutex<State>,
    /// Something that others wait for has been answered.
    changed: Notify,
    pub(crate) ordering: RwLock<()>,
    opening: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    lease: Lease,
    opens: Opens,
    /// The open that holds the file's locks: the server lets no other at what is locked.
    route: Option<Arc<Backing>>,
    /// The file has several names.
    several: bool,
    extents: Extents,
    /// As accounted in the budget.
    accounted: Held,
    /// The size in bytes, where nobody else can change it.
    size: Option<u64>,
    /// Reads on their way to become clean parts.
    fetches: Vec<Fetch>,
    last_fetch: u64,
    /// Who waits for all to be written.
    draining: u32,
    /// Requests under way that set the time of the last write.
    settling: u32,
    /// A lease is lost, and what it protected is still kept elsewhere.
    losing: u32,
    /// How often a lease to read was had anew.
    leased: u64,
    /// Under which of them others have forgotten what they kept of before.
    clean_since: u64,
    /// Somebody will see to what has not made a whole piece.
    timer: bool,
    failures: Failures,
    touched: Option<Touched>,
    /// Something was written that was not on the server then, and those who list the file there have yet to be told.
    delayed: bool,
    /// Since it was opened first there was a lease: what was read meanwhile may still be kept elsewhere.
    was_leased: bool,
    /// What the content was like when last nobody could have changed it.
    known: Option<Fingerprint>,
    /// Since when what is read is believed without a lease.
    trusted_since: Option<Instant>,
}

/// A read under way. What overlaps a change since it was sent is not kept.
#[derive(Debug)]
struct Fetch {
    id: u64,
    range: Range<u64>,
    overtaken: bool,
    /// Since it was sent there was something that the server did not have: where its file ended says nothing.
    unsent: bool,
}

/// This mount wrote, and so has the say over the modification time until the file is closed on the server.
#[derive(Clone, Copy, Debug)]
struct Touched {
    at: FileTime,
    /// Somebody was told: the server is to have it too.
    shown: bool,
    /// The server has it.
    settled: bool,
}

/// By what a change is noticed where no lease tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    size: u64,
    written: FileTime,
    changed: FileTime,
}

impl Fingerprint {
    /// Whether the last change is so long ago that another one would show: a server's clock may stand still for some
    /// milliseconds.
    fn is_calm(&self) -> bool {
        let now = crate::clock::now();
        now.0.saturating_sub(self.written.max(self.changed).0) > CALM
    }
}

impl From<&RemoteAttr> for Fingerprint {
    fn from(attr: &RemoteAttr) -> Self {
        Self { size: attr.size, written: attr.written, changed: attr.changed }
    }
}

impl Content {
    pub(crate) fn new(ino: Ino, common: Arc<Common>) -> Self {
        Self {
            ino,
            common,
            state: Mutex::default(),
            changed: Notify::new(),
            ordering: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
        }
    }

    /// The key of its lease.
    pub(crate) fn key(&self) -> LeaseKey {
        LeaseKey(self.ino.0)
    }

    /// The key to name when something is done by path; none if there is no lease to keep.
    pub(crate) fn held_key(&self) -> Option<LeaseKey> {
        (self.state().lease.caching() != Caching::NONE).then(|| self.key())
    }

    /// What may be kept at this moment.
    pub(crate) fn caching(&self) -> Caching {
        self.caching_of(&self.state())
    }

    fn caching_of(&self, state: &State) -> Caching {
        if state.several {
            // Whoever uses the file by its other name has a lease of his own, of which this one's breaks tell too late.
            return Caching::NONE;
        }
        self.common.mode.allows(state.lease.caching())
    }

    /// What this mount knows better than the server does.
    pub(crate) fn overlay(&self, attr: &mut RemoteAttr) {
        let mut state = self.state();
        if let Some(size) = state.size {
            attr.size = size;
        }
        if let Some(touched) = &mut state.touched {
            touched.shown = true;
            attr.written = touched.at;
            attr.changed = attr.changed.max(touched.at);
        }
    }

    /// Whether there is something that the server does not have yet.
    pub(crate) fn is_dirty(&self) -> bool {
        self.state().extents.held().dirty > 0
    }

    /// Whether what was written has come to the server later than it was written, since this was last asked.
    pub(crate) fn take_delayed(&self) -> bool {
        let mut state = self.state();
        state.extents.held().dirty == 0 && std::mem::take(&mut state.delayed)
    }

    /// Every open of the file is to be told of an error, each by its next write, fsync or close.
    pub(crate) fn keep_error(&self, error: &FsError) {
        self.state().failures.add(error.clone());
    }

    /// For a new open.
    pub(crate) fn told(&self) -> Told {
        self.state().failures.begin()
    }

    /// The error that an open has not been told of.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn take_error(&self, told: &Told) -> Result<(), FsError> {
        self.state().failures.tell(told)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No method leaves it half done where it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the budget what is held now.
    fn account(&self, state: &mut State) {
        let held = state.extents.held();
        self.common.budget.account(state.accounted, held);
        state.accounted = held;
    }

    /// Forgets the clean part there, if nobody wants it.
    fn evict(&self, at: u64) -> Evicted {
        let mut state = self.state();
        let evicted = state.extents.evict(at);
        self.account(&mut state);
        evicted
    }

    fn has_clean(&self, at: u64) -> bool {
        self.state().extents.has_clean(at)
    }

    /// Forgets what was read.
    fn forget_clean(&self, state: &mut State) {
        state.extents.drop_clean();
        state.fetches.iter_mut().for_each(|fetch| fetch.overtaken = true);
        self.account(state);
    }
}

impl State {
    /// A range changes: answers to what was asked before are not kept.
    fn overtake(&mut self, range: &Range<u64>) {
        for fetch in &mut self.fetches {
            fetch.overtaken |= overlap(&fetch.range, range);
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.common.budget.account(state.accounted, Held::default());
    }
}
