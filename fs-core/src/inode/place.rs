//! Where inodes are: names to inodes and back, and how they change.
//!
//! A file with several hard links is one inode with several names, as many as this mount has seen. On a server that
//! ignores case another spelling is no other name: it leads to the name by which the inode was seen first.

use tokio::time::Instant;

use super::node::{Name, Node};
use super::{Ino, Inodes, Stamp};
use crate::error::{FsError, FsResult};
use crate::name::RemotePath;
use crate::remote::{FileKind, RemoteAttr};

/// Names of one inode that are remembered; one that is not is asked for again.
const MOST_NAMES: usize = 256;
/// Other spellings of the names in one directory that are remembered.
const MOST_SPELLINGS: usize = 256;

/// How an answer's name leads to an inode that is known by another one.
enum Same {
    /// It is that name, spelled otherwise.
    Spelling(Ino, Box<str>),
    /// It is another hard link.
    Link(Ino),
}

impl Inodes {
    /// The inode that a name leads to, in whichever spelling.
    pub(crate) fn child(&self, parent: Ino, name: &str) -> Option<Ino> {
        let directory = self.nodes.get(&parent)?;
        let own = || directory.children.get(directory.spellings.get(name)?);
        directory.children.get(name).or_else(own).copied()
    }

    /// Whether the name is another spelling of that by which its inode is known.
    pub(crate) fn is_respelled(&self, parent: Ino, name: &str) -> bool {
        let respelled = |directory: &Node| !directory.children.contains_key(name);
        self.nodes.get(&parent).is_some_and(respelled) && self.child(parent, name).is_some()
    }

    /// Whether the entry is a deleted file that only this mount's open handles keep.
    pub(crate) fn is_doomed(&self, parent: Ino, name: &str) -> bool {
        let hidden = |node: &Node| node.position(parent, name).is_some_and(|at| node.names[at].hidden);
        self.child(parent, name).and_then(|ino| self.nodes.get(&ino)).is_some_and(hidden)
    }

    /// The path by which the server showed the inode last.
    ///
    /// # Errors
    /// ESTALE if the inode, or a directory above it, has lost its name.
    pub(crate) fn path(&self, ino: Ino) -> FsResult<RemotePath> {
        if ino == Ino::ROOT {
            return self.path_of(ino, None);
        }
        let Some(name) = self.node(ino)?.names.first() else { return Err(FsError::stale()) };
        self.path_of(name.parent, Some(&name.name))
    }

    fn path_of(&self, directory: Ino, name: Option<&str>) -> FsResult<RemotePath> {
        let mut names = Vec::from_iter(name);
        let mut at = directory;
        while at != Ino::ROOT {
            let Some(name) = self.node(at)?.names.first() else { return Err(FsError::stale()) };
            names.push(&name.name);
            at = name.parent;
        }
        Ok(RemotePath::from_checked(names.into_iter().rev()))
    }

    /// Where the inode is: its directory and its name there, by which the server showed it last.
    pub(crate) fn place(&self, ino: Ino) -> Option<(Ino, Box<str>)> {
        let name = self.nodes.get(&ino)?.names.first()?;
        Some((name.parent, name.name.clone()))
    }

    /// The names of a directory's entries that are known.
    pub(crate) fn names_in(&self, directory: Ino) -> Vec<String> {
        let children = self.nodes.get(&directory).into_iter().flat_map(|node| node.children.keys());
        children.map(|name| name.to_string()).collect()
    }

    /// Whether the inode is the directory or below it.
    pub(crate) fn is_within(&self, ino: Ino, directory: Ino) -> bool {
        let above = |ino: &Ino| Some(self.nodes.get(ino)?.names.first()?.parent);
        std::iter::successors(Some(ino), above).any(|at| at == directory)
    }

    /// All places where the inode is.
    pub(crate) fn places(&self, ino: Ino) -> Vec<(Ino, Box<str>)> {
        let names = self.nodes.get(&ino).map(|node| node.names.as_slice()).unwrap_or_default();
        names.iter().map(|name| (name.parent, name.name.clone())).collect()
    }

    /// What is known of a path: the inode it leads to, and that of its directory.
    pub(crate) fn walk(&self, path: &RemotePath) -> (Option<Ino>, Option<Ino>) {
        path.components().fold((Some(Ino::ROOT), None), |(at, _), name| {
            (at.and_then(|parent| self.child(parent, name)), at)
        })
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

    /// The same for an entry of a listing; `None` if only an answer to a question for this name tells which inode it
    /// is, because the listing does not say how many names the file has.
    pub(crate) fn listed(
        &mut self,
        parent: Ino,
        name: &str,
        attr: RemoteAttr,
        asked: Stamp,
        at: Instant,
    ) -> FsResult<Option<Ino>> {
        let known = self.child(parent, name).filter(|ino| self.node(*ino).is_ok_and(|node| node.is(&attr)));
        match known {
            // Windows brings the listing up to date when an open file is closed; what we know is better.
            Some(ino) if self.node(ino)?.opens > 0 => {
                self.looked_up_again(ino);
                return Ok(Some(ino));
            }
            None if attr.links == 0 && self.is_elsewhere(parent, name, &attr) => return Ok(None),
            _ => {}
        }
        self.looked_up(parent, name, attr, asked, at).map(Some)
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
                self.shown(ino, parent, name, asked);
                self.learn(ino, attr, asked, now);
                return Ok(ino);
            }
            self.lose(parent, name);
        }
        match self.same(parent, name, &attr) {
            Some(Same::Spelling(ino, own)) => {
                let directory = self.node_mut(parent)?;
                if directory.spellings.len() >= MOST_SPELLINGS {
                    directory.spellings.clear();
                }
                directory.spellings.insert(name.into(), own);
                self.shown(ino, parent, name, asked);
                self.learn(ino, attr, asked, now);
                return Ok(ino);
            }
            Some(Same::Link(ino)) => {
                self.name(ino, Name::new(parent, name, asked))?;
                self.shown(ino, parent, name, asked);
                self.learn(ino, attr, asked, now);
                return Ok(ino);
            }
            None => {}
        }
        self.node(parent)?;
        let mut node = Node::new(attr.kind, now);
        node.lookups = 1;
        self.nodes.insert(new, node);
        self.name(new, Name::new(parent, name, asked))?;
        self.learn(new, attr, asked, now);
        Ok(new)
    }

    /// Which known inode an answer is certainly about, if its name was not known to lead there.
    fn same(&self, parent: Ino, name: &str, attr: &RemoteAttr) -> Option<Same> {
        let (ino, node) = self.certainly(attr)?;
        if self.ignores_case
            && let Some(own) = node.spelled_otherwise(parent, name)
        {
            return Some(Same::Spelling(ino, own.into()));
        }
        (attr.links > 1 && attr.kind != FileKind::Directory).then_some(Same::Link(ino))
    }

    /// Whether what is listed under an unknown name is known by another one, be it moved or a hard link.
    fn is_elsewhere(&self, parent: Ino, name: &str, attr: &RemoteAttr) -> bool {
        attr.kind != FileKind::Directory
            && self.certainly(attr).is_some()
            && !matches!(self.same(parent, name, attr), Some(Same::Spelling(..)))
    }

    fn certainly(&self, attr: &RemoteAttr) -> Option<(Ino, &Node)> {
        let ino = *self.numbers.get(&attr.file_id)?;
        let node = self.nodes.get(&ino)?;
        (!node.doomed && !node.names.is_empty() && node.is_certainly(attr)).then_some((ino, node))
    }

    /// The server has shown the inode by this name: one more lookup.
    fn shown(&mut self, ino: Ino, parent: Ino, name: &str, asked: Stamp) {
        let own = self.own_spelling(parent, name);
        let Some(node) = self.nodes.get_mut(&ino) else { return };
        node.lookups += 1;
        if let Some(at) = node.position(parent, own.as_deref().unwrap_or(name)) {
            node.names[at].shown = node.names[at].shown.max(asked);
            if !node.names[at].hidden {
                node.names[..=at].rotate_right(1);
            }
        }
    }

    /// The name by which an inode is known that this one spells otherwise.
    pub(crate) fn own_spelling(&self, parent: Ino, name: &str) -> Option<Box<str>> {
        let directory = self.nodes.get(&parent)?;
        if directory.children.contains_key(name) { None } else { directory.spellings.get(name).cloned() }
    }

    /// Gives the inode a name, which leads nowhere yet.
    fn name(&mut self, ino: Ino, name: Name) -> FsResult<()> {
        self.node_mut(name.parent)?.children.insert(name.name.clone(), ino);
        let node = self.node_mut(ino)?;
        let visible = node.names.iter().take_while(|name| !name.hidden).count();
        let at = if name.hidden { node.names.len() } else { 0 };
        node.doomed &= name.hidden;
        let forgotten = (visible >= MOST_NAMES && !name.hidden).then(|| node.names.remove(visible - 1));
        node.names.insert(at, name);
        if let Some(name) = forgotten {
            self.unlink_entry(name.parent, &name.name);
            self.collect(name.parent);
        }
        Ok(())
    }

    /// Takes a name from the inode that it leads to.
    fn unname(&mut self, parent: Ino, name: &str) -> Option<Ino> {
        let own = self.own_spelling(parent, name);
        if let Some(directory) = self.nodes.get_mut(&parent).filter(|_| own.is_some()) {
            directory.spellings.remove(name);
        }
        let name = own.as_deref().unwrap_or(name);
        let ino = self.child(parent, name)?;
        self.unlink_entry(parent, name);
        if let Some(node) = self.nodes.get_mut(&ino) {
            if let Some(at) = node.position(parent, name) {
                node.names.remove(at);
            }
            node.doomed = !node.names.is_empty() && node.names.iter().all(|name| name.hidden);
        }
        Some(ino)
    }

    fn kind(&self, ino: Ino) -> FileKind {
        self.nodes.get(&ino).map_or(FileKind::File, |node| node.kind)
    }

    /// The name no longer leads to the inode that it did.
    pub(crate) fn lose(&mut self, parent: Ino, name: &str) {
        let Some(ino) = self.unname(parent, name) else { return };
        self.expire(ino);
        self.changed_entry(parent, self.kind(ino));
        self.collect(ino);
        self.collect(parent);
    }

    /// The inode is now elsewhere, too, or instead of where it was; what was there has lost that name.
    pub(crate) fn moved(
        &mut self,
        ino: Ino,
        (old_parent, old_name): (Ino, &str),
        (parent, name): (Ino, &str),
    ) {
        if self.child(parent, name).is_some_and(|replaced| replaced != ino) {
            self.lose(parent, name);
        }
        if self.unname(old_parent, old_name).is_none() {
            return;
        }
        if self.child(parent, name).is_some() {
            self.unname(parent, name);
        }
        let renamed = Name::new(parent, name, self.stamp);
        // Whoever renames has looked up where to; else it is found again by its next lookup.
        let _ = self.name(ino, renamed);
        let kind = self.kind(ino);
        self.changed_entry(parent, kind);
        self.changed_entry(old_parent, kind);
        self.collect(old_parent);
    }

    /// A name of the inode has been renamed in its directory to a hidden one, to be removed with its last handle. True
    /// if that has closed in the meantime, and the hidden file is to be removed at once.
    pub(crate) fn doom(&mut self, ino: Ino, (parent, name): (Ino, &str), hidden: &str) -> bool {
        if self.unname(parent, name).is_some() {
            let hidden = Name { hidden: true, ..Name::new(parent, hidden, self.stamp) };
            let _ = self.name(ino, hidden);
            self.changed_entry(parent, FileKind::File);
        }
        let Some(node) = self.nodes.get_mut(&ino) else { return true };
        node.doomed = node.names.iter().all(|name| name.hidden);
        if node.opens > 0 {
            return false;
        }
        self.lose(parent, hidden);
        true
    }

    /// How many names to show of an inode that has `links` on the server: hidden ones do not count.
    pub(crate) fn links(&self, ino: Ino, links: u32) -> u32 {
        let Some(node) = self.nodes.get(&ino).filter(|node| !node.doomed) else { return 0 };
        let hidden = node.names.iter().filter(|name| name.hidden).count();
        links.saturating_sub(u32::try_from(hidden).unwrap_or(u32::MAX)).max(1)
    }

    /// The hidden names of an inode, to be removed from the server.
    pub(super) fn hidden(&self, ino: Ino) -> Vec<RemotePath> {
        let names = self.nodes.get(&ino).map(|node| node.names.as_slice()).unwrap_or_default();
        let hidden = names.iter().filter(|name| name.hidden);
        hidden.filter_map(|name| self.path_of(name.parent, Some(&name.name)).ok()).collect()
    }

    /// The hidden names that there are still on the server.
    pub(crate) fn doomed(&self) -> Vec<RemotePath> {
        self.nodes.keys().flat_map(|ino| self.hidden(*ino)).collect()
    }

    pub(super) fn unlink_entry(&mut self, parent: Ino, name: &str) {
        if let Some(parent) = self.nodes.get_mut(&parent) {
            parent.children.remove(name);
        }
    }
}
