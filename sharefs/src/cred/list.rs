//! What is saved, for people and programs. Never a secret.

use std::io::{self, Write};

use anyhow::Result;
use serde_json::{Value, json};

use crate::show::{printable, unless_broken_pipe};
use crate::store::{self, Entry, KeyPlace};

/// `sharefs cred list`
pub(super) fn list(as_json: bool) -> Result<()> {
    let (entries, path, key) = (store::entries()?, store::path()?, store::key_place()?);
    let write = || {
        let mut out = io::stdout().lock();
        if as_json {
            let all: Vec<Value> = entries.iter().map(object).collect();
            let store = json!({ "kind": "encrypted file", "path": path, "key": key.path() });
            return writeln!(out, "{:#}", json!({ "store": store, "credentials": all }));
        }
        if entries.is_empty() {
            return writeln!(out, "Nothing is saved in {}.", path.display());
        }
        let width =
            |text: fn(&Entry) -> String| entries.iter().map(|entry| text(entry).chars().count()).max();
        let places = width(Entry::scope).unwrap_or(0).max(5);
        let users = width(Entry::full_user).unwrap_or(0).max(4);
        let passwords = width(|entry| words(entry).into()).unwrap_or(0).max(9);
        writeln!(out, "{:<places$}  {:<users$}  {:<passwords$}  Saved", "Place", "User", "Passwords")?;
        for entry in &entries {
            let (place, user) = (printable(&entry.scope()), printable(&entry.full_user()));
            let words = words(entry);
            writeln!(out, "{place:<places$}  {user:<users$}  {words:<passwords$}  {}", entry.saved)?;
        }
        let whose = match &key {
            KeyPlace::Service(_) => "systemd's credential",
            KeyPlace::Machine(_) => "the file",
        };
        writeln!(out, "Encrypted in {}; the key is {whose} {}", path.display(), key.path().display())
    };
    write().or_else(unless_broken_pipe)
}

/// `sharefs cred show`
pub(super) fn show(entry: &Entry, as_json: bool) -> Result<()> {
    let write = || {
        let mut out = io::stdout().lock();
        if as_json {
            return writeln!(out, "{:#}", object(entry));
        }
        writeln!(out, "    Place: {}", printable(&entry.scope()))?;
        writeln!(out, "     User: {}", printable(&entry.full_user()))?;
        writeln!(out, "Passwords: {}", words(entry))?;
        writeln!(out, "    Saved: {}", entry.saved)
    };
    write().or_else(unless_broken_pipe)
}

fn words(entry: &Entry) -> &'static str {
    match (entry.count(), entry.is_in_keyring()) {
        (1, false) => "one",
        (_, false) => "two",
        (1, true) => "one, in the keyring",
        (_, true) => "two, in the keyring",
    }
}

fn object(entry: &Entry) -> Value {
    json!({
        "place": entry.scope(),
        "host": entry.host,
        "share": entry.share,
        "user": entry.user,
        "domain": entry.domain,
        "passwords": entry.count(),
        "in_keyring": entry.is_in_keyring(),
        "saved": entry.saved,
    })
}
