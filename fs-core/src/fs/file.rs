//! Open files and their data.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use smb_proto::NtStatus;

use super::{Closing, Create, Entry, Filesystem, OpenFlags, WriteAt, log_lost, name_taken};
use crate::error::{FsError, FsResult, errno};
use crate::handle::{Fh, OpenFile};
use crate::inode::Ino;
use crate::name;
use crate::remote::{Access, Disposition, FileKind, OpenHow, Opened, RemoteAttr, SetAttr};

/// Requests under way at once for one read larger than the server's limit.
const READS_AT_ONCE: usize = 8;

impl Filesystem {
    /// Open a file.
    ///
    /// # Errors
    /// EISDIR; EROFS; ESTALE if the name leads to another file now; what the server says.
    pub async fn open(&self, ino: Ino, flags: OpenFlags) -> FsResult<Fh> {
        if flags.write || flags.truncate {
            self.writable()?;
        }
        let path = {
            // Counted from now on, so that an unlink from now on keeps the file.
            let mut inodes = self.inodes();
            if inodes.node(ino)?.kind == FileKind::Directory {
                return Err(FsError::local(errno::EISDIR, "a directory is opened with opendir"));
            }
            let path = inodes.path(ino)?;
            inodes.opened(ino)?;
            path
        };
        let count = OpenCount { fs: self, ino };
        let how = how(flags, Disposition::Open, false);
        let asked = self.inodes().stamp();
        let result = match self.remote.open(&path, &how).await {
            Ok(opened) => self.keep(ino, opened, &how, flags, asked).await,
            Err(error) => Err(error.into()),
        };
        match &result {
            Ok(_) => count.keep(),
            Err(_) => count.close().await,
        }
        result
    }

    /// Create a file, or open it if it exists and `create` is not exclusive.
    ///
    /// # Errors
    /// EEXIST; EISDIR; EROFS; EBUSY if a deleted file still keeps the name; what the server says.
    pub async fn create(&self, parent: Ino, name: &str, create: &Create) -> FsResult<(Entry, Fh)> {
        self.writable()?;
        let name = name::checked(name)?;
        let (path, asked) = {
            let inodes = self.inodes();
            (inodes.path(parent)?.child(name), inodes.stamp())
        };
        let disposition = if create.exclusive { Disposition::Create } else { Disposition::OpenOrCreate };
        let read_only = create.mode & 0o200 == 0 && self.options().file_mode & 0o200 != 0;
        let how = how(create.open, disposition, read_only);
        let opened = self.remote.open(&path, &how).await.map_err(name_taken)?;
        let entered = self.enter(parent, name, opened.attr, asked).and_then(|entry| {
            let mut inodes = self.inodes();
            inodes.opened(entry.attr.ino)?;
            if opened.created {
                inodes.changed_entry(parent);
            }
            Ok(entry)
        });
        let entry = match entered {
            Ok(entry) => entry,
            Err(error) => {
                self.close_unused(opened).await;
                return Err(error);
            }
        };
        self.overtake(parent, name);
        let ino = entry.attr.ino;
        let count = OpenCount { fs: self, ino };
        match self.keep(ino, opened, &how, create.open, asked).await {
            Ok(fh) => {
                count.keep();
                Ok((Entry { attr: self.presented(ino, &opened.attr) }, fh))
            }
            Err(error) => {
                count.close().await;
                self.forget(ino, 1);
                Err(error)
            }
        }
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
        let chunk = self.remote.limits().max_read.max(1);
        if len <= chunk {
            return self.read_chunk(&file, offset, len).await;
        }
        let starts = (0..len).step_by(chunk as usize);
        let mut chunks =
            stream::iter(starts)
                .map(|start| {
                    let want = chunk.min(len - start);
                    let file = &file;
                    async move {
                        (want, self.read_chunk(file, offset.saturating_add(u64::from(start)), want).await)
                    }
                })
                .buffered(READS_AT_ONCE);
        let mut data = BytesMut::with_capacity(len as usize);
        while let Some((want, chunk)) = chunks.next().await {
            let chunk = chunk?;
            data.extend_from_slice(&chunk);
            if chunk.len() < want as usize {
                break;
            }
        }
        Ok(data.freeze())
    }

    /// Write, and answer with the number of bytes that are on the server: all, or fewer if an error came in
    /// between.
    ///
    /// # Errors
    /// EBADF; EFBIG; EIO without a connection; what the server says, if nothing was written.
    pub async fn write(&self, fh: Fh, at: WriteAt, data: Bytes) -> FsResult<u32> {
        let file = self.files.get(fh)?;
        if !file.access.write {
            return Err(FsError::local(errno::EBADF, "not open for writing"));
        }
        let ordering = self.inodes().node(file.ino)?.ordering.clone();
        let result = match at {
            WriteAt::Offset(offset) => {
                let _shared = ordering.read().await;
                self.write_chunks(&file, offset, data).await
            }
            WriteAt::Cached(offset) => {
                let _shared = ordering.read().await;
                let len = data.len();
                match self.write_chunks(&file, offset, data).await {
                    Ok(written) if (written as usize) < len => {
                        Err(FsError::local(errno::EIO, "a mapping could be written back in part only"))
                    }
                    result => result,
                }
            }
            WriteAt::End => {
                let _alone = ordering.write().await;
                let end = self.remote.attr(file.remote).await?.size;
                self.write_chunks(&file, end, data).await
            }
        };
        if let (WriteAt::Cached(_), Err(error)) = (at, &result) {
            file.keep_error(error);
        }
        result
    }

    /// close(2) of one descriptor: tells an error that nobody was told yet. What was written is on the server
    /// already.
    ///
    /// # Errors
    /// EBADF; a kept error.
    pub async fn flush(&self, fh: Fh) -> FsResult<()> {
        self.files.get(fh)?.take_error()
    }

    /// Have the server put the file on stable storage.
    ///
    /// # Errors
    /// EBADF; a kept error; what the server says.
    pub async fn fsync(&self, fh: Fh) -> FsResult<()> {
        let file = self.files.get(fh)?;
        file.take_error()?;
        if file.access.write {
            return Ok(self.remote.flush(file.remote).await?);
        }
        // A server flushes only through a handle that may write. If we have none, nothing of ours is unflushed.
        for other in self.files.of(file.ino).iter().filter(|other| other.access.write) {
            let closed = other.closed.read().await;
            if !*closed {
                return Ok(self.remote.flush(other.remote).await?);
            }
        }
        Ok(())
    }

    /// The last descriptor of a handle is closed.
    ///
    /// # Errors
    /// EBADF; what the server says of the close. The handle is gone in any case.
    pub async fn release(&self, fh: Fh) -> FsResult<()> {
        let file = self.files.remove(fh)?;
        let _closing = Closing::begin(&self.closing);
        let count = OpenCount { fs: self, ino: file.ino };
        let result = self.close(&file).await;
        if let Err(error) = &result {
            log_lost("closing a file failed", fh, error);
        }
        count.close().await;
        result
    }

    /// Make an open of the server a handle of ours. On failure the open is undone, but not its count.
    async fn keep(
        &self,
        ino: Ino,
        opened: Opened,
        how: &OpenHow,
        flags: OpenFlags,
        asked: crate::inode::Stamp,
    ) -> FsResult<Fh> {
        if !self.inodes().node(ino).is_ok_and(|node| node.is(&opened.attr)) {
            self.close_unused(opened).await;
            return Err(FsError::stale());
        }
        self.inodes().learn(ino, opened.attr, asked, Instant::now());
        if flags.truncate
            && !opened.created
            && opened.attr.size > 0
            && let Err(error) = self.empty(ino, opened).await
        {
            self.close_unused(opened).await;
            return Err(error);
        }
        let file = OpenFile::new(ino, opened.handle, how.access);
        Ok(self.files.insert(ino, file))
    }

    async fn empty(&self, ino: Ino, opened: Opened) -> FsResult<RemoteAttr> {
        let ordering = self.inodes().node(ino)?.ordering.clone();
        let _alone = ordering.write().await;
        let asked = self.inodes().stamp();
        let change = SetAttr { size: Some(0), ..SetAttr::default() };
        let attr = self.remote.set_attr_handle(opened.handle, &change).await?;
        self.applied(ino, attr, asked);
        Ok(attr)
    }

    async fn read_chunk(&self, file: &OpenFile, offset: u64, len: u32) -> FsResult<Bytes> {
        match self.remote.read(file.remote, offset, len).await {
            Ok(mut data) => {
                data.truncate(len as usize);
                Ok(data)
            }
            Err(error) if error.is(NtStatus::END_OF_FILE) => Ok(Bytes::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// In order, so that what is written before an error is a prefix.
    async fn write_chunks(&self, file: &OpenFile, offset: u64, data: Bytes) -> FsResult<u32> {
        let len = u32::try_from(data.len()).map_err(|_| FsError::local(errno::EINVAL, "too much at once"))?;
        let limit = i64::MAX as u64;
        if offset.checked_add(u64::from(len)).is_none_or(|end| end > limit) {
            return Err(FsError::local(errno::EFBIG, "past the largest size a file can have"));
        }
        let chunk = self.remote.limits().max_write.max(1) as usize;
        let mut rest = data;
        let mut written = 0;
        while !rest.is_empty() {
            let part = rest.split_to(chunk.min(rest.len()));
            let count = part.len() as u32;
            let result = self.remote.write(file.remote, offset + u64::from(written), part).await;
            // Even a write that failed may have changed the file.
            let done = if result.is_ok() { written + count } else { written };
            self.note_written(file.ino, offset + u64::from(done));
            match result {
                Ok(()) => written = done,
                Err(error) if written == 0 => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(ino = file.ino.0, %error, written, "a write was cut short");
                    break;
                }
            }
        }
        Ok(written)
    }

    fn note_written(&self, ino: Ino, end: u64) {
        let place = {
            let mut inodes = self.inodes();
            inodes.written(ino, end, Instant::now());
            inodes.place(ino)
        };
        if let Some((parent, name)) = place {
            self.overtake(parent, &name);
        }
    }

    async fn close(&self, file: &OpenFile) -> FsResult<()> {
        let mut closed = file.closed.write().await;
        *closed = true;
        drop(closed);
        Ok(self.remote.close(file.remote).await?)
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
        if let Some(path) = remove {
            fs.remove_hidden(&path).await;
        }
    }
}

impl Drop for OpenCount<'_> {
    fn drop(&mut self) {
        self.fs.inodes().abandoned(self.ino);
    }
}

fn how(flags: OpenFlags, disposition: Disposition, new_read_only: bool) -> OpenHow {
    OpenHow {
        // O_RDONLY|O_TRUNC truncates all the same, and that takes the right to write.
        access: Access { read: flags.read, write: flags.write || flags.truncate },
        disposition,
        kind: Some(FileKind::File),
        new_read_only,
        write_through: flags.sync,
    }
}
