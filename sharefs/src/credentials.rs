//! Who logs in: from options, a credentials file, standard input, the environment, the store or the terminal.

pub(crate) mod file;
mod secret;

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use smb_client::{Credentials, Secret};
use zeroize::Zeroizing;

#[cfg(target_os = "linux")]
pub(crate) use secret::is_key;
pub(crate) use secret::{azure_user, clean, is_azure};

use crate::codes::{NO_PASSWORD, NO_USER};
use crate::options::RawOptions;
use crate::source::Source;

/// What is known of the user, most of it optional.
#[derive(Debug, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Tried where the first is refused: while keys are changed, either may be the good one.
    pub(crate) second: Option<Secret>,
}

/// How the credentials of a place are found, as often as they are needed.
///
/// What a credentials file or the store has is read anew each time, so that a change there counts from the next login
/// on. What was typed, piped or set in the environment is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Lookup {
    host: String,
    share: String,
    user: Option<String>,
    domain: Option<String>,
    guest: bool,
    file: Option<PathBuf>,
    given: Option<Given>,
}

/// A password that nobody can be asked for again.
#[derive(Clone, Serialize, Deserialize)]
struct Given {
    password: Zeroizing<String>,
    second: Option<Zeroizing<String>>,
    origin: Origin,
}

/// Where a password came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    Options,
    File(PathBuf),
    StandardInput,
    Environment,
    /// Whose entry, and where the store is.
    Store(String, PathBuf),
    /// Whose entry.
    Keyring(String),
    Terminal,
    /// There is none.
    Nobody,
}

/// Who is asked for a password that is found nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Terminal,
    /// Before the environment and the store, its first line.
    StandardInput,
    Nobody,
}

impl Ask {
    /// What `--password-stdin` says.
    pub(crate) const fn with(password_stdin: bool) -> Self {
        if password_stdin { Self::StandardInput } else { Self::Terminal }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Options => f.write_str("given on the command line"),
            Self::File(path) => write!(f, "read from {}", path.display()),
            Self::StandardInput => f.write_str("read from standard input"),
            Self::Environment => f.write_str("given in the environment"),
            Self::Store(entry, path) => write!(f, "stored for {entry} in {}", path.display()),
            Self::Keyring(entry) => write!(f, "stored for {entry} in the desktop's keyring"),
            Self::Terminal => f.write_str("typed in"),
            Self::Nobody => f.write_str("none"),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) credentials: Credentials,
    /// The same user's with the second of two passwords.
    pub(crate) second: Option<Credentials>,
    pub(crate) origin: Origin,
}

/// Finds out who logs in; asks on the terminal for what is missing.
pub(crate) fn find(source: &Source, options: &RawOptions, ask: Ask) -> Result<Found> {
    Lookup::new(source, options, ask)?.find()
}

#[cfg(target_os = "linux")]
impl Login {
    /// Takes what is not known yet.
    pub(crate) fn fill(&mut self, other: Self) {
        self.user = self.user.take().or(other.user);
        self.domain = self.domain.take().or(other.domain);
        if self.password.is_none() {
            (self.password, self.second) = (other.password, other.second);
        }
    }
}

impl Lookup {
    /// Looks in all places, and asks on the terminal for what is missing.
    pub(crate) fn new(source: &Source, options: &RawOptions, ask: Ask) -> Result<Self> {
        let mut lookup = Self {
            host: source.host.clone(),
            share: source.share.clone(),
            user: options.username.clone().or_else(|| source.user.clone()),
            domain: options.domain.clone().or_else(|| source.domain.clone()),
            guest: options.guest,
            file: None,
            given: None,
        };
        if lookup.is_nobody() {
            return Ok(lookup);
        }
        if let Some(password) = &options.password {
            tracing::warn!(
                "a password on the command line is visible to others until it is read; \
                 sharefs cred add saves it, and a credentials file (-o credentials=FILE) hides it too"
            );
            lookup.give(password, options.second.as_ref(), Origin::Options)?;
        }
        if let Some(file) = &options.credentials {
            lookup.take_file(file)?;
        }
        if ask == Ask::StandardInput && lookup.password_source()?.is_none() {
            lookup.give(&read_line()?, None, Origin::StandardInput)?;
        }
        let environment = environment_user();
        if lookup.password_source()?.is_none()
            && let Some(password) = environment_password()?
        {
            let name = environment.as_ref().map(|(name, _)| name.clone());
            lookup.user = lookup.user.take().or(name);
            lookup.give(&password, None, Origin::Environment)?;
        }
        if let Some(found) = lookup.known()? {
            // What else is saved later is not to change who a mount belongs to.
            if matches!(found.origin, Origin::Store(..) | Origin::Keyring(_)) {
                lookup.user = found.user();
            }
            return Ok(lookup);
        }
        let fallback = || azure_user(&lookup.host).or_else(|| environment.map(|(name, _)| name));
        let Some(user) = lookup.user.clone().or_else(fallback).filter(|user| !user.is_empty()) else {
            return Err(
                NO_USER.says("no user: give -o username=NAME (or -o guest where the share is open to all)")
            );
        };
        if lookup.password_source()?.is_none() {
            if lookup.guest {
                lookup.give(&String::new().into(), None, Origin::Nobody)?;
            } else {
                lookup.give(&prompt(&user, &lookup.host, ask)?, None, Origin::Terminal)?;
            }
        }
        lookup.user = Some(user);
        Ok(lookup)
    }

    /// Finds the credentials as they are now. Nobody is asked.
    pub(crate) fn find(&self) -> Result<Found> {
        match self.known()? {
            Some(found) => Ok(found),
            None => Err(NO_PASSWORD
                .says(format!("there is no password for {} any more: run sharefs cred add {0}", self.host))),
        }
    }

    /// Whether all of it will be there again at the next login.
    #[cfg(target_os = "linux")]
    pub(crate) fn lasts(&self) -> bool {
        self.given.as_ref().is_none_or(|given| given.origin == Origin::Nobody)
    }

    /// The same, once the password that was given is in the store.
    #[cfg(target_os = "linux")]
    pub(crate) fn saved(self) -> Self {
        Self { given: None, file: None, ..self }
    }

    const fn is_nobody(&self) -> bool {
        self.guest && self.user.is_none()
    }

    fn give(&mut self, password: &Secret, second: Option<&Secret>, origin: Origin) -> Result<()> {
        let text = |secret: &Secret| anyhow::Ok(Zeroizing::new(clean(secret.clone())?.expose().to_owned()));
        let second = second.map(text).transpose()?;
        self.given = Some(Given { password: text(password)?, second, origin });
        Ok(())
    }

    /// A file that can be read again is; a pipe (`<(…)` of a shell) is read now.
    fn take_file(&mut self, file: &Path) -> Result<()> {
        let path = std::path::absolute(file).context("cannot find the current directory")?;
        if path.is_file() {
            self.file = Some(path);
            return Ok(());
        }
        let login = file::read(&path)?;
        self.user = self.user.take().or(login.user);
        self.domain = self.domain.take().or(login.domain);
        match login.password.filter(|_| self.given.is_none()) {
            Some(password) => self.give(&password, login.second.as_ref(), Origin::File(path)),
            None => Ok(()),
        }
    }

    /// What was given, and what the credentials file says now.
    fn login(&self) -> Result<(Login, Option<Origin>)> {
        let secret = |text: &Zeroizing<String>| Secret::from(text.to_string());
        let mut login = Login { user: self.user.clone(), domain: self.domain.clone(), ..Login::default() };
        let mut origin = None;
        if let Some(given) = &self.given {
            login.password = Some(secret(&given.password));
            login.second = given.second.as_ref().map(secret);
            origin = Some(given.origin.clone());
        }
        if let Some(path) = &self.file {
            let read = file::read(path)?;
            login.user = login.user.or(read.user);
            login.domain = login.domain.or(read.domain);
            if let Some(password) = read.password.filter(|_| login.password.is_none()) {
                login.password = Some(clean(password)?);
                login.second = read.second.map(clean).transpose()?;
                origin = Some(Origin::File(path.clone()));
            }
        }
        Ok((login, origin))
    }

    fn password_source(&self) -> Result<Option<Origin>> {
        self.login().map(|(_, origin)| origin)
    }

    /// What is found without asking.
    fn known(&self) -> Result<Option<Found>> {
        if self.is_nobody() {
            let (credentials, origin) = (Credentials::Anonymous, Origin::Nobody);
            return Ok(Some(Found { credentials, second: None, origin }));
        }
        let (mut login, mut origin) = self.login()?;
        if login.password.is_none() && !self.guest {
            origin = self.take_stored(&mut login)?;
        }
        let Some((origin, user)) = origin.zip(login.user.filter(|user| !user.is_empty())) else {
            return Ok(None);
        };
        let (domain, user) = split_user(&user, login.domain);
        let with = |password| Credentials::Password { user: user.clone(), domain: domain.clone(), password };
        let second = login.second.map(with);
        Ok(login.password.map(|password| Found { credentials: with(password), second, origin }))
    }

    #[cfg(target_os = "linux")]
    fn take_stored(&self, login: &mut Login) -> Result<Option<Origin>> {
        let (user, domain) = (login.user.as_deref(), login.domain.as_deref());
        let Some(stored) = crate::store::find(&self.host, &self.share, user, domain)? else {
            return Ok(None);
        };
        let origin = if stored.is_in_keyring() {
            Origin::Keyring(stored.scope())
        } else {
            Origin::Store(stored.scope(), crate::store::path()?)
        };
        login.user = Some(stored.user.clone());
        login.domain = login.domain.take().or_else(|| Some(stored.domain.clone()));
        let (password, second) = stored.secrets()?;
        (login.password, login.second) = (Some(password), second);
        Ok(Some(origin))
    }

    #[cfg(not(target_os = "linux"))]
    fn take_stored(&self, _: &mut Login) -> Result<Option<Origin>> {
        Ok(None)
    }
}

impl Found {
    /// `DOMAIN\user`; none for nobody.
    pub(crate) fn user(&self) -> Option<String> {
        match &self.credentials {
            Credentials::Password { user, domain, .. } if domain.is_empty() => Some(user.clone()),
            Credentials::Password { user, domain, .. } => Some(format!("{domain}\\{user}")),
            Credentials::Anonymous => None,
        }
    }
}

/// `DOMAIN\user` and `DOMAIN/user`; an explicit domain wins.
pub(crate) fn split_user(user: &str, domain: Option<String>) -> (String, String) {
    match user.split_once(['\\', '/']) {
        Some((prefix, name)) => (domain.unwrap_or_else(|| prefix.into()), name.into()),
        None => (domain.unwrap_or_default(), user.into()),
    }
}

/// As mount.cifs: USER may be `user%password`.
fn environment_user() -> Option<(String, Option<Secret>)> {
    let user = std::env::var("USER").ok()?;
    Some(match user.split_once('%') {
        Some((user, password)) => (user.into(), Some(password.to_owned().into())),
        None => (user, None),
    })
}

/// As mount.cifs: PASSWD is a password, PASSWD_FILE a file that holds one.
fn environment_password() -> Result<Option<Secret>> {
    if let Some(password) = std::env::var("PASSWD").ok().filter(|password| !password.is_empty()) {
        return Ok(Some(password.into()));
    }
    match std::env::var_os("PASSWD_FILE") {
        Some(file) => Ok(Some(file::read_lines(Path::new(&file))?.0)),
        None => Ok(environment_user().and_then(|(_, password)| password)),
    }
}

/// The first line of standard input.
pub(crate) fn read_line() -> Result<Secret> {
    let mut line = Zeroizing::new(String::new());
    let read = io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    if read == 0 {
        return Err(NO_PASSWORD.says("there is no password on standard input"));
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned().into())
}

/// Asks on the terminal.
pub(crate) fn prompt(user: &str, host: &str, ask: Ask) -> Result<Secret> {
    if ask == Ask::Nobody || !io::stdin().is_terminal() {
        return Err(NO_PASSWORD.says(format!(
            "no password for {user} on {host}: save it with sharefs cred add, or give -o credentials=FILE, \
             --password-stdin or PASSWD_FILE"
        )));
    }
    let password = rpassword::prompt_password(format!("Password for {user} on {host}: "))
        .context("cannot read the password from the terminal")?;
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_may_stand_before_the_user() {
        assert_eq!(split_user("AZURE\\acct", None), ("AZURE".into(), "acct".into()));
        assert_eq!(split_user("D/u", Some("E".into())), ("E".into(), "u".into()));
        assert_eq!(split_user("u@realm", None), (String::new(), "u@realm".into()));
    }

    #[test]
    fn what_was_typed_is_kept_and_found_again() {
        let source = Source::parse("//server/share").unwrap();
        let options = RawOptions {
            username: Some("D\\bob".into()),
            password: Some("hunter2".to_owned().into()),
            ..RawOptions::default()
        };
        let lookup = Lookup::new(&source, &options, Ask::Nobody).unwrap();
        let found = lookup.find().unwrap();
        assert_eq!((found.user().as_deref(), found.origin), (Some("D\\bob"), Origin::Options));
    }

    #[test]
    fn a_changed_credentials_file_counts() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("credentials");
        let write =
            |password: &str| std::fs::write(&file, format!("username=bob\npassword={password}\n")).unwrap();
        write("old");
        let source = Source::parse("//server/share").unwrap();
        let options = RawOptions { credentials: Some(file.clone()), ..RawOptions::default() };
        let lookup = Lookup::new(&source, &options, Ask::Nobody).unwrap();
        write("new");
        match lookup.find().unwrap().credentials {
            Credentials::Password { password, .. } => assert_eq!(password.expose(), "new"),
            Credentials::Anonymous => panic!("it has a user"),
        }
    }
}
