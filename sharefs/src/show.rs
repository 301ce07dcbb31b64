//! How names, times and metadata are shown.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Error;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use smb_client::{FileAttributes, FileTime, Metadata};

use crate::codes::{self, with_code};

/// A server's name for a terminal: control characters could do anything there.
pub(crate) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// The same of a path on this machine, whose names may be a server's.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// An error with all its causes and its code for a terminal; only its own line breaks stay.
pub(crate) fn complaint(error: &Error) -> String {
    let text = with_code(&format!("{error:#}"), codes::of(error));
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

/// Tells a person. That nobody reads it is no reason to fail.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// `d` directory, `r` read-only, `h` hidden, `s` system, `a` to be archived, `l` a link or the like.
pub(crate) fn kind_letters(metadata: &Metadata) -> String {
    let flag = |attribute, letter| if metadata.attributes.contains(attribute) { letter } else { '-' };
    [
        flag(FileAttributes::DIRECTORY, 'd'),
        flag(FileAttributes::READONLY, 'r'),
        flag(FileAttributes::HIDDEN, 'h'),
        flag(FileAttributes::SYSTEM, 's'),
        flag(FileAttributes::ARCHIVE, 'a'),
        flag(FileAttributes::REPARSE_POINT, 'l'),
    ]
    .iter()
    .collect()
}

fn timestamp(time: FileTime) -> Option<Timestamp> {
    if time == FileTime::ZERO {
        return None;
    }
    let (seconds, nanoseconds) = time.to_unix();
    Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
}

pub(crate) fn local_time(time: FileTime) -> String {
    match timestamp(time) {
        Some(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => format!("{:<19}", "-"),
    }
}

/// All that the server says of a file, for a program.
pub(crate) fn as_json(key: &str, name: &str, m: &Metadata) -> Value {
    let time = |time| timestamp(time).map(|time| time.to_string());
    json!({
        key: name,
        "kind": if m.is_dir() { "directory" } else { "file" },
        "size": m.size,
        "allocated": m.allocated,
        "links": m.links,
        "file_id": m.file_id,
        "attributes": m.attributes.bits(),
        "reparse_tag": m.reparse_tag,
        "created": time(m.created),
        "accessed": time(m.accessed),
        "written": time(m.written),
        "changed": time(m.changed),
    })
}

/// The same for a person.
pub(crate) fn describe(out: &mut impl Write, name: &str, m: &Metadata) -> io::Result<()> {
    writeln!(out, "      Path: {}", printable(name))?;
    writeln!(out, "      Kind: {}", if m.is_dir() { "directory" } else { "file" })?;
    writeln!(out, "      Size: {} ({} on disk)", m.size, m.allocated)?;
    writeln!(out, "     Links: {}   File id: {}", m.links, m.file_id)?;
    writeln!(out, "Attributes: {:#x} {}", m.attributes.bits(), kind_letters(m))?;
    for (what, time) in
        [("Created", m.created), ("Accessed", m.accessed), ("Written", m.written), ("Changed", m.changed)]
    {
        writeln!(out, "{what:>10}: {}", local_time(time))?;
    }
    Ok(())
}

/// Writing to standard output failed. As with cat(1), who reads a pipe may have had enough.
pub(crate) fn unless_broken_pipe(error: io::Error) -> anyhow::Result<()> {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_controls_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a?[2J?b");
        assert_eq!(shown(Path::new("a\u{1b}b")), "a?b");
        let error = anyhow::anyhow!("bad \u{1b}[2J").context("reading\n  more");
        assert_eq!(complaint(&error), "reading\n  more: bad ?[2J [failed]");
    }
}
