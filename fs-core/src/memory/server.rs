//! The server in memory: what its clients ask of it, and whom that disturbs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use smb_proto::NtStatus;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::MemoryRemote;
use super::leases::{Holder, Leases};
use super::random::Random;
use super::tree::Tree;
use crate::name::RemotePath;
use crate::remote::{
    Caching, Disposition, FileKind, Granted, LeaseAsk, LeaseKey, OpenHow, Opened, Place, RemoteAttr,
    RemoteEntry, RemoteEvent, RemoteHandle, RemoteLimits, SetAttr,
};

const READ: Caching = Caching::READ;
const WRITE: Caching = Caching { read: false, write: true, handle: false };
const HANDLE: Caching = Caching { read: false, write: false, handle: true };
/// How often a request that waits for a lease looks whether its holder has forgotten to answer.
const GLANCE: Duration = Duration::from_secs(1);

type Status<T> = Result<T, NtStatus>;

/// What kind of server it is.
#[derive(Clone, Copy, Debug)]
pub struct ServerOptions {
    /// The largest requests.
    pub limits: RemoteLimits,
    /// What of files is leased at all.
    pub file_leases: Caching,
    /// Whether directories are leased.
    pub directory_leases: bool,
    /// Whether leases count their changes (SMB 3), or not (SMB 2.1).
    pub epochs: bool,
    /// What the delays depend on.
    pub seed: u64,
    /// The shortest way from a client to the server or back, in milliseconds; the longest is twice that and one. So what
    /// is sent about the same time may change places, but nothing arrives after the answer to a later request.
    pub way: u64,
    /// How many requests in a hundred have to wait before they are looked at.
    pub stalls: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            limits: RemoteLimits { max_read: 1 << 20, max_write: 1 << 20 },
            file_leases: Caching::NONE,
            directory_leases: false,
            epochs: true,
            seed: 0,
            way: 0,
            stalls: 0,
        }
    }
}

/// A file that is stored, or a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The server's number of it.
    pub id: u64,
    /// What is in it; `None` for a directory.
    pub data: Option<Vec<u8>>,
}

/// A name has come to lead elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The name.
    pub path: String,
    /// The number of what it leads to now; `None` if that is nothing, or something that is being deleted.
    pub id: Option<u64>,
    /// When.
    pub at: Instant,
}

/// A server that several clients use.
#[derive(Debug)]
pub struct MemoryServer {
    state: Mutex<State>,
    options: ServerOptions,
    /// Something was given back or closed.
    changed: Notify,
    /// Whether to print what goes on.
    trace: AtomicBool,
    started: Instant,
}

#[derive(Debug)]
struct State {
    tree: Tree,
    leases: Leases,
    opens: BTreeMap<u64, Open>,
    clients: Vec<mpsc::UnboundedSender<RemoteEvent>>,
    random: Random,
    extra_entries: Vec<String>,
    waiting: usize,
    changes: Vec<Change>,
}

/// What the server knows of a handle besides what it leads to.
#[derive(Debug)]
struct Open {
    object: u64,
    holder: Holder,
    leased: bool,
    parent: Option<Holder>,
    /// Open for data and not for attributes alone.
    data: bool,
    modified: bool,
    /// The holders of the directory's lease have been told so.
    told: bool,
}

impl MemoryServer {
    /// An empty share.
    pub fn new(options: ServerOptions) -> Self {
        let state = State {
            tree: Tree::default(),
            leases: Leases::default(),
            opens: BTreeMap::new(),
            clients: Vec::new(),
            random: Random::new(options.seed),
            extra_entries: Vec::new(),
            waiting: 0,
            changes: Vec::new(),
        };
        let trace = AtomicBool::new(false);
        Self { state: Mutex::new(state), options, changed: Notify::new(), trace, started: Instant::now() }
    }

    /// One client more.
    pub fn connect(self: &Arc<Self>) -> MemoryRemote {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.state();
        state.clients.push(sender);
        let client = state.clients.len() as u32;
        let leases = self.options.directory_leases || self.options.file_leases != Caching::NONE;
        MemoryRemote::of(self.clone(), client, leases.then_some(receiver))
    }

    /// A client's connection is gone, and with it all that was open by it.
    pub(super) fn disconnect(&self, client: u32) {
        let opens = {
            let mut state = self.state();
            // Whoever hears of it hears nothing more.
            if let Some(sender) = state.clients.get_mut(client as usize - 1) {
                *sender = mpsc::unbounded_channel().0;
            }
            let opens = state.opens.iter().filter(|(_, open)| open.holder.0 == client);
            opens.map(|(handle, _)| RemoteHandle(*handle)).collect::<Vec<_>>()
        };
        for handle in opens {
            let _ = self.close(handle);
        }
    }

    /// Handles that are open.
    pub fn open_handles(&self) -> usize {
        self.state().tree.open_handles()
    }

    /// Leases that are held.
    pub fn leases(&self) -> usize {
        self.state().leases.len()
    }

    /// Requests that wait for a lease to be given back.
    pub fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// Breaks that somebody waited for and that were not answered in time.
    pub fn timeouts(&self) -> u64 {
        self.state().leases.timeouts()
    }

    /// The paths of all there is, in order, without the root.
    pub fn paths(&self) -> Vec<String> {
        self.state().tree.paths()
    }

    /// All there is, by path.
    pub fn stored(&self) -> BTreeMap<String, Stored> {
        self.state().tree.stored()
    }

    /// How often a name has come to lead elsewhere.
    pub fn change_count(&self) -> usize {
        self.state().changes.len()
    }

    /// Each time that a name came to lead elsewhere, in order.
    pub fn changes(&self) -> Vec<Change> {
        self.state().changes.clone()
    }

    /// Put names into every listing, whatever they are.
    pub fn list_also(&self, names: &[&str]) {
        self.state().extra_entries = names.iter().map(ToString::to_string).collect();
    }

    /// Print what goes on from now on.
    pub fn set_trace(&self) {
        self.trace.store(true, Ordering::Relaxed);
    }

    /// Tells what goes on, if somebody wants to know.
    pub fn trace(&self, what: fmt::Arguments<'_>) {
        if self.trace.load(Ordering::Relaxed) {
            eprintln!("{:>8} ms: {what}", self.started.elapsed().as_millis());
        }
    }

    pub(super) fn limits(&self) -> RemoteLimits {
        self.options.limits
    }

    /// The time that a message takes; what goes to the server may find it busy.
    pub(super) async fn travel(&self, there: bool) {
        let delay = self.delay(&mut self.state(), there);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    fn delay(&self, state: &mut State, there: bool) -> Duration {
        let way = self.options.way;
        if way == 0 {
            return Duration::ZERO;
        }
        let mut delay = way + state.random.below(way + 2);
        if there && state.random.percent(self.options.stalls) {
            delay += state.random.below(way * 20);
        }
        Duration::from_millis(delay)
    }

    pub(super) fn lookup(&self, path: &RemotePath) -> Status<RemoteAttr> {
        let state = self.state();
        state.tree.attr(state.tree.find(path)?)
    }

    pub(super) async fn open(&self, client: u32, path: &RemotePath, how: &OpenHow) -> Status<Opened> {
        let holder = (client, how.lease.map_or(NOBODY, |ask| ask.key));
        self.when_free(|state| {
            let known = state.tree.find(path);
            if let Ok(object) = known {
                if how.disposition == Disposition::Create {
                    return Some(Err(NtStatus::OBJECT_NAME_COLLISION));
                }
                if how.lease.is_some() && !state.leases.belongs(holder, object) {
                    return Some(Err(NtStatus::INVALID_PARAMETER));
                }
                if is_data(how) && state.leases.take_back(object, Some(holder), WRITE) {
                    return None;
                }
            }
            Some(state.open(self, client, path, how))
        })
        .await
    }

    pub(super) fn open_dir(
        &self,
        client: u32,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> Status<(RemoteHandle, Granted)> {
        let mut state = self.state();
        let object = state.tree.find(path)?;
        if lease.is_some_and(|ask| !state.leases.belongs((client, ask.key), object)) {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        let handle = state.tree.open_dir(path)?;
        let mut open = Open::new(object, client, lease.as_ref(), false);
        let granted = match lease.filter(|_| self.options.directory_leases) {
            Some(ask) => {
                let allowed = Caching { write: false, ..Caching::ALL };
                // Real servers tell of writing at the close at the latest (S53). This one tells each new holder at the
                // next write, so that the rest can be checked.
                state.opens.values_mut().for_each(|open| open.told = false);
                self.told(state.leases.open(client, &ask, object, allowed))
            }
            None => {
                open.leased = false;
                Granted::default()
            }
        };
        state.opens.insert(handle.0, open);
        Ok((handle, granted))
    }

    /// As the dialect tells it.
    fn told(&self, granted: Granted) -> Granted {
        Granted { epoch: granted.epoch.filter(|_| self.options.epochs), ..granted }
    }

    pub(super) fn close(&self, handle: RemoteHandle) -> Status<Option<RemoteAttr>> {
        self.doing(|state| {
            let directory = state.tree.opened(handle).and_then(|object| state.tree.parent(object));
            let attr = state.tree.close(handle)?;
            let Some(open) = state.opens.remove(&handle.0) else { return Ok(attr) };
            if open.leased {
                state.leases.closed(open.holder);
            }
            if (open.modified || !state.tree.exists(open.object))
                && let Ok(directory) = directory
            {
                state.leases.take_back(directory, open.parent, READ);
            }
            Ok(attr)
        })
    }

    pub(super) fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> Status<Bytes> {
        if len > self.options.limits.max_read {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        self.state().tree.read(handle, offset, len)
    }

    pub(super) fn write(&self, handle: RemoteHandle, offset: u64, data: &[u8]) -> Status<()> {
        if data.len() > self.options.limits.max_write as usize {
            return Err(NtStatus::INVALID_PARAMETER);
        }
        self.doing(|state| {
            state.tree.write(handle, offset, data)?;
            state.modified(handle);
            Ok(())
        })
    }

    pub(super) fn flush(&self, handle: RemoteHandle) -> Status<()> {
        self.state().tree.opened_for_writing(handle).map(drop)
    }

    pub(super) fn attr(&self, handle: RemoteHandle) -> Status<RemoteAttr> {
        let state = self.state();
        state.tree.attr(state.tree.opened(handle)?)
    }

    pub(super) fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> Status<RemoteAttr> {
        self.doing(|state| {
            let object = state.tree.opened_for_writing(handle)?;
            let attr = state.tree.set_attr(object, change)?;
            if change.size.is_some() {
                state.modified(handle);
            }
            let parent = state.opens.get(&handle.0).and_then(|open| open.parent);
            state.entry_changed(object, parent);
            Ok(attr)
        })
    }

    pub(super) async fn set_attr(
        &self,
        client: u32,
        place: Place<'_>,
        change: &SetAttr,
    ) -> Status<RemoteAttr> {
        self.when_free(|state| {
            Some((|| {
                let object = state.tree.find(place.path)?;
                let (own, parent) = state.holders(client, &place, object);
                if change.size.is_some() {
                    if state.tree.is_read_only(object) {
                        return Err(NtStatus::ACCESS_DENIED);
                    }
                    if state.leases.take_back(object, own, WRITE) {
                        return Ok(None);
                    }
                }
                let attr = state.tree.set_attr(object, change)?;
                if change.size.is_some() {
                    state.leases.take_back(object, own, READ);
                }
                state.entry_changed(object, parent);
                Ok(Some(attr))
            })())
            .and_then(Result::transpose)
        })
        .await
    }

    pub(super) fn mkdir(&self, client: u32, place: Place<'_>) -> Status<RemoteAttr> {
        self.doing(|state| {
            let attr = state.tree.mkdir(place.path)?;
            state.note(place.path);
            state.entry_changed(attr.file_id, place.parent.map(|key| (client, key)));
            Ok(attr)
        })
    }

    pub(super) async fn remove(&self, client: u32, place: Place<'_>, kind: FileKind) -> Status<()> {
        self.remove_unless(client, place, kind, |_, _| false).await
    }

    /// Not what is open.
    pub(super) async fn remove_unused(&self, client: u32, place: Place<'_>) -> Status<()> {
        self.remove_unless(client, place, FileKind::File, Tree::is_open).await
    }

    async fn remove_unless(
        &self,
        client: u32,
        place: Place<'_>,
        kind: FileKind,
        kept: impl Fn(&Tree, u64) -> bool,
    ) -> Status<()> {
        self.when_free(|state| {
            let object = match state.tree.find(place.path) {
                Ok(object) => object,
                Err(status) => return Some(Err(status)),
            };
            let (own, parent) = state.holders(client, &place, object);
            if state.leases.take_back(object, own, WRITE) || state.leases.take_back(object, own, HANDLE) {
                return None;
            }
            if kept(&state.tree, object) {
                return Some(Err(NtStatus::SHARING_VIOLATION));
            }
            let directory = state.tree.parent(object);
            Some(state.tree.remove(place.path, kind).inspect(|()| {
                state.note(place.path);
                if let Ok(directory) = directory {
                    state.leases.take_back(directory, parent, READ);
                }
            }))
        })
        .await
    }

    pub(super) async fn rename(
        &self,
        client: u32,
        from: Place<'_>,
        to: &RemotePath,
        replace: bool,
    ) -> Status<()> {
        self.when_free(|state| {
            let object = match state.tree.find(from.path) {
                Ok(object) => object,
                Err(status) => return Some(Err(status)),
            };
            let (own, parent) = state.holders(client, &from, object);
            if state.leases.take_back(object, own, WRITE) || state.leases.take_back(object, own, HANDLE) {
                return None;
            }
            let target = state.tree.find(to).ok().filter(|target| *target != object && replace);
            let below = state.tree.below(object);
            let in_the_way = target.into_iter().chain(below);
            // Each is asked before the first is waited for.
            let waits: Vec<bool> = in_the_way.map(|it| state.leases.take_back(it, own, HANDLE)).collect();
            if waits.contains(&true) {
                return None;
            }
            let directory = state.tree.parent(object);
            Some(state.tree.rename(from.path, to, replace).inspect(|()| {
                state.note(from.path);
                state.note(to);
                for directory in directory.into_iter().chain(state.tree.parent(object)) {
                    state.leases.take_back(directory, parent, READ);
                }
            }))
        })
        .await
    }

    pub(super) fn next_entries(&self, handle: RemoteHandle) -> Status<Vec<RemoteEntry>> {
        let mut state = self.state();
        let State { tree, extra_entries, .. } = &mut *state;
        tree.next_entries(handle, extra_entries)
    }

    pub(super) fn acknowledge(&self, client: u32, key: LeaseKey, keep: Caching) -> Status<()> {
        self.trace(format_args!("client {client} acknowledges {key:?} {keep:?}"));
        self.doing(|state| state.leases.acknowledge((client, key), keep))
    }

    /// What may break leases, and lets go on who waits for them.
    fn doing<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = work(&mut state);
        self.send(&mut state);
        drop(state);
        self.changed.notify_waiters();
        result
    }

    /// The same for what has to wait until leases are given back: `attempt` says `None` then.
    async fn when_free<T>(&self, mut attempt: impl FnMut(&mut State) -> Option<Status<T>>) -> Status<T> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(result) = self.doing_silently(&mut attempt) {
                self.changed.notify_waiters();
                return result;
            }
            let _waiting = Waiting::begin(self);
            if tokio::time::timeout(GLANCE, changed).await.is_err() {
                self.state().leases.expire();
            }
        }
    }

    fn doing_silently<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let result = work(&mut state);
        self.send(&mut state);
        result
    }

    /// Sends the breaks, each on its own way.
    fn send(&self, state: &mut State) {
        for (client, event) in state.leases.outgoing() {
            let RemoteEvent::LeaseBreak { key, to, epoch, acknowledge } = event else { continue };
            let epoch = epoch.filter(|_| self.options.epochs);
            self.trace(format_args!("breaks {key:?} of client {client} to {to:?}, epoch {epoch:?}"));
            let event = RemoteEvent::LeaseBreak { key, to, epoch, acknowledge };
            let delay = self.delay(state, false);
            let Some(sender) = state.clients.get(client as usize - 1).cloned() else { continue };
            tokio::spawn(async move {
                if !delay.is_zero() {
                    tokio::time::sleep(delay).await;
                }
                let _ = sender.send(event);
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// No file has it: whoever comes without a lease is nobody's friend.
const NOBODY: LeaseKey = LeaseKey(u64::MAX);

fn is_data(how: &OpenHow) -> bool {
    how.access.read || how.access.write
}

impl Open {
    fn new(object: u64, client: u32, ask: Option<&LeaseAsk>, data: bool) -> Self {
        let holder = (client, ask.map_or(NOBODY, |ask| ask.key));
        let parent = ask.and_then(|ask| ask.parent).map(|key| (client, key));
        Self { object, holder, leased: ask.is_some(), parent, data, modified: false, told: false }
    }
}

impl State {
    fn open(
        &mut self,
        server: &MemoryServer,
        client: u32,
        path: &RemotePath,
        how: &OpenHow,
    ) -> Status<Opened> {
        let mut opened = self.tree.open(path, how)?;
        let object = opened.attr.file_id;
        let mut open = Open::new(object, client, how.lease.as_ref(), is_data(how));
        open.leased &= server.options.file_leases != Caching::NONE;
        if let Some(ask) = how.lease.filter(|_| open.leased) {
            let others = self.opens.values().any(|other| {
                other.object == object && other.data && (!other.leased || other.holder != open.holder)
            });
            let allowed = server.options.file_leases;
            let allowed = if others { allowed.without(WRITE) } else { allowed };
            opened.granted = server.told(self.leases.open(client, &ask, object, allowed));
        }
        if opened.created {
            self.note(path);
            self.entry_changed(object, open.parent);
        }
        self.opens.insert(opened.handle.0, open);
        Ok(opened)
    }

    /// The leases that an operation by path does not break: the object's own and its directory's. A key that belongs to
    /// another file does not count.
    fn holders(&self, client: u32, place: &Place<'_>, object: u64) -> (Option<Holder>, Option<Holder>) {
        let own = place.key.map(|key| (client, key)).filter(|own| self.leases.belongs(*own, object));
        (own, place.parent.map(|key| (client, key)))
    }

    /// The data of what is open has changed. The others need not agree.
    fn modified(&mut self, handle: RemoteHandle) {
        let Some(open) = self.opens.get_mut(&handle.0) else { return };
        let (object, own, parent) = (open.object, open.leased.then_some(open.holder), open.parent);
        open.modified = true;
        let first = !std::mem::replace(&mut open.told, true);
        self.leases.take_back(object, own, READ);
        if first {
            self.entry_changed(object, parent);
        }
    }

    fn note(&mut self, path: &RemotePath) {
        let id = self.tree.find(path).ok();
        self.changes.push(Change { path: path.as_str().to_owned(), id, at: Instant::now() });
    }

    /// What a listing says of an object is no longer right.
    fn entry_changed(&mut self, object: u64, parent: Option<Holder>) {
        if let Ok(directory) = self.tree.parent(object) {
            self.leases.take_back(directory, parent, READ);
        }
    }
}

/// A request that waits.
struct Waiting<'a>(&'a MemoryServer);

impl<'a> Waiting<'a> {
    fn begin(server: &'a MemoryServer) -> Self {
        server.state().waiting += 1;
        Self(server)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}
