//! What is believed of inodes, for how long, and on whose word.

use std::time::Duration;

use smb_proto::fscc::FileTime;
use tokio::time::Instant;

use super::{Ino, Inodes, Node, Stamp};
use crate::remote::{FileKind, RemoteAttr};

/// How long is believed what a lease protects: it ends by a break, not by time.
const LEASED_TTL: Duration = Duration::from_secs(3600);
/// How long the times of a directory are believed that this client has made up.
const GUESSED: Duration = Duration::from_millis(100);

/// How long is believed what is known while the server cannot be asked.
const OFFLINE_TTL: Duration = Duration::from_secs(1);

impl Inodes {
    /// What is known of the attributes is no longer believed.
    pub(crate) fn expire(&mut self, ino: Ino) {
        self.changed(ino);
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.fresh_until = node.fresh_until.min(Instant::now());
        }
    }

    /// A local change of an entry of the directory, and with it of the directory's times. The kernel asks for them before
    /// each further change: for a moment the answer is what this client's clock says. Not where directories come and go:
    /// they are counted in the links.
    pub(crate) fn changed_entry(&mut self, directory: Ino, kind: FileKind) {
        if kind == FileKind::Directory {
            return self.expire(directory);
        }
        self.changed(directory);
        if let Some(node) = self.nodes.get_mut(&directory) {
            node.fresh_until = node.fresh_until.min(Instant::now() + GUESSED);
            if let Some(attr) = &mut node.attr {
                let now = FileTime(crate::clock::now().0.saturating_add_signed(self.skew));
                attr.written = attr.written.max(now);
                attr.changed = attr.changed.max(now);
            }
        }
    }

    /// The server has made a file just now, and says when that was.
    pub(crate) fn note_clock(&mut self, created: FileTime) {
        self.skew = created.0.cast_signed().wrapping_sub(crate::clock::now().0.cast_signed());
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

    /// The file has been cut or extended to this size by this mount, whatever else has been learned meanwhile: an answer
    /// that is not believed for being older than some other change must not leave the old size behind.
    pub(crate) fn resized(&mut self, ino: Ino, size: u64, now: Instant) {
        self.changed(ino);
        if let Some(node) = self.nodes.get_mut(&ino)
            && let Some(attr) = &mut node.attr
            && attr.size != size
        {
            attr.size = size;
            node.fresh_until = now;
        }
    }

    /// Whether this mount has changed nothing of an inode since `asked` was read.
    pub(crate) fn is_unchanged(&self, ino: Ino, asked: Stamp) -> bool {
        self.nodes.get(&ino).is_some_and(|node| node.changed <= asked)
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
    /// what is in it, and whether the kernel still believes something of each; `None` if it was not held before.
    pub(crate) fn unleased(&mut self, directory: Ino) -> Option<Vec<(Box<str>, Ino, bool)>> {
        let node = self.nodes.get_mut(&directory)?;
        node.leased.take()?;
        let children: Vec<_> = node.children.iter().map(|(name, ino)| (name.clone(), *ino)).collect();
        let now = Instant::now();
        let children = children.into_iter().map(|(name, ino)| {
            self.expire(ino);
            let told = self.nodes.get_mut(&ino).map(|node| std::mem::replace(&mut node.told_until, now));
            (name, ino, told.is_some_and(|until| until > now))
        });
        let children = children.collect();
        self.expire(directory);
        Some(children)
    }

    /// The kernel is told of an inode's attributes, and to believe them so long.
    pub(crate) fn told(&mut self, ino: Ino, until: Instant) {
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.told_until = node.told_until.max(until);
        }
    }

    /// Whether an inode is certainly still where its only name says: its directory's lease has been held since it was seen
    /// there.
    pub(crate) fn is_certain(&self, ino: Ino) -> bool {
        if ino == Ino::ROOT {
            return true;
        }
        let Some([name]) = self.nodes.get(&ino).map(|node| node.names.as_slice()) else { return false };
        let since = self.nodes.get(&name.parent).and_then(|parent| parent.leased);
        since.is_some_and(|since| name.shown >= since)
    }

    /// How long an answer is believed. The attributes of a directory change with what is in it: both leases count.
    /// What has several names changes by each of them, and the leases of their directories do not tell.
    fn patience(&self, ino: Ino, links: u32, asked: Stamp) -> Duration {
        let Some(node) = self.nodes.get(&ino) else { return Duration::ZERO };
        let ttl = self.ttl.of_kind(node.kind);
        let is_directory = node.kind == FileKind::Directory;
        let held =
            |ino: Ino| self.nodes.get(&ino).and_then(|node| node.leased).is_some_and(|since| asked >= since);
        let above = ino == Ino::ROOT || node.names.first().is_some_and(|name| held(name.parent));
        let alone = is_directory || links <= 1;
        if alone && above && self.is_certain(ino) && (!is_directory || held(ino)) {
            LEASED_TTL.max(ttl)
        } else {
            ttl
        }
    }

    /// Keep what the server answered to a question asked at `asked`, unless it has been overtaken.
    pub(crate) fn learn(&mut self, ino: Ino, mut attr: RemoteAttr, asked: Stamp, now: Instant) {
        let known = self.nodes.get(&ino).and_then(|node| node.attr);
        if attr.file_id == 0 {
            attr.file_id = known.map_or(0, |known| known.file_id);
        }
        if attr.links == 0 {
            attr.links = known.map_or(0, |known| known.links);
        }
        let ttl = self.patience(ino, attr.links, asked);
        if let Some(node) = self.nodes.get_mut(&ino) {
            if attr.file_id != 0 {
                self.numbers.insert(attr.file_id, ino);
            }
            let mut until = now + ttl;
            if let Some(known) = &node.attr {
                if attr.posix.is_none() && known.posix.is_some() {
                    // The answer does not say all: what it leaves out, it makes no younger.
                    let unchanged = attr.written == known.written && attr.size == known.size;
                    until = if unchanged { node.fresh_until } else { now };
                    (attr.posix, attr.changed, attr.links) = (known.posix, known.changed, known.links);
                }
                attr.device = attr.device.or(known.device);
            }
            // What was believed of a file before its other names were known, was believed for too long.
            let more_names = node.attr.is_some_and(|known| known.links < attr.links);
            if node.changed <= asked && (node.fresh_until <= now + ttl || more_names) {
                node.attr = Some(attr);
                node.fresh_until = until.min(now + ttl);
            } else if node.attr.is_none() {
                node.attr = Some(attr);
                node.fresh_until = now;
            }
        }
    }

    /// Whether the server can be reached. While it cannot, what is known does not grow old.
    pub(crate) fn set_offline(&mut self, offline: bool) {
        self.offline = offline;
    }

    /// Whether the server cannot be reached.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// The server's number of an inode; 0 if it has none or is not known.
    pub(crate) fn number_of(&self, ino: Ino) -> u64 {
        self.nodes.get(&ino).and_then(|node| node.attr).map_or(0, |attr| attr.file_id)
    }

    /// What we know, and for how much longer we say so.
    pub(crate) fn known(&self, ino: Ino, now: Instant) -> Option<(RemoteAttr, Duration)> {
        let node = self.nodes.get(&ino)?;
        let valid = node.fresh_until.saturating_duration_since(now);
        Some((node.attr?, if self.offline { valid.max(OFFLINE_TTL) } else { valid }))
    }
}
