//! Mounting, and the life of a mount.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use fs_core::{Filesystem, Ino, Kernel};
use fuser::{BackgroundSession, Config, INodeNo, MountOption, Notifier, Session, SessionACL};
use rustix::fs::{Access, access};
use rustix::process::geteuid;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::adapter::{Adapter, Interrupts};
use crate::error::MountError;
use crate::mountinfo::mounted_on;
use crate::unmount::{helper, resolve, unmount};

/// The type of our mounts after `fuse.`.
const SUBTYPE: &str = "sharefs";
const DEVICE: &str = "/dev/fuse";
/// Longest wait for the server to close what was open when the mount ended.
const SHUTDOWN_TIME: Duration = Duration::from_secs(10);

/// How to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FuseOptions {
    /// What the list of mounts shows as the source: `//server/share`.
    pub fsname: String,
    /// Let other users in; the modes still apply.
    pub allow_other: bool,
    /// Have the kernel refuse every change.
    pub read_only: bool,
    /// Have the kernel start no programs from here.
    pub no_exec: bool,
    /// Have the kernel check the modes. Without, only the server does.
    pub default_permissions: bool,
    /// Threads that receive requests from the kernel, at least 1.
    pub threads: usize,
}

impl Default for FuseOptions {
    fn default() -> Self {
        Self {
            fsname: SUBTYPE.into(),
            allow_other: false,
            read_only: false,
            no_exec: false,
            default_permissions: true,
            threads: 2,
        }
    }
}

/// Mount a filesystem on a directory, and serve it on a runtime until it is unmounted.
///
/// The call blocks for the moment that the kernel takes to mount; it does not wait for the server.
///
/// # Errors
/// All that can be in the way has its own [`MountError`], with advice.
pub fn mount(
    fs: Arc<Filesystem>,
    mountpoint: &Path,
    options: &FuseOptions,
    runtime: Handle,
) -> Result<Mounted, MountError> {
    let point = check(mountpoint, options)?;
    let failed = |source| MountError::Failed { doing: "mounting", point: point.clone(), source };
    let adapter = Adapter::new(fs.clone(), runtime.clone());
    let requests = adapter.requests();
    let session = Session::new(adapter, &point, &config(options)).map_err(failed)?;
    let device = mounted_on(&point).ok().flatten().map(|mount| mount.device);
    let background = session.spawn().map_err(failed)?;
    let kernel = Arc::new(KernelCaches(background.notifier()));
    let serving = runtime.spawn(fs.clone().serve(kernel)).abort_handle();
    let (sender, ended) = watch::channel(None);
    let watched = point.clone();
    thread::Builder::new()
        .name("sharefs-mount".into())
        .spawn(move || {
            watch_over(background, &watched, &fs, &runtime, &sender);
            serving.abort();
        })
        .map_err(failed)?;
    Ok(Mounted { point, device, requests, ended })
}

/// A mount being served. Dropping it unmounts, lazily.
#[derive(Debug)]
pub struct Mounted {
    point: PathBuf,
    device: Option<String>,
    requests: Arc<Interrupts>,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

/// What the kernel keeps of the mount.
struct KernelCaches(Notifier);

impl KernelCaches {
    /// The kernel says ENOENT of what it does not have.
    fn told(what: &str, result: io::Result<()>) {
        if let Err(error) = result
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(what, %error, "the kernel could not be told");
        }
    }
}

impl Kernel for KernelCaches {
    fn forget_data(&self, ino: Ino) {
        Self::told("data", self.0.inval_inode(INodeNo(ino.0), 0, 0));
    }

    fn forget_attributes(&self, ino: Ino) {
        Self::told("attributes", self.0.inval_inode(INodeNo(ino.0), -1, 0));
    }

    fn forget_name(&self, parent: Ino, name: &str) {
        Self::told("a name", self.0.inval_entry(INodeNo(parent.0), OsStr::new(name)));
    }
}

impl Mounted {
    /// Where it is mounted.
    pub fn mountpoint(&self) -> &Path {
        &self.point
    }

    /// How many requests of the kernel have no answer yet.
    pub fn requests_under_way(&self) -> usize {
        self.requests.under_way()
    }

    /// Whether it has been unmounted, by whomever.
    pub fn has_ended(&self) -> bool {
        self.ended.borrow().is_some() || self.ended.has_changed().is_err()
    }

    /// Wait until it has been unmounted, by whomever, and all that was open is closed on the server.
    ///
    /// # Errors
    /// [`MountError::Session`] if it ended otherwise.
    pub async fn ended(&self) -> Result<(), MountError> {
        let mut ended = self.ended.clone();
        let outcome = match ended.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => Some(Err("its thread has died".to_owned())),
        };
        outcome.unwrap_or(Ok(())).map_err(MountError::Session)
    }

    /// Unmount. When this answers, no new request can come; [`Self::ended`] tells when the last is done. A lazy
    /// unmount ends when its last user has gone.
    ///
    /// # Errors
    /// As [`unmount`]; nothing if it has been unmounted already.
    pub fn unmount(&self, lazy: bool) -> Result<(), MountError> {
        if self.has_ended() || !self.is_ours() {
            return Ok(());
        }
        unmount(&self.point, lazy)
    }

    /// Whether the mount point still has this mount on it, and not a later one.
    fn is_ours(&self) -> bool {
        match (mounted_on(&self.point), &self.device) {
            (Ok(now), Some(device)) => now.is_some_and(|mount| mount.device == *device),
            _ => true,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = self.unmount(true) {
            tracing::warn!(%error, "a mount is left behind");
        }
    }
}

/// Wait for the end of the session, then tidy up.
fn watch_over(
    mut background: BackgroundSession,
    point: &Path,
    fs: &Filesystem,
    runtime: &Handle,
    sender: &watch::Sender<Option<Result<(), String>>>,
) {
    let serving = std::mem::replace(&mut background.guard, thread::spawn(|| Ok(())));
    // Dropped, it would unmount by path, and by then the path may have another mount on it. What is lost is
    // one file descriptor.
    std::mem::forget(background);
    let outcome = match serving.join() {
        Ok(Ok(())) => Ok(()),
        // The other way the kernel says that the mount is gone, if it was about to hand out a request.
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("a thread that received requests has panicked".to_owned()),
    };
    tracing::debug!(point = %point.display(), ?outcome, "the mount has ended");
    let shutdown = runtime.block_on(async { tokio::time::timeout(SHUTDOWN_TIME, fs.shutdown()).await });
    if shutdown.is_err() {
        tracing::warn!("the server did not close in time what was open");
    }
    for path in fs.unsaved() {
        tracing::error!(%path, "what was written to this file is not on the server, and is lost");
    }
    sender.send_replace(Some(outcome));
}

fn config(options: &FuseOptions) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(source_name(&options.fsname)),
        // As an option of the kernel, so that it is there also when root mounts without a helper.
        MountOption::CUSTOM(format!("subtype={SUBTYPE}")),
        MountOption::NoSuid,
        MountOption::NoDev,
        if options.read_only { MountOption::RO } else { MountOption::RW },
    ];
    if options.no_exec {
        config.mount_options.push(MountOption::NoExec);
    }
    if options.default_permissions {
        config.mount_options.push(MountOption::DefaultPermissions);
    }
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(options.threads.max(1));
    config.clone_fd = true;
    config
}

/// The helper takes its options separated by commas.
fn source_name(name: &str) -> String {
    name.replace(|c: char| c == ',' || c == '\\' || c.is_control(), "_")
}

/// Take away what a process that died has left mounted on a directory: whether there was such a thing.
///
/// # Errors
/// As [`unmount`].
pub fn clear_dead(mountpoint: &Path) -> Result<bool, MountError> {
    let point = resolve(mountpoint)?;
    let is_dead = fs::metadata(&point)
        .is_err_and(|error| error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error()));
    let is_ours = matches!(
        mounted_on(&point), Ok(Some(mount)) if mount.kind == format!("fuse.{SUBTYPE}")
    );
    if !is_dead || !is_ours {
        return Ok(false);
    }
    unmount(&point, true)?;
    Ok(true)
}

/// See to all that can be in the way, before anything is asked of a server; answers with the directory without
/// links.
///
/// # Errors
/// As [`mount`].
pub fn check(mountpoint: &Path, options: &FuseOptions) -> Result<PathBuf, MountError> {
    let failed = |source| MountError::Failed { doing: "mounting", point: mountpoint.to_owned(), source };
    let point = resolve(mountpoint)?;
    match fs::metadata(&point) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => return Err(MountError::NotADirectory(point)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(MountError::Missing(point)),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NOTCONN.raw_os_error()) => {
            return Err(MountError::Dead(point));
        }
        Err(error) => return Err(failed(error)),
    }
    if let Ok(Some(mount)) = mounted_on(&point)
        && mount.kind == format!("fuse.{SUBTYPE}")
    {
        return Err(MountError::AlreadyMounted { point, source_name: mount.source });
    }
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(MountError::DeviceDenied(error));
        }
        Err(_) => return Err(MountError::DeviceMissing),
    }
    if geteuid().is_root() {
        return Ok(point);
    }
    if access(&point, Access::WRITE_OK).is_err() {
        return Err(MountError::NotWritable(point));
    }
    if helper().is_none() {
        return Err(MountError::HelperMissing);
    }
    let lets_others = |text: String| text.lines().any(|line| line.trim() == "user_allow_other");
    if options.allow_other && !fs::read_to_string("/etc/fuse.conf").is_ok_and(lets_others) {
        return Err(MountError::AllowOther);
    }
    Ok(point)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_mounted_on_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let options = FuseOptions::default();
        let missing = check(&dir.path().join("no/such"), &options).unwrap_err();
        assert!(matches!(missing, MountError::Missing(_)), "{missing}");
        let missing = check(&dir.path().join("no"), &options).unwrap_err();
        assert!(missing.to_string().contains("mkdir -p"), "{missing}");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(check(&file, &options).unwrap_err(), MountError::NotADirectory(_)));
    }

    #[test]
    fn a_source_name_cannot_carry_options() {
        assert_eq!(source_name("//srv/a,allow_other\\\n"), "//srv/a_allow_other__");
    }
}
