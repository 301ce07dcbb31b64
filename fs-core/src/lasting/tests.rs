//! A remote that outlives its connections, in virtual time, against a server in memory whose connections break.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use smb_proto::NtStatus;

use super::{Dial, DialError, Lasting, LineState, Patience};
use crate::memory::{MemoryRemote, MemoryServer, Op, Random, ServerOptions};
use crate::name::RemotePath;
use crate::remote::{Access, Disposition, FileKind, OpenHow, Place, Remote, RemoteError, RemoteHandle};

/// Seeds that are played each time; `SHAREFS_SEEDS` says otherwise.
const SEEDS: u64 = 2_000;
/// Steps of each of them.
const STEPS: usize = 60;

struct MemoryDial {
    server: Arc<MemoryServer>,
    /// How many of a thousand ways a connection breaks on.
    breaks: AtomicU64,
    chance: Mutex<Random>,
    /// How many of the next attempts fail, and whether the server refuses them.
    failures: Mutex<(u64, bool)>,
    dialled: AtomicU64,
    last: Mutex<Option<Arc<MemoryRemote>>>,
}

impl MemoryDial {
    fn new(breaks: u64, seed: u64) -> Arc<Self> {
        let options = ServerOptions { seed, way: 3, ..ServerOptions::default() };
        Arc::new(Self {
            server: Arc::new(MemoryServer::new(options)),
            breaks: AtomicU64::new(breaks),
            chance: Mutex::new(Random::new(seed)),
            failures: Mutex::default(),
            dialled: AtomicU64::new(0),
            last: Mutex::default(),
        })
    }

    fn last(&self) -> Arc<MemoryRemote> {
        self.last.lock().unwrap().clone().expect("dialled")
    }
}

#[async_trait]
impl Dial for MemoryDial {
    async fn dial(&self) -> Result<Arc<dyn Remote>, DialError> {
        self.dialled.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(10)).await;
        {
            let mut failures = self.failures.lock().unwrap();
            if failures.0 > 0 {
                failures.0 -= 1;
                let cause = Arc::new(std::io::Error::other("the server is away"));
                return Err(DialError { cause, refused: failures.1 });
            }
        }
        let remote = Arc::new(self.server.connect());
        remote.break_by_chance(self.breaks.load(Ordering::Relaxed), self.chance.lock().unwrap().number());
        *self.last.lock().unwrap() = Some(remote.clone());
        Ok(remote)
    }
}

async fn connect(dial: &Arc<MemoryDial>) -> Lasting {
    Lasting::connect(dial.clone(), Patience::default()).await.unwrap()
}

fn path(name: &str) -> RemotePath {
    RemotePath::from_local(name).unwrap()
}

fn how(disposition: Disposition) -> OpenHow {
    OpenHow {
        access: Access { read: true, write: true },
        disposition,
        kind: Some(FileKind::File),
        new_read_only: false,
        new_mode: 0o644,
        write_through: false,
        lease: None,
    }
}

async fn create(remote: &Lasting, name: &str) -> Result<RemoteHandle, RemoteError> {
    let opened = remote.open(&path(name), &how(Disposition::Create)).await?;
    assert!(opened.created, "{name}");
    Ok(opened.handle)
}

/// What there should be: content by name, `None` for a directory.
type Model = BTreeMap<String, Option<Vec<u8>>>;

/// One life of a mount whose connection breaks all the time, each answer compared with what a server would say whose
/// connection never breaks. Nobody else changes anything: what is there is ours.
struct Life {
    remote: Lasting,
    random: Random,
    model: Model,
    open: Vec<(String, RemoteHandle)>,
    seed: u64,
}

impl Life {
    async fn step(&mut self) {
        let name = format!("n{}", self.random.below(6));
        let other = format!("n{}", self.random.below(6));
        let seed = self.seed;
        match self.random.below(10) {
            0 | 1 => {
                let expected = !self.model.contains_key(&name);
                match create(&self.remote, &name).await {
                    Ok(handle) => {
                        assert!(expected, "seed {seed}: {name} was created twice");
                        self.model.insert(name.clone(), Some(Vec::new()));
                        self.open.push((name, handle));
                    }
                    Err(error) => {
                        assert!(error.is(NtStatus::OBJECT_NAME_COLLISION), "seed {seed}: {error}");
                        assert!(!expected, "seed {seed}: {name} is there");
                    }
                }
            }
            2 => {
                let expected = !self.model.contains_key(&name);
                let made = self.remote.mkdir(Place::from(&path(&name)), 0o755).await;
                assert_eq!(made.is_ok(), expected, "seed {seed}: mkdir {name}: {made:?}");
                if expected {
                    self.model.insert(name, None);
                }
            }
            3 => self.remove(name).await,
            4 => self.rename(name, other).await,
            5 | 6 => {
                let Some(at) = self.any_open() else { return };
                let (name, handle) = self.open[at].clone();
                let (offset, length) = (self.random.below(100), 1 + self.random.below(50));
                let data = vec![self.random.below(256) as u8; length as usize];
                self.remote.write(handle, offset, Bytes::from(data.clone())).await.unwrap();
                let content = self.model.get_mut(&name).unwrap().as_mut().unwrap();
                let end = (offset + length) as usize;
                content.resize(content.len().max(end), 0);
                content[offset as usize..end].copy_from_slice(&data);
            }
            7 => {
                let Some(at) = self.any_open() else { return };
                let (name, handle) = self.open[at].clone();
                let read = self.remote.read(handle, 0, 1000).await.unwrap();
                assert_eq!(Some(read.to_vec()), self.model[&name], "seed {seed}: {name}");
            }
            8 => {
                let Some(at) = self.any_open() else { return };
                let (_, handle) = self.open.swap_remove(at);
                self.remote.close(handle).await.unwrap();
            }
            _ => assert_eq!(self.listed().await, Vec::from_iter(self.model.keys().cloned()), "seed {seed}"),
        }
    }

    fn any_open(&mut self) -> Option<usize> {
        (!self.open.is_empty()).then(|| self.random.below(self.open.len() as u64) as usize)
    }

    fn is_open(&self, name: &str) -> bool {
        self.open.iter().any(|(open, _)| open == name)
    }

    async fn remove(&mut self, name: String) {
        if self.is_open(&name) {
            return;
        }
        let kind = match self.model.get(&name) {
            Some(None) => FileKind::Directory,
            _ => FileKind::File,
        };
        let removed = self.remote.remove(Place::from(&path(&name)), kind).await;
        match (self.model.remove(&name), removed) {
            (Some(_), Ok(())) => {}
            // Lost and asked again, what was never there looks like what is gone.
            (None, Ok(())) => {}
            (None, Err(error)) if error.is(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
            (known, removed) => panic!("seed {}: remove {name}: {known:?} {removed:?}", self.seed),
        }
    }

    async fn rename(&mut self, from: String, to: String) {
        if from == to || self.is_open(&to) || self.is_open(&from) {
            return;
        }
        let file_id = match self.remote.lookup(&path(&from)).await {
            Ok(attr) => attr.file_id,
            Err(_) => return assert!(!self.model.contains_key(&from), "seed {}: {from}", self.seed),
        };
        let (old, new) = (path(&from), path(&to));
        let place = Place { file_id, ..Place::from(&old) };
        let renamed = self.remote.rename(place, Place::from(&new), false).await;
        match renamed {
            Ok(()) => {
                let moved = self.model.remove(&from).expect("it was there");
                assert!(self.model.insert(to, moved).is_none(), "seed {}", self.seed);
            }
            Err(error) => {
                let taken = self.model.contains_key(&to);
                assert!(taken, "seed {}: rename {from} {to}: {error}", self.seed);
            }
        }
    }

    async fn listed(&self) -> Vec<String> {
        let (handle, _) = self.remote.open_dir(&RemotePath::root(), None).await.unwrap();
        let mut names = Vec::new();
        loop {
            let entries = self.remote.next_entries(handle).await.unwrap();
            if entries.is_empty() {
                break;
            }
            names.extend(entries.into_iter().map(|entry| entry.name).filter(|name| !name.starts_with('.')));
        }
        self.remote.close(handle).await.unwrap();
        names.sort();
        names
    }
}

/// How many connections it took.
async fn live(seed: u64) -> u64 {
    let dial = MemoryDial::new(40, seed);
    let remote = connect(&dial).await;
    let mut life = Life { remote, random: Random::new(seed), model: Model::new(), open: Vec::new(), seed };
    for _ in 0..STEPS {
        life.step().await;
        // What was created a moment before cannot be told from what was lost: see `outcome`.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let left = dial.server.stored();
    let left: Model = left.into_iter().map(|(name, stored)| (name, stored.data)).collect();
    assert_eq!(left, life.model, "seed {seed}");
    for (_, handle) in std::mem::take(&mut life.open) {
        life.remote.close(handle).await.unwrap();
    }
    // What the last connection closes may be on its way still.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(dial.server.open_handles(), 0, "seed {seed}");
    dial.dialled.load(Ordering::Relaxed)
}

#[test]
fn nothing_is_done_twice_and_nothing_is_lost() {
    let seeds = std::env::var("SHAREFS_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let mut connections = 0;
    for seed in 0..seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        connections += runtime.block_on(live(seed));
    }
    assert!(connections > seeds * 4, "the connections broke: {connections}");
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_waits_and_whoever_looks_is_told() {
    let dial = MemoryDial::new(0, 1);
    let remote = Arc::new(connect(&dial).await);
    let handle = create(&remote, "file").await.unwrap();
    remote.write(handle, 0, Bytes::from_static(b"content")).await.unwrap();
    *dial.failures.lock().unwrap() = (u64::MAX, false);
    dial.last().cut();
    let reading = tokio::spawn({
        let remote = remote.clone();
        async move { remote.read(handle, 0, 100).await }
    });
    let looked = remote.lookup(&path("file")).await;
    assert!(matches!(looked, Err(RemoteError::Offline(_))), "{looked:?}");
    let asked = tokio::time::Instant::now();
    let looked = remote.lookup(&path("file")).await;
    assert!(looked.is_err() && asked.elapsed() < Duration::from_secs(1), "the second is told at once");
    assert!(!remote.is_online());
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!reading.is_finished(), "for as long as it takes");
    *dial.failures.lock().unwrap() = (0, false);
    assert_eq!(&reading.await.unwrap().unwrap()[..], b"content");
    assert_eq!(*remote.state().borrow(), LineState::Up);
}

#[tokio::test(start_paused = true)]
async fn a_first_connection_may_come_late() {
    let dial = MemoryDial::new(0, 1);
    *dial.failures.lock().unwrap() = (3, false);
    let remote = Lasting::begin(dial.clone(), Patience::default());
    assert!(matches!(&*remote.state().borrow(), LineState::Down { .. }));
    let mut events = remote.events().expect("nobody else has them");
    assert!(matches!(events.recv().await, Some(crate::RemoteEvent::Lost)));
    let handle = create(&remote, "file").await.unwrap();
    remote.write(handle, 0, Bytes::from_static(b"x")).await.unwrap();
    assert!(matches!(events.recv().await, Some(crate::RemoteEvent::Restored)));
    assert_eq!(dial.dialled.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn soft_waits_so_long_and_no_longer() {
    let dial = MemoryDial::new(0, 1);
    let patience = Patience { work: Some(Duration::from_secs(7)), look: Duration::from_secs(5) };
    let remote = Lasting::connect(dial.clone(), patience).await.unwrap();
    let handle = create(&remote, "file").await.unwrap();
    *dial.failures.lock().unwrap() = (u64::MAX, false);
    dial.last().cut();
    let asked = tokio::time::Instant::now();
    let written = remote.write(handle, 0, Bytes::from_static(b"x")).await;
    assert!(matches!(written, Err(RemoteError::TimedOut)), "{written:?}");
    assert!((7..9).contains(&asked.elapsed().as_secs()), "{:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_and_tried_again() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    *dial.failures.lock().unwrap() = (3, true);
    dial.last().cut();
    let mut state = remote.state();
    let (name, options) = (path("file"), how(Disposition::OpenOrCreate));
    let waiting = remote.open(&name, &options);
    let refused = state.wait_for(|state| matches!(state, LineState::Down { refused: true, .. }));
    let (opened, refused) = tokio::join!(waiting, async { refused.await.is_ok() });
    assert!(opened.is_ok() && refused);
}

#[tokio::test(start_paused = true)]
async fn another_file_of_the_same_name_is_not_the_open_one() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    let (lost, kept) = (create(&remote, "lost").await.unwrap(), create(&remote, "kept").await.unwrap());
    remote.write(kept, 0, Bytes::from_static(b"kept")).await.unwrap();
    dial.last().cut();
    let other = dial.server.connect();
    other.remove(Place::from(&path("lost")), FileKind::File).await.unwrap();
    other.open(&path("lost"), &how(Disposition::Create)).await.unwrap();
    let written = remote.write(lost, 0, Bytes::from_static(b"mine")).await;
    assert!(matches!(written, Err(RemoteError::Stale)), "{written:?}");
    assert_eq!(&remote.read(kept, 0, 10).await.unwrap()[..], b"kept", "only that one is lost");
    assert!(remote.close(lost).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_open_file_that_was_renamed_here_is_found_again() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    remote.mkdir(Place::from(&path("old")), 0o755).await.unwrap();
    let handle = create(&remote, "a").await.unwrap();
    remote.rename(Place::from(&path("a")), Place::from(&path("old/b")), false).await.unwrap();
    dial.last().cut();
    remote.write(handle, 0, Bytes::from_static(b"found")).await.unwrap();
    assert_eq!(dial.server.stored()["old/b"].data.as_deref(), Some(&b"found"[..]));
}

#[tokio::test(start_paused = true)]
async fn giving_up_ends_all_waiting() {
    let dial = MemoryDial::new(0, 1);
    let remote = Arc::new(connect(&dial).await);
    let handle = create(&remote, "file").await.unwrap();
    *dial.failures.lock().unwrap() = (u64::MAX, false);
    dial.last().cut();
    let writing = tokio::spawn({
        let remote = remote.clone();
        async move { remote.write(handle, 0, Bytes::from_static(b"x")).await }
    });
    tokio::time::sleep(Duration::from_secs(60)).await;
    remote.give_up();
    assert!(writing.await.unwrap().is_err());
    let dialled = dial.dialled.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(dial.dialled.load(Ordering::Relaxed) <= dialled + 1, "nobody is asked any more");
}

#[tokio::test(start_paused = true)]
async fn giving_up_ends_what_the_server_does_not_answer() {
    let dial = MemoryDial::new(0, 1);
    let remote = Arc::new(connect(&dial).await);
    let handle = create(&remote, "file").await.unwrap();
    dial.last().set_latency(Duration::from_secs(10));
    let writing = tokio::spawn({
        let remote = remote.clone();
        async move { remote.write(handle, 0, Bytes::from_static(b"x")).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    remote.give_up();
    let written = writing.await.unwrap();
    assert!(matches!(written, Err(RemoteError::Offline(_))), "{written:?}");
    assert_eq!(*remote.state().borrow(), LineState::Over);
}

#[tokio::test(start_paused = true)]
async fn attempts_become_rarer() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    *dial.failures.lock().unwrap() = (u64::MAX, false);
    dial.last().cut();
    assert!(remote.lookup(&path("x")).await.is_err());
    let before = dial.dialled.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(600)).await;
    let attempts = dial.dialled.load(Ordering::Relaxed) - before;
    assert!((100..300).contains(&attempts), "{attempts} in ten minutes");
}

/// A server denies a request that was damaged on its way: its signature is not right.
#[tokio::test(start_paused = true)]
async fn a_denial_is_believed_when_it_is_said_twice() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    let handle = create(&remote, "file").await.unwrap();
    dial.last().fail_next(Op::Write, NtStatus::ACCESS_DENIED);
    remote.write(handle, 0, Bytes::from_static(b"x")).await.unwrap();
    dial.last().fail_next(Op::Mkdir, NtStatus::ACCESS_DENIED);
    remote.mkdir(Place::from(&path("made")), 0o755).await.unwrap();
    dial.last().fail_next(Op::Rename, NtStatus::ACCESS_DENIED);
    remote.rename(Place::from(&path("file")), Place::from(&path("renamed")), false).await.unwrap();
    for _ in 0..2 {
        dial.last().fail_next(Op::Write, NtStatus::ACCESS_DENIED);
    }
    let written = remote.write(handle, 0, Bytes::from_static(b"y")).await;
    assert!(matches!(&written, Err(error) if error.is(NtStatus::ACCESS_DENIED)), "{written:?}");
}

/// Everything is done in the end, and soon no more is asked for at once than the server has room for.
#[tokio::test(start_paused = true)]
async fn s123_a_server_that_cannot_keep_up_is_asked_for_less() {
    let dial = MemoryDial::new(0, 1);
    let remote = Arc::new(connect(&dial).await);
    let handle = create(&remote, "file").await.unwrap();
    dial.last().set_room(4);
    let write = |i: u64| {
        let remote = remote.clone();
        async move { remote.write(handle, i, Bytes::from_static(b"x")).await.unwrap() }
    };
    futures::future::join_all((0..200).map(write)).await;
    let refused = dial.last().calls(Op::Write) - 200;
    assert!((1..60).contains(&refused), "{refused} of 200");
    assert_eq!(remote.read(handle, 0, 200).await.unwrap(), vec![b'x'; 200]);
    // What does not get better is told.
    dial.last().set_room(0);
    let written = remote.write(handle, 0, Bytes::from_static(b"y")).await;
    assert!(matches!(&written, Err(error) if error.is(NtStatus::INSUFF_SERVER_RESOURCES)), "{written:?}");
}

#[tokio::test(start_paused = true)]
async fn what_the_server_closed_is_opened_once_for_all_who_use_it() {
    let dial = MemoryDial::new(0, 1);
    let remote = Arc::new(connect(&dial).await);
    let handle = create(&remote, "file").await.unwrap();
    dial.last().fail_next(Op::Write, NtStatus::FILE_CLOSED);
    dial.last().skip_then_fail(Op::Write, 1, NtStatus::FILE_CLOSED);
    let write = || {
        let remote = remote.clone();
        async move { remote.write(handle, 0, Bytes::from_static(b"x")).await.unwrap() }
    };
    dial.last().set_latency(Duration::from_secs(1));
    let slow = tokio::spawn(write());
    tokio::task::yield_now().await;
    dial.last().set_latency(Duration::ZERO);
    write().await;
    // Told of the first one's end when there is a second already.
    slow.await.unwrap();
    remote.close(handle).await.unwrap();
    // This server only said that it had closed the first.
    assert_eq!(dial.last().open_handles(), 1);
}

/// The server does what a chain asks for, and denies only the damaged end of it.
#[tokio::test(start_paused = true)]
async fn what_was_done_of_a_denied_chain_is_found_out() {
    let dial = MemoryDial::new(0, 1);
    let remote = connect(&dial).await;
    let made = path("made");
    let place = Place::from(&made);
    remote.mkdir(place, 0o755).await.unwrap();
    dial.last().fail_next(Op::Remove, NtStatus::ACCESS_DENIED);
    let another = dial.server.connect();
    let (removed, _) = futures::join!(remote.remove(place, FileKind::Directory), async {
        another.remove(place, FileKind::Directory).await.unwrap();
    });
    removed.unwrap();
}
