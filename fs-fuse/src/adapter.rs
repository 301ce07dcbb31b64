//! The kernel's requests, each a task.

mod answer;
mod interrupts;
mod listing;
mod lock;
mod node;
mod range;
mod spelling;
mod task;
mod xattr;

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fs_core::{Create, Entry, Fh, Filesystem, FsResult, LockOwner as Owner, RenameFlags, SetAttrs, WriteAt};
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, PollEvents, PollFlags, PollNotifier,
    ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyIoctl, ReplyLock, ReplyLseek, ReplyOpen, ReplyPoll, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    RequestId, TimeOrNow, WriteFlags,
};
use rustix::fs::OFlags;
use tokio::runtime::Handle;

use crate::convert;
use answer::{Named, attributes, empty, entry, hints, named, refuse, shown};
pub(crate) use interrupts::Interrupts;
use interrupts::Patience;
use lock::KernelLock;
pub(crate) use node::number;
use node::{given, owner};
use spelling::{changed, inode};
use task::{forget, release, report};

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
    interrupts: Arc<Interrupts>,
}

impl Adapter {
    pub(crate) fn new(fs: Arc<Filesystem>, runtime: Handle) -> Self {
        Self { fs, runtime, interrupts: Arc::default() }
    }

    /// The requests under way.
    pub(crate) fn requests(&self) -> Arc<Interrupts> {
        self.interrupts.clone()
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

    fn interrupt(&self, _req: &Request, unique: RequestId) -> Result<(), Errno> {
        self.interrupts.interrupt(unique)
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = text!(name, reply);
        let call = self.begin(req, Patience::Asks);
        let work =
            |fs: Arc<Filesystem>| async move { named(parent, &name, fs.lookup(inode(parent), &name).await) };
        self.spawn(call, reply, work, |reply, found| entry("lookup", found, reply), forget);
    }

    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.fs.forget(inode(ino), nlookup);
    }

    fn getattr(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.getattr(inode(ino), fh.map(|fh| Fh(fh.0))).await };
        self.run(call, reply, work, move |reply, result| attributes("getattr", ino, result, reply));
    }

    fn setattr(
        &self,
        req: &Request,
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
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let result = fs.setattr(inode(ino), fh.map(|fh| Fh(fh.0)), &change).await;
            changed(&fs, ino);
            result
        };
        self.run(call, reply, work, move |reply, result| attributes("setattr", ino, result, reply));
    }

    fn readlink(&self, req: &Request, ino: INodeNo, reply: ReplyData) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.readlink(inode(ino)).await };
        self.run(call, reply, work, |reply, target| match target {
            Ok(target) => reply.data(target.as_bytes()),
            Err(error) => reply.error(refuse("readlink", &error)),
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
        self.make_node(req, parent, name, mode, rdev, reply);
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        let (name, target) = (text!(name, reply), text!(target.as_os_str(), reply));
        let owner = owner(req);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let made = fs.symlink(inode(parent), &name, &target).await;
            named(parent, &name, given(&fs, parent, made, owner).await)
        };
        self.spawn(call, reply, work, |reply, made| entry("symlink", made, reply), forget);
    }

    fn link(&self, req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = text!(name, reply);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            named(parent, &name, fs.link(inode(ino), inode(parent), &name).await)
        };
        self.spawn(call, reply, work, |reply, made| entry("link", made, reply), forget);
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        let name = text!(name, reply);
        let owner = owner(req);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let made = fs.mkdir(inode(parent), &name, mode).await;
            named(parent, &name, given(&fs, parent, made, owner).await)
        };
        self.spawn(call, reply, work, |reply, made| entry("mkdir", made, reply), forget);
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = text!(name, reply);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.unlink(inode(parent), &name).await };
        self.run(call, reply, work, |reply, done| empty("unlink", done, reply));
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let name = text!(name, reply);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.rmdir(inode(parent), &name).await };
        self.run(call, reply, work, |reply, done| empty("rmdir", done, reply));
    }

    fn rename(
        &self,
        req: &Request,
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
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            fs.rename(inode(parent), &name, inode(newparent), &newname, flags).await
        };
        self.run(call, reply, work, |reply, done| empty("rename", done, reply));
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let truncates = convert::oflags(flags.0).contains(OFlags::TRUNC);
        let call = self.begin(req, if truncates { Patience::Changes } else { Patience::Asks });
        let work = |fs: Arc<Filesystem>| async move {
            let fh = fs.open(inode(ino), convert::open_flags(flags.0)).await?;
            if truncates {
                changed(&fs, ino);
            }
            Ok((fh, hints(&fs, ino, fh)))
        };
        let answer = |reply: ReplyOpen, opened: FsResult<(Fh, FopenFlags)>| match opened {
            Ok((fh, hints)) => reply.opened(FileHandle(fh.0), hints),
            Err(error) => reply.error(refuse("open", &error)),
        };
        self.spawn(call, reply, work, answer, async |fs, opened| {
            if let Ok((fh, _)) = opened {
                release(&fs, fh).await;
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
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let (entry, fh) = fs.create(inode(parent), &name, &create).await?;
            let node = spelling::node(parent, &name, &entry);
            changed(&fs, node);
            Ok((Named { node, entry }, fh, hints(&fs, node, fh)))
        };
        let answer = |reply: ReplyCreate, made: FsResult<(Named, Fh, FopenFlags)>| match made {
            Ok((Named { node, entry: Entry { attr, .. } }, fh, hints)) => {
                let full = FileAttr { ino: node, ..convert::attr(&attr) };
                reply.created(&shown(node, &attr), &full, GENERATION, FileHandle(fh.0), hints);
            }
            Err(error) => reply.error(refuse("create", &error)),
        };
        self.spawn(call, reply, work, answer, async |fs, made| {
            if let Ok((named, fh, _)) = made {
                release(&fs, fh).await;
                forget(fs, Ok(named)).await;
            }
        });
    }

    fn read(
        &self,
        req: &Request,
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
        let call = self.begin(req, Patience::Reads);
        let work = |fs: Arc<Filesystem>| async move { fs.read(Fh(fh.0), offset, size).await };
        self.run(call, reply, work, |reply, data| match data {
            Ok(data) => reply.data(&data),
            Err(error) => reply.error(refuse("read", &error)),
        });
    }

    fn write(
        &self,
        req: &Request,
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
            WriteAt::End { believed: offset }
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
        // The end of the file would be another one the next time.
        let appends = matches!(at, WriteAt::End { .. });
        let call = self.begin(req, if appends { Patience::Changes } else { Patience::Writes });
        let work = |fs: Arc<Filesystem>| async move {
            let written = fs.write(Fh(fh.0), at, data).await;
            changed(&fs, ino);
            written
        };
        let answer = |reply: ReplyWrite, written| match written {
            Ok(written) => reply.written(written),
            Err(error) => reply.error(refuse("write", &error)),
        };
        self.spawn(call, reply, work, answer, move |fs, written| report(fs, Fh(fh.0), written));
    }

    fn flush(&self, req: &Request, _ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, reply: ReplyEmpty) {
        let fh = Fh(fh.0);
        let call = self.begin(req, Patience::Closes);
        let work = |fs: Arc<Filesystem>| async move {
            let flushed = fs.flush(fh).await;
            // Whatever became of the data: the locks end.
            let unlocked = fs.unlock_owner(fh, Owner(lock_owner.0)).await;
            flushed.and(unlocked)
        };
        let answer = |reply, done| empty("flush", done, reply);
        self.spawn(call, reply, work, answer, move |fs, done| report(fs, fh, done));
    }

    fn release(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.release(Fh(fh.0)).await };
        self.run(call, reply, work, |reply, done| empty("release", done, reply));
    }

    fn fsync(&self, req: &Request, _ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        let fh = Fh(fh.0);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.fsync(fh).await };
        let answer = |reply, done| empty("fsync", done, reply);
        self.spawn(call, reply, work, answer, move |fs, done| report(fs, fh, done));
    }

    fn opendir(&self, req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.opendir(inode(ino)).await };
        let answer = |reply: ReplyOpen, opened: FsResult<Fh>| match opened {
            Ok(fh) => reply.opened(FileHandle(fh.0), FopenFlags::empty()),
            Err(error) => reply.error(refuse("opendir", &error)),
        };
        self.spawn(call, reply, work, answer, async |fs, opened| {
            if let Ok(fh) = opened {
                // Closed by the end of the mount; there is nothing left to do for it.
                let _ = fs.releasedir(fh).await;
            }
        });
    }

    fn readdir(&self, req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, reply: ReplyDirectory) {
        self.list(req, fh.0, offset, reply);
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        self.list_plus(req, ino, fh.0, offset, reply);
    }

    fn releasedir(&self, req: &Request, _ino: INodeNo, fh: FileHandle, _flags: OpenFlags, reply: ReplyEmpty) {
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.releasedir(Fh(fh.0)).await };
        self.run(call, reply, work, |reply, done| empty("releasedir", done, reply));
    }

    fn statfs(&self, req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.statfs().await };
        self.run(call, reply, work, |reply, space| match space {
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
        });
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        self.set_xattr(req, inode(ino), name, value, flags, reply);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        self.get_xattr(req, inode(ino), name, size, reply);
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        self.list_xattrs(req, inode(ino), size, reply);
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.remove_xattr(req, inode(ino), name, reply);
    }

    fn getlk(
        &self,
        req: &Request,
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
        self.get_lock(req, lock, reply);
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
        self.set_lock(req, lock, sleep, reply);
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        self.allocate(req, ino, fh.0, offset..offset.saturating_add(length), mode, reply);
    }

    fn lseek(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        self.seek(req, fh.0, offset, whence, reply);
    }

    fn copy_file_range(
        &self,
        req: &Request,
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
        self.copy_range(req, (fh_in.0, offset_in), (fh_out.0, offset_out), ino_out, len, reply);
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
