//! The real [`Remote`]: a folder of a share, through `smb-client`.

mod lease;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use smb_client::{
    AccessMask, Breaks, Client, ConnectionError, CreateAction, CreateDisposition, CreateOptions, Directory,
    Error, File, Metadata, OpenOptions, SetAttributes, Share,
};
use smb_proto::NtStatus;
use smb_proto::fscc::FileAttributes;

use crate::name::RemotePath;
use lease::Leases;
use tokio::sync::mpsc;

use crate::remote::{
    Caching, Disposition, FileKind, Granted, LeaseAsk, LeaseKey, OpenHow, Opened, Place, Remote, RemoteAttr,
    RemoteEntry, RemoteError, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace, SetAttr,
};

/// `IO_REPARSE_TAG_MOUNT_POINT` ([MS-FSCC] 2.1.2.1): a junction.
const TAG_MOUNT_POINT: u32 = 0xA000_0003;
/// `IO_REPARSE_TAG_SYMLINK`
const TAG_SYMLINK: u32 = 0xA000_000C;
/// `IO_REPARSE_TAG_NFS`: FIFOs, sockets, devices and links of an NFS server.
const TAG_NFS: u32 = 0x8000_0014;
/// `IO_REPARSE_TAG_LX_SYMLINK`: a link made by WSL.
const TAG_LX_SYMLINK: u32 = 0xA000_001D;
/// `IO_REPARSE_TAG_AF_UNIX`, `LX_FIFO`, `LX_CHR`, `LX_BLK`: made by WSL.
const TAGS_SPECIAL: [u32; 4] = [0x8000_0023, 0x8000_0024, 0x8000_0025, 0x8000_0026];

/// What every SMB server takes: a component of 255 UTF-16 units.
const MAX_NAME: u32 = 255;

/// A folder of a share as a [`Remote`].
///
/// Handles live as long as the session. When reconnecting comes, this is where a [`RemoteHandle`] will find its
/// new open: callers know only the number.
#[derive(Debug)]
pub struct SmbRemote {
    share: Share,
    /// The mounted folder inside the share, `/` between components; empty for the share's root.
    base: String,
    handles: RwLock<HashMap<u64, Arc<Open>>>,
    next_handle: AtomicU64,
    leases: Arc<Leases>,
    /// Until somebody takes it.
    breaks: Mutex<Option<Breaks>>,
}

#[derive(Debug)]
enum Open {
    File(Arc<File>),
    Directory(Directory),
}

impl SmbRemote {
    /// The folder `base` of `share`; the empty string is the share's root.
    ///
    /// What the server takes back of leases goes to this remote from now on: there can be one for each client.
    pub fn new(client: &Client, share: Share, base: &str) -> Self {
        Self {
            leases: Arc::new(Leases::new(client.lease_key())),
            breaks: Mutex::new(client.breaks()),
            share,
            base: base.trim_matches('/').into(),
            handles: RwLock::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    fn path(&self, path: &RemotePath) -> String {
        match (self.base.is_empty(), path.is_root()) {
            (true, _) => path.as_str().into(),
            (false, true) => self.base.clone(),
            (false, false) => format!("{}/{}", self.base, path.as_str()),
        }
    }

    fn keep(&self, open: Open) -> RemoteHandle {
        let number = self.next_handle.fetch_add(1, Ordering::Relaxed);
        self.handles.write().unwrap_or_else(PoisonError::into_inner).insert(number, Arc::new(open));
        RemoteHandle(number)
    }

    fn open_of(&self, handle: RemoteHandle) -> RemoteResult<Arc<Open>> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(&handle.0).cloned().ok_or(RemoteError::Status(NtStatus::FILE_CLOSED))
    }

    async fn on_file<T>(
        &self,
        handle: RemoteHandle,
        work: impl AsyncFnOnce(&File) -> smb_client::Result<T>,
    ) -> RemoteResult<T> {
        match &*self.open_of(handle)? {
            Open::File(file) => Ok(work(file).await?),
            Open::Directory(_) => Err(NtStatus::FILE_IS_A_DIRECTORY.into()),
        }
    }
}

impl From<Error> for RemoteError {
    fn from(error: Error) -> Self {
        if let Some(status) = error.status() {
            return Self::Status(status);
        }
        match error {
            Error::InvalidName(_) => Self::Status(NtStatus::OBJECT_NAME_INVALID),
            Error::NotEnoughCredits => Self::Status(NtStatus::INSUFFICIENT_RESOURCES),
            Error::Malformed(_) => Self::Protocol(Arc::new(error)),
            Error::TimedOut | Error::Connection(ConnectionError::TimedOut) => Self::TimedOut,
            error => Self::Disconnected(Arc::new(error)),
        }
    }
}

fn attr(metadata: &Metadata) -> RemoteAttr {
    RemoteAttr {
        file_id: metadata.file_id,
        kind: kind(metadata),
        size: metadata.size,
        allocated: metadata.allocated,
        created: metadata.created,
        accessed: metadata.accessed,
        written: metadata.written,
        changed: metadata.changed,
        attributes: metadata.attributes,
        links: metadata.links.max(1),
    }
}

/// Reparse points that a server resolves itself (deduplication, cloud tiers) are plain files.
fn kind(metadata: &Metadata) -> FileKind {
    if metadata.attributes.contains(FileAttributes::REPARSE_POINT) {
        match metadata.reparse_tag {
            TAG_MOUNT_POINT | TAG_SYMLINK | TAG_LX_SYMLINK => return FileKind::Symlink,
            tag if tag == TAG_NFS || TAGS_SPECIAL.contains(&tag) => return FileKind::Other,
            _ => {}
        }
    }
    if metadata.is_dir() { FileKind::Directory } else { FileKind::File }
}

fn changes(change: &SetAttr) -> SetAttributes {
    SetAttributes {
        created: change.created,
        accessed: change.accessed,
        written: change.written,
        attributes: change.attributes,
    }
}

fn open_options(how: &OpenHow) -> OpenOptions {
    let mut access = AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
    if how.access.read {
        access |= AccessMask::READ_DATA;
    }
    if how.access.write {
        access |= AccessMask::WRITE_DATA | AccessMask::APPEND_DATA | AccessMask::WRITE_ATTRIBUTES;
    }
    let mut options = match how.kind {
        Some(FileKind::Directory) => CreateOptions::DIRECTORY_FILE,
        Some(_) => CreateOptions::NON_DIRECTORY_FILE,
        None => CreateOptions::empty(),
    };
    if how.write_through {
        options |= CreateOptions::WRITE_THROUGH;
    }
    OpenOptions {
        options,
        disposition: match how.disposition {
            Disposition::Open => CreateDisposition::Open,
            Disposition::Create => CreateDisposition::Create,
            Disposition::OpenOrCreate => CreateDisposition::OpenIf,
        },
        attributes: if how.new_read_only { FileAttributes::READONLY } else { FileAttributes::NORMAL },
        ..OpenOptions::existing(access)
    }
}

#[async_trait]
impl Remote for SmbRemote {
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        Ok(attr(&self.share.metadata(&self.path(path)).await?))
    }

    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened> {
        let mut options = open_options(how);
        options.lease = how.lease.map(|ask| self.leases.request(&ask));
        let (file, metadata) = self.share.open_with_metadata(&self.path(path), &options).await?;
        let file = Arc::new(file);
        let granted = self.leases.granted(how.lease.as_ref(), &file);
        let created = file.action() == CreateAction::Created;
        // Whatever the tag says: the server followed it, or it would have refused.
        let attr = RemoteAttr {
            kind: if metadata.is_dir() { FileKind::Directory } else { FileKind::File },
            ..attr(&metadata)
        };
        Ok(Opened { handle: self.keep(Open::File(file)), attr, created, granted })
    }

    async fn close(&self, handle: RemoteHandle) -> RemoteResult<Option<RemoteAttr>> {
        let open = self.handles.write().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
        match open.as_deref() {
            Some(Open::File(file)) => {
                self.leases.closed(file.id());
                Ok(file
                    .close_with_metadata()
                    .await?
                    .map(|metadata| RemoteAttr { links: 0, ..attr(&metadata) }))
            }
            Some(Open::Directory(directory)) => {
                directory.close().await?;
                Ok(None)
            }
            None => Err(NtStatus::FILE_CLOSED.into()),
        }
    }

    async fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> RemoteResult<Bytes> {
        self.on_file(handle, async |file| file.read_at(offset, len).await).await
    }

    async fn write(&self, handle: RemoteHandle, offset: u64, data: Bytes) -> RemoteResult<()> {
        self.on_file(handle, async |file| file.write_at(offset, data).await).await
    }

    async fn flush(&self, handle: RemoteHandle) -> RemoteResult<()> {
        self.on_file(handle, async |file| file.flush().await).await
    }

    async fn attr(&self, handle: RemoteHandle) -> RemoteResult<RemoteAttr> {
        self.on_file(handle, async |file| file.metadata().await).await.map(|metadata| attr(&metadata))
    }

    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let set = changes(change);
        self.on_file(handle, async |file| file.modify(change.size, &set).await)
            .await
            .map(|metadata| attr(&metadata))
    }

    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let (path, set) = (self.path(place.path), changes(change));
        let modify = |lease| self.share.modify_with(&path, change.size, &set, lease);
        Ok(attr(&self.leases.with(&place, modify).await?))
    }

    async fn mkdir(&self, place: Place<'_>) -> RemoteResult<RemoteAttr> {
        let path = self.path(place.path);
        let create = |lease| self.share.create_dir_with(&path, lease);
        Ok(attr(&self.leases.with(&place, create).await?))
    }

    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()> {
        let path = self.path(place.path);
        let result = match kind {
            FileKind::Directory => {
                self.leases.with(&place, |lease| self.share.remove_dir_with(&path, lease)).await
            }
            _ => self.leases.with(&place, |lease| self.share.remove_file_with(&path, lease)).await,
        };
        Ok(result?)
    }

    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        let (old, new) = (self.path(from.path), self.path(to.path));
        let rename = |lease| self.share.rename_with(&old, &new, replace, lease);
        Ok(self.leases.with(&from, rename).await?)
    }

    async fn open_dir(
        &self,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)> {
        let mut options = OpenOptions::list();
        options.lease = lease.map(|ask| self.leases.request(&ask));
        let file = self.share.open(&self.path(path), &options).await?;
        let granted = match lease {
            // An oplock of a directory there is none.
            Some(_) => lease::granted_to(&file),
            None => Granted::default(),
        };
        Ok((self.keep(Open::Directory(Directory::new(file))), granted))
    }

    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>> {
        let open = self.open_of(handle)?;
        let Open::Directory(directory) = &*open else { return Err(NtStatus::NOT_A_DIRECTORY.into()) };
        let entries = directory.next_entries().await?;
        Ok(entries
            .into_iter()
            .map(|entry| RemoteEntry { attr: attr(&entry.metadata), name: entry.name })
            .collect())
    }

    async fn statfs(&self) -> RemoteResult<RemoteSpace> {
        let space = self.share.space().await?;
        Ok(RemoteSpace {
            total: space.total,
            free: space.available,
            block_size: u32::try_from(space.unit).unwrap_or(4096).max(512),
            max_name: MAX_NAME,
        })
    }

    async fn acknowledge(&self, key: LeaseKey, keep: Caching) -> RemoteResult<()> {
        self.leases.acknowledge(&self.share, key, keep).await
    }

    fn tidy(&self) {
        self.share.trim_memory();
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<RemoteEvent>> {
        let breaks = self.breaks.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(self.leases.clone().hear(breaks, sender));
        Some(receiver)
    }

    fn limits(&self) -> RemoteLimits {
        let (max_read, max_write) = self.share.limits();
        RemoteLimits { max_read, max_write }
    }
}
