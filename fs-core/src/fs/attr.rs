//! Names to inodes, attributes, and room on the share.

use std::sync::Arc;

use smb_proto::NtStatus;
use smb_proto::fscc::FileAttributes;
use tokio::time::Instant;

use super::{Attr, Entry, Filesystem, SetAttrs, Space, TimeChange};
use crate::content::{Backing, CacheMode, handle_gone};
use crate::error::{FsError, FsResult, errno};
use crate::handle::Fh;
use crate::inode::{Ino, Stamp};
use crate::listing::Told;
use crate::name::{self, RemotePath};
use crate::names::Word;
use crate::remote::{FileKind, RemoteAttr, SetAttr};

/// The attributes that a set request may carry ([MS-FSCC] 2.4.7); the others are changed by other means.
const SETTABLE: FileAttributes = FileAttributes::READONLY
    .union(FileAttributes::HIDDEN)
    .union(FileAttributes::SYSTEM)
    .union(FileAttributes::ARCHIVE)
    .union(FileAttributes::TEMPORARY)
    .union(FileAttributes::OFFLINE)
    .union(FileAttributes::NOT_CONTENT_INDEXED);

impl Filesystem {
    /// Look a name up. Asks the server, unless a lease answers for the directory.
    ///
    /// # Errors
    /// ENOENT; EINVAL or ENAMETOOLONG for what cannot be a name; what the server says.
    pub async fn lookup(&self, parent: Ino, name: &str) -> FsResult<Entry> {
        let name = name::checked(name)?;
        let (path, asked) = {
            let inodes = self.inodes();
            if inodes.is_doomed(parent, name) {
                return Err(FsError::local(errno::ENOENT, "deleted; open handles keep it"));
            }
            (inodes.path(parent)?.child(name), inodes.stamp())
        };
        if let Some(told) = self.told(parent, name) {
            return told;
        }
        self.note_use(parent);
        let known = self.inodes().child(parent, name);
        let mut leased = self.lease_directory(parent).await;
        if let Some(ino) = known {
            leased |= self.lease_known(ino).await;
        }
        let asked = if leased { self.inodes().stamp() } else { asked };
        if self.options.cache != CacheMode::None
            && let Some(max) = self.names.search(parent, name, self.options.attr_ttl, Instant::now())
        {
            self.list_names(parent, max).await;
            if let Some(told) = self.told(parent, name) {
                return told;
            }
        }
        self.ask_for(parent, name, &path, asked).await
    }

    /// Ask the server for a name.
    pub(super) async fn ask_for(
        &self,
        parent: Ino,
        name: &str,
        path: &RemotePath,
        asked: Stamp,
    ) -> FsResult<Entry> {
        tracing::trace!(%path, "asking for a name");
        match self.remote.lookup(path).await {
            Ok(attr) => self.enter(parent, name, attr, asked),
            Err(error) => {
                if error.is_missing() {
                    let mut inodes = self.inodes();
                    // Unless it has come to be while we asked.
                    if inodes.stamp() == asked {
                        inodes.lose(parent, name);
                    }
                    if inodes.is_settled(parent, asked) {
                        self.listings.note_absent(parent, name);
                    }
                }
                Err(error.into())
            }
        }
    }

    /// What this mount knows of a name for certain.
    fn told(&self, parent: Ino, name: &str) -> Option<FsResult<Entry>> {
        {
            // What was learned since, and is still right.
            let mut inodes = self.inodes();
            if let Some(ino) = inodes.child(parent, name)
                && (inodes.is_certain(ino) || inodes.is_offline())
                && let Some((attr, valid)) = inodes.known(ino, Instant::now())
                && !valid.is_zero()
            {
                inodes.looked_up_again(ino);
                let respelled = inodes.is_respelled(parent, name);
                drop(inodes);
                return Some(Ok(Entry { attr: self.presented(ino, &attr), respelled }));
            }
        }
        let known = match self.listings.find(parent, name) {
            Some(Told::Attr(attr, asked, at)) => Word::There((attr, asked, at)),
            Some(Told::Nothing) => Word::NotThere,
            None => self.names.find(parent, name, Instant::now())?,
        };
        let Word::There((attr, asked, at)) = known else {
            return Some(Err(NtStatus::OBJECT_NAME_NOT_FOUND.into()));
        };
        let mut inodes = self.inodes();
        let listed = inodes.listed(parent, name, attr, asked, at).transpose()?;
        let respelled = inodes.is_respelled(parent, name);
        drop(inodes);
        Some(listed.map(|ino| Entry { attr: self.presented(ino, &attr), respelled }))
    }

    /// What was known of a directory has expired, so somebody is interested in it: take its lease. True if it was taken
    /// just now.
    async fn lease_known(&self, ino: Ino) -> bool {
        let is_directory = self.inodes().node(ino).is_ok_and(|node| node.kind == FileKind::Directory);
        is_directory && self.lease_directory(ino).await
    }

    /// Take back `count` lookups of an inode.
    pub fn forget(&self, ino: Ino, count: u64) {
        self.inodes().forget(ino, count);
    }

    /// The attributes of an inode, `fh` being a handle of it if the caller has one.
    ///
    /// # Errors
    /// ENOENT or ESTALE if it is gone; what the server says.
    pub async fn getattr(&self, ino: Ino, fh: Option<Fh>) -> FsResult<Attr> {
        let (known, asked, content) = {
            let inodes = self.inodes();
            inodes.node(ino)?;
            (inodes.known(ino, Instant::now()), inodes.stamp(), inodes.content_of(ino))
        };
        if let Some((attr, valid)) = known
            // What is written and not sent, nobody but us can tell.
            && (!valid.is_zero() || content.as_ref().is_some_and(|content| content.is_dirty()))
        {
            return Ok(self.presented(ino, &attr));
        }
        let place = self.inodes().place(ino);
        if let Some((parent, _)) = place {
            self.note_use(parent);
        }
        let asked = if self.lease_known(ino).await { self.inodes().stamp() } else { asked };
        let attr = self.ask(ino, fh).await?;
        self.inodes().learn(ino, attr, asked, Instant::now());
        if let Some(content) = content
            && self.inodes().is_unchanged(ino, asked)
        {
            content.noticed(&attr);
        }
        Ok(self.presented(ino, &attr))
    }

    /// Change attributes, `fh` being a handle of the inode if the caller has one. Answers with what they are
    /// now.
    ///
    /// # Errors
    /// EROFS; ENOENT or ESTALE if the inode is gone; what the server says.
    pub async fn setattr(&self, ino: Ino, fh: Option<Fh>, change: &SetAttrs) -> FsResult<Attr> {
        if change.size.is_some()
            || change.mode.is_some()
            || change.accessed.is_some()
            || change.modified.is_some()
        {
            self.writable()?;
        }
        let time = |change: TimeChange| match change {
            TimeChange::Now => crate::clock::now(),
            TimeChange::At(time) => time,
        };
        self.set_owner_and_mode(ino, change).await?;
        let request = SetAttr {
            size: change.size,
            created: change.created,
            accessed: change.accessed.map(time),
            written: change.modified.map(time),
            attributes: match change.mode {
                Some(mode) if !self.keeps_modes() => self.attributes_for(ino, fh, mode).await?,
                _ => None,
            },
        };
        if request.is_empty() {
            return self.getattr(ino, fh).await;
        }
        let is_directory = self.inodes().node(ino)?.kind == FileKind::Directory;
        if is_directory && (request.written.is_some() || request.accessed.is_some()) {
            self.leave_unwatched(ino).await;
        }
        if request.written.is_some() {
            let content = self.inodes().content_of(ino);
            if let Some(content) = content {
                content.before_time_is_set().await;
            }
        }
        let attr = match request.size {
            Some(size) => self.resize(ino, fh, size, &request).await?,
            None => {
                let asked = self.inodes().stamp();
                let attr = self.apply(ino, fh, &request).await?;
                self.applied(ino, attr, asked);
                attr
            }
        };
        self.changed_now(ino);
        if request.written.is_some()
            && let Some(content) = self.inodes().content_of(ino)
        {
            content.time_was_set(&attr);
        }
        Ok(self.presented(ino, &attr))
    }

    async fn resize(&self, ino: Ino, fh: Option<Fh>, size: u64, request: &SetAttr) -> FsResult<RemoteAttr> {
        let content = self.inodes().content(ino, &self.common)?;
        let _alone = content.ordering.write().await;
        content.before_resize(size).await;
        let asked = self.inodes().stamp();
        let attr = self.apply(ino, fh, request).await?;
        self.applied(ino, attr, asked);
        self.inodes().resized(ino, attr.size, Instant::now());
        content.resized(size);
        Ok(attr)
    }

    /// Room on the share.
    ///
    /// # Errors
    /// What the server says.
    pub async fn statfs(&self) -> FsResult<Space> {
        let space = self.remote.statfs().await?;
        let block_size = space.block_size.max(512);
        Ok(Space {
            block_size,
            blocks: space.total / u64::from(block_size),
            free: space.free / u64::from(block_size),
            max_name: space.max_name,
            nodes: space.nodes.map_or(0, |(all, _)| all),
            free_nodes: space.nodes.map_or(0, |(_, free)| free),
        })
    }

    /// Make what the server showed under a name an inode, with one more lookup.
    pub(super) fn enter(&self, parent: Ino, name: &str, attr: RemoteAttr, asked: Stamp) -> FsResult<Entry> {
        let new = self.inodes().reserve();
        self.enter_as(new, parent, name, attr, asked)
    }

    /// The same; a new inode gets the number `new`, which was reserved.
    pub(super) fn enter_as(
        &self,
        new: Ino,
        parent: Ino,
        name: &str,
        attr: RemoteAttr,
        asked: Stamp,
    ) -> FsResult<Entry> {
        let mut inodes = self.inodes();
        let ino = inodes.looked_up_as(new, parent, name, attr, asked, Instant::now())?;
        let respelled = inodes.is_respelled(parent, name);
        drop(inodes);
        Ok(Entry { attr: self.presented(ino, &attr), respelled })
    }

    /// Keep the answer to our own change, and stop believing what was asked before it.
    pub(super) fn applied(&self, ino: Ino, attr: RemoteAttr, asked: Stamp) {
        {
            let mut inodes = self.inodes();
            inodes.learn(ino, attr, asked, Instant::now());
            inodes.changed(ino);
        }
        self.note_changed(ino);
    }

    /// Change an inode through a handle open for writing, or by its path if there is none.
    ///
    /// The handle matters for times: a server sets the time of last change when a handle that has written is
    /// closed, unless the time was set through that very handle.
    pub(super) async fn apply(&self, ino: Ino, fh: Option<Fh>, request: &SetAttr) -> FsResult<RemoteAttr> {
        for backing in self.backings(ino, fh, true) {
            let closed = backing.closed.read().await;
            if *closed {
                continue;
            }
            let answer = self.remote.set_attr_handle(backing.handle, request).await;
            if !handle_gone(&answer) {
                return Ok(answer?);
            }
        }
        let path = self.inodes().path(ino)?;
        Ok(self.remote.set_attr(self.at(&path), request).await?)
    }

    /// The server's opens of an inode, first that of a handle if the caller has one. What others have lost is not the
    /// caller's loss.
    pub(super) fn backings(&self, ino: Ino, fh: Option<Fh>, writing: bool) -> Vec<Arc<Backing>> {
        let own = fh.and_then(|fh| self.files.get(fh).ok()).filter(|file| file.ino == ino);
        let own = own.map(|file| file.backing.clone()).filter(|backing| backing.access.write || !writing);
        let all = self.inodes().content_of(ino).map(|content| content.backings(writing)).unwrap_or_default();
        own.into_iter().chain(all.into_iter().filter(|open| self.remote.is_sound(open.handle))).collect()
    }

    /// The attributes to set for permission bits; `None` if they already say it.
    async fn attributes_for(&self, ino: Ino, fh: Option<Fh>, mode: u32) -> FsResult<Option<FileAttributes>> {
        // READONLY on a directory marks a customised folder and protects nothing.
        if self.inodes().node(ino)?.kind != FileKind::File || self.options.file_mode & 0o200 == 0 {
            return Ok(None);
        }
        let now = self.ask(ino, fh).await?.attributes;
        let read_only = mode & 0o200 == 0;
        if now.contains(FileAttributes::READONLY) == read_only {
            return Ok(None);
        }
        Ok(Some(with_read_only(now, read_only)))
    }

    /// Ask the server, through a handle if there is one.
    async fn ask(&self, ino: Ino, fh: Option<Fh>) -> FsResult<RemoteAttr> {
        for backing in self.backings(ino, fh, false) {
            let closed = backing.closed.read().await;
            if *closed {
                continue;
            }
            let answer = self.remote.attr(backing.handle).await;
            if !handle_gone(&answer) {
                return Ok(answer?);
            }
        }
        loop {
            let (path, place) = {
                let inodes = self.inodes();
                (inodes.path(ino)?, inodes.place(ino))
            };
            tracing::trace!(%path, "asking for attributes");
            let error = match self.remote.lookup(&path).await {
                Ok(attr) if self.inodes().node(ino)?.is(&attr) => return Ok(attr),
                Ok(_) => FsError::stale(),
                Err(error) if error.is_missing() => error.into(),
                Err(error) => return Err(error.into()),
            };
            if !self.lead_astray(ino, &path, place) {
                return Err(error);
            }
        }
    }

    /// The path leads to another file, or nowhere. True if the inode has another one, or was moved to another one by now.
    pub(super) fn lead_astray(&self, ino: Ino, path: &RemotePath, place: Option<(Ino, Box<str>)>) -> bool {
        let mut inodes = self.inodes();
        let unmoved = inodes.path(ino).is_ok_and(|now| now == *path);
        if !unmoved {
            return inodes.path(ino).is_ok();
        }
        if let Some((parent, name)) = place {
            inodes.lose(parent, &name);
        }
        inodes.path(ino).is_ok_and(|now| now != *path)
    }
}

/// The attributes with READONLY set or cleared, fit for a set request.
pub(super) fn with_read_only(attributes: FileAttributes, read_only: bool) -> FileAttributes {
    let mut new = attributes & SETTABLE;
    new.set(FileAttributes::READONLY, read_only);
    if new.is_empty() { FileAttributes::NORMAL } else { new }
}
