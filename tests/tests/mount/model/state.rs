//! What is there, what was there before, and for how long that may still be seen.

use std::collections::BTreeSet;
use std::time::Instant;

use super::LAG;
use super::script::FILES;

/// How what was seen compares with what is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sight {
    Right,
    /// It was there, not long ago.
    Late,
    Wrong(String),
}

/// A file, under whatever name.
pub(super) struct File {
    versions: Vec<Version>,
    /// By a rename on this mount.
    pub(super) replaced: Option<usize>,
}

struct Version {
    since: Instant,
    /// Since when the server certainly has it.
    sent: Option<Instant>,
    by: usize,
    data: Vec<u8>,
}

/// What a name leads to since when, and which mount made it so.
#[derive(Clone, Copy, Debug)]
struct Named {
    since: Instant,
    by: usize,
    file: Option<usize>,
}

/// All files of a directory.
pub(super) struct State {
    pub(super) files: Vec<File>,
    names: [Vec<Named>; FILES.len()],
}

impl File {
    pub(super) fn data(&self) -> &[u8] {
        self.versions.last().map_or(&[], |version| &version.data)
    }

    /// Changed by a mount.
    pub(super) fn change(&mut self, by: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let mut data = self.data().to_vec();
        change(&mut data);
        self.versions.push(Version { since: Instant::now(), sent: None, by, data });
    }

    /// The server has all that a mount has written.
    pub(super) fn sent(&mut self, by: usize) {
        for version in self.versions.iter_mut().filter(|version| version.by == by && version.sent.is_none()) {
            version.sent = Some(Instant::now());
        }
    }

    /// The versions that a mount may still see: not those from before its own last one, nor those that were replaced long
    /// ago, by what `known` says.
    fn possible(
        &self,
        mount: usize,
        known: impl Fn(&Version) -> Option<Instant>,
    ) -> impl Iterator<Item = &[u8]> {
        let own = self.versions.iter().rposition(|version| version.by == mount).unwrap_or(0);
        let replaced = move |at: usize| {
            let next = self.versions.get(at + 1);
            next.and_then(&known).is_some_and(|since| since.elapsed() > LAG)
        };
        (own..self.versions.len()).filter(move |at| !replaced(*at)).map(|at| &self.versions[at].data[..])
    }

    /// A read of a range.
    pub(super) fn judge_read(&self, mount: usize, at: usize, len: usize, seen: &[u8]) -> Sight {
        let range = |data: &[u8]| {
            let end = (at + len).min(data.len());
            data.get(at.min(end)..end).unwrap_or_default().to_vec()
        };
        let right = range(self.data());
        if seen == right {
            return Sight::Right;
        }
        let possible: Vec<Vec<u8>> = self.possible(mount, |version| Some(version.since)).map(range).collect();
        let longest = possible.iter().map(Vec::len).max().unwrap_or(0);
        let shortest = possible.iter().map(Vec::len).min().unwrap_or(0);
        if seen.len() < shortest || seen.len() > longest {
            return Sight::Wrong(format!("{} bytes read instead of {}", seen.len(), right.len()));
        }
        for (index, byte) in seen.iter().enumerate() {
            // Past an end that one of them has there are zeros.
            let fits = possible.iter().any(|data| data.get(index) == Some(byte))
                || (*byte == 0 && index >= shortest);
            if !fits {
                return Sight::Wrong(format!(
                    "byte {} was read as {byte} instead of {:?}",
                    at + index,
                    right.get(index)
                ));
            }
        }
        Sight::Late
    }

    /// A size. Another mount may keep what was written there.
    fn judge_size(&self, mount: usize, size: usize) -> Sight {
        if size == self.data().len() {
            return Sight::Right;
        }
        let kept = self.versions.last().is_some_and(|last| last.by != mount && last.sent.is_none());
        if !self.possible(mount, |version| version.sent).any(|data| data.len() == size) {
            return Sight::Wrong(format!("a size of {size} instead of {}", self.data().len()));
        }
        if kept { Sight::Right } else { Sight::Late }
    }
}

impl State {
    pub(super) fn new() -> Self {
        // Nobody has made it so.
        let nothing = || vec![Named { since: Instant::now(), by: usize::MAX, file: None }];
        Self { files: Vec::new(), names: std::array::from_fn(|_| nothing()) }
    }

    /// What a name leads to.
    pub(super) fn file(&self, path: usize) -> Option<usize> {
        self.names[path].last().and_then(|named| named.file)
    }

    /// A name leads elsewhere.
    pub(super) fn name(&mut self, path: usize, by: usize, file: Option<usize>) {
        self.names[path].push(Named { since: Instant::now(), by, file });
    }

    /// A new file.
    pub(super) fn create(&mut self, path: usize, by: usize) -> usize {
        let now = Instant::now();
        let version = Version { since: now, sent: Some(now), by, data: Vec::new() };
        self.files.push(File { versions: vec![version], replaced: None });
        let file = self.files.len() - 1;
        self.name(path, by, Some(file));
        file
    }

    /// Whether a mount may take a name for this file.
    pub(super) fn may_be(&self, path: usize, mount: usize, file: usize) -> bool {
        self.possible(path, mount).any(|possible| possible == Some(file))
    }

    /// What a name may lead to as a mount sees it.
    fn possible(&self, path: usize, mount: usize) -> impl Iterator<Item = Option<usize>> {
        let names = &self.names[path];
        let own = names.iter().rposition(|named| named.by == mount).unwrap_or(0);
        let replaced = move |at: usize| names.get(at + 1).is_some_and(|next| next.since.elapsed() > LAG);
        (own..names.len()).filter(move |at| !replaced(*at)).map(|at| names[at].file)
    }

    /// Whether a mount cannot take a name for what it is not.
    pub(super) fn is_certain(&self, path: usize, mount: usize) -> bool {
        self.possible(path, mount).all(|file| file == self.file(path))
    }

    /// The size behind a name, or that there is nothing.
    pub(super) fn judge_stat(&self, path: usize, mount: usize, seen: Option<usize>) -> Sight {
        let judge = |file: Option<usize>| match (file, seen) {
            (None, None) => Sight::Right,
            (Some(file), Some(size)) => self.files[file].judge_size(mount, size),
            (Some(_), None) => Sight::Wrong("nothing is there".into()),
            (None, Some(size)) => Sight::Wrong(format!("a file of {size} bytes that is not there")),
        };
        // Behind a name of before there may be a size of before, also of what this mount has changed under another name.
        let was = |file: Option<usize>| match (file, seen) {
            (Some(file), Some(size)) => {
                self.files[file].versions.iter().any(|version| version.data.len() == size)
            }
            (file, seen) => file.is_none() && seen.is_none(),
        };
        match judge(self.file(path)) {
            Sight::Wrong(_) if self.possible(path, mount).any(was) => Sight::Late,
            sight => sight,
        }
    }

    /// The names in the directory.
    pub(super) fn judge_list(&self, mount: usize, seen: &BTreeSet<&str>) -> Sight {
        let mut late = false;
        for (path, name) in FILES.iter().enumerate() {
            let shown = seen.contains(name);
            if shown == self.file(path).is_some() {
                continue;
            }
            if !self.possible(path, mount).any(|file| file.is_some() == shown) {
                return Sight::Wrong(format!("{name}: {}", if shown { "shown" } else { "missing" }));
            }
            late = true;
        }
        if let Some(strange) = seen.iter().find(|name| !FILES.contains(name)) {
            return Sight::Wrong(format!("{strange} is nobody's"));
        }
        if late { Sight::Late } else { Sight::Right }
    }
}
