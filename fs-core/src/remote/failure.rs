//! Why the remote could not do it.

use std::error::Error;
use std::sync::Arc;

use smb_proto::NtStatus;

/// The error underneath, shared so that a [`RemoteError`] can be kept and reported twice.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why the remote could not do it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// The server said no.
    #[error("the server answered {0}")]
    Status(NtStatus),
    /// There is no connection, and it did not come back in time.
    #[error("no connection to the server")]
    Disconnected(#[source] Cause),
    /// The server did not answer in time.
    #[error("the server did not answer in time")]
    TimedOut,
    /// There is no connection at present, and who asked does not wait for one.
    #[error("the server cannot be reached: {0}")]
    Offline(Arc<str>),
    /// What was open is gone from the server, or is another file now, or its lock is somebody else's.
    #[error("the open file was lost with the connection")]
    Stale,
    /// The server sent something that SMB does not allow.
    #[error("the server broke the protocol")]
    Protocol(#[source] Cause),
}

impl RemoteError {
    /// The server's status, where it gave one.
    pub fn status(&self) -> Option<NtStatus> {
        match self {
            Self::Status(status) => Some(*status),
            _ => None,
        }
    }

    /// Whether the server gave exactly this status.
    pub fn is(&self, status: NtStatus) -> bool {
        self.status() == Some(status)
    }
}

impl From<NtStatus> for RemoteError {
    fn from(status: NtStatus) -> Self {
        Self::Status(status)
    }
}

/// What every method of [`Remote`] returns.
pub type RemoteResult<T> = Result<T, RemoteError>;
