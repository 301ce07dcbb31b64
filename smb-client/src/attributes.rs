//! Extended attributes: small values that a file has under names of their own.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{ExtendedAttribute, decode_eas, encode_ea_names, encode_eas, file_class};
use smb_proto::wire::{AccessMask, CreateOptions, FileId};

use crate::change::check_all;
use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::PathLease;
use crate::names::InvalidName;
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::{Share, close_related, set_file_info};

const READING: &str = "reading the attributes";
const WRITING: &str = "writing the attribute";

fn options(access: AccessMask) -> OpenOptions {
    OpenOptions {
        options: CreateOptions::OPEN_REPARSE_POINT,
        ..OpenOptions::existing(access | AccessMask::SYNCHRONIZE)
    }
}

fn question(name: Option<&[u8]>) -> Question {
    let input = name.map(|name| encode_ea_names(&[Bytes::copy_from_slice(name)]).into());
    Question::file(file_class::FULL_EA, input.unwrap_or_default())
}

/// A name that servers can have: 1 to 255 bytes without NUL.
fn checked(name: &[u8]) -> Result<&[u8]> {
    match name {
        [] => Err(InvalidName::Empty.into()),
        _ if name.contains(&0) => Err(InvalidName::Separator.into()),
        _ if name.len() > 255 => Err(InvalidName::TooLong.into()),
        _ => Ok(name),
    }
}

fn change(name: &[u8], value: &[u8]) -> Result<Bytes> {
    if value.len() > usize::from(u16::MAX) {
        return Err(Error::TooLarge);
    }
    let (name, value) = (Bytes::copy_from_slice(checked(name)?), Bytes::copy_from_slice(value));
    Ok(encode_eas(&[ExtendedAttribute { flags: 0, name, value }]).into())
}

/// What an answer holds; a file without attributes is refused by some servers.
fn all(answer: Result<Bytes>) -> Result<Vec<ExtendedAttribute>> {
    match answer {
        Ok(data) => Ok(decode_eas(&data)?),
        Err(Error::Status { status: NtStatus::NO_EAS_ON_FILE, .. }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The one that was asked for; servers answer with no value where there is none, and some with all they have.
fn one(answer: Result<Bytes>, name: &[u8]) -> Result<Option<Bytes>> {
    let answer = match answer {
        Err(Error::Status { status: NtStatus::NONEXISTENT_EA_ENTRY, .. }) => return Ok(None),
        answer => all(answer)?,
    };
    let found = answer.into_iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name));
    Ok(found.map(|attribute| attribute.value).filter(|value| !value.is_empty()))
}

impl Share {
    /// All extended attributes of what is at `path`. Links are not followed; these leases are not broken.
    ///
    /// # Errors
    /// The server has none ([`NtStatus::EAS_NOT_SUPPORTED`]), they are too many for one answer, or the server
    /// refuses or is lost.
    pub async fn extended_attributes(&self, path: &str, lease: PathLease) -> Result<Vec<ExtendedAttribute>> {
        all(self.ask(READING, path, options(AccessMask::READ_EA), lease, &question(None)).await)
    }

    /// The value of one extended attribute; `None` where there is none of this name. Servers compare names without
    /// case. Links are not followed; these leases are not broken.
    ///
    /// # Errors
    /// The name is none, or as [`Self::extended_attributes`].
    pub async fn extended_attribute(
        &self,
        path: &str,
        name: &[u8],
        lease: PathLease,
    ) -> Result<Option<Bytes>> {
        let question = question(Some(checked(name)?));
        one(self.ask(READING, path, options(AccessMask::READ_EA), lease, &question).await, name)
    }

    /// Sets an extended attribute, whether it was there or not; an empty value removes it. Links are not followed;
    /// these leases are not broken.
    ///
    /// # Errors
    /// The name is none, the value is longer than 65,535 bytes or than the server takes
    /// ([`NtStatus::EA_TOO_LARGE`]), or as [`Self::extended_attributes`].
    pub async fn set_extended_attribute(
        &self,
        path: &str,
        name: &[u8],
        value: &[u8],
        lease: PathLease,
    ) -> Result<()> {
        let create = self.create_leased(path, options(AccessMask::WRITE_EA), lease)?;
        let set = set_file_info(FileId::RELATED, file_class::FULL_EA, change(name, value)?);
        check_all(WRITING, self.chain(WRITING, vec![create, set, close_related()]).await?)
    }
}

impl File {
    /// All extended attributes; the file is open with [`AccessMask::READ_EA`].
    ///
    /// # Errors
    /// As [`Share::extended_attributes`].
    pub async fn extended_attributes(&self) -> Result<Vec<ExtendedAttribute>> {
        all(self.ask(READING, &question(None)).await)
    }

    /// One extended attribute; the file is open with [`AccessMask::READ_EA`].
    ///
    /// # Errors
    /// As [`Share::extended_attribute`].
    pub async fn extended_attribute(&self, name: &[u8]) -> Result<Option<Bytes>> {
        one(self.ask(READING, &question(Some(checked(name)?))).await, name)
    }

    /// Sets or, with an empty value, removes an extended attribute; the file is open with
    /// [`AccessMask::WRITE_EA`].
    ///
    /// # Errors
    /// As [`Share::set_extended_attribute`].
    pub async fn set_extended_attribute(&self, name: &[u8], value: &[u8]) -> Result<()> {
        self.share().set_info(self.id(), file_class::FULL_EA, change(name, value)?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_are_asked_for() {
        assert!(checked(b"user.x").is_ok() && checked(&[b'x'; 255]).is_ok());
        for name in [&b""[..], b"a\0b", &[b'x'; 256]] {
            assert!(checked(name).is_err() && change(name, b"x").is_err());
        }
        assert!(matches!(change(b"x", &[0; 65_536]), Err(Error::TooLarge)));
    }

    #[test]
    fn an_empty_value_is_none() {
        let attribute = |name: &'static [u8], value: &'static [u8]| ExtendedAttribute {
            flags: 0,
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        };
        let answer = || Ok(encode_eas(&[attribute(b"A", b""), attribute(b"B", b"x")]).into());
        assert_eq!(one(answer(), b"a").unwrap(), None);
        assert_eq!(one(answer(), b"b").unwrap().as_deref(), Some(&b"x"[..]));
        assert_eq!(one(answer(), b"c").unwrap(), None);
        for status in [NtStatus::NO_EAS_ON_FILE, NtStatus::NONEXISTENT_EA_ENTRY] {
            assert_eq!(one(Err(Error::refused(READING, status)), b"a").unwrap(), None);
        }
    }
}
