//! How much is asked for at once of a server that says it cannot keep up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smb_proto::NtStatus;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::line::jitter;
use crate::remote::RemoteError;

/// The pause after the first refusal; each doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a request is repeated: some ten seconds, after which it is not for want of a moment.
const REPEATS: u32 = 10;
/// So many requests under way are no burden to anybody: there is no limit again.
const FREE: usize = 64;

/// Reads and writes under way, and how many there may be: half as many after each refusal, and then ever more as they succeed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    limit: Option<usize>,
    /// Successes since the limit rose.
    successes: usize,
}

/// How long a server is waited for that still has to do with what came by a connection that it does not know to be lost
/// ([MS-SMB2] 3.3.5.2.10).
const CATCHES_UP: Duration = Duration::from_secs(10);

/// Why a request has not been done yet.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// How often there was no room for it.
    times: u32,
    /// Since when the server has to do with another connection, and whether that was ended for it.
    behind: Option<Instant>,
    ended: bool,
}

impl Pushed {
    /// Whether the server has to do with what came by another connection.
    pub(super) fn is_behind(&mut self, error: &RemoteError) -> bool {
        let behind = error.is(NtStatus::FILE_NOT_AVAILABLE) && !self.ended;
        if behind {
            self.behind.get_or_insert_with(Instant::now);
        }
        behind
    }

    /// Waits a moment; false if that has been done for long enough, and a new session is to end what the server has to do.
    pub(super) async fn catches_up(&mut self) -> bool {
        self.ended = self.behind.is_some_and(|since| since.elapsed() >= CATCHES_UP);
        if !self.ended {
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        !self.ended
    }
}

/// One of the requests.
pub(super) struct Turn<'a>(&'a Pace);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().under_way -= 1;
        self.0.ended.notify_one();
    }
}

/// Whether the server has no room for a request now, and may have soon.
pub(super) fn is_pushback(error: &RemoteError) -> bool {
    let Some(status) = error.status() else { return false };
    matches!(
        status,
        NtStatus::INSUFFICIENT_RESOURCES
            | NtStatus::INSUFF_SERVER_RESOURCES
            | NtStatus::NETWORK_BUSY
            | NtStatus::NO_MEMORY
    )
}

impl Pace {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more may be under way.
    pub(super) async fn turn(&self) -> Turn<'_> {
        loop {
            let ended = self.ended.notified();
            {
                let mut state = self.state();
                if state.limit.is_none_or(|limit| state.under_way < limit) {
                    state.under_way += 1;
                    return Turn(self);
                }
            }
            ended.await;
        }
    }

    /// One has been answered with what was asked for.
    pub(super) fn succeeded(&self) {
        let mut state = self.state();
        let Some(limit) = state.limit else { return };
        state.successes += 1;
        if state.successes >= limit {
            state.successes = 0;
            state.limit = Some(limit + 1).filter(|limit| *limit < FREE);
            match state.limit {
                Some(_) => self.ended.notify_one(),
                None => self.ended.notify_waiters(),
            }
        }
    }

    /// Whether a request is to be repeated after a pause.
    pub(super) fn is_to_wait(&self, error: &RemoteError, pushed: &mut Pushed) -> bool {
        if !is_pushback(error) {
            return false;
        }
        let mut state = self.state();
        if state.limit.is_none() {
            tracing::warn!(%error, "the server cannot keep up: it is asked for less at once");
        }
        state.limit = Some((state.limit.unwrap_or(FREE).min(state.under_way) / 2).max(1));
        state.successes = 0;
        pushed.times += 1;
        pushed.times <= REPEATS
    }

    /// The pause after a refusal.
    pub(super) async fn pause(&self, pushed: &Pushed) {
        let doubled = FIRST_PAUSE.saturating_mul(1 << pushed.times.min(10)).min(LONGEST_PAUSE);
        tokio::time::sleep(doubled.mul_f64(0.5 + 0.5 * jitter())).await;
    }
}
