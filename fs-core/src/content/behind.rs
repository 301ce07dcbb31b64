//! Write-behind: what was taken into memory goes to the server.

use std::sync::Arc;

use smb_proto::NtStatus;

use super::extents::Outgoing;
use super::opens::handle_gone;
use super::{Content, State};
use crate::error::{FsError, FsResult, errno};
use crate::remote::RemoteError;

/// The least that a file's end may be sent in, unless there is no more: requests of this size are worth their cost.
pub(super) const PIECE: usize = 1 << 20;
/// Writes under way at once for one file.
const WRITES_AT_ONCE: usize = 8;

impl Content {
    /// The largest request.
    pub(super) fn piece(&self) -> usize {
        (self.common.remote.limits().max_write.max(1) as usize).min(PIECE)
    }

    /// Sends what is ready: whole pieces, or all.
    pub(super) fn pump(self: &Arc<Self>, state: &mut State, all: bool) {
        let piece = self.piece();
        while state.extents.under_way() < WRITES_AT_ONCE {
            let Some(outgoing) = state.extents.take(piece, all) else { return };
            let content = self.clone();
            tokio::spawn(async move { content.send(outgoing).await });
        }
    }

    /// Sends all that is dirty, without waiting.
    pub(crate) fn push_all(self: &Arc<Self>) {
        let mut state = self.state();
        self.pump(&mut state, true);
    }

    async fn send(self: Arc<Self>, outgoing: Outgoing) {
        let sending = Sending { content: &self, outgoing: Some(outgoing) };
        let result = sending.write().await;
        sending.answered(result);
    }

    pub(super) async fn write_later(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.common.flush_after).await;
            let mut state = self.state();
            self.pump(&mut state, true);
            if state.extents.unsent() == 0 {
                state.timer = false;
                return;
            }
        }
    }

    /// Waits until all that was written is on the server, or refused by it: then [`Self::take_error`] has the reason.
    pub(crate) async fn drain(self: &Arc<Self>) {
        let _draining = Draining::begin(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.state();
                self.pump(&mut state, true);
                if state.extents.held().dirty == 0 && state.extents.under_way() == 0 {
                    return;
                }
            }
            changed.await;
        }
    }
}

/// One write under way. Dropped without an answer, as by a panic, it counts as refused.
struct Sending<'a> {
    content: &'a Arc<Content>,
    outgoing: Option<Outgoing>,
}

impl Sending<'_> {
    /// Through any open that may write.
    async fn write(&self) -> FsResult<()> {
        let Some(Outgoing { offset, data, .. }) = &self.outgoing else { return Ok(()) };
        for backing in self.content.backings(true) {
            let closed = backing.closed.read().await;
            if *closed {
                continue;
            }
            let answer = self.content.common.remote.write(backing.handle, *offset, data.clone()).await;
            if !handle_gone(&answer) {
                return Ok(answer?);
            }
        }
        Err(FsError::from(RemoteError::Status(NtStatus::FILE_CLOSED)))
    }

    fn answered(mut self, result: FsResult<()>) {
        if let Some(outgoing) = self.outgoing.take() {
            self.settle(&outgoing, result);
        }
    }

    fn settle(&self, outgoing: &Outgoing, result: FsResult<()>) {
        let content = self.content;
        let mut lost = None;
        let kept = {
            let mut state = content.state();
            let clean = state.extents.answered(outgoing.ticket, result.is_ok());
            if let Err(error) = result {
                let len = outgoing.data.len();
                tracing::debug!(ino = content.ino.0, offset = outgoing.offset, len, %error, "written data is lost");
                lost = state.failures.add(error.clone()).then_some(error);
            }
            content.account(&mut state);
            let all = state.draining > 0 || content.common.budget.is_short();
            content.pump(&mut state, all);
            if content.caching_of(&state).read {
                clean
            } else {
                state.extents.drop_clean();
                content.account(&mut state);
                Vec::new()
            }
        };
        content.changed.notify_waiters();
        content.common.budget.keep(content, &kept);
        if let (Some(error), Some(losses)) = (lost, content.common.losses.get()) {
            losses(content.ino, &error);
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        if let Some(outgoing) = self.outgoing.take() {
            self.settle(&outgoing, Err(FsError::local(errno::EIO, "a write was given up")));
        }
    }
}

/// Somebody waits for all to be written.
struct Draining<'a>(&'a Content);

impl<'a> Draining<'a> {
    fn begin(content: &'a Content) -> Self {
        content.state().draining += 1;
        Self(content)
    }
}

impl Drop for Draining<'_> {
    fn drop(&mut self) {
        self.0.state().draining -= 1;
    }
}
