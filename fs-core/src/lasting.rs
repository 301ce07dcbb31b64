//! A remote that outlives its connections.
//!
//! [`Lasting`] is a [`Remote`] before another one, which lives as long as its connection. When that is lost, it has a
//! [`Dial`] make another, has there what the server kept, says which leases are gone, and only then lets waiting requests
//! go on, and opens and locks what was not kept. Callers see a request that takes longer, and handles that stay what they were.
//!
//! What may be repeated is repeated. Where a request that changes something was lost, so that nobody knows whether it
//! was carried out, the answer to its repetition is read in that light: see `outcome`.

mod line;
mod outcome;
mod pace;
mod requests;
mod slot;
mod tell;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::{self, StreamExt, TryStreamExt};
use smb_proto::NtStatus;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::remote::{Cause, Remote, RemoteError, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult};
use line::{Connected, Line};
use pace::{Pace, Pushed};
use slot::Slot;
use tell::Tell;

/// Makes connections.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// A connection that takes the place of the last one that this made, if there is one. Called once at a time.
    ///
    /// # Errors
    /// There is none to be had at present, or the server refuses.
    async fn dial(&self) -> Result<Arc<dyn Remote>, DialError>;
}

/// Why there is no connection.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{cause}")]
pub struct DialError {
    /// What happened.
    pub cause: Cause,
    /// The server was reached and said no: it will go on doing so until somebody changes something.
    pub refused: bool,
}

/// How long requests wait for a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// What reads, writes or changes something; `None` waits for as long as it takes.
    pub work: Option<Duration>,
    /// What only looks: counted from the loss, so that whoever looks later is told at once.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { work: None, look: Duration::from_secs(20) }
    }
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineState {
    /// There is.
    Up,
    /// There is none; another is being tried for.
    Down {
        /// Since when.
        since: Instant,
        /// What happened last.
        reason: String,
        /// The server was reached and said no.
        refused: bool,
    },
    /// There is none and will be none.
    Over,
}

/// What every server takes.
const UNKNOWN_LIMITS: RemoteLimits = RemoteLimits { max_read: 65_536, max_write: 65_536 };
/// Opens that are had again at once.
const AT_ONCE: usize = 16;
/// How often an open is opened anew for one request, each time after the server has closed it by itself.
const REOPENINGS: u32 = 3;

/// What a request does, as far as waiting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Look,
    Change,
}

/// A [`Remote`] that outlives its connections.
pub struct Lasting {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Arc<dyn Dial>,
    line: Line,
    pace: Pace,
    patience: Patience,
    slots: RwLock<HashMap<u64, Arc<Slot>>>,
    /// Closed while there was no connection: the server keeps them.
    closing: Mutex<Vec<Arc<Slot>>>,
    next_handle: AtomicU64,
    events: Arc<Tell>,
    /// Of the last connection.
    limits: Mutex<RemoteLimits>,
    /// Known when there has been a connection.
    is_posix: OnceLock<bool>,
}

impl fmt::Debug for Lasting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lasting").field("line", &self.shared.line.state()).finish_non_exhaustive()
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        self.shared.line.end();
    }
}

impl Lasting {
    /// Connects. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The first connection cannot be made: whoever mounts wants to know that at once.
    pub async fn connect(dial: Arc<dyn Dial>, patience: Patience) -> Result<Self, DialError> {
        let remote = dial.dial().await?;
        let connected = Arc::new(Connected::new(1, remote));
        let shared = Arc::new(Shared::new(dial, Line::new(connected.clone()), patience));
        shared.learn(&connected);
        shared.listen(&connected, connected.remote.events());
        Ok(Self { shared })
    }

    /// Tries for a connection from now on: there need not be any server yet. Must be called within a tokio runtime.
    pub fn begin(dial: Arc<dyn Dial>, patience: Patience) -> Self {
        let shared = Arc::new(Shared::new(dial, Line::down(), patience));
        shared.events.send(RemoteEvent::Lost);
        let first = shared.clone();
        tokio::spawn(async move { first.restore(0).await });
        Self { shared }
    }

    /// Whether there is a connection, now and from now on.
    pub fn state(&self) -> watch::Receiver<LineState> {
        self.shared.line.watch()
    }

    /// Waits no longer: what waits for a connection fails, and so does all that comes later.
    pub fn give_up(&self) {
        self.shared.line.end();
    }

    /// Tries at once for a connection if there is none: somebody has changed what kept it from coming.
    pub fn retry(&self) {
        self.shared.line.hurry();
    }
}

type Events = tokio::sync::mpsc::UnboundedReceiver<RemoteEvent>;

/// Whether an error says that the connection, the session or the share's connection is gone.
fn is_loss(error: &RemoteError) -> bool {
    match error {
        RemoteError::Disconnected(_) => true,
        RemoteError::Status(status) => matches!(
            *status,
            NtStatus::NETWORK_NAME_DELETED
                | NtStatus::USER_SESSION_DELETED
                | NtStatus::NETWORK_SESSION_EXPIRED
                | NtStatus::CONNECTION_DISCONNECTED
                | NtStatus::CONNECTION_RESET
        ),
        _ => false,
    }
}

/// What has become of a request so far.
#[derive(Debug, Default)]
struct Attempts {
    /// Some of it may have been done.
    uncertain: bool,
    denied: bool,
    pushed: Pushed,
}

impl Attempts {
    /// Whether to ask again after a denial: once.
    ///
    /// A server denies a request whose signature is not right ([MS-SMB2] 3.3.5.2.4), as one that was damaged on its way, and
    /// does not do it. So a denial is believed when it is said twice.
    fn doubts(&mut self, error: &RemoteError) -> bool {
        error.is(NtStatus::ACCESS_DENIED) && !std::mem::replace(&mut self.denied, true)
    }
}

impl Shared {
    fn new(dial: Arc<dyn Dial>, line: Line, patience: Patience) -> Self {
        Self {
            dial,
            line,
            pace: Pace::default(),
            patience,
            slots: RwLock::default(),
            closing: Mutex::default(),
            next_handle: AtomicU64::new(1),
            events: Arc::default(),
            limits: Mutex::new(UNKNOWN_LIMITS),
            is_posix: OnceLock::new(),
        }
    }

    /// What a connection says of its server.
    fn learn(&self, connected: &Connected) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = connected.remote.limits();
        let _ = self.is_posix.set(connected.remote.is_posix());
    }

    /// The connection, once there is one.
    async fn up(self: &Arc<Self>, work: Work) -> RemoteResult<Arc<Connected>> {
        if let Some(connected) = self.line.connected() {
            return Ok(connected);
        }
        let asked = Instant::now();
        let deadline = |since: Instant| match work {
            Work::Look => Some(since + self.patience.look),
            Work::Change => self.patience.work.map(|patience| asked + patience),
        };
        match self.line.wait(deadline).await {
            Err(RemoteError::Offline(_)) if work == Work::Change && !self.line.is_over() => {
                Err(RemoteError::TimedOut)
            }
            result => result,
        }
    }

    /// The connection is no longer what it was: tries for another, once for each.
    fn lost(self: &Arc<Self>, connected: &Arc<Connected>, error: &RemoteError) {
        if !self.line.lost(connected.generation, error) {
            return;
        }
        tracing::warn!(%error, "the connection to the server is lost; trying again");
        // What is left of it must not hear what is meant for the next: a server takes both for one client's.
        connected.remote.abandon();
        self.events.send(RemoteEvent::Lost);
        let (shared, generation) = (self.clone(), connected.generation);
        tokio::spawn(async move { shared.restore(generation).await });
    }

    /// Whether a request that failed on this connection is to be tried for again; what has to come first has been done.
    async fn tries_again(
        self: &Arc<Self>,
        attempts: &mut Attempts,
        connected: &Arc<Connected>,
        error: &RemoteError,
    ) -> bool {
        if is_loss(error) {
            attempts.uncertain = true;
            self.lost(connected, error);
        } else if attempts.pushed.is_behind(error) {
            if !attempts.pushed.catches_up().await {
                self.lost(connected, error);
            }
        } else if self.pace.is_to_wait(error, &mut attempts.pushed) {
            self.pace.pause(&attempts.pushed).await;
        } else if attempts.doubts(error) {
            // Of a chain all but the damaged request may have been done.
            attempts.uncertain = true;
        } else {
            return false;
        }
        true
    }

    /// Makes another connection, for as long as it takes.
    async fn restore(self: Arc<Self>, before: u64) {
        let mut attempt = 0;
        loop {
            if self.line.is_over() {
                return;
            }
            let reason = match self.dial.dial().await {
                Ok(remote) => {
                    let connected = Arc::new(Connected::new(before + 1 + attempt, remote));
                    let events = connected.remote.events();
                    match self.reclaim(&connected).await {
                        Ok(()) => {
                            self.learn(&connected);
                            tracing::info!("the connection to the server is back");
                            self.line.restored(connected.clone());
                            self.listen(&connected, events);
                            self.events.send(RemoteEvent::Restored);
                            return self.reopen(&connected).await;
                        }
                        Err(error) => DialError { cause: Arc::new(error), refused: false },
                    }
                }
                Err(error) => error,
            };
            tracing::debug!(%reason, attempt, "no connection yet");
            attempt += 1;
            self.line.failed(&reason);
            self.line.pause(attempt, reason.refused).await;
        }
    }

    /// Has on a connection what the server kept of the one before, and says which leases are gone. Fails only with the
    /// connection.
    ///
    /// Nothing here waits for another client, who may be coming back as well and wait for an answer of ours.
    async fn reclaim(&self, connected: &Arc<Connected>) -> RemoteResult<()> {
        let reclaimed = |slot: Arc<Slot>| async move {
            match slot.reclaimed(connected, &self.events).await {
                Err(error) if is_loss(&error) => Err(error),
                _ => Ok(()),
            }
        };
        stream::iter(self.all().into_iter().map(reclaimed))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.finish_closing(connected).await;
        Ok(())
    }

    /// Closes what the server kept of opens that were closed while there was no connection.
    async fn finish_closing(&self, connected: &Arc<Connected>) {
        let closing = std::mem::take(&mut *self.closing.lock().unwrap_or_else(PoisonError::into_inner));
        for slot in closing {
            // Being closed it is closed at once; unless it was had again just before.
            let _ = slot.reclaimed(connected, &self.events).await;
            if let Some(Ok(handle)) = slot.there(connected) {
                let _ = connected.remote.close(handle).await;
            }
        }
    }

    /// Opens what the server has not kept, as far as no request has done so yet.
    async fn reopen(self: &Arc<Self>, connected: &Arc<Connected>) {
        // What was closed at the last moment.
        self.finish_closing(connected).await;
        let reopened = |slot: Arc<Slot>| async move {
            match slot.on(connected, &self.events).await {
                Err(error) if is_loss(&error) => self.lost(connected, &error),
                _ => {}
            }
        };
        stream::iter(self.all().into_iter().map(reopened)).buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    fn all(&self) -> Vec<Arc<Slot>> {
        self.locked_slots(|slots| slots.values().cloned().collect())
    }

    /// Passes on what the server says unasked, and notices when it will say no more.
    fn listen(self: &Arc<Self>, connected: &Arc<Connected>, events: Option<Events>) {
        let Some(mut events) = events else { return };
        let (shared, connected) = (Arc::downgrade(self), connected.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let Some(shared) = shared.upgrade() else { return };
                if matches!(event, RemoteEvent::Lost) {
                    break;
                }
                shared.events.send(event);
            }
            if let Some(shared) = shared.upgrade() {
                shared.lost(&connected, &RemoteError::Status(NtStatus::CONNECTION_DISCONNECTED));
            }
        });
    }

    /// Closes what the server keeps of an open when there is a connection again.
    fn close_later(self: &Arc<Self>, slot: Arc<Slot>) {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
        // It may have come meanwhile.
        if let Some(connected) = self.line.connected() {
            let shared = self.clone();
            tokio::spawn(async move { shared.finish_closing(&connected).await });
        }
    }

    fn locked_slots<T>(&self, work: impl FnOnce(&HashMap<u64, Arc<Slot>>) -> T) -> T {
        work(&self.slots.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn slot(&self, handle: RemoteHandle) -> RemoteResult<Arc<Slot>> {
        self.locked_slots(|slots| slots.get(&handle.0).cloned()).ok_or_else(|| NtStatus::FILE_CLOSED.into())
    }

    fn keep(&self, slot: Slot) -> RemoteHandle {
        let number = self.next_handle.fetch_add(1, Ordering::Relaxed);
        self.slots.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(slot));
        RemoteHandle(number)
    }

    fn take(&self, handle: RemoteHandle) -> Option<Arc<Slot>> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.0)
    }

    /// Does what may be repeated.
    async fn again<T, F>(self: &Arc<Self>, kind: Work, work: impl Fn(Arc<Connected>) -> F) -> RemoteResult<T>
    where
        F: Future<Output = RemoteResult<T>>,
    {
        self.settled(kind, work, |_, result| async { result }).await
    }

    /// Does what changes something; if an attempt was lost, `judge` reads the answer to the next in that light.
    async fn settled<T, F, G>(
        self: &Arc<Self>,
        kind: Work,
        work: impl Fn(Arc<Connected>) -> F,
        judge: impl Fn(Arc<Connected>, RemoteResult<T>) -> G,
    ) -> RemoteResult<T>
    where
        F: Future<Output = RemoteResult<T>>,
        G: Future<Output = RemoteResult<T>>,
    {
        let mut attempts = Attempts::default();
        loop {
            let connected = self.up(kind).await?;
            let mut result = work(connected.clone()).await;
            if attempts.uncertain && !matches!(&result, Err(error) if is_loss(error)) {
                result = judge(connected.clone(), result).await;
            }
            match result {
                Err(error) if self.tries_again(&mut attempts, &connected, &error).await => {}
                result => return result,
            }
        }
    }

    /// Does what may be repeated with an open.
    async fn with_open<T, F>(
        self: &Arc<Self>,
        handle: RemoteHandle,
        kind: Work,
        work: impl Fn(Arc<Connected>, RemoteHandle) -> F,
    ) -> RemoteResult<T>
    where
        F: Future<Output = RemoteResult<T>>,
    {
        let (mut reopenings, mut attempts) = (0, Attempts::default());
        loop {
            let slot = self.slot(handle)?;
            let connected = self.up(kind).await?;
            let inner = slot.on(&connected, &self.events).await;
            let result = match &inner {
                Ok(inner) => work(connected.clone(), *inner).await,
                Err(error) => Err(error.clone()),
            };
            match result {
                // Somebody at the server has closed it, and it was not us.
                Err(error)
                    if error.is(NtStatus::FILE_CLOSED)
                        && reopenings < REOPENINGS
                        && self.slot(handle).is_ok() =>
                {
                    reopenings += 1;
                    if let Ok(inner) = inner {
                        slot.closed_by_server(inner, &connected);
                    }
                }
                Err(error) if self.tries_again(&mut attempts, &connected, &error).await => {}
                result => return result,
            }
        }
    }
}
