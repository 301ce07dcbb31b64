//! What is mounted: a file for each mount, written by the process that serves it, read by `status` and `umount`.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::codes;

/// The type that the kernel shows for our mounts.
const FUSE_TYPE: &str = "fuse.sharefs";
const ROOTS_DIR: &str = "/run/sharefs";

/// What a serving process says of its mount. Never a secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct MountRecord {
    pub(crate) dir: PathBuf,
    pub(crate) source: String,
    pub(crate) user: String,
    /// Where the password came from.
    #[serde(default)]
    pub(crate) password_from: String,
    pub(crate) pid: i32,
    /// The process's start, in the kernel's ticks: a process number is given out again.
    pub(crate) started: u64,
    /// RFC 3339
    pub(crate) since: String,
    pub(crate) dialect: String,
    /// The algorithm, or `none`.
    pub(crate) signing: String,
    /// The cipher, or `none`.
    pub(crate) encryption: String,
    pub(crate) read_only: bool,
    /// `ok`, or what is wrong.
    pub(crate) state: String,
    /// It is in a namespace of its own, with the one command that sees it.
    #[serde(default)]
    pub(crate) private: bool,
    /// Its control socket.
    #[serde(default)]
    pub(crate) control: Option<PathBuf>,
}

/// This user's folder for such files, made if missing: the same one for as long as this process lives.
pub(crate) fn runtime_dir() -> Result<PathBuf> {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    if let Some(dir) = DIR.get() {
        return Ok(dir.clone());
    }
    let dir = make_runtime_dir()?;
    Ok(DIR.get_or_init(|| dir).clone())
}

fn make_runtime_dir() -> Result<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    if uid == 0 {
        return own_dir(PathBuf::from(ROOTS_DIR), uid);
    }
    if let Some(dir) = session_dir(uid) {
        return own_dir(dir, uid);
    }
    own_dir(shared_dir(uid), uid).or_else(|error| {
        // Whoever came first has that name; nobody else can have one at home.
        home_dir().map_or(Err(error), |dir| own_dir(dir, uid))
    })
}

/// Where this user's files may be: cron mounts where there is no session, and a session looks for it.
fn folders() -> Vec<PathBuf> {
    let uid = rustix::process::getuid().as_raw();
    let mut folders = match uid {
        0 => vec![PathBuf::from(ROOTS_DIR)],
        _ => session_dir(uid).into_iter().chain([shared_dir(uid)]).chain(home_dir()).collect(),
    };
    folders.retain(|dir| fs::symlink_metadata(dir).is_ok_and(|dir| dir.is_dir() && dir.uid() == uid));
    folders
}

/// The session's folder, where there is one. `su` and `sudo` leave the variable of somebody else behind, and cron has none;
/// systemd's folder may be there all the same.
fn session_dir(uid: u32) -> Option<PathBuf> {
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let mut bases = given.into_iter().chain([PathBuf::from(format!("/run/user/{uid}"))]);
    let base = bases.find(|base| fs::metadata(base).is_ok_and(|base| base.uid() == uid))?;
    Some(base.join("sharefs"))
}

fn shared_dir(uid: u32) -> PathBuf {
    std::env::temp_dir().join(format!("sharefs-{uid}"))
}

fn home_dir() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".sharefs"))
}

fn own_dir(dir: PathBuf, uid: u32) -> Result<PathBuf> {
    match DirBuilder::new().mode(0o700).create(&dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| format!("cannot make {}", dir.display()));
        }
        _ => {}
    }
    let metadata = fs::symlink_metadata(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
    if !metadata.is_dir() || metadata.uid() != uid {
        bail!("{} is somebody else's: set XDG_RUNTIME_DIR to a folder of your own", dir.display());
    }
    fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
    Ok(dir)
}

fn file_of(dir: &Path, extension: &str) -> Result<PathBuf> {
    Ok(runtime_dir()?.join(name_of(dir, extension)))
}

/// The files of `dir` that there are, in whatever folder.
fn files_of(dir: &Path, extension: &str) -> impl Iterator<Item = PathBuf> {
    let name = name_of(dir, extension);
    folders().into_iter().map(move |folder| folder.join(&name)).filter(|path| path.exists())
}

fn name_of(dir: &Path, extension: &str) -> String {
    let name = utf8_percent_encode(&dir.to_string_lossy(), NON_ALPHANUMERIC).to_string();
    // File names end at 255 bytes; the tail of a path tells more than its head, and the hash tells the rest.
    let tail = &name[name.len().saturating_sub(100)..];
    let digest = Sha256::digest(dir.as_os_str().as_bytes());
    let hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{tail}-{hash}.{extension}")
}

/// Where the process that serves `dir` writes what it has to say.
pub(crate) fn log_file(dir: &Path) -> Result<PathBuf> {
    file_of(dir, "log")
}

/// Keeps other commands from mounting on `dir` for as long as the file lives.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let path = file_of(dir, "lock")?;
    let lock = || {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
        file.lock().map(|()| file)
    };
    lock().with_context(|| format!("cannot lock {}", path.display()))
}

/// Keeps the reason why `dir` could not be mounted, or forgets it.
pub(crate) fn note_failure(dir: &Path, reason: Option<&str>) {
    let old = files_of(dir, "failed").try_for_each(fs::remove_file);
    let noted = old.map_err(anyhow::Error::from).and_then(|()| match reason {
        Some(reason) => Ok(fs::write(file_of(dir, "failed")?, reason)?),
        None => Ok(()),
    });
    if let Err(error) = noted {
        tracing::debug!(%error, "noting why a mount failed");
    }
}

/// Why `dir` could not be mounted.
pub(crate) fn failure(dir: &Path) -> Option<String> {
    files_of(dir, "failed").find_map(|path| fs::read_to_string(path).ok())
}

impl MountRecord {
    /// Writes or replaces the record.
    pub(crate) fn save(&self) -> Result<()> {
        let path = file_of(&self.dir, "json")?;
        let fresh = path.with_extension("new");
        fs::write(&fresh, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&fresh, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the record, unless another process has taken the folder over.
    pub(crate) fn remove(&self) {
        if Self::load(&self.dir).is_some_and(|record| record.pid == self.pid)
            && let Ok(path) = file_of(&self.dir, "json")
            && let Err(error) = fs::remove_file(path)
        {
            tracing::debug!(%error, "removing the mount's record");
        }
    }

    /// The record of a folder: where there are several, of the process that is there.
    pub(crate) fn load(dir: &Path) -> Option<Self> {
        let records = files_of(dir, "json").filter_map(|path| Self::read(&path));
        let (alive, dead): (Vec<_>, Vec<_>) =
            records.filter(|record| record.dir == dir).partition(Self::is_alive);
        alive.into_iter().chain(dead).next()
    }

    /// The record of the mount that this user has on a folder, as it was named.
    ///
    /// # Errors
    /// Where there is none, or its process has ended.
    pub(crate) fn of_mount(named: &Path) -> Result<Self> {
        let dir = fs_fuse::resolve(named)?;
        let record = Self::load(&dir).filter(Self::is_alive);
        record.ok_or_else(|| codes::NOT_MOUNTED.says(format!("{} is no mount of yours", dir.display())))
    }

    fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Whether its process is there.
    pub(crate) fn is_alive(&self) -> bool {
        start_of(&self.pid.to_string()) == Some(self.started)
    }
}

/// When a process (a number, or `self`) started, in the kernel's ticks; none if it has ended.
pub(crate) fn start_of(process: &str) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The second field is the command's name, in parentheses, and may contain anything.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    // A process that nobody has waited for yet is listed, but serves nothing.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(22 - 4)?.parse().ok()
}

/// Folders on which the kernel has one of our file systems, with its source.
pub(crate) fn kernel_mounts() -> Result<BTreeMap<PathBuf, String>> {
    let table = fs::read_to_string("/proc/self/mountinfo").context("cannot read the mount table")?;
    Ok(table.lines().filter_map(parse_mountinfo).collect())
}

/// `36 35 98:0 /root /dir options - type source options`, with blanks as octal escapes.
fn parse_mountinfo(line: &str) -> Option<(PathBuf, String)> {
    let (head, tail) = line.split_once(" - ")?;
    let mut tail = tail.split(' ');
    if tail.next()? != FUSE_TYPE {
        return None;
    }
    let dir = unescape(head.split(' ').nth(4)?);
    Some((PathBuf::from(dir), unescape(tail.next()?)))
}

/// A field of a table of mounts.
pub(crate) fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All mounts of this user, dead ones with the reason.
pub(crate) fn all() -> Result<Vec<MountRecord>> {
    let mounted = kernel_mounts()?;
    let mut records = Vec::new();
    let folders = folders().into_iter().map(fs::read_dir).collect::<io::Result<Vec<_>>>()?;
    for entry in folders.into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let Some(mut record) = MountRecord::read(&path) else { continue };
        let alive = record.is_alive();
        // In another folder there is one of the mount that came after it.
        let latest = MountRecord::load(&record.dir).is_none_or(|latest| latest.pid == record.pid);
        match (alive, latest && mounted.contains_key(&record.dir)) {
            (true, true) => {}
            (true, false) if record.private => {}
            (true, false) => record.state = "unmounting".into(),
            (false, true) => {
                record.state =
                    format!("dead: its process ended; run sharefs umount {}", record.dir.display());
            }
            (false, false) => {
                // Killed, and unmounted or mounted anew since: nothing is left of it but this file.
                if let Err(error) = fs::remove_file(&path) {
                    tracing::debug!(%error, "removing a stale record");
                }
                continue;
            }
        }
        records.push(record);
    }
    records.sort_by(|a, b| a.dir.cmp(&b.dir));
    Ok(records)
}

/// `sharefs status`
pub(crate) fn run(json: bool, verbose: bool) -> Result<ExitCode> {
    let records = all()?;
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&records)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if records.is_empty() {
        writeln!(out, "Nothing is mounted.")?;
    }
    for record in records {
        let flag = if record.read_only { ", read-only" } else { "" };
        writeln!(out, "{} on {}", record.source, record.dir.display())?;
        writeln!(out, "  state       {}", record.state)?;
        writeln!(
            out,
            "  protection  SMB {}, signing {}, encryption {}",
            record.dialect, record.signing, record.encryption
        )?;
        writeln!(out, "  user        {}{flag}", record.user)?;
        if verbose {
            writeln!(out, "  password    {}", record.password_from)?;
        }
        writeln!(out, "  since       {} (process {})", record.since, record.pid)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The present time as a record has it.
pub(crate) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_table_is_read_with_its_escapes() {
        let line = "36 35 0:45 / /mnt/a\\040b rw,nosuid - fuse.sharefs //s/x\\040y rw,user_id=1";
        assert_eq!(parse_mountinfo(line), Some((PathBuf::from("/mnt/a b"), "//s/x y".into())));
        assert_eq!(parse_mountinfo("36 35 0:45 / /mnt rw - ext4 /dev/vda rw"), None);
        assert_eq!(unescape("a\\b\\0"), "a\\b\\0");
    }
}
