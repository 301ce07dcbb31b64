//! The words of `smb-client` and those of the [`crate::Remote`].

use std::sync::Arc;

use smb_client::{AccessMask, CreateDisposition, CreateOptions, Error, Metadata, OpenOptions, SetAttributes};
use smb_proto::NtStatus;
use smb_proto::fscc::FileAttributes;

use super::special;
use crate::remote::{Disposition, FileKind, OpenHow, RemoteAttr, RemoteError, SetAttr};

impl From<Error> for RemoteError {
    fn from(error: Error) -> Self {
        if let Some(status) = error.status() {
            return Self::Status(status);
        }
        match error {
            Error::InvalidName(_) => Self::Status(NtStatus::OBJECT_NAME_INVALID),
            Error::NotEnoughCredits => Self::Status(NtStatus::INSUFFICIENT_RESOURCES),
            Error::Malformed(_) => Self::Protocol(Arc::new(error)),
            Error::TimedOut => Self::TimedOut,
            error => Self::Disconnected(Arc::new(error)),
        }
    }
}

pub(super) fn attr(metadata: &Metadata) -> RemoteAttr {
    RemoteAttr {
        file_id: metadata.file_id,
        kind: kind(metadata),
        size: metadata.size,
        allocated: metadata.allocated,
        created: metadata.created,
        accessed: metadata.accessed,
        written: metadata.written,
        changed: metadata.changed,
        attributes: metadata.attributes,
        links: metadata.links,
        device: None,
        posix: None,
    }
}

/// Reparse points that a server resolves itself (deduplication, cloud tiers) are plain files.
pub(super) fn kind(metadata: &Metadata) -> FileKind {
    if metadata.attributes.contains(FileAttributes::REPARSE_POINT)
        && let Some(kind) = special::kind_of_tag(metadata.reparse_tag)
    {
        return kind;
    }
    if metadata.is_dir() { FileKind::Directory } else { FileKind::File }
}

pub(super) fn changes(change: &SetAttr) -> SetAttributes {
    SetAttributes::default()
        .created(change.created)
        .accessed(change.accessed)
        .written(change.written)
        .attributes(change.attributes)
}

pub(super) fn open_options(how: &OpenHow) -> OpenOptions {
    let mut access = AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
    if how.access.read {
        access |= AccessMask::READ_DATA;
    }
    if how.access.write {
        access |= AccessMask::WRITE_DATA | AccessMask::APPEND_DATA | AccessMask::WRITE_ATTRIBUTES;
    }
    let mut options = match how.kind {
        Some(FileKind::Directory) => CreateOptions::DIRECTORY_FILE,
        Some(_) => CreateOptions::NON_DIRECTORY_FILE,
        None => CreateOptions::empty(),
    };
    if how.write_through {
        options |= CreateOptions::WRITE_THROUGH;
    }
    let attributes = if how.new_read_only { FileAttributes::READONLY } else { FileAttributes::NORMAL };
    let disposition = match how.disposition {
        Disposition::Open => CreateDisposition::Open,
        Disposition::Create => CreateDisposition::Create,
        Disposition::OpenOrCreate => CreateDisposition::OpenIf,
    };
    let opened = OpenOptions::existing(access).options(options).disposition(disposition);
    opened.attributes_of_new(attributes).posix(how.new_mode)
}
