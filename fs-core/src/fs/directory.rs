//! Listing directories.

use std::time::{Duration, Instant};

use super::{Attr, Closing, DirItem, Filesystem, is_missing};
use crate::dir::{Cursor, FIRST, Listed, OpenDir};
use crate::error::{FsError, FsResult, errno};
use crate::handle::Fh;
use crate::inode::Ino;
use crate::remote::FileKind;

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
        let (remote, _) = self.remote.open_dir(&path, None).await?;
        Ok(self.dirs.insert(ino, OpenDir::new(ino, remote)))
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
            if !sink(DirItem { name, ino: Some(ino), kind: FileKind::Directory, next: at, attr: None }) {
                return Ok(());
            }
        }
        loop {
            while let Some(entry) = cursor.at(at) {
                at += 1;
                if !self.emit(&dir, entry, at, plus, &mut sink).await {
                    return Ok(());
                }
            }
            match self.advance(&mut cursor).await {
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
        if let Some(remote) = cursor.remote.take()
            && let Err(error) = self.remote.close(remote).await
        {
            tracing::debug!(ino = dir.ino.0, %error, "closing the listing of a directory failed");
        }
    }

    async fn rewind(&self, dir: &OpenDir, cursor: &mut Cursor) -> FsResult<()> {
        let path = self.inodes().path(dir.ino)?;
        let (remote, _) = self.remote.open_dir(&path, None).await?;
        let old = std::mem::replace(cursor, Cursor::new(remote));
        if let Some(old) = old.remote
            && let Err(error) = self.remote.close(old).await
        {
            tracing::debug!(ino = dir.ino.0, %error, "closing the listing of a directory failed");
        }
        Ok(())
    }

    /// Fetch more; `false` if there is no more.
    async fn advance(&self, cursor: &mut Cursor) -> FsResult<bool> {
        let Some(remote) = cursor.remote else { return Ok(false) };
        let asked = self.inodes().stamp();
        let batch = self.remote.next_entries(remote).await?;
        if batch.is_empty() {
            cursor.remote = None;
            if let Err(error) = self.remote.close(remote).await {
                tracing::debug!(%error, "closing a complete listing failed");
            }
            return Ok(false);
        }
        cursor.extend(batch, asked, Instant::now());
        Ok(true)
    }

    /// Hand one entry over; `false` if the sink has no room for it.
    async fn emit<S>(&self, dir: &OpenDir, entry: &Listed, next: u64, plus: bool, sink: &mut S) -> bool
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
        let (name, kind) = (&*entry.name, entry.attr.kind);
        if !plus {
            return sink(DirItem { name, ino: known, kind, next, attr: None });
        }
        let Some(attr) = self.entry_attr(dir, entry).await else { return true };
        let taken = sink(DirItem { name, ino: Some(attr.ino), kind: attr.kind, next, attr: Some(attr) });
        if !taken {
            self.forget(attr.ino, 1);
        }
        taken
    }

    /// The entry as an inode, with one more lookup; `None` if it has gone since it was listed.
    async fn entry_attr(&self, dir: &OpenDir, entry: &Listed) -> Option<Attr> {
        if dir.is_overtaken(entry) {
            return match self.lookup(dir.ino, &entry.name).await {
                Ok(found) => Some(found.attr),
                Err(FsError::Remote(error)) if !is_missing(&error) => {
                    tracing::debug!(name = %entry.name, %error, "an entry could not be looked up");
                    None
                }
                Err(_) => None,
            };
        }
        let mut inodes = self.inodes();
        let open = inodes
            .child(dir.ino, &entry.name)
            .filter(|ino| inodes.node(*ino).is_ok_and(|node| node.opens > 0 && node.is(&entry.attr)));
        let ino = match open {
            // Windows brings the listing up to date when an open file is closed; what we know is better.
            Some(ino) => {
                inodes.looked_up_again(ino);
                ino
            }
            None => inodes.looked_up(dir.ino, &entry.name, entry.attr, entry.asked, entry.at).ok()?,
        };
        let (attr, valid) = inodes.known(ino, Instant::now()).unwrap_or((entry.attr, Duration::ZERO));
        let doomed = inodes.node(ino).is_ok_and(|node| node.doomed);
        drop(inodes);
        Some(self.present(ino, &attr, valid, doomed))
    }

    fn parent(&self, ino: Ino) -> Ino {
        self.inodes().place(ino).map_or(Ino::ROOT, |(parent, _)| parent)
    }
}
