//! Names and paths, and what can be neither.
//!
//! Names are the same here and in the adapters; what SMB forbids in them is mapped where it goes onto the wire
//! ([`smb_client::name_to_wire`]). What could not make that way, or not come back as itself, is refused here, before
//! anything is asked of the server.

use std::fmt;

use smb_client::{InvalidName, name_to_wire};

use crate::error::{FsError, errno};

/// Longest component on NTFS and every other Windows filesystem, in UTF-16 units.
const MAX_NAME_UNITS: usize = 255;

/// A name that can be one on the server.
///
/// # Errors
/// EINVAL for what cannot be a name, or that would come back as another name; ENAMETOOLONG.
pub(crate) fn checked(name: &str) -> Result<&str, FsError> {
    match name_to_wire(name) {
        Ok(wire) if wire.encode_utf16().count() > MAX_NAME_UNITS => {
            Err(FsError::local(errno::ENAMETOOLONG, "the name is longer than 255 UTF-16 units"))
        }
        Ok(_) => Ok(name),
        Err(InvalidName::StandIn) => {
            Err(FsError::local(errno::EINVAL, "the name has a character that stands for another one"))
        }
        Err(_) => Err(FsError::local(errno::EINVAL, "not a file name")),
    }
}

/// A path on the share: names separated by `/`, without a leading one; empty for the root. Every name has been
/// checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RemotePath(String);

impl RemotePath {
    /// The root of the share.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path from local components separated by `/`.
    ///
    /// # Errors
    /// EINVAL or ENAMETOOLONG if a component cannot be a name on the server.
    pub fn from_local(path: &str) -> Result<Self, FsError> {
        let names = path.split('/').filter(|c| !c.is_empty()).map(checked).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_checked(names.into_iter()))
    }

    /// From names that [`checked`] let through.
    pub(crate) fn from_checked<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.collect::<Vec<_>>().join("/"))
    }

    /// The path of an entry of this directory, by a name that [`checked`] let through.
    pub(crate) fn child(&self, name: &str) -> Self {
        if self.0.is_empty() { Self(name.to_owned()) } else { Self(format!("{}/{name}", self.0)) }
    }

    /// The components, first the one in the root.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').filter(|c| !c.is_empty())
    }

    /// The whole path, components separated by `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This path after `from` has become `to`; `None` if that does not concern it.
    pub(crate) fn moved(&self, from: &Self, to: &Self) -> Option<Self> {
        let below = self.0.strip_prefix(&from.0)?;
        (below.is_empty() || below.starts_with('/')).then(|| Self(format!("{}{below}", to.0)))
    }

    /// Whether this is the root of the share.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for RemotePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "..", "a/b", "a\0b", "a\u{F022}b", "end\u{F029}", ".\u{F029}"] {
            assert_eq!(checked(name).unwrap_err().errno(), errno::EINVAL, "{name:?}");
        }
        assert_eq!(checked(&"x".repeat(256)).unwrap_err().errno(), errno::ENAMETOOLONG);
        assert!(checked(&"x".repeat(255)).is_ok());
        assert!(checked(&"😀".repeat(128)).is_err(), "a surrogate pair counts twice");
    }

    #[test]
    fn paths_are_joined_without_a_leading_slash() {
        let path = RemotePath::from_local("/a//b:/c").unwrap();
        assert_eq!(path.as_str(), "a/b:/c");
        assert_eq!(path.components().count(), 3);
        assert!(RemotePath::from_local("/").unwrap().is_root());
        assert!(RemotePath::from_local("a/../b").is_err());
    }
}
