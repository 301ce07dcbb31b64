//! What a lost connection took with it: leases, and perhaps locks.

use std::sync::Arc;

use super::{Content, State};
use crate::error::FsResult;

impl Content {
    /// Whether no lock of the file is lost, or may be, as far as is known. If one is, nothing in memory may be used: it may
    /// be from after somebody else had the lock.
    pub(super) fn has_its_locks(&self, state: &State) -> bool {
        state.route.as_ref().is_none_or(|route| self.common.remote.is_sound(route.handle))
    }

    /// Waits until it is known whether the locks of the file are all there.
    ///
    /// # Errors
    /// ESTALE: one is lost.
    pub(super) async fn have_its_locks(&self) -> FsResult<()> {
        let route = self.state().route.clone();
        match route.filter(|route| !self.common.remote.is_sound(route.handle)) {
            Some(route) => Ok(self.common.remote.make_sound(route.handle).await?),
            None => Ok(()),
        }
    }

    /// The lease has ended with its connection: what comes next of it is counted anew. Others may have changed the file
    /// since, and the time of our last write is not to hide that.
    pub(crate) fn lost_lease(&self) {
        let mut state = self.state();
        state.lease.forget_epoch();
        state.touched = None;
    }

    /// Until this is dropped, what the lease that is lost protected is still kept elsewhere, and no open asks for another.
    pub(crate) fn losing(self: &Arc<Self>) -> Losing {
        self.state().losing += 1;
        Losing(self.clone())
    }

    /// Waits until nothing is kept any more of what a lost lease protected: another lease would speak for it.
    pub(crate) async fn wait_for_losses(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state().losing == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// See [`Content::losing`].
pub(crate) struct Losing(Arc<Content>);

impl Drop for Losing {
    fn drop(&mut self) {
        self.0.state().losing -= 1;
        self.0.changed.notify_waiters();
    }
}
