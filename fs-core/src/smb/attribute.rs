//! What hangs on a file besides its data: extended attributes and the security descriptor.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::security::{SecurityDescriptor, SecurityInformation};

use super::SmbRemote;
use crate::remote::{Place, RemoteResult};

impl SmbRemote {
    pub(super) async fn extended_attributes(&self, place: &Place<'_>) -> RemoteResult<Vec<(Bytes, Bytes)>> {
        let path = self.path(place.path);
        let all = self.leases.with(place, |lease| self.share.extended_attributes(&path, lease)).await?;
        Ok(all.into_iter().map(|attribute| (attribute.name, attribute.value)).collect())
    }

    pub(super) async fn extended_attribute(
        &self,
        place: &Place<'_>,
        name: &[u8],
    ) -> RemoteResult<Option<Bytes>> {
        let path = self.path(place.path);
        Ok(self.leases.with(place, |lease| self.share.extended_attribute(&path, name, lease)).await?)
    }

    pub(super) async fn set_extended_attribute(
        &self,
        place: &Place<'_>,
        name: &[u8],
        value: &[u8],
    ) -> RemoteResult<()> {
        let path = self.path(place.path);
        let set = |lease| self.share.set_extended_attribute(&path, name, value, lease);
        Ok(self.leases.with(place, set).await?)
    }

    pub(super) async fn security_descriptor(&self, place: &Place<'_>, audit: bool) -> RemoteResult<Bytes> {
        let mut parts = SecurityInformation::OWNER | SecurityInformation::GROUP | SecurityInformation::DACL;
        parts.set(SecurityInformation::SACL, audit);
        let path = self.path(place.path);
        let descriptor = self.leases.with(place, |lease| self.share.security(&path, parts, lease)).await?;
        Ok(to_bytes(&descriptor))
    }

    pub(super) async fn set_security_descriptor(
        &self,
        place: &Place<'_>,
        descriptor: &Bytes,
        owner: bool,
    ) -> RemoteResult<()> {
        let descriptor: SecurityDescriptor =
            from_bytes(descriptor).map_err(|_| NtStatus::INVALID_PARAMETER)?;
        let mut parts = SecurityInformation::empty();
        parts.set(SecurityInformation::DACL, descriptor.dacl.is_some());
        parts.set(SecurityInformation::OWNER, owner && descriptor.owner.is_some());
        parts.set(SecurityInformation::GROUP, owner && descriptor.group.is_some());
        if parts.is_empty() {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        let path = self.path(place.path);
        let set = |lease| self.share.set_security(&path, parts, &descriptor, lease);
        Ok(self.leases.with(place, set).await?)
    }
}
