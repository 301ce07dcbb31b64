//! What the Linux kernel keeps of a FUSE filesystem, and when it forgets it (fs/fuse of Linux 6.x).
//!
//! Pages are dropped by `forget_data`, by an open without `keep_cache`, and where the size changes; a page that was
//! being read when they were dropped is not kept. The size bounds what is read of pages; it comes with attributes, which
//! are asked for again when their time is over, and is not taken from an answer that a change has overtaken. A name is
//! believed for its time; names that lead nowhere are asked for each time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Attr, Ino, Kernel};

/// Small, so that files of some hundred bytes have several.
pub(super) const PAGE: u64 = 64;

#[derive(Debug, Default)]
pub(super) struct Caches {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    nodes: HashMap<Ino, Node>,
    names: BTreeMap<(Ino, String), (Ino, Instant)>,
    /// When names were to be forgotten last.
    forgotten: HashMap<(Ino, String), Moment>,
    clock: Moment,
}

/// Counts what is forgotten and changed.
type Moment = u64;

#[derive(Debug, Default)]
struct Node {
    pages: BTreeMap<u64, Vec<u8>>,
    size: u64,
    fresh_until: Option<Instant>,
    /// The last change.
    version: Moment,
    /// When the pages were dropped last.
    dropped: Moment,
    lookups: u64,
    opens: u32,
}

/// The moment of a question, by which the answer is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Before(Moment);

/// What the pages say of a range.
#[derive(Debug)]
pub(super) enum Pages {
    Held(Vec<u8>),
    /// The first pages that are missing, as a byte range.
    Missing(u64, u32),
}

impl Caches {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn before(&self) -> Before {
        Before(self.lock().clock)
    }

    /// A name that is still believed.
    pub(super) fn name(&self, parent: Ino, name: &str) -> Option<Ino> {
        let inner = self.lock();
        let (ino, until) = inner.names.get(&(parent, name.to_owned()))?;
        (*until > Instant::now()).then_some(*ino)
    }

    /// An answer with an entry: one lookup.
    pub(super) fn entered(&self, parent: Ino, name: &str, attr: &Attr, before: Before) {
        let mut inner = self.lock();
        let key = (parent, name.to_owned());
        if inner.forgotten.get(&key).is_none_or(|at| *at <= before.0) {
            inner.names.insert(key, (attr.ino, Instant::now() + attr.valid));
        } else {
            inner.names.remove(&key);
        }
        let node = inner.nodes.entry(attr.ino).or_default();
        node.lookups += 1;
        node.told(attr, before);
    }

    pub(super) fn drop_name(&self, parent: Ino, name: &str) {
        let mut inner = self.lock();
        let (at, key) = (inner.tick(), (parent, name.to_owned()));
        inner.names.remove(&key);
        inner.forgotten.insert(key, at);
    }

    /// Renamed here.
    pub(super) fn move_name(&self, from: (Ino, &str), to: (Ino, &str), before: Before) {
        let mut inner = self.lock();
        let key = (to.0, to.1.to_owned());
        let told = inner.forgotten.get(&key).is_some_and(|at| *at > before.0);
        let moved = inner.names.remove(&(from.0, from.1.to_owned()));
        inner.names.remove(&(to.0, to.1.to_owned()));
        // Who is to forget the new name has waited for the directory's lock.
        inner.names.extend(moved.filter(|_| !told).map(|moved| ((to.0, to.1.to_owned()), moved)));
    }

    /// The size, if it is still believed.
    pub(super) fn size(&self, ino: Ino) -> Option<u64> {
        let inner = self.lock();
        let node = inner.nodes.get(&ino)?;
        node.fresh_until.is_some_and(|until| until > Instant::now()).then_some(node.size)
    }

    /// The size, believed or not.
    pub(super) fn last_size(&self, ino: Ino) -> u64 {
        self.lock().nodes.get(&ino).map_or(0, |node| node.size)
    }

    pub(super) fn told(&self, ino: Ino, attr: &Attr, before: Before) {
        if let Some(node) = self.lock().nodes.get_mut(&ino) {
            node.told(attr, before);
        }
    }

    pub(super) fn opened(&self, ino: Ino, keep: bool, truncated: bool) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(node) = inner.nodes.get_mut(&ino) {
            node.opens += 1;
            if truncated {
                node.changed(now);
                node.size = 0;
                node.drop_pages(now);
            }
            if !keep {
                node.drop_pages(now);
            }
        }
    }

    pub(super) fn closed(&self, ino: Ino) {
        if let Some(node) = self.lock().nodes.get_mut(&ino) {
            node.opens -= 1;
        }
    }

    /// What is read of a range from the pages.
    pub(super) fn read(&self, ino: Ino, offset: u64, len: u32) -> Pages {
        let inner = self.lock();
        let Some(node) = inner.nodes.get(&ino) else { return Pages::Held(Vec::new()) };
        let end = (offset + u64::from(len)).min(node.size);
        if offset >= end {
            return Pages::Held(Vec::new());
        }
        let wanted = offset / PAGE..end.div_ceil(PAGE);
        let mut missing = wanted.clone().skip_while(|page| node.pages.contains_key(page));
        if let Some(first) = missing.next() {
            let count = 1 + missing.take_while(|page| !node.pages.contains_key(page)).count() as u64;
            return Pages::Missing(first * PAGE, (count * PAGE) as u32);
        }
        let all: Vec<u8> = wanted.clone().flat_map(|page| node.pages[&page].iter().copied()).collect();
        let start = (offset - wanted.start * PAGE) as usize;
        Pages::Held(all[start..start + (end - offset) as usize].to_vec())
    }

    /// Pages have been read. A short answer says where the file ends. Whether the pages are kept.
    pub(super) fn filled(&self, ino: Ino, offset: u64, len: u32, data: &[u8], before: Before) -> bool {
        let mut inner = self.lock();
        let now = inner.tick();
        let Some(node) = inner.nodes.get_mut(&ino) else { return false };
        let kept = node.dropped <= before.0;
        if kept {
            for at in (0..len as usize).step_by(PAGE as usize) {
                let end = (at + PAGE as usize).min(data.len());
                let mut page = data.get(at..end).unwrap_or_default().to_vec();
                page.resize(PAGE as usize, 0);
                node.pages.entry((offset + at as u64) / PAGE).or_insert(page);
            }
        }
        let end = offset + data.len() as u64;
        if data.len() < len as usize && node.version <= before.0 && end < node.size {
            node.version = now;
            node.size = end;
        }
        kept
    }

    /// Before a write is sent: pages that are there have it already.
    pub(super) fn writes(&self, ino: Ino, offset: u64, data: &[u8]) {
        let mut inner = self.lock();
        let Some(node) = inner.nodes.get_mut(&ino) else { return };
        for (at, byte) in (offset..).zip(data) {
            if let Some(page) = node.pages.get_mut(&(at / PAGE)) {
                page[(at % PAGE) as usize] = *byte;
            }
        }
    }

    /// A write was answered: whole pages of it are there now, and the size is at least its end.
    pub(super) fn wrote(&self, ino: Ino, offset: u64, data: &[u8], kept: bool, before: Before) {
        let mut inner = self.lock();
        let now = inner.tick();
        let Some(node) = inner.nodes.get_mut(&ino) else { return };
        let end = offset + data.len() as u64;
        node.changed(now);
        node.size = node.size.max(end);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let whole = page * PAGE >= offset && (page + 1) * PAGE <= end;
            if !kept {
                node.pages.remove(&page);
            } else if whole && node.dropped <= before.0 {
                let start = (page * PAGE - offset) as usize;
                node.pages.insert(page, data[start..start + PAGE as usize].to_vec());
            }
        }
    }

    /// A write failed: nobody knows what is there.
    pub(super) fn unsure(&self, ino: Ino) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(node) = inner.nodes.get_mut(&ino) {
            node.changed(now);
            node.drop_pages(now);
        }
    }

    /// The size was set here.
    pub(super) fn resized(&self, ino: Ino, attr: &Attr) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(node) = inner.nodes.get_mut(&ino) {
            node.changed(now);
            if node.size != attr.size {
                node.drop_pages(now);
            }
            node.told(attr, Before(now));
        }
    }

    /// Forgets all inodes that are not open. Their numbers, with the lookups that are given back.
    pub(super) fn shrink(&self) -> Vec<(Ino, u64)> {
        let mut inner = self.lock();
        let idle: Vec<_> = inner.nodes.iter().filter(|(_, node)| node.opens == 0).collect();
        let mut idle: Vec<_> = idle.into_iter().map(|(ino, node)| (*ino, node.lookups)).collect();
        idle.sort_unstable();
        for (ino, _) in &idle {
            inner.nodes.remove(ino);
        }
        inner.names.retain(|_, (ino, _)| !idle.iter().any(|(gone, _)| gone == ino));
        idle
    }
}

impl Inner {
    fn tick(&mut self) -> Moment {
        self.clock += 1;
        self.clock
    }
}

impl Node {
    /// Attributes that came with an answer, if nothing has changed since it was asked for.
    fn told(&mut self, attr: &Attr, before: Before) {
        if self.version > before.0 {
            return;
        }
        self.fresh_until = Some(Instant::now() + attr.valid);
        if self.size != attr.size {
            self.cut(attr.size);
        }
        self.size = attr.size;
    }

    fn changed(&mut self, now: Moment) {
        self.version = now;
        self.fresh_until = None;
    }

    fn drop_pages(&mut self, now: Moment) {
        self.pages.clear();
        self.dropped = now;
    }

    /// What was kept of pages past a new end is gone; past an old end there were zeros.
    fn cut(&mut self, size: u64) {
        self.pages.retain(|page, _| page * PAGE < size);
        if let Some(last) = self.pages.get_mut(&(size / PAGE)) {
            last[(size % PAGE) as usize..].fill(0);
        }
    }
}

impl Kernel for Caches {
    fn forget_data(&self, ino: Ino) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(node) = inner.nodes.get_mut(&ino) {
            node.changed(now);
            node.drop_pages(now);
        }
    }

    fn forget_attributes(&self, ino: Ino) {
        let mut inner = self.lock();
        let now = inner.tick();
        if let Some(node) = inner.nodes.get_mut(&ino) {
            node.changed(now);
        }
    }

    fn forget_name(&self, parent: Ino, name: &str) {
        self.drop_name(parent, name);
    }
}

/// Longer than any operation may take.
pub(super) const WATCHDOG: Duration = Duration::from_secs(60);
