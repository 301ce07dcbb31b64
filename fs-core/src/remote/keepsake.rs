//! What is left of an open when its connection is gone.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Whatever a [`super::Remote`] needs to have an open again on another connection. Its own affair.
#[derive(Clone)]
pub struct Keepsake(Arc<dyn Any + Send + Sync>);

impl fmt::Debug for Keepsake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keepsake").finish_non_exhaustive()
    }
}

impl Keepsake {
    /// Wraps what the remote needs.
    pub fn new(content: impl Any + Send + Sync) -> Self {
        Self(Arc::new(content))
    }

    /// What was wrapped, if it is of this type.
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}
