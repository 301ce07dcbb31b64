//! Open files and their data.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::time::Instant;

use super::{Closing, Create, Entry, Filesystem, OpenFlags, OpenHints, WriteAt, log_lost, name_taken};
use crate::content::pattern::Pattern;
use crate::content::{CacheMode, Content, Served, ask};
use crate::error::{FsError, FsResult, errno};
use crate::handle::{Fh, OpenFile};
use crate::inode::{Ino, Stamp};
use crate::name;
use crate::remote::{Access, Disposition, FileKind, LeaseKey, OpenHow, Opened, SetAttr};

/// A reader is run ahead of by at most this part of the memory.
const AHEAD_SHARE: u64 = 4;

impl Filesystem {
    /// Open a file.
    ///
    /// # Errors
    /// EISDIR; EROFS; ESTALE if the name leads to another file now; what the server says.
    pub async fn open(&self, ino: Ino, flags: OpenFlags) -> FsResult<Fh> {
        if flags.write || flags.truncate {
            self.writable()?;
        }
        let content = {
            // Counted from now on, so that an unlink from now on keeps the file.
            let mut inodes = self.inodes();
            if inodes.node(ino)?.kind == FileKind::Directory {
                return Err(FsError::local(errno::EISDIR, "a directory is opened with opendir"));
            }
            inodes.path(ino)?;
            inodes.opened(ino)?;
            inodes.content(ino, &self.common)?
        };
        let count = OpenCount { fs: self, ino };
        let result = self.open_by_a_name(&content, flags).await;
        match &result {
            Ok(_) => count.keep(),
            Err(_) => count.close().await,
        }
        result
    }

    /// Opens by the name that the server showed last, and by another one if that leads elsewhere meanwhile.
    async fn open_by_a_name(&self, content: &Arc<Content>, flags: OpenFlags) -> FsResult<Fh> {
        let (ino, how) = (content.ino, how(flags, Disposition::Open, false, 0));
        loop {
            let (path, place, asked, known) = {
                let inodes = self.inodes();
                (inodes.path(ino)?, inodes.place(ino), inodes.stamp(), inodes.known(ino, Instant::now()))
            };
            let reads = flags.read && !flags.truncate && !flags.direct;
            let size = known.filter(|_| reads).map_or(0, |(attr, _)| attr.size);
            let result = match content.open(&path, &how, self.parent_key(ino), self.leases(), size).await {
                Ok(served) => self.keep(content, served, how.access, flags, asked).await,
                // Who was told of the name before is to look again, and finds none or makes it: ENOENT would be the
                // answer to somebody who wants to create it.
                Err(error) if error.is_missing() => Err(FsError::stale()),
                Err(error) => return Err(error.into()),
            };
            match result {
                Err(error) if error.errno() == errno::ESTALE && self.inodes().places(ino).len() > 1 => {
                    if !self.lead_astray(ino, &path, place) {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// What the adapter may do with an open file.
    ///
    /// # Errors
    /// EBADF.
    pub fn hints(&self, fh: Fh) -> FsResult<OpenHints> {
        let file = self.files.get(fh)?;
        Ok(OpenHints { keep_cache: file.unchanged, direct: file.direct })
    }

    /// Create a file, or open it if it exists and `create` is not exclusive.
    ///
    /// # Errors
    /// EEXIST; EISDIR; EROFS; EBUSY if a deleted file still keeps the name; what the server says.
    pub async fn create(&self, parent: Ino, name: &str, create: &Create) -> FsResult<(Entry, Fh)> {
        self.writable()?;
        let name = name::checked(name)?;
        let (path, asked, new, known) = {
            let mut inodes = self.inodes();
            let known = inodes.child(parent, name);
            (inodes.path(parent)?.child(name), inodes.stamp(), inodes.reserve(), known)
        };
        let disposition = if create.exclusive { Disposition::Create } else { Disposition::OpenOrCreate };
        let read_only =
            create.mode & 0o200 == 0 && self.options().file_mode & 0o200 != 0 && !self.keeps_modes();
        let key = LeaseKey(known.unwrap_or(new).0);
        let creating = self.creating(key);
        let how = how(create.open, disposition, read_only, create.mode);
        let asked_how = OpenHow { lease: self.lease_for(key, parent), ..how };
        let before = known.and_then(|ino| self.inodes().content_of(ino));
        // As in an open by inode.
        let alone = match &before {
            Some(content) => {
                content.wait_for_losses().await;
                Some((content.ordering.write().await, content.is_dirty()))
            }
            None => None,
        };
        let (opened, leased) = ask(&*self.remote, &path, &asked_how, 0).await;
        let (mut opened, _) = opened.map_err(name_taken)?;
        let is_fresh = match (&before, &alone) {
            (Some(content), Some((_, true))) => content.see_after_writing(&mut opened).await?,
            _ => true,
        };
        let entered = self.enter_as(new, parent, name, opened.attr, asked).and_then(|entry| {
            let mut inodes = self.inodes();
            let content = inodes.content(entry.attr.ino, &self.common)?;
            inodes.opened(entry.attr.ino)?;
            if opened.created {
                inodes.note_clock(opened.attr.created);
                inodes.changed_entry(parent, FileKind::File);
            }
            Ok((entry, content))
        });
        let (entry, content) = match entered {
            Ok(entered) => entered,
            Err(error) => {
                self.close_unused(opened).await;
                return Err(error);
            }
        };
        if opened.created {
            self.watches.changed(parent);
        }
        self.overtake(parent, name);
        let ino = entry.attr.ino;
        let count = OpenCount { fs: self, ino };
        let served = content.adopt_opened(opened, &how, Some(key).filter(|_| leased), is_fresh);
        drop(alone);
        if let Some(broken) = creating.broken() {
            self.break_lease(&content, key, broken).await;
        }
        match self.keep(&content, served, how.access, create.open, asked).await {
            Ok(fh) => {
                count.keep();
                let attr = self.presented(ino, &opened.attr);
                let made = opened.created.then_some(create.mode);
                let entry = Entry { attr: self.make_up(attr, made), ..entry };
                Ok(match create.owner.filter(|_| opened.created) {
                    Some(owner) => (self.give(parent, entry, owner).await, fh),
                    None => (entry, fh),
                })
            }
            Err(error) => {
                count.close().await;
                self.forget(ino, 1);
                Err(error)
            }
        }
    }

    /// Read what is held in memory; `None` if that is not all of it, or not allowed: then [`Self::read`] tells.
    pub fn try_read(&self, fh: Fh, offset: u64, len: u32) -> Option<Bytes> {
        let file = self.files.get(fh).ok()?;
        if !file.access.read || file.through {
            return None;
        }
        let data = file.content.read_held(&file.pattern, &file.backing, offset, len)?;
        self.counts.read(data.len());
        Some(data)
    }

    /// Read. Shorter than asked only at the end of the file.
    ///
    /// # Errors
    /// EBADF; EIO without a connection; what the server says.
    pub async fn read(&self, fh: Fh, offset: u64, len: u32) -> FsResult<Bytes> {
        let file = self.files.get(fh)?;
        if !file.access.read {
            return Err(FsError::local(errno::EBADF, "not open for reading"));
        }
        let data = file.content.read(&file.pattern, &file.backing, offset, len).await?;
        self.counts.read(data.len());
        Ok(data)
    }

    /// Take a write into memory, where the lease allows it and there is room; `None` otherwise: then
    /// [`Self::write`] does it. Must be called within the runtime.
    pub fn try_write(&self, fh: Fh, at: WriteAt, data: &[u8]) -> Option<u32> {
        let file = self.files.get(fh).ok()?;
        if !file.access.write || file.through {
            return None;
        }
        let len = u32::try_from(data.len()).ok()?;
        let (end, first) = file.content.write_held(at.offset(), data, &file.told)?;
        if first {
            self.note_written(file.ino, end);
        }
        self.misplaced(file.ino, at, end, len);
        self.counts.written(len);
        Some(len)
    }

    /// Has the kernel forget what it keeps of a file, if it has taken another place for its end than the server has: it has
    /// put what was appended into its pages there.
    fn misplaced(&self, ino: Ino, at: WriteAt, end: u64, written: u32) {
        if let WriteAt::End { believed } = at
            && end.checked_sub(written.into()) != Some(believed)
        {
            self.forget_in_kernel(ino);
        }
    }

    /// Write, and answer with the number of bytes that were taken, into memory where the lease allows it and to the
    /// server otherwise: all, or fewer if an error came in between.
    ///
    /// # Errors
    /// EBADF; EFBIG; EIO without a connection; what the server says, if nothing was written; the error of an earlier
    /// write that was taken into memory.
    pub async fn write(&self, fh: Fh, at: WriteAt, data: Bytes) -> FsResult<u32> {
        let file = self.files.get(fh)?;
        if !file.access.write {
            return Err(FsError::local(errno::EBADF, "not open for writing"));
        }
        let len = data.len();
        let (offset, through) = (at.offset(), file.through);
        let mut result = file.content.write(&file.backing, offset, data, through, &file.told).await;
        if let WriteAt::Cached(_) = at {
            if let Ok((_, written)) = result
                && (written as usize) < len
            {
                result = Err(FsError::local(errno::EIO, "a mapping could be written back in part only"));
            }
            if let Err(error) = &result {
                file.content.keep_error(error);
            }
        }
        if let Ok((end, written)) = result {
            self.counts.written(written);
            self.note_written(file.ino, end);
            self.misplaced(file.ino, at, end, written);
        } else {
            // Even a write that failed may have changed the file.
            self.note_written(file.ino, 0);
        }
        result.map(|(_, written)| written)
    }

    /// close(2) of one descriptor: when this answers, what was written is on the server.
    ///
    /// # Errors
    /// EBADF; the error of a write that nobody was told yet.
    pub async fn flush(&self, fh: Fh) -> FsResult<()> {
        let file = self.files.get(fh)?;
        if file.access.write { self.write_back(&file).await } else { Ok(()) }
    }

    /// Have the server put the file on stable storage, unless the mount is content with its having been sent.
    ///
    /// # Errors
    /// EBADF; the error of a write that nobody was told yet; what the server says.
    pub async fn fsync(&self, fh: Fh) -> FsResult<()> {
        let file = self.files.get(fh)?;
        self.write_back(&file).await?;
        if !self.options.strict_sync {
            return Ok(());
        }
        if file.access.write {
            return Ok(self.remote.flush(file.backing.handle).await?);
        }
        // A server flushes only through a handle that may write. If we have none, nothing of ours is unflushed.
        for backing in file.content.backings(true) {
            let closed = backing.closed.read().await;
            if !*closed {
                return Ok(self.remote.flush(backing.handle).await?);
            }
        }
        Ok(())
    }

    /// Keep an error of writing that whoever it came to did not wait for: the next flush or fsync of the file tells it.
    pub fn report_later(&self, fh: Fh, error: &FsError) {
        match self.files.get(fh) {
            Ok(file) => file.content.keep_error(error),
            Err(_) => log_lost("an error of writing found nobody to be told", fh, error),
        }
    }

    /// The last descriptor of a handle is closed.
    ///
    /// # Errors
    /// EBADF; what the server says of the close. The handle is gone in any case.
    pub async fn release(&self, fh: Fh) -> FsResult<()> {
        let file = self.files.remove(fh)?;
        let _closing = Closing::begin(&self.closing);
        self.unlock_handle(&file, fh).await;
        let count = OpenCount { fs: self, ino: file.ino };
        if file.access.write {
            // A mapping is written back after its descriptor is closed.
            file.content.drain().await;
            self.note_delayed(&file.content);
        }
        let asked = self.inodes().stamp();
        let result = file.content.close(&file.backing).await;
        match result {
            Ok(Some(attr)) => {
                self.inodes().learn(file.ino, attr, asked, Instant::now());
                if file.access.write {
                    self.note_changed(file.ino);
                }
            }
            Ok(None) => {}
            Err(ref error) => log_lost("closing a file failed", fh, &error.clone().into()),
        }
        if self.inodes().node(file.ino).is_ok_and(|node| node.doomed) {
            file.content.close_idle(Instant::now()).await;
        }
        // The others are told, if there are any.
        if self.files.of(file.ino).is_empty()
            && let Err(error) = file.take_error()
        {
            log_lost("an error of writing found nobody to be told", fh, &error);
        }
        count.close().await;
        Ok(result.map(drop)?)
    }

    /// Write all that is held of a file, and tell what went wrong.
    pub(super) async fn write_back(&self, file: &OpenFile) -> FsResult<()> {
        let settled = self.have_written(&file.content).await;
        file.take_error().and(settled)
    }

    /// Write all that is held of a file; what goes wrong with that is told to those who have it open.
    ///
    /// # Errors
    /// The time of the last write could not be set.
    pub(super) async fn have_written(&self, content: &Arc<Content>) -> FsResult<()> {
        if content.is_dirty() {
            let _alone = content.ordering.write().await;
            content.drain().await;
        }
        let settled = content.settle_time().await;
        self.note_delayed(content);
        settled
    }

    /// What was asked of the server before the last of what was written came there, is out of date.
    fn note_delayed(&self, content: &Content) {
        if content.take_delayed() {
            self.note_written(content.ino, 0);
        }
    }

    /// Make an open of the server a handle of ours. On failure the open is undone, but not its count.
    async fn keep(
        &self,
        content: &Arc<Content>,
        served: Served,
        access: Access,
        flags: OpenFlags,
        asked: Stamp,
    ) -> FsResult<Fh> {
        let ino = content.ino;
        let Served { backing, unchanged, opened } = served;
        if let Some(opened) = &opened {
            let same = self.inodes().node(ino).is_ok_and(|node| node.is(&opened.attr));
            if !same {
                self.close_backing(content, &backing).await;
                return Err(FsError::stale());
            }
            let known = self.inodes().known(ino, Instant::now());
            self.inodes().learn(ino, opened.attr, asked, Instant::now());
            if known.is_some_and(|(attr, _)| attr.size != opened.attr.size)
                && let Some(kernel) = self.kernel.get()
            {
                // It would read no farther than the size that it was told before.
                kernel.forget_attributes(ino);
            }
        }
        let is_new = opened.as_ref().is_some_and(|opened| opened.created);
        if flags.truncate
            && !is_new
            && let Err(error) = self.empty(content, &backing).await
        {
            self.close_backing(content, &backing).await;
            return Err(error);
        }
        let pattern = Mutex::new(Pattern::new(self.common.budget.limit() / AHEAD_SHARE));
        let through = flags.sync || flags.direct || self.options.cache == CacheMode::None;
        let direct = !content.caching().read;
        let (told, content) = (content.told(), content.clone());
        let file = OpenFile { ino, content, backing, access, through, direct, unchanged, pattern, told };
        Ok(self.files.insert(ino, file))
    }

    async fn empty(&self, content: &Arc<Content>, backing: &crate::content::Backing) -> FsResult<()> {
        let _alone = content.ordering.write().await;
        content.before_resize(0).await;
        let asked = self.inodes().stamp();
        let change = SetAttr { size: Some(0), ..SetAttr::default() };
        let attr = self.remote.set_attr_handle(backing.handle, &change).await?;
        content.resized(0);
        self.applied(content.ino, attr, asked);
        Ok(())
    }

    fn note_written(&self, ino: Ino, end: u64) {
        self.inodes().written(ino, end, Instant::now());
        self.note_changed(ino);
    }

    /// What listings say of a file is out of date.
    pub(super) fn note_changed(&self, ino: Ino) {
        let places = self.inodes().places(ino);
        for (parent, name) in places {
            self.overtake(parent, &name);
        }
    }

    async fn close_backing(&self, content: &Content, backing: &Arc<crate::content::Backing>) {
        if let Err(error) = content.close(backing).await {
            tracing::warn!(%error, "closing an unused handle failed");
        }
    }

    async fn close_unused(&self, opened: Opened) {
        if let Err(error) = self.remote.close(opened.handle).await {
            tracing::warn!(%error, "closing an unused handle failed");
        }
    }
}

/// One open counted at an inode. Dropped without a word, as by a panic in a request, it is given back.
struct OpenCount<'a> {
    fs: &'a Filesystem,
    ino: Ino,
}

impl OpenCount<'_> {
    /// The open lives on as a handle.
    fn keep(self) {
        std::mem::forget(self);
    }

    /// One open less; if it was the last of a deleted file, the file goes.
    async fn close(self) {
        let (fs, ino) = (self.fs, self.ino);
        std::mem::forget(self);
        let remove = fs.inodes().closed(ino);
        for path in remove {
            fs.remove_hidden(&path).await;
        }
    }
}

impl Drop for OpenCount<'_> {
    fn drop(&mut self) {
        self.fs.inodes().abandoned(self.ino);
    }
}

fn how(flags: OpenFlags, disposition: Disposition, new_read_only: bool, new_mode: u32) -> OpenHow {
    OpenHow {
        // O_RDONLY|O_TRUNC truncates all the same, and that takes the right to write.
        access: Access { read: flags.read, write: flags.write || flags.truncate },
        disposition,
        kind: Some(FileKind::File),
        new_read_only,
        new_mode: new_mode & 0o7777,
        write_through: flags.sync,
        lease: None,
    }
}
