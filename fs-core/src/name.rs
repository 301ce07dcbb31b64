//! Names and paths: what a local name is called on the server, and back.
//!
//! Windows forbids `" * : < > ? | \`, control characters and a final dot or space in a name, and to SMB a
//! backslash separates directories, so a local name must never carry one through. The forbidden characters
//! travel as the private-use characters that Services for Macintosh began with and that the Linux kernel's
//! client (`mapposix`), macOS and Samba's `vfs_fruit` use too; files with such names look the same in all.

use std::fmt;

use crate::error::{FsError, errno};

/// Characters forbidden on the server, each at its offset from [`FIRST_MAPPED`].
const MAPPED: [char; 8] = ['"', '*', ':', '<', '>', '?', '\\', '|'];
const FIRST_MAPPED: u32 = 0xF020;
/// Control characters 0x01 to 0x1F travel at this offset.
const CONTROL_BASE: u32 = 0xF000;
const FINAL_SPACE: char = '\u{F028}';
const FINAL_DOT: char = '\u{F029}';
/// Longest component on NTFS and every other Windows filesystem, in UTF-16 units.
const MAX_NAME_UNITS: usize = 255;

/// The name on the server of a local name.
///
/// # Errors
/// EINVAL for what cannot be a name, or that would come back as another name; ENAMETOOLONG.
pub(crate) fn to_remote(name: &str) -> Result<String, FsError> {
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(FsError::local(errno::EINVAL, "not a file name"));
    }
    let mut out = String::with_capacity(name.len());
    let last = name.chars().count() - 1;
    for (i, c) in name.chars().enumerate() {
        let mapped = match c {
            ' ' if i == last => FINAL_SPACE,
            '.' if i == last => FINAL_DOT,
            _ => encode(c),
        };
        if mapped == c && decode(c, i == last) != Some(c) {
            return Err(FsError::local(
                errno::EINVAL,
                "the name has a character that stands for another one",
            ));
        }
        out.push(mapped);
    }
    if out.encode_utf16().count() > MAX_NAME_UNITS {
        return Err(FsError::local(errno::ENAMETOOLONG, "the name is longer than 255 UTF-16 units"));
    }
    Ok(out)
}

/// The local name of a name the server sent; `None` if it is no name that could be asked for again.
pub(crate) fn from_remote(name: &str) -> Option<String> {
    if name.is_empty() || name == "." || name == ".." {
        return None;
    }
    let last = name.chars().count() - 1;
    let local: String = name.chars().enumerate().map(|(i, c)| decode(c, i == last)).collect::<Option<_>>()?;
    // What decodes to "..", for one, is a name on the server and an escape here.
    (to_remote(&local).ok()? == name).then_some(local)
}

fn encode(c: char) -> char {
    let code = match MAPPED.iter().position(|m| *m == c) {
        Some(i) => FIRST_MAPPED + i as u32,
        None if matches!(c, '\u{1}'..='\u{1F}') => CONTROL_BASE + c as u32,
        None => return c,
    };
    char::from_u32(code).unwrap_or(c)
}

/// `None` for a character that may not occur in a name on the server.
fn decode(c: char, last: bool) -> Option<char> {
    match c {
        '\0'..='\u{1F}' | '/' => None,
        _ if MAPPED.contains(&c) => None,
        ' ' | '.' if last => None,
        FINAL_SPACE if last => Some(' '),
        FINAL_DOT if last => Some('.'),
        '\u{F001}'..='\u{F01F}' => char::from_u32(c as u32 - CONTROL_BASE),
        '\u{F020}'..='\u{F027}' => MAPPED.get((c as u32 - FIRST_MAPPED) as usize).copied(),
        _ => Some(c),
    }
}

/// A path on the share: the server's names, separated by `/`, without a leading one; empty for the root.
///
/// Every component has been checked, so that replacing `/` by `\` gives a path for the wire.
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
        let names =
            path.split('/').filter(|c| !c.is_empty()).map(to_remote).collect::<Result<Vec<_>, _>>()?;
        Ok(Self::from_checked(names.iter().map(String::as_str)))
    }

    /// From names that [`to_remote`] made.
    pub(crate) fn from_checked<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        Self(names.collect::<Vec<_>>().join("/"))
    }

    /// The path of an entry of this directory, by a name that [`to_remote`] made.
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
    use proptest::prelude::*;

    #[test]
    fn forbidden_characters_travel_in_the_private_use_area() {
        assert_eq!(to_remote("a:b").unwrap(), "a\u{F022}b");
        assert_eq!(to_remote("a\\b").unwrap(), "a\u{F026}b");
        assert_eq!(to_remote("a|b\u{1}").unwrap(), "a\u{F027}b\u{F001}");
        assert_eq!(to_remote("end.").unwrap(), "end\u{F029}");
        assert_eq!(to_remote("e. d ").unwrap(), "e. d\u{F028}");
        assert_eq!(from_remote("end\u{F029}").unwrap(), "end.");
        assert_eq!(to_remote("...").unwrap(), "..\u{F029}");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "..", "a/b", "a\0b", "a\u{F022}b", "end\u{F029}"] {
            assert_eq!(to_remote(name).unwrap_err().errno(), errno::EINVAL, "{name:?}");
        }
        assert_eq!(to_remote(&"x".repeat(256)).unwrap_err().errno(), errno::ENAMETOOLONG);
        assert!(to_remote(&"x".repeat(255)).is_ok());
        assert!(to_remote(&"😀".repeat(128)).is_err(), "a surrogate pair counts twice");
    }

    #[test]
    fn a_server_cannot_send_an_escape() {
        for name in
            ["", ".", "..", "a/b", "a\\b", "a\0", "..\\x", "c:", ".\u{F029}", "\u{F029}", "end.", "tab\t"]
        {
            assert_eq!(from_remote(name), None, "{name:?}");
        }
    }

    #[test]
    fn paths_are_joined_without_a_leading_slash() {
        let path = RemotePath::from_local("/a//b:/c").unwrap();
        assert_eq!(path.as_str(), "a/b\u{F022}/c");
        assert_eq!(path.components().count(), 3);
        assert!(RemotePath::from_local("/").unwrap().is_root());
        assert!(RemotePath::from_local("a/../b").is_err());
    }

    proptest! {
        #[test]
        fn every_accepted_name_comes_back(name in "\\PC{0,20}|[ -~]{0,20}|[\u{F000}-\u{F030}. :]{0,6}") {
            if let Ok(remote) = to_remote(&name) {
                prop_assert_eq!(from_remote(&remote), Some(name));
            }
        }

        #[test]
        fn every_name_shown_can_be_asked_for(name: String) {
            if let Some(local) = from_remote(&name) {
                prop_assert!(local != "." && local != ".." && !local.contains(['/', '\0']));
                prop_assert_eq!(to_remote(&local).unwrap(), name);
            }
        }
    }
}
