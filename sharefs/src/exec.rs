//! `exec`: a command with a share mounted for it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context, Result, anyhow};
use clap::{Arg, ArgAction, ArgMatches};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::signal::unix::{SignalKind, signal};

use crate::bring::Wanted;
use crate::cli::{options, text, usage};
use crate::codes;
use crate::control::{self, Request};
use crate::credentials::Ask;
use crate::mount::{OnlyFor, mount_for, unmount_from};
use crate::options::arguments;
use crate::show::{complaint, shown, tell};
use crate::source::Source;
use crate::status::{MountRecord, runtime_dir, start_of};

/// Where the command finds the share.
const VARIABLE: &str = "SHAREFS_DIR";
/// The same as the beginning of an argument.
const PLACE: &str = "{}";

/// Of the folders that are made for it.
const PREFIX: &str = "exec-";

/// env(1)'s exit codes: it was not run for reasons of ours, cannot be run, is not there.
const NOT_RUN: u8 = 125;
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// What a shell adds to the number of the signal that ended a command.
const BY_SIGNAL: i32 = 128;

pub(crate) fn command() -> clap::Command {
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    clap::Command::new("exec")
        .about("Run a command with a share mounted for it, and end with its exit code")
        .args(arguments(true))
        .arg(
            Arg::new("source")
                .long("with-mount")
                .value_name("SOURCE")
                .required(true)
                .help("//server/share/path: what to mount"),
        )
        .arg(
            Arg::new("at")
                .long("at")
                .value_name("DIR")
                .value_parser(clap::value_parser!(PathBuf))
                .help("Where to; else in a folder made for it"),
        )
        .arg(switch("shared").help("Have all of this user's processes see the mount"))
        .arg(switch("probe").long("internal-probe").hide(true))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .last(true)
                .num_args(1..)
                .required_unless_present("probe")
                .value_parser(clap::value_parser!(OsString))
                .help("The command; {} at the beginning of an argument, and $SHAREFS_DIR, is the folder"),
        )
}

/// `sharefs exec`
pub(crate) fn run(matches: &ArgMatches) -> ExitCode {
    if matches.get_flag("probe") {
        return probe().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    run_in_mount(matches).unwrap_or_else(|error| {
        tell(&format!("sharefs: {}", complaint(&error)));
        NOT_RUN.into()
    })
}

fn run_in_mount(matches: &ArgMatches) -> Result<ExitCode> {
    let source = Source::parse(text(matches, "source")?).map_err(usage)?;
    let command: Vec<&OsString> = matches.get_many("command").unwrap_or_default().collect();
    // As long as there is one thread only.
    let private = !matches.get_flag("shared") && is_possible();
    if private {
        fs_fuse::enter_namespace().context("cannot have mounts of its own")?;
    }
    let folder = Folder::new(matches.get_one("at").cloned())?;
    let dir = folder.path.clone();
    let ask = Ask::with(matches.get_flag("password-stdin"));
    let wanted = Wanted { source, options: options(matches)?, dir, ask };
    let process = rustix::process::getpid().as_raw_pid();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        // From here on a signal no longer ends this process before the mount is gone.
        let mut signals = Signals::new()?;
        // The mount ends with the thread that makes it.
        mount_for(&wanted, OnlyFor { process, private })?;
        fs_fuse::give_no_rights()?;
        let result = run_command(&command, &folder.path, &mut signals).await;
        let saved = finish(&folder.path, &mut signals).await;
        let code = result?;
        match saved {
            Err(error) => {
                tell(&format!("sharefs: {}", complaint(&error)));
                Ok(if code == 0 { ExitCode::FAILURE } else { code.into() })
            }
            Ok(()) => Ok(code.into()),
        }
    })
}

/// Whether this user can have mounts that others do not see: another process tries, because failing leaves it in a state
/// of which there is no way back.
fn is_possible() -> bool {
    let probe = || {
        let mut probe = Command::new(env::current_exe()?);
        probe.args(["exec", "--with-mount", "//probe/probe", "--internal-probe"]);
        probe.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()
    };
    match probe() {
        Ok(status) => status.success(),
        Err(error) => {
            tracing::debug!(%error, "trying for mounts of its own");
            false
        }
    }
}

/// Systems may allow the namespace, and nothing in it.
fn probe() -> Result<()> {
    fs_fuse::enter_namespace()?;
    let nothing = rustix::mount::MountFlags::empty();
    Ok(rustix::mount::mount("none", runtime_dir()?, "tmpfs", nothing, None)?)
}

/// Where it is mounted. A folder that was made for it goes when it is dropped.
struct Folder {
    path: PathBuf,
    made: bool,
}

impl Folder {
    fn new(given: Option<PathBuf>) -> Result<Self> {
        if let Some(path) = given {
            return Ok(Self { path: fs_fuse::resolve(&path)?, made: false });
        }
        let folder = runtime_dir()?;
        sweep(&folder);
        let path = folder.join(format!("{PREFIX}{}", std::process::id()));
        // One of a process that had this number before is empty.
        let _ = fs::remove_dir(&path);
        let make = DirBuilder::new().mode(0o700).create(&path);
        make.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, made: true })
    }
}

/// Removes what processes left that were killed, where nothing is mounted on it any more.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let process = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if process.is_some_and(|process| start_of(process).is_none()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.made
            && let Err(error) = fs::remove_dir(&self.path)
        {
            tracing::debug!(%error, "removing the folder that was mounted on");
        }
    }
}

/// What this process is told while the command runs.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    hang_up: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    quit: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next that the command is to hear of. What a terminal says it says to the command as well.
    async fn next(&mut self) -> Signal {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Signal::TERM,
                _ = self.hang_up.recv() => return Signal::HUP,
                _ = self.interrupt.recv() => {}
                _ = self.quit.recv() => {}
            }
        }
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

/// Runs it to its end; its exit code.
async fn run_command(words: &[&OsString], dir: &Path, signals: &mut Signals) -> Result<u8> {
    let words: Vec<OsString> = words.iter().map(|word| in_place(word, dir)).collect();
    let (program, arguments) = words.split_first().context("a command is missing")?;
    let mut child = match Command::new(program).args(arguments).env(VARIABLE, dir).spawn() {
        Ok(child) => child,
        Err(error) => {
            let program = shown(Path::new(program));
            let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { CANNOT_RUN };
            tell(&format!("sharefs: {}", complaint(&anyhow!("cannot run {program}: {error}"))));
            return Ok(code);
        }
    };
    let process = Pid::from_child(&child);
    // Once it is waited for, its number may be another's.
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let ended = tokio::task::spawn_blocking(move || Child::wait(&mut child));
    tokio::pin!(ended);
    loop {
        tokio::select! {
            status = &mut ended => return Ok(code(status??)),
            told = signals.next() => {
                if let Err(error) = pidfd_send_signal(&process, told) {
                    tracing::debug!(%error, "telling the command to end");
                }
            }
        }
    }
}

fn in_place(word: &OsString, dir: &Path) -> OsString {
    match word.to_str().and_then(|word| word.strip_prefix(PLACE)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let mut path = dir.as_os_str().to_owned();
            path.push(rest);
            path
        }
        _ => word.clone(),
    }
}

fn code(status: ExitStatus) -> u8 {
    let number = status.code().or_else(|| status.signal().map(|signal| BY_SIGNAL + signal));
    number.and_then(|number| u8::try_from(number).ok()).unwrap_or(u8::MAX)
}

/// Has the server save what was written, and unmounts.
async fn finish(dir: &Path, signals: &mut Signals) -> Result<()> {
    let path = dir.to_owned();
    let save = tokio::task::spawn_blocking(move || {
        let record = MountRecord::of_mount(&path)?;
        control::ask(&record, &Request::Flush, None)
    });
    let saved = tokio::select! {
        saved = save => saved?.map(drop),
        () = signals.any() => {
            Err(codes::NOT_SAVED.says("told to end before the server had all that was written"))
        }
    };
    let path = dir.to_owned();
    let unmounted = tokio::task::spawn_blocking(move || {
        unmount_from(&path, false).or_else(|error| {
            tracing::warn!("{error:#}; detaching: what still uses it goes on until the server has it all");
            unmount_from(&path, true)
        })
    });
    saved.and(unmounted.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_takes_its_place() {
        let place = |word: &str| in_place(&OsString::from(word), Path::new("/mnt/a b"));
        for (word, is) in [("{}", "/mnt/a b"), ("{}/c", "/mnt/a b/c"), ("{}c", "{}c"), ("a{}", "a{}")] {
            assert_eq!(place(word), OsString::from(is));
        }
    }
}
