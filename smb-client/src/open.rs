//! How a file is opened.

use smb_proto::fscc::{FileAttributes, FileTime};
use smb_proto::wire::{
    AccessMask, CreateContext, CreateDisposition, CreateOptions, CreateRequest, Request, ShareAccess,
};

use crate::durable::{Durability, DurableRequest};
use crate::lease::{LeaseRequest, Leasing};
use crate::names::{InvalidName, path_to_wire, posix_path_to_wire};

/// What a connection has to open files with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Means {
    pub(crate) leasing: Leasing,
    pub(crate) posix: bool,
    pub(crate) durability: Durability,
}

/// How a file is opened; the fields are those of [MS-SMB2] 2.2.13.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// What the opener wants to do.
    pub access: AccessMask,
    /// What others may do meanwhile.
    pub share_access: ShareAccess,
    /// What to do where the file exists, or does not.
    pub disposition: CreateDisposition,
    /// Directory or not, write-through, and so on.
    pub options: CreateOptions,
    /// Attributes of a new file.
    pub attributes: FileAttributes,
    /// What to keep of the file without asking again; [`crate::File::lease`] says what came of it. Servers without
    /// leases are asked for an oplock, which allows as much or less.
    pub lease: Option<LeaseRequest>,
    /// Open the state of that time instead of the present one, to read only: see [`crate::Share::snapshots`].
    pub snapshot: Option<FileTime>,
    /// Open with the semantics of POSIX and, where the file is new, these permissions: names differ by case, and what
    /// is open can be removed and replaced. Left out where [`crate::ConnectOptions::posix`] does not offer the SMB3
    /// POSIX extensions or the server has none: [`crate::File::posix_mode`] says what came of it.
    pub posix: Option<u32>,
    /// Have the server keep the open if the connection breaks; [`crate::File::durable`] says what came of it.
    pub durable: Option<DurableRequest>,
}

impl OpenOptions {
    /// Open what exists, with this access; others may do everything.
    pub fn existing(access: AccessMask) -> Self {
        Self {
            access,
            share_access: ShareAccess::READ | ShareAccess::WRITE | ShareAccess::DELETE,
            disposition: CreateDisposition::Open,
            options: CreateOptions::empty(),
            attributes: FileAttributes::empty(),
            lease: None,
            snapshot: None,
            posix: None,
            durable: None,
        }
    }

    /// Read an existing file.
    pub fn read() -> Self {
        let access = AccessMask::READ_DATA | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
        Self { options: CreateOptions::NON_DIRECTORY_FILE, ..Self::existing(access) }
    }

    /// Read and write; create the file where there is none.
    pub fn write() -> Self {
        let access = AccessMask::READ_DATA
            | AccessMask::WRITE_DATA
            | AccessMask::APPEND_DATA
            | AccessMask::READ_ATTRIBUTES
            | AccessMask::WRITE_ATTRIBUTES
            | AccessMask::SYNCHRONIZE;
        Self {
            disposition: CreateDisposition::OpenIf,
            options: CreateOptions::NON_DIRECTORY_FILE,
            attributes: FileAttributes::NORMAL,
            ..Self::existing(access)
        }
    }

    /// Look at what is there, file, directory or link, without following it.
    pub fn attributes() -> Self {
        let access = AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
        Self { options: CreateOptions::OPEN_REPARSE_POINT, ..Self::existing(access) }
    }

    /// List an existing directory.
    pub fn list() -> Self {
        let access = AccessMask::READ_DATA | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
        Self { options: CreateOptions::DIRECTORY_FILE, ..Self::existing(access) }
    }

    /// The same with this access besides.
    pub fn access(self, access: AccessMask) -> Self {
        Self { access: self.access | access, ..self }
    }

    /// The same; others may do this and no more meanwhile.
    pub fn share_access(self, share_access: ShareAccess) -> Self {
        Self { share_access, ..self }
    }

    /// The same with another disposition.
    pub fn disposition(self, disposition: CreateDisposition) -> Self {
        Self { disposition, ..self }
    }

    /// The same with these options besides.
    pub fn options(self, options: CreateOptions) -> Self {
        Self { options: self.options | options, ..self }
    }

    /// The same; a new file gets these attributes.
    pub fn attributes_of_new(self, attributes: FileAttributes) -> Self {
        Self { attributes, ..self }
    }

    /// The same with this lease.
    pub fn lease(self, lease: LeaseRequest) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// The same as it was at that time.
    pub fn snapshot(self, snapshot: FileTime) -> Self {
        Self { snapshot: Some(snapshot), ..self }
    }

    /// The same with the semantics of POSIX; a new file gets these permissions.
    pub fn posix(self, mode: u32) -> Self {
        Self { posix: Some(mode), ..self }
    }

    /// The same, to be kept by the server if the connection breaks.
    pub fn durable(self, request: DurableRequest) -> Self {
        Self { durable: Some(request), ..self }
    }

    /// The request that opens `path` on a connection with these means; `available` as [`Durability::ask`] has it.
    pub(crate) fn create(&self, path: &str, means: Means, available: bool) -> Result<Request, InvalidName> {
        let posix = self.posix.is_some() && means.posix;
        let name = if posix { posix_path_to_wire(path)? } else { path_to_wire(path)? };
        Ok(self.create_wire(name, means, available))
    }

    /// The same for a name as it goes to the server.
    pub(crate) fn create_wire(&self, name: String, means: Means, available: bool) -> Request {
        let (oplock, lease) = means.leasing.ask(self.lease, self.options);
        let snapshot = self.snapshot.map(CreateContext::TimeWarp);
        let durable = self.durable.map(|request| means.durability.ask(request, available));
        let posix = self.posix.filter(|_| means.posix).map(|mode| CreateContext::PosixRequest { mode });
        Request::Create(CreateRequest {
            oplock,
            impersonation: 2,
            access: self.access,
            attributes: self.attributes,
            share_access: self.share_access,
            disposition: self.disposition,
            options: self.options,
            name,
            contexts: lease.into_iter().chain(durable).chain(snapshot).chain(posix).collect(),
        })
    }
}
