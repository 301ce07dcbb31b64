//! The one error of this crate.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use smb_proto::NtStatus;
use smb_proto::auth::AuthError;
use smb_proto::conn::{ConnectionError, RequestError, SessionError};
use smb_proto::wire::DecodeError;

use crate::names::InvalidName;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something failed. Where a server answered, its NTSTATUS is kept: see [`Error::status`].
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's address took no connection.
    #[error("cannot connect to {address}: {error}")]
    Connect {
        /// Host and port.
        address: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// The server did not take the connection in time.
    #[error("cannot connect to {address}: no answer within {} s", after.as_secs())]
    ConnectTimeout {
        /// Host and port.
        address: String,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke; a request under way may or may not have been carried out.
    #[error("the connection is lost: {0}")]
    Connection(ConnectionError),
    /// The session that was to take another's place is protected less: see [`crate::ConnectOptions::resuming`].
    #[error("the server offers less protection than before: an older dialect, a weaker cipher, or none")]
    Downgrade,
    /// A name that cannot stand in a path.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// The server's answer makes no sense.
    #[error("the server's answer cannot be used: {0}")]
    Malformed(&'static str),
    /// The server grants too few credits for the request.
    #[error("the server grants too few credits for a request of this size")]
    NotEnoughCredits,
    /// It could not be found out how to connect.
    #[error("cannot connect: {0}")]
    Options(String),
    /// The server's name has no address.
    #[error("cannot find the address of {host}: {error}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        error: Arc<io::Error>,
    },
    /// A blocking client could not start its thread.
    #[error("cannot start a thread: {0}")]
    Runtime(Arc<io::Error>),
    /// The login failed.
    #[error("cannot log in: {0}")]
    Session(#[from] SessionError),
    /// The server refused an operation.
    #[error("{operation} failed: {status}")]
    Status {
        /// What was asked.
        operation: &'static str,
        /// What the server said.
        status: NtStatus,
    },
    /// More data than fits one request.
    #[error("the data is too large for one request")]
    TooLarge,
    /// No answer to a request in time.
    #[error("the server did not answer in time")]
    TimedOut,
}

impl Error {
    /// What the server said, if it is the server who refused.
    pub const fn status(&self) -> Option<NtStatus> {
        match self {
            Self::Status { status, .. } | Self::Session(SessionError::Refused(status)) => Some(*status),
            _ => None,
        }
    }

    /// Whether another connection might do better.
    pub const fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Connect { .. }
                | Self::ConnectTimeout { .. }
                | Self::Connection(_)
                | Self::Resolve { .. }
                | Self::TimedOut
        )
    }

    pub(crate) const fn refused(operation: &'static str, status: NtStatus) -> Self {
        Self::Status { operation, status }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        use io::ErrorKind;
        let kind = match &error {
            Error::Connect { error, .. } | Error::Resolve { error, .. } | Error::Runtime(error) => {
                error.kind()
            }
            Error::ConnectTimeout { .. } | Error::TimedOut => ErrorKind::TimedOut,
            Error::Connection(_) => ErrorKind::ConnectionAborted,
            Error::InvalidName(_) | Error::TooLarge => ErrorKind::InvalidInput,
            Error::Malformed(_) => ErrorKind::InvalidData,
            _ => match error.status() {
                Some(
                    NtStatus::OBJECT_NAME_NOT_FOUND
                    | NtStatus::OBJECT_PATH_NOT_FOUND
                    | NtStatus::NO_SUCH_FILE,
                ) => ErrorKind::NotFound,
                Some(NtStatus::OBJECT_NAME_COLLISION) => ErrorKind::AlreadyExists,
                Some(NtStatus::ACCESS_DENIED | NtStatus::LOGON_FAILURE) => ErrorKind::PermissionDenied,
                Some(NtStatus::DISK_FULL) => ErrorKind::StorageFull,
                Some(NtStatus::DIRECTORY_NOT_EMPTY) => ErrorKind::DirectoryNotEmpty,
                Some(NtStatus::FILE_IS_A_DIRECTORY) => ErrorKind::IsADirectory,
                Some(NtStatus::NOT_A_DIRECTORY) => ErrorKind::NotADirectory,
                Some(NtStatus::SHARING_VIOLATION | NtStatus::FILE_LOCK_CONFLICT) => ErrorKind::ResourceBusy,
                Some(NtStatus::INVALID_PARAMETER) => ErrorKind::InvalidInput,
                Some(NtStatus::NOT_SUPPORTED) => ErrorKind::Unsupported,
                _ => ErrorKind::Other,
            },
        };
        Self::new(kind, error)
    }
}

impl From<RequestError> for Error {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Connection(error) => Self::Connection(error),
            RequestError::Malformed(_) => Self::Malformed("the reply cannot be read"),
            RequestError::NotEnoughCredits => Self::NotEnoughCredits,
            RequestError::UnknownSession => Self::Connection(ConnectionError::Closed),
            _ => Self::TimedOut,
        }
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl From<DecodeError> for Error {
    fn from(_: DecodeError) -> Self {
        Self::Malformed("the information cannot be read")
    }
}

impl From<AuthError> for Error {
    fn from(error: AuthError) -> Self {
        Self::Session(error.into())
    }
}
