//! Names on the wire: what SMB forbids in a name travels in Unicode's private area, as macOS and the Linux
//! kernel's `mapposix` have it.

use std::borrow::Cow;

/// The range that stands for control characters, and what follows it for the others.
const PRIVATE: u32 = 0xF000;
/// The forbidden characters in the order of their stand-ins U+F020 to U+F027.
const FORBIDDEN: [char; 8] = ['"', '*', ':', '<', '>', '?', '\\', '|'];
const FIRST_FORBIDDEN: u32 = 0xF020;
const LAST_SPACE: char = '\u{F028}';
const LAST_DOT: char = '\u{F029}';

/// A path that no server can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// A component is `.` or `..`; paths are not resolved here.
    #[error("a path may not have the component {0:?}")]
    Dots(String),
    /// A NUL in a name.
    #[error("a name may not contain NUL")]
    Nul,
    /// Longer than any server takes.
    #[error("the path is too long")]
    TooLong,
}

/// SMB's path length field holds this many UTF-16 units.
const LONGEST: usize = 32_767;

/// A path with `/` between its components as the server wants it: `\` between them, forbidden characters mapped.
/// Empty components are dropped; the empty path is the share's root.
///
/// # Errors
/// See [`InvalidName`].
pub fn path_to_wire(path: &str) -> Result<String, InvalidName> {
    let mut wire = String::with_capacity(path.len());
    for component in path.split('/').filter(|component| !component.is_empty()) {
        if matches!(component, "." | "..") {
            return Err(InvalidName::Dots(component.into()));
        }
        if !wire.is_empty() {
            wire.push('\\');
        }
        push_component(&mut wire, component)?;
    }
    if wire.encode_utf16().count() > LONGEST { Err(InvalidName::TooLong) } else { Ok(wire) }
}

fn push_component(wire: &mut String, component: &str) -> Result<(), InvalidName> {
    let last = component.chars().next_back();
    let body = &component[..component.len() - last.map_or(0, char::len_utf8)];
    for c in body.chars() {
        wire.push(to_wire(c)?);
    }
    match last {
        Some(' ') => wire.push(LAST_SPACE),
        Some('.') => wire.push(LAST_DOT),
        Some(c) => wire.push(to_wire(c)?),
        None => {}
    }
    Ok(())
}

fn to_wire(c: char) -> Result<char, InvalidName> {
    if c == '\0' {
        return Err(InvalidName::Nul);
    }
    let mapped = if (c as u32) < 0x20 {
        Some(PRIVATE + c as u32)
    } else {
        FORBIDDEN.iter().position(|forbidden| *forbidden == c).map(|at| FIRST_FORBIDDEN + at as u32)
    };
    Ok(mapped.and_then(char::from_u32).unwrap_or(c))
}

/// A component as the server sent it, with stand-ins turned back. It may still be anything: see
/// [`crate::Directory`] for what never gets out.
pub fn name_from_wire(name: &str) -> Cow<'_, str> {
    if !name.chars().any(|c| (PRIVATE..=LAST_DOT as u32).contains(&(c as u32))) {
        return Cow::Borrowed(name);
    }
    let count = name.chars().count();
    let original = |(i, c): (usize, char)| {
        let code = c as u32;
        match c {
            LAST_SPACE if i + 1 == count => ' ',
            LAST_DOT if i + 1 == count => '.',
            // U+F000 would be NUL.
            _ if (PRIVATE + 1..PRIVATE + 0x20).contains(&code) => char::from_u32(code - PRIVATE).unwrap_or(c),
            _ => {
                let at = code.wrapping_sub(FIRST_FORBIDDEN) as usize;
                FORBIDDEN.get(at).copied().unwrap_or(c)
            }
        }
    };
    Cow::Owned(name.chars().enumerate().map(original).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_characters_travel_in_the_private_area() {
        let name = "a:b*c?\"<>|\\\u{1}\u{1f}";
        let wire = path_to_wire(name).unwrap();
        assert_eq!(
            wire,
            "a\u{F022}b\u{F021}c\u{F025}\u{F020}\u{F023}\u{F024}\u{F027}\u{F026}\u{F001}\u{F01F}"
        );
        assert_eq!(name_from_wire(&wire), name);
    }

    #[test]
    fn a_last_space_or_dot_is_mapped_and_others_are_not() {
        assert_eq!(path_to_wire("a. b./x ").unwrap(), "a. b\u{F029}\\x\u{F028}");
        assert_eq!(name_from_wire("a. b\u{F029}"), "a. b.");
        assert_eq!(name_from_wire("\u{F029}a"), "\u{F029}a");
        assert_eq!(path_to_wire("...").unwrap(), "..\u{F029}");
    }

    #[test]
    fn paths_that_would_lead_elsewhere_are_refused() {
        assert_eq!(path_to_wire("a/../b"), Err(InvalidName::Dots("..".into())));
        assert_eq!(path_to_wire("a\0b"), Err(InvalidName::Nul));
        assert_eq!(path_to_wire("//a///b/").unwrap(), "a\\b");
        assert!(path_to_wire(&"a/".repeat(40_000)).is_err());
    }
}
