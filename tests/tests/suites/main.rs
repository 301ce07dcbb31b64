//! Suites that others wrote to find what is wrong with a file system, on a mount.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod fsx;
mod load;
mod pjdfstest;

use sharefs_tests::{Mount, Samba};

/// The mount options that say what may be cached: what a suite checks must be right with each. The empty one is the
/// default, `cache=strict`.
const CACHE_MODES: &[&str] = &["", "cache=none", "cache=loose"];

/// A server and a mount of it with one of the [`CACHE_MODES`].
fn mounted(cache: &str) -> (Samba, Mount) {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(Some(cache).filter(|option| !option.is_empty())).start();
    (samba, mount)
}

/// Runs a suite's program in the user's home, where the mount is `mnt`, and panics with what it says where it fails.
fn run(mount: &Mount, cache: &str, command: &str) -> String {
    let output = mount.shell_output(command);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "cache mode {cache:?}: {command}: {}\n{said}", output.status);
    said
}
