//! `mount -o remount`: a mount that may be written to no more, or again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount_remount};

use crate::codes;
use crate::status::{MountRecord, unescape};

/// How the table of mounts calls what mount(2) knows.
const FLAGS: [(&str, MountFlags); 7] = [
    ("ro", MountFlags::RDONLY),
    ("nosuid", MountFlags::NOSUID),
    ("nodev", MountFlags::NODEV),
    ("noexec", MountFlags::NOEXEC),
    ("noatime", MountFlags::NOATIME),
    ("nodiratime", MountFlags::NODIRATIME),
    ("relatime", MountFlags::RELATIME),
];

/// Whether the options ask for it.
pub(super) fn is_asked(lists: &[String]) -> bool {
    items(lists).any(|item| item == "remount")
}

/// Does as the last of `ro` and `rw` says; all else stays as it is, whatever the options say: mount(8) passes on those of
/// the line in fstab as well.
///
/// # Errors
/// Nothing of this user is mounted there, or it was mounted for reading only, or this is not root.
pub(super) fn remount(dir: &Path, lists: &[String]) -> Result<()> {
    let record = MountRecord::of_mount(dir)?;
    let Some(read_only) =
        items(lists).filter(|item| matches!(*item, "ro" | "rw")).last().map(|item| item == "ro")
    else {
        return Ok(());
    };
    if record.read_only && !read_only {
        let text = format!("{} was mounted read-only: unmount it, and mount it anew", record.dir.display());
        return Err(codes::MOUNTED_READ_ONLY.says(text));
    }
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    let mut flags = flags_of(&table, &record.dir);
    flags.set(MountFlags::RDONLY, read_only);
    mount_remount(&record.dir, flags, "").with_context(|| format!("cannot change {}", record.dir.display()))
}

fn items(lists: &[String]) -> impl Iterator<Item = &str> {
    lists.iter().flat_map(|list| list.split(',')).map(str::trim)
}

/// The flags of the mount that was made last on a folder.
fn flags_of(table: &str, dir: &Path) -> MountFlags {
    let fields = table.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let options = fields
        .filter(|fields| fields.get(4).is_some_and(|point| Path::new(&unescape(point)) == dir))
        .filter_map(|fields| fields.get(5).map(|options| (*options).to_owned()))
        .next_back()
        .unwrap_or_default();
    let known = |name: &str| FLAGS.iter().find(|(known, _)| *known == name).map(|(_, flag)| *flag);
    options.split(',').filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stay_as_they_are() {
        let table =
            "36 35 0:45 / /mnt/a\\040b rw,nosuid,nodev,relatime shared:1 - fuse.sharefs //s/x rw,user_id=1\n";
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RELATIME;
        assert_eq!(flags_of(table, Path::new("/mnt/a b")), flags);
        assert_eq!(flags_of(table, Path::new("/mnt")), MountFlags::empty());
    }

    #[test]
    fn it_is_asked_for_by_a_word_of_its_own() {
        assert!(is_asked(&["rw,remount".into()]));
        assert!(!is_asked(&["rw,x-remount".into(), String::new()]));
    }
}
