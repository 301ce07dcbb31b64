//! The store of credentials: one encrypted file of this user's, replaced as a whole.

mod keyring;
mod seal;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use smb_client::Secret;
use zeroize::Zeroizing;

pub(crate) use seal::KeyPlace;

use crate::codes::{SEVERAL_USERS, STORE_UNUSABLE};
use crate::credentials::{is_azure, split_user};
use crate::private::{self, Purpose};
use crate::source::Source;
use seal::Key;

/// What the sealed text is; another number is another version's.
const VERSION: u32 = 1;

/// A user's password for a server, or for one of its shares.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// In lower case.
    pub(crate) host: String,
    pub(crate) share: Option<String>,
    pub(crate) user: String,
    pub(crate) domain: String,
    kept: Kept,
    /// RFC 3339
    pub(crate) saved: String,
}

/// The password itself.
#[derive(Clone, Serialize, Deserialize)]
enum Kept {
    Here {
        password: Zeroizing<String>,
        second: Option<Zeroizing<String>>,
    },
    /// The desktop's keyring has it; where there are two, a line each.
    Keyring {
        two: bool,
    },
}

/// A server, or a share of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    /// In lower case.
    pub(crate) host: String,
    pub(crate) share: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    entries: Vec<Entry>,
}

impl Scope {
    /// `HOST`, `HOST/SHARE`, or a source; with what the source says beside.
    pub(crate) fn parse(text: &str) -> Result<(Self, Source)> {
        let named = text.starts_with("//") || text.starts_with("\\\\") || text.contains("://");
        let text = if named { text.to_owned() } else { format!("//{text}") };
        let (source, share) = match Source::parse(&text) {
            Ok(source) => {
                let share = source.share.clone();
                (source, Some(share))
            }
            Err(_) => (Source::parse_server(&text)?, None),
        };
        if !source.path.is_empty() {
            bail!("{source} is a folder: credentials are for a server or a share, {}", source.at(""));
        }
        Ok((Self { host: plain_host(&source.host), share }, source))
    }
}

/// A host as it is compared.
fn plain_host(host: &str) -> String {
    host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase()
}

impl Entry {
    pub(crate) fn new(
        scope: Scope,
        user: &str,
        domain: Option<String>,
        password: &Secret,
        second: Option<&Secret>,
    ) -> Self {
        let (domain, user) = split_user(user, domain);
        let text = |secret: &Secret| Zeroizing::new(secret.expose().to_owned());
        Self {
            host: scope.host,
            share: scope.share,
            user,
            domain,
            kept: Kept::Here { password: text(password), second: second.map(text) },
            saved: crate::status::now(),
        }
    }

    /// The password, and the second of two.
    pub(crate) fn secrets(&self) -> Result<(Secret, Option<Secret>)> {
        let secret = |text: &str| Secret::from(text.to_owned());
        Ok(match &self.kept {
            Kept::Here { password, second } => {
                (secret(password), second.as_ref().map(|second| secret(second)))
            }
            Kept::Keyring { .. } => {
                let text = keyring::load(self)?;
                let mut lines = text.split('\n');
                (secret(lines.next().unwrap_or_default()), lines.next().map(secret))
            }
        })
    }

    /// How many passwords there are.
    pub(crate) const fn count(&self) -> usize {
        let two = match &self.kept {
            Kept::Here { second, .. } => second.is_some(),
            Kept::Keyring { two } => *two,
        };
        if two { 2 } else { 1 }
    }

    /// Whether the desktop's keyring has the password.
    pub(crate) const fn is_in_keyring(&self) -> bool {
        matches!(self.kept, Kept::Keyring { .. })
    }

    /// Gives the password to the desktop's keyring.
    fn give_to_keyring(&mut self) -> Result<()> {
        if let Kept::Here { password, second } = &self.kept {
            let rest = second.as_ref().map(|second| Zeroizing::new(format!("\n{}", second.as_str())));
            let text = Zeroizing::new([password.as_str(), rest.as_ref().map_or("", |rest| rest)].concat());
            keyring::save(self, &text)?;
            self.kept = Kept::Keyring { two: second.is_some() };
        }
        Ok(())
    }

    /// How long it is at most in JSON, whose longest escape has six bytes.
    fn room(&self) -> usize {
        let secrets = match &self.kept {
            Kept::Here { password, second } => {
                password.len() + second.as_ref().map_or(0, |second| second.len())
            }
            Kept::Keyring { .. } => 0,
        };
        6 * (secrets + self.scope().len() + self.full_user().len() + 256)
    }

    /// `//host`, or `//host/share`.
    pub(crate) fn scope(&self) -> String {
        match &self.share {
            Some(share) => format!("//{}/{share}", self.host),
            None => format!("//{}", self.host),
        }
    }

    /// `DOMAIN\user`
    pub(crate) fn full_user(&self) -> String {
        if self.domain.is_empty() { self.user.clone() } else { format!("{}\\{}", self.domain, self.user) }
    }

    /// Whether it is for this very server or share.
    pub(crate) fn is_for(&self, scope: &Scope) -> bool {
        let same_share = match (&self.share, &scope.share) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (None, None) => true,
            _ => false,
        };
        self.host == scope.host && same_share
    }

    /// Whether the server takes both for one user.
    fn is_same_user(&self, other: &Self) -> bool {
        self.user.eq_ignore_ascii_case(&other.user)
            && (is_azure(&self.host) || self.domain.eq_ignore_ascii_case(&other.domain))
    }

    /// Whether it is this user's. Azure takes any domain for the same.
    pub(crate) fn is_of(&self, user: &str, domain: Option<&str>) -> bool {
        let (domain, user) = split_user(user, domain.map(str::to_owned));
        let same_domain = domain.is_empty()
            || self.domain.is_empty()
            || is_azure(&self.host)
            || domain.eq_ignore_ascii_case(&self.domain);
        same_domain && user.eq_ignore_ascii_case(&self.user)
    }
}

/// The file.
pub(crate) fn path() -> Result<PathBuf> {
    Ok(private::folder(Purpose::Data)?.join("credentials"))
}

/// Where the key is that opens it.
pub(crate) fn key_place() -> Result<KeyPlace> {
    KeyPlace::find()
}

/// All that is stored.
///
/// # Errors
///
/// Where the file is not this user's alone, was changed, or its key is not to be had.
pub(crate) fn entries() -> Result<Vec<Entry>> {
    open_store().map_err(|error| STORE_UNUSABLE.of(&error))
}

fn open_store() -> Result<Vec<Entry>> {
    let path = path()?;
    let Some(sealed) = private::read(&path)? else { return Ok(Vec::new()) };
    let key = Key::read(&KeyPlace::find()?)?
        .with_context(|| format!("the key of {} is missing: {}", path.display(), advice()))?;
    let text =
        seal::open(&key, sealed).with_context(|| format!("cannot open {}; {}", path.display(), advice()))?;
    let content: Content = serde_json::from_slice(&text)
        .map_err(|_| anyhow::anyhow!("{} cannot be understood", path.display()))?;
    if content.version != VERSION {
        bail!("{} is of a newer sharefs", path.display());
    }
    Ok(content.entries)
}

fn advice() -> &'static str {
    "bring it back, or remove the file and save the credentials again"
}

/// Changes what is stored. What fails changes nothing, and nobody else changes anything meanwhile.
pub(crate) fn update<T>(change: impl FnOnce(&mut Vec<Entry>) -> Result<T>) -> Result<T> {
    let path = path()?;
    let dir = private::folder(Purpose::Data)?;
    private::make(&dir)?;
    let _lock = private::lock(&dir)?;
    let mut entries = entries()?;
    let result = change(&mut entries)?;
    entries.sort_by(|a, b| (&a.host, &a.share, &a.user).cmp(&(&b.host, &b.share, &b.user)));
    // Room for all of it: what a growing buffer leaves behind would not be wiped.
    let room = entries.iter().map(Entry::room).sum::<usize>() + 256;
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *text, &Content { version: VERSION, entries })?;
    let place = KeyPlace::find()?;
    let key = match Key::read(&place)? {
        Some(key) => key,
        None => Key::make(&place)?,
    };
    private::replace(&path, &seal::seal(&key, text)?)?;
    Ok(result)
}

/// Adds an entry, or replaces that of the same place and user; says whether it replaced one.
pub(crate) fn add(mut entry: Entry, in_keyring: bool) -> Result<bool> {
    let old = update(|entries| {
        let scope = Scope { host: entry.host.clone(), share: entry.share.clone() };
        if in_keyring {
            entry.give_to_keyring()?;
        }
        let is_old = |old: &mut Entry| old.is_for(&scope) && old.is_same_user(&entry);
        let old: Vec<Entry> = entries.extract_if(.., is_old).collect();
        entries.push(entry);
        Ok(old)
    })?;
    if !in_keyring {
        old.iter().for_each(forget);
    }
    Ok(!old.is_empty())
}

/// Takes an entry's password out of the desktop's keyring, if it is there. Who cannot reach that removes it there.
pub(crate) fn forget(entry: &Entry) {
    if entry.is_in_keyring()
        && let Err(error) = keyring::remove(entry)
    {
        tracing::warn!("the password stays in the desktop's keyring: {error:#}");
    }
}

/// The entry that serves best: of the user asked for, rather the share's than the server's.
pub(crate) fn find(
    host: &str,
    share: &str,
    user: Option<&str>,
    domain: Option<&str>,
) -> Result<Option<Entry>> {
    choose(entries()?, host, share, user, domain)
}

fn choose(
    entries: Vec<Entry>,
    host: &str,
    share: &str,
    user: Option<&str>,
    domain: Option<&str>,
) -> Result<Option<Entry>> {
    let host = plain_host(host);
    // What lists the shares is a share for everybody who may use another.
    let any_share = share.eq_ignore_ascii_case("IPC$");
    let suits = |entry: &Entry| {
        let its_share = entry.share.as_deref();
        entry.host == host
            && its_share.is_none_or(|its| any_share || its.eq_ignore_ascii_case(share))
            && user.is_none_or(|user| entry.is_of(user, domain))
    };
    let mut suitable: Vec<Entry> = entries.into_iter().filter(suits).collect();
    if !any_share && suitable.iter().any(|entry| entry.share.is_some()) {
        suitable.retain(|entry| entry.share.is_some());
    }
    let users: Vec<String> = suitable.iter().map(Entry::full_user).collect();
    let Some(first) = suitable.first() else { return Ok(None) };
    if suitable.iter().any(|entry| !entry.user.eq_ignore_ascii_case(&first.user)) {
        return Err(SEVERAL_USERS.says(format!(
            "there are credentials of several users for {host} ({}): give -o username=",
            users.join(", ")
        )));
    }
    Ok(suitable.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(place: &str, user: &str) -> Entry {
        let secret = format!("{place} {user}").into();
        Entry::new(Scope::parse(place).unwrap().0, user, None, &secret, None)
    }

    fn chosen(entries: &[Entry], share: &str, user: Option<&str>) -> Option<String> {
        choose(entries.to_vec(), "SERVER.", share, user, None)
            .unwrap()
            .map(|entry| entry.secrets().unwrap().0.expose().to_owned())
    }

    #[test]
    fn a_place_is_a_server_or_a_share() {
        let scope = |text: &str| {
            let (scope, source) = Scope::parse(text).unwrap();
            (scope.host, scope.share, source.port)
        };
        assert_eq!(scope("Server"), ("server".into(), None, None));
        assert_eq!(scope("//server/Data/"), ("server".into(), Some("Data".into()), None));
        assert_eq!(scope("server/data"), ("server".into(), Some("data".into()), None));
        assert_eq!(scope("\\\\server\\data"), ("server".into(), Some("data".into()), None));
        assert_eq!(scope("smb://u@server:4450"), ("server".into(), None, Some(4450)));
        assert!(Scope::parse("server/data/folder").is_err());
        assert!(Scope::parse("smb://u:hunter2@server").is_err());
    }

    #[test]
    fn the_share_comes_before_the_server_and_the_user_decides() {
        let entries = [
            entry("server", "alice"),
            entry("server/one", "alice"),
            entry("other", "alice"),
            entry("server/two", "D\\bob"),
        ];
        assert_eq!(chosen(&entries, "ONE", None).as_deref(), Some("server/one alice"));
        assert_eq!(chosen(&entries, "three", None).as_deref(), Some("server alice"));
        assert_eq!(chosen(&entries, "two", None).as_deref(), Some("server/two D\\bob"));
        assert_eq!(chosen(&entries, "two", Some("Alice")).as_deref(), Some("server alice"));
        assert_eq!(chosen(&entries, "two", Some("E\\bob")), None);
        assert_eq!(chosen(&entries, "two", Some("carol")), None);
        let two = [entry("server", "alice"), entry("server", "bob")];
        let error = choose(two.to_vec(), "server", "x", None, None).err().unwrap().to_string();
        assert!(error.contains("alice, bob"), "{error}");
        assert_eq!(chosen(&two, "x", Some("bob")).as_deref(), Some("server bob"));
    }

    #[test]
    fn azure_takes_any_domain() {
        let entry = entry("acct.file.core.windows.net", "AZURE\\acct");
        for user in ["acct", "localhost\\acct", "Azure\\ACCT"] {
            assert!(entry.is_of(user, None), "{user}");
        }
    }
}
