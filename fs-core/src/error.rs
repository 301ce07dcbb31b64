//! Errors at the edge of the filesystem, and the one table from NTSTATUS to errno.

use smb_proto::NtStatus;

use crate::remote::RemoteError;

/// Linux error numbers (the generic ones, of x86 and ARM), written out so that this crate builds anywhere.
#[allow(missing_docs, reason = "the names say it all; see errno(3)")]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const EINTR: i32 = 4;
    pub const EIO: i32 = 5;
    pub const ENXIO: i32 = 6;
    pub const E2BIG: i32 = 7;
    pub const EBADF: i32 = 9;
    pub const EAGAIN: i32 = 11;
    pub const ENOMEM: i32 = 12;
    pub const EACCES: i32 = 13;
    pub const EBUSY: i32 = 16;
    pub const EEXIST: i32 = 17;
    pub const EXDEV: i32 = 18;
    pub const ENODEV: i32 = 19;
    pub const ENOTDIR: i32 = 20;
    pub const EISDIR: i32 = 21;
    pub const EINVAL: i32 = 22;
    pub const EMFILE: i32 = 24;
    pub const EFBIG: i32 = 27;
    pub const ENOSPC: i32 = 28;
    pub const EROFS: i32 = 30;
    pub const EMLINK: i32 = 31;
    pub const ERANGE: i32 = 34;
    pub const ENAMETOOLONG: i32 = 36;
    pub const ENOTEMPTY: i32 = 39;
    pub const ELOOP: i32 = 40;
    pub const ENODATA: i32 = 61;
    pub const EREMOTE: i32 = 66;
    pub const EILSEQ: i32 = 84;
    pub const EOPNOTSUPP: i32 = 95;
    pub const ETIMEDOUT: i32 = 110;
    pub const EHOSTDOWN: i32 = 112;
    pub const ESTALE: i32 = 116;
    pub const EDQUOT: i32 = 122;
    pub const ENOMEDIUM: i32 = 123;
}

/// What an operation of the filesystem returns.
pub type FsResult<T> = Result<T, FsError>;

/// Why an operation failed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The server refused, or could not be asked.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// This side refused, without or after asking the server.
    #[error("{reason} (errno {errno})")]
    Local {
        /// The Linux error number.
        errno: i32,
        /// Why, for a log.
        reason: &'static str,
    },
}

impl FsError {
    pub(crate) const fn local(errno: i32, reason: &'static str) -> Self {
        Self::Local { errno, reason }
    }

    pub(crate) const fn stale() -> Self {
        Self::local(errno::ESTALE, "the name no longer leads to this file")
    }

    pub(crate) const fn bad_handle() -> Self {
        Self::local(errno::EBADF, "no such open file")
    }

    /// The Linux error number.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Local { errno, .. } => *errno,
            Self::Remote(RemoteError::Status(status)) => status_to_errno(*status),
            Self::Remote(RemoteError::TimedOut) => errno::ETIMEDOUT,
            Self::Remote(RemoteError::Offline(_)) => errno::EHOSTDOWN,
            Self::Remote(RemoteError::Stale) => errno::ESTALE,
            // ENOTCONN would be truer, but is how the kernel reports a FUSE mount whose process has died.
            Self::Remote(RemoteError::Disconnected(_) | RemoteError::Protocol(_)) => errno::EIO,
        }
    }

    /// The server's status, where it gave one.
    pub fn status(&self) -> Option<NtStatus> {
        match self {
            Self::Remote(error) => error.status(),
            Self::Local { .. } => None,
        }
    }

    /// The status to hand to Windows: the server's own, or the one nearest in meaning.
    pub fn to_ntstatus(&self) -> NtStatus {
        match self {
            Self::Remote(RemoteError::Status(status)) => *status,
            Self::Remote(RemoteError::TimedOut) => NtStatus::IO_TIMEOUT,
            Self::Remote(RemoteError::Stale) => NtStatus::FILE_NOT_AVAILABLE,
            Self::Remote(RemoteError::Disconnected(_) | RemoteError::Offline(_)) => {
                NtStatus::CONNECTION_DISCONNECTED
            }
            Self::Remote(RemoteError::Protocol(_)) => NtStatus::UNEXPECTED_NETWORK_ERROR,
            Self::Local { errno, .. } => TABLE
                .iter()
                .find(|(_, number)| number == errno)
                .map_or(NtStatus::UNSUCCESSFUL, |(status, _)| *status),
        }
    }
}

impl From<NtStatus> for FsError {
    fn from(status: NtStatus) -> Self {
        Self::Remote(RemoteError::Status(status))
    }
}

/// The error number for a status; EIO for what the table does not have.
pub(crate) fn status_to_errno(status: NtStatus) -> i32 {
    TABLE.iter().find(|(known, _)| *known == status).map_or(errno::EIO, |(_, number)| *number)
}

impl RemoteError {
    /// Whether the server says that there is no such object.
    pub(crate) fn is_missing(&self) -> bool {
        self.status().is_some_and(|status| status_to_errno(status) == errno::ENOENT)
    }
}

/// NTSTATUS to errno. Read backwards for [`FsError::to_ntstatus`], where the first row of a number wins.
const TABLE: &[(NtStatus, i32)] = &[
    (NtStatus::OBJECT_NAME_NOT_FOUND, errno::ENOENT),
    (NtStatus::OBJECT_PATH_NOT_FOUND, errno::ENOENT),
    (NtStatus::NO_SUCH_FILE, errno::ENOENT),
    (NtStatus::NOT_FOUND, errno::ENOENT),
    // The name is taken until the last handle closes, yet nobody can open it: to a reader it is gone.
    (NtStatus::DELETE_PENDING, errno::ENOENT),
    (NtStatus::FILE_DELETED, errno::ESTALE),
    (NtStatus::ACCESS_DENIED, errno::EACCES),
    (NtStatus::NETWORK_ACCESS_DENIED, errno::EACCES),
    (NtStatus::CANNOT_DELETE, errno::EACCES),
    (NtStatus::WRONG_PASSWORD, errno::EACCES),
    (NtStatus::PASSWORD_RESTRICTION, errno::EACCES),
    (NtStatus::LOGON_FAILURE, errno::EACCES),
    (NtStatus::ACCOUNT_RESTRICTION, errno::EACCES),
    (NtStatus::INVALID_LOGON_HOURS, errno::EACCES),
    (NtStatus::INVALID_WORKSTATION, errno::EACCES),
    (NtStatus::PASSWORD_EXPIRED, errno::EACCES),
    (NtStatus::PASSWORD_MUST_CHANGE, errno::EACCES),
    (NtStatus::ACCOUNT_DISABLED, errno::EACCES),
    (NtStatus::ACCOUNT_EXPIRED, errno::EACCES),
    (NtStatus::ACCOUNT_LOCKED_OUT, errno::EACCES),
    (NtStatus::LOGON_TYPE_NOT_GRANTED, errno::EACCES),
    (NtStatus::NO_TRUST_SAM_ACCOUNT, errno::EACCES),
    (NtStatus::TRUSTED_RELATIONSHIP_FAILURE, errno::EACCES),
    (NtStatus::PRIVILEGE_NOT_HELD, errno::EPERM),
    (NtStatus::OBJECT_NAME_COLLISION, errno::EEXIST),
    (NtStatus::DUPLICATE_NAME, errno::EEXIST),
    // Somebody else has the file open and does not share it. EACCES would blame the permissions, and ETXTBSY
    // (the kernel's client) an executable; EBUSY says to try again when the other is done.
    (NtStatus::SHARING_VIOLATION, errno::EBUSY),
    (NtStatus::NETWORK_BUSY, errno::EBUSY),
    (NtStatus::DIRECTORY_NOT_EMPTY, errno::ENOTEMPTY),
    (NtStatus::NOT_A_DIRECTORY, errno::ENOTDIR),
    (NtStatus::OBJECT_PATH_INVALID, errno::ENOTDIR),
    (NtStatus::FILE_IS_A_DIRECTORY, errno::EISDIR),
    (NtStatus::DISK_FULL, errno::ENOSPC),
    (NtStatus::QUOTA_EXCEEDED, errno::EDQUOT),
    (NtStatus::FILE_TOO_LARGE, errno::EFBIG),
    (NtStatus::MEDIA_WRITE_PROTECTED, errno::EROFS),
    // A mandatory lock is in the way; POSIX has read(2) and write(2) say EAGAIN for one.
    (NtStatus::FILE_LOCK_CONFLICT, errno::EAGAIN),
    (NtStatus::LOCK_NOT_GRANTED, errno::EAGAIN),
    (NtStatus::INVALID_PARAMETER, errno::EINVAL),
    (NtStatus::OBJECT_NAME_INVALID, errno::EINVAL),
    (NtStatus::OBJECT_PATH_SYNTAX_BAD, errno::EINVAL),
    (NtStatus::NOT_A_REPARSE_POINT, errno::EINVAL),
    (NtStatus::NOT_SAME_DEVICE, errno::EXDEV),
    (NtStatus::INVALID_HANDLE, errno::EBADF),
    (NtStatus::FILE_CLOSED, errno::EBADF),
    (NtStatus::TOO_MANY_OPENED_FILES, errno::EMFILE),
    (NtStatus::TOO_MANY_LINKS, errno::EMLINK),
    (NtStatus::NOT_SUPPORTED, errno::EOPNOTSUPP),
    (NtStatus::EAS_NOT_SUPPORTED, errno::EOPNOTSUPP),
    (NtStatus::NOT_IMPLEMENTED, errno::EOPNOTSUPP),
    (NtStatus::INVALID_DEVICE_REQUEST, errno::EOPNOTSUPP),
    (NtStatus::INVALID_INFO_CLASS, errno::EOPNOTSUPP),
    // The server is out of something. EAGAIN would make programs with blocking descriptors spin or give up
    // with nonsense.
    (NtStatus::NO_MEMORY, errno::ENOMEM),
    (NtStatus::INSUFFICIENT_RESOURCES, errno::ENOMEM),
    (NtStatus::INSUFF_SERVER_RESOURCES, errno::ENOMEM),
    (NtStatus::IO_TIMEOUT, errno::ETIMEDOUT),
    (NtStatus::CANCELLED, errno::EINTR),
    // As open(2) with O_NOFOLLOW says of a symbolic link: we do not follow those of the server.
    (NtStatus::STOPPED_ON_SYMLINK, errno::ELOOP),
    (NtStatus::PATH_NOT_COVERED, errno::EREMOTE),
    (NtStatus::NONEXISTENT_EA_ENTRY, errno::ENODATA),
    (NtStatus::EA_TOO_LARGE, errno::E2BIG),
    (NtStatus::NO_SUCH_DEVICE, errno::ENODEV),
    (NtStatus::NO_MEDIA_IN_DEVICE, errno::ENOMEDIUM),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn important_statuses_have_their_error_number() {
        for (status, number) in [
            (NtStatus::OBJECT_NAME_NOT_FOUND, 2),
            (NtStatus::OBJECT_PATH_NOT_FOUND, 2),
            (NtStatus::DELETE_PENDING, 2),
            (NtStatus::ACCESS_DENIED, 13),
            (NtStatus::NETWORK_ACCESS_DENIED, 13),
            (NtStatus::CANNOT_DELETE, 13),
            (NtStatus::LOGON_FAILURE, 13),
            (NtStatus::OBJECT_NAME_COLLISION, 17),
            (NtStatus::SHARING_VIOLATION, 16),
            (NtStatus::DIRECTORY_NOT_EMPTY, 39),
            (NtStatus::NOT_A_DIRECTORY, 20),
            (NtStatus::FILE_IS_A_DIRECTORY, 21),
            (NtStatus::DISK_FULL, 28),
            (NtStatus::QUOTA_EXCEEDED, 122),
            (NtStatus::FILE_TOO_LARGE, 27),
            (NtStatus::MEDIA_WRITE_PROTECTED, 30),
            (NtStatus::FILE_LOCK_CONFLICT, 11),
            (NtStatus::LOCK_NOT_GRANTED, 11),
            (NtStatus::OBJECT_NAME_INVALID, 22),
            (NtStatus::NOT_SAME_DEVICE, 18),
            (NtStatus::FILE_CLOSED, 9),
            (NtStatus::INVALID_HANDLE, 9),
            (NtStatus::NOT_SUPPORTED, 95),
            (NtStatus::INVALID_DEVICE_REQUEST, 95),
            (NtStatus::INSUFFICIENT_RESOURCES, 12),
            (NtStatus::TOO_MANY_OPENED_FILES, 24),
            (NtStatus::STOPPED_ON_SYMLINK, 40),
            (NtStatus::IO_TIMEOUT, 110),
            (NtStatus::INTERNAL_ERROR, 5),
            (NtStatus(0xC123_4567), 5),
        ] {
            assert_eq!(FsError::from(status).errno(), number, "{status}");
        }
    }

    #[test]
    fn no_status_is_listed_twice() {
        for (i, (status, _)) in TABLE.iter().enumerate() {
            assert!(!TABLE[..i].iter().any(|(s, _)| s == status), "{status}");
        }
    }

    #[test]
    fn a_lost_connection_does_not_look_like_a_dead_mount() {
        let lost = FsError::Remote(RemoteError::Disconnected(Arc::new(std::io::Error::other("reset"))));
        assert_eq!((lost.errno(), lost.to_ntstatus()), (errno::EIO, NtStatus::CONNECTION_DISCONNECTED));
        assert_eq!(FsError::Remote(RemoteError::TimedOut).errno(), errno::ETIMEDOUT);
    }

    #[test]
    fn local_errors_have_a_status_too() {
        assert_eq!(FsError::local(errno::ENOENT, "").to_ntstatus(), NtStatus::OBJECT_NAME_NOT_FOUND);
        assert_eq!(FsError::local(errno::EROFS, "").to_ntstatus(), NtStatus::MEDIA_WRITE_PROTECTED);
        assert_eq!(FsError::local(errno::EILSEQ, "").to_ntstatus(), NtStatus::UNSUCCESSFUL);
    }
}
