//! The one door to the server: the [`Remote`] trait and the words it is spoken in.

mod failure;
mod keepsake;
mod node;
mod posix;
mod watch;

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{FileAttributes, FileTime};
use tokio::sync::mpsc;

use crate::name::RemotePath;
pub use failure::{Cause, RemoteError, RemoteResult};
pub use keepsake::Keepsake;
pub use node::{Device, Node};
pub use posix::{Posix, SetPosix};
pub use watch::{RemoteChange, RemoteWatch};

/// An open file or directory, as the [`Remote`] names it.
///
/// The number means nothing here. It may outlive a connection: whether and how a handle is recovered after a
/// reconnect is the remote's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteHandle(pub u64);

/// What an object on the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileKind {
    /// A regular file, including one that the server stores by a transparent reparse point (deduplicated, cloud).
    File,
    /// A directory.
    Directory,
    /// A symbolic link or junction.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// Anything else.
    Other,
}

/// What the server says of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAttr {
    /// The server's stable number of the object; 0 where the server has none or it cannot be trusted.
    pub file_id: u64,
    /// What the object is.
    pub kind: FileKind,
    /// Size in bytes.
    pub size: u64,
    /// Bytes allocated on the server's disk.
    pub allocated: u64,
    /// Creation.
    pub created: FileTime,
    /// Last access.
    pub accessed: FileTime,
    /// Last change of the data.
    pub written: FileTime,
    /// Last change of the data or the metadata.
    pub changed: FileTime,
    /// DOS attributes.
    pub attributes: FileAttributes,
    /// Hard links; 0 if that was not asked.
    pub links: u32,
    /// The numbers of a device.
    pub device: Option<Device>,
    /// What POSIX wants to know, where the server says it.
    pub posix: Option<Posix>,
}

/// One entry of a directory listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEntry {
    /// The name as the server sent it; nothing about it is trusted.
    pub name: String,
    /// The attributes as the listing has them. Windows servers update them lazily for files that are open.
    pub attr: RemoteAttr,
}

/// What to do about a file that exists, or does not.
///
/// There is no "overwrite": FILE_OVERWRITE resets the attributes, and is refused for a hidden file unless the
/// request repeats them ([MS-FSA] 2.1.5.1.2.1). Truncation is an open followed by a change of size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Open; fail with OBJECT_NAME_NOT_FOUND if there is nothing.
    Open,
    /// Create; fail with OBJECT_NAME_COLLISION if there is something.
    Create,
    /// Open, or create if there is nothing.
    OpenOrCreate,
}

/// The access an open asks for. Reading attributes is always included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Read data.
    pub read: bool,
    /// Write data, and change size, times and attributes through the handle.
    pub write: bool,
}

/// What may be kept of a file without asking the server again, as long as the server has not taken it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caching {
    /// What was read, and what is not there.
    pub read: bool,
    /// What was written and not yet sent.
    pub write: bool,
    /// The open itself, after its user has closed it.
    pub handle: bool,
}

impl Caching {
    /// Nothing.
    pub const NONE: Self = Self { read: false, write: false, handle: false };
    /// What does not need an answer when it is taken back.
    pub const READ: Self = Self { read: true, write: false, handle: false };
    /// Everything.
    pub const ALL: Self = Self { read: true, write: true, handle: true };

    /// What both allow.
    pub const fn and(self, other: Self) -> Self {
        Self {
            read: self.read && other.read,
            write: self.write && other.write,
            handle: self.handle && other.handle,
        }
    }

    /// What this allows and the other does not.
    pub const fn without(self, other: Self) -> Self {
        Self {
            read: self.read && !other.read,
            write: self.write && !other.write,
            handle: self.handle && !other.handle,
        }
    }
}

/// Names a lease: one for each file, shared by all its opens. Never used for two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseKey(pub u64);

/// A lease to be asked for with an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseAsk {
    /// The file's key.
    pub key: LeaseKey,
    /// What is wanted; the server may grant less.
    pub want: Caching,
    /// The key of the directory's lease, if this client has one: what the open does to the directory does not
    /// break it.
    pub parent: Option<LeaseKey>,
}

/// What an open was granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// What may be kept.
    pub caching: Caching,
    /// Counts the changes of the lease, where the dialect does; wraps around.
    pub epoch: Option<u16>,
    /// The server is taking the lease back and waits for the answer: `caching` is what was held before.
    pub breaking: bool,
}

/// A path, and the leases that this client holds there: what is done does not break them.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The path.
    pub path: &'a RemotePath,
    /// The lease of what the path names.
    pub key: Option<LeaseKey>,
    /// The lease of the directory it is in.
    pub parent: Option<LeaseKey>,
    /// The server's number of what the path names, where that is known; else 0.
    pub file_id: u64,
}

impl<'a> From<&'a RemotePath> for Place<'a> {
    fn from(path: &'a RemotePath) -> Self {
        Self { path, key: None, parent: None, file_id: 0 }
    }
}

/// How to open a file. Every open shares reading, writing and deleting with everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenHow {
    /// The access wanted.
    pub access: Access,
    /// What to do if the file exists, or does not.
    pub disposition: Disposition,
    /// Insist on a file or on a directory: FILE_IS_A_DIRECTORY or NOT_A_DIRECTORY otherwise.
    pub kind: Option<FileKind>,
    /// Give a file that this open creates the READONLY attribute; the handle may write all the same.
    pub new_read_only: bool,
    /// The permissions of a file that this open creates, where the server keeps them.
    pub new_mode: u32,
    /// Each write reaches stable storage before it is answered.
    pub write_through: bool,
    /// The lease to ask for.
    pub lease: Option<LeaseAsk>,
}

/// The answer to an open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The handle, to be closed exactly once.
    pub handle: RemoteHandle,
    /// The attributes at the moment of opening.
    pub attr: RemoteAttr,
    /// Whether this open created the file.
    pub created: bool,
    /// What may be kept of it.
    pub granted: Granted,
}

/// A change of attributes. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// New size in bytes; what is added reads as zeros.
    pub size: Option<u64>,
    /// New creation time.
    pub created: Option<FileTime>,
    /// New access time.
    pub accessed: Option<FileTime>,
    /// New modification time.
    pub written: Option<FileTime>,
    /// All settable attributes, `NORMAL` for none.
    pub attributes: Option<FileAttributes>,
}

impl SetAttr {
    /// Whether the request would change nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Room on the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteSpace {
    /// Bytes in all, as far as this user is concerned.
    pub total: u64,
    /// Bytes this user may still use.
    pub free: u64,
    /// Allocation unit in bytes.
    pub block_size: u32,
    /// Longest name, in UTF-16 units.
    pub max_name: u32,
    /// Files that there can be, and can be still, where the server counts them.
    pub nodes: Option<(u64, u64)>,
}

/// The largest request the connection takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteLimits {
    /// Bytes per read.
    pub max_read: u32,
    /// Bytes per write.
    pub max_write: u32,
}

/// A range of a file that is locked, or to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockedRange {
    /// The bytes; they may lie beyond the end of the file.
    pub range: Range<u64>,
    /// No other open may read there, besides not writing.
    pub exclusive: bool,
}

/// What a remote reports without being asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteEvent {
    /// The server takes back what it has granted: another client is at the file.
    LeaseBreak {
        /// Which lease.
        key: LeaseKey,
        /// What may still be kept.
        to: Caching,
        /// As in [`Granted::epoch`].
        epoch: Option<u16>,
        /// The server, and whoever caused this, waits for [`Remote::acknowledge`].
        acknowledge: bool,
    },
    /// A lease is gone with its connection, without a break and without an epoch to compare with.
    LeaseLost {
        /// Which lease.
        key: LeaseKey,
    },
    /// What was told before this is to be taken into account now, and [`Remote::heard`] called: requests wait for that.
    Mark {
        /// Which it is.
        number: u64,
    },
    /// The connection is gone; requests wait or fail.
    Lost,
    /// The connection is back. What was cached without a lease must be asked anew.
    Restored,
}

/// A share on a server.
///
/// Paths name the object itself: a symbolic link is never followed, and one in the middle of a path is
/// STOPPED_ON_SYMLINK. Methods run concurrently; the remote orders nothing, its caller does. Dropping a future
/// gives up the answer, not the request; the handle of an open given up so is closed by the remote.
#[async_trait]
pub trait Remote: Send + Sync + 'static {
    /// The attributes of what a path names. One compound on the wire.
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr>;

    /// Open a file.
    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened>;

    /// Open a file, and read at most `len` bytes of its beginning by the way; `None` if that is not to be had in the same
    /// round trip.
    async fn open_and_read(
        &self,
        path: &RemotePath,
        how: &OpenHow,
        _len: u32,
    ) -> RemoteResult<(Opened, Option<Bytes>)> {
        Ok((self.open(path, how).await?, None))
    }

    /// Close a file or directory, and say what it is like then, if the server does; its number and links are 0. The
    /// handle is gone whatever the answer.
    async fn close(&self, handle: RemoteHandle) -> RemoteResult<Option<RemoteAttr>>;

    /// Read at most `len` bytes, at most [`RemoteLimits::max_read`]. Shorter only at the end of the file, and
    /// empty at or past it.
    async fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> RemoteResult<Bytes>;

    /// Write all of `data`, at most [`RemoteLimits::max_write`] bytes, or fail.
    async fn write(&self, handle: RemoteHandle, offset: u64, data: Bytes) -> RemoteResult<()>;

    /// Have the server put what was written through this handle on stable storage.
    async fn flush(&self, handle: RemoteHandle) -> RemoteResult<()>;

    /// The attributes of an open file.
    async fn attr(&self, handle: RemoteHandle) -> RemoteResult<RemoteAttr>;

    /// Change an open file, and say what it is like now. The handle was opened for writing.
    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr>;

    /// Change what a path names, and say what it is like now. One compound on the wire.
    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr>;

    /// Create a directory, with these permissions where the server keeps them; OBJECT_NAME_COLLISION if the name is
    /// taken.
    async fn mkdir(&self, place: Place<'_>, mode: u32) -> RemoteResult<RemoteAttr>;

    /// Delete a file or an empty directory. A file that others have open may keep its name, in state
    /// delete-pending, until they close it.
    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()>;

    /// Delete a file that no program has open: SHARING_VIOLATION if one has, be it of this client. What other clients
    /// only keep open, because their leases allow it, they have to close.
    async fn remove_unused(&self, _place: Place<'_>) -> RemoteResult<()> {
        unsupported()
    }

    /// Rename. With `replace`, a file at the target is replaced; a directory there never is.
    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()>;

    /// The same for what is neither a file of data nor a directory, and stays what it is.
    async fn rename_special(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        self.rename(from, to, replace).await
    }

    /// Open a directory for listing. With a lease, what it allows to be kept is the listing and the attributes in it.
    async fn open_dir(
        &self,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)>;

    /// The next entries; none at the end. `.` and `..` may be among them.
    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>>;

    /// Room on the share.
    async fn statfs(&self) -> RemoteResult<RemoteSpace>;

    /// What to keep of an open in case the connection breaks; `None` where the server would not know it any more.
    fn keepsake(&self, _handle: RemoteHandle) -> Option<Keepsake> {
        None
    }

    /// Have an open again that the server kept, with all that it held, on a connection that took the place of the one it
    /// was made on.
    async fn reclaim(&self, _path: &RemotePath, _how: &OpenHow, _kept: &Keepsake) -> RemoteResult<Opened> {
        unsupported()
    }

    /// Whether an open still has all that it had: no lock of it is lost, or may be. Of one that has not, nothing in memory
    /// may be used.
    fn is_sound(&self, _handle: RemoteHandle) -> bool {
        true
    }

    /// Wait until it is known whether an open still has all that it had.
    ///
    /// # Errors
    /// It has not: [`RemoteError::Stale`]; or there is no connection for too long.
    async fn make_sound(&self, _handle: RemoteHandle) -> RemoteResult<()> {
        Ok(())
    }

    /// What the server's clock shows, if that is known.
    fn server_time(&self) -> Option<FileTime> {
        None
    }

    /// End the connection at once: what waits for an answer fails.
    fn abandon(&self) {}

    /// Whether there is a connection: without one, what is known is better than to wait for what is true.
    fn is_online(&self) -> bool {
        true
    }

    /// The largest requests, as of now; a reconnect may change them.
    fn limits(&self) -> RemoteLimits;

    /// Agree to a lease's break: what is not in `keep` is no longer kept.
    async fn acknowledge(&self, key: LeaseKey, keep: Caching) -> RemoteResult<()>;

    /// Give memory back that is not needed at the moment; called about every half second.
    fn tidy(&self) {}

    /// What the remote reports without being asked, to the first who asks for it; nobody loses a report.
    fn events(&self) -> Option<mpsc::UnboundedReceiver<RemoteEvent>> {
        None
    }

    /// What was reported up to this [`RemoteEvent::Mark`] has been taken into account.
    fn heard(&self, _number: u64) {}

    /// Whether the server keeps permissions and owners as POSIX has them.
    fn is_posix(&self) -> bool {
        false
    }

    /// Change permissions and owners, and say what it is like now.
    async fn set_posix(&self, _place: Place<'_>, _change: &SetPosix) -> RemoteResult<RemoteAttr> {
        unsupported()
    }

    /// Be told of what anybody, this client too, changes in a directory from now on. The server has it open meanwhile, and
    /// shares it for everything. NOT_SUPPORTED where the server cannot tell, or leases directories: their breaks tell
    /// as much.
    async fn watch(&self, _path: &RemotePath) -> RemoteResult<Box<dyn RemoteWatch>> {
        unsupported()
    }

    /// Give a file another name besides; OBJECT_NAME_COLLISION if that is taken.
    async fn link(&self, _existing: Place<'_>, _new: &RemotePath) -> RemoteResult<()> {
        unsupported()
    }

    /// Where a symbolic link leads, with `/` between names; NOT_A_REPARSE_POINT if it is none.
    async fn read_link(&self, _path: &RemotePath) -> RemoteResult<String> {
        unsupported()
    }

    /// Make a symbolic link, in whichever way the server takes; NOT_SUPPORTED if it takes none.
    async fn symlink(&self, _target: &str, _path: &RemotePath) -> RemoteResult<RemoteAttr> {
        unsupported()
    }

    /// Make a pipe, a socket or a device, with these permissions where the server keeps them; NOT_SUPPORTED if the server
    /// keeps none.
    async fn make_node(&self, _path: &RemotePath, _node: Node, _mode: u32) -> RemoteResult<RemoteAttr> {
        unsupported()
    }

    /// Lock ranges of an open file for this open, all or none: LOCK_NOT_GRANTED if another open is in the way, unless
    /// `wait`; then it takes as long as it takes. Dropping the future gives up, and leaves nothing locked.
    async fn lock(&self, _handle: RemoteHandle, _ranges: &[LockedRange], _wait: bool) -> RemoteResult<()> {
        unsupported()
    }

    /// Unlock ranges, each exactly as it was locked.
    async fn unlock(&self, _handle: RemoteHandle, _ranges: &[LockedRange]) -> RemoteResult<()> {
        unsupported()
    }

    /// The parts of a range of an open file that are not known to be holes, in order.
    async fn allocated(&self, _handle: RemoteHandle, _range: Range<u64>) -> RemoteResult<Vec<Range<u64>>> {
        unsupported()
    }

    /// Have a range of an open file read as zeros; with `hole` it is to take no room either.
    async fn zero(&self, _handle: RemoteHandle, _range: Range<u64>, _hole: bool) -> RemoteResult<()> {
        unsupported()
    }

    /// Set room aside for so many bytes of an open file, whose size does not change.
    async fn allocate(&self, _handle: RemoteHandle, _size: u64) -> RemoteResult<()> {
        unsupported()
    }

    /// Have the server copy `length` bytes from `source` to `target` itself: how many it did, 0 where it cannot.
    async fn copy(
        &self,
        _source: RemoteHandle,
        _from: u64,
        _target: RemoteHandle,
        _to: u64,
        _length: u64,
    ) -> RemoteResult<u64> {
        unsupported()
    }

    /// The extended attributes of what a path names, with their values.
    async fn attributes(&self, _place: Place<'_>) -> RemoteResult<Vec<(Bytes, Bytes)>> {
        unsupported()
    }

    /// One extended attribute; `None` where there is none of the name.
    async fn attribute(&self, _place: Place<'_>, _name: &[u8]) -> RemoteResult<Option<Bytes>> {
        unsupported()
    }

    /// Set an extended attribute; an empty value removes it.
    async fn set_attribute(&self, _place: Place<'_>, _name: &[u8], _value: &[u8]) -> RemoteResult<()> {
        unsupported()
    }

    /// The named streams of what a path names, with their sizes in bytes; NOT_SUPPORTED where the share has none.
    async fn streams(&self, _path: &RemotePath) -> RemoteResult<Vec<(String, u64)>> {
        unsupported()
    }

    /// What a named stream holds; `None` where there is none of the name, EA_TOO_LARGE if it is more than `most` bytes.
    async fn stream(&self, _path: &RemotePath, _name: &str, _most: u32) -> RemoteResult<Option<Bytes>> {
        unsupported()
    }

    /// Make this the content of a named stream, or remove it.
    async fn set_stream(&self, _path: &RemotePath, _name: &str, _content: Option<Bytes>) -> RemoteResult<()> {
        unsupported()
    }

    /// The security descriptor, as the server sends it; with `audit` the list of what is logged too.
    async fn descriptor(&self, _place: Place<'_>, _audit: bool) -> RemoteResult<Bytes> {
        unsupported()
    }

    /// Set the parts of the security descriptor that `descriptor` has: the list of who may do what, and with
    /// `owner` owner and group.
    async fn set_descriptor(&self, _place: Place<'_>, _descriptor: Bytes, _owner: bool) -> RemoteResult<()> {
        unsupported()
    }
}

/// What a remote says to what it cannot do.
fn unsupported<T>() -> RemoteResult<T> {
    Err(NtStatus::NOT_SUPPORTED.into())
}
