//! A file in use that no lease protects: whether others have changed what is read of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::opens::Backing;
use super::{Content, Fingerprint};
use crate::remote::RemoteAttr;

impl Content {
    /// Whether the attributes show a change by somebody else; then what was read is forgotten. For what no lease
    /// protects. What others have of the file is for the caller to see to.
    pub(crate) fn compare(&self, attr: &RemoteAttr) -> bool {
        let mut state = self.state();
        if state.lease.caching().read || state.extents.held().dirty > 0 || state.touched.is_some() {
            return false;
        }
        let now = Fingerprint::from(attr);
        let changed = state.known != Some(now);
        state.known = Some(now);
        if changed {
            if state.size.is_some() {
                state.size = Some(attr.size);
            }
            self.forget_clean(&mut state);
        }
        changed
    }

    /// An open of a file that others may have from before, and that no lease protects any more.
    pub(crate) fn exposed(&self) -> Option<Arc<Backing>> {
        let state = self.state();
        let backing = state.opens.in_use(&*self.common.remote)?;
        (state.was_leased && !self.caching_of(&state).read).then_some(backing)
    }

    /// Forgets what was read, if it has been believed for so long without a lease and without being sure: a change within
    /// the file is only seen by its time, which a server may show late. What others have of the file is for the caller to
    /// see to.
    pub(crate) fn doubt(&self, patience: Duration) -> bool {
        let mut state = self.state();
        if state.lease.caching().read {
            state.trusted_since = None;
            return false;
        }
        let now = Instant::now();
        let since = *state.trusted_since.get_or_insert(now);
        let doubtful = now.duration_since(since) >= patience;
        if doubtful {
            state.trusted_since = Some(now);
            self.forget_clean(&mut state);
        }
        doubtful
    }
}
