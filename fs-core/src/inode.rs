//! The inode table: which numbers we have given out, where they are on the server, and what we know of them.
//!
//! An inode lives as long as something refers to it: a lookup the kernel has not forgotten, an open handle, or
//! a child in the table. Its path is built by walking up, so that renaming a directory moves all below it for
//! free. An inode whose name is gone ("detached") is reached through its open handles only.
//!
//! Races are told by a counter, not by time. Each local change gives the inode a new [`Stamp`]; an answer of
//! the server is believed only if the inode's stamp is not newer than the one read before asking.

mod names;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use crate::content::{Common, Content};
use tokio::time::Instant;

use crate::error::{FsError, FsResult};
use crate::name::RemotePath;
use crate::remote::{FileKind, RemoteAttr};
pub(crate) use names::MadeUp;

/// An inode number. Never reused while the filesystem is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ino(pub u64);

impl Ino {
    /// The root of the share.
    pub const ROOT: Self = Self(1);
}

/// How long is believed what a lease protects: it ends by a break, not by time.
const LEASED_TTL: Duration = Duration::from_secs(3600);

/// A point in the order of local changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stamp(u64);

/// What we know of one inode.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: FileKind,
    /// Where it is; meaningless when detached.
    parent: Ino,
    name: Box<str>,
    attached: bool,
    /// Deleted by a user of this mount while open: it has a hidden name and goes with the last handle.
    pub(crate) doomed: bool,
    lookups: u64,
    pub(crate) opens: u32,
    children: HashMap<Box<str>, Ino>,
    pub(crate) attr: Option<RemoteAttr>,
    fresh_until: Instant,
    changed: Stamp,
    /// When the server was last asked for it by its name: an open handle does not tell whether the name still leads here.
    named: Stamp,
    /// Since when the lease of a directory is held: nobody else changes what is in it.
    leased: Option<Stamp>,
    /// Since it was opened first.
    pub(crate) content: Option<Arc<Content>>,
    /// What programs set and the server cannot keep.
    pub(crate) made_up: MadeUp,
    /// What programs are shown as the inode's number: all names of a file have that of the one that was known first.
    pub(crate) number: Ino,
}

/// The order is the same each time, so that what happens in it can be played again.
type Nodes = HashMap<Ino, Node, BuildHasherDefault<DefaultHasher>>;

/// The table.
#[derive(Debug)]
pub(crate) struct Inodes {
    nodes: Nodes,
    /// The inodes by the server's numbers of their files: names of one file stand together.
    files: BTreeSet<(u64, Ino)>,
    last: Ino,
    stamp: Stamp,
    ttl: Duration,
}

impl Inodes {
    pub(crate) fn new(ttl: Duration, now: Instant) -> Self {
        let root = Node::new(FileKind::Directory, Ino::ROOT, Ino::ROOT, "".into(), now);
        Self {
            nodes: Nodes::from_iter([(Ino::ROOT, root)]),
            files: BTreeSet::new(),
            last: Ino::ROOT,
            stamp: Stamp::default(),
            ttl,
        }
    }

    /// The stamp to read before asking the server.
    pub(crate) fn stamp(&self) -> Stamp {
        self.stamp
    }

    pub(crate) fn node(&self, ino: Ino) -> FsResult<&Node> {
        self.nodes.get(&ino).ok_or_else(FsError::stale)
    }

    pub(crate) fn child(&self, parent: Ino, name: &str) -> Option<Ino> {
        self.nodes.get(&parent)?.children.get(name).copied()
    }

    /// Whether the entry is a deleted file that only this mount's open handles keep.
    pub(crate) fn is_doomed(&self, parent: Ino, name: &str) -> bool {
        self.child(parent, name).and_then(|ino| self.nodes.get(&ino)).is_some_and(|node| node.doomed)
    }

    /// # Errors
    /// ESTALE if the inode, or a directory above it, has lost its name.
    pub(crate) fn path(&self, ino: Ino) -> FsResult<RemotePath> {
        let mut names = Vec::new();
        let mut at = ino;
        while at != Ino::ROOT {
            let node = self.node(at)?;
            if !node.attached {
                return Err(FsError::stale());
            }
            names.push(&*node.name);
            at = node.parent;
        }
        Ok(RemotePath::from_checked(names.into_iter().rev()))
    }

    /// Where the inode is: its directory and its name there.
    pub(crate) fn place(&self, ino: Ino) -> Option<(Ino, Box<str>)> {
        let node = self.nodes.get(&ino)?;
        (node.attached && ino != Ino::ROOT).then(|| (node.parent, node.name.clone()))
    }

    /// The inode of an entry the server has just shown, with one more lookup; a new one if the name was unknown
    /// or now means another file.
    pub(crate) fn looked_up(
        &mut self,
        parent: Ino,
        name: &str,
        attr: RemoteAttr,
        asked: Stamp,
        now: Instant,
    ) -> FsResult<Ino> {
        let new = self.reserve();
        self.looked_up_as(new, parent, name, attr, asked, now)
    }

    /// The same for an entry of a listing.
    pub(crate) fn listed(
        &mut self,
        parent: Ino,
        name: &str,
        attr: RemoteAttr,
        asked: Stamp,
        at: Instant,
    ) -> FsResult<Ino> {
        let open = self
            .child(parent, name)
            .filter(|ino| self.node(*ino).is_ok_and(|node| node.opens > 0 && node.is(&attr)));
        match open {
            // Windows brings the listing up to date when an open file is closed; what we know is better.
            Some(ino) => {
                self.looked_up_again(ino);
                Ok(ino)
            }
            None => self.looked_up(parent, name, attr, asked, at),
        }
    }

    /// A number for an inode that may come to be.
    pub(crate) fn reserve(&mut self) -> Ino {
        self.last = Ino(self.last.0 + 1);
        self.last
    }

    /// The same as [`Self::looked_up`]; a new inode gets the number `new`, which was reserved.
    pub(crate) fn looked_up_as(
        &mut self,
        new: Ino,
        parent: Ino,
        name: &str,
        attr: RemoteAttr,
        asked: Stamp,
        now: Instant,
    ) -> FsResult<Ino> {
        if let Some(ino) = self.child(parent, name) {
            if self.node(ino)?.is(&attr) {
                let node = self.node_mut(ino)?;
                node.lookups += 1;
                node.named = node.named.max(asked);
                self.learn(ino, attr, asked, now);
                return Ok(ino);
            }
            self.detach(ino);
        }
        let ino = new;
        self.node_mut(parent)?.children.insert(name.into(), ino);
        let mut node = Node::new(attr.kind, ino, parent, name.into(), now);
        node.lookups = 1;
        node.named = asked;
        self.nodes.insert(ino, node);
        self.learn(ino, attr, asked, now);
        Ok(ino)
    }

    /// One more lookup of an inode that is known, and of which nothing new is known.
    pub(crate) fn looked_up_again(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.lookups += 1;
        }
    }

    /// What is known of a path: the inode it leads to, and that of its directory.
    pub(crate) fn walk(&self, path: &RemotePath) -> (Option<Ino>, Option<Ino>) {
        path.components().fold((Some(Ino::ROOT), None), |(at, _), name| {
            (at.and_then(|parent| self.child(parent, name)), at)
        })
    }

    /// The content of a file, made if it has none yet.
    pub(crate) fn content(&mut self, ino: Ino, common: &Arc<Common>) -> FsResult<Arc<Content>> {
        let node = self.node_mut(ino)?;
        let new = || Arc::new(Content::new(ino, common.clone()));
        Ok(node.content.get_or_insert_with(new).clone())
    }

    /// The content of a file that has been opened.
    pub(crate) fn content_of(&self, ino: Ino) -> Option<Arc<Content>> {
        self.nodes.get(&ino)?.content.clone()
    }

    /// All contents.
    pub(crate) fn contents(&self) -> Vec<Arc<Content>> {
        self.nodes.values().filter_map(|node| node.content.clone()).collect()
    }

    /// The contents of all files below a directory.
    pub(crate) fn contents_below(&self, directory: Ino) -> Vec<Arc<Content>> {
        self.below(directory).filter_map(|node| node.content.clone()).collect()
    }

    fn below(&self, directory: Ino) -> impl Iterator<Item = &Node> {
        let mut ahead = vec![directory];
        std::iter::from_fn(move || {
            loop {
                let Some(node) = self.nodes.get(&ahead.pop()?) else { continue };
                ahead.extend(node.children.values());
                return Some(node);
            }
        })
    }

    /// What is known of the attributes is no longer believed.
    pub(crate) fn expire(&mut self, ino: Ino) {
        self.changed(ino);
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.fresh_until = node.fresh_until.min(Instant::now());
        }
    }

    /// Take back `count` lookups.
    pub(crate) fn forget(&mut self, ino: Ino, count: u64) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.lookups = node.lookups.saturating_sub(count);
            self.collect(ino);
        }
    }

    /// Note one more open handle, or one being opened.
    pub(crate) fn opened(&mut self, ino: Ino) -> FsResult<()> {
        self.node_mut(ino)?.opens += 1;
        Ok(())
    }

    /// Note one open handle less. The inode was doomed and this was the last if it answers with a path: to be
    /// removed from the server now.
    pub(crate) fn closed(&mut self, ino: Ino) -> Option<RemotePath> {
        let node = self.nodes.get_mut(&ino)?;
        node.opens = node.opens.saturating_sub(1);
        let remove = if node.doomed && node.opens == 0 { self.path(ino).ok() } else { None };
        if remove.is_some() {
            self.detach(ino);
        }
        self.collect(ino);
        remove
    }

    /// Note one open handle less of which nobody can see to the rest: a doomed inode is left to the end of the
    /// mount.
    pub(crate) fn abandoned(&mut self, ino: Ino) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.opens = node.opens.saturating_sub(1);
            if !node.doomed {
                self.collect(ino);
            }
        }
    }

    /// The inode has been renamed to a hidden name, to be removed with its last handle. True if that has closed in
    /// the meantime, and the hidden file is to be removed at once.
    pub(crate) fn doom(&mut self, ino: Ino, name: &str) -> bool {
        if let Some((parent, _)) = self.place(ino) {
            self.moved(ino, parent, name);
        }
        let Some(node) = self.nodes.get_mut(&ino) else { return true };
        node.doomed = true;
        if node.opens > 0 {
            return false;
        }
        self.detach(ino);
        true
    }

    /// Whether something below a directory is open.
    pub(crate) fn has_open_below(&self, directory: Ino) -> bool {
        self.below(directory).any(|node| node.opens > 0)
    }

    /// The doomed inodes that still have a name on the server.
    pub(crate) fn doomed(&self) -> Vec<RemotePath> {
        let doomed = self.nodes.iter().filter(|(_, node)| node.doomed && node.attached);
        doomed.filter_map(|(ino, _)| self.path(*ino).ok()).collect()
    }

    /// The inode is now elsewhere; what was there is detached.
    pub(crate) fn moved(&mut self, ino: Ino, parent: Ino, name: &str) {
        if let Some(replaced) = self.child(parent, name)
            && replaced != ino
        {
            self.detach(replaced);
        }
        let Some((old_parent, old_name)) = self.place(ino) else { return };
        self.unlink_entry(old_parent, &old_name);
        if let Some(new_parent) = self.nodes.get_mut(&parent) {
            new_parent.children.insert(name.into(), ino);
        }
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.parent = parent;
            node.name = name.into();
            node.named = self.stamp;
        }
        self.changed_entry(parent);
        self.changed_entry(old_parent);
        self.collect(old_parent);
    }

    /// The name no longer leads to this inode.
    pub(crate) fn detach(&mut self, ino: Ino) {
        let Some((parent, name)) = self.place(ino) else { return };
        self.unlink_entry(parent, &name);
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.attached = false;
        }
        self.changed_entry(parent);
        self.collect(ino);
        self.collect(parent);
    }

    /// A local change of an entry of the directory, and with it of the directory's times.
    pub(crate) fn changed_entry(&mut self, directory: Ino) {
        self.expire(directory);
    }

    /// A local change of the inode itself: answers to what was asked before are not believed.
    pub(crate) fn changed(&mut self, ino: Ino) {
        self.stamp.0 += 1;
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.changed = self.stamp;
        }
    }

    /// Data up to `end` has been written: the size is right at once, the rest is asked for when next wanted.
    pub(crate) fn written(&mut self, ino: Ino, end: u64, now: Instant) {
        self.changed(ino);
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.fresh_until = now;
            if let Some(attr) = &mut node.attr {
                attr.size = attr.size.max(end);
            }
        }
    }

    /// Whether a directory's lease was held when `asked` was read, and this mount has changed nothing in it since.
    pub(crate) fn is_settled(&self, directory: Ino, asked: Stamp) -> bool {
        let settled = |node: &Node| node.leased.is_some_and(|since| asked >= since) && node.changed <= asked;
        self.nodes.get(&directory).is_some_and(settled)
    }

    /// The directories at and below one whose leases are held.
    pub(crate) fn leased_below(&self, directory: Ino) -> Vec<Ino> {
        let mut ahead = vec![directory];
        let mut found = Vec::new();
        while let Some(at) = ahead.pop() {
            let Some(node) = self.nodes.get(&at) else { continue };
            if node.leased.is_some() {
                found.push(at);
            }
            ahead.extend(node.children.values());
        }
        found
    }

    /// A directory's lease is held from now on.
    pub(crate) fn leased(&mut self, directory: Ino) {
        // What was asked before does not count.
        self.stamp.0 += 1;
        if let Some(node) = self.nodes.get_mut(&directory) {
            node.leased.get_or_insert(self.stamp);
        }
    }

    /// A directory's lease is no longer held: what is in it, and it itself, is to be asked for. The names and inodes of
    /// what is in it; `None` if it was not held before.
    pub(crate) fn unleased(&mut self, directory: Ino) -> Option<Vec<(Box<str>, Ino)>> {
        let node = self.nodes.get_mut(&directory)?;
        node.leased.take()?;
        let children: Vec<_> = node.children.iter().map(|(name, ino)| (name.clone(), *ino)).collect();
        for (_, ino) in &children {
            self.expire(*ino);
        }
        self.expire(directory);
        Some(children)
    }

    /// Whether an inode is certainly still where its name says: its directory's lease has been held since it was seen there.
    pub(crate) fn is_certain(&self, ino: Ino) -> bool {
        let Some(node) = self.nodes.get(&ino).filter(|node| node.attached) else { return false };
        if ino == Ino::ROOT {
            return true;
        }
        let since = self.nodes.get(&node.parent).and_then(|parent| parent.leased);
        since.is_some_and(|since| node.named >= since)
    }

    /// How long an answer is believed. The attributes of a directory change with what is in it: both leases count.
    fn patience(&self, ino: Ino, asked: Stamp) -> Duration {
        let Some(node) = self.nodes.get(&ino) else { return self.ttl };
        let held = |node: &Node| node.leased.is_some_and(|since| asked >= since);
        let above = self.is_certain(ino) && self.nodes.get(&node.parent).is_some_and(held);
        if above && (node.kind != FileKind::Directory || held(node)) {
            LEASED_TTL.max(self.ttl)
        } else {
            self.ttl
        }
    }

    /// Keep what the server answered to a question asked at `asked`, unless it has been overtaken.
    pub(crate) fn learn(&mut self, ino: Ino, mut attr: RemoteAttr, asked: Stamp, now: Instant) {
        let ttl = self.patience(ino, asked);
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        let mut until = now + ttl;
        if let Some(known) = &node.attr {
            if attr.file_id == 0 {
                attr.file_id = known.file_id;
            }
            if attr.links == 0 {
                attr.links = known.links;
            }
            if attr.posix.is_none() && known.posix.is_some() {
                // The answer does not say all: what it leaves out, it makes no younger.
                let unchanged = attr.written == known.written && attr.size == known.size;
                until = if unchanged { node.fresh_until } else { now };
                (attr.posix, attr.changed, attr.links) = (known.posix, known.changed, known.links);
            }
            attr.device = attr.device.or(known.device);
        }
        let before = node.attr.map(|known| known.file_id);
        if node.changed <= asked && node.fresh_until <= now + ttl {
            node.attr = Some(attr);
            node.fresh_until = until;
        } else if node.attr.is_none() {
            node.attr = Some(attr);
            node.fresh_until = now;
        } else {
            return;
        }
        if before != Some(attr.file_id) {
            self.files.remove(&(before.unwrap_or(0), ino));
            if attr.file_id != 0 {
                self.files.insert((attr.file_id, ino));
            }
        }
        self.join_names(ino);
    }

    /// What we know, and for how much longer we say so.
    pub(crate) fn known(&self, ino: Ino, now: Instant) -> Option<(RemoteAttr, Duration)> {
        let node = self.nodes.get(&ino)?;
        Some((node.attr?, node.fresh_until.saturating_duration_since(now)))
    }

    fn node_mut(&mut self, ino: Ino) -> FsResult<&mut Node> {
        self.nodes.get_mut(&ino).ok_or_else(FsError::stale)
    }

    fn unlink_entry(&mut self, parent: Ino, name: &str) {
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.remove(name);
        }
    }

    /// Drop the inode if nothing refers to it, and then perhaps those above it.
    pub(crate) fn collect(&mut self, ino: Ino) {
        let mut at = ino;
        while at != Ino::ROOT {
            let Some(node) = self.nodes.get(&at) else { return };
            if node.lookups > 0 || node.opens > 0 || !node.children.is_empty() {
                return;
            }
            if node.content.as_ref().is_some_and(|content| content.is_open()) {
                // Who closes it comes here again.
                return;
            }
            let place = self.place(at);
            self.files.remove(&(node.attr.map_or(0, |attr| attr.file_id), at));
            self.nodes.remove(&at);
            let Some((parent, name)) = place else { return };
            self.unlink_entry(parent, &name);
            at = parent;
        }
    }
}

impl Node {
    fn new(kind: FileKind, number: Ino, parent: Ino, name: Box<str>, now: Instant) -> Self {
        Self {
            kind,
            parent,
            name,
            attached: true,
            doomed: false,
            lookups: 0,
            opens: 0,
            children: HashMap::new(),
            attr: None,
            fresh_until: now,
            changed: Stamp::default(),
            named: Stamp::default(),
            leased: None,
            content: None,
            made_up: MadeUp::default(),
            number,
        }
    }

    /// Whether the attributes can be those of the same object. A server without file numbers says 0.
    pub(crate) fn is(&self, attr: &RemoteAttr) -> bool {
        let known = self.attr.map_or(0, |known| known.file_id);
        self.kind == attr.kind && (known == 0 || attr.file_id == 0 || known == attr.file_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::Posix;
    use smb_proto::fscc::{FileAttributes, FileTime};

    const TTL: Duration = Duration::from_secs(1);

    fn attr(file_id: u64, kind: FileKind, size: u64) -> RemoteAttr {
        RemoteAttr {
            file_id,
            kind,
            size,
            allocated: size,
            created: FileTime(1),
            accessed: FileTime(1),
            written: FileTime(1),
            changed: FileTime(1),
            attributes: FileAttributes::NORMAL,
            links: 1,
            device: None,
            posix: None,
        }
    }

    fn add(t: &mut Inodes, parent: Ino, name: &str, id: u64, kind: FileKind, now: Instant) -> Ino {
        let asked = t.stamp();
        t.looked_up(parent, name, attr(id, kind, 10), asked, now).unwrap()
    }

    #[test]
    fn a_renamed_directory_takes_its_children_along() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let a = add(&mut t, Ino::ROOT, "a", 1, FileKind::Directory, now);
        let b = add(&mut t, a, "B", 2, FileKind::Directory, now);
        let c = add(&mut t, b, "c", 3, FileKind::File, now);
        assert_eq!(t.path(c).unwrap().as_str(), "a/B/c");
        t.moved(b, Ino::ROOT, "z");
        assert_eq!(t.path(c).unwrap().as_str(), "z/c");
        assert_eq!(t.child(a, "B"), None);
        assert_eq!(t.child(Ino::ROOT, "z"), Some(b));
    }

    #[test]
    fn an_inode_lives_while_looked_up_open_or_a_parent() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let d = add(&mut t, Ino::ROOT, "d", 1, FileKind::Directory, now);
        let f = add(&mut t, d, "f", 2, FileKind::File, now);
        assert_eq!(add(&mut t, d, "f", 2, FileKind::File, now), f);
        t.opened(f).unwrap();
        t.forget(d, 1);
        t.forget(f, 2);
        assert_eq!(t.path(f).unwrap().as_str(), "d/f");
        assert!(t.closed(f).is_none());
        assert!(t.path(f).is_err() && t.node(d).is_err());
        assert_eq!(t.nodes.len(), 1);
    }

    #[test]
    fn another_file_under_the_same_name_is_another_inode() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let old = add(&mut t, Ino::ROOT, "f", 7, FileKind::File, now);
        let new = add(&mut t, Ino::ROOT, "f", 8, FileKind::File, now);
        assert_ne!(old, new);
        assert!(t.path(old).is_err(), "the old one is stale");
        let dir = add(&mut t, Ino::ROOT, "f", 0, FileKind::Directory, now);
        assert_ne!(dir, new, "a change of kind shows even without file numbers");
    }

    #[test]
    fn attributes_are_fresh_for_the_ttl_and_no_longer() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
        assert_eq!(t.known(f, now).unwrap().1, TTL);
        assert_eq!(t.known(f, now + TTL / 4).unwrap().1, TTL * 3 / 4);
        assert_eq!(t.known(f, now + TTL).unwrap().1, Duration::ZERO);
    }

    #[test]
    fn an_answer_overtaken_by_a_write_is_not_believed() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
        let asked = t.stamp();
        t.written(f, 100, now);
        assert_eq!(
            t.known(f, now).unwrap(),
            (attr(1, FileKind::File, 100), Duration::ZERO).with_allocated(10)
        );
        t.learn(f, attr(1, FileKind::File, 10), asked, now);
        assert_eq!(t.known(f, now).unwrap().0.size, 100);
        let asked = t.stamp();
        t.learn(f, attr(1, FileKind::File, 120), asked, now);
        assert_eq!(t.known(f, now).unwrap().0.size, 120);
    }

    #[test]
    fn an_answer_that_leaves_the_mode_out_makes_it_no_younger() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let posix = Some(Posix { mode: Some(0o640), ..Posix::default() });
        let whole = RemoteAttr { posix, changed: FileTime(5), ..attr(1, FileKind::File, 10) };
        let asked = t.stamp();
        let f = t.looked_up(Ino::ROOT, "f", whole, asked, now).unwrap();
        // The answer to an open, half a second later.
        t.learn(f, attr(1, FileKind::File, 10), asked, now + TTL / 2);
        let (known, valid) = t.known(f, now + TTL / 2).unwrap();
        assert_eq!((known.posix, known.changed, valid), (posix, FileTime(5), TTL / 2));
        // That of a close after a write: the time of change is another too.
        t.learn(f, attr(1, FileKind::File, 11), asked, now + TTL / 2);
        let (known, valid) = t.known(f, now + TTL / 2).unwrap();
        assert_eq!((known.size, known.posix, valid), (11, posix, Duration::ZERO));
    }

    #[test]
    fn names_of_one_file_are_shown_with_one_number() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let first = add(&mut t, Ino::ROOT, "a", 7, FileKind::File, now);
        let second = add(&mut t, Ino::ROOT, "b", 7, FileKind::File, now);
        let other = add(&mut t, Ino::ROOT, "c", 8, FileKind::File, now);
        let number = |t: &Inodes, ino: Ino| t.node(ino).unwrap().number;
        assert_eq!((number(&t, second), number(&t, other)), (first, other));
        assert_eq!(t.same_file(first), [second]);
        // Of a number that the server has given to another file.
        let asked = t.stamp();
        let late = RemoteAttr { created: FileTime(9), ..attr(7, FileKind::File, 10) };
        let late = t.looked_up(Ino::ROOT, "d", late, asked, now).unwrap();
        assert_eq!(number(&t, late), late);
        t.detach(first);
        t.forget(first, 1);
        assert_eq!((number(&t, second), t.same_file(second)), (first, vec![late]));
    }

    trait WithAllocated {
        fn with_allocated(self, allocated: u64) -> Self;
    }

    impl WithAllocated for (RemoteAttr, Duration) {
        fn with_allocated(mut self, allocated: u64) -> Self {
            self.0.allocated = allocated;
            self
        }
    }

    #[test]
    fn a_doomed_inode_is_removed_with_its_last_handle() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
        t.opened(f).unwrap();
        t.opened(f).unwrap();
        assert!(!t.doom(f, ".hidden"));
        assert!(t.is_doomed(Ino::ROOT, ".hidden"));
        assert_eq!(t.closed(f), None);
        assert_eq!(t.closed(f).unwrap().as_str(), ".hidden");
        assert!(!t.is_doomed(Ino::ROOT, ".hidden"));
    }

    #[test]
    fn a_handle_closed_before_the_hidden_name_was_given_leaves_nothing_behind() {
        let now = Instant::now();
        let mut t = Inodes::new(TTL, now);
        let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
        t.opened(f).unwrap();
        assert_eq!(t.closed(f), None);
        assert!(t.doom(f, ".hidden"));
        assert!(!t.is_doomed(Ino::ROOT, ".hidden"));
    }
}
