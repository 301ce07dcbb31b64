//! Mounts that are to be there: `mount --persist`, `--ensure` and `--all`, and `forget`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ArgMatches;
use smb_client::Credentials;

use crate::cli::{MOUNT_FAILURE, text};
use crate::codes;
use crate::cred::try_login;
use crate::credentials::{Ask, Lookup, Origin};
use crate::mount::mount;
use crate::options::RawOptions;
use crate::remembered::{self, Remembered};
use crate::show::{complaint, tell};
use crate::source::Source;
use crate::startup;
use crate::status::{self, MountRecord};
use crate::store::{self, Entry, Scope};

/// mount(8)'s exit code where some mounts of several failed.
const SOME_FAILURE: u8 = 64;
/// Between two attempts at servers that are away.
const PAUSE: Duration = Duration::from_secs(5);

/// Between a mount and its record.
const MOMENT: Duration = Duration::from_millis(500);

/// What is to be mounted where.
pub(crate) struct Wanted {
    pub(crate) source: Source,
    pub(crate) options: RawOptions,
    pub(crate) dir: PathBuf,
    pub(crate) ask: Ask,
}

impl Wanted {
    /// What is remembered of a folder.
    pub(crate) fn remembered(dir: &Path, ask: Ask) -> Result<Self> {
        let dir = fs_fuse::resolve(dir)?;
        let remembered = remembered::of(&dir)?
            .with_context(|| format!("no mount is remembered for {}: name its source too", dir.display()))
            .map_err(|error| codes::NOT_REMEMBERED.of(&error))?;
        Self::of(&remembered, ask)
    }

    /// How its credentials are found.
    pub(crate) fn find(&self) -> Result<Lookup> {
        Lookup::new(&self.source, &self.options, self.ask)
    }

    fn of(remembered: &Remembered, ask: Ask) -> Result<Self> {
        Ok(Self {
            source: Source::parse(&remembered.source)?,
            options: RawOptions::from_words(&remembered.options)?,
            dir: remembered.dir.clone(),
            ask,
        })
    }
}

/// Mounts what is not mounted, and mounts again what is dead. One at a time does it for a folder.
pub(crate) fn ensure(wanted: &Wanted) -> Result<()> {
    ensure_with(wanted, Wanted::find).map(drop)
}

/// Says whether it had to mount.
fn ensure_with(wanted: &Wanted, find: fn(&Wanted) -> Result<Lookup>) -> Result<bool> {
    let dir = fs_fuse::resolve(&wanted.dir)?;
    let _lock = status::lock(&dir)?;
    if let Some(source) = status::kernel_mounts()?.remove(&dir) {
        let asked = wanted.source.to_string();
        if !source.eq_ignore_ascii_case(&asked) {
            let text = format!("{} has {source} mounted on it, not {asked}", dir.display());
            return Err(codes::ALREADY_MOUNTED.says(text));
        }
        let record = || MountRecord::load(&dir).filter(MountRecord::is_alive);
        // A mount that somebody is just making has its record a moment later.
        let settled = || {
            thread::sleep(MOMENT);
            record()
        };
        let state = record().or_else(settled).map(|record| record.state);
        match state.as_deref() {
            Some("ok") => return Ok(false),
            Some(state) if !state.starts_with("disconnected") => {
                let text = format!("{} is mounted, but not well: {state}", dir.display());
                return Err(codes::UNHEALTHY_MOUNT.says(text));
            }
            // What programs still have open on it answers with errors already.
            _ => fs_fuse::unmount(&dir, true)?,
        }
    }
    let result = mount(wanted, find, false);
    status::note_failure(&dir, result.as_ref().err().map(complaint).as_deref());
    result.map(|()| true)
}

/// Mounts, and remembers it with all that it needs to come back without a question.
pub(crate) fn persist(wanted: &Wanted, mut words: Vec<String>, ensure: bool) -> Result<()> {
    if ensure {
        if !ensure_with(wanted, find_to_stay)? {
            find_to_stay(wanted)?;
        }
    } else {
        mount(wanted, find_to_stay, false)?;
    }
    let (source, options) = (&wanted.source, &wanted.options);
    // A URL says more than the source that is remembered.
    let user = source.user.clone().filter(|_| options.username.is_none());
    words.extend(user.map(|user| format!("username={user}")));
    let domain = source.domain.clone().filter(|_| options.domain.is_none());
    words.extend(domain.map(|domain| format!("domain={domain}")));
    words.extend(source.port.filter(|_| options.port.is_none()).map(|port| format!("port={port}")));
    remembered::add(Remembered {
        source: source.to_string(),
        dir: fs_fuse::resolve(&wanted.dir)?,
        options: words,
        since: status::now(),
    })?;
    for hint in startup::install()? {
        tell(&hint);
    }
    Ok(())
}

/// A password that nobody could be asked for again goes to the store, when a login has shown that it is right; from
/// there the mount has it, and whatever is saved after it.
fn find_to_stay(wanted: &Wanted) -> Result<Lookup> {
    let lookup = wanted.find()?;
    let found = lookup.find()?;
    if let Origin::Keyring(_) = found.origin {
        tell("the password is in the desktop's keyring: the mount comes back once that is unlocked");
    }
    let password_of = |credentials: &Credentials| match credentials {
        Credentials::Password { password, .. } => Some(password.clone()),
        Credentials::Anonymous => None,
    };
    let Some((password, user)) = password_of(&found.credentials).zip(found.user()) else { return Ok(lookup) };
    if lookup.lasts() {
        return Ok(lookup);
    }
    let (scope, _) = Scope::parse(&wanted.source.at(""))?;
    let second = found.second.as_ref().and_then(password_of);
    let entry = Entry::new(scope, &user, None, &password, second.as_ref());
    try_login(&wanted.source, true, &wanted.options, found)?;
    let place = entry.scope();
    store::add(entry, false)?;
    tell(&format!("saved the password of {user} for {place} in {}", store::path()?.display()));
    Ok(lookup.saved())
}

/// `sharefs mount --all`: all that are remembered, at once. Servers that are away are tried again for `patience`.
pub(crate) fn all(patience: Duration) -> Result<ExitCode> {
    let until = Instant::now() + patience;
    let mut missing = remembered::all()?;
    let count = missing.len();
    loop {
        let results = thread::scope(|scope| {
            let bring = |remembered: &Remembered| ensure(&Wanted::of(remembered, Ask::Nobody)?);
            let threads: Vec<_> = missing.iter().map(|one| scope.spawn(move || bring(one))).collect();
            let gone = || Err(anyhow::anyhow!("a fault of sharefs"));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| gone())).collect::<Vec<_>>()
        });
        let failed = missing.into_iter().zip(results).filter_map(|(one, result)| Some((one, result.err()?)));
        let failed: Vec<_> = failed.collect();
        if failed.is_empty() || Instant::now() >= until {
            for (one, error) in &failed {
                tell(&format!("sharefs: {}: {}", one.dir.display(), complaint(error)));
            }
            return Ok(match failed.len() {
                0 => ExitCode::SUCCESS,
                all if all == count => MOUNT_FAILURE.into(),
                _ => SOME_FAILURE.into(),
            });
        }
        missing = failed.into_iter().map(|(one, _)| one).collect();
        thread::sleep(PAUSE.min(until.saturating_duration_since(Instant::now())));
    }
}

/// `sharefs forget`
pub(crate) fn forget(matches: &ArgMatches) -> Result<ExitCode> {
    let named = text(matches, "mount")?;
    let source = Source::parse(named).map_or_else(|_| named.to_owned(), |source| source.to_string());
    let (forgotten, any_left) = remembered::forget(&fs_fuse::resolve(Path::new(named))?, &source)?;
    status::note_failure(&forgotten.dir, None);
    if !any_left {
        startup::remove()?;
    }
    let mounted = status::kernel_mounts()?.contains_key(&forgotten.dir);
    let rest = if mounted { "; it stays mounted until sharefs umount" } else { "" };
    tell(&format!("{} will not come back on {}{rest}", forgotten.source, forgotten.dir.display()));
    Ok(ExitCode::SUCCESS)
}
