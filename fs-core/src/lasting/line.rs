//! The line to the server: up, down, or over.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::{DialError, LineState};
use crate::remote::{Remote, RemoteError, RemoteResult};

/// The pause after the first failure; each doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer, as long as nobody answers.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The same where the server says no: every attempt may count against the account.
const LONGEST_REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// A connection, and which one it is.
pub(super) struct Connected {
    pub(super) generation: u64,
    pub(super) remote: Arc<dyn Remote>,
}

impl Connected {
    pub(super) fn new(generation: u64, remote: Arc<dyn Remote>) -> Self {
        Self { generation, remote }
    }
}

pub(super) struct Line {
    now: Mutex<Option<Arc<Connected>>>,
    state: watch::Sender<LineState>,
    over: AtomicBool,
    hurry: Notify,
}

impl Line {
    pub(super) fn new(connected: Arc<Connected>) -> Self {
        Self::with(Some(connected), LineState::Up)
    }

    /// There has been no connection yet.
    pub(super) fn down() -> Self {
        let reason = "connecting for the first time".into();
        Self::with(None, LineState::Down { since: Instant::now(), reason, refused: false })
    }

    fn with(now: Option<Arc<Connected>>, state: LineState) -> Self {
        Self {
            now: Mutex::new(now),
            state: watch::Sender::new(state),
            over: AtomicBool::new(false),
            hurry: Notify::new(),
        }
    }

    fn now(&self) -> MutexGuard<'_, Option<Arc<Connected>>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn connected(&self) -> Option<Arc<Connected>> {
        self.now().clone()
    }

    pub(super) fn state(&self) -> LineState {
        self.state.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<LineState> {
        self.state.subscribe()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// This connection is lost; false if that was known.
    pub(super) fn lost(&self, generation: u64, error: &RemoteError) -> bool {
        let mut now = self.now();
        if now.as_ref().is_none_or(|connected| connected.generation != generation) {
            return false;
        }
        *now = None;
        if self.is_over() {
            self.state.send_replace(LineState::Over);
            return false;
        }
        self.state.send_replace(LineState::Down {
            since: Instant::now(),
            reason: described(error),
            refused: false,
        });
        true
    }

    /// An attempt to get another one has failed.
    pub(super) fn failed(&self, error: &DialError) {
        self.state.send_if_modified(|state| match state {
            LineState::Down { reason, refused, .. } => {
                (*reason, *refused) = (described(error), error.refused);
                true
            }
            _ => false,
        });
    }

    pub(super) fn restored(&self, connected: Arc<Connected>) {
        let mut now = self.now();
        if self.is_over() {
            return;
        }
        *now = Some(connected);
        self.state.send_replace(LineState::Up);
    }

    /// There will be no other, and what waits for an answer by this one waits no longer.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::Release);
        let now = self.now().clone();
        match now {
            Some(connected) => connected.remote.abandon(),
            None => drop(self.state.send_replace(LineState::Over)),
        }
        self.hurry.notify_waiters();
    }

    /// No pause any more.
    pub(super) fn hurry(&self) {
        self.hurry.notify_waiters();
    }

    /// Waits a while before the next attempt, never for the same time as other clients of the server.
    pub(super) async fn pause(&self, attempt: u64, refused: bool) {
        let longest = if refused { LONGEST_REFUSED_PAUSE } else { LONGEST_PAUSE };
        let doubled = FIRST_PAUSE.saturating_mul(1 << attempt.min(16)).min(longest);
        let pause = doubled.mul_f64(0.5 + 0.5 * jitter());
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.hurry.notified() => {}
        }
    }

    /// Waits for a connection, until the time that `deadline` makes of when the last one was lost.
    pub(super) async fn wait(
        &self,
        deadline: impl Fn(Instant) -> Option<Instant>,
    ) -> RemoteResult<Arc<Connected>> {
        let mut state = self.watch();
        loop {
            if let Some(connected) = self.connected() {
                return Ok(connected);
            }
            let (until, reason) = match &*state.borrow_and_update() {
                LineState::Up => continue,
                LineState::Over => return Err(offline("unmounting")),
                LineState::Down { since, reason, .. } => (deadline(*since), reason.clone()),
            };
            let Some(until) = until else {
                let _ = state.changed().await;
                continue;
            };
            if tokio::time::timeout_at(until, state.changed()).await.is_err() {
                return Err(offline(&reason));
            }
        }
    }
}

fn offline(reason: &str) -> RemoteError {
    RemoteError::Offline(reason.into())
}

/// An error with its causes, in one line.
fn described(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Between 0 and 1; not for cryptography.
pub(super) fn jitter() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}
