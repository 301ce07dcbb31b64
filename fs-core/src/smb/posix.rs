//! The SMB3 POSIX extensions: permissions and owners that the server keeps.

use smb_client::security::UnixId;
use smb_client::{AccessMask, File, PosixEntry, PosixMetadata};
use smb_proto::security::{Ace, AceFlags, Acl, SecurityDescriptor, SecurityInformation, Sid};

use super::SmbRemote;
use crate::remote::{Place, Posix, RemoteAttr, RemoteEntry, RemoteResult, SetPosix};

/// The permissions in a mode.
const PERMISSIONS: u32 = 0o7777;

fn user(sid: &Sid) -> Option<u32> {
    match sid.to_unix() {
        Some(UnixId::User(number)) => Some(number),
        _ => None,
    }
}

fn group(sid: &Sid) -> Option<u32> {
    match sid.to_unix() {
        Some(UnixId::Group(number)) => Some(number),
        _ => None,
    }
}

pub(super) fn attr(said: &PosixMetadata) -> RemoteAttr {
    RemoteAttr {
        posix: Some(Posix { mode: said.mode & PERMISSIONS, uid: user(&said.owner), gid: group(&said.group) }),
        ..super::attr(&said.metadata)
    }
}

pub(super) fn entries(entries: Vec<PosixEntry>) -> Vec<RemoteEntry> {
    entries.into_iter().map(|entry| RemoteEntry { attr: attr(&entry.metadata), name: entry.name }).collect()
}

impl SmbRemote {
    /// All that the server says of a path of the share.
    pub(super) async fn look(&self, path: &str) -> RemoteResult<RemoteAttr> {
        let attr = if self.posix {
            attr(&self.share.posix_metadata(path).await?)
        } else {
            super::attr(&self.share.metadata(path).await?)
        };
        Ok(self.complete(path, attr).await)
    }

    /// What the answer to an open does not say, where nothing can be known of it from before.
    pub(super) async fn posix_of_open(&self, file: &File, created: bool) -> Option<Posix> {
        if !self.posix || !created {
            return None;
        }
        let mode = file.posix_mode()?;
        match file.posix_metadata().await {
            Ok(said) => attr(&said).posix,
            Err(_) => Some(Posix { mode: mode & PERMISSIONS, uid: None, gid: None }),
        }
    }

    pub(super) async fn change_posix(
        &self,
        place: &Place<'_>,
        change: &SetPosix,
    ) -> RemoteResult<RemoteAttr> {
        let path = self.path(place.path);
        let mut descriptor = SecurityDescriptor {
            owner: change.uid.map(Sid::unix_user),
            group: change.gid.map(Sid::unix_group),
            ..SecurityDescriptor::default()
        };
        let mut parts = SecurityInformation::empty();
        parts.set(SecurityInformation::OWNER, change.uid.is_some());
        parts.set(SecurityInformation::GROUP, change.gid.is_some());
        if !parts.is_empty() {
            let set = |lease| self.share.set_security(&path, parts, &descriptor, lease);
            self.leases.with(place, set).await?;
        }
        if let Some(mode) = change.mode {
            // An entry that allows nothing to nobody carries the mode in its identifier: so the extensions have it.
            let entry =
                Ace::allow(Sid::unix_mode(mode & PERMISSIONS), AccessMask::empty(), AceFlags::empty());
            descriptor = SecurityDescriptor { dacl: Some(Acl::new(vec![entry])), ..Default::default() };
            let set = |lease| self.share.set_security(&path, SecurityInformation::DACL, &descriptor, lease);
            self.leases.with(place, set).await?;
        }
        self.look(&path).await
    }
}
