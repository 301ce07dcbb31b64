//! What changes in a directory, as the server tells it.

use async_trait::async_trait;

/// A change in a watched directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteChange {
    /// This entry has come, or has other attributes.
    Entry(String),
    /// This name leads elsewhere, or nowhere: it was removed, renamed or replaced.
    Name(String),
    /// More than the server kept.
    Everything,
}

/// A directory whose changes a server tells. Dropping it ends that some time; [`Self::close`] says when.
#[async_trait]
pub trait RemoteWatch: Send {
    /// Wait for changes, and take all that there are; `None` where there will be no more.
    async fn next(&mut self) -> Option<Vec<RemoteChange>>;

    /// End it: the server no longer has the directory open when this returns.
    async fn close(self: Box<Self>);
}
