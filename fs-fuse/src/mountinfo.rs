//! What is mounted: /proc/self/mountinfo, the only way to ask that does not touch the mounts themselves.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountInfo {
    /// `major:minor` of the mounted filesystem, unique while it is mounted.
    pub(crate) device: String,
    pub(crate) point: PathBuf,
    pub(crate) kind: String,
    pub(crate) source: String,
}

/// What is mounted on a path, the topmost if several are. The path is absolute and free of links.
pub(crate) fn mounted_on(path: &Path) -> io::Result<Option<MountInfo>> {
    Ok(all()?.into_iter().rfind(|mount| mount.point == path))
}

/// What is mounted where, in the order in which it was.
pub(crate) fn all() -> io::Result<Vec<MountInfo>> {
    let table = fs::read("/proc/self/mountinfo")?;
    Ok(table.split(|b| *b == b'\n').filter_map(parse).collect())
}

fn parse(line: &[u8]) -> Option<MountInfo> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let separator = fields.iter().position(|field| *field == b"-")?;
    let text =
        |index: usize| fields.get(index).map(|field| String::from_utf8_lossy(&unescape(field)).into_owned());
    Some(MountInfo {
        device: text(2)?,
        point: OsString::from_vec(unescape(fields.get(4)?)).into(),
        kind: text(separator + 1)?,
        source: text(separator + 2)?,
    })
}

/// Space, tab, newline and backslash come as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal =
            |digits: &[u8]| digits.iter().try_fold(0u32, |n, d| Some(n * 8 + char::from(*d).to_digit(8)?));
        match tail.get(..3).and_then(octal).and_then(|code| u8::try_from(code).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = br"36 35 0:52 / /mnt/a\040b\134c rw,noatime shared:1 - fuse.sharefs //server/my\040share rw,user_id=0";
        let expected = MountInfo {
            device: "0:52".into(),
            point: r"/mnt/a b\c".into(),
            kind: "fuse.sharefs".into(),
            source: "//server/my share".into(),
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 2 - x"), None);
        assert_eq!(unescape(br"\9\04"), br"\9\04");
    }

    #[test]
    fn the_root_is_mounted() {
        assert!(mounted_on(Path::new("/")).unwrap().is_some());
        assert!(mounted_on(Path::new("/no/such/place")).unwrap().is_none());
    }
}
