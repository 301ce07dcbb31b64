//! One machine: a mount, and a kernel above it that does for its programs what Linux does.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::RwLock;
use tokio::task::JoinHandle;

use super::kernel::{Caches, Pages};
use crate::{
    Attr, Create, Fh, Filesystem, FsError, Ino, Kernel, OpenFlags, RenameFlags, SetAttrs, WriteAt, errno as e,
};

/// What a system call answers with: an errno, or what was wanted.
pub(super) type Answer<T> = Result<T, i32>;

/// A descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fd {
    pub(super) ino: Ino,
    fh: Fh,
    direct: bool,
    append: bool,
}

pub(super) struct Machine {
    pub(super) fs: Arc<Filesystem>,
    caches: Arc<Caches>,
    locks: Mutex<HashMap<Ino, Arc<RwLock<()>>>>,
    server: JoinHandle<()>,
    /// System calls under way.
    pub(super) calls: AtomicUsize,
}

/// What open(2) is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct How {
    pub(super) write: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) append: bool,
}

impl How {
    fn flags(self) -> OpenFlags {
        OpenFlags { read: true, write: self.write, truncate: self.truncate, ..OpenFlags::default() }
    }
}

fn number(error: FsError) -> i32 {
    error.errno()
}

impl Machine {
    pub(super) fn new(fs: Filesystem) -> Self {
        let (fs, caches) = (Arc::new(fs), Arc::new(Caches::default()));
        let kernel: Arc<dyn Kernel> = caches.clone();
        let server = tokio::spawn(fs.clone().serve(kernel));
        Self { fs, caches, locks: Mutex::default(), server, calls: AtomicUsize::new(0) }
    }

    fn lock(&self, ino: Ino) -> Arc<RwLock<()>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).entry(ino).or_default().clone()
    }

    /// The directory of a path, and its last name.
    async fn above<'a>(&self, path: &'a str) -> Answer<(Ino, &'a str)> {
        match path.split_once('/') {
            Some((directory, name)) => Ok((self.look(Ino::ROOT, directory).await?, name)),
            None => Ok((Ino::ROOT, path)),
        }
    }

    /// A name in a directory that nobody changes meanwhile.
    async fn look(&self, parent: Ino, name: &str) -> Answer<Ino> {
        if let Some(ino) = self.caches.name(parent, name) {
            return Ok(ino);
        }
        let lock = self.lock(parent);
        let _shared = lock.read().await;
        self.look_locked(parent, name).await
    }

    /// The same for who has locked the directory.
    async fn look_locked(&self, parent: Ino, name: &str) -> Answer<Ino> {
        if let Some(ino) = self.caches.name(parent, name) {
            return Ok(ino);
        }
        let before = self.caches.before();
        match self.fs.lookup(parent, name).await {
            Ok(entry) => {
                self.caches.entered(parent, name, &entry.attr, before);
                Ok(entry.attr.ino)
            }
            Err(error) => {
                self.caches.drop_name(parent, name);
                Err(number(error))
            }
        }
    }

    /// Does something with a path, and once more with every name asked for anew if it was stale.
    async fn on_path<'a, T>(
        &self,
        path: &'a str,
        work: impl AsyncFn(Ino, &'a str) -> Answer<T>,
    ) -> Answer<T> {
        let mut again = false;
        loop {
            let place = self.above(path).await;
            let result = match place {
                Ok((parent, name)) => work(parent, name).await,
                Err(error) => Err(error),
            };
            if again || !matches!(result, Err(e::ESTALE)) {
                return result;
            }
            again = true;
            if let Ok((parent, name)) = place {
                self.caches.drop_name(parent, name);
            }
            if let Some((directory, _)) = path.split_once('/') {
                self.caches.drop_name(Ino::ROOT, directory);
            }
        }
    }

    pub(super) async fn open(&self, path: &str, how: How) -> Answer<Fd> {
        self.on_path(path, async |parent, name| {
            let lock = self.lock(parent);
            let (known, alone) = if how.create && self.caches.name(parent, name).is_none() {
                let alone = lock.write().await;
                (self.look_locked(parent, name).await, Some(alone))
            } else {
                (self.look(parent, name).await, None)
            };
            let (ino, fh) = match known {
                Ok(_) if how.create && how.exclusive => return Err(e::EEXIST),
                Ok(ino) => {
                    drop(alone);
                    (ino, self.fs.open(ino, how.flags()).await.map_err(number)?)
                }
                Err(e::ENOENT) if how.create => {
                    let create =
                        Create { open: how.flags(), exclusive: how.exclusive, mode: 0o644, owner: None };
                    let (entry, fh) = self.fs.create(parent, name, &create).await.map_err(number)?;
                    self.caches.entered(parent, name, &entry.attr, self.caches.before());
                    (entry.attr.ino, fh)
                }
                Err(error) => return Err(error),
            };
            let hints = self.fs.hints(fh).map_err(number)?;
            self.caches.opened(ino, hints.keep_cache, how.truncate);
            Ok(Fd { ino, fh, direct: hints.direct, append: how.append })
        })
        .await
    }

    async fn size(&self, fd: Fd) -> Answer<()> {
        if self.caches.size(fd.ino).is_none() {
            let before = self.caches.before();
            let attr = self.fs.getattr(fd.ino, Some(fd.fh)).await.map_err(number)?;
            self.caches.told(fd.ino, &attr, before);
        }
        Ok(())
    }

    async fn ask(&self, fd: Fd, offset: u64, len: u32) -> Answer<Bytes> {
        if let Some(data) = self.fs.try_read(fd.fh, offset, len) {
            return Ok(data);
        }
        self.fs.read(fd.fh, offset, len).await.map_err(number)
    }

    pub(super) async fn pread(&self, fd: Fd, offset: u64, len: u32) -> Answer<Vec<u8>> {
        if fd.direct {
            return Ok(self.ask(fd, offset, len).await?.to_vec());
        }
        if offset + u64::from(len) > self.caches.last_size(fd.ino) {
            self.size(fd).await?;
        }
        // Pages are locked while they are read or written.
        let lock = self.lock(fd.ino);
        let _shared = lock.read().await;
        loop {
            let before = self.caches.before();
            let (at, count) = match self.caches.read(fd.ino, offset, len) {
                Pages::Held(data) => return Ok(data),
                Pages::Missing(at, count) => (at, count),
            };
            let data = self.ask(fd, at, count).await?;
            if !self.caches.filled(fd.ino, at, count, &data, before) {
                // Dropped while they were read: what came is given to the program all the same.
                let size = self.caches.last_size(fd.ino);
                if at <= offset && offset + u64::from(len) <= at + u64::from(count) {
                    let end = (offset + u64::from(len)).min(size).min(at + data.len() as u64);
                    let range = (offset - at) as usize..end.saturating_sub(at) as usize;
                    return Ok(data.get(range).unwrap_or_default().to_vec());
                }
            }
        }
    }

    async fn tell(&self, fd: Fd, at: WriteAt, data: &[u8]) -> Answer<usize> {
        if let Some(written) = self.fs.try_write(fd.fh, at, data) {
            return Ok(written as usize);
        }
        Ok(self.fs.write(fd.fh, at, Bytes::copy_from_slice(data)).await.map_err(number)? as usize)
    }

    /// pwrite(2), or write(2) of a descriptor that appends.
    pub(super) async fn pwrite(&self, fd: Fd, offset: u64, data: &[u8]) -> Answer<usize> {
        let lock = self.lock(fd.ino);
        let _alone = lock.write().await;
        let before = self.caches.before();
        let kept = !fd.direct && !fd.append;
        let at = if fd.append {
            WriteAt::End { believed: self.caches.last_size(fd.ino) }
        } else {
            WriteAt::Offset(offset)
        };
        if kept {
            self.caches.writes(fd.ino, offset, data);
        }
        let result = self.tell(fd, at, data).await;
        match result {
            // Linux takes its own idea of the end for the place of what is appended, also in its pages. That is its
            // affair, and would hide whether ours is right: here they are forgotten.
            _ if fd.append => self.caches.unsure(fd.ino),
            Ok(written) => self.caches.wrote(fd.ino, offset, &data[..written], kept, before),
            Err(_) => self.caches.unsure(fd.ino),
        }
        result
    }

    pub(super) async fn truncate(&self, ino: Ino, fd: Option<Fd>, size: u64) -> Answer<()> {
        let lock = self.lock(ino);
        let _alone = lock.write().await;
        let change = SetAttrs { size: Some(size), ..SetAttrs::default() };
        let attr = self.fs.setattr(ino, fd.map(|fd| fd.fh), &change).await.map_err(number)?;
        self.caches.resized(ino, &attr);
        Ok(())
    }

    pub(super) async fn fsync(&self, fd: Fd) -> Answer<()> {
        self.fs.fsync(fd.fh).await.map_err(number)
    }

    /// The handle on the server is let go of later.
    pub(super) async fn close(&self, fd: Fd) -> (Answer<()>, JoinHandle<()>) {
        let result = self.fs.flush(fd.fh).await.map_err(number);
        self.caches.closed(fd.ino);
        let fs = self.fs.clone();
        let later = tokio::spawn(async move {
            let _ = fs.release(fd.fh).await;
        });
        (result, later)
    }

    pub(super) async fn stat(&self, path: &str) -> Answer<(Ino, u64)> {
        self.on_path(path, async |parent, name| {
            let ino = self.look(parent, name).await?;
            if let Some(size) = self.caches.size(ino) {
                return Ok((ino, size));
            }
            let before = self.caches.before();
            let attr = self.fs.getattr(ino, None).await.map_err(number)?;
            self.caches.told(ino, &attr, before);
            Ok((ino, attr.size))
        })
        .await
    }

    pub(super) async fn unlink(&self, path: &str, directory: bool) -> Answer<()> {
        self.on_path(path, async |parent, name| {
            let lock = self.lock(parent);
            let _alone = lock.write().await;
            self.look_locked(parent, name).await?;
            let result = match directory {
                true => self.fs.rmdir(parent, name).await.map_err(number),
                false => self.fs.unlink(parent, name).await.map_err(number),
            };
            if matches!(result, Ok(()) | Err(e::ENOENT)) {
                self.caches.drop_name(parent, name);
            }
            result
        })
        .await
    }

    pub(super) async fn mkdir(&self, path: &str) -> Answer<Ino> {
        self.on_path(path, async |parent, name| {
            let lock = self.lock(parent);
            let _alone = lock.write().await;
            match self.look_locked(parent, name).await {
                Ok(_) => Err(e::EEXIST),
                Err(e::ENOENT) => {
                    let entry = self.fs.mkdir(parent, name, 0o755).await.map_err(number)?;
                    self.caches.entered(parent, name, &entry.attr, self.caches.before());
                    Ok(entry.attr.ino)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    pub(super) async fn rename(&self, from: &str, to: &str, no_replace: bool) -> Answer<()> {
        self.on_path(from, async |parent, name| {
            let (new_parent, new_name) = self.above(to).await?;
            let locks = (self.lock(parent.min(new_parent)), self.lock(parent.max(new_parent)));
            let _alone = locks.0.write().await;
            let _alone_too = if parent == new_parent { None } else { Some(locks.1.write().await) };
            self.look_locked(parent, name).await?;
            match self.look_locked(new_parent, new_name).await {
                Ok(_) if no_replace => return Err(e::EEXIST),
                Ok(_) | Err(e::ENOENT) => {}
                Err(error) => return Err(error),
            }
            let flags = RenameFlags { no_replace, other: false };
            let before = self.caches.before();
            let result = self.fs.rename(parent, name, new_parent, new_name, flags).await.map_err(number);
            match result {
                Ok(()) => self.caches.move_name((parent, name), (new_parent, new_name), before),
                Err(e::ENOENT) => {
                    self.caches.drop_name(parent, name);
                    self.caches.drop_name(new_parent, new_name);
                }
                _ => {}
            }
            result
        })
        .await
    }

    /// The names in a directory, `""` being the root.
    pub(super) async fn list(&self, path: &str) -> Answer<Vec<String>> {
        let mut again = false;
        loop {
            let result = async {
                let ino = if path.is_empty() { Ino::ROOT } else { self.look(Ino::ROOT, path).await? };
                self.list_at(ino).await
            };
            match result.await {
                Err(e::ESTALE) if !again => {
                    again = true;
                    self.caches.drop_name(Ino::ROOT, path);
                }
                result => return result,
            }
        }
    }

    async fn list_at(&self, ino: Ino) -> Answer<Vec<String>> {
        let fh = self.fs.opendir(ino).await.map_err(number)?;
        let (mut names, mut at) = (Vec::new(), 0);
        let result = loop {
            let (from, before) = (at, self.caches.before());
            let mut entries: Vec<(String, Attr)> = Vec::new();
            let taken = |item: crate::DirItem<'_>| {
                at = item.next;
                if item.name != "." && item.name != ".." {
                    names.push(item.name.to_owned());
                    entries.extend(item.attr.map(|attr| (item.name.to_owned(), attr)));
                }
                true
            };
            let lock = self.lock(ino);
            let _shared = lock.read().await;
            if let Err(error) = self.fs.readdir(fh, from, true, taken).await {
                break Err(number(error));
            }
            for (name, attr) in entries {
                self.caches.entered(ino, &name, &attr, before);
            }
            if at == from {
                break Ok(());
            }
        };
        self.fs.releasedir(fh).await.map_err(number)?;
        result.map(|()| names)
    }

    /// The kernel needs memory.
    pub(super) fn shrink(&self) {
        for (ino, lookups) in self.caches.shrink() {
            self.fs.forget(ino, lookups);
        }
    }

    /// The end of the mount.
    pub(super) async fn end(&self) {
        self.fs.shutdown().await;
        self.server.abort();
    }
}
