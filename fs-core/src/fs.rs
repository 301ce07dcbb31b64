//! The filesystem's operations, one async method each, for any adapter to call.
//!
//! Requests run concurrently. No lock is held over a request to the server, with two exceptions: those of a
//! content (see there), and an open directory's cursor, which its listing advances.

mod attr;
mod directory;
mod file;
mod hidden;
mod link;
mod lock;
mod namespace;
mod node;
mod posix;
mod range;
mod serve;
mod statistics;
mod watch;
mod xattr;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;
use tokio::time::Instant;

use crate::content::budget::Budget;
use crate::content::{CacheMode, Common};
use crate::dir::OpenDir;
use crate::error::{FsError, FsResult, errno};
use crate::handle::{Fh, Handles, OpenFile};
use crate::inode::{Ino, Inodes, Ttl};
use crate::listing::Listings;
use crate::names::Names;
use crate::remote::{Device, FileKind, LeaseKey, Remote, RemoteAttr, RemoteError};

pub use link::Symlinks;
pub use lock::{LockAsk, LockOwner, Locked};
pub use posix::Owner;
pub use range::{Allocation, Seek};
pub use statistics::Statistics;
pub use xattr::XattrMode;

/// How a share appears locally. SMB tells us no owner and no mode, so the mount makes them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// Owner of everything.
    pub uid: u32,
    /// Group of everything.
    pub gid: u32,
    /// Permission bits of files; a READONLY file lacks the write bits. Default 0755.
    pub file_mode: u32,
    /// Permission bits of directories. Default 0755.
    pub dir_mode: u32,
    /// Refuse every change with EROFS.
    pub read_only: bool,
    /// How long attributes and names are believed without asking the server; of directories, see below. Default one
    /// second.
    pub attr_ttl: Duration,
    /// The same for the attributes and names of directories. Default one second.
    pub dir_attr_ttl: Duration,
    /// `fsync` has the server put the data on stable storage, besides sending it. Default true.
    pub strict_sync: bool,
    /// What may be cached of files.
    pub cache: CacheMode,
    /// How many bytes of files may be held at once, read and written together. Default 128 MiB.
    pub cache_size: u64,
    /// How long the server's open of a file is kept after its last user, where its lease allows that. Default five
    /// seconds.
    pub close_timeout: Duration,
    /// What is said of links that lead out of the share.
    pub symlinks: Symlinks,
    /// Locks hold among the programs of this mount, and are not told to the server (`nobrl`).
    pub local_locks: bool,
    /// Modes and owners that programs set and the server cannot keep are shown for as long as the mount knows the
    /// file (`dynperm`).
    pub dynamic_permissions: bool,
    /// The same for all mounts that clean up after each other when one dies: those of one user on one machine.
    pub client: u32,
    /// What is made belongs to whom it is made for, as far as the server or this mount can keep that (`setuids`).
    pub set_owners: bool,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            uid: 0,
            gid: 0,
            file_mode: 0o755,
            dir_mode: 0o755,
            read_only: false,
            attr_ttl: Duration::from_secs(1),
            dir_attr_ttl: Duration::from_secs(1),
            strict_sync: true,
            cache: CacheMode::default(),
            cache_size: 128 << 20,
            close_timeout: Duration::from_secs(5),
            symlinks: Symlinks::default(),
            local_locks: false,
            dynamic_permissions: false,
            client: 0,
            set_owners: false,
        }
    }
}

/// The attributes of an inode, as stat(2) wants them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: Ino,
    /// What it is.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// Units of 512 bytes on the server's disk.
    pub blocks: u64,
    /// Last access.
    pub accessed: FileTime,
    /// Last change of the data.
    pub modified: FileTime,
    /// Last change of the data or the metadata.
    pub changed: FileTime,
    /// Creation.
    pub created: FileTime,
    /// Permission bits.
    pub perm: u16,
    /// Hard links; 0 for a file deleted while open.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The numbers of a device.
    pub device: Option<Device>,
    /// How long the adapter may show these without asking again.
    pub valid: Duration,
}

/// An inode found or made by name. It counts as one lookup, to be given back by [`Filesystem::forget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is like; its inode number is in there.
    pub attr: Attr,
    /// The name is another spelling of that by which the inode is known, on a server that ignores case.
    pub respelled: bool,
}

/// How to open a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFlags {
    /// For reading.
    pub read: bool,
    /// For writing.
    pub write: bool,
    /// Empty it first (O_TRUNC).
    pub truncate: bool,
    /// Each write is to reach stable storage (O_SYNC, O_DSYNC).
    pub sync: bool,
    /// Nothing is to be kept of what goes through this (O_DIRECT).
    pub direct: bool,
}

/// What the adapter may do with an open file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHints {
    /// What the kernel has of the file from before is still right.
    pub keep_cache: bool,
    /// The kernel is to keep nothing of it.
    pub direct: bool,
}

/// What keeps something of the filesystem outside of it, and has to be told when that is no longer right.
pub trait Kernel: Send + Sync {
    /// Forget the data and the attributes of a file. May block, until requests about the file are answered.
    fn forget_data(&self, ino: Ino);
    /// Forget the attributes of an inode.
    fn forget_attributes(&self, ino: Ino);
    /// Forget a name, and that it leads nowhere. May block, until requests about the directory are answered.
    fn forget_name(&self, parent: Ino, name: &str);
}

/// How to create a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Create {
    /// How to open it.
    pub open: OpenFlags,
    /// Fail with EEXIST if the name is taken (O_EXCL).
    pub exclusive: bool,
    /// Permission bits wanted; only the owner's write bit can be kept, as the READONLY attribute.
    pub mode: u32,
    /// Whom it is made for: see [`MountOptions::set_owners`].
    pub owner: Option<Owner>,
}

/// A time to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeChange {
    /// This client's clock.
    Now,
    /// A given time.
    At(FileTime),
}

/// A change of attributes. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttrs {
    /// New size in bytes.
    pub size: Option<u64>,
    /// New permission bits: the owner's write bit of a file is kept as the READONLY attribute, the rest is
    /// accepted and has no effect.
    pub mode: Option<u32>,
    /// New owner: accepted and has no effect.
    pub uid: Option<u32>,
    /// New group: accepted and has no effect.
    pub gid: Option<u32>,
    /// New access time.
    pub accessed: Option<TimeChange>,
    /// New modification time.
    pub modified: Option<TimeChange>,
    /// New creation time.
    pub created: Option<FileTime>,
}

/// Where to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteAt {
    /// At a byte offset.
    Offset(u64),
    /// At the end of the file as the server has it now (O_APPEND).
    End {
        /// Where the kernel takes it to be; it has what is written there in its pages now.
        believed: u64,
    },
    /// At a byte offset, from the kernel's page cache (a mapping): no program waits for the answer, so an error
    /// is kept for the next flush or fsync.
    Cached(u64),
}

impl WriteAt {
    /// Where; `None` for the end of the file.
    const fn offset(self) -> Option<u64> {
        match self {
            Self::Offset(at) | Self::Cached(at) => Some(at),
            Self::End { .. } => None,
        }
    }
}

/// Variants of rename.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RenameFlags {
    /// Fail with EEXIST if the new name is taken.
    pub no_replace: bool,
    /// Any other variant (exchange, whiteout): refused with EINVAL.
    pub other: bool,
}

/// One entry of a listing, handed to the adapter.
#[derive(Clone, Copy, Debug)]
pub struct DirItem<'a> {
    /// The name.
    pub name: &'a str,
    /// The inode number, if it is known.
    pub ino: Option<Ino>,
    /// What it is.
    pub kind: FileKind,
    /// Where to go on after this entry.
    pub next: u64,
    /// The attributes, if they were asked for and the entry is neither `.` nor `..`.
    pub attr: Option<Attr>,
    /// As [`Entry::respelled`].
    pub respelled: bool,
}

/// Room on the share, as statvfs(3) wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Size of a block in bytes.
    pub block_size: u32,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks free.
    pub free: u64,
    /// Longest name in bytes that every alphabet can use.
    pub max_name: u32,
    /// Files that there can be, 0 if the server does not say.
    pub nodes: u64,
    /// Files that there can be still.
    pub free_nodes: u64,
}

/// How long a write may wait to be sent.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// The filesystem. Its methods run on a tokio runtime with timers.
pub struct Filesystem {
    remote: Arc<dyn Remote>,
    common: Arc<Common>,
    options: MountOptions,
    inodes: Mutex<Inodes>,
    files: Handles<OpenFile>,
    dirs: Handles<OpenDir>,
    listings: Listings,
    names: Names,
    hidden: hidden::HiddenNames,
    /// What is watched instead of leased.
    watches: watch::Watches,
    /// Closes under way.
    closing: AtomicUsize,
    /// The server has granted the lease of a directory.
    directory_leases: AtomicBool,
    /// Somebody hears the server take leases back: they may be asked for.
    served: AtomicBool,
    /// What is locked of each file.
    locks: lock::Locks,
    /// Who is to be told what is no longer right, once there is somebody.
    kernel: OnceLock<Arc<dyn Kernel>>,
    /// Keys of files that are being created, and what the server has taken back of their leases already.
    creating: Mutex<HashMap<LeaseKey, Option<serve::Break>>>,
    counts: statistics::Counts,
}

impl Filesystem {
    /// A filesystem over a share. Nothing is asked of the server yet, and no leases as long as nobody runs
    /// [`Self::serve`].
    pub fn new(remote: Arc<dyn Remote>, options: MountOptions) -> Self {
        let inodes = Mutex::new(Inodes::new(Ttl::of(&options), !remote.is_posix(), Instant::now()));
        let common = Arc::new(Common {
            remote: remote.clone(),
            budget: Arc::new(Budget::new(options.cache_size)),
            mode: options.cache,
            flush_after: FLUSH_AFTER.min(options.attr_ttl.max(Duration::from_millis(50))),
            reads_early: AtomicBool::new(true),
            losses: OnceLock::new(),
        });
        let hidden = hidden::HiddenNames::new(options.client);
        Self {
            remote,
            common,
            options,
            inodes,
            files: Handles::default(),
            dirs: Handles::default(),
            listings: Listings::default(),
            names: Names::default(),
            hidden,
            watches: watch::Watches::default(),
            closing: AtomicUsize::new(0),
            directory_leases: AtomicBool::new(false),
            served: AtomicBool::new(false),
            locks: lock::Locks::default(),
            kernel: OnceLock::new(),
            creating: Mutex::default(),
            counts: statistics::Counts::default(),
        }
    }

    /// How the share appears locally.
    pub fn options(&self) -> &MountOptions {
        &self.options
    }

    /// Close all that is open, and remove the deleted files that were kept for it. For the end of a mount: the
    /// kernel does not wait for its last closes to be answered.
    pub async fn shutdown(&self) {
        self.end_watches().await;
        for fh in self.dirs.all() {
            // Closed by a request still under way; there is nothing left to do for it.
            let _ = self.releasedir(fh).await;
        }
        for fh in self.files.all() {
            let _ = self.release(fh).await;
        }
        let contents = self.inodes().contents();
        for content in contents {
            content.drain().await;
            content.close_idle(Instant::now()).await;
        }
        for ino in self.listings.all() {
            self.let_go_of_directory(ino).await;
        }
        let doomed = self.inodes().doomed();
        for path in doomed {
            self.remove_hidden(&path).await;
        }
    }

    /// The files of which the server does not have all that programs wrote.
    pub fn unsaved(&self) -> Vec<crate::name::RemotePath> {
        let contents = self.inodes().contents();
        let dirty = contents.iter().filter(|content| content.is_dirty());
        dirty.filter_map(|content| self.inodes().path(content.ino).ok()).collect()
    }

    /// The server's number of an inode.
    #[cfg(test)]
    pub(crate) fn file_id(&self, ino: Ino) -> Option<u64> {
        self.inodes().node(ino).ok()?.attr.map(|attr| attr.file_id)
    }

    /// What is held of all files.
    #[cfg(test)]
    pub(crate) fn held(&self) -> crate::content::Held {
        self.common.budget.held()
    }

    fn inodes(&self) -> MutexGuard<'_, Inodes> {
        // Every method of the table leaves it whole, so that a panic elsewhere has not harmed it.
        self.inodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writable(&self) -> FsResult<()> {
        if self.options.read_only {
            return Err(FsError::local(errno::EROFS, "mounted read-only"));
        }
        Ok(())
    }

    /// Tell open directories that an entry has changed.
    fn overtake(&self, parent: Ino, name: &str) {
        self.listings.overtake(parent, name);
        self.names.overtake(parent, name);
        let open = self.dirs.of(parent);
        if !open.is_empty() {
            let stamp = self.inodes().stamp();
            open.iter().for_each(|dir| dir.overtake(name, stamp));
        }
    }

    fn present(&self, ino: Ino, attr: &RemoteAttr, valid: Duration, links: u32) -> Attr {
        // A server may keep small files in the directory and say that they take no room at all; programs that
        // look for holes would take such a file for one.
        let allocated = if attr.allocated == 0 { attr.size } else { attr.allocated };
        let (perm, uid, gid) = self.permissions(ino, attr);
        let made_up = self.made_up(ino).changed.filter(|_| attr.posix.is_none()).unwrap_or(FileTime::ZERO);
        let or = |time: FileTime, other: FileTime| if time == FileTime::ZERO { other } else { time };
        Attr {
            ino,
            kind: attr.kind,
            size: attr.size,
            blocks: allocated.div_ceil(512),
            accessed: or(attr.accessed, attr.written),
            modified: attr.written,
            changed: or(attr.changed, attr.written).max(made_up),
            created: attr.created,
            perm,
            links,
            uid,
            gid,
            device: attr.device,
            valid,
        }
    }

    /// The inode's attributes as far as they are known; the server's answer `attr` if nothing is.
    fn presented(&self, ino: Ino, attr: &RemoteAttr) -> Attr {
        let (mut inodes, now) = (self.inodes(), Instant::now());
        let (mut attr, valid) = inodes.known(ino, now).unwrap_or((*attr, Duration::ZERO));
        inodes.told(ino, now + valid);
        let links = inodes.links(ino, attr.links);
        let content = inodes.content_of(ino);
        drop(inodes);
        if let Some(content) = content {
            content.overlay(&mut attr);
        }
        self.present(ino, &attr, valid, links)
    }
}

/// A close under way.
struct Closing<'a>(&'a AtomicUsize);

impl<'a> Closing<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What to say if a name cannot be taken because its last owner is still going.
fn name_taken(error: RemoteError) -> FsError {
    if error.is(NtStatus::DELETE_PENDING) {
        return FsError::local(errno::EBUSY, "a deleted file keeps the name until its last user closes it");
    }
    error.into()
}

/// Log an error that has nobody to go to.
fn log_lost(what: &str, fh: Fh, error: &FsError) {
    tracing::warn!(fh = fh.0, %error, "{what}");
}
