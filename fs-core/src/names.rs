//! Directories of which all names are known for a while, because they were listed whole.
//!
//! A program that looks at many names of a directory one by one, or makes many files in it, costs the server a search for
//! each. One listing answers all of them: until the directory's lease is broken or, where there is none, each name once
//! within the time for which names are believed anyway. Who looks at one name again and again, as two programs do that
//! share a database by files that come and go, is told by the server. What this mount changes is taken out of what is
//! known, and asked for.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::inode::{Ino, Stamp};
use crate::remote::{RemoteAttr, RemoteEntry};

/// Searches for so many names of a directory are dearer than a listing of it.
const MANY: usize = 12;
/// Entries that may be listed for each search that was made: what a listing costs for each is about so much less.
const ENTRIES_PER_SEARCH: usize = 16;
/// Directories and entries that are known at most.
const MOST_DIRECTORIES: usize = 256;
const MOST_ENTRIES: usize = 50_000;

/// What is known of an entry: how it was when, and what this mount had done by then.
pub(crate) type Known = (RemoteAttr, Stamp, Instant);

/// The names of all directories that were listed of late.
#[derive(Debug, Default)]
pub(crate) struct Names {
    books: Mutex<HashMap<Ino, Book>>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Book {
    /// Names that the server was asked for since the last listing, or since it was last believed; no more are kept than
    /// it takes. Their hashes.
    searched: HashSet<u64>,
    /// How many there were.
    searches: usize,
    /// How many there must be before the next listing: the last one was too long for fewer.
    enough: usize,
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
    /// There are no others.
    whole: bool,
    /// Until when it is believed; without, until the lease is broken.
    until: Option<Instant>,
    /// How many searches it has saved.
    saved: usize,
}

impl Listed {
    /// The name, in lower case, has to be asked for from now on.
    fn is_unknown(&mut self, name: String) {
        self.entries.remove(&name);
        self.unknown.insert(name);
        if self.unknown.len() > MOST_ENTRIES {
            // Many more than a listing may have: it is of no use any more.
            (self.until, self.unknown) = (Some(Instant::now()), HashSet::new());
            self.entries.clear();
        }
    }
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
        listed.saved = listed.saved.saturating_add(1);
        let lower = name.to_lowercase();
        if listed.unknown.contains(&lower) {
            return None;
        }
        let word = match listed.entries.get(&lower) {
            // Without a lease somebody else may have made it a moment ago, and told of it (S21).
            None if listed.until.is_some() || !listed.whole => return None,
            None => Word::NotThere,
            Some(spellings) => {
                let (_, known) = spellings.iter().find(|(spelling, _)| **spelling == *name)?;
                Word::There(*known)
            }
        };
        if listed.until.is_some() {
            // Somebody else may change it, and who asks again may wait for that.
            listed.is_unknown(lower);
        }
        Some(word)
    }

    /// The server is about to be asked for one more name. If it is to be asked for all instead, how many it may say at
    /// most; then [`Self::install`] or [`Self::give_up`] must follow.
    pub(crate) fn search(&self, directory: Ino, name: &str, ttl: Duration, now: Instant) -> Option<usize> {
        let hash = self.hasher.hash_one(name);
        let mut books = self.books();
        if books.len() >= MOST_DIRECTORIES && !books.contains_key(&directory) {
            books.retain(|_, book| book.overtaken.is_some() || now.duration_since(book.since) < ttl);
            if books.len() >= MOST_DIRECTORIES {
                return None;
            }
        }
        let new = || Book {
            searched: HashSet::new(),
            searches: 0,
            enough: MANY,
            since: now,
            overtaken: None,
            listed: None,
        };
        let book = books.entry(directory).or_insert_with(new);
        if now.duration_since(book.since) > ttl && book.listed.is_none() {
            (book.searches, book.since) = (book.searches / 2, now);
            book.enough = (book.enough / 2).max(MANY);
            book.searched.clear();
        }
        // What is searched for over and over is no reason to list the rest.
        if book.searched.len() >= MANY || book.searched.insert(hash) {
            book.searches = book.searches.saturating_add(1);
        }
        let is_known = book.listed.as_ref().is_some_and(|listed| listed.whole);
        if book.searches < book.enough || book.overtaken.is_some() || is_known || ttl.is_zero() {
            return None;
        }
        book.overtaken = Some(HashSet::new());
        book.searched.clear();
        Some(book.searches.saturating_mul(ENTRIES_PER_SEARCH).min(MOST_ENTRIES))
    }

    /// The listing that was asked for, or as much of it as there was patience for; then the next one is asked for after
    /// twice as many searches.
    pub(crate) fn install(
        &self,
        directory: Ino,
        (entries, whole): (Vec<RemoteEntry>, bool),
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
        book.enough = if whole { MANY } else { book.searches.max(MANY).saturating_mul(2) };
        book.listed = Some(Listed { entries: names, unknown, whole, until, saved: book.searches });
    }

    /// There is no listing; the next one is asked for after twice as many searches.
    pub(crate) fn give_up(&self, directory: Ino) {
        if let Some(book) = self.books().get_mut(&directory) {
            book.overtaken = None;
            book.enough = book.searches.max(MANY).saturating_mul(2);
        }
    }

    /// This mount has changed an entry.
    pub(crate) fn overtake(&self, directory: Ino, name: &str) {
        let mut books = self.books();
        let Some(book) = books.get_mut(&directory) else { return };
        let lower = name.to_lowercase();
        if let Some(listed) = &mut book.listed {
            listed.is_unknown(lower.clone());
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

    fn searched(names: &Names, number: usize, now: Instant) -> bool {
        names.search(DIR, &number.to_string(), TTL, now).is_some()
    }

    fn asked_enough(names: &Names, now: Instant) {
        assert!((1..MANY).all(|number| !searched(names, number, now)));
        assert!(searched(names, MANY, now));
    }

    #[test]
    fn many_searches_make_a_listing_and_it_answers_for_a_while() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        assert!(!searched(&names, 0, now), "one at a time");
        names.install(DIR, (vec![entry("a"), entry("B")], true), Stamp::default(), now, Some(now + TTL));
        assert!(names.find(DIR, "b", now).is_none(), "the server may ignore case");
        assert!(matches!(names.find(DIR, "a", now), Some(Word::There(_))));
        assert!(names.find(DIR, "a", now).is_none(), "another client may have removed it");
        assert!(names.find(DIR, "none", now).is_none(), "another client may have made it");
        assert!(names.find(DIR, "B", now + TTL).is_none());
    }

    #[test]
    fn what_this_mount_changes_is_asked_for() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        names.overtake(DIR, "during");
        names.install(DIR, (vec![entry("a"), entry("during")], true), Stamp::default(), now, None);
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
        names.install(DIR, (vec![entry("a")], true), Stamp::default(), now, None);
        assert!(names.find(DIR, "a", now).is_none());
    }

    #[test]
    fn a_few_searches_now_and_then_make_no_listing() {
        let (names, now) = (Names::default(), Instant::now());
        for second in 0..100 {
            let now = now + second * 2 * TTL;
            assert!((0..5).all(|number| !searched(&names, number, now)));
        }
    }

    #[test]
    fn half_a_listing_tells_what_is_there_and_not_what_is_not() {
        let (names, now) = (Names::default(), Instant::now());
        asked_enough(&names, now);
        names.install(DIR, (vec![entry("a")], false), Stamp::default(), now, None);
        assert!(matches!(names.find(DIR, "a", now), Some(Word::There(_))));
        assert!(names.find(DIR, "none", now).is_none());
        assert!((0..MANY * 2).any(|number| searched(&names, 100 + number, now)), "the rest is asked for");
    }

    #[test]
    fn a_listing_that_is_too_long_is_not_tried_for_each_search() {
        let (names, now) = (Names::default(), Instant::now());
        let tries = (0..1000).filter(|number| {
            let tried = searched(&names, *number, now);
            if tried {
                names.give_up(DIR);
            }
            tried
        });
        assert!(tries.count() < 10);
    }

    #[test]
    fn one_name_asked_for_again_and_again_makes_no_listing() {
        let (names, now) = (Names::default(), Instant::now());
        assert!((0..100).all(|time| !searched(&names, time % 4, now)));
    }
}
