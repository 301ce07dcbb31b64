//! Which code an error has.

use std::io::{self, ErrorKind};

use smb_client::{ConnectionError, Error, NtStatus, PeerIncompatible, PeerMisbehaved, SessionError};

use super::*;
use crate::cli::Usage;
use crate::connect::TREE_CONNECT;

/// The code of an error, whatever it is.
pub(crate) fn of(error: &anyhow::Error) -> &'static Code {
    error.chain().find_map(of_cause).or_else(|| code_in(&format!("{error:#}"))).unwrap_or(&FAILED)
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<&'static Code> {
    if let Some(coded) = cause.downcast_ref::<Coded>() {
        return Some(coded.code);
    }
    if cause.is::<Usage>() {
        return Some(&USAGE);
    }
    if let Some(error) = cause.downcast_ref::<Error>() {
        return Some(of_client(error));
    }
    #[cfg(target_os = "linux")]
    if let Some(error) = cause.downcast_ref::<fs_fuse::MountError>() {
        return Some(of_mount(error));
    }
    cause.downcast_ref::<io::Error>().map(of_io)
}

/// The code of what the client says.
pub(crate) fn of_client(error: &Error) -> &'static Code {
    match error {
        Error::Resolve { .. } => &NAME_UNRESOLVED,
        Error::Connect { error, .. } => match error.kind() {
            ErrorKind::ConnectionRefused => &PORT_CLOSED,
            ErrorKind::TimedOut => &PORT_SILENT,
            _ => &NETWORK_UNREACHABLE,
        },
        Error::ConnectTimeout { .. } => &PORT_SILENT,
        Error::TimedOut => &SERVER_SILENT,
        Error::Connection(error) => of_connection(error),
        Error::Session(error) => of_session(error),
        Error::Downgrade => &TAMPERED,
        Error::InvalidName(_) => &NAME_INVALID,
        Error::Malformed(_) => &PROTOCOL_BROKEN,
        Error::NotEnoughCredits | Error::TooLarge => &TOO_LARGE,
        Error::Status { status, operation: TREE_CONNECT } => of_tree_connect(*status),
        Error::Status { status, .. } => of_status(*status),
        _ => &FAILED,
    }
}

fn of_connection(error: &ConnectionError) -> &'static Code {
    match error {
        ConnectionError::TimedOut => &SERVER_SILENT,
        ConnectionError::NotConfirmed => &TAMPERED,
        ConnectionError::PeerIncompatible(PeerIncompatible::OnlySmb1) => &SMB1_ONLY,
        ConnectionError::PeerIncompatible(_) => &NO_COMMON_DIALECT,
        ConnectionError::PeerMisbehaved(PeerMisbehaved::Downgrade | PeerMisbehaved::BadSignature) => {
            &TAMPERED
        }
        ConnectionError::PeerMisbehaved(_) => &PROTOCOL_BROKEN,
        ConnectionError::Crypto(_) => &FAILED,
        _ => &CONNECTION_LOST,
    }
}

fn of_session(error: &SessionError) -> &'static Code {
    match error {
        SessionError::Connection(error) => of_connection(error),
        SessionError::EncryptionUnavailable(_) => &ENCRYPTION_UNAVAILABLE,
        SessionError::OnlyGuest => &ONLY_GUEST,
        SessionError::Refused(status) => match *status {
            NtStatus::LOGON_FAILURE | NtStatus::WRONG_PASSWORD => &LOGON_REFUSED,
            NtStatus::ACCESS_DENIED => &LOGON_DENIED,
            NtStatus::ACCOUNT_DISABLED | NtStatus::ACCOUNT_EXPIRED | NtStatus::ACCOUNT_LOCKED_OUT => {
                &ACCOUNT_BARRED
            }
            NtStatus::PASSWORD_EXPIRED | NtStatus::PASSWORD_MUST_CHANGE => &PASSWORD_EXPIRED,
            _ => &LOGON_FAILED,
        },
        _ => &LOGON_FAILED,
    }
}

fn of_tree_connect(status: NtStatus) -> &'static Code {
    match status {
        NtStatus::BAD_NETWORK_NAME => &SHARE_MISSING,
        NtStatus::ACCESS_DENIED => &SHARE_DENIED,
        _ => &SERVER_REFUSED,
    }
}

fn of_status(status: NtStatus) -> &'static Code {
    match status {
        NtStatus::BAD_NETWORK_NAME => &SHARE_MISSING,
        NtStatus::ACCESS_DENIED => &ACCESS_DENIED,
        NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND | NtStatus::NO_SUCH_FILE => {
            &NOT_FOUND
        }
        NtStatus::OBJECT_NAME_COLLISION => &ALREADY_THERE,
        NtStatus::DISK_FULL | NtStatus::QUOTA_EXCEEDED => &SHARE_FULL,
        NtStatus::FILE_IS_A_DIRECTORY | NtStatus::NOT_A_DIRECTORY => &WRONG_KIND,
        NtStatus::DIRECTORY_NOT_EMPTY => &NOT_EMPTY,
        NtStatus::SHARING_VIOLATION | NtStatus::FILE_LOCK_CONFLICT | NtStatus::CANNOT_DELETE => &IN_USE,
        NtStatus::MEDIA_WRITE_PROTECTED => &READ_ONLY,
        NtStatus::STOPPED_ON_SYMLINK
        | NtStatus::NOT_A_REPARSE_POINT
        | NtStatus::IO_REPARSE_TAG_NOT_HANDLED => &LINK_IN_THE_WAY,
        NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST => &NOT_SUPPORTED,
        _ => &SERVER_REFUSED,
    }
}

fn of_io(error: &io::Error) -> &'static Code {
    match error.kind() {
        ErrorKind::NotFound => &LOCAL_MISSING,
        ErrorKind::PermissionDenied => &LOCAL_DENIED,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => &LOCAL_FULL,
        _ => &LOCAL_FAILED,
    }
}

#[cfg(target_os = "linux")]
fn of_mount(error: &fs_fuse::MountError) -> &'static Code {
    use fs_fuse::MountError as Mount;
    match error {
        Mount::Missing(_) => &MOUNT_POINT_MISSING,
        Mount::NotADirectory(_) => &MOUNT_POINT_IS_A_FILE,
        Mount::NotWritable(_) => &MOUNT_POINT_NOT_YOURS,
        Mount::AlreadyMounted { .. } => &ALREADY_MOUNTED,
        Mount::Dead(_) => &DEAD_MOUNT,
        Mount::DeviceMissing => &FUSE_MISSING,
        Mount::DeviceDenied(_) => &FUSE_DENIED,
        Mount::HelperMissing => &FUSERMOUNT_MISSING,
        Mount::AllowOther => &ALLOW_OTHER,
        Mount::NotMounted(_) => &NOT_MOUNTED,
        Mount::Busy { .. } => &MOUNT_IN_USE,
        _ => &MOUNT_FAILED,
    }
}
