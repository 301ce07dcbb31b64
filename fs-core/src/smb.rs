//! The real [`Remote`]: a folder of a share, through `smb-client`.

mod attribute;
mod convert;
mod dial;
mod lease;
mod posix;
mod range;
mod sid;
mod special;
mod stream;
mod watch;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use smb_client::{
    AccessMask, Breaks, Client, CreateAction, Directory, Durable, DurableRequest, Error, File, FileTime,
    Manner, Metadata, OpenOptions, Share,
};
use smb_proto::NtStatus;
use smb_proto::fscc::FileAttributes;

use crate::name::RemotePath;
use convert::{attr, changes, open_options};
pub use dial::{HowToConnect, SmbDial};
use lease::Leases;
use tokio::sync::{OnceCell, mpsc};

use crate::remote::{
    Caching, FileKind, Granted, Keepsake, LeaseAsk, LeaseKey, LockedRange, Node, OpenHow, Opened, Place,
    Remote, RemoteAttr, RemoteEntry, RemoteError, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult,
    RemoteSpace, RemoteWatch, SetAttr, SetPosix,
};

/// What every SMB server takes: a component of 255 UTF-16 units.
const MAX_NAME: u32 = 255;

/// How long a server is asked to keep what is open without a connection, in milliseconds.
const KEPT_FOR: u32 = 180_000;

/// A folder of a share as a [`Remote`].
///
/// Handles live as long as the session; [`crate::Lasting`] makes one of several such remotes that outlives them.
#[derive(Debug)]
pub struct SmbRemote {
    client: Client,
    share: Share,
    options: SmbOptions,
    /// The mounted folder inside the share, `/` between components; empty for the share's root.
    base: String,
    handles: RwLock<HashMap<u64, Arc<Open>>>,
    next_handle: AtomicU64,
    leases: Arc<Leases>,
    /// Until somebody takes it.
    breaks: Mutex<Option<Breaks>>,
    /// Files that stand for links are links.
    mfsymlinks: bool,
    /// Files that stand for pipes, sockets and devices are such.
    sfu: bool,
    /// All is opened with the semantics of POSIX.
    posix: bool,
    leases_directories: bool,
    from_sid: sid::FromSid,
    asked_for_sids: OnceCell<()>,
    /// The share has named streams.
    has_streams: OnceCell<bool>,
    ways: special::Ways,
}

/// How a folder of a share is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SmbOptions {
    /// Files of the form that macOS and the kernel's client (`mfsymlinks`) have for links are links, and links are
    /// made so.
    pub mfsymlinks: bool,
    /// Files of the form that Services for Unix and the kernel's client (`sfu`) have for pipes, sockets and devices are
    /// such, and such are made so.
    pub sfu: bool,
    /// Use the SMB3 POSIX extensions where the session has them.
    pub posix: bool,
    /// Permissions are kept as the kernel's client does (`modefromsid`), where there are no extensions.
    pub mode_from_sid: bool,
    /// Owners are kept as the kernel's client does (`idsfromsid`), where there are no extensions.
    pub ids_from_sid: bool,
    /// The state of that time, which can only be read, instead of the present one.
    pub snapshot: Option<FileTime>,
}

#[derive(Debug)]
enum Open {
    File(Arc<File>),
    /// With its path in the share.
    Directory(Box<Directory>, String),
}

impl SmbRemote {
    /// The folder `base` of `share`; the empty string is the share's root.
    ///
    /// What the server takes back of leases goes to this remote from now on: there can be one for each client.
    pub fn new(client: &Client, share: Share, base: &str) -> Self {
        Self::with(client, share, base, SmbOptions::default())
    }

    /// The same with options, which hold for all of the share's clones.
    pub fn with(client: &Client, share: Share, base: &str, options: SmbOptions) -> Self {
        let posix = options.posix && client.info().posix;
        share.in_manner(Manner { posix, snapshot: options.snapshot });
        Self {
            mfsymlinks: options.mfsymlinks,
            sfu: options.sfu,
            posix,
            leases_directories: client.info().directory_leases,
            from_sid: sid::FromSid {
                mode: options.mode_from_sid && !posix,
                ids: options.ids_from_sid && !posix,
            },
            asked_for_sids: OnceCell::new(),
            has_streams: OnceCell::new(),
            ways: special::Ways::default(),
            client: client.clone(),
            options,
            leases: Arc::new(Leases::new(client.lease_key())),
            breaks: Mutex::new(client.breaks()),
            share,
            base: base.trim_matches('/').into(),
            handles: RwLock::default(),
            next_handle: AtomicU64::new(1),
        }
    }

    /// The login that all goes by.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The share that the folder is in.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// The same folder through a client that took the place of this one's: its leases have the same keys.
    fn succeeded_by(&self, client: &Client, share: Share) -> Self {
        let new = Self::with(client, share, &self.base, self.options);
        Self { leases: Arc::new(self.leases.again()), ..new }
    }

    fn path(&self, path: &RemotePath) -> String {
        match (self.base.is_empty(), path.is_root()) {
            (true, _) => path.as_str().into(),
            (false, true) => self.base.clone(),
            (false, false) => format!("{}/{}", self.base, path.as_str()),
        }
    }

    fn open_options(&self, how: &OpenHow) -> OpenOptions {
        let mut options = open_options(how);
        options.posix = options.posix.filter(|_| self.posix);
        if self.from_sid.any() {
            options.access |= AccessMask::READ_CONTROL;
        }
        options.lease = how.lease.map(|ask| self.leases.request(&ask));
        // Servers keep an open only together with a lease of it.
        let kept = how.lease.is_some_and(|ask| ask.want.handle);
        options.durable = kept.then(|| DurableRequest { guid: self.client.lease_key().0, timeout: KEPT_FOR });
        options
    }

    async fn opened(
        &self,
        path: &RemotePath,
        file: File,
        metadata: &Metadata,
        how: &OpenHow,
    ) -> RemoteResult<Opened> {
        let file = Arc::new(file);
        let granted = self.leases.granted(how.lease.as_ref(), &file);
        let created = file.action() == CreateAction::Created;
        let attr = self.posix_of_open(&file, created).await.unwrap_or_else(|| attr(metadata));
        // Whatever the tag says: the server followed it, or it would have refused.
        let kind = if metadata.is_dir() { FileKind::Directory } else { FileKind::File };
        let mut attr = RemoteAttr { kind, ..attr };
        if created {
            // Our own lease is not to be broken: nobody would answer for it yet.
            let lease = how.lease;
            let place = Place {
                path,
                key: lease.map(|ask| ask.key),
                parent: lease.and_then(|ask| ask.parent),
                file_id: attr.file_id,
            };
            attr = self.whole(self.made_with(&place, how.new_mode, attr).await)?;
        }
        Ok(Opened { handle: self.keep(Open::File(file)), attr, created, granted })
    }

    /// What was put together from several answers, if none can be missing for want of a connection.
    fn whole<T>(&self, said: T) -> RemoteResult<T> {
        match self.share.closed() {
            Some(error) => Err(Error::Connection(error).into()),
            None => Ok(said),
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
            Open::Directory(..) => Err(NtStatus::FILE_IS_A_DIRECTORY.into()),
        }
    }

    fn file_of(&self, handle: RemoteHandle) -> RemoteResult<Arc<File>> {
        match &*self.open_of(handle)? {
            Open::File(file) => Ok(file.clone()),
            Open::Directory(..) => Err(NtStatus::FILE_IS_A_DIRECTORY.into()),
        }
    }
}

#[async_trait]
impl Remote for SmbRemote {
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        self.look(&self.path(path)).await
    }

    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened> {
        let options = self.open_options(how);
        let (file, metadata) = self.share.open_with_metadata(&self.path(path), &options).await?;
        self.opened(path, file, &metadata, how).await
    }

    async fn open_and_read(
        &self,
        path: &RemotePath,
        how: &OpenHow,
        len: u32,
    ) -> RemoteResult<(Opened, Option<Bytes>)> {
        let options = self.open_options(how);
        let (file, metadata, data) = self.share.open_and_read(&self.path(path), &options, len).await?;
        Ok((self.opened(path, file, &metadata, how).await?, data))
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
            Some(Open::Directory(directory, _)) => {
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
        let file = self.file_of(handle)?;
        if self.posix && file.posix_mode().is_some() {
            return Ok(posix::attr(&file.posix_metadata().await?));
        }
        self.whole(self.with_sids_of(&file, attr(&file.metadata().await?)).await)
    }

    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let (file, set) = (self.file_of(handle)?, changes(change));
        if self.posix && file.posix_mode().is_some() {
            return Ok(posix::attr(&file.modify_posix(change.size, &set).await?));
        }
        Ok(attr(&file.modify(change.size, &set).await?))
    }

    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let (path, set) = (self.path(place.path), changes(change));
        if self.posix {
            let modify = |lease| self.share.modify_posix(&path, change.size, &set, lease);
            let attr = posix::attr(&self.leases.with(&place, modify).await?);
            return self.whole(self.complete(&path, attr).await);
        }
        let modify = |lease| self.share.modify_with(&path, change.size, &set, lease);
        let attr = attr(&self.leases.with(&place, modify).await?);
        // The answer to a change does not say what kind of reparse point it is.
        if attr.attributes.contains(FileAttributes::REPARSE_POINT) {
            self.look(&path).await
        } else {
            self.whole(self.complete(&path, attr).await)
        }
    }

    async fn mkdir(&self, place: Place<'_>, mode: u32) -> RemoteResult<RemoteAttr> {
        let path = self.path(place.path);
        let create = |lease| self.share.create_dir_posix(&path, self.posix.then_some(mode), lease);
        let made = attr(&self.leases.with(&place, create).await?);
        if self.posix { self.look(&path).await } else { self.whole(self.made_with(&place, mode, made).await) }
    }

    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()> {
        let path = self.path(place.path);
        let result = match kind {
            FileKind::Directory => {
                self.leases.with(&place, |lease| self.share.remove_dir_with(&path, lease)).await
            }
            _ => self.leases.with(&place, |lease| self.share.remove_file_with(&path, lease)).await,
        };
        // A link of Windows may be one to a directory, and is one itself then.
        if kind == FileKind::Symlink
            && let Err(error) = &result
            && error.status() == Some(NtStatus::FILE_IS_A_DIRECTORY)
        {
            return Ok(self.share.remove_dir(&path).await?);
        }
        Ok(result?)
    }

    async fn remove_unused(&self, place: Place<'_>) -> RemoteResult<()> {
        let path = self.path(place.path);
        let remove = |lease| self.share.remove_unused_file_with(&path, lease);
        Ok(self.leases.with(&place, remove).await?)
    }

    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        let (old, new) = (self.path(from.path), self.path(to.path));
        let rename = |lease| self.share.rename_with(&old, &new, replace, lease);
        Ok(self.leases.with(&from, rename).await?)
    }

    async fn rename_special(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        let (old, new) = (self.path(from.path), self.path(to.path));
        let rename = |lease| self.share.rename_special_with(&old, &new, replace, lease);
        Ok(self.leases.with(&from, rename).await?)
    }

    async fn open_dir(
        &self,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)> {
        let mut options = OpenOptions::list();
        options.lease = lease.map(|ask| self.leases.request(&ask));
        let path = self.path(path);
        let file = self.share.open(&path, &options).await?;
        let granted = match lease {
            // An oplock of a directory there is none.
            Some(_) => lease::granted_to(&file),
            None => Granted::default(),
        };
        Ok((self.keep(Open::Directory(Box::new(Directory::new(file)), path)), granted))
    }

    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>> {
        let open = self.open_of(handle)?;
        let Open::Directory(directory, path) = &*open else { return Err(NtStatus::NOT_A_DIRECTORY.into()) };
        let entries = if self.posix {
            posix::entries(directory.next_posix_entries().await?)
        } else {
            let entries = directory.next_entries().await?.into_iter();
            entries.map(|entry| RemoteEntry { attr: attr(&entry.metadata), name: entry.name }).collect()
        };
        let entries = self.with_all_sids(path, entries).await;
        self.whole(self.complete_all(path, entries).await)
    }

    async fn statfs(&self) -> RemoteResult<RemoteSpace> {
        let nodes = self.nodes().await;
        let space = self.share.space().await?;
        Ok(RemoteSpace {
            total: space.total,
            free: space.available,
            block_size: u32::try_from(space.unit).unwrap_or(4096).max(512),
            max_name: MAX_NAME,
            nodes,
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

    fn keepsake(&self, handle: RemoteHandle) -> Option<Keepsake> {
        Some(Keepsake::new(self.file_of(handle).ok()?.durable()?))
    }

    async fn reclaim(&self, path: &RemotePath, how: &OpenHow, kept: &Keepsake) -> RemoteResult<Opened> {
        let durable: &Durable = kept.get().ok_or(NtStatus::INVALID_PARAMETER)?;
        let file = self.share.reclaim(&self.path(path), &self.open_options(how), durable).await?;
        let attr = attr(&file.metadata().await?);
        let file = Arc::new(file);
        let granted = self.leases.granted(how.lease.as_ref(), &file);
        Ok(Opened { handle: self.keep(Open::File(file)), attr, created: false, granted })
    }

    fn abandon(&self) {
        self.client.abort();
    }

    fn server_time(&self) -> Option<FileTime> {
        Some(self.client.server_time())
    }

    fn limits(&self) -> RemoteLimits {
        let (max_read, max_write) = self.share.limits();
        RemoteLimits { max_read, max_write }
    }

    fn is_posix(&self) -> bool {
        self.posix || self.from_sid.mode
    }

    async fn set_posix(&self, place: Place<'_>, change: &SetPosix) -> RemoteResult<RemoteAttr> {
        self.change_posix(&place, change).await
    }

    async fn watch(&self, path: &RemotePath) -> RemoteResult<Box<dyn RemoteWatch>> {
        self.watch_directory(path).await
    }

    async fn link(&self, existing: Place<'_>, new: &RemotePath) -> RemoteResult<()> {
        let (old, new) = (self.path(existing.path), self.path(new));
        Ok(self.leases.with(&existing, |lease| self.share.hard_link_with(&old, &new, lease)).await?)
    }

    async fn read_link(&self, path: &RemotePath) -> RemoteResult<String> {
        self.link_target(path).await
    }

    async fn symlink(&self, target: &str, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        self.make_link(target, path).await
    }

    async fn make_node(&self, path: &RemotePath, node: Node, mode: u32) -> RemoteResult<RemoteAttr> {
        let made = self.make_special(path, node, mode).await?;
        self.whole(self.made_with(&path.into(), mode, made).await)
    }

    async fn lock(&self, handle: RemoteHandle, ranges: &[LockedRange], wait: bool) -> RemoteResult<()> {
        self.lock_ranges(handle, ranges, wait).await
    }

    async fn unlock(&self, handle: RemoteHandle, ranges: &[LockedRange]) -> RemoteResult<()> {
        self.unlock_ranges(handle, ranges).await
    }

    async fn allocated(&self, handle: RemoteHandle, range: Range<u64>) -> RemoteResult<Vec<Range<u64>>> {
        let file = self.file_of(handle)?;
        Ok(file.allocated_ranges(range.start, range.end.saturating_sub(range.start)).await?)
    }

    async fn zero(&self, handle: RemoteHandle, range: Range<u64>, hole: bool) -> RemoteResult<()> {
        self.zero_range(handle, range, hole).await
    }

    async fn allocate(&self, handle: RemoteHandle, size: u64) -> RemoteResult<()> {
        Ok(self.file_of(handle)?.allocate(size).await?)
    }

    async fn copy(
        &self,
        source: RemoteHandle,
        from: u64,
        target: RemoteHandle,
        to: u64,
        length: u64,
    ) -> RemoteResult<u64> {
        let (source, target) = (self.file_of(source)?, self.file_of(target)?);
        Ok(target.copy_from(&source, from, to, length).await?)
    }

    async fn attributes(&self, place: Place<'_>) -> RemoteResult<Vec<(Bytes, Bytes)>> {
        self.extended_attributes(&place).await
    }

    async fn attribute(&self, place: Place<'_>, name: &[u8]) -> RemoteResult<Option<Bytes>> {
        self.extended_attribute(&place, name).await
    }

    async fn set_attribute(&self, place: Place<'_>, name: &[u8], value: &[u8]) -> RemoteResult<()> {
        self.set_extended_attribute(&place, name, value).await
    }

    async fn streams(&self, path: &RemotePath) -> RemoteResult<Vec<(String, u64)>> {
        self.named_streams(path).await
    }

    async fn stream(&self, path: &RemotePath, name: &str, most: u32) -> RemoteResult<Option<Bytes>> {
        self.named_stream(path, name, most).await
    }

    async fn set_stream(&self, path: &RemotePath, name: &str, content: Option<Bytes>) -> RemoteResult<()> {
        self.set_named_stream(path, name, content).await
    }

    async fn descriptor(&self, place: Place<'_>, audit: bool) -> RemoteResult<Bytes> {
        self.security_descriptor(&place, audit).await
    }

    async fn set_descriptor(&self, place: Place<'_>, descriptor: Bytes, owner: bool) -> RemoteResult<()> {
        self.set_security_descriptor(&place, &descriptor, owner).await
    }
}
