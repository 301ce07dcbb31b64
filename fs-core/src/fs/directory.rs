//! Listing directories.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::{Closing, DirItem, Entry, Filesystem};
use crate::content::CacheMode;
use crate::dir::{Cursor, FIRST, Listed, OpenDir};
use crate::error::{FsError, FsResult, errno};
use crate::handle::Fh;
use crate::inode::Ino;
use crate::listing::Listing;
use crate::name::RemotePath;
use crate::remote::{Caching, FileKind, Granted, LeaseAsk, LeaseKey, RemoteEntry, RemoteHandle};

impl Filesystem {
    /// Open a directory for listing.
    ///
    /// # Errors
    /// ENOTDIR; ESTALE; what the server says.
    pub async fn opendir(&self, ino: Ino) -> FsResult<Fh> {
        let path = {
            let inodes = self.inodes();
            if inodes.node(ino)?.kind != FileKind::Directory {
                return Err(FsError::local(errno::ENOTDIR, "not a directory"));
            }
            inodes.path(ino)?
        };
        self.note_use(ino);
        let cursor = self.begin_listing(ino, &path).await?;
        Ok(self.dirs.insert(ino, OpenDir::new(ino, cursor)))
    }

    /// From the listing that is kept, or from the server, with a lease if there are any.
    async fn begin_listing(&self, ino: Ino, path: &RemotePath) -> FsResult<Cursor> {
        if let Some(listing) = self.listings.listing(ino) {
            return Ok(Cursor::of(listing));
        }
        let wants = self.options.cache == CacheMode::Strict && self.leases();
        if !wants {
            let (remote, _) = self.remote.open_dir(path, None).await?;
            return Ok(Cursor::new(remote, false));
        }
        Ok(Cursor::new(self.open_leased(ino, path).await?, true))
    }

    async fn open_leased(&self, ino: Ino, path: &RemotePath) -> FsResult<RemoteHandle> {
        let parent = self.parent_key(ino);
        let want = Caching { read: true, write: false, handle: true };
        self.listings.asks(ino);
        let asking = Asking { fs: self, ino, done: false };
        let opened = self.remote.open_dir(path, Some(LeaseAsk { key: LeaseKey(ino.0), want, parent })).await;
        asking.answered(opened.as_ref().ok().map(|(_, granted)| *granted));
        let (remote, granted) = opened?;
        self.directory_leases.store(granted.caching.read, Ordering::Relaxed);
        Ok(remote)
    }

    /// Have the lease of a directory in which names are looked up, where the server grants such leases. True if it
    /// was taken just now.
    pub(super) async fn lease_directory(&self, ino: Ino) -> bool {
        if !self.leases() || !self.directory_leases.load(Ordering::Relaxed) || self.listings.holds(ino) {
            return false;
        }
        let Ok(path) = self.inodes().path(ino) else { return false };
        let Ok(remote) = self.open_leased(ino, &path).await else { return false };
        self.keep_directory(ino, remote, None).await;
        true
    }

    /// Have the names of a directory known: all, if they are not more than about `max`.
    pub(super) async fn list_names(&self, ino: Ino, max: usize) {
        let leased = self.listings.holds(ino);
        let (asked, at) = (self.inodes().stamp(), Instant::now());
        match self.names_of(ino, max).await {
            Some(listing) => {
                // With a lease, a break would have made all that is known forgotten.
                let until = (!leased).then(|| at + self.options.attr_ttl);
                self.names.install(ino, listing, asked, at, until);
            }
            None => self.names.give_up(ino),
        }
    }

    /// The entries of a directory, and whether these are all; about `max` at most.
    async fn names_of(&self, ino: Ino, max: usize) -> Option<(Vec<RemoteEntry>, bool)> {
        let path = self.inodes().path(ino).ok()?;
        let (handle, _) = self.remote.open_dir(&path, None).await.ok()?;
        let mut entries = Vec::new();
        let mut whole = false;
        while entries.len() <= max {
            match self.remote.next_entries(handle).await {
                Ok(batch) if batch.is_empty() => {
                    whole = true;
                    break;
                }
                Ok(batch) => entries.extend(batch),
                Err(_) => break,
            }
        }
        self.close_directory(ino, handle, false).await;
        (whole || !entries.is_empty()).then_some((entries, whole))
    }

    async fn keep_directory(&self, ino: Ino, handle: RemoteHandle, listing: Option<Arc<Listing>>) {
        for (ino, handle) in self.listings.keep(ino, handle, listing) {
            self.close_directory(ino, handle, true).await;
        }
    }

    /// List from `offset` on, 0 being the beginning: each entry goes to `sink`, until that says `false` for
    /// having no room left, or the directory ends.
    ///
    /// With `plus` each entry comes with its attributes, and each that the sink took counts as one lookup.
    ///
    /// # Errors
    /// EBADF; what the server says, unless something went to the sink before.
    pub async fn readdir<S>(&self, fh: Fh, offset: u64, plus: bool, mut sink: S) -> FsResult<()>
    where
        S: FnMut(DirItem<'_>) -> bool + Send,
    {
        let dir = self.dirs.get(fh)?;
        let mut cursor = dir.cursor.lock().await;
        if offset == 0 && !cursor.is_untouched() {
            self.rewind(&dir, &mut cursor).await?;
        }
        let mut at = offset;
        while at < FIRST {
            let (name, ino) = if at == 0 { (".", dir.ino) } else { ("..", self.parent(dir.ino)) };
            at += 1;
            if !sink(DirItem {
                name,
                ino: Some(ino),
                kind: FileKind::Directory,
                next: at,
                attr: None,
                respelled: false,
            }) {
                return Ok(());
            }
        }
        let mut told = HashMap::new();
        loop {
            while let Some(entry) = cursor.at(at) {
                at += 1;
                if !self.emit(&dir, entry, at, plus.then_some(&mut told), &mut sink).await {
                    return Ok(());
                }
            }
            match self.advance(&dir, &mut cursor).await {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if at == offset => return Err(error),
                // The next call gets the error; this one has entries to give.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Close a directory.
    ///
    /// # Errors
    /// EBADF.
    pub async fn releasedir(&self, fh: Fh) -> FsResult<()> {
        let dir = self.dirs.get(fh)?;
        let _closing = Closing::begin(&self.closing);
        // Known until it is closed: rmdir waits for it.
        self.end_listing(&dir).await;
        self.dirs.remove(fh).map(drop)
    }

    /// Close the server's handle of a listing; it ends with what it has.
    pub(super) async fn end_listing(&self, dir: &OpenDir) {
        let mut cursor = dir.cursor.lock().await;
        if let Some(remote) = cursor.remote.take() {
            self.close_directory(dir.ino, remote, cursor.leased).await;
        }
    }

    /// Stop keeping a directory: its open would be in the way.
    pub(super) async fn let_go_of_directory(&self, ino: Ino) {
        if let Some(handle) = self.listings.let_go(ino) {
            self.close_directory(ino, handle, true).await;
        }
    }

    pub(super) async fn close_directory(&self, ino: Ino, handle: RemoteHandle, leased: bool) {
        if let Err(error) = self.remote.close(handle).await {
            tracing::debug!(ino = ino.0, %error, "closing the listing of a directory failed");
        }
        if leased && self.listings.closed(ino) {
            self.unlease(ino);
            self.names.forget(ino);
        }
    }

    async fn rewind(&self, dir: &OpenDir, cursor: &mut Cursor) -> FsResult<()> {
        let path = self.inodes().path(dir.ino)?;
        let new = self.begin_listing(dir.ino, &path).await?;
        let old = std::mem::replace(cursor, new);
        if let Some(remote) = old.remote {
            self.close_directory(dir.ino, remote, old.leased).await;
        }
        Ok(())
    }

    /// Fetch more; `false` if there is no more.
    async fn advance(&self, dir: &OpenDir, cursor: &mut Cursor) -> FsResult<bool> {
        let Some(remote) = cursor.remote else { return Ok(false) };
        let asked = self.inodes().stamp();
        let batch = self.remote.next_entries(remote).await?;
        if !batch.is_empty() {
            cursor.extend(batch, asked, Instant::now());
            return Ok(true);
        }
        cursor.remote = None;
        let listing = cursor.complete();
        if !cursor.leased {
            self.close_directory(dir.ino, remote, false).await;
            return Ok(false);
        }
        let close = {
            // Changes are noted here first and then with the listings: none slips through between.
            let inodes = self.inodes();
            let first = cursor.begun().unwrap_or(asked);
            // What this mount has changed meanwhile may be missing in it.
            let whole = inodes.is_settled(dir.ino, first).then_some(listing);
            self.listings.keep(dir.ino, remote, whole)
        };
        for (ino, handle) in close {
            self.close_directory(ino, handle, true).await;
        }
        Ok(false)
    }

    /// Hand one entry over; `false` if the sink has no room for it. With attributes, `told` has the inodes that were told
    /// before in the same answer, and their numbers of names.
    async fn emit<S>(
        &self,
        dir: &OpenDir,
        entry: &Listed,
        next: u64,
        told: Option<&mut HashMap<Ino, u32>>,
        sink: &mut S,
    ) -> bool
    where
        S: FnMut(DirItem<'_>) -> bool + Send,
    {
        let known = {
            let inodes = self.inodes();
            if inodes.is_doomed(dir.ino, &entry.name) {
                return true;
            }
            inodes.child(dir.ino, &entry.name)
        };
        if known.is_none() && self.is_left_behind(dir.ino, &entry.name) {
            return true;
        }
        let (name, kind) = (&*entry.name, entry.attr.kind);
        let Some(told) = told else {
            return sink(DirItem { name, ino: known, kind, next, attr: None, respelled: false });
        };
        let Some(Entry { attr, respelled }) = self.entry_of(dir, entry).await else { return true };
        if told.insert(attr.ino, attr.links).is_some_and(|links| links != attr.links) {
            // The kernel believes the first of two words of one answer; the second goes into the next.
            self.forget(attr.ino, 1);
            return false;
        }
        let taken =
            sink(DirItem { name, ino: Some(attr.ino), kind: attr.kind, next, attr: Some(attr), respelled });
        if !taken {
            self.forget(attr.ino, 1);
        }
        taken
    }

    /// The entry as an inode, with one more lookup; `None` if it has gone since it was listed.
    async fn entry_of(&self, dir: &OpenDir, entry: &Listed) -> Option<Entry> {
        let found = if dir.is_overtaken(entry) {
            self.lookup(dir.ino, &entry.name).await
        } else {
            let (listed, respelled, path, asked) = {
                let mut inodes = self.inodes();
                let listed = inodes.listed(dir.ino, &entry.name, entry.attr, entry.asked, entry.at).ok()?;
                let path = inodes.path(dir.ino).ok()?.child(&entry.name);
                (listed, inodes.is_respelled(dir.ino, &entry.name), path, inodes.stamp())
            };
            match listed {
                Some(ino) => return Some(Entry { attr: self.presented(ino, &entry.attr), respelled }),
                None => self.ask_for(dir.ino, &entry.name, &path, asked).await,
            }
        };
        match found {
            Ok(found) => Some(found),
            Err(FsError::Remote(error)) if !error.is_missing() => {
                tracing::debug!(name = %entry.name, %error, "an entry could not be looked up");
                None
            }
            Err(_) => None,
        }
    }

    fn parent(&self, ino: Ino) -> Ino {
        self.inodes().place(ino).map_or(Ino::ROOT, |(parent, _)| parent)
    }
}

/// An open with a lease on its way. Dropped, it was given up.
struct Asking<'a> {
    fs: &'a Filesystem,
    ino: Ino,
    done: bool,
}

impl Asking<'_> {
    fn answered(mut self, granted: Option<Granted>) {
        self.done = true;
        if self.fs.listings.answered(self.ino, granted) {
            self.fs.inodes().leased(self.ino);
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.fs.listings.answered(self.ino, None);
        }
    }
}
