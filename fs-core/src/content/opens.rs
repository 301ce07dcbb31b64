//! The opens of one file on the server, and the lease that they hold together.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use smb_proto::NtStatus;
use tokio::sync::RwLock;
use tokio::time::Instant;

use super::{Content, Fingerprint, State};
use crate::error::FsResult;
use crate::name::RemotePath;
use crate::remote::{
    Access, Caching, Granted, LeaseAsk, LeaseKey, OpenHow, Opened, Remote, RemoteAttr, RemoteError,
    RemoteHandle, RemoteResult, SetAttr,
};

/// How long the answer to a break waits for the turn to close what nobody uses.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);
/// Files of up to so many bytes are read with their open: a round trip costs as much as this.
const SMALL: u64 = 32 * 1024;

/// An open of the server. Several open files of this mount may share it.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) handle: RemoteHandle,
    pub(crate) access: Access,
    pub(crate) write_through: bool,
    /// Held for reading while the handle is used; true once it is closed.
    pub(crate) closed: RwLock<bool>,
}

/// An open file's share of the content.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) backing: Arc<Backing>,
    /// Whatever others keep of the file from before is still right.
    pub(crate) unchanged: bool,
    /// The server was asked, and answered this.
    pub(crate) opened: Option<Opened>,
}

#[derive(Debug)]
struct Open {
    backing: Arc<Backing>,
    users: u32,
    idle_since: Option<Instant>,
    /// It holds the content's lease. Another is not kept: its own lease's break would not find it.
    ours: bool,
}

#[derive(Debug, Default)]
pub(super) struct Opens(Vec<Open>);

impl Opens {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something can be written.
    pub(super) fn can_write(&self) -> bool {
        self.0.iter().any(|open| open.backing.access.write)
    }

    fn suitable(&mut self, access: Access, write_through: bool, remote: &dyn Remote) -> Option<&mut Open> {
        self.0.iter_mut().find(|open| {
            let has = open.backing.access;
            (has.read || !access.read)
                && (has.write || !access.write)
                && open.backing.write_through == write_through
                && remote.is_sound(open.backing.handle)
        })
    }

    /// An open that a program has.
    pub(super) fn in_use(&self, remote: &dyn Remote) -> Option<Arc<Backing>> {
        let mut used = self.0.iter().filter(|open| open.users > 0);
        used.find(|open| remote.is_sound(open.backing.handle)).map(|open| open.backing.clone())
    }

    fn take_idle(&mut self, since: Instant) -> Vec<Arc<Backing>> {
        let (idle, used) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|open| open.users == 0 && open.idle_since.is_some_and(|at| at <= since));
        self.0 = used;
        let idle: Vec<Open> = idle;
        idle.into_iter().map(|open| open.backing).collect()
    }
}

impl Content {
    /// An open for a new user: one that is there, where the lease says that the name still leads to this file, or a
    /// new one of the server's. A file of about `size` bytes is going to be read; 0 says nothing.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn open(
        self: &Arc<Self>,
        path: &RemotePath,
        how: &OpenHow,
        parent: Option<LeaseKey>,
        leases: bool,
        size: u64,
    ) -> RemoteResult<Served> {
        let _turn = self.opening.lock().await;
        if let Some(backing) = self.reuse(how) {
            return Ok(Served { backing, unchanged: true, opened: None });
        }
        self.wait_for_losses().await;
        // The size in the answer is taken for the file's: no change of ours may come between.
        let _alone = self.ordering.write().await;
        let unsent = self.is_dirty();
        self.state().lease.asks();
        let asking = Asking { content: self, done: false };
        let want = if leases { self.common.mode.wants() } else { Caching::NONE };
        let lease = (want != Caching::NONE).then(|| LeaseAsk { key: self.key(), want, parent });
        let early = if lease.is_some() { self.early(size) } else { 0 };
        let (opened, leased) = ask(&*self.common.remote, path, &OpenHow { lease, ..*how }, early).await;
        // Who did not ask was not told what else is held.
        let granted = opened.as_ref().ok().filter(|_| leased).map(|(opened, _)| opened.granted);
        asking.answered(granted);
        let (mut opened, mut data) = opened?;
        let mut is_fresh = !unsent;
        if unsent && self.see_after_writing(&mut opened).await? {
            (data, is_fresh) = (None, true);
        }
        if early > 0 {
            self.common.reads_early.store(opened.granted.caching.read, Ordering::Relaxed);
        }
        let (backing, unchanged) = self.adopt(&opened, how, leased, is_fresh, data);
        Ok(Served { backing, unchanged, opened: Some(opened) })
    }

    /// Makes an open by name this content's. If the name led to another file than expected, the lease was asked for
    /// under another `key`, or under none, and is not used.
    pub(crate) fn adopt_opened(
        self: &Arc<Self>,
        opened: Opened,
        how: &OpenHow,
        key: Option<LeaseKey>,
        is_fresh: bool,
    ) -> Served {
        let ours = key == Some(self.key());
        if ours {
            let mut state = self.state();
            state.lease.asks();
            state.lease.answered(Some(opened.granted));
        }
        let (backing, unchanged) = self.adopt(&opened, how, ours, is_fresh, None);
        Served { backing, unchanged, opened: Some(opened) }
    }

    /// What an open says of the file is from before what was kept is written, unless that is kept still: asks anew, after
    /// it is written. Whether it did. The caller holds `ordering` alone.
    ///
    /// # Errors
    /// What the server says; then the open is closed.
    pub(crate) async fn see_after_writing(self: &Arc<Self>, opened: &mut Opened) -> RemoteResult<bool> {
        if self.state().size.is_some() {
            return Ok(false);
        }
        self.drain().await;
        match self.common.remote.attr(opened.handle).await {
            Ok(attr) => opened.attr = attr,
            Err(error) => {
                let _ = self.common.remote.close(opened.handle).await;
                self.closed(None);
                return Err(error);
            }
        }
        Ok(true)
    }

    /// How much of a file of `size` bytes to read with its open.
    fn early(&self, size: u64) -> u32 {
        let worth = size <= SMALL
            && self.common.reads_early.load(Ordering::Relaxed)
            && !self.state().extents.gaps(&(0..size)).is_empty();
        // One more shows a file that has grown.
        if worth { u32::try_from(size + 1).unwrap_or_default() } else { 0 }
    }

    fn reuse(&self, how: &OpenHow) -> Option<Arc<Backing>> {
        let mut state = self.state();
        let caching = self.caching_of(&state);
        if !caching.handle || !caching.read {
            return None;
        }
        let open = state.opens.suitable(how.access, how.write_through, &*self.common.remote)?;
        open.users += 1;
        open.idle_since = None;
        Some(open.backing.clone())
    }

    fn adopt(
        self: &Arc<Self>,
        opened: &Opened,
        how: &OpenHow,
        ours: bool,
        is_fresh: bool,
        data: Option<Bytes>,
    ) -> (Arc<Backing>, bool) {
        let backing = Arc::new(Backing {
            handle: opened.handle,
            access: how.access,
            write_through: how.write_through,
            closed: RwLock::new(false),
        });
        let mut state = self.state();
        state.opens.0.push(Open { backing: backing.clone(), users: 1, idle_since: None, ours });
        let now = Fingerprint::from(&opened.attr);
        // Where the server numbers its files, all names are one inode, and this is the content of all.
        state.several = opened.attr.links > 1 && opened.attr.file_id == 0;
        let held = state.size.is_some();
        let unchanged = held || state.known.is_some_and(|known| known == now && known.is_calm());
        if !unchanged {
            self.forget_clean(&mut state);
        }
        // Else what was kept at the question is gone at the answer, which does not tell of it.
        if !held && is_fresh && self.caching_of(&state).read {
            state.size = Some(opened.attr.size);
            state.known = Some(now);
            state.was_leased = true;
            state.leased += 1;
            // Whatever changes the file has waited for this answer, or breaks the lease.
            if let Some(mut data) = data {
                data.truncate(usize::try_from(opened.attr.size).unwrap_or(usize::MAX));
                let kept = state.extents.fill(0, &data);
                self.account(&mut state);
                drop(state);
                self.common.budget.keep(self, &kept);
            }
        }
        (backing, unchanged)
    }

    /// One user less. The open stays for a while if the lease allows it and nothing is to be settled; else it is
    /// closed, and what the server says of the file then is the answer.
    ///
    /// # Errors
    /// What the server says; the open is gone all the same.
    pub(crate) async fn close(&self, backing: &Arc<Backing>) -> RemoteResult<Option<RemoteAttr>> {
        let _turn = self.opening.lock().await;
        let (settle, _settling) = {
            let mut state = self.state();
            let caching = self.caching_of(&state);
            let stays = caching.handle && caching.read && state.touched.is_none_or(|touched| touched.settled);
            let Some(at) = state.opens.0.iter().position(|open| Arc::ptr_eq(&open.backing, backing)) else {
                return Ok(None);
            };
            let open = &mut state.opens.0[at];
            open.users = open.users.saturating_sub(1);
            if open.users > 0 {
                return Ok(None);
            }
            if stays && open.ours && self.common.remote.is_sound(backing.handle) {
                open.idle_since = Some(Instant::now());
                return Ok(None);
            }
            state.opens.0.swap_remove(at);
            let settle = state.touched.filter(|touched| touched.shown && !touched.settled);
            // A server may take its own time for the last write when a writer's handle is closed.
            (settle.filter(|_| backing.access.write), Settling::begin(self, &mut state))
        };
        if let Some(touched) = settle {
            let change = SetAttr { written: Some(touched.at), ..SetAttr::default() };
            if let Err(error) = self.common.remote.set_attr_handle(backing.handle, &change).await {
                tracing::debug!(ino = self.ino.0, %error, "the time of the last write could not be set");
            }
        }
        let answer = self.finish(backing).await;
        self.closed(answer.as_ref().ok().and_then(Option::as_ref));
        answer
    }

    /// Closes what nobody has used since; with `Instant::now()` all that nobody uses. How many there were.
    pub(crate) async fn close_idle(&self, since: Instant) -> usize {
        let _turn = self.opening.lock().await;
        self.close_idle_now(since).await
    }

    async fn close_idle_now(&self, since: Instant) -> usize {
        let (idle, _settling) = {
            let mut state = self.state();
            (state.opens.take_idle(since), Settling::begin(self, &mut state))
        };
        for backing in &idle {
            match self.finish(backing).await {
                Ok(attr) => self.closed(attr.as_ref()),
                Err(error) => {
                    tracing::debug!(ino = self.ino.0, %error, "closing an unused open failed");
                    self.closed(None);
                }
            }
        }
        idle.len()
    }

    /// One user more of an open that has this access: `first` if it does, or any other.
    pub(crate) fn join_open(&self, first: &Arc<Backing>, access: Access) -> Option<Arc<Backing>> {
        let mut state = self.state();
        let fits = |open: &Open| {
            let has = open.backing.access;
            (has.read || !access.read) && (has.write || !access.write) && !open.backing.write_through
        };
        let opens = &mut state.opens.0;
        let at = opens
            .iter()
            .position(|open| Arc::ptr_eq(&open.backing, first) && (fits(open) || access == Access::default()))
            .or_else(|| opens.iter().position(fits))?;
        let open = &mut opens[at];
        open.users += 1;
        open.idle_since = None;
        Some(open.backing.clone())
    }

    /// Reads and writes go through this open from now on, as far as it allows them.
    pub(crate) fn route_through(&self, backing: Option<Arc<Backing>>) {
        self.state().route = backing;
    }

    /// The open to use instead of `backing`, if there is such a one.
    pub(crate) fn route(&self, backing: &Backing, writing: bool) -> Option<Arc<Backing>> {
        let route = self.state().route.clone()?;
        let fits = if writing { route.access.write } else { route.access.read };
        (fits && route.handle != backing.handle).then_some(route)
    }

    /// The file has another name from now on. What was written has been sent.
    pub(crate) fn has_several_names(&self) {
        let mut state = self.state();
        state.several = true;
        self.forget_clean(&mut state);
        (state.known, state.size) = (None, None);
    }

    /// Forgets what was read, and asks for the size, unless nobody else has had the file open since others forgot what
    /// they keep: `None`, or what to tell [`Self::forgotten`] when they have again. Who has read under a lease is told of a
    /// write without anybody waiting for it: whoever asks after that may be answered earlier.
    pub(crate) async fn forget_shared(self: &Arc<Self>, backing: &Backing) -> Option<u64> {
        let _alone = self.ordering.write().await;
        let leased = {
            let mut state = self.state();
            let writes = state.lease.caching().write;
            if writes && state.clean_since == state.leased {
                return None;
            }
            self.forget_clean(&mut state);
            state.known = None;
            if writes || !self.caching_of(&state).read {
                return Some(state.leased);
            }
            state.leased
        };
        self.drain().await;
        let attr = self.common.remote.attr(backing.handle).await;
        let mut state = self.state();
        // Without an answer each read is the server's.
        state.size = state.size.and_then(|_| attr.as_ref().ok().map(|attr| attr.size));
        if let Err(error) = attr {
            tracing::debug!(ino = self.ino.0, %error, "a locked file could not be looked at");
        }
        Some(leased)
    }

    /// Others have forgotten what they kept.
    pub(crate) fn forgotten(&self, leased: u64) {
        self.state().clean_since = leased;
    }

    /// Whether opens are kept that nobody uses.
    pub(crate) fn has_idle(&self) -> bool {
        self.state().opens.0.iter().any(|open| open.users == 0)
    }

    /// Whether the server has it open for us.
    pub(crate) fn is_open(&self) -> bool {
        !self.state().opens.is_empty()
    }

    async fn finish(&self, backing: &Backing) -> RemoteResult<Option<RemoteAttr>> {
        let mut closed = backing.closed.write().await;
        *closed = true;
        drop(closed);
        self.common.remote.close(backing.handle).await
    }

    /// An open has been closed; with the last one the lease is over.
    fn closed(&self, attr: Option<&RemoteAttr>) {
        let mut state = self.state();
        if !state.opens.is_empty() {
            return;
        }
        let caching = self.caching_of(&state);
        if caching.read {
            // Up to here nobody else has changed it; from here on only this can tell.
            state.known = match (attr, state.touched) {
                (Some(attr), _) => Some(Fingerprint::from(attr)),
                (None, None) => state.known,
                (None, Some(_)) => None,
            };
        }
        state.lease.ended();
        state.size = None;
        state.touched = None;
        state.was_leased = false;
        state.trusted_since = None;
    }

    /// The opens that may write, or all; first the one that is to be used.
    pub(crate) fn backings(&self, writing: bool) -> Vec<Arc<Backing>> {
        let state = self.state();
        let suitable = state.opens.0.iter().filter(|open| !writing || open.backing.access.write);
        let mut backings: Vec<_> = suitable.map(|open| open.backing.clone()).collect();
        if self.caching_of(&state).write {
            // One that has lost its lock has nothing of what is kept under the lease that another open has had since.
            backings.sort_by_cached_key(|backing| !self.common.remote.is_sound(backing.handle));
        }
        if let Some(route) = &state.route {
            backings.sort_by_key(|backing| !Arc::ptr_eq(backing, route));
        }
        backings
    }

    /// The server takes back all but `to`: what was read under it counts no longer. What was lost, for [`Self::give_up`];
    /// `None` if it is old news.
    pub(crate) fn let_go(&self, to: Caching, epoch: Option<u16>) -> Option<Caching> {
        let mut state = self.state();
        let before = self.caching_of(&state);
        let lost = state.lease.broken(to, epoch)?;
        let now = self.caching_of(&state);
        if before.read && !now.read {
            self.forget_clean(&mut state);
            state.known = None;
        }
        // Whatever it was kept by.
        Some(Caching { write: lost.write || (!now.write && state.extents.held().dirty > 0), ..lost })
    }

    /// Writes what was kept under what is lost. [`Self::close_given_up`] is still to come.
    pub(crate) async fn give_up(self: &Arc<Self>, lost: Caching) {
        if lost.write {
            self.drain().await;
        }
        if lost.read {
            if let Err(error) = self.settle_time().await {
                tracing::debug!(ino = self.ino.0, %error, "the time of the last write could not be set");
            }
            let mut state = self.state();
            if !self.caching_of(&state).read {
                (state.size, state.touched) = (None, None);
            }
        }
    }

    /// Closes what is open for nobody, if that is lost. The server takes the end of the last open for an answer: by then
    /// nobody may have anything of the file that others change.
    pub(crate) async fn close_given_up(&self, lost: Caching) {
        if lost.handle {
            // An open that is on its way has the turn, and may wait for whoever waits for this.
            match tokio::time::timeout(CLOSE_PATIENCE, self.opening.lock()).await {
                Ok(_turn) => drop(self.close_idle_now(Instant::now()).await),
                Err(_) => tracing::debug!(ino = self.ino.0, "opens that nobody uses stay a while"),
            }
        }
    }

    /// The server has been asked for the attributes, by somebody who cannot tell others what they show: if that is a change
    /// by somebody else, the next open tells, or [`Self::compare`].
    pub(crate) fn noticed(&self, attr: &RemoteAttr) {
        if self.compare(attr) {
            self.state().known = None;
        }
    }

    /// Has the server take the time that was shown for the last write, through an open that may write.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn settle_time(&self) -> FsResult<()> {
        let (touched, _settling) = {
            let mut state = self.state();
            let Some(touched) = state.touched.filter(|touched| touched.shown && !touched.settled) else {
                return Ok(());
            };
            (touched, Settling::begin(self, &mut state))
        };
        let change = SetAttr { written: Some(touched.at), ..SetAttr::default() };
        for backing in self.backings(true) {
            let closed = backing.closed.read().await;
            if *closed || !self.common.remote.is_sound(backing.handle) {
                continue;
            }
            match self.common.remote.set_attr_handle(backing.handle, &change).await {
                // Another client has deleted it: Samba finds it by its name, and nobody can ask for its time.
                Err(error) if error.is_missing() => {}
                result => drop(result?),
            }
            let mut state = self.state();
            if let Some(now) = &mut state.touched
                && now.at == touched.at
            {
                now.settled = true;
            }
            break;
        }
        Ok(())
    }

    /// The modification time is about to be set by other means: none of ours is to come after it.
    pub(crate) async fn before_time_is_set(&self) {
        if let Some(touched) = &mut self.state().touched {
            touched.settled = true;
        }
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().settling == 0 {
                return;
            }
            changed.await;
        }
    }

    /// The modification time has been set on the server by other means.
    pub(crate) fn time_was_set(&self, attr: &RemoteAttr) {
        let mut state = self.state();
        if let Some(touched) = &mut state.touched {
            *touched = super::Touched { at: attr.written, shown: true, settled: true };
        }
    }
}

/// Opens, and reads `early` bytes by the way; without the lease if the server does not take its key: whether with it.
pub(crate) async fn ask(
    remote: &dyn Remote,
    path: &RemotePath,
    how: &OpenHow,
    early: u32,
) -> (RemoteResult<(Opened, Option<Bytes>)>, bool) {
    let answer = match early {
        0 => remote.open(path, how).await.map(|opened| (opened, None)),
        early => remote.open_and_read(path, how, early).await,
    };
    match answer {
        // The key belongs to another name by the server's book: somebody renamed the file.
        Err(error) if how.lease.is_some() && error.is(NtStatus::INVALID_PARAMETER) => {
            let opened = remote.open(path, &OpenHow { lease: None, ..*how }).await;
            (opened.map(|opened| (opened, None)), false)
        }
        result => (result, how.lease.is_some()),
    }
}

/// An open on its way. Dropped, it was given up.
struct Asking<'a> {
    content: &'a Content,
    done: bool,
}

impl Asking<'_> {
    fn answered(mut self, granted: Option<Granted>) {
        self.done = true;
        self.content.state().lease.answered(granted);
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.content.state().lease.answered(None);
        }
    }
}

/// The time of the last write is on its way to the server, or a CLOSE that may set it.
struct Settling<'a>(&'a Content);

impl<'a> Settling<'a> {
    fn begin(content: &'a Content, state: &mut State) -> Self {
        state.settling += 1;
        Self(content)
    }
}

impl Drop for Settling<'_> {
    fn drop(&mut self) {
        self.0.state().settling -= 1;
        self.0.changed.notify_waiters();
    }
}

/// How long before now something must have been idle to be closed.
pub(crate) fn idle_before(patience: Duration) -> Instant {
    Instant::now().checked_sub(patience).unwrap_or_else(Instant::now)
}

/// Whether the server says that the handle is no longer open.
pub(crate) fn handle_gone<T>(result: &RemoteResult<T>) -> bool {
    matches!(result, Err(RemoteError::Status(NtStatus::FILE_CLOSED | NtStatus::INVALID_HANDLE)))
}
