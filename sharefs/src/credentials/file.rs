//! mount.cifs's credentials file.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use smb_client::Secret;
use zeroize::Zeroizing;

use super::Login;
use crate::codes::CREDENTIALS_FILE;

/// A file with `username=`, `password=`, `password2=`, `domain=`, one a line.
pub(crate) fn read(path: &Path) -> Result<Login> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read the credentials file {}", path.display()))
        .map_err(|error| CREDENTIALS_FILE.of(&error))?;
    warn_if_open(path);
    parse(&text)
        .with_context(|| format!("in the credentials file {}", path.display()))
        .map_err(|error| CREDENTIALS_FILE.of(&error))
}

/// The same of its text.
pub(crate) fn parse(text: &str) -> Result<Login> {
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
            Some(("password2" | "pass2", value)) => login.second = Some(value.to_owned().into()),
            Some(("domain" | "dom" | "workgroup", value)) => login.domain = Some(value.trim().into()),
            // The line may hold a secret: it is not repeated.
            _ => bail!("line {} is not username=, password=, password2= or domain=", number + 1),
        }
    }
    Ok(login)
}

/// The first line of a file that holds nothing but a password, and the second, if it has one.
pub(crate) fn read_lines(path: &Path) -> Result<(Secret, Option<Secret>)> {
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(|| format!("cannot read the password file {}", path.display()))?;
    warn_if_open(path);
    let mut lines = text.lines().map(|line| Secret::from(line.to_owned()));
    let first = lines.next().with_context(|| format!("{} is empty", path.display()))?;
    Ok((first, lines.next().filter(|second| !second.expose().is_empty())))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credentials_file_keeps_odd_passwords() {
        let login = parse("# comment\n\nusername = bob\npassword= a=b#c \npassword2=k2\ndomain=D\n").unwrap();
        assert_eq!(login.user.as_deref(), Some("bob"));
        assert_eq!(login.password.unwrap().expose(), " a=b#c ");
        assert_eq!(login.second.unwrap().expose(), "k2");
        assert_eq!(login.domain.as_deref(), Some("D"));
    }

    #[test]
    fn a_bad_line_is_not_repeated() {
        let Err(error) = parse("hunter2") else { panic!("it is no credentials file") };
        let error = error.to_string();
        assert!(error.contains("line 1") && !error.contains("hunter2"));
    }
}
