//! The desktop's keyring, by the Secret Service API of freedesktop.org: for passwords that are to be had only while
//! their user has unlocked it. What is there and whose it is stands in the store.

use std::collections::HashMap;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use secret_service::blocking::{Item, SecretService};
use secret_service::{EncryptionType, Error};
use zeroize::Zeroizing;

use super::Entry;
use crate::codes::KEYRING_UNUSABLE;

/// Saves an entry's secret, in place of an older one.
pub(super) fn save(entry: &Entry, secret: &str) -> Result<()> {
    aside(|| {
        let service = connect()?;
        let collection = match service.get_default_collection() {
            Err(Error::NoResult) => service.get_any_collection(),
            result => result,
        };
        let collection = collection.map_err(explain)?;
        collection.unlock().map_err(explain)?;
        let label = format!("sharefs: {} on {}", entry.full_user(), entry.scope());
        let item = collection.create_item(&label, attributes(entry), secret.as_bytes(), true, "text/plain");
        item.map(drop).map_err(explain)
    })
}

/// An entry's secret.
pub(super) fn load(entry: &Entry) -> Result<Zeroizing<String>> {
    aside(|| {
        let service = connect()?;
        let found = service.search_items(attributes(entry)).map_err(explain)?;
        let item: &Item<'_> = found.unlocked.first().or_else(|| found.locked.first()).with_context(|| {
            format!("the desktop's keyring has no password for {} any more", entry.scope())
        })?;
        // A desktop asks its user, perhaps; another says that it cannot.
        item.unlock().map_err(explain)?;
        let bytes = Zeroizing::new(item.get_secret().map_err(explain)?);
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(Zeroizing::new(text.to_owned())),
            Err(_) => bail!("what the desktop's keyring has for {} is no password", entry.scope()),
        }
    })
}

/// Removes an entry's secret; that there is none is no error.
pub(super) fn remove(entry: &Entry) -> Result<()> {
    aside(|| {
        let service = connect()?;
        let found = service.search_items(attributes(entry)).map_err(explain)?;
        for item in found.unlocked.iter().chain(&found.locked) {
            item.unlock().and_then(|()| item.delete()).map_err(explain)?;
        }
        Ok(())
    })
}

/// By these it is found again.
fn attributes(entry: &Entry) -> HashMap<&str, &str> {
    HashMap::from([
        ("application", "sharefs"),
        ("server", entry.host.as_str()),
        ("share", entry.share.as_deref().unwrap_or_default()),
        ("user", entry.user.as_str()),
        ("domain", entry.domain.as_str()),
    ])
}

/// What goes over the bus is encrypted: others may listen there.
fn connect() -> Result<SecretService<'static>> {
    SecretService::connect(EncryptionType::Dh).map_err(explain)
}

fn explain(error: Error) -> anyhow::Error {
    match error {
        Error::Locked | Error::Prompt => anyhow!("the desktop's keyring is locked"),
        error => anyhow!("the desktop's keyring cannot be used: {error}"),
    }
}

/// D-Bus has a runtime of its own, which may not be started on a thread of another.
fn aside<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        scope.spawn(work).join().unwrap_or_else(|_| bail!("a fault of the keyring's client"))
    })
    .map_err(|error| KEYRING_UNUSABLE.of(&error))
}
