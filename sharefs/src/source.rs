//! What names a share: `//server/share/path`, `\\server\share\path`, `smb://[domain;]user@server[:port]/share/path`.

use std::fmt;

use anyhow::{Result, bail};
use percent_encoding::percent_decode_str;

/// A place on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Name or address.
    pub(crate) host: String,
    /// Only a URL has one.
    pub(crate) port: Option<u16>,
    pub(crate) share: String,
    /// Inside the share, `/` between components, none at either end.
    pub(crate) path: String,
    /// Written with a `/` at the end: whatever is there must be a directory.
    pub(crate) directory: bool,
    /// Only a URL has one.
    pub(crate) user: Option<String>,
    /// Only a URL has one.
    pub(crate) domain: Option<String>,
}

impl Source {
    /// Reads one of the three forms.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.len() >= 6 && text.is_char_boundary(6) && text[..6].eq_ignore_ascii_case("smb://") {
            return Self::parse_url(&text[6..]);
        }
        let unified = text.replace('\\', "/");
        let Some(rest) = unified.strip_prefix("//") else {
            bail!(
                "{text:?} names no share: write //server/share, \\\\server\\share or smb://user@server/share"
            );
        };
        let (server, share, path) = split(rest, text)?;
        let (host, port) = split_port(server)?;
        let directory = rest.ends_with('/');
        Ok(Self { host, port, share: share.into(), path, directory, user: None, domain: None })
    }

    fn parse_url(rest: &str) -> Result<Self> {
        let shown = format!("smb://{rest}");
        let (authority, tail) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, server) = match authority.rsplit_once('@') {
            Some((login, server)) => (Some(login), server),
            None => (None, authority),
        };
        if login.is_some_and(|login| login.contains(':')) {
            bail!(
                "a password in a URL ends up in histories and process lists: leave it out and be asked, or use a credentials file"
            );
        }
        let (domain, user) = match login {
            Some(login) => match login.split_once(';') {
                Some((domain, user)) => (Some(decode(domain)?), Some(decode(user)?)),
                None => (None, Some(decode(login)?)),
            },
            None => (None, None),
        };
        let (host, port) = split_port(server)?;
        let decoded = decode(tail)?;
        let place = format!("{host}/{decoded}");
        let (_, share, path) = split(&place, &shown)?;
        let share = share.to_owned();
        let directory = tail.ends_with('/');
        Ok(Self { host, port, share, path, directory, user: user.filter(|user| !user.is_empty()), domain })
    }

    /// Reads a server's name, in any of the forms; a share behind it is no matter.
    pub(crate) fn parse_server(text: &str) -> Result<Self> {
        let server = text.trim_end_matches(['/', '\\']);
        let none = "names no server: write //server, \\\\server or smb://user@server";
        Self::parse(&format!("{server}/IPC$")).map_err(|error| match error.to_string() {
            text if text.contains("password") => error,
            _ => anyhow::anyhow!("{text:?} {none}"),
        })
    }

    /// A path of the same share as `//server/share/path`.
    pub(crate) fn at(&self, path: &str) -> String {
        let share = format!("//{}/{}", self.host, self.share);
        if path.is_empty() { share } else { format!("{share}/{path}") }
    }

    /// A name below this place, as a path in the share.
    pub(crate) fn join(&self, name: &str) -> String {
        match (self.path.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.path.clone(),
            _ => format!("{}/{name}", self.path),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(&self.path))
    }
}

fn decode(text: &str) -> Result<String> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains('\0') => Ok(decoded.into_owned()),
        _ => bail!("{text:?} is not percent-encoded UTF-8"),
    }
}

/// An IPv6 address stands in brackets where a port may follow.
fn split_port(server: &str) -> Result<(String, Option<u16>)> {
    let end = server.rfind(']').map_or(0, |at| at + 1);
    if end == 0 && server.matches(':').count() > 1 {
        return Ok((server.into(), None));
    }
    match server[end..].split_once(':') {
        Some((between, port)) => match port.parse() {
            Ok(port) => Ok((format!("{}{between}", &server[..end]), Some(port))),
            Err(_) => bail!("{port:?} is not a port"),
        },
        None => Ok((server.into(), None)),
    }
}

fn split<'a>(rest: &'a str, shown: &str) -> Result<(&'a str, &'a str, String)> {
    let mut parts = rest.split('/');
    let host = parts.next().unwrap_or_default();
    let share = parts.next().unwrap_or_default();
    if host.is_empty() {
        bail!("{shown:?} names no server");
    }
    if share.is_empty() {
        bail!("{shown:?} names no share: write //{host}/SHARE");
    }
    let components: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    if components.iter().any(|part| matches!(*part, "." | "..")) {
        bail!("{shown:?} may not contain . or ..");
    }
    Ok((host, share, components.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Source {
        Source::parse(text).unwrap()
    }

    #[test]
    fn three_forms_name_the_same_place() {
        let plain = parse("//server/share/a/b");
        assert_eq!(plain, parse("\\\\server\\share\\a\\b"));
        assert_eq!(plain, parse("smb://server/share/a/b"));
        assert!(parse("//server/share/a/").directory);
        assert_eq!(parse("//server:4450/share").port, Some(4450));
        assert_eq!(parse("//::1/share").host, "::1");
        assert_eq!(plain.to_string(), "//server/share/a/b");
        assert_eq!((plain.join("c"), parse("//s/x").join("c")), ("a/b/c".into(), "c".into()));
    }

    #[test]
    fn a_url_carries_user_domain_and_port() {
        let url = parse("SMB://AZURE;al%20ice@[::1]:4450/da%23ta");
        assert_eq!(url.host, "[::1]");
        assert_eq!(url.port, Some(4450));
        assert_eq!(url.user.as_deref(), Some("al ice"));
        assert_eq!(url.domain.as_deref(), Some("AZURE"));
        assert_eq!(url.share, "da#ta");
    }

    #[test]
    fn what_names_no_share_is_refused() {
        for text in
            ["", "server/share", "//", "//server", "//server/", "smb://server", "//s/x/../y", "smb://u:p@s/x"]
        {
            assert!(Source::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_needs_no_share() {
        for text in ["//server", "//server/", "\\\\server", "smb://server", "//server/share/x"] {
            assert_eq!(Source::parse_server(text).unwrap().host, "server", "{text}");
        }
        assert_eq!(Source::parse_server("smb://u@s:4450/").unwrap().port, Some(4450));
        for text in ["", "server", "//", "smb://"] {
            assert!(Source::parse_server(text).is_err(), "{text}");
        }
        let error = Source::parse_server("smb://u:hunter2@s").unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
    }

    #[test]
    fn a_password_in_a_url_is_refused_without_repeating_it() {
        let error = Source::parse("smb://u:hunter2@s/x").unwrap_err().to_string();
        assert!(!error.contains("hunter2"));
    }
}
