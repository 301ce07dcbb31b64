//! Unmounting.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::mount::{UnmountFlags, unmount as umount2};

use crate::error::MountError;
use crate::mountinfo::mounted_on;
use crate::users::users_of;

/// Helpers that unmount for a user, the current one first.
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// Where to look besides PATH, which a service may not have set.
const HELPER_DIRECTORIES: [&str; 2] = ["/usr/bin", "/bin"];

/// How often and after how long a mount that is in use is tried again: whoever looks at all mounts, as df does, uses it
/// for a moment.
const ATTEMPTS: u32 = 11;
const PAUSE: Duration = Duration::from_millis(100);

/// Unmount what is mounted on a directory; one that is in use is tried again for a second. `lazy` takes the mount
/// away from its place at once, and ends it when its last user has gone.
///
/// # Errors
/// [`MountError::NotMounted`], [`MountError::Busy`], [`MountError::HelperMissing`], [`MountError::Failed`].
pub fn unmount(mountpoint: &Path, lazy: bool) -> Result<(), MountError> {
    let point = resolve(mountpoint)?;
    match mounted_on(&point) {
        Ok(None) => return Err(MountError::NotMounted(point)),
        Ok(Some(_)) => {}
        Err(source) => tracing::debug!(%source, "mountinfo cannot be read"),
    }
    for _ in 1..ATTEMPTS {
        match attempt(&point, lazy) {
            Err(MountError::Busy { .. }) => thread::sleep(PAUSE),
            result => return result,
        }
    }
    match attempt(&point, lazy) {
        Err(MountError::Busy { point, .. }) => {
            let by = users_of(&point);
            Err(MountError::Busy { point, by })
        }
        result => result,
    }
}

fn busy(point: &Path) -> MountError {
    MountError::Busy { point: point.to_owned(), by: Vec::new() }
}

fn attempt(point: &Path, lazy: bool) -> Result<(), MountError> {
    let flags = if lazy { UnmountFlags::DETACH } else { UnmountFlags::empty() };
    match umount2(point, flags) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::PERM) => by_helper(point, lazy),
        Err(rustix::io::Errno::BUSY) => Err(busy(point)),
        Err(errno) => {
            Err(MountError::Failed { doing: "unmounting", point: point.to_owned(), source: errno.into() })
        }
    }
}

/// The helper that mounts and unmounts for users.
pub(crate) fn helper() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = || env::split_paths(&path).chain(HELPER_DIRECTORIES.map(PathBuf::from));
    HELPERS.iter().find_map(|name| directories().map(|dir| dir.join(name)).find(|file| file.is_file()))
}

/// The directory without links, found through its parent where the directory itself does not answer: it may be a
/// dead mount.
///
/// # Errors
/// [`MountError::Missing`], [`MountError::Failed`].
pub fn resolve(mountpoint: &Path) -> Result<PathBuf, MountError> {
    let failed = |source| MountError::Failed { doing: "finding", point: mountpoint.to_owned(), source };
    let absolute = std::path::absolute(mountpoint).map_err(failed)?;
    if let Ok(path) = absolute.canonicalize() {
        return Ok(path);
    }
    match (absolute.parent(), absolute.file_name()) {
        (Some(parent), Some(name)) => match parent.canonicalize() {
            Ok(parent) => Ok(parent.join(name)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(MountError::Missing(absolute)),
            Err(error) => Err(failed(error)),
        },
        _ => Ok(absolute),
    }
}

fn by_helper(point: &Path, lazy: bool) -> Result<(), MountError> {
    let mut command = Command::new(helper().ok_or(MountError::HelperMissing)?);
    command.arg("-u").args(lazy.then_some("-z")).arg("--").arg(point).env("LC_ALL", "C");
    let failed = |source| MountError::Failed { doing: "unmounting", point: point.to_owned(), source };
    let output = command.output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if message.contains("busy") {
        return Err(busy(point));
    }
    Err(failed(io::Error::other(message)))
}
