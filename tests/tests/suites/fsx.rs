//! fsx: random reads, writes, mappings and truncations of one file, each read compared with what must be there.

use std::env;
use std::fs;

use sharefs_tests::{find_tool, sha256_file};

use crate::{CACHE_MODES, mounted, run};

/// How many operations, where `SHAREFS_FSX_OPERATIONS` does not say.
const OPERATIONS: u32 = 20_000;

/// What fsx does besides its defaults, and how often.
const CONFIGURATION: &str = "
[weights]
read = 10
write = 10
mapread = 10
mapwrite = 10
truncate = 5
close_open = 1
fsync = 0.2
fdatasync = 0.2
invalidate = 1
sendfile = 1
posix_fadvise = 1
copy_file_range = 1
punch_hole = 1
posix_fallocate = 1
";

fn operations() -> u32 {
    env::var("SHAREFS_FSX_OPERATIONS")
        .map_or(OPERATIONS, |text| text.parse().expect("SHAREFS_FSX_OPERATIONS is a number"))
}

fn exercise(cache: &str, seed: u32) {
    let (samba, mount) = mounted(cache);
    let fsx = mount.bring(&find_tool("fsx"));
    fs::write(mount.home().join("fsx.toml"), CONFIGURATION).expect("the configuration");
    let (fsx, operations) = (fsx.display(), operations());
    run(&mount, cache, &format!("{fsx} -f fsx.toml -N {operations} -S {seed} -P . mnt/file"));
    let seen = mount.shell("sha256sum < mnt/file");
    // What is still on its way arrives before the mount is gone.
    let umount = mount.umount();
    assert!(umount.status.success(), "{}", String::from_utf8_lossy(&umount.stderr));
    let stored = sha256_file(&samba.share_path().join("file"));
    assert_eq!(seen.split_whitespace().next(), Some(stored.as_str()), "cache mode {cache:?}");
}

// A test for each, because one takes long enough by itself.
const _: () = assert!(CACHE_MODES.len() == 3, "each cache mode has its tests");

#[test]
fn first_cache_mode_first_seed() {
    exercise(CACHE_MODES[0], 1);
}

#[test]
fn first_cache_mode_second_seed() {
    exercise(CACHE_MODES[0], 4711);
}

#[test]
fn second_cache_mode_first_seed() {
    exercise(CACHE_MODES[1], 1);
}

#[test]
fn second_cache_mode_second_seed() {
    exercise(CACHE_MODES[1], 4711);
}

#[test]
fn third_cache_mode_first_seed() {
    exercise(CACHE_MODES[2], 1);
}

#[test]
fn third_cache_mode_second_seed() {
    exercise(CACHE_MODES[2], 4711);
}
