//! Who logs in: from options, a credentials file, the environment, standard input or the terminal.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use anyhow::{Context, Result, bail};
use smb_client::{Credentials, Secret};

use crate::options::RawOptions;
use crate::source::Source;

/// What is known of the user, most of it optional.
#[derive(Debug, Default)]
struct Login {
    user: Option<String>,
    domain: Option<String>,
    password: Option<Secret>,
}

/// Finds out who logs in; asks on the terminal for what is missing.
pub(crate) fn find(source: &Source, options: &RawOptions, password_stdin: bool) -> Result<Credentials> {
    if options.guest && options.username.is_none() && source.user.is_none() {
        return Ok(Credentials::Anonymous);
    }
    let mut login = Login {
        user: options.username.clone().or_else(|| source.user.clone()),
        domain: options.domain.clone().or_else(|| source.domain.clone()),
        password: options.password.clone(),
    };
    if options.password.is_some() {
        tracing::warn!(
            "a password on the command line is visible to others until it is read; \
             a credentials file (-o credentials=FILE) is not"
        );
    }
    if let Some(file) = &options.credentials {
        login.fill(read_file(file)?);
    }
    if password_stdin && login.password.is_none() {
        login.password = Some(read_line()?);
    }
    login.fill(from_environment()?);
    let Some(user) = login.user.filter(|user| !user.is_empty()) else {
        bail!("no user: give -o username=NAME (or -o guest where the share is open to all)");
    };
    let (domain, user) = split_user(&user, login.domain);
    let password = match login.password {
        Some(password) => password,
        None if options.guest => String::new().into(),
        None => prompt(&user, &source.host)?,
    };
    Ok(Credentials::Password { user, domain, password })
}

impl Login {
    /// Takes what is not known yet.
    fn fill(&mut self, other: Self) {
        self.user = self.user.take().or(other.user);
        self.domain = self.domain.take().or(other.domain);
        self.password = self.password.take().or(other.password);
    }
}

/// `DOMAIN\user` and `DOMAIN/user`; an explicit domain wins.
fn split_user(user: &str, domain: Option<String>) -> (String, String) {
    match user.split_once(['\\', '/']) {
        Some((prefix, name)) => (domain.unwrap_or_else(|| prefix.into()), name.into()),
        None => (domain.unwrap_or_default(), user.into()),
    }
}

/// mount.cifs's format: `username=`, `password=`, `domain=`, one a line.
fn read_file(path: &Path) -> Result<Login> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read the credentials file {}", path.display()))?;
    warn_if_open(path);
    parse_file(&text).with_context(|| format!("in the credentials file {}", path.display()))
}

fn parse_file(text: &str) -> Result<Login> {
    let mut login = Login::default();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        // A password may end in blanks: only the name is trimmed.
        match trimmed.split_once('=').map(|(name, value)| (name.trim(), value)) {
            Some(("username" | "user", value)) => login.user = Some(value.trim().into()),
            Some(("password" | "pass", value)) => login.password = Some(value.to_owned().into()),
            Some(("domain" | "dom" | "workgroup", value)) => login.domain = Some(value.trim().into()),
            // The line may hold a secret: it is not repeated.
            _ => bail!("line {} is not username=, password= or domain=", number + 1),
        }
    }
    Ok(login)
}

#[cfg(unix)]
fn warn_if_open(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    if fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        tracing::warn!("others can read {0}: run chmod 600 {0}", path.display());
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &Path) {}

/// As mount.cifs: USER may be `user%password`, PASSWD a password, PASSWD_FILE a file that holds one.
fn from_environment() -> Result<Login> {
    let mut login = Login::default();
    if let Ok(user) = std::env::var("USER") {
        match user.split_once('%') {
            Some((user, password)) => {
                login.user = Some(user.into());
                login.password = Some(password.to_owned().into());
            }
            None => login.user = Some(user),
        }
    }
    if let Some(password) = std::env::var("PASSWD").ok().filter(|password| !password.is_empty()) {
        login.password = Some(password.into());
    } else if let Some(file) = std::env::var_os("PASSWD_FILE") {
        let path = Path::new(&file);
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read the password file {}", path.display()))?;
        warn_if_open(path);
        login.password = Some(text.lines().next().unwrap_or_default().to_owned().into());
    }
    Ok(login)
}

fn read_line() -> Result<Secret> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line).context("cannot read the password from standard input")?;
    if read == 0 {
        bail!("there is no password on standard input");
    }
    let end = line.trim_end_matches(['\n', '\r']).len();
    line.truncate(end);
    Ok(line.into())
}

fn prompt(user: &str, host: &str) -> Result<Secret> {
    if !io::stdin().is_terminal() {
        bail!("no password for {user} on {host}: give -o credentials=FILE, --password-stdin or PASSWD_FILE");
    }
    let password = rpassword::prompt_password(format!("Password for {user} on {host}: "))
        .context("cannot read the password from the terminal")?;
    Ok(password.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file_keeps_odd_passwords() {
        let login = parse_file("# comment\n\nusername = bob\npassword= a=b#c \ndomain=D\n").unwrap();
        assert_eq!(login.user.as_deref(), Some("bob"));
        assert_eq!(login.password.unwrap().expose(), " a=b#c ");
        assert_eq!(login.domain.as_deref(), Some("D"));
    }

    #[test]
    fn a_bad_line_is_not_repeated() {
        let error = parse_file("hunter2").unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"));
    }

    #[test]
    fn a_domain_may_stand_before_the_user() {
        assert_eq!(split_user("AZURE\\acct", None), ("AZURE".into(), "acct".into()));
        assert_eq!(split_user("D/u", Some("E".into())), ("E".into(), "u".into()));
        assert_eq!(split_user("u@realm", None), (String::new(), "u@realm".into()));
    }
}
