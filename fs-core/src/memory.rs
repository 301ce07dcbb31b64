//! A server in memory, for tests: it behaves as Windows does where that matters.
//!
//! Names keep their case and are found in any; a file deleted while open keeps its name, unusable, until the
//! last handle closes; READONLY protects from writing, deleting and being replaced; an open file cannot be
//! replaced by a rename, nor a directory renamed in which something is open; some characters are no names.

mod tree;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smb_proto::NtStatus;

use crate::name::RemotePath;
use crate::remote::{
    Caching, FileKind, Granted, LeaseAsk, LeaseKey, OpenHow, Opened, Place, Remote, RemoteAttr, RemoteEntry,
    RemoteError, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace, SetAttr,
};
use tree::Tree;

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

/// The server in memory.
#[derive(Debug)]
pub struct MemoryRemote {
    state: Mutex<State>,
    limits: RemoteLimits,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    /// For each coming call of a method, whether and how it fails.
    faults: HashMap<Op, VecDeque<Option<RemoteError>>>,
    calls: HashMap<Op, u64>,
    panics: HashSet<Op>,
    extra_entries: Vec<String>,
    latency: Duration,
}

impl Default for MemoryRemote {
    fn default() -> Self {
        Self::new(RemoteLimits { max_read: 1 << 20, max_write: 1 << 20 })
    }
}

impl MemoryRemote {
    /// An empty share.
    pub fn new(limits: RemoteLimits) -> Self {
        Self { state: Mutex::default(), limits }
    }

    /// Have the next call of `op` that is not yet spoken for fail.
    pub fn fail_next(&self, op: Op, error: impl Into<RemoteError>) {
        self.skip_then_fail(op, 0, error);
    }

    /// The same, after `skip` calls that succeed.
    pub fn skip_then_fail(&self, op: Op, skip: usize, error: impl Into<RemoteError>) {
        let mut state = self.state();
        let faults = state.faults.entry(op).or_default();
        faults.extend(std::iter::repeat_n(None, skip));
        faults.push_back(Some(error.into()));
    }

    /// Have the next call of `op` panic, to see what becomes of the request.
    pub fn panic_next(&self, op: Op) {
        self.state().panics.insert(op);
    }

    /// How often `op` has been called.
    pub fn calls(&self, op: Op) -> u64 {
        self.state().calls.get(&op).copied().unwrap_or_default()
    }

    /// Take this long over every call.
    pub fn set_latency(&self, latency: Duration) {
        self.state().latency = latency;
    }

    /// Put names into every listing, whatever they are.
    pub fn list_also(&self, names: &[&str]) {
        self.state().extra_entries = names.iter().map(ToString::to_string).collect();
    }

    /// Handles that are open.
    pub fn open_handles(&self) -> usize {
        self.state().tree.open_handles()
    }

    /// The paths of all there is, in order, without the root.
    pub fn paths(&self) -> Vec<String> {
        self.state().tree.paths()
    }

    async fn enter(&self, op: Op) -> RemoteResult<MutexGuard<'_, State>> {
        let latency = self.state().latency;
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut state = self.state();
        *state.calls.entry(op).or_default() += 1;
        if state.panics.remove(&op) {
            drop(state);
            panic!("{op:?} was told to panic");
        }
        match state.faults.get_mut(&op).and_then(VecDeque::pop_front).flatten() {
            Some(error) => Err(error),
            None => Ok(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Remote for MemoryRemote {
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        let state = self.enter(Op::Lookup).await?;
        let id = state.tree.find(path)?;
        Ok(state.tree.attr(id)?)
    }

    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened> {
        Ok(self.enter(Op::Open).await?.tree.open(path, how)?)
    }

    async fn close(&self, handle: RemoteHandle) -> RemoteResult<Option<RemoteAttr>> {
        let result = self.enter(Op::Close).await.map(drop);
        // The handle is gone whatever the answer.
        let closed = self.state().tree.close(handle);
        result?;
        Ok(closed?)
    }

    async fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> RemoteResult<Bytes> {
        let state = self.enter(Op::Read).await?;
        if len > self.limits.max_read {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        Ok(state.tree.read(handle, offset, len)?)
    }

    async fn write(&self, handle: RemoteHandle, offset: u64, data: Bytes) -> RemoteResult<()> {
        let mut state = self.enter(Op::Write).await?;
        if data.len() > self.limits.max_write as usize {
            return Err(NtStatus::INVALID_PARAMETER.into());
        }
        Ok(state.tree.write(handle, offset, &data)?)
    }

    async fn flush(&self, handle: RemoteHandle) -> RemoteResult<()> {
        let state = self.enter(Op::Flush).await?;
        Ok(state.tree.opened_for_writing(handle).map(drop)?)
    }

    async fn attr(&self, handle: RemoteHandle) -> RemoteResult<RemoteAttr> {
        let state = self.enter(Op::Attr).await?;
        Ok(state.tree.attr(state.tree.opened(handle)?)?)
    }

    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let mut state = self.enter(Op::SetAttrHandle).await?;
        let id = state.tree.opened_for_writing(handle)?;
        Ok(state.tree.set_attr(id, change)?)
    }

    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let mut state = self.enter(Op::SetAttr).await?;
        let id = state.tree.find(place.path)?;
        if change.size.is_some() && state.tree.is_read_only(id) {
            return Err(NtStatus::ACCESS_DENIED.into());
        }
        Ok(state.tree.set_attr(id, change)?)
    }

    async fn mkdir(&self, place: Place<'_>, _mode: u32) -> RemoteResult<RemoteAttr> {
        Ok(self.enter(Op::Mkdir).await?.tree.mkdir(place.path)?)
    }

    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()> {
        Ok(self.enter(Op::Remove).await?.tree.remove(place.path, kind)?)
    }

    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        Ok(self.enter(Op::Rename).await?.tree.rename(from.path, to.path, replace)?)
    }

    async fn open_dir(
        &self,
        path: &RemotePath,
        _lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)> {
        Ok((self.enter(Op::OpenDir).await?.tree.open_dir(path)?, Granted::default()))
    }

    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>> {
        let mut state = self.enter(Op::NextEntries).await?;
        let State { tree, extra_entries, .. } = &mut *state;
        Ok(tree.next_entries(handle, extra_entries)?)
    }

    async fn statfs(&self) -> RemoteResult<RemoteSpace> {
        drop(self.enter(Op::Statfs).await?);
        Ok(RemoteSpace { total: 1 << 40, free: 1 << 39, block_size: 4096, max_name: 255, nodes: None })
    }

    async fn acknowledge(&self, _key: LeaseKey, _keep: Caching) -> RemoteResult<()> {
        Ok(())
    }

    fn limits(&self) -> RemoteLimits {
        self.limits
    }
}
