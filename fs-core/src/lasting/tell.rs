//! What whoever uses the remote is told unasked, and that it has been heard.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::remote::RemoteEvent;

/// Who does not hear for so long is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way of events to their hearer.
#[derive(Debug)]
pub(super) struct Tell {
    events: mpsc::UnboundedSender<RemoteEvent>,
    /// Until somebody wants to hear.
    receiver: Mutex<Option<mpsc::UnboundedReceiver<RemoteEvent>>>,
    /// The marks that were set, and the last one that was heard of.
    marks: Mutex<u64>,
    heard: watch::Sender<u64>,
}

impl Default for Tell {
    fn default() -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        Self {
            events,
            receiver: Mutex::new(Some(receiver)),
            marks: Mutex::new(0),
            heard: watch::Sender::new(0),
        }
    }
}

impl Tell {
    pub(super) fn take(&self) -> Option<mpsc::UnboundedReceiver<RemoteEvent>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn send(&self, event: RemoteEvent) {
        // Nobody hears any more when all is over.
        let _ = self.events.send(event);
    }

    /// Tells, and waits until it is taken into account.
    pub(super) async fn tell(&self, event: RemoteEvent) {
        self.send(event);
        if self.receiver.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            // Nobody has wanted to hear so far.
            return;
        }
        let mut heard = self.heard.subscribe();
        let number = {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            *marks += 1;
            // In the order of their numbers.
            self.send(RemoteEvent::Mark { number: *marks });
            *marks
        };
        if tokio::time::timeout(PATIENCE, heard.wait_for(|heard| *heard >= number)).await.is_err() {
            tracing::warn!("a lost lease is not taken into account");
        }
    }

    pub(super) fn heard(&self, number: u64) {
        self.heard.send_if_modified(|heard| {
            let newer = number > *heard;
            *heard = number.max(*heard);
            newer
        });
    }
}
