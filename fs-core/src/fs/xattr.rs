//! Extended attributes, and what is shown as such: DOS attributes, creation time, the security descriptor.

use bytes::Bytes;
use smb_proto::fscc::{FileAttributes, FileTime, from_bytes};
use smb_proto::security::SecurityDescriptor;

use super::Filesystem;
use crate::error::{FsError, FsResult, errno};
use crate::inode::Ino;
use crate::name::RemotePath;
use crate::remote::{RemoteResult, SetAttr};

/// What programs' own attributes begin with; the server has them without.
const USER: &str = "user.";
/// What the names of a file's streams begin with.
const STREAM: &str = "user.smb.stream.";
/// Longest name, and longest value in bytes, that Linux has for attributes.
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: u32 = 65_536;
/// The DOS attributes as the kernel's client shows them: 32 bits, the lowest byte first.
const DOS_ATTRIBUTES: &str = "user.cifs.dosattrib";
/// The creation time as the kernel's client shows it: 64 bits, hundreds of nanoseconds since 1601.
const CREATION_TIME: &str = "user.cifs.creationtime";
/// The security descriptor without owner (set) and list of what is logged: as the kernel's client shows it.
const ACL: &str = "system.cifs_acl";
/// The same with the owner when set.
const DESCRIPTOR: &str = "system.cifs_ntsd";
/// The same with the list of what is logged.
const FULL_DESCRIPTOR: &str = "system.cifs_ntsd_full";
/// Names for the same that the kernel's client has for SMB 3.
const ACL_3: &str = "system.smb3_acl";
const DESCRIPTOR_3: &str = "system.smb3_ntsd";
const FULL_DESCRIPTOR_3: &str = "system.smb3_ntsd_full";
/// The security descriptor as text.
const SDDL: &str = "system.smb3_sddl";
/// The DOS attributes that a set request may carry.
const SETTABLE: u32 = 0x0000_31A7;

/// What setting an extended attribute may find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XattrMode {
    /// It may be there or not.
    #[default]
    Any,
    /// It must not be there (XATTR_CREATE).
    Create,
    /// It must be there (XATTR_REPLACE).
    Replace,
}

/// What a name stands for.
enum Name<'a> {
    Own(Own<'a>),
    DosAttributes,
    CreationTime,
    Descriptor { owner: bool, audit: bool },
    Sddl,
}

/// What a file may have or not.
#[derive(Clone, Copy)]
enum Own<'a> {
    Attribute(&'a [u8]),
    Stream(&'a str),
}

fn understood(name: &str) -> FsResult<Name<'_>> {
    let descriptor = |owner, audit| Ok(Name::Descriptor { owner, audit });
    match name {
        DOS_ATTRIBUTES => return Ok(Name::DosAttributes),
        CREATION_TIME => return Ok(Name::CreationTime),
        ACL | ACL_3 => return descriptor(false, false),
        DESCRIPTOR | DESCRIPTOR_3 => return descriptor(true, false),
        FULL_DESCRIPTOR | FULL_DESCRIPTOR_3 => return descriptor(true, true),
        SDDL => return Ok(Name::Sddl),
        _ => {}
    }
    if let Some(stream) = name.strip_prefix(STREAM) {
        return match stream {
            "" | "." | ".." => Err(FsError::local(errno::EINVAL, "not a name of a stream")),
            _ if stream.contains(['/', '\0']) => Err(FsError::local(errno::EINVAL, "not a name of a stream")),
            _ => Ok(Name::Own(Own::Stream(stream))),
        };
    }
    match name.strip_prefix(USER) {
        Some(own) if own.is_empty() || own.contains('\0') => {
            Err(FsError::local(errno::EINVAL, "not a name of an attribute"))
        }
        Some(own) if own.len() > 255 => {
            Err(FsError::local(errno::ERANGE, "the name of the attribute is too long"))
        }
        Some(own) => Ok(Name::Own(Own::Attribute(own.as_bytes()))),
        None => Err(FsError::local(errno::EOPNOTSUPP, "SMB has no such attributes")),
    }
}

const MISSING: FsError = FsError::local(errno::ENODATA, "there is no such attribute");
const NOT_A_VALUE: FsError = FsError::local(errno::EINVAL, "not a value of this attribute");

impl Filesystem {
    /// The value of an extended attribute.
    ///
    /// # Errors
    /// ENODATA; EOPNOTSUPP for names that SMB has no place for, and where the server has no extended attributes; what
    /// the server says.
    pub async fn xattr(&self, ino: Ino, name: &str) -> FsResult<Bytes> {
        let name = understood(name)?;
        let path = self.inodes().path(ino)?;
        match name {
            Name::Own(own) => self.own_value(&path, own).await?.ok_or(MISSING),
            Name::DosAttributes => {
                let attributes = self.remote.lookup(&path).await?.attributes;
                Ok(Bytes::copy_from_slice(&attributes.bits().to_le_bytes()))
            }
            Name::CreationTime => {
                let created = self.remote.lookup(&path).await?.created;
                Ok(Bytes::copy_from_slice(&created.0.to_le_bytes()))
            }
            Name::Descriptor { audit, .. } => Ok(self.remote.descriptor(self.at(&path), audit).await?),
            Name::Sddl => {
                let raw = self.remote.descriptor(self.at(&path), false).await?;
                let unreadable = || FsError::local(errno::EIO, "the security descriptor cannot be read");
                let descriptor: SecurityDescriptor = from_bytes(&raw).map_err(|_| unreadable())?;
                Ok(descriptor.to_sddl(None).map_err(|_| unreadable())?.into())
            }
        }
    }

    /// What one of the file's own attributes holds, if it has it.
    async fn own_value(&self, path: &RemotePath, own: Own<'_>) -> FsResult<Option<Bytes>> {
        Ok(match own {
            Own::Attribute(name) => self.remote.attribute(self.at(path), name).await?,
            Own::Stream(name) => self.remote.stream(path, name, LONGEST_VALUE).await?,
        })
    }

    /// The names of all extended attributes that a copy should have; streams that are too long for one are none.
    ///
    /// # Errors
    /// What the server says; a server without extended attributes or without streams has none.
    pub async fn xattrs(&self, ino: Ino) -> FsResult<Vec<String>> {
        let path = self.inodes().path(ino)?;
        let (all, streams) = tokio::join!(self.remote.attributes(self.at(&path)), self.remote.streams(&path));
        let (all, streams) = (none_if_unknown(all)?, none_if_unknown(streams)?);
        let text = |name: &Bytes| String::from_utf8(name.to_vec()).ok().filter(|name| !name.contains('\0'));
        let known = all.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(name, _)| text(name));
        let attributes = known.filter(|name| !name.is_empty()).map(|name| format!("{USER}{name}"));
        let short = streams.into_iter().filter(|(_, size)| *size <= u64::from(LONGEST_VALUE));
        let streams = short.map(|(name, _)| format!("{STREAM}{name}"));
        Ok(attributes.chain(streams.filter(|name| name.len() <= LONGEST_NAME)).collect())
    }

    /// Set an extended attribute.
    ///
    /// # Errors
    /// EEXIST and ENODATA as `mode` says; EINVAL for an empty value, which SMB does not tell from none, and for a value
    /// that the attribute cannot have; EOPNOTSUPP as [`Self::xattr`]; E2BIG; EROFS; what the server says.
    pub async fn set_xattr(&self, ino: Ino, name: &str, value: Bytes, mode: XattrMode) -> FsResult<()> {
        self.writable()?;
        let name = understood(name)?;
        let path = self.inodes().path(ino)?;
        match name {
            Name::Own(own) => {
                if value.is_empty() && matches!(own, Own::Attribute(_)) {
                    return Err(FsError::local(errno::EINVAL, "SMB does not tell an empty value from none"));
                }
                if mode != XattrMode::Any {
                    let there = self.own_value(&path, own).await?.is_some();
                    match mode {
                        XattrMode::Create if there => {
                            return Err(FsError::local(errno::EEXIST, "there is such an attribute"));
                        }
                        XattrMode::Replace if !there => return Err(MISSING),
                        _ => {}
                    }
                }
                match own {
                    Own::Attribute(name) => {
                        self.remote.set_attribute(self.at(&path), name, &value).await?;
                    }
                    Own::Stream(name) => self.remote.set_stream(&path, name, Some(value)).await?,
                }
                self.hung(ino);
                Ok(())
            }
            _ if mode == XattrMode::Create => {
                Err(FsError::local(errno::EEXIST, "every file has this attribute"))
            }
            Name::DosAttributes => {
                let bits = u32::from_le_bytes(value[..].try_into().map_err(|_| NOT_A_VALUE)?);
                let attributes = FileAttributes::from_bits_retain(bits & SETTABLE);
                let attributes = if attributes.is_empty() { FileAttributes::NORMAL } else { attributes };
                self.change_hung(ino, &path, SetAttr { attributes: Some(attributes), ..SetAttr::default() })
                    .await
            }
            Name::CreationTime => {
                let time = u64::from_le_bytes(value[..].try_into().map_err(|_| NOT_A_VALUE)?);
                let created = Some(FileTime(time));
                self.change_hung(ino, &path, SetAttr { created, ..SetAttr::default() }).await
            }
            Name::Descriptor { owner, .. } => {
                self.remote.set_descriptor(self.at(&path), value, owner).await?;
                self.hung(ino);
                Ok(())
            }
            Name::Sddl => {
                let text = std::str::from_utf8(&value).map_err(|_| NOT_A_VALUE)?;
                let descriptor = SecurityDescriptor::from_sddl(text.trim_end_matches('\0'), None)
                    .map_err(|_| NOT_A_VALUE)?;
                let raw = smb_proto::fscc::to_bytes(&descriptor);
                self.remote.set_descriptor(self.at(&path), raw, true).await?;
                self.hung(ino);
                Ok(())
            }
        }
    }

    /// Remove an extended attribute.
    ///
    /// # Errors
    /// ENODATA; EOPNOTSUPP as [`Self::xattr`], and for what every file has; EROFS; what the server says.
    pub async fn remove_xattr(&self, ino: Ino, name: &str) -> FsResult<()> {
        self.writable()?;
        let Name::Own(own) = understood(name)? else {
            return Err(FsError::local(errno::EOPNOTSUPP, "every file has this attribute"));
        };
        let path = self.inodes().path(ino)?;
        match own {
            Own::Attribute(name) => {
                if self.own_value(&path, own).await?.is_none() {
                    return Err(MISSING);
                }
                self.remote.set_attribute(self.at(&path), name, &[]).await?;
            }
            Own::Stream(name) => {
                let removed = self.remote.set_stream(&path, name, None).await;
                removed.map_err(|error| if error.is_missing() { MISSING } else { error.into() })?;
            }
        }
        self.hung(ino);
        Ok(())
    }

    async fn change_hung(&self, ino: Ino, path: &RemotePath, change: SetAttr) -> FsResult<()> {
        let asked = self.inodes().stamp();
        let attr = self.remote.set_attr(self.at(path), &change).await?;
        self.applied(ino, attr, asked);
        Ok(())
    }

    /// The time of the last change is another one now.
    fn hung(&self, ino: Ino) {
        self.inodes().expire(ino);
        self.note_changed(ino);
    }
}

/// What a server has none of at all is nothing to list.
fn none_if_unknown<T>(found: RemoteResult<Vec<T>>) -> FsResult<Vec<T>> {
    match found.map_err(FsError::from) {
        Err(error) if error.errno() == errno::EOPNOTSUPP => Ok(Vec::new()),
        found => found,
    }
}
