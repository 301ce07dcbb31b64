//! A server in memory, for tests: it behaves as Windows does where that matters.
//!
//! Names keep their case and are found in any; a file deleted while open keeps its name, unusable, until the
//! last handle closes; READONLY protects from writing, deleting and being replaced; an open file cannot be
//! replaced by a rename, nor a directory renamed in which something is open; some characters are no names.
//!
//! A [`MemoryServer`] has any number of clients. It can grant them leases, which what others do breaks, and it can
//! take its time over requests, answers and breaks, so that they overtake each other.

mod leases;
mod random;
mod server;
mod tree;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;
use tokio::sync::mpsc;

use crate::name::RemotePath;
use crate::remote::{
    Caching, FileKind, Granted, LeaseAsk, LeaseKey, OpenHow, Opened, Place, Remote, RemoteAttr, RemoteEntry,
    RemoteError, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace, SetAttr,
};
pub use random::Random;
pub use server::{Change, MemoryServer, ServerOptions, Stored};

/// A method of [`Remote`], for counting and for injecting errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "named as the methods are")]
pub enum Op {
    Lookup,
    Open,
    Close,
    Read,
    Write,
    Flush,
    Attr,
    SetAttrHandle,
    SetAttr,
    Mkdir,
    Remove,
    Rename,
    OpenDir,
    NextEntries,
    Statfs,
}

/// One client's connection to the server in memory.
#[derive(Debug)]
pub struct MemoryRemote {
    server: Arc<MemoryServer>,
    client: u32,
    plan: Mutex<Plan>,
    events: Mutex<Option<mpsc::UnboundedReceiver<RemoteEvent>>>,
}

/// What is to happen to requests, and what did.
#[derive(Debug, Default)]
struct Plan {
    /// For each coming call of a method, whether and how it fails.
    faults: HashMap<Op, VecDeque<Option<RemoteError>>>,
    calls: HashMap<Op, u64>,
    panics: HashSet<Op>,
    latency: Duration,
    /// How many ways of a thousand the connection breaks on, and by which chance.
    breaks: u64,
    chance: Option<Random>,
    broken: bool,
    /// Reads and writes that may be under way at once, and that are.
    room: Option<usize>,
    crowd: usize,
}

impl Default for MemoryRemote {
    fn default() -> Self {
        Self::new(RemoteLimits { max_read: 1 << 20, max_write: 1 << 20 })
    }
}

impl MemoryRemote {
    /// The only client of an empty share on a server without leases.
    pub fn new(limits: RemoteLimits) -> Self {
        Arc::new(MemoryServer::new(ServerOptions { limits, ..ServerOptions::default() })).connect()
    }

    fn of(
        server: Arc<MemoryServer>,
        client: u32,
        events: Option<mpsc::UnboundedReceiver<RemoteEvent>>,
    ) -> Self {
        Self { server, client, plan: Mutex::default(), events: Mutex::new(events) }
    }

    /// The server.
    pub fn server(&self) -> &Arc<MemoryServer> {
        &self.server
    }

    /// Have the next call of `op` that is not yet spoken for fail.
    pub fn fail_next(&self, op: Op, error: impl Into<RemoteError>) {
        self.skip_then_fail(op, 0, error);
    }

    /// The same, after `skip` calls that succeed.
    pub fn skip_then_fail(&self, op: Op, skip: usize, error: impl Into<RemoteError>) {
        let mut plan = self.plan();
        let faults = plan.faults.entry(op).or_default();
        faults.extend(std::iter::repeat_n(None, skip));
        faults.push_back(Some(error.into()));
    }

    /// Have the next call of `op` panic, to see what becomes of the request.
    pub fn panic_next(&self, op: Op) {
        self.plan().panics.insert(op);
    }

    /// How often `op` has been called.
    pub fn calls(&self, op: Op) -> u64 {
        self.plan().calls.get(&op).copied().unwrap_or_default()
    }

    /// Take this long over every call, besides what the server takes.
    pub fn set_latency(&self, latency: Duration) {
        self.plan().latency = latency;
    }

    /// Have the connection break on its own: on so many of a thousand ways, to the server or back.
    pub fn break_by_chance(&self, breaks: u64, seed: u64) {
        let mut plan = self.plan();
        plan.breaks = breaks;
        plan.chance = Some(Random::new(seed));
    }

    /// Refuse reads and writes while so many are under way.
    pub fn set_room(&self, room: usize) {
        self.plan().room = Some(room);
    }

    /// A read or write comes in.
    fn crowd(&self, op: Op) -> RemoteResult<Crowd<'_>> {
        let mut plan = self.plan();
        if plan.room.is_some_and(|room| plan.crowd >= room) {
            *plan.calls.entry(op).or_default() += 1;
            return Err(NtStatus::INSUFF_SERVER_RESOURCES.into());
        }
        plan.crowd += 1;
        Ok(Crowd(self))
    }

    /// Break the connection: the server closes what was open by it, and nothing is answered any more.
    pub fn cut(&self) {
        self.plan().broken = true;
        self.server.disconnect(self.client);
    }

    /// The connection may break at this point.
    fn survive(&self) -> RemoteResult<()> {
        let cut = {
            let mut plan = self.plan();
            let breaks = plan.breaks;
            !plan.broken && plan.chance.as_mut().is_some_and(|chance| chance.below(1000) < breaks)
        };
        if cut {
            self.cut();
        }
        match self.plan().broken {
            true => Err(RemoteError::Disconnected(Arc::new(std::io::Error::other("cut")))),
            false => Ok(()),
        }
    }

    /// Put names into every listing, whatever they are.
    pub fn list_also(&self, names: &[&str]) {
        self.server.list_also(names);
    }

    /// Handles that are open on the server.
    pub fn open_handles(&self) -> usize {
        self.server.open_handles()
    }

    /// The paths of all there is, in order, without the root.
    pub fn paths(&self) -> Vec<String> {
        self.server.paths()
    }

    /// A request's way to the server.
    async fn enter(&self, op: Op) -> RemoteResult<()> {
        let latency = self.plan().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        self.server.travel(true).await;
        self.survive()?;
        self.server.trace(format_args!("client {} asks for {op:?}", self.client));
        let mut plan = self.plan();
        *plan.calls.entry(op).or_default() += 1;
        if plan.panics.remove(&op) {
            drop(plan);
            panic!("{op:?} was told to panic");
        }
        match plan.faults.get_mut(&op).and_then(VecDeque::pop_front).flatten() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// An answer's way back.
    async fn answer<T>(&self, answer: Result<T, NtStatus>) -> RemoteResult<T> {
        self.server.travel(false).await;
        self.survive()?;
        Ok(answer?)
    }

    /// A request that the server answers at once.
    async fn at_once<T>(
        &self,
        op: Op,
        work: impl FnOnce(&MemoryServer) -> Result<T, NtStatus>,
    ) -> RemoteResult<T> {
        self.enter(op).await?;
        let answer = work(&self.server);
        self.answer(answer).await
    }

    /// The same of a request that has opened something: an answer that nobody waits for any more is closed.
    async fn opened<T>(
        &self,
        answer: Result<T, NtStatus>,
        handle: impl Fn(&T) -> RemoteHandle,
    ) -> RemoteResult<T> {
        let mut unheard = Unheard { server: &self.server, handle: answer.as_ref().ok().map(handle) };
        let answer = self.answer(answer).await;
        unheard.handle = None;
        answer
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A read or write that is under way.
struct Crowd<'a>(&'a MemoryRemote);

impl Drop for Crowd<'_> {
    fn drop(&mut self) {
        self.0.plan().crowd -= 1;
    }
}

/// What was opened and not yet told.
struct Unheard<'a> {
    server: &'a MemoryServer,
    handle: Option<RemoteHandle>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            let _ = self.server.close(handle);
        }
    }
}

#[async_trait]
impl Remote for MemoryRemote {
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        self.at_once(Op::Lookup, |server| server.lookup(path)).await
    }

    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened> {
        self.enter(Op::Open).await?;
        let answer = self.server.open(self.client, path, how).await;
        self.opened(answer, |opened| opened.handle).await
    }

    async fn open_and_read(
        &self,
        path: &RemotePath,
        how: &OpenHow,
        len: u32,
    ) -> RemoteResult<(Opened, Option<Bytes>)> {
        self.enter(Op::Open).await?;
        let answer = self.server.open(self.client, path, how).await;
        let answer = answer.map(|opened| (opened, self.server.read(opened.handle, 0, len).ok()));
        self.opened(answer, |(opened, _)| opened.handle).await
    }

    async fn close(&self, handle: RemoteHandle) -> RemoteResult<Option<RemoteAttr>> {
        let entered = self.enter(Op::Close).await;
        // The handle is gone whatever the answer.
        let closed = self.server.close(handle);
        entered?;
        self.answer(closed).await
    }

    async fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> RemoteResult<Bytes> {
        let _one = self.crowd(Op::Read)?;
        self.at_once(Op::Read, |server| server.read(handle, offset, len)).await
    }

    async fn write(&self, handle: RemoteHandle, offset: u64, data: Bytes) -> RemoteResult<()> {
        let _one = self.crowd(Op::Write)?;
        self.at_once(Op::Write, |server| server.write(handle, offset, &data)).await
    }

    async fn flush(&self, handle: RemoteHandle) -> RemoteResult<()> {
        self.at_once(Op::Flush, |server| server.flush(handle)).await
    }

    async fn attr(&self, handle: RemoteHandle) -> RemoteResult<RemoteAttr> {
        self.at_once(Op::Attr, |server| server.attr(handle)).await
    }

    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        self.at_once(Op::SetAttrHandle, |server| server.set_attr_handle(handle, change)).await
    }

    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        self.enter(Op::SetAttr).await?;
        let answer = self.server.set_attr(self.client, place, change).await;
        self.answer(answer).await
    }

    async fn mkdir(&self, place: Place<'_>, _mode: u32) -> RemoteResult<RemoteAttr> {
        self.at_once(Op::Mkdir, |server| server.mkdir(self.client, place)).await
    }

    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()> {
        self.enter(Op::Remove).await?;
        let answer = self.server.remove(self.client, place, kind).await;
        self.answer(answer).await
    }

    async fn remove_unused(&self, place: Place<'_>) -> RemoteResult<()> {
        self.enter(Op::Remove).await?;
        let answer = self.server.remove_unused(self.client, place).await;
        self.answer(answer).await
    }

    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        self.enter(Op::Rename).await?;
        let answer = self.server.rename(self.client, from, to.path, replace).await;
        self.answer(answer).await
    }

    async fn open_dir(
        &self,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)> {
        self.enter(Op::OpenDir).await?;
        let answer = self.server.open_dir(self.client, path, lease);
        self.opened(answer, |(handle, _)| *handle).await
    }

    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>> {
        self.at_once(Op::NextEntries, |server| server.next_entries(handle)).await
    }

    async fn statfs(&self) -> RemoteResult<RemoteSpace> {
        let space =
            RemoteSpace { total: 1 << 40, free: 1 << 39, block_size: 4096, max_name: 255, nodes: None };
        self.at_once(Op::Statfs, |_| Ok(space)).await
    }

    async fn acknowledge(&self, key: LeaseKey, keep: Caching) -> RemoteResult<()> {
        self.server.travel(true).await;
        self.survive()?;
        let answer = self.server.acknowledge(self.client, key, keep);
        self.answer(answer).await
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<RemoteEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn abandon(&self) {
        self.cut();
    }

    fn server_time(&self) -> Option<FileTime> {
        Some(crate::clock::now())
    }

    fn limits(&self) -> RemoteLimits {
        self.server.limits()
    }
}
