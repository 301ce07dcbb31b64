//! Open directories: a cursor that can be set back.
//!
//! SMB lists a directory forwards only, and a seekdir(3) may come at any time, so the entries seen so far are
//! kept, each at a fixed offset: 0 is `.`, 1 is `..`, the first entry of the server 2. Setting the cursor back
//! to 0 lists afresh, as rewinddir(3) wants. The server's handle is closed as soon as the listing is complete:
//! open, it would keep a directory that is deleted from going away.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::inode::{Ino, Stamp};
use crate::listing::Listing;
use crate::name;
use crate::remote::{RemoteAttr, RemoteEntry, RemoteHandle};

/// Offset of the first entry that is not synthesised.
pub(crate) const FIRST: u64 = 2;

/// One entry kept.
#[derive(Debug)]
pub(crate) struct Listed {
    /// The name on the server.
    pub(crate) name: Arc<str>,
    pub(crate) attr: RemoteAttr,
    /// When the server was asked for it.
    pub(crate) asked: Stamp,
    pub(crate) at: Instant,
}

/// An open directory.
#[derive(Debug)]
pub(crate) struct OpenDir {
    pub(crate) ino: Ino,
    pub(crate) cursor: tokio::sync::Mutex<Cursor>,
    /// Entries that this mount has changed since the directory was opened: what was listed of them before is
    /// not believed.
    overtaken: Mutex<HashMap<Box<str>, Stamp>>,
}

impl OpenDir {
    pub(crate) fn new(ino: Ino, cursor: Cursor) -> Self {
        Self { ino, cursor: tokio::sync::Mutex::new(cursor), overtaken: Mutex::default() }
    }

    pub(crate) fn overtake(&self, name: &str, stamp: Stamp) {
        self.overtaken.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), stamp);
    }

    pub(crate) fn is_overtaken(&self, entry: &Listed) -> bool {
        let overtaken = self.overtaken.lock().unwrap_or_else(PoisonError::into_inner);
        overtaken.get(&*entry.name).is_some_and(|changed| *changed > entry.asked)
    }
}

/// How far the listing has come.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// `None` once the listing is complete.
    pub(crate) remote: Option<RemoteHandle>,
    /// The server's handle was asked for with a lease.
    pub(crate) leased: bool,
    /// When the server was asked for the first entries, of which there may be none.
    begun: Option<Stamp>,
    entries: Vec<Listed>,
    names: HashSet<Arc<str>>,
    /// Instead of the entries, a listing that was complete from the beginning.
    kept: Option<Arc<Listing>>,
}

impl Cursor {
    pub(crate) fn new(remote: RemoteHandle, leased: bool) -> Self {
        Self {
            remote: Some(remote),
            leased,
            begun: None,
            entries: Vec::new(),
            names: HashSet::new(),
            kept: None,
        }
    }

    /// Of a listing that is complete.
    pub(crate) fn of(listing: Arc<Listing>) -> Self {
        Self {
            remote: None,
            leased: false,
            begun: None,
            entries: Vec::new(),
            names: HashSet::new(),
            kept: Some(listing),
        }
    }

    /// The entry at an offset at or after [`FIRST`], if it has been seen.
    pub(crate) fn at(&self, offset: u64) -> Option<&Listed> {
        let index = usize::try_from(offset.checked_sub(FIRST)?).ok()?;
        self.kept.as_ref().map_or(&self.entries, |listing| &listing.entries).get(index)
    }

    /// Whether it has just been made, and is as new as a new one.
    pub(crate) fn is_untouched(&self) -> bool {
        self.entries.is_empty() && self.remote.is_some()
    }

    /// Since when it has been listed.
    pub(crate) fn begun(&self) -> Option<Stamp> {
        self.begun
    }

    /// The listing is complete: shares what has been seen.
    pub(crate) fn complete(&mut self) -> Arc<Listing> {
        let listing = Arc::new(Listing::new(std::mem::take(&mut self.entries)));
        self.kept = Some(listing.clone());
        listing
    }

    /// Keep what the server sent, without what must not get out: names that are none, and names seen before.
    pub(crate) fn extend(&mut self, batch: Vec<RemoteEntry>, asked: Stamp, at: Instant) {
        self.begun.get_or_insert(asked);
        for entry in batch {
            if entry.name == "." || entry.name == ".." {
                continue;
            }
            if name::checked(&entry.name).is_err() {
                tracing::warn!(name = ?entry.name, "the server listed a name that cannot be one; left out");
                continue;
            }
            let name: Arc<str> = entry.name.into();
            if !self.names.insert(name.clone()) {
                tracing::debug!(?name, "the server listed a name twice");
                continue;
            }
            self.entries.push(Listed { name, attr: entry.attr, asked, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::FileKind;
    use crate::tests::attr;

    #[test]
    fn hostile_and_repeated_names_are_left_out() {
        let attr = attr(0, FileKind::File, 0);
        let names = [".", "..", "", "a", "../x", "x/y", "x\\y", "nul\0", "a", ".\u{F029}", "b\u{F022}"];
        let batch = names.map(|name| RemoteEntry { name: name.into(), attr }).to_vec();
        let mut cursor = Cursor::new(RemoteHandle(1), false);
        assert!(cursor.is_untouched());
        cursor.extend(batch, Stamp::default(), Instant::now());
        let seen: Vec<_> = (FIRST..).map_while(|o| cursor.at(o)).map(|e| &*e.name).collect();
        assert_eq!(seen, ["a", "x\\y"]);
        assert!(cursor.at(0).is_none() && cursor.at(1).is_none() && cursor.at(u64::MAX).is_none());
    }
}
