//! Byte-range locks: as POSIX has them among the programs of this mount, and told to the server for all of them
//! together.
//!
//! All of a file's locks are taken through one open of the server, through which the file is then read and written as
//! well: to a server a lock keeps all other opens away, this mount's own too.

use std::collections::HashMap;
use std::ops::Range;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use smb_proto::NtStatus;
use tokio::sync::Notify;

use super::Filesystem;
use super::serve::outside;
use crate::content::{Backing, Content};
use crate::error::{FsError, FsResult, errno};
use crate::handle::{Fh, OpenFile};
use crate::inode::Ino;
use crate::lock::{Held, Plan, Table, overlap, plan};
use crate::remote::{Access, Disposition, FileKind, LockedRange, OpenHow, RemoteError, RemoteResult};

/// Between attempts to make a shared lock exclusive that another client is in the way of.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// How long a new lock waits for the kernel to forget what it has of the file.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);
/// The whole of any file.
const EVERYTHING: Range<u64> = 0..u64::MAX;

/// Who holds a lock: a process for fcntl's, an open file for flock's and OFD ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockOwner(pub u64);

/// A lock to be taken, or asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockAsk {
    /// The bytes, which may lie beyond the end of the file.
    pub range: Range<u64>,
    /// Nobody else may lock it at all, instead of exclusively.
    pub exclusive: bool,
    /// For whom.
    pub owner: LockOwner,
    /// The process, for others to see.
    pub pid: u32,
}

/// A lock that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The bytes.
    pub range: Range<u64>,
    /// Nobody else may lock it at all.
    pub exclusive: bool,
    /// The process, 0 for another client's.
    pub pid: u32,
}

/// The locks of all files.
#[derive(Debug, Default)]
pub(super) struct Locks(Mutex<HashMap<Ino, Arc<FileLocks>>>);

#[derive(Debug, Default)]
struct FileLocks {
    state: tokio::sync::Mutex<State>,
    /// Something has been unlocked.
    changed: Notify,
    /// Who waits for another client, by the open that holds the locks.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    table: Table,
    /// What is locked on the server, no part of it twice.
    server: Vec<LockedRange>,
    /// The open that holds that.
    open: Option<Arc<Backing>>,
    /// The server has no locks.
    local: bool,
}

/// Why a lock was not taken at once.
enum Refused {
    /// Another client is in the way of these ranges, of which nothing is locked for us yet.
    New(Arc<Backing>, Vec<LockedRange>),
    /// Another client is in the way of making more of what we have.
    Change,
    Error(FsError),
}

impl Locks {
    fn map(&self) -> MutexGuard<'_, HashMap<Ino, Arc<FileLocks>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, ino: Ino) -> Arc<FileLocks> {
        self.map().entry(ino).or_default().clone()
    }

    fn find(&self, ino: Ino) -> Option<Arc<FileLocks>> {
        self.map().get(&ino).cloned()
    }

    /// Forgets a file of which nothing is locked. `locks` is the caller's own.
    fn tidy(&self, ino: Ino, locks: Arc<FileLocks>) {
        let mut map = self.map();
        drop(locks);
        let unused = map.get_mut(&ino).and_then(Arc::get_mut).is_some_and(|locks| {
            let state = locks.state.get_mut();
            state.table.is_empty() && state.open.is_none()
        });
        if unused {
            map.remove(&ino);
        }
    }
}

impl Filesystem {
    /// Take a lock, in place of what the owner holds in the range. With `wait` for as long as another holds a part of
    /// it, or until `interrupted` is done.
    ///
    /// # Errors
    /// EBADF; EAGAIN if another holds a part of it and `wait` is not wanted; EINTR; an error of a write that nobody was
    /// told yet; what the server says.
    pub async fn set_lock(
        &self,
        fh: Fh,
        ask: LockAsk,
        wait: bool,
        interrupted: impl Future<Output = ()> + Send,
    ) -> FsResult<()> {
        let file = self.files.get(fh)?;
        if ask.range.is_empty() {
            return Err(FsError::local(errno::EINVAL, "an empty range"));
        }
        self.write_back(&file).await?;
        let locks = self.locks.of(file.ino);
        tokio::pin!(interrupted);
        let result = self.acquire(&file, fh, &locks, &ask, wait, interrupted).await;
        if result.is_err() {
            let mut state = locks.state.lock().await;
            self.let_go_of_locks(&file.content, &locks, &mut state).await;
        }
        self.locks.tidy(file.ino, locks);
        result?;
        if self.files.get(fh).is_err() {
            // Closed while nobody waited for the lock any more: nothing else would end it.
            self.unlock_handle(&file, fh).await;
            return Err(FsError::local(errno::EBADF, "the file has been closed"));
        }
        self.renew(&file, fh).await;
        Ok(())
    }

    async fn acquire(
        &self,
        file: &OpenFile,
        fh: Fh,
        locks: &FileLocks,
        ask: &LockAsk,
        wait: bool,
        mut interrupted: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> FsResult<()> {
        const IN_THE_WAY: FsError = FsError::local(errno::EAGAIN, "another holds a lock there");
        const INTERRUPTED: FsError = FsError::local(errno::EINTR, "a signal has come");
        let mut pause = FIRST_PAUSE;
        loop {
            let changed = locks.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let mut state = locks.state.lock().await;
            if state.table.conflict(ask.owner.0, &ask.range, ask.exclusive).is_some() {
                drop(state);
                if !wait {
                    return Err(IN_THE_WAY);
                }
                tokio::select! {
                    () = changed => continue,
                    () = &mut interrupted => return Err(INTERRUPTED),
                }
            }
            match self.try_take(file, fh, &mut state, ask).await {
                Ok(()) => {
                    drop(state);
                    // What was exclusive may be shared now.
                    locks.changed.notify_waiters();
                    return Ok(());
                }
                Err(Refused::Error(error)) => return Err(error),
                Err(_) if !wait => return Err(IN_THE_WAY),
                Err(Refused::Change) => {
                    drop(state);
                    tokio::select! {
                        () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                        () = &mut interrupted => return Err(INTERRUPTED),
                    }
                }
                Err(Refused::New(backing, missing)) => {
                    let _waiting = Waiting::begin(&locks.waiting);
                    drop(state);
                    tokio::select! {
                        granted = self.remote.lock(backing.handle, &missing, true) => {
                            granted.map_err(FsError::from)?;
                            self.adopt_locks(locks, &backing, missing).await;
                        }
                        () = changed => {}
                        () = &mut interrupted => return Err(INTERRUPTED),
                    }
                }
            }
        }
    }

    /// What was waited for is locked on the server: makes it this file's, unless what it was wanted for has gone.
    async fn adopt_locks(&self, locks: &FileLocks, backing: &Arc<Backing>, granted: Vec<LockedRange>) {
        let mut state = locks.state.lock().await;
        let same = state.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, backing));
        let twice = granted.iter().any(|new| state.server.iter().any(|has| overlap(&has.range, &new.range)));
        if same && !twice {
            state.server.extend(granted);
        } else if let Err(error) = self.remote.unlock(backing.handle, &granted).await {
            tracing::debug!(%error, "a lock that is not wanted any more");
        }
    }

    /// Give a range of an owner's locks back.
    ///
    /// # Errors
    /// EBADF; an error of a write that nobody was told yet. It is unlocked all the same.
    pub async fn unlock(&self, fh: Fh, range: Range<u64>, owner: LockOwner) -> FsResult<()> {
        let file = self.files.get(fh)?;
        self.unlock_where(&file, &range, |held| held.owner == owner.0, true).await
    }

    /// close(2) of one descriptor by a process: all its locks of the file end, by whichever descriptor it took them.
    ///
    /// # Errors
    /// As [`Self::unlock`].
    pub async fn unlock_owner(&self, fh: Fh, owner: LockOwner) -> FsResult<()> {
        let file = self.files.get(fh)?;
        self.unlock_where(&file, &EVERYTHING, |held| held.owner == owner.0, true).await
    }

    /// The last descriptor of an open file is closed.
    pub(super) async fn unlock_handle(&self, file: &OpenFile, fh: Fh) {
        if let Err(error) = self.unlock_where(file, &EVERYTHING, |held| held.fh == fh, false).await {
            tracing::debug!(ino = file.ino.0, %error, "the time of the last write could not be set");
        }
    }

    async fn unlock_where(
        &self,
        file: &OpenFile,
        range: &Range<u64>,
        whose: impl Fn(&Held) -> bool + Send + Sync,
        tell: bool,
    ) -> FsResult<()> {
        let Some(locks) = self.locks.find(file.ino) else { return Ok(()) };
        let touches = |held: &Held| whose(held) && overlap(&held.range, range);
        if !locks.state.lock().await.table.any(touches) {
            self.locks.tidy(file.ino, locks);
            return Ok(());
        }
        // Whoever is next is to see it.
        let written = if tell { self.write_back(file).await } else { self.have_written(&file.content).await };
        {
            let mut state = locks.state.lock().await;
            state.table.release(range, &whose);
            let change = plan(&state.server, &state.table.wanted());
            if let Some(open) = state.open.clone()
                && let Err(error) = self.carry_out(&open, &mut state, change).await
            {
                tracing::warn!(ino = file.ino.0, %error, "unlocking on the server");
            }
            self.let_go_of_locks(&file.content, &locks, &mut state).await;
        }
        locks.changed.notify_waiters();
        self.locks.tidy(file.ino, locks);
        written
    }

    /// Which lock would be in the way.
    ///
    /// # Errors
    /// EBADF; what the server says.
    pub async fn get_lock(&self, fh: Fh, ask: &LockAsk) -> FsResult<Option<Locked>> {
        let file = self.files.get(fh)?;
        let locks = self.locks.of(file.ino);
        let result = {
            let mut state = locks.state.lock().await;
            let result = self.find_lock(&file, &mut state, ask).await;
            self.let_go_of_locks(&file.content, &locks, &mut state).await;
            result
        };
        self.locks.tidy(file.ino, locks);
        result
    }

    async fn find_lock(&self, file: &OpenFile, state: &mut State, ask: &LockAsk) -> FsResult<Option<Locked>> {
        if let Some(held) = state.table.conflict(ask.owner.0, &ask.range, ask.exclusive) {
            let Held { range, exclusive, pid, .. } = held.clone();
            return Ok(Some(Locked { range, exclusive, pid }));
        }
        if self.options.local_locks || state.local {
            return Ok(None);
        }
        let open = self.locking_open(file, state).await?;
        // A server does not say who has locked what: it is tried.
        for exclusive in [ask.exclusive, false] {
            let mut table = state.table.clone();
            table.hold(Held { exclusive, ..held(ask, Fh(0)) });
            let Plan { give, take, .. } = plan(&state.server, &table.wanted());
            let others_only: Vec<LockedRange> = if give.is_empty() { take } else { Vec::new() };
            match self.remote.lock(open.handle, &others_only, false).await {
                Ok(()) => {
                    self.remote.unlock(open.handle, &others_only).await?;
                    let free = exclusive == ask.exclusive;
                    let found = Locked { range: ask.range.clone(), exclusive: false, pid: 0 };
                    return Ok((!free).then_some(found));
                }
                Err(error) if is_in_the_way(&error) => {}
                Err(error) if is_unsupported(&error) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(Locked { range: ask.range.clone(), exclusive: true, pid: 0 }))
    }

    async fn try_take(
        &self,
        file: &OpenFile,
        fh: Fh,
        state: &mut State,
        ask: &LockAsk,
    ) -> Result<(), Refused> {
        let mut table = state.table.clone();
        table.hold(held(ask, fh));
        if !self.options.local_locks && !state.local {
            let open = self.locking_open(file, state).await.map_err(Refused::Error)?;
            let change = plan(&state.server, &table.wanted());
            let (new, missing) = (change.give.is_empty(), change.take.clone());
            match self.carry_out(&open, state, change).await {
                Ok(()) => {}
                Err(error) if is_in_the_way(&error) && new => return Err(Refused::New(open, missing)),
                Err(error) if is_in_the_way(&error) => return Err(Refused::Change),
                Err(error) if is_unsupported(&error) && state.server.is_empty() => {
                    tracing::warn!(%error, "the server has no locks: they hold on this mount only");
                    state.local = true;
                }
                Err(error) => return Err(Refused::Error(error.into())),
            }
        }
        state.table = table;
        Ok(())
    }

    /// Has the server lock what the plan says.
    async fn carry_out(&self, open: &Backing, state: &mut State, plan: Plan) -> RemoteResult<()> {
        let Plan { give, take, stacks } = plan;
        if stacks {
            if !take.is_empty() {
                self.remote.lock(open.handle, &take, false).await?;
            }
            let unlocked = self.give_back(open, &give).await;
            state.server.retain(|has| !give.contains(has));
            state.server.extend(take);
            return unlocked;
        }
        // A server makes no lock exclusive that is shared: it has to be given back first.
        self.give_back(open, &give).await?;
        state.server.retain(|has| !give.contains(has));
        let taken = self.remote.lock(open.handle, &take, false).await;
        if taken.is_ok() {
            state.server.extend(take);
            return Ok(());
        }
        for range in give {
            match self.remote.lock(open.handle, std::slice::from_ref(&range), false).await {
                Ok(()) => state.server.push(range),
                Err(error) => tracing::error!(?range, %error, "another client came between: a lock is lost"),
            }
        }
        taken
    }

    async fn give_back(&self, open: &Backing, ranges: &[LockedRange]) -> RemoteResult<()> {
        if ranges.is_empty() {
            return Ok(());
        }
        self.remote.unlock(open.handle, ranges).await
    }

    /// The open that holds the locks of a file, and reads and writes it while it does.
    async fn locking_open(&self, file: &OpenFile, state: &mut State) -> FsResult<Arc<Backing>> {
        if let Some(open) = &state.open {
            return Ok(open.clone());
        }
        let both = Access { read: true, write: true };
        let content = &file.content;
        let backing = match content.join_open(&file.backing, both) {
            Some(backing) => backing,
            None => self.open_for_locks(file, both).await?,
        };
        content.route_through(Some(backing.clone()));
        state.open = Some(backing.clone());
        Ok(backing)
    }

    async fn open_for_locks(&self, file: &OpenFile, access: Access) -> FsResult<Arc<Backing>> {
        let content = &file.content;
        let path = self.inodes().path(file.ino);
        if let Ok(path) = path {
            let how = OpenHow {
                access,
                disposition: Disposition::Open,
                kind: Some(FileKind::File),
                new_read_only: false,
                new_mode: 0,
                write_through: false,
                lease: None,
            };
            match content.open(&path, &how, self.parent_key(file.ino), self.leases(), 0).await {
                Ok(served) => {
                    let same = served.opened.as_ref().is_none_or(|opened| {
                        self.inodes().node(file.ino).is_ok_and(|node| node.is(&opened.attr))
                    });
                    if same {
                        return Ok(served.backing);
                    }
                    // Another file has the name; the one that is open is meant.
                    let _ = content.close(&served.backing).await;
                }
                // Who may only read, or only write, locks with that.
                Err(error) => tracing::debug!(%error, "no open of its own for the locks"),
            }
        }
        content
            .join_open(&file.backing, Access::default())
            .ok_or_else(|| FsError::local(errno::EBADF, "the file is being closed"))
    }

    /// The open that holds the locks is not wanted any more once there are none.
    async fn let_go_of_locks(&self, content: &Arc<Content>, locks: &FileLocks, state: &mut State) {
        if !state.table.is_empty() || locks.waiting.load(Ordering::Relaxed) > 0 {
            return;
        }
        let Some(open) = state.open.take() else { return };
        content.route_through(None);
        let left = std::mem::take(&mut state.server);
        if !left.is_empty()
            && let Err(error) = self.give_back(&open, &left).await
        {
            tracing::debug!(%error, "unlocking on the server");
        }
        let asked = self.inodes().stamp();
        match content.close(&open).await {
            Ok(Some(attr)) => self.inodes().learn(content.ino, attr, asked, Instant::now()),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "closing the open that held the locks"),
        }
    }

    /// A lock was taken: what others may have changed is to be asked for again, here and by the kernel.
    async fn renew(&self, file: &OpenFile, fh: Fh) {
        let Some(leased) = file.content.forget_shared(&file.backing).await else { return };
        self.inodes().expire(file.ino);
        if let Err(error) = self.getattr(file.ino, Some(fh)).await {
            tracing::debug!(%error, "a locked file could not be looked at");
        }
        if let Some(kernel) = self.kernel.get().cloned() {
            let ino = file.ino;
            let forget = outside(move || kernel.forget_data(ino));
            match tokio::time::timeout(KERNEL_PATIENCE, forget).await {
                Ok(_) => file.content.forgotten(leased),
                Err(_) => tracing::warn!(ino = ino.0, "the kernel does not let go of a file that was locked"),
            }
        }
    }
}

fn held(ask: &LockAsk, fh: Fh) -> Held {
    Held { range: ask.range.clone(), exclusive: ask.exclusive, owner: ask.owner.0, fh, pid: ask.pid }
}

fn is_in_the_way(error: &RemoteError) -> bool {
    matches!(error.status(), Some(NtStatus::LOCK_NOT_GRANTED | NtStatus::FILE_LOCK_CONFLICT))
}

fn is_unsupported(error: &RemoteError) -> bool {
    matches!(
        error.status(),
        Some(NtStatus::NOT_SUPPORTED | NtStatus::NOT_IMPLEMENTED | NtStatus::INVALID_DEVICE_REQUEST)
    )
}

/// Somebody waits for another client.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
