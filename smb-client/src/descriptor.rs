//! Security descriptors: whose a file is and who may do what with it.

use bytes::Bytes;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::security::{SecurityDescriptor, SecurityInformation};
use smb_proto::wire::{AccessMask, CreateContext, CreateOptions, FileId, InfoType, Request, SetInfoRequest};

use crate::change::check_all;
use crate::error::Result;
use crate::file::File;
use crate::lease::PathLease;
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::{Share, close_related};

const READING: &str = "reading the security descriptor";
const WRITING: &str = "writing the security descriptor";

const fn question(parts: SecurityInformation) -> Question {
    Question { info_type: InfoType::Security, info_class: 0, additional: parts.bits(), input: Bytes::new() }
}

fn change(file_id: FileId, parts: SecurityInformation, descriptor: &SecurityDescriptor) -> Request {
    let (info_type, additional, data) = (InfoType::Security, parts.bits(), to_bytes(descriptor));
    Request::SetInfo(SetInfoRequest { info_type, info_class: 0, additional, file_id, data })
}

/// What asking for these parts takes ([MS-SMB2] 3.3.5.20.3).
fn to_read(parts: SecurityInformation) -> AccessMask {
    let audit = parts.intersects(SecurityInformation::SACL | SecurityInformation::BACKUP);
    AccessMask::READ_CONTROL | if audit { AccessMask::ACCESS_SYSTEM_SECURITY } else { AccessMask::empty() }
}

/// What setting these parts takes ([MS-SMB2] 3.3.5.21.3).
fn to_write(parts: SecurityInformation) -> AccessMask {
    let owner = SecurityInformation::OWNER | SecurityInformation::GROUP | SecurityInformation::LABEL;
    let rights = [
        (owner, AccessMask::WRITE_OWNER),
        (SecurityInformation::DACL, AccessMask::WRITE_DAC),
        (SecurityInformation::ATTRIBUTE, AccessMask::WRITE_DAC),
        (SecurityInformation::SACL | SecurityInformation::SCOPE, AccessMask::ACCESS_SYSTEM_SECURITY),
    ];
    rights.into_iter().filter(|(some, _)| parts.intersects(*some)).map(|(_, right)| right).collect()
}

fn options(access: AccessMask) -> OpenOptions {
    OpenOptions { options: CreateOptions::OPEN_REPARSE_POINT, ..OpenOptions::existing(access) }
}

/// `kAAPL_SERVER_QUERY` for the server's capabilities, from a client without any of its own, as vfs_fruit of Samba
/// reads it (libcli/smb/smb2_create_ctx.h): command, reserved, what is asked for, what the client can.
const APPLE_QUERY: [u8; 24] = {
    let mut query = [0; 24];
    query[0] = 1;
    query[8] = 1;
    query
};

impl Share {
    /// Asks for Apple's extensions, in which permissions and owners of Unix are entries of access lists
    /// ([`smb_proto::security::Sid::unix_mode`]); a server that has none does not answer. Holds for the connection.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn ask_for_apple(&self) -> Result<()> {
        let mut create = self.create_leased("", OpenOptions::attributes(), PathLease::default())?;
        if let Request::Create(body) = &mut create {
            body.contexts.push(CreateContext::Apple(Bytes::from_static(&APPLE_QUERY)));
        }
        self.chain("asking for Apple's extensions", vec![create, close_related()]).await.map(drop)
    }

    /// These parts of the security descriptor of what is at `path`. Links are not followed; these leases are not
    /// broken.
    ///
    /// # Errors
    /// The user may not see them, or the server refuses or is lost.
    pub async fn security(
        &self,
        path: &str,
        parts: SecurityInformation,
        lease: PathLease,
    ) -> Result<SecurityDescriptor> {
        Ok(from_bytes(&self.ask(READING, path, options(to_read(parts)), lease, &question(parts)).await?)?)
    }

    /// Sets these parts of the security descriptor of what is at `path`, and leaves the others as they are. Links
    /// are not followed; these leases are not broken.
    ///
    /// # Errors
    /// The user may not set them, or the server refuses or is lost.
    pub async fn set_security(
        &self,
        path: &str,
        parts: SecurityInformation,
        descriptor: &SecurityDescriptor,
        lease: PathLease,
    ) -> Result<()> {
        let create = self.create_leased(path, options(to_write(parts)), lease)?;
        let set = change(FileId::RELATED, parts, descriptor);
        check_all(WRITING, self.chain(WRITING, vec![create, set, close_related()]).await?)
    }
}

impl File {
    /// These parts of the file's security descriptor; it is open with [`AccessMask::READ_CONTROL`].
    ///
    /// # Errors
    /// As [`Share::security`].
    pub async fn security(&self, parts: SecurityInformation) -> Result<SecurityDescriptor> {
        Ok(from_bytes(&self.ask(READING, &question(parts)).await?)?)
    }

    /// Sets these parts of the file's security descriptor; it is open with [`AccessMask::WRITE_DAC`] or
    /// [`AccessMask::WRITE_OWNER`], as they need.
    ///
    /// # Errors
    /// As [`Share::set_security`].
    pub async fn set_security(
        &self,
        parts: SecurityInformation,
        descriptor: &SecurityDescriptor,
    ) -> Result<()> {
        self.share().request_one(WRITING, change(self.id(), parts, descriptor)).await.map(drop)
    }
}
