//! `cred import`: credentials that are kept in other forms.

use anyhow::{Context, Result, bail};
use smb_client::Secret;

use crate::credentials::{Login, azure_user, file};
use crate::fstab::Line;
use crate::options::RawOptions;
use crate::store::Scope;

/// What a text says of one place.
pub(super) struct Imported {
    pub(super) scope: Scope,
    pub(super) login: Login,
}

/// Reads a connection string, lines of fstab, or a credentials file; only the last needs to be told the place.
pub(super) fn read(text: &str, scope: Option<Scope>) -> Result<Vec<Imported>> {
    if text.contains("AccountKey=") {
        return Ok(vec![connection_string(text, scope)?]);
    }
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    if !lines.is_empty() {
        return fstab(lines, scope.as_ref());
    }
    let login = file::parse(text)?;
    let scope = scope.context("say for which server: sharefs cred import FILE HOST[/SHARE]")?;
    Ok(vec![Imported { scope, login }])
}

/// `DefaultEndpointsProtocol=https;AccountName=…;AccountKey=…;EndpointSuffix=core.windows.net`, perhaps with a
/// `FileEndpoint=https://account.file.core.windows.net/`.
fn connection_string(text: &str, scope: Option<Scope>) -> Result<Imported> {
    let text = text.trim().trim_matches(['"', '\'']);
    let part = |name: &str| {
        let found = text.split(';').filter_map(|part| part.trim().split_once('='));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    };
    let endpoint = || {
        let address = part("FileEndpoint")?.split_once("://")?.1;
        address.split(['/', ':']).next().map(str::to_owned)
    };
    let built = || {
        let suffix = part("EndpointSuffix").unwrap_or("core.windows.net");
        part("AccountName").map(|account| format!("{account}.file.{suffix}"))
    };
    let host = endpoint().or_else(built).filter(|host| !host.is_empty());
    let scope = match (scope, host) {
        (Some(scope), _) => scope,
        (None, Some(host)) => Scope::parse(&host)?.0,
        (None, None) => bail!("the connection string names neither an AccountName nor a FileEndpoint"),
    };
    let user = part("AccountName").map(str::to_owned).or_else(|| azure_user(&scope.host));
    let password = part("AccountKey").map(|key| Secret::from(key.to_owned()));
    Ok(Imported { scope, login: Login { user, password, ..Login::default() } })
}

/// Lines with a password, in them or in the credentials file that they name.
fn fstab(lines: Vec<Line>, only: Option<&Scope>) -> Result<Vec<Imported>> {
    let mut all = Vec::new();
    for line in lines {
        let (scope, source) = Scope::parse(&line.source).or_else(|_| {
            crate::source::Source::parse(&line.source).and_then(|source| Scope::parse(&source.at("")))
        })?;
        if only.is_some_and(|only| only.host != scope.host) {
            continue;
        }
        let login =
            login(&line, source.user).with_context(|| format!("the line of {}", line.dir.display()))?;
        if login.password.is_some() {
            all.push(Imported { scope, login });
        }
    }
    if all.is_empty() {
        bail!("no line has a password, nor names a credentials file that has one");
    }
    Ok(all)
}

/// Who logs in by a line.
fn login(line: &Line, user: Option<String>) -> Result<Login> {
    let mut options = RawOptions::default();
    options.apply_list(&line.options)?;
    let mut login = Login {
        user: options.username.or(user),
        domain: options.domain,
        password: options.password,
        second: options.second,
    };
    if let Some(path) = options.credentials {
        login.fill(file::read(&path)?);
    }
    Ok(login)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, scope: Option<&str>) -> (String, Option<String>, String) {
        let scope = scope.map(|scope| Scope::parse(scope).unwrap().0);
        let mut all = read(text, scope).unwrap();
        assert_eq!(all.len(), 1);
        let Imported { scope, login } = all.remove(0);
        let password = login.password.unwrap().expose().to_owned();
        (format!("{}/{}", scope.host, scope.share.unwrap_or_default()), login.user, password)
    }

    #[test]
    fn three_forms_are_told_apart() {
        let string =
            "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=k/+==;EndpointSuffix=core.example";
        let expected = ("acct.file.core.example/".into(), Some("acct".into()), "k/+==".into());
        assert_eq!(one(string, None), expected);
        let string = "AccountKey=k;AccountName=a;FileEndpoint=https://b.file.core.example/";
        assert_eq!(one(string, None).0, "b.file.core.example/");
        let line =
            "# old\n//h/s/folder /mnt cifs username=u,password=p,vers=3.0,_netdev 0 0\n/dev/a / ext4 x 0 1";
        assert_eq!(one(line, None), ("h/s".into(), Some("u".into()), "p".into()));
        assert_eq!(one("username=u\npassword=p\n", Some("h")), ("h/".into(), Some("u".into()), "p".into()));
    }

    #[test]
    fn what_has_no_password_or_place_is_an_error_that_repeats_nothing() {
        for text in
            ["username=u\npassword=s3cret", "s3cret", "//h/s /mnt cifs user=u 0 0", "AccountKey=s3cret"]
        {
            let Err(error) = read(text, None) else { panic!("{text}") };
            assert!(!format!("{error:#}").contains("s3cret"), "{error:#}");
        }
    }
}
