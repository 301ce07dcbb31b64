//! Directories of which all names are known for a while, because they were listed whole.
//!
//! A program that looks at many names of a directory one by one, or makes many files in it, costs the server a search for
//! each. One listing answers all of them: for as long as names are believed anyway, or until the directory's lease is
//! broken. What this mount changes is taken out of what is known, and asked for.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::inode::{Ino, Stamp};
use crate::remote::{RemoteAttr, RemoteEntry};

/// So many searches in a directory are dearer than a listing of it.
const MANY: u32 = 12;
/// Entries that may be listed for each search that was made: what a listing costs for each is about so much less.
const ENTRIES_PER_SEARCH: usize = 32;
/// Directories and entries that are known at most.
const MOST_DIRECTORIES: usize = 256;
const MOST_ENTRIES: usize = 50_000;

/// What is known of an entry: how it was when, and what this mount had done by then.
pub(crate) type Known = (RemoteAttr, Stamp, Instant);

/// The names of all directories that were listed of late.
#[derive(Debug, Default)]
pub(crate) struct Names {
    books: Mutex<HashMap<Ino, Book>>,
}

#[derive(Debug)]
struct Book {
    /// Searches by the server since the last listing, or since it was last believed.
    searches: u32,
    since: Instant,
    /// What this mount has changed while a listing is on its way.
    overtaken: Option<HashSet<String>>,
    listed: Option<Listed>,
}

#[derive(Debug)]
struct Listed {
    /// By name in lower case: a server that ignores case finds each spelling.
    entries: HashMap<String, Vec<(Box<str>, Known)>>,
    /// Names of which nothing is known any more, in lower case.
    unknown: HashSet<String>,
    /// Until when it is believed; without, until the lease is broken.
    until: Option<Instant>,
    /// How many searches it has saved.
    saved: u32,
}

/// What a book says of a name.
#[derive(Debug)]
pub(crate) enum Word {
    There(Known),
    NotThere,
}

impl Names {
    /// What is known of a name; `None` if the server has to be asked.
    pub(crate) fn find(&self, directory: Ino, name: &str, now: Instant) -> Option<Word> {
        let mut books = self.books();
        let book = books.get_mut(&directory)?;
        let listed = book.listed.as_mut()?;
        if listed.until.is_some_and(|until| until <= now) {
            // Who has asked much will go on asking.
            (book.searches, book.since) = (listed.saved, now);
            book.listed = None;
            return None;
        }
        let lower = name.to_lowercase();
        if listed.unknown.contains(&lower) {
            return None;
        }
        match listed.entries.get(&lower) {
            // Without a lease somebody else may have made it a moment ago, and told of it (S21).
            None => listed.until.is_none().then_some(Word::NotThere),
            Some(spellings) => spellings
                .iter()
                .find(|(spelling, _)| **spelling == *name)
                .map(|(_, known)| Word::There(*known)),
        }
    }

    /// The server is about to be asked for one more name. If it is to be asked for all instead, how many it may say at
    /// most; then [`Self::install`] or [`Self::give_up`] must follow.
    pub(crate) fn search(&self, directory: Ino, ttl: Duration, now: Instant) -> Option<usize> {
        let mut books = self.books();
        if books.len() >= MOST_DIRECTORIES && !books.contains_key(&directory) {
            books.retain(|_, book| book.overtaken.is_some() || now.duration_since(book.since) < ttl);
            if books.len() >= MOST_DIRECTORIES {
                return None;
            }
        }
        let new = || Book { searches: 0, since: now, overtaken: None, listed: None };
        let book = books.entry(directory).or_insert_with(new);
        if now.duration_since(book.since) > ttl && book.listed.is_none() {
            (book.searches, book.since) = (book.searches / 2, now);
        }
        book.searches = book.searches.saturating_add(1);
        if book.searches < MANY || book.overtaken.is_some() || book.listed.is_some() || ttl.is_zero() {
            return None;
        }
        book.overtaken = Some(HashSet::new());
        Some((book.searches as usize).saturating_mul(ENTRIES_PER_SEARCH).min(MOST_ENTRIES))
    }

    /// The whole listing that was asked for.
    pub(crate) fn install(
        &self,
        directory: Ino,
        entries: Vec<RemoteEntry>,
        asked: Stamp,
        at: Instant,
        until: Option<Instant>,
    ) {
        let mut books = self.books();
        let Some(book) = books.get_mut(&directory) else { return };
        // Without it, the lease was broken meanwhile.
        let Some(unknown) = book.overtaken.take() else { return };
        let mut names: HashMap<String, Vec<(Box<str>, Known)>> = HashMap::with_capacity(entries.len());
        for RemoteEntry { name, attr } in entries {
            names.entry(name.to_lowercase()).or_default().push((name.into(), (attr, asked, at)));
        }
        book.listed = Some(Listed { entries: names, unknown, until, saved: 0 });
    }

    /// There is no whole listing; the next one is asked for after as many searches again.
    pub(crate) fn give_up(&self, directory: Ino) {
        if let Some(book) = self.books().get_mut(&directory) {
            book.overtaken = None;
        }
    }

    /// This mount has changed an entry.
    pub(crate) fn overtake(&self, directory: Ino, name: &str) {
        let mut books = self.books();
        let Some(book) = books.get_mut(&directory) else { return };
        let lower = name.to_lowercase();
        if let Some(listed) = &mut book.listed {
            listed.entries.remove(&lower);
            listed.unknown.insert(lower.clone());
        }
        if let Some(overtaken) = &mut book.overtaken {
            overtaken.insert(lower);
        }
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&self, directory: Ino) {
        self.books().remove(&directory);
    }

    fn books(&self) -> MutexGuard<'_, HashMap<Ino, Book>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::FileKind;
    use crate::tests::attr;

    const TTL: Duration = Duration::from_secs(1);
    const DIR: Ino = Ino(9);

    fn entry(name: &str) -> RemoteEntry {
        RemoteEntry { name: name.into(), attr: attr(1, FileKind::File, 0) }
    }

    fn asked_enough(names: &Names, now: Instant) {
        assert!((1..MANY).all(|_| names.search(DIR, TTL, now).is_none()));
        assert!(names.search(DIR, TTL, now).is_some());
    }

    #[test]
    fn many_searches_make_a_listing_and_it_answers_for_a_while() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        assert!(names.search(DIR, TTL, now).is_none(), "one at a time");
        names.install(DIR, vec![entry("a"), entry("B")], Stamp::default(), now, Some(now + TTL));
        assert!(matches!(names.find(DIR, "a", now), Some(Word::There(_))));
        assert!(names.find(DIR, "none", now).is_none(), "another client may have made it");
        assert!(names.find(DIR, "b", now).is_none(), "the server may ignore case");
        assert!(names.find(DIR, "a", now + TTL).is_none());
    }

    #[test]
    fn what_this_mount_changes_is_asked_for() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        names.overtake(DIR, "during");
        names.install(DIR, vec![entry("a"), entry("during")], Stamp::default(), now, None);
        names.overtake(DIR, "After");
        for name in ["during", "after"] {
            assert!(names.find(DIR, name, now).is_none(), "{name}");
        }
        assert!(matches!(names.find(DIR, "a", now + 100 * TTL), Some(Word::There(_))));
        assert!(matches!(names.find(DIR, "none", now), Some(Word::NotThere)), "the lease tells");
    }

    #[test]
    fn a_broken_lease_forgets_also_what_is_on_its_way() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        names.forget(DIR);
        names.install(DIR, vec![entry("a")], Stamp::default(), now, None);
        assert!(names.find(DIR, "a", now).is_none());
    }

    #[test]
    fn a_few_searches_now_and_then_make_no_listing() {
        let (names, now) = (Names::default(), Instant::now());
        for second in 0..100 {
            let now = now + second * 2 * TTL;
            assert!((0..5).all(|_| names.search(DIR, TTL, now).is_none()));
        }
    }
}
