//! The same without async, for programs that have no runtime: each call waits for its result.
//!
//! ```no_run
//! # fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::io::Read;
//!
//! use smb_client::{ConnectOptions, Credentials, OpenOptions, blocking};
//!
//! let credentials = Credentials::password("alice", "secret");
//! let client = blocking::Client::connect(&ConnectOptions::new("server", credentials))?;
//! let share = client.share("data")?;
//! let mut text = String::new();
//! share.open("notes.txt", &OpenOptions::read())?.read_to_string(&mut text)?;
//! # Ok(())
//! # }
//! ```
//!
//! Must not be called from within an async runtime: it would stand still.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

use crate::error::Result;
use crate::{ConnectOptions, Cursor, Entry, Metadata, OpenOptions, SessionInfo, SetAttributes, Space};

/// A login on a server, with a thread of its own that keeps the connection alive.
#[derive(Clone, Debug)]
pub struct Client {
    runtime: Arc<Runtime>,
    inner: crate::Client,
}

/// A connected share.
#[derive(Clone, Debug)]
pub struct Share {
    runtime: Arc<Runtime>,
    inner: crate::Share,
}

/// An open file with a position: [`Read`], [`Write`] and [`Seek`], and the positional calls of
/// [`crate::File`].
///
/// What was written is confirmed by [`Write::flush`] or [`File::close`].
pub struct File {
    runtime: Arc<Runtime>,
    cursor: Cursor,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects and logs in.
    ///
    /// # Errors
    /// As [`crate::Client::connect`]; or no thread can be started.
    pub fn connect(options: &ConnectOptions) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("smb-client")
            .enable_all()
            .build()
            .map_err(|error| crate::Error::Runtime(Arc::new(error)))?;
        let inner = runtime.block_on(crate::Client::connect(options))?;
        Ok(Self { runtime: Arc::new(runtime), inner })
    }

    /// What the session agreed with its server.
    pub fn info(&self) -> SessionInfo {
        self.inner.info()
    }

    /// Connects to a share.
    ///
    /// # Errors
    /// As [`crate::Client::share`].
    pub fn share(&self, name: &str) -> Result<Share> {
        let inner = self.runtime.block_on(self.inner.share(name))?;
        Ok(Share { runtime: self.runtime.clone(), inner })
    }

    /// Ends the session.
    ///
    /// # Errors
    /// As [`crate::Client::logoff`].
    pub fn logoff(self) -> Result<()> {
        self.runtime.block_on(self.inner.logoff())
    }
}

impl Share {
    /// Opens a file.
    ///
    /// # Errors
    /// As [`crate::Share::open`].
    pub fn open(&self, path: &str, options: &OpenOptions) -> Result<File> {
        let file = self.runtime.block_on(self.inner.open(path, options))?;
        Ok(File { runtime: self.runtime.clone(), cursor: Arc::new(file).cursor() })
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`crate::Share::read`].
    pub fn read(&self, path: &str) -> Result<Bytes> {
        self.runtime.block_on(self.inner.read(path))
    }

    /// Makes a file's content `data`.
    ///
    /// # Errors
    /// As [`crate::Share::write`].
    pub fn write(&self, path: &str, data: impl Into<Bytes>) -> Result<()> {
        self.runtime.block_on(self.inner.write(path, data))
    }

    /// All entries of a directory.
    ///
    /// # Errors
    /// As [`crate::Share::read_dir`].
    pub fn read_dir(&self, path: &str) -> Result<Vec<Entry>> {
        self.runtime.block_on(self.inner.read_dir(path))
    }

    /// What the server says of a path.
    ///
    /// # Errors
    /// As [`crate::Share::metadata`].
    pub fn metadata(&self, path: &str) -> Result<Metadata> {
        self.runtime.block_on(self.inner.metadata(path))
    }

    /// Changes times, attributes and, where given, the size.
    ///
    /// # Errors
    /// As [`crate::Share::modify`].
    pub fn modify(&self, path: &str, size: Option<u64>, set: &SetAttributes) -> Result<Metadata> {
        self.runtime.block_on(self.inner.modify(path, size, set))
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As [`crate::Share::create_dir`].
    pub fn create_dir(&self, path: &str) -> Result<Metadata> {
        self.runtime.block_on(self.inner.create_dir(path))
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As [`crate::Share::remove_file`].
    pub fn remove_file(&self, path: &str) -> Result<()> {
        self.runtime.block_on(self.inner.remove_file(path))
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// As [`crate::Share::remove_dir`].
    pub fn remove_dir(&self, path: &str) -> Result<()> {
        self.runtime.block_on(self.inner.remove_dir(path))
    }

    /// Renames within the share.
    ///
    /// # Errors
    /// As [`crate::Share::rename`].
    pub fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.runtime.block_on(self.inner.rename(from, to, replace))
    }

    /// How full the volume is.
    ///
    /// # Errors
    /// As [`crate::Share::space`].
    pub fn space(&self) -> Result<Space> {
        self.runtime.block_on(self.inner.space())
    }

    /// The async share below, for what is not here; run it by [`Share::wait`].
    pub const fn inner(&self) -> &crate::Share {
        &self.inner
    }

    /// Waits for any future of this crate.
    pub fn wait<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

impl File {
    /// Reads up to `length` bytes at `offset`; the position stays.
    ///
    /// # Errors
    /// As [`crate::File::read_at`].
    pub fn read_at(&self, offset: u64, length: u32) -> Result<Bytes> {
        self.runtime.block_on(self.cursor.file().read_at(offset, length))
    }

    /// Writes all of `data` at `offset`; the position stays.
    ///
    /// # Errors
    /// As [`crate::File::write_at`].
    pub fn write_at(&self, offset: u64, data: impl Into<Bytes>) -> Result<()> {
        self.runtime.block_on(self.cursor.file().write_at(offset, data.into()))
    }

    /// What the server says of the file now.
    ///
    /// # Errors
    /// As [`crate::File::metadata`].
    pub fn metadata(&self) -> Result<Metadata> {
        self.runtime.block_on(self.cursor.file().metadata())
    }

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// As [`crate::File::set_len`].
    pub fn set_len(&self, size: u64) -> Result<()> {
        self.runtime.block_on(self.cursor.file().set_len(size))
    }

    /// Asks the server to put on disk what was written.
    ///
    /// # Errors
    /// As [`crate::File::flush`]; an earlier write failed.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        Ok(self.runtime.block_on(self.cursor.file().flush())?)
    }

    /// Confirms what was written and closes the file.
    ///
    /// # Errors
    /// As [`crate::File::close`]; an earlier write failed.
    pub fn close(mut self) -> io::Result<()> {
        self.flush()?;
        Ok(self.runtime.block_on(self.cursor.file().close())?)
    }
}

impl Read for File {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.runtime.block_on(self.cursor.read(buf))
    }
}

impl Write for File {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.runtime.block_on(self.cursor.write(buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.runtime.block_on(self.cursor.flush())
    }
}

impl Seek for File {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.runtime.block_on(self.cursor.seek(to))
    }
}
