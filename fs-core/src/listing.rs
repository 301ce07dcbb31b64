//! Directories whose lease this mount holds, and their listings.
//!
//! As long as the server has not taken the lease back, nobody else has changed an entry: the listing answers for the
//! directory, also for names that are not in it, and the attributes of what is in it stay true. The open that holds
//! the lease is kept for that, of so many directories at most as were used last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::content::Lease;
use crate::dir::Listed;
use crate::inode::Ino;
use crate::remote::{Caching, Granted, RemoteHandle};

/// Directories that are kept open. Servers limit the handles of a client; this is far below any limit known.
const MOST_DIRECTORIES: usize = 512;
/// Spellings of one of them that are remembered.
const MOST_SPELLINGS: usize = 8;
/// Names that are remembered not to be in a directory.
const MOST_ABSENT: usize = 4096;
/// Entries of all listings together.
const MOST_ENTRIES: usize = 200_000;

/// A complete listing.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Listed>,
    /// By name in lower case: a server that ignores case finds each spelling.
    index: HashMap<String, usize>,
}

impl Listing {
    pub(crate) fn new(entries: Vec<Listed>) -> Self {
        let index = entries.iter().enumerate().map(|(at, entry)| (entry.name.to_lowercase(), at)).collect();
        Self { entries, index }
    }

    /// What it says of a name; `None` if only the server knows.
    fn find(&self, name: &str) -> Option<Found<'_>> {
        match self.index.get(&name.to_lowercase()) {
            None => Some(Found::Nothing),
            Some(at) => {
                let entry = self.entries.get(*at)?;
                (*entry.name == *name).then_some(Found::Entry(entry))
            }
        }
    }
}

#[derive(Debug)]
enum Found<'a> {
    Entry(&'a Listed),
    Nothing,
}

/// What a listing says of a name.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told {
    /// There is this.
    Attr(crate::remote::RemoteAttr, crate::inode::Stamp, tokio::time::Instant),
    /// There is no such name.
    Nothing,
}

#[derive(Debug, Default)]
struct Kept {
    lease: Lease,
    /// Opens that hold the lease, the kept one among them.
    opens: u32,
    handle: Option<RemoteHandle>,
    listing: Option<Arc<Listing>>,
    /// Names that are not there, by themselves in lower case.
    absent: HashMap<String, Vec<Box<str>>>,
    used: u64,
}

/// All leased directories of a mount.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    dirs: HashMap<Ino, Kept>,
    clock: u64,
    entries: usize,
}

impl Listings {
    /// An open that asks for the lease is about to be sent.
    pub(crate) fn asks(&self, ino: Ino) {
        self.lock().dirs.entry(ino).or_default().lease.asks();
    }

    /// It has been answered. Whether the directory may be kept.
    pub(crate) fn answered(&self, ino: Ino, granted: Option<Granted>) -> bool {
        let mut inner = self.lock();
        let Some(kept) = inner.dirs.get_mut(&ino) else { return false };
        kept.lease.answered(granted);
        if granted.is_some() {
            kept.opens += 1;
        }
        let holds = kept.lease.caching().read;
        inner.sweep(ino);
        holds
    }

    /// An open that asked for the lease has been closed.
    pub(crate) fn closed(&self, ino: Ino) -> bool {
        let mut inner = self.lock();
        let Some(kept) = inner.dirs.get_mut(&ino) else { return false };
        kept.opens = kept.opens.saturating_sub(1);
        inner.sweep(ino)
    }

    /// A complete listing has come through an open that holds the lease: both are kept, if the lease is still there.
    /// The handles to close now, with whose they were; the listing's own may be among them.
    pub(crate) fn keep(
        &self,
        ino: Ino,
        handle: RemoteHandle,
        listing: Option<Arc<Listing>>,
    ) -> Vec<(Ino, RemoteHandle)> {
        let mut inner = self.lock();
        inner.clock += 1;
        let clock = inner.clock;
        let may_keep = |kept: &&mut Kept| {
            let caching = kept.lease.caching();
            // Without the right to keep the open, it would keep a directory that somebody deletes.
            caching.read && caching.handle
        };
        let Some(kept) = inner.dirs.get_mut(&ino).filter(may_keep) else {
            return vec![(ino, handle)];
        };
        kept.used = clock;
        let count = |listing: &Option<Arc<Listing>>| listing.as_ref().map_or(0, |some| some.entries.len());
        let (mut added, mut removed) = (0, 0);
        if listing.is_some() {
            (added, removed) = (count(&listing), count(&kept.listing));
            kept.listing = listing;
        }
        let mut close: Vec<_> = kept.handle.replace(handle).map(|old| (ino, old)).into_iter().collect();
        inner.entries = (inner.entries + added).saturating_sub(removed);
        while inner.entries > MOST_ENTRIES || inner.handles() > MOST_DIRECTORIES {
            let kept = inner.dirs.iter().filter(|(other, kept)| **other != ino && kept.handle.is_some());
            let Some(oldest) = kept.min_by_key(|(_, kept)| kept.used).map(|(ino, _)| *ino) else { break };
            close.extend(inner.drop_kept(oldest).map(|handle| (oldest, handle)));
        }
        close
    }

    /// The listing, if it is still true.
    pub(crate) fn listing(&self, ino: Ino) -> Option<Arc<Listing>> {
        let mut inner = self.lock();
        inner.clock += 1;
        let clock = inner.clock;
        let kept = inner.dirs.get_mut(&ino)?;
        kept.used = clock;
        kept.listing.clone()
    }

    /// What is known of a name; `None` if the server has to be asked.
    pub(crate) fn find(&self, ino: Ino, name: &str) -> Option<Told> {
        if self.is_absent(ino, name) {
            return Some(Told::Nothing);
        }
        let listing = self.listing(ino)?;
        match listing.find(name)? {
            Found::Entry(entry) => Some(Told::Attr(entry.attr, entry.asked, entry.at)),
            Found::Nothing => Some(Told::Nothing),
        }
    }

    fn is_absent(&self, ino: Ino, name: &str) -> bool {
        let inner = self.lock();
        let Some(kept) = inner.dirs.get(&ino) else { return false };
        let spellings = kept.absent.get(&name.to_lowercase());
        spellings.is_some_and(|spellings| spellings.iter().any(|absent| **absent == *name))
    }

    /// The server has said that there is no such name.
    pub(crate) fn note_absent(&self, ino: Ino, name: &str) {
        let mut inner = self.lock();
        let Some(kept) = inner.dirs.get_mut(&ino).filter(|kept| kept.lease.caching().read) else { return };
        if kept.absent.len() >= MOST_ABSENT {
            kept.absent.clear();
        }
        let spellings = kept.absent.entry(name.to_lowercase()).or_default();
        if spellings.len() < MOST_SPELLINGS {
            spellings.push(name.into());
        }
    }

    /// This mount has changed an entry: the listing no longer has it right, the lease stays.
    pub(crate) fn overtake(&self, ino: Ino, name: &str) {
        let mut inner = self.lock();
        let Some(kept) = inner.dirs.get_mut(&ino) else { return };
        kept.absent.remove(&name.to_lowercase());
        let dropped = kept.listing.take();
        inner.entries -= dropped.map_or(0, |listing| listing.entries.len());
    }

    /// Whether the lease is held.
    pub(crate) fn holds(&self, ino: Ino) -> bool {
        self.lock().dirs.get(&ino).is_some_and(|kept| kept.lease.caching().read)
    }

    /// The server takes the lease back. What was kept open for it; `None` if there is no such lease.
    pub(crate) fn broken(&self, ino: Ino, to: Caching, epoch: Option<u16>) -> Option<Option<RemoteHandle>> {
        let mut inner = self.lock();
        let kept = inner.dirs.get_mut(&ino)?;
        kept.lease.broken(to, epoch);
        Some(inner.drop_kept(ino))
    }

    /// Stops keeping a directory. What was kept open, to be closed.
    pub(crate) fn let_go(&self, ino: Ino) -> Option<RemoteHandle> {
        self.lock().drop_kept(ino)
    }

    /// All that is kept.
    pub(crate) fn all(&self) -> Vec<Ino> {
        self.lock().dirs.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn handles(&self) -> usize {
        self.dirs.values().filter(|kept| kept.handle.is_some()).count()
    }

    fn drop_kept(&mut self, ino: Ino) -> Option<RemoteHandle> {
        let kept = self.dirs.get_mut(&ino)?;
        kept.absent.clear();
        self.entries -= kept.listing.take().map_or(0, |listing| listing.entries.len());
        kept.handle.take()
    }

    /// Forgets a directory of which nothing is open or being opened. Whether it did.
    fn sweep(&mut self, ino: Ino) -> bool {
        let idle = self.dirs.get(&ino).is_some_and(|kept| kept.opens == 0 && !kept.lease.is_asking());
        if idle {
            self.drop_kept(ino);
            self.dirs.remove(&ino);
        }
        idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted() -> Option<Granted> {
        let caching = Caching { read: true, write: false, handle: true };
        Some(Granted { caching, epoch: Some(1), breaking: false })
    }

    #[test]
    fn a_listing_answers_until_the_lease_is_broken() {
        let listings = Listings::default();
        let ino = Ino(5);
        listings.asks(ino);
        assert!(listings.answered(ino, granted()));
        assert!(listings.find(ino, "a").is_none(), "nothing is listed yet");
        assert!(listings.keep(ino, RemoteHandle(1), Some(Arc::new(Listing::new(Vec::new())))).is_empty());
        assert!(matches!(listings.find(ino, "a"), Some(Told::Nothing)));
        assert_eq!(listings.broken(ino, Caching::NONE, Some(2)), Some(Some(RemoteHandle(1))));
        assert!(listings.find(ino, "a").is_none());
        assert!(listings.closed(ino) && !listings.holds(ino));
        assert_eq!(listings.broken(ino, Caching::NONE, Some(3)), None);
    }

    #[test]
    fn a_break_before_the_listing_is_complete_keeps_nothing() {
        let listings = Listings::default();
        let ino = Ino(5);
        listings.asks(ino);
        listings.answered(ino, granted());
        listings.broken(ino, Caching::NONE, Some(2));
        let close = listings.keep(ino, RemoteHandle(1), Some(Arc::new(Listing::new(Vec::new()))));
        assert_eq!(close, [(ino, RemoteHandle(1))]);
    }

    #[test]
    fn the_oldest_make_room() {
        let listings = Listings::default();
        let mut closed = Vec::new();
        for n in 0..MOST_DIRECTORIES as u64 + 10 {
            listings.asks(Ino(n));
            listings.answered(Ino(n), granted());
            for (ino, handle) in
                listings.keep(Ino(n), RemoteHandle(n), Some(Arc::new(Listing::new(Vec::new()))))
            {
                listings.closed(ino);
                closed.push(handle.0);
            }
        }
        assert_eq!(closed, (0..10).collect::<Vec<_>>());
    }
}
