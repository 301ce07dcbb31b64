//! The kernel's requests, each a task.

mod answer;
mod lock;
mod node;
mod range;
mod spelling;
mod xattr;

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fs_core::{Create, DirItem, Entry, Fh, Filesystem, LockOwner as Owner, RenameFlags, SetAttrs, WriteAt};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use rustix::fs::OFlags;
use tokio::runtime::Handle;

use crate::convert;
use answer::{dot, empty, entry, hints, refuse, shown};
use lock::KernelLock;
pub(crate) use node::number;
use node::{given, owner};
use spelling::{changed, inode};

/// The largest request the kernel makes without a raised fs.fuse.max_pages_limit.
const MAX_WRITE: u32 = 1 << 20;
/// Requests the kernel keeps going in the background: read-ahead, mostly.
const MAX_BACKGROUND: u16 = 64;
/// The clock of the server ticks in 100 ns.
const TIME_GRANULARITY: Duration = Duration::from_nanos(100);
/// An inode number in a listing that says it is not known, as libfuse has it; zero would hide the entry.
const UNKNOWN_INO: INodeNo = INodeNo(0xFFFF_FFFF);
/// Inode numbers are never reused.
const GENERATION: Generation = Generation(0);

/// What the kernel talks to.
pub(crate) struct Adapter {
    fs: Arc<Filesystem>,
    runtime: Handle,
}

impl Adapter {
    pub(crate) fn new(fs: Arc<Filesystem>, runtime: Handle) -> Self {
        Self { fs, runtime }
    }

    /// Run a request. Dropping the future, also by a panic in it, drops its reply, which answers EIO.
    fn spawn<F, T>(&self, request: impl FnOnce(Arc<Filesystem>) -> F)
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.runtime.spawn(request(self.fs.clone()));
    }
}

/// The name, or an error reply and return.
macro_rules! text {
    ($name:expr, $reply:expr) => {
        match convert::name($name) {
            Ok(name) => name,
            Err(errno) => return $reply.error(errno),
        }
    };
}

impl fuser::Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Not FUSE_ATOMIC_O_TRUNC: the kernel would have a program truncated that runs, and refuse only then (ETXTBSY).
        let wanted = [
            // What the kernel keeps of a file, it forgets when we say so, and not because its time has changed.
            InitFlags::FUSE_EXPLICIT_INVAL_DATA,
            InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_POSIX_LOCKS,
            InitFlags::FUSE_FLOCK_LOCKS,
        ];
        for flag in wanted {
            if config.add_capabilities(flag).is_err() {
                tracing::debug!(?flag, "the kernel does not have it");
            }
        }
        // Each of these answers with the nearest value allowed.
        if let Err(nearest) = config.set_max_write(MAX_WRITE) {
            let _ = config.set_max_write(nearest);
        }
        if let Err(nearest) = config.set_max_readahead(MAX_WRITE) {
            let _ = config.set_max_readahead(nearest);
        }
        if let Err(nearest) = config.set_max_background(MAX_BACKGROUND) {
            let _ = config.set_max_background(nearest);
        }
        if let Err(nearest) = config.set_time_granularity(TIME_GRANULARITY) {
            let _ = config.set_time_granularity(nearest);
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = text!(name, reply);
        self.spawn(|fs| async move {
            entry("lookup", parent, &name, fs.lookup(inode(parent), &name).await, reply)
        });
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.fs.forget(inode(ino), nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        self.spawn(|fs| async move {
            match fs.getattr(inode(ino), fh.map(|fh| Fh(fh.0))).await {
                Ok(attr) => reply.attr(&shown(ino, &attr), &FileAttr { ino, ..convert::attr(&attr) }),
                Err(error) => reply.error(refuse("getattr", &error)),
            }
        });
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let change = SetAttrs {
            size,
            mode,
            uid,
            gid,
            accessed: atime.map(convert::time),
            modified: mtime.map(convert::time),
            created: crtime.map(convert::file_time),
        };
        self.spawn(|fs| async move {
            match fs.setattr(inode(ino), fh.map(|fh| Fh(fh.0)), &change).await {
                Ok(attr) => {
                    changed(&fs, ino);
                    reply.attr(&shown(ino, &attr), &FileAttr { ino, ..convert::attr(&attr) });
                }
                Err(error) => reply.error(refuse("setattr", &error)),
            }
        });
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        self.spawn(|fs| async move {
            match fs.readlink(inode(ino)).await {
                Ok(target) => reply.data(target.as_bytes()),
                Err(error) => reply.error(refuse("readlink", &error)),
            }
        });
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let name = text!(name, reply);
        self.make_node(parent, name, mode, rdev, owner(req), reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (name, target) = (text!(name, reply), text!(target.as_os_str(), reply));
        let owner = owner(req);
        self.spawn(|fs| async move {
            let made = fs.symlink(inode(parent), &name, &target).await;
            entry("symlink", parent, &name, given(&fs, parent, made, owner).await, reply);
        });
    }

    fn link(&self, _req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = text!(name, reply);
        self.spawn(|fs| async move {
            entry("link", parent, &name, fs.link(inode(ino), inode(parent), &name).await, reply);
        });
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let name = text!(name, reply);
        let owner = owner(req);
        self.spawn(|fs| async move {
            let made = fs.mkdir(inode(parent), &name, mode).await;
            entry("mkdir", parent, &name, given(&fs, parent, made, owner).await, reply);
        });
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = text!(name, reply);
        self.spawn(|fs| async move { empty("unlink", fs.unlink(inode(parent), &name).await, reply) });
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = text!(name, reply);
        self.spawn(|fs| async move { empty("rmdir", fs.rmdir(inode(parent), &name).await, reply) });
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: fuser::RenameFlags,
        reply: ReplyEmpty,
    ) {
        let (name, newname) = (text!(name, reply), text!(newname, reply));
        let no_replace = fuser::RenameFlags::RENAME_NOREPLACE;
        let flags =
            RenameFlags { no_replace: flags.contains(no_replace), other: !(flags - no_replace).is_empty() };
        self.spawn(|fs| async move {
            let result = fs.rename(inode(parent), &name, inode(newparent), &newname, flags).await;
            empty("rename", result, reply);
        });
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        self.spawn(|fs| async move {
            match fs.open(inode(ino), convert::open_flags(flags.0)).await {
                Ok(fh) => {
                    if convert::oflags(flags.0).contains(OFlags::TRUNC) {
                        changed(&fs, ino);
                    }
                    reply.opened(FileHandle(fh.0), hints(&fs, ino, fh));
                }
                Err(error) => reply.error(refuse("open", &error)),
            }
        });
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let name = text!(name, reply);
        let exclusive = convert::oflags(flags).contains(OFlags::EXCL);
        let create = Create { open: convert::open_flags(flags), exclusive, mode, owner: Some(owner(req)) };
        self.spawn(|fs| async move {
            match fs.create(inode(parent), &name, &create).await {
                Ok((entry, fh)) => {
                    let node = spelling::node(parent, &name, &entry);
                    changed(&fs, node);
                    let (hints, valid) = (hints(&fs, node, fh), shown(node, &entry.attr));
                    let attr = FileAttr { ino: node, ..convert::attr(&entry.attr) };
                    reply.created(&valid, &attr, GENERATION, FileHandle(fh.0), hints);
                }
                Err(error) => reply.error(refuse("create", &error)),
            }
        });
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // What is held needs no task.
        let _runtime = self.runtime.enter();
        if let Some(data) = self.fs.try_read(Fh(fh.0), offset, size) {
            return reply.data(&data);
        }
        self.spawn(|fs| async move {
            match fs.read(Fh(fh.0), offset, size).await {
                Ok(data) => reply.data(&data),
                Err(error) => reply.error(refuse("read", &error)),
            }
        });
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let at = if write_flags.contains(WriteFlags::FUSE_WRITE_CACHE) {
            WriteAt::Cached(offset)
        } else if convert::oflags(flags.0).contains(OFlags::APPEND) {
            WriteAt::End
        } else {
            WriteAt::Offset(offset)
        };
        // What is kept for later needs no task.
        let _runtime = self.runtime.enter();
        if let Some(written) = self.fs.try_write(Fh(fh.0), at, data) {
            changed(&self.fs, ino);
            return reply.written(written);
        }
        let data = Bytes::copy_from_slice(data);
        self.spawn(|fs| async move {
            match fs.write(Fh(fh.0), at, data).await {
                Ok(written) => {
                    changed(&fs, ino);
                    reply.written(written);
                }
                Err(error) => reply.error(refuse("write", &error)),
            }
        });
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, reply: ReplyEmpty) {
        self.spawn(|fs| async move {
            let fh = Fh(fh.0);
            let flushed = fs.flush(fh).await;
            // Whatever became of the data: the locks end.
            let unlocked = fs.unlock_owner(fh, Owner(lock_owner.0)).await;
            empty("flush", flushed.and(unlocked), reply);
        });
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.spawn(|fs| async move { empty("release", fs.release(Fh(fh.0)).await, reply) });
    }

    fn fsync(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.spawn(|fs| async move { empty("fsync", fs.fsync(Fh(fh.0)).await, reply) });
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        self.spawn(|fs| async move {
            match fs.opendir(inode(ino)).await {
                Ok(fh) => reply.opened(FileHandle(fh.0), FopenFlags::empty()),
                Err(error) => reply.error(refuse("opendir", &error)),
            }
        });
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        self.spawn(|fs| async move {
            let add = |item: DirItem<'_>| {
                let ino = item.ino.map_or(UNKNOWN_INO, |ino| INodeNo(ino.0));
                !reply.add(ino, item.next, convert::kind(item.kind), item.name)
            };
            match fs.readdir(Fh(fh.0), offset, false, add).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(refuse("readdir", &error)),
            }
        });
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        self.spawn(|fs| async move {
            let add = |item: DirItem<'_>| {
                // The kernel takes name and kind of "." and "..", and no attributes.
                let entry =
                    Entry { attr: item.attr.unwrap_or_else(|| dot(&item)), respelled: item.respelled };
                let node = match item.attr {
                    Some(_) => spelling::node(ino, item.name, &entry),
                    None => INodeNo(entry.attr.ino.0),
                };
                let (valid, full) = (shown(node, &entry.attr), convert::attr(&entry.attr));
                let full = FileAttr { ino: node, ..full };
                !reply.add(node, item.next, item.name, &valid, &full, GENERATION)
            };
            match fs.readdir(Fh(fh.0), offset, true, add).await {
                Ok(()) => reply.ok(),
                Err(error) => reply.error(refuse("readdirplus", &error)),
            }
        });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.spawn(|fs| async move { empty("releasedir", fs.releasedir(Fh(fh.0)).await, reply) });
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        self.spawn(|fs| async move {
            match fs.statfs().await {
                Ok(s) => reply.statfs(
                    s.blocks,
                    s.free,
                    s.free,
                    s.nodes,
                    s.free_nodes,
                    s.block_size,
                    s.max_name,
                    s.block_size,
                ),
                Err(error) => reply.error(refuse("statfs", &error)),
            }
        });
    }

    fn setxattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        self.set_xattr(inode(ino), name, value, flags, reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.get_xattr(inode(ino), name, size, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.list_xattrs(inode(ino), size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove_xattr(inode(ino), name, reply);
    }

    fn getlk(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        reply: ReplyLock,
    ) {
        let lock = KernelLock { fh: fh.0, owner: lock_owner.0, start, end, kind: typ, pid };
        self.get_lock(lock, reply);
    }

    fn setlk(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let lock = KernelLock { fh: fh.0, owner: lock_owner.0, start, end, kind: typ, pid };
        self.set_lock(lock, sleep, req.pid(), reply);
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.allocate(ino, fh.0, offset..offset.saturating_add(length), mode, reply);
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.seek(fh.0, offset, whence, reply);
    }

    fn copy_file_range(
        &self,
        _req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        self.copy_range((fh_in.0, offset_in), (fh_out.0, offset_out), ino_out, len, reply);
    }

    // To ENOSYS the kernel does without, and does not ask again: fsync of a directory succeeds.

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn poll(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: PollNotifier,
        _: PollEvents,
        _: PollFlags,
        reply: ReplyPoll,
    ) {
        reply.error(Errno::ENOSYS);
    }
}
