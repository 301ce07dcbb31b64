//! `mount` and `umount`.
//!
//! A mount is served by a process of its own. The command checks what it can, asks for the password, starts that
//! process, hands it the plan through a pipe (never through arguments or the environment), and waits until it
//! says that the mount is usable or why not.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches};
use fs_core::{
    CacheMode, Cause, Filesystem, HowToConnect, Lasting, LineState, MountOptions, Patience, SmbDial,
    SmbOptions, Symlinks,
};
use fs_fuse::FuseOptions;
use serde::{Deserialize, Serialize};
use smb_client::wire::Dialect;
use tokio::signal::unix::{Signal, SignalKind, signal};
use zeroize::Zeroizing;

use crate::bring::{self, Wanted};
use crate::cli::{MOUNT_FAILURE, options, text, usage};
use crate::codes;
use crate::connect::{Explain, connect_options, explain};
use crate::control::Control;
use crate::credentials::{Ask, Lookup};
use crate::options::{MountFlags, RawOptions};
use crate::serving::{Serving, told};
use crate::show::{complaint, printable, tell};
use crate::source::Source;
use crate::status::{self, MountRecord, log_file, now, start_of};

/// How long programs wait for a server that is away, with `soft`.
const SOFT_FOR: Duration = Duration::from_secs(60);
/// How long `umount` waits for the serving process to write what it has and end.
const UMOUNT_PATIENCE: Duration = Duration::from_secs(30);
/// How long the end waits for the server to take note of it.
const LOGOFF_TIME: Duration = Duration::from_secs(3);
/// What the serving process says when the mount is usable.
const READY: &str = "ready";
/// How long a server that need not be there is waited for: long enough that one that is there is connected to.
const FIRST_ATTEMPT: Duration = Duration::from_secs(3);
/// What is not agreed on yet.
const UNKNOWN: &str = "unknown";

/// All that the serving process needs. It holds the password: it lives in a pipe, not in a file.
#[derive(Serialize, Deserialize)]
struct Plan {
    host: String,
    share: String,
    path: String,
    dir: PathBuf,
    lookup: Lookup,
    port: Option<u16>,
    ip: Option<IpAddr>,
    dialects: Option<(u16, u16)>,
    guest: bool,
    seal: bool,
    sign: Option<bool>,
    flags: MountFlags,
    /// For which command it is, if for one only.
    #[serde(default)]
    only_for: Option<OnlyFor>,
}

/// A mount for a command, which ends with the process that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OnlyFor {
    /// The process that runs the command.
    pub(crate) process: i32,
    /// Nobody else sees it.
    pub(crate) private: bool,
}

impl Plan {
    fn new(source: Source, options: RawOptions, lookup: Lookup, dir: PathBuf) -> Self {
        Self {
            host: source.host,
            share: source.share,
            path: source.path,
            dir,
            lookup,
            port: options.port.or(source.port),
            ip: options.ip,
            dialects: options.dialects.map(|(oldest, newest)| (oldest as u16, newest as u16)),
            guest: options.guest,
            seal: options.seal,
            sign: options.sign,
            flags: options.mount,
            only_for: None,
        }
    }

    fn source(&self) -> Source {
        Source {
            host: self.host.clone(),
            port: self.port,
            share: self.share.clone(),
            path: self.path.clone(),
            directory: true,
            user: None,
            domain: None,
        }
    }

    fn options(&self) -> RawOptions {
        let dialect = |number| Dialect::from_wire(number).unwrap_or(Dialect::Smb311);
        RawOptions {
            guest: self.guest,
            seal: self.seal,
            sign: self.sign,
            ip: self.ip,
            port: self.port,
            dialects: self.dialects.map(|(oldest, newest)| (dialect(oldest), dialect(newest))),
            ..RawOptions::default()
        }
    }
}

impl OnlyFor {
    /// Has this process told to end when that one has ended, however that was.
    fn end_with(self) -> Result<()> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        let parent = rustix::process::getppid().map(rustix::process::Pid::as_raw_pid);
        if parent == Some(self.process) { Ok(()) } else { bail!("whoever wanted this mount has ended") }
    }
}

/// What `sharefs mount` takes beside the options.
pub(crate) fn arguments() -> Vec<Arg> {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    vec![
        switch("foreground", "Stay in the foreground").short('f').conflicts_with_all(["persist", "ensure"]),
        switch("persist", "Remember the mount, and have it come back: see sharefs list and forget"),
        switch("ensure", "Succeed if it is mounted and well; mount again what is dead"),
        switch("all", "Mount all that is remembered").conflicts_with_all(["source", "persist", "ensure"]),
        Arg::new("wait")
            .long("wait")
            .value_name("SECONDS")
            .default_value("0")
            .value_parser(clap::value_parser!(u32))
            .help("With --all: how long to try again what fails"),
        switch("daemon", "").long("internal-daemon").hide(true),
    ]
}

/// `sharefs mount`
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    if matches.get_flag("daemon") {
        return Ok(daemon());
    }
    if matches.get_flag("all") {
        let seconds = matches.get_one::<u32>("wait").copied().unwrap_or_default();
        return bring::all(Duration::from_secs(seconds.into()));
    }
    let ask = Ask::with(matches.get_flag("password-stdin"));
    let Some(dir) = matches.get_one::<PathBuf>("dir") else {
        let named = matches.get_one::<String>("source").filter(|named| Source::parse(named).is_err());
        let dir = named.ok_or_else(|| usage(anyhow!("where is it to be mounted? Give SOURCE and DIR")))?;
        bring::ensure(&Wanted::remembered(Path::new(dir), ask)?)?;
        return Ok(ExitCode::SUCCESS);
    };
    let source = Source::parse(text(matches, "source")?).map_err(usage)?;
    let wanted = Wanted { source, options: options(matches)?, dir: dir.clone(), ask };
    if matches.get_flag("persist") {
        let words = RawOptions::words(matches).map_err(usage)?;
        bring::persist(&wanted, words, matches.get_flag("ensure"))?;
    } else if matches.get_flag("ensure") {
        bring::ensure(&wanted)?;
    } else {
        mount(&wanted, Wanted::find, matches.get_flag("foreground"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Mounts with the credentials that `find` finds.
pub(crate) fn mount(
    wanted: &Wanted,
    find: impl FnOnce(&Wanted) -> Result<Lookup>,
    foreground: bool,
) -> Result<()> {
    // Before a password is asked for.
    if fs_fuse::clear_dead(&wanted.dir)? {
        tracing::info!("took away the mount of a process that has died");
    }
    fs_fuse::check(&wanted.dir, &FuseOptions::default())?;
    let lookup = find(wanted)?;
    let dir = wanted.dir.canonicalize().with_context(|| format!("cannot use {}", wanted.dir.display()))?;
    let plan = Plan::new(wanted.source.clone(), wanted.options.clone(), lookup, dir);
    if foreground { serve(&plan, true, tell_terminal) } else { start_daemon(&plan) }
}

/// Mounts for a command.
pub(crate) fn mount_for(wanted: &Wanted, only_for: OnlyFor) -> Result<()> {
    fs_fuse::check(&wanted.dir, &FuseOptions::default())?;
    let lookup = wanted.find()?;
    let dir = wanted.dir.canonicalize().with_context(|| format!("cannot use {}", wanted.dir.display()))?;
    let plan = Plan::new(wanted.source.clone(), wanted.options.clone(), lookup, dir);
    start_daemon(&Plan { only_for: Some(only_for), ..plan })
}

/// Starts the serving process and waits for its word.
fn start_daemon(plan: &Plan) -> Result<()> {
    let log = log_file(&plan.dir)?;
    let stderr = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut child = Command::new(program)
        // It may have been called by a helper's name.
        .arg0("sharefs")
        .args(["mount", "--internal-daemon", "--"])
        .arg(plan.source().to_string())
        .arg(&plan.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .current_dir("/")
        // The plan has what they said; the process shows its environment for as long as it lives.
        .env_remove("PASSWD")
        .env_remove("PASSWD_FILE")
        .env_remove("USER")
        // For glibc: what is large goes back to the system when it is freed. Left to itself it would keep the memory
        // of a cache that has been emptied, and twice the cache's size in holes.
        .env("MALLOC_MMAP_THRESHOLD_", "262144")
        .spawn()
        .context("cannot start the serving process")?;
    if let Some(mut pipe) = child.stdin.take() {
        let text = Zeroizing::new(serde_json::to_string(plan)?);
        pipe.write_all(text.as_bytes()).context("the serving process ended at once")?;
    }
    let mut said = String::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_string(&mut said).context("cannot hear the serving process")?;
    }
    if let Some(note) = said.strip_prefix(READY) {
        if !note.is_empty() {
            eprintln!("sharefs: {}", note.trim());
        }
        return Ok(());
    }
    let status = child.wait()?;
    if said.is_empty() {
        return Err(codes::SERVING_ENDED
            .says(format!("the serving process ended unexpectedly ({status}); see {}", log.display())));
    }
    bail!("{}", said.trim_end())
}

/// The serving process: the plan comes through standard input, the word goes to standard output.
fn daemon() -> ExitCode {
    let said = |word: &str| {
        let mut out = io::stdout().lock();
        let _ = out.write_all(word.as_bytes()).and_then(|()| out.flush());
    };
    let result = read_plan().and_then(|plan| {
        plan.only_for.map_or(Ok(()), OnlyFor::end_with)?;
        serve(&plan, false, |note| {
            said(READY);
            said(note);
            leave_terminal().context("cannot go to the background")
        })
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            said(&complaint(&error));
            tracing::error!("{}", complaint(&error));
            MOUNT_FAILURE.into()
        }
    }
}

fn read_plan() -> Result<Plan> {
    let mut text = Zeroizing::new(String::new());
    io::stdin().read_to_string(&mut text).context("no plan")?;
    serde_json::from_str(&text).map_err(|_| anyhow!("this option is for sharefs itself: use sharefs mount"))
}

/// Belongs to no terminal any more, and holds none of the starter's pipes: closing them is what it waits for.
fn leave_terminal() -> Result<()> {
    if let Err(error) = rustix::process::setsid() {
        tracing::debug!(%error, "setsid");
    }
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    Ok(())
}

fn tell_terminal(note: &str) -> Result<()> {
    if !note.is_empty() {
        eprintln!("sharefs: {note}");
    }
    Ok(())
}

/// Connects, mounts, says so and what is to be known of it, and serves until the mount is gone.
fn serve(plan: &Plan, foreground: bool, ready: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let source = plan.source();
        let found = plan.lookup.find()?;
        let (user, origin) = (found.user(), found.origin);
        let smb = SmbOptions {
            mfsymlinks: plan.flags.mfsymlinks,
            sfu: plan.flags.sfu,
            posix: !plan.flags.no_posix,
            mode_from_sid: plan.flags.mode_from_sid,
            ids_from_sid: plan.flags.ids_from_sid,
            snapshot: plan.flags.snapshot.as_deref().and_then(smb_client::snapshot_time),
        };
        let dial = Arc::new(SmbDial::new(how_to_connect(plan), &source.share, &source.path, smb));
        let remote = Arc::new(if plan.flags.delay_connect {
            begin(dial.clone(), patience(&plan.flags)).await
        } else {
            connect(dial.clone(), patience(&plan.flags), &source).await?
        });
        let filesystem = Arc::new(Filesystem::new(remote.clone(), mount_options(&plan.flags)));
        let fuse_options = fuse_options(plan, &source);
        let signals = Signals::new(foreground)?;
        let control = Control::bind()?;
        let mounted =
            fs_fuse::mount(filesystem.clone(), &plan.dir, &fuse_options, tokio::runtime::Handle::current())?;
        let mut record = record(plan, &source);
        (record.user, record.password_from) = (user.unwrap_or_else(|| "(nobody)".into()), origin.to_string());
        record.control = Some(control.path().to_owned());
        let line = remote.state();
        let note = note(&mut record, &line.borrow(), &dial);
        record.save()?;
        let serving = Arc::new(Serving::new(mounted, filesystem, remote, dial.clone(), record.clone()));
        let watching = serving.clone();
        let watcher = tokio::spawn(async move { watching.watch().await });
        let control = control.serve(serving.clone());
        let signals = tokio::spawn(unmount_on_signal(signals, serving.clone()));
        ready(&note)?;
        let ended = serving.mounted.ended().await;
        signals.abort();
        watcher.abort();
        record.remove();
        control.end().await;
        if let Some(last) = dial.last()
            && !matches!(tokio::time::timeout(LOGOFF_TIME, last.client().clone().logoff()).await, Ok(Ok(())))
        {
            tracing::debug!("the server was not told of the end");
        }
        ended.context("serving the mount")
    })
}

/// A first connection, or why there is none.
async fn connect(dial: Arc<SmbDial>, patience: Patience, source: &Source) -> Result<Lasting> {
    let remote = Lasting::connect(dial.clone(), patience).await.map_err(|error| {
        match error.cause.downcast_ref::<smb_client::Error>() {
            Some(error) => explain(source, error.clone()).context(printable(&source.to_string())),
            None => anyhow!("{error}"),
        }
    })?;
    let first = dial.last().context("no connection")?;
    let root = first.share().metadata(&source.path).await.explain(source, &source.path)?;
    if !root.is_dir() {
        return Err(codes::WRONG_KIND.says(format!("{source} is a file: only directories can be mounted")));
    }
    Ok(remote)
}

/// A first connection if there is soon one to be had; else it is tried for as long as it takes.
async fn begin(dial: Arc<SmbDial>, patience: Patience) -> Lasting {
    let remote = Lasting::begin(dial, patience);
    let mut line = remote.state();
    let _ = tokio::time::timeout(FIRST_ATTEMPT, line.changed()).await;
    remote
}

/// Puts into the record how the line is, and says what whoever mounts is to know of it.
fn note(record: &mut MountRecord, line: &LineState, dial: &SmbDial) -> String {
    told(record, line, dial);
    if *line == LineState::Up {
        tracing::info!(
            "mounted {} on {}: SMB {}, signing {}, encryption {}",
            record.source,
            record.dir.display(),
            record.dialect,
            record.signing,
            record.encryption
        );
        return String::new();
    }
    let note = format!("{} is mounted, but there is no connection yet: {}", record.source, record.state);
    tracing::warn!("{note}");
    note
}

/// How to connect, found out anew for each connection; with a second password, the second way.
fn how_to_connect(plan: &Plan) -> Arc<HowToConnect> {
    let (source, options) = (plan.source(), plan.options());
    let (lookup, flags) = (plan.lookup.clone(), plan.flags.clone());
    Arc::new(move || {
        let found = lookup.find().map_err(|error| -> Cause { Arc::from(Box::from(error)) })?;
        let with = |credentials| {
            let mut connect = connect_options(&source, &options, credentials).posix(!flags.no_posix);
            if let Some(silence) = flags.dead_after {
                connect = connect.dead_after(silence);
            }
            match flags.channels {
                Some(channels) => connect.channels(channels),
                None => connect,
            }
        };
        Ok(std::iter::once(found.credentials).chain(found.second).map(with).collect())
    })
}

fn patience(flags: &MountFlags) -> Patience {
    let defaults = Patience::default();
    match flags.soft {
        true => {
            let work = flags.soft_for.unwrap_or(SOFT_FOR);
            Patience { work: Some(work), look: work.min(defaults.look) }
        }
        false => defaults,
    }
}

fn mount_options(flags: &MountFlags) -> MountOptions {
    let defaults = MountOptions::default();
    MountOptions {
        uid: flags.uid.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        gid: flags.gid.unwrap_or_else(|| rustix::process::getgid().as_raw()),
        file_mode: flags.file_mode.unwrap_or(defaults.file_mode),
        dir_mode: flags.dir_mode.unwrap_or(defaults.dir_mode),
        read_only: flags.read_only || flags.snapshot.is_some(),
        attr_ttl: flags.attr_ttl.unwrap_or(defaults.attr_ttl),
        dir_attr_ttl: flags.dir_attr_ttl.unwrap_or(defaults.dir_attr_ttl),
        strict_sync: !flags.no_strict_sync,
        cache: flags.cache.map_or(defaults.cache, CacheMode::from),
        cache_size: flags.cache_size.unwrap_or(defaults.cache_size),
        close_timeout: flags.close_timeout.unwrap_or(defaults.close_timeout),
        symlinks: if flags.follow_symlinks { Symlinks::Follow } else { Symlinks::Contain },
        local_locks: flags.local_locks,
        dynamic_permissions: flags.dynamic_permissions,
        client: client_number(),
        set_owners: flags.set_owners,
    }
}

/// The same for all mounts of this user on this machine.
fn client_number() -> u32 {
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    let host = rustix::system::uname();
    let user = rustix::process::getuid().as_raw().to_le_bytes();
    // FNV-1a: what it makes of the same must be the same in the next version.
    let bytes = machine.iter().chain(host.nodename().to_bytes()).chain(&user);
    bytes.fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn fuse_options(plan: &Plan, source: &Source) -> FuseOptions {
    FuseOptions {
        fsname: source.to_string(),
        allow_other: plan.flags.allow_other,
        read_only: plan.flags.read_only || plan.flags.snapshot.is_some(),
        no_exec: plan.flags.no_exec,
        default_permissions: !plan.flags.no_permissions,
        ..FuseOptions::default()
    }
}

fn record(plan: &Plan, source: &Source) -> MountRecord {
    MountRecord {
        dir: plan.dir.clone(),
        source: source.to_string(),
        user: String::new(),
        password_from: String::new(),
        pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        started: start_of("self").unwrap_or_default(),
        since: now(),
        dialect: UNKNOWN.into(),
        signing: UNKNOWN.into(),
        encryption: UNKNOWN.into(),
        read_only: plan.flags.read_only || plan.flags.snapshot.is_some(),
        state: String::new(),
        private: plan.only_for.is_some_and(|only_for| only_for.private),
        control: None,
    }
}

/// Unmounts when told to end; what programs still have open is detached, and finished with them.
async fn unmount_on_signal(mut signals: Signals, serving: Arc<Serving>) {
    let mut times = 0;
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            _ = signals.quit.recv() => {}
            _ = signals.hang_up.recv() => {
                // The end of a terminal is the end of what runs in it, and of nothing else.
                if !signals.foreground {
                    continue;
                }
            }
            _ = signals.reload.recv() => {
                serving.remote.retry();
                continue;
            }
        }
        times += 1;
        if times > 1 {
            for path in serving.filesystem.unsaved() {
                tracing::error!(%path, "what was written to this file is not on the server, and is lost");
            }
            tracing::error!("told to end again: what programs wait for fails");
            serving.remote.give_up();
        }
        let mounted = serving.mounted.clone();
        let unmounted = tokio::task::spawn_blocking(move || {
            mounted.unmount(false).or_else(|error| {
                tracing::warn!("{error}; detaching");
                mounted.unmount(true)
            })
        });
        match unmounted.await {
            Ok(Err(error)) => tracing::error!("{error}"),
            Ok(Ok(())) => {}
            Err(error) => tracing::error!("{error}"),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    /// Not what others take for it, which is what ends a program whose terminal is closed.
    reload: Signal,
    foreground: bool,
}

impl Signals {
    /// From here on they no longer end the process.
    fn new(foreground: bool) -> Result<Self> {
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            quit: watch(SignalKind::quit())?,
            hang_up: watch(SignalKind::hangup())?,
            reload: watch(SignalKind::user_defined1())?,
            foreground,
        })
    }
}

/// `sharefs umount`
pub(crate) fn unmount(matches: &ArgMatches) -> Result<ExitCode> {
    let lazy = matches.get_flag("lazy");
    if let Some(dir) = matches.get_one::<PathBuf>("dir") {
        unmount_from(dir, lazy)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for record in status::all()? {
        if let Err(error) = unmount_from(&record.dir, lazy) {
            tell(&format!("sharefs: {}", complaint(&error)));
            code = MOUNT_FAILURE.into();
        }
    }
    Ok(code)
}

pub(crate) fn unmount_from(dir: &Path, lazy: bool) -> Result<()> {
    let dir = fs_fuse::resolve(dir)?;
    let record = MountRecord::load(&dir);
    fs_fuse::unmount(&dir, lazy)?;
    // The kernel is done at once; the process still has to close what is open on the server.
    if let Some(record) = record {
        let until = Instant::now() + UMOUNT_PATIENCE;
        while record.is_alive() && MountRecord::load(&dir).is_some_and(|now| now.pid == record.pid) {
            if lazy {
                break;
            }
            if Instant::now() > until {
                bail!("unmounted, but the serving process {} has not ended yet", record.pid);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
