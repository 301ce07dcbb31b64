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
        posix: Some(Posix {
            mode: Some(said.mode & PERMISSIONS),
            uid: user(&said.owner),
            gid: group(&said.group),
        }),
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
        let attr = self.with_sids(path, attr).await;
        self.whole(self.complete(path, attr).await)
    }

    /// What the answer to an open does not say, where nothing can be known of it from before.
    pub(super) async fn posix_of_open(&self, file: &File, created: bool) -> Option<RemoteAttr> {
        if !self.posix || !created || file.posix_mode().is_none() {
            return None;
        }
        file.posix_metadata().await.ok().map(|said| attr(&said))
    }

    /// How many files there can be, and can be still, where the server says it.
    pub(super) async fn nodes(&self) -> Option<(u64, u64)> {
        if !self.posix {
            return None;
        }
        let space = self.share.posix_space().await.ok()?;
        // All ones are a server's way to say that it cannot tell.
        (space.total_nodes != u64::MAX).then_some((space.total_nodes, space.free_nodes))
    }

    pub(super) async fn change_posix(
        &self,
        place: &Place<'_>,
        change: &SetPosix,
    ) -> RemoteResult<RemoteAttr> {
        let path = self.path(place.path);
        if !self.posix {
            self.change_sids(place, change).await?;
            return self.look(&path).await;
        }
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
