//! An open that outlives its connection.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;

use super::is_loss;
use super::line::Connected;
use super::tell::Tell;
use crate::name::RemotePath;
use crate::remote::{
    Caching, Disposition, Keepsake, LeaseAsk, LeaseKey, LockedRange, OpenHow, Opened, Remote, RemoteAttr,
    RemoteEntry, RemoteError, RemoteEvent, RemoteHandle, RemoteResult,
};

pub(super) struct Slot {
    what: What,
    state: Mutex<State>,
    /// Held by whoever opens it on another connection.
    reviving: tokio::sync::Mutex<()>,
}

enum What {
    File(OpenHow),
    Directory(Option<LeaseKey>),
}

struct State {
    path: RemotePath,
    generation: u64,
    /// On the connection of that generation.
    inner: Result<RemoteHandle, RemoteError>,
    /// What the server keeps of it without a connection.
    keepsake: Option<Keepsake>,
    /// Of which connection it is known whether the server has kept it, and told that its lease is gone if not.
    asked_on: u64,
    identity: Identity,
    /// What is locked, each range as it was asked for.
    locks: Vec<LockedRange>,
    /// What the file was when it was looked at last, unless we have changed it since. What is under way may have changed it
    /// or not.
    seen: Option<Seen>,
    /// How often we have begun to change it, and how often that is under way.
    changes: u64,
    changing: usize,
    /// It is the same no more, and will not be again.
    spoilt: bool,
    /// Nobody uses it any more: whoever opens it closes it.
    closed: bool,
    /// Which names of a listing were told; their hashes.
    told: HashSet<u64>,
    /// The listing that is being repeated may tell them again.
    repeating: bool,
    hasher: RandomState,
}

/// What tells a file from another one at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    file_id: u64,
    created: FileTime,
}

impl Identity {
    fn of(attr: &RemoteAttr) -> Self {
        Self { file_id: attr.file_id, created: attr.created }
    }

    fn is(&self, attr: &RemoteAttr) -> bool {
        // Where the server numbers its files that is enough: programs set times of creation.
        match (self.file_id, attr.file_id) {
            (0, _) | (_, 0) => self.created == attr.created,
            (known, now) => known == now,
        }
    }
}

/// What tells a file that was changed from one that was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    size: u64,
    written: FileTime,
    changed: FileTime,
}

impl Seen {
    fn of(attr: &RemoteAttr) -> Self {
        Self { size: attr.size, written: attr.written, changed: attr.changed }
    }
}

/// We change it as long as this lives.
pub(super) struct Changing<'a>(&'a Slot);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.changing -= 1;
        state.seen = None;
    }
}

impl Slot {
    pub(super) fn file(path: &RemotePath, how: &OpenHow, opened: &Opened, connected: &Connected) -> Self {
        let keepsake = connected.remote.keepsake(opened.handle);
        let how = OpenHow { disposition: Disposition::Open, ..*how };
        let slot =
            Self::new(What::File(how), path, opened.handle, keepsake, Identity::of(&opened.attr), connected);
        slot.state().seen = Some(Seen::of(&opened.attr));
        slot
    }

    pub(super) fn directory(
        path: &RemotePath,
        lease: Option<LeaseAsk>,
        handle: RemoteHandle,
        connected: &Connected,
    ) -> Self {
        let nobody = Identity { file_id: 0, created: FileTime::ZERO };
        Self::new(What::Directory(lease.map(|ask| ask.key)), path, handle, None, nobody, connected)
    }

    fn new(
        what: What,
        path: &RemotePath,
        handle: RemoteHandle,
        keepsake: Option<Keepsake>,
        identity: Identity,
        connected: &Connected,
    ) -> Self {
        let state = State {
            path: path.clone(),
            generation: connected.generation,
            inner: Ok(handle),
            keepsake,
            asked_on: connected.generation,
            identity,
            locks: Vec::new(),
            seen: None,
            changes: 0,
            changing: 0,
            spoilt: false,
            closed: false,
            told: HashSet::new(),
            repeating: false,
            hasher: RandomState::new(),
        };
        Self { what, state: Mutex::new(state), reviving: tokio::sync::Mutex::new(()) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle on this connection; nothing if it is of another.
    pub(super) fn there(&self, connected: &Connected) -> Option<RemoteResult<RemoteHandle>> {
        let state = self.state();
        (state.generation == connected.generation).then(|| state.inner.clone())
    }

    /// The handle on this connection, opened there if need be. Must be called within a tokio runtime.
    pub(super) async fn on(
        self: &Arc<Self>,
        connected: &Arc<Connected>,
        events: &Arc<Tell>,
    ) -> RemoteResult<RemoteHandle> {
        if let Some(inner) = self.there(connected) {
            return inner;
        }
        let (slot, connected, events) = (self.clone(), connected.clone(), events.clone());
        // Who waits may give up; what is open on the server must be known all the same.
        let opening = tokio::spawn(async move { slot.reopen(&connected, &events).await });
        opening.await.unwrap_or_else(|_| Err(NtStatus::CONNECTION_DISCONNECTED.into()))
    }

    /// Has it on this connection if the server has kept it; else tells that its lease is gone, and leaves the rest to
    /// [`Self::on`]. Waits for no other client.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) async fn reclaimed(&self, connected: &Connected, events: &Tell) -> RemoteResult<()> {
        let _turn = self.reviving.lock().await;
        if let Some(handle) = self.reclaim(connected, events).await? {
            let _ = self.settle(Ok(handle), connected).await;
        }
        Ok(())
    }

    async fn reopen(&self, connected: &Connected, events: &Tell) -> RemoteResult<RemoteHandle> {
        let _turn = self.reviving.lock().await;
        if let Some(inner) = self.there(connected) {
            return inner;
        }
        if self.state().generation > connected.generation {
            return Err(NtStatus::CONNECTION_DISCONNECTED.into());
        }
        if let Some(handle) = self.reclaim(connected, events).await? {
            return self.settle(Ok(handle), connected).await;
        }
        if self.state().closed {
            return Err(NtStatus::FILE_CLOSED.into());
        }
        let opened = match &self.what {
            What::File(how) => self.open_file(how, connected).await,
            What::Directory(_) => self.open_directory(connected).await,
        };
        match opened {
            Err(error) if is_loss(&error) => Err(error),
            opened => self.settle(opened, connected).await,
        }
    }

    /// This is what has become of it on this connection. What nobody uses any more is closed.
    async fn settle(
        &self,
        inner: RemoteResult<RemoteHandle>,
        connected: &Connected,
    ) -> RemoteResult<RemoteHandle> {
        let closed = {
            let mut state = self.state();
            state.generation = connected.generation;
            state.inner = if state.closed { Err(NtStatus::FILE_CLOSED.into()) } else { inner.clone() };
            state.closed
        };
        match inner {
            Ok(handle) if closed => {
                let _ = connected.remote.close(handle).await;
                Err(NtStatus::FILE_CLOSED.into())
            }
            inner => inner,
        }
    }

    /// The server has closed this handle of it by itself: the next use opens it anew, if none has yet.
    pub(super) fn closed_by_server(&self, inner: RemoteHandle, connected: &Connected) {
        let mut state = self.state();
        if state.generation == connected.generation && matches!(state.inner, Ok(now) if now == inner) {
            state.keepsake = None;
            // No connection has this number.
            (state.generation, state.asked_on) = (0, 0);
        }
    }

    /// What the server has kept of it, if this has not been asked yet. Fails only with the connection.
    async fn reclaim(&self, connected: &Connected, events: &Tell) -> RemoteResult<Option<RemoteHandle>> {
        let (path, keepsake, identity) = {
            let state = self.state();
            if state.asked_on >= connected.generation {
                return Ok(None);
            }
            (state.path.clone(), state.keepsake.clone(), state.identity)
        };
        let lease = match &self.what {
            What::File(how) => how.lease.map(|ask| ask.key),
            What::Directory(key) => *key,
        };
        let mut kept = None;
        if let (What::File(how), Some(keepsake)) = (&self.what, keepsake) {
            match connected.remote.reclaim(&path, how, &keepsake).await {
                Ok(opened) if identity.is(&opened.attr) => kept = Some(opened),
                Ok(opened) => drop(connected.remote.close(opened.handle).await),
                Err(error) if is_loss(&error) => return Err(error),
                Err(error) => tracing::debug!(%path, %error, "the server has not kept an open"),
            }
        }
        if let Some(key) = lease {
            events
                .tell(kept.as_ref().map_or(RemoteEvent::LeaseLost { key }, |kept| reclaimed(key, kept)))
                .await;
        }
        let mut state = self.state();
        state.asked_on = connected.generation;
        state.keepsake = kept.as_ref().and_then(|kept| connected.remote.keepsake(kept.handle));
        Ok(kept.map(|kept| kept.handle))
    }

    /// Opens it by its path, and locks it as it was.
    async fn open_file(&self, how: &OpenHow, connected: &Connected) -> RemoteResult<RemoteHandle> {
        let remote = &*connected.remote;
        let (path, identity, locks, spoilt) = {
            let state = self.state();
            (state.path.clone(), state.identity, state.locks.clone(), state.spoilt)
        };
        if spoilt {
            return Err(RemoteError::Stale);
        }
        // With the lease, which the server needs to keep it the next time; and what it still has of the one before is no
        // stranger's. Nobody counts on the lease before an open asks for it once more.
        let opened = match remote.open(&path, how).await {
            // The lease is of the file that had this name before ([MS-SMB2] 3.3.5.9.8).
            Err(error) if how.lease.is_some() && error.is(NtStatus::INVALID_PARAMETER) => {
                remote.open(&path, &OpenHow { lease: None, ..*how }).await
            }
            result => result,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) if is_gone(&error) => {
                tracing::warn!(%path, %error, "a file that is open here is gone from the server");
                self.state().spoilt = true;
                return Err(RemoteError::Stale);
            }
            Err(error) => return Err(error),
        };
        if !identity.is(&opened.attr) {
            tracing::warn!(%path, "another file has the name of one that is open here");
            let _ = remote.close(opened.handle).await;
            self.state().spoilt = true;
            return Err(RemoteError::Stale);
        }
        if !locks.is_empty()
            && let Err(error) = self.lock_again(opened.handle, &locks, remote).await
        {
            if is_loss(&error) {
                return Err(error);
            }
            tracing::warn!(%path, %error, "a lock that a program holds may have been another's meanwhile");
            let _ = remote.close(opened.handle).await;
            self.state().spoilt = true;
            return Err(RemoteError::Stale);
        }
        self.state().keepsake = remote.keepsake(opened.handle);
        Ok(opened.handle)
    }

    /// Has the locks that ended with their connection again. Nobody can tell whether another had them in between; but who
    /// has locked a file to change it has changed it.
    async fn lock_again(
        &self,
        handle: RemoteHandle,
        locks: &[LockedRange],
        remote: &dyn Remote,
    ) -> RemoteResult<()> {
        remote.lock(handle, locks, false).await?;
        let now = Seen::of(&remote.attr(handle).await?);
        if self.state().seen == Some(now) { Ok(()) } else { Err(RemoteError::Stale) }
    }

    async fn open_directory(&self, connected: &Connected) -> RemoteResult<RemoteHandle> {
        let path = self.path();
        let (handle, _) = connected.remote.open_dir(&path, None).await?;
        let mut state = self.state();
        state.repeating = !state.told.is_empty();
        Ok(handle)
    }

    pub(super) fn path(&self) -> RemotePath {
        self.state().path.clone()
    }

    /// Nobody uses it any more.
    pub(super) fn end(&self) {
        self.state().closed = true;
    }

    /// What it names has another path now, if it is `from` or below.
    pub(super) fn renamed(&self, from: &RemotePath, to: &RemotePath) {
        let mut state = self.state();
        if let Some(moved) = state.path.moved(from, to) {
            state.path = moved;
        }
    }

    /// Whether the server keeps it without a connection.
    pub(super) fn is_kept(&self) -> bool {
        self.state().keepsake.is_some()
    }

    /// Whether it has what it had, its locks included, as far as a server can tell of what it has on no connection but
    /// `now`. Without one it is as it was.
    pub(super) fn is_sound(&self, now: Option<u64>) -> bool {
        let state = self.state();
        let is_there = now.is_none_or(|now| state.generation >= now) && state.inner.is_ok();
        !state.spoilt && (state.locks.is_empty() || is_there)
    }

    /// It is to be had locked again; not if it was opened on another connection since `generation`, without these.
    pub(super) async fn locked(&self, ranges: &[LockedRange], generation: u64) -> bool {
        // Whoever opens it anew looks at the locks first.
        let _turn = self.reviving.lock().await;
        let mut state = self.state();
        let is_current = state.generation == generation;
        if is_current {
            state.locks.extend_from_slice(ranges);
        }
        is_current
    }

    /// Something of it is changed from now on.
    pub(super) fn change(&self) -> Changing<'_> {
        let mut state = self.state();
        state.changes += 1;
        state.changing += 1;
        Changing(self)
    }

    /// To be read before the file is looked at, for [`Self::saw`].
    pub(super) fn changes(&self) -> u64 {
        self.state().changes
    }

    /// So it was, and `changes` before.
    pub(super) fn saw(&self, attr: &RemoteAttr, changes: u64) {
        let mut state = self.state();
        if state.changes == changes && state.changing == 0 {
            state.seen = Some(Seen::of(attr));
        }
    }

    /// Whether its locks end with the connection, and nobody has looked at it since we changed it.
    pub(super) fn is_to_be_seen(&self) -> bool {
        let state = self.state();
        !state.locks.is_empty() && state.keepsake.is_none() && state.seen.is_none()
    }

    pub(super) fn unlocked(&self, ranges: &[LockedRange]) {
        let mut state = self.state();
        for range in ranges {
            if let Some(at) = state.locks.iter().position(|locked| locked.range == range.range) {
                state.locks.swap_remove(at);
            }
        }
    }

    /// What of a listing's next entries has not been told before; nothing if it goes on.
    pub(super) fn fresh(&self, entries: Vec<RemoteEntry>) -> Option<Vec<RemoteEntry>> {
        let mut state = self.state();
        let State { told, repeating, hasher, .. } = &mut *state;
        if entries.is_empty() {
            told.clear();
            *repeating = false;
            return Some(entries);
        }
        let mut fresh = entries;
        fresh.retain(|entry| told.insert(hasher.hash_one(&entry.name)) || !*repeating);
        (!fresh.is_empty()).then_some(fresh)
    }
}

/// What an open that the server has kept says of its lease.
fn reclaimed(key: LeaseKey, opened: &Opened) -> RemoteEvent {
    if opened.granted.caching == Caching::NONE || opened.granted.breaking {
        return RemoteEvent::LeaseLost { key };
    }
    RemoteEvent::LeaseBreak { key, to: opened.granted.caching, epoch: None, acknowledge: false }
}

/// Whether there is no such file any more.
fn is_gone(error: &RemoteError) -> bool {
    matches!(
        error.status(),
        Some(
            NtStatus::OBJECT_NAME_NOT_FOUND
                | NtStatus::OBJECT_PATH_NOT_FOUND
                | NtStatus::NO_SUCH_FILE
                | NtStatus::FILE_IS_A_DIRECTORY
                | NtStatus::NOT_A_DIRECTORY
                | NtStatus::DELETE_PENDING
                | NtStatus::STOPPED_ON_SYMLINK
        )
    )
}
