//! Names here and on the wire.
//!
//! SMB forbids `" * : < > ? | \`, control characters and a final dot or space in a name, and to it a backslash
//! separates directories. The forbidden characters travel as the private-use characters that Services for Macintosh
//! began with and that the Linux kernel's client (`mapposix`), macOS and Samba's `vfs_fruit` use too: files with such
//! names look the same in all. The mapping is one to one: a name that would come back as another is refused, and a
//! name of the server that could not be asked for again is not shown.

/// Characters forbidden on the wire, each at its offset from [`FIRST_MAPPED`].
const MAPPED: [char; 8] = ['"', '*', ':', '<', '>', '?', '\\', '|'];
const FIRST_MAPPED: u32 = 0xF020;
/// Control characters 0x01 to 0x1F travel at this offset.
const CONTROL_BASE: u32 = 0xF000;
const FINAL_SPACE: char = '\u{F028}';
const FINAL_DOT: char = '\u{F029}';
/// SMB's path length field holds this many UTF-16 units.
const LONGEST_PATH: usize = 32_767;

/// A name that no server can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// `.` or `..`; paths are not resolved here.
    #[error("a path may not contain . or ..")]
    Dots,
    /// An empty name.
    #[error("a name may not be empty")]
    Empty,
    /// NUL or `/` in a name.
    #[error("a name may not contain NUL or /")]
    Separator,
    /// A private-use character that stands for a forbidden one: the name would come back as another.
    #[error("a name may not contain a character that stands for another one")]
    StandIn,
    /// Longer than a request can say.
    #[error("the path is too long")]
    TooLong,
}

/// A path with `/` between its components as the server wants it: `\` between them, forbidden characters mapped.
/// Empty components are dropped; the empty path is the share's root.
///
/// # Errors
/// See [`InvalidName`].
pub fn path_to_wire(path: &str) -> Result<String, InvalidName> {
    let mut wire = String::with_capacity(path.len());
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if !wire.is_empty() {
            wire.push('\\');
        }
        wire.push_str(&name_to_wire(name)?);
    }
    if wire.encode_utf16().count() > LONGEST_PATH { Err(InvalidName::TooLong) } else { Ok(wire) }
}

/// The same of a named stream of what is there.
pub(crate) fn stream_to_wire(path: &str, stream: &str) -> Result<String, InvalidName> {
    let wire = path_to_wire(path)? + ":" + &name_to_wire(stream)?;
    if wire.encode_utf16().count() > LONGEST_PATH { Err(InvalidName::TooLong) } else { Ok(wire) }
}

/// A single name as the server wants it.
///
/// # Errors
/// See [`InvalidName`].
pub fn name_to_wire(name: &str) -> Result<String, InvalidName> {
    match name {
        "" => return Err(InvalidName::Empty),
        "." | ".." => return Err(InvalidName::Dots),
        _ if name.contains(['/', '\0']) => return Err(InvalidName::Separator),
        _ => {}
    }
    let last = name.chars().count() - 1;
    let map = |(i, c)| {
        let mapped = match c {
            ' ' if i == last => FINAL_SPACE,
            '.' if i == last => FINAL_DOT,
            _ => encode(c),
        };
        if mapped == c && decode(c, i == last) != Some(c) { Err(InvalidName::StandIn) } else { Ok(mapped) }
    };
    name.chars().enumerate().map(map).collect()
}

/// The name here of a name that a server sent; `None` if it is none that could be asked for again. What comes back
/// is never empty, `.` or `..`, and contains neither `/` nor NUL.
pub fn name_from_wire(name: &str) -> Option<String> {
    let last = name.chars().count().checked_sub(1)?;
    let local: String = name.chars().enumerate().map(|(i, c)| decode(c, i == last)).collect::<Option<_>>()?;
    // What decodes to "..", for one, is a name on the server and an escape here.
    (name_to_wire(&local).ok()? == name).then_some(local)
}

/// A path as it goes to a server with the semantics of POSIX: with `/`. Names have stand-ins there too: other clients
/// could not reach them otherwise, and Samba lists them under short names.
pub(crate) fn posix_path_to_wire(path: &str) -> Result<String, InvalidName> {
    let names = path.split('/').filter(|name| !name.is_empty()).map(name_to_wire);
    Ok(names.collect::<Result<Vec<_>, _>>()?.join("/"))
}

fn encode(c: char) -> char {
    let code = match MAPPED.iter().position(|mapped| *mapped == c) {
        Some(i) => FIRST_MAPPED + i as u32,
        None if matches!(c, '\u{1}'..='\u{1F}') => CONTROL_BASE + c as u32,
        None => return c,
    };
    char::from_u32(code).unwrap_or(c)
}

/// `None` for a character that may not occur in a name on the wire.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forbidden_characters_travel_in_the_private_area() {
        let name = "a:b*c?\"<>|\\\u{1}\u{1f}";
        let wire = name_to_wire(name).unwrap();
        assert_eq!(
            wire,
            "a\u{F022}b\u{F021}c\u{F025}\u{F020}\u{F023}\u{F024}\u{F027}\u{F026}\u{F001}\u{F01F}"
        );
        assert_eq!(name_from_wire(&wire).unwrap(), name);
        assert_eq!(path_to_wire("a. b./x ").unwrap(), "a. b\u{F029}\\x\u{F028}");
        assert_eq!(name_to_wire("...").unwrap(), "..\u{F029}");
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "..", "a/b", "a\0b", "a\u{F022}b", "end\u{F029}"] {
            assert!(name_to_wire(name).is_err(), "{name:?}");
        }
        assert_eq!(path_to_wire("a/../b"), Err(InvalidName::Dots));
        assert_eq!(path_to_wire("//a///b/").unwrap(), "a\\b");
        assert_eq!(path_to_wire(&"a/".repeat(40_000)), Err(InvalidName::TooLong));
    }

    #[test]
    fn a_server_cannot_send_an_escape() {
        for name in
            ["", ".", "..", "a/b", "a\\b", "a\0", "..\\x", "c:", ".\u{F029}", "\u{F029}", "end.", "tab\t"]
        {
            assert_eq!(name_from_wire(name), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_accepted_name_comes_back(name in "\\PC{0,20}|[ -~]{0,20}|[\u{F000}-\u{F030}. :]{0,6}") {
            if let Ok(wire) = name_to_wire(&name) {
                prop_assert_eq!(name_from_wire(&wire), Some(name));
            }
        }

        #[test]
        fn every_name_shown_can_be_asked_for(name: String) {
            if let Some(local) = name_from_wire(&name) {
                prop_assert!(local != "." && local != ".." && !local.contains(['/', '\0']));
                prop_assert_eq!(name_to_wire(&local).unwrap(), name);
            }
        }
    }
}
