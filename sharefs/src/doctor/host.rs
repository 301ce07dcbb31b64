//! This machine: what mounting needs, and what earlier mounts left.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use fs_fuse::{FuseOptions, MountError};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use crate::codes::{
    self, ALREADY_MOUNTED, DEAD_MOUNT, FUSE_DENIED, FUSE_MISSING, FUSERMOUNT_MISSING, FUSERMOUNT_POWERLESS,
    LINGER_OFF, MOUNT_POINT_IN_USE, MOUNT_POINT_MISSING, UNHEALTHY_MOUNT, UNIT_MISSING,
};
use crate::{remembered, startup, status};

const DEVICE: &str = "/dev/fuse";
const SET_USER_ID: u32 = 0o4000;
/// How long mounts that nobody knows have to say that they are dead, and how many are asked.
const MOMENT: Duration = Duration::from_secs(1);
const MOST_MOUNTS: usize = 64;

/// Looks at all of it.
pub(crate) async fn look(patient: &Patient, report: &mut Report) {
    for check in [device(), helper(), others(patient)] {
        report.add(check);
    }
    let point = patient.clone();
    within(patient, "mount point", report, move || {
        vec![match &point.dir {
            Some(dir) => mount_point(&point, dir),
            None => Check::skipped(Group::Host, "mount point", "no folder was named"),
        }]
    })
    .await;
    report.add(startup_of_mounts());
    within(patient, "mounts", report, leftovers).await;
}

/// What looks at folders may meet a file system that does not answer: it is not waited for.
async fn within(
    patient: &Patient,
    name: &'static str,
    report: &mut Report,
    look: impl FnOnce() -> Vec<Check> + Send + 'static,
) {
    match timeout(patient.patience, spawn_blocking(look)).await {
        Ok(Ok(checks)) => checks.into_iter().for_each(|check| report.add(check)),
        _ => {
            let found = "its file system does not answer";
            report.add(Check::warning(Group::Host, name, &UNHEALTHY_MOUNT, found));
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn device() -> Check {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => Check::passed(Group::Host, "fuse", format!("{DEVICE} can be opened")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Check::failed(Group::Host, "fuse", &FUSE_DENIED, format!("{DEVICE}: {error}"))
                .mend(format!("chmod 0666 {DEVICE} (as root)"))
        }
        Err(error) => Check::failed(Group::Host, "fuse", &FUSE_MISSING, format!("{DEVICE}: {error}"))
            .mend("modprobe fuse (as root)"),
    }
}

fn helper() -> Check {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/bin", "/bin"].map(PathBuf::from));
    let found = folders.map(|dir| dir.join("fusermount3")).find(|file| file.is_file());
    match found {
        _ if is_root() => Check::skipped(Group::Host, "fusermount3", "root mounts without it"),
        None => Check::failed(Group::Host, "fusermount3", &FUSERMOUNT_MISSING, "fusermount3 is not there")
            .mend("apt-get install fuse3 (as root)"),
        Some(file) => {
            let shown = file.display();
            match fs::metadata(&file).is_ok_and(|metadata| metadata.permissions().mode() & SET_USER_ID != 0) {
                true => Check::passed(Group::Host, "fusermount3", format!("{shown} mounts for users")),
                false => {
                    let found = format!("{shown} is not set-user-ID");
                    Check::warning(Group::Host, "fusermount3", &FUSERMOUNT_POWERLESS, found)
                        .mend(format!("chmod u+s {shown} (as root)"))
                }
            }
        }
    }
}

fn others(patient: &Patient) -> Check {
    let allowed = fs::read_to_string("/etc/fuse.conf")
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"));
    let wanted = patient.options.mount.allow_other;
    if is_root() || allowed {
        Check::passed(Group::Host, "allow_other", "a mount may let other users in")
    } else if wanted {
        let found = "/etc/fuse.conf has no line user_allow_other";
        Check::failed(Group::Host, "allow_other", &codes::ALLOW_OTHER, found)
            .mend("echo user_allow_other >> /etc/fuse.conf (as root)")
    } else {
        Check::skipped(Group::Host, "allow_other", "only root may let others in, and it is not asked for")
    }
}

fn mount_point(patient: &Patient, dir: &Path) -> Check {
    let shown = dir.display();
    let error = match fs_fuse::check(dir, &FuseOptions::default()) {
        Ok(point) => return empty(&point),
        Err(error) => error,
    };
    match &error {
        MountError::AlreadyMounted { source_name, .. }
            if source_name.eq_ignore_ascii_case(&patient.source.to_string()) =>
        {
            Check::passed(Group::Host, "mount point", format!("{shown} has this share mounted on it"))
        }
        MountError::AlreadyMounted { .. } => {
            Check::warning(Group::Host, "mount point", &ALREADY_MOUNTED, error.to_string())
                .mend(format!("sharefs umount {shown}"))
        }
        MountError::Dead(_) => Check::warning(Group::Host, "mount point", &DEAD_MOUNT, error.to_string())
            .mend(format!("sharefs umount {shown}")),
        MountError::Missing(_) => {
            Check::failed(Group::Host, "mount point", &MOUNT_POINT_MISSING, error.to_string())
                .mend(format!("mkdir -p {shown}"))
        }
        // Each has its own check.
        MountError::DeviceMissing | MountError::DeviceDenied(_) | MountError::HelperMissing => {
            Check::skipped(Group::Host, "mount point", "mounting does not work at all yet")
        }
        _ => {
            let text = error.to_string();
            let error = anyhow::Error::from(error);
            Check::failed(Group::Host, "mount point", codes::of(&error), text)
        }
    }
}

fn empty(point: &Path) -> Check {
    let shown = point.display();
    match fs::read_dir(point).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Check::passed(Group::Host, "mount point", format!("{shown} is there, yours, and empty")),
        Ok(false) => {
            let found = format!("{shown} is not empty: a mount hides what is in it");
            Check::warning(Group::Host, "mount point", &MOUNT_POINT_IN_USE, found)
        }
        Err(error) => {
            let text = format!("{shown}: {error}");
            Check::failed(Group::Host, "mount point", codes::of(&error.into()), text)
        }
    }
}

/// Whether what is remembered comes back.
fn startup_of_mounts() -> Check {
    let look = || -> Result<Check> {
        let count = remembered::all()?.len();
        if count == 0 {
            return Ok(Check::skipped(Group::Host, "startup", "no mount is remembered"));
        }
        let Some(file) = startup::installed()? else {
            let found = format!("{count} mounts are remembered, and nothing mounts them");
            return Ok(Check::warning(Group::Host, "startup", &UNIT_MISSING, found));
        };
        Ok(match startup::waits_for_login() {
            Some(user) => {
                let found = format!("{} mounts them at the login of {user}, not at boot", file.display());
                Check::warning(Group::Host, "startup", &LINGER_OFF, found)
                    .mend(format!("loginctl enable-linger {user} (as root)"))
            }
            None => {
                Check::passed(Group::Host, "startup", format!("{} mounts what is remembered", file.display()))
            }
        })
    };
    look().unwrap_or_else(|error| failed("startup", &error))
}

/// Mounts that are not well, and reasons why some could not be made.
fn leftovers() -> Vec<Check> {
    let look = || -> Result<Vec<Check>> {
        let mut checks = Vec::new();
        let records = status::all()?;
        for record in &records {
            let shown = record.dir.display();
            let found = format!("{shown}: {}", record.state);
            if record.state.starts_with("dead") {
                let check = Check::warning(Group::Host, "mounts", &DEAD_MOUNT, found);
                checks.push(check.mend(format!("sharefs umount {shown}")));
            } else if record.state != "ok" {
                checks.push(Check::warning(Group::Host, "mounts", &UNHEALTHY_MOUNT, found));
            }
        }
        // Of another user, or without a record.
        let unknown = status::kernel_mounts()?.into_keys();
        let unknown = unknown.filter(|dir| !records.iter().any(|record| record.dir == *dir));
        for dir in dead_among(unknown) {
            let check =
                Check::warning(Group::Host, "mounts", &DEAD_MOUNT, format!("{} is dead", dir.display()));
            checks.push(check.mend(format!("sharefs umount {}", dir.display())));
        }
        for one in remembered::all()? {
            if let Some(reason) = status::failure(&one.dir) {
                let found = format!("{} could not be mounted: {}", one.dir.display(), reason.trim_end());
                let check = Check::warning(Group::Host, "mounts", &UNHEALTHY_MOUNT, found);
                checks.push(check.mend(format!("sharefs mount {}", one.dir.display())));
            }
        }
        if checks.is_empty() {
            let found = format!("{} mounts, all well", records.len());
            checks.push(Check::passed(Group::Host, "mounts", found).data(json!({ "mounts": records.len() })));
        }
        Ok(checks)
    };
    look().unwrap_or_else(|error| vec![failed("mounts", &error)])
}

/// Which of these mounts have lost their process. One that lives may take long to say so, and is not waited for.
fn dead_among(dirs: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let (sender, answers) = mpsc::channel();
    for dir in dirs.take(MOST_MOUNTS) {
        let sender = sender.clone();
        thread::spawn(move || {
            let dead = fs::metadata(&dir).is_err_and(|error| error.kind() == ErrorKind::NotConnected);
            sender.send((dir, dead))
        });
    }
    drop(sender);
    let until = Instant::now() + MOMENT;
    let next = || answers.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
    let mut dead: Vec<PathBuf> =
        std::iter::from_fn(next).filter(|(_, dead)| *dead).map(|(dir, _)| dir).collect();
    dead.sort();
    dead
}

fn failed(name: &'static str, error: &anyhow::Error) -> Check {
    Check::warning(Group::Host, name, codes::of(error), format!("{error:#}"))
}
