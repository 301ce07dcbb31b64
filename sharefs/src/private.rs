//! Files that are this user's alone: where they are, how they are read and replaced.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// No file of ours is larger; what is, was not written by us.
const LARGEST: u64 = 4 << 20;

/// What a folder of ours is for; the XDG base directories know the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// What the user would take along to another machine.
    Data,
    /// What belongs to this machine.
    State,
    /// What the user may edit.
    Config,
}

/// This user's folder of ours, made or not. Root has the system's, whatever the environment says: what root saves in
/// a shell has to be found at boot.
pub(crate) fn folder(purpose: Purpose) -> Result<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Ok(match purpose {
            Purpose::Data => "/var/lib/sharefs".into(),
            Purpose::State | Purpose::Config => "/etc/sharefs".into(),
        });
    }
    Ok(base(purpose)?.join("sharefs"))
}

/// The base directory of the XDG specification.
pub(crate) fn base(purpose: Purpose) -> Result<PathBuf> {
    let (variable, below_home) = match purpose {
        Purpose::Data => ("XDG_DATA_HOME", ".local/share"),
        Purpose::State => ("XDG_STATE_HOME", ".local/state"),
        Purpose::Config => ("XDG_CONFIG_HOME", ".config"),
    };
    // A relative path is to be ignored, as that specification says.
    match std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(path) => Ok(path),
        None => Ok(home()?.join(below_home)),
    }
}

/// Where the user is at home: services and cron have no HOME.
pub(crate) fn home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute()) {
        return Ok(home);
    }
    let uid = rustix::process::geteuid().as_raw();
    account(uid)
        .map(|account| account.home)
        .with_context(|| format!("the user {uid} has no home directory: set HOME"))
}

/// A user as the system knows it.
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: PathBuf,
}

/// Looks a user up: in `/etc/passwd`, and where the system has other sources by getent(1).
pub(crate) fn account(uid: u32) -> Option<Account> {
    let find = |table: &str| {
        table.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, number, _, _, home, ..] = fields[..] else { return None };
            let ours = number.parse() == Ok(uid) && home.starts_with('/');
            ours.then(|| Account { name: name.into(), home: home.into() })
        })
    };
    find(&fs::read_to_string("/etc/passwd").unwrap_or_default()).or_else(|| {
        let output = Command::new("/usr/bin/getent").arg("passwd").arg(uid.to_string()).output().ok()?;
        find(&String::from_utf8_lossy(&output.stdout))
    })
}

/// Makes a folder of this user's alone, and what is missing above it.
pub(crate) fn make(dir: &Path) -> Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", dir.display()));
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} is not a folder of this user's: it is not used", dir.display());
    }
    Ok(())
}

/// Reads a file of secrets; none where there is no such file.
///
/// # Errors
///
/// Where it is somebody else's, open to others, a link, or too large.
pub(crate) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let metadata = file.metadata().with_context(|| format!("cannot read {}", path.display()))?;
    let shown = path.display();
    if !metadata.is_file() {
        bail!("{shown} is not a file");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        bail!("{shown} belongs to the user {}: it is not used", metadata.uid());
    }
    if metadata.mode() & 0o077 != 0 {
        bail!("others may use {shown}: run chmod 600 {shown}, and change what they may have seen");
    }
    if metadata.len() > LARGEST {
        bail!("{shown} is too large to be one of ours");
    }
    // Room for all of it: what a growing buffer leaves behind would not be wiped.
    let room = usize::try_from(metadata.len()).unwrap_or(0) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(LARGEST).read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
    Ok(Some(bytes))
}

/// Makes this a file's content in one step: whatever fails, what was there stays.
///
/// Two at once would write the same new file: the caller has the [`lock`] of the folder.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    replace_with_mode(path, content, 0o600)
}

/// The same for a file that others may read.
pub(crate) fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let fresh = path.with_file_name(format!(".{name}.sharefs-new"));
    let _ = fs::remove_file(&fresh);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        let parent = path.parent().unwrap_or_else(|| Path::new("/"));
        File::open(parent)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&fresh);
        anyhow::Error::from(error).context(format!("cannot write {}", path.display()))
    })
}

/// Keeps other processes of ours out of a folder for as long as the file lives.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let lock = || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.lock().map(|()| file)
    };
    lock().with_context(|| format!("cannot lock {}", path.display()))
}
