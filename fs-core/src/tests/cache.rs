//! What one client keeps: how much, how many requests it saves, whom its errors reach, and that no break can stop it.

use std::sync::Mutex;

use smb_proto::NtStatus;

use super::*;
use crate::memory::{MemoryServer, Op, ServerOptions};
use crate::{Caching, Kernel, RemoteEvent, RenameFlags, SetAttrs, errno as e};

const MIB: usize = 1 << 20;
/// Longer than any operation may take, by the clock of the test.
const HANGS: Duration = Duration::from_secs(60);
/// The smallest and the largest request of a write that gathers.
const PIECE: u64 = 1 << 20;

/// A kernel that keeps nothing.
struct Nothing;

impl Kernel for Nothing {
    fn forget_data(&self, _: Ino) {}
    fn forget_attributes(&self, _: Ino) {}
    fn forget_name(&self, _: Ino, _: &str) {}
}

struct Client {
    remote: Arc<MemoryRemote>,
    fs: Arc<Filesystem>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn server(way: u64) -> Arc<MemoryServer> {
    let leases =
        ServerOptions { file_leases: Caching::ALL, directory_leases: true, ..ServerOptions::default() };
    Arc::new(MemoryServer::new(ServerOptions { way, ..leases }))
}

impl Client {
    async fn of(server: &Arc<MemoryServer>, cache_size: u64) -> Self {
        let remote = Arc::new(server.connect());
        let options = MountOptions { cache_size, ..options(Duration::from_secs(1)) };
        let fs = Arc::new(Filesystem::new(remote.clone(), options));
        let serving = tokio::spawn(fs.clone().serve(Arc::new(Nothing)));
        tokio::task::yield_now().await;
        Self { remote, fs, serving }
    }

    async fn write(&self, fh: Fh, at: u64, data: &[u8]) -> FsResult<u32> {
        if let Some(written) = self.fs.try_write(fh, WriteAt::Offset(at), data) {
            return Ok(written);
        }
        self.fs.write(fh, WriteAt::Offset(at), Bytes::copy_from_slice(data)).await
    }

    async fn read(&self, fh: Fh, at: u64, len: u32) -> Bytes {
        match self.fs.try_read(fh, at, len) {
            Some(data) => data,
            None => self.fs.read(fh, at, len).await.unwrap(),
        }
    }

    async fn file(&self, name: &str, size: usize) -> Ino {
        let (entry, fh) = self.fs.create(Ino::ROOT, name, &NEW).await.unwrap();
        for at in (0..size).step_by(MIB) {
            let piece = pattern(at..(at + MIB).min(size));
            assert_eq!(self.write(fh, at as u64, &piece).await.unwrap() as usize, piece.len());
        }
        self.fs.flush(fh).await.unwrap();
        self.fs.release(fh).await.unwrap();
        entry.attr.ino
    }

    async fn end(self) {
        self.fs.shutdown().await;
        assert_eq!(self.fs.held().dirty, 0);
        let server = self.remote.server();
        assert_eq!(
            (server.open_handles(), server.leases(), server.waiting(), server.timeouts()),
            (0, 0, 0, 0)
        );
    }
}

fn pattern(range: std::ops::Range<usize>) -> Vec<u8> {
    range.map(|i| (i * 7 + i / 251) as u8).collect()
}

#[tokio::test(start_paused = true)]
async fn the_memory_is_never_exceeded_by_more_than_a_request() {
    let server = server(2);
    let writer = Client::of(&server, MIB as u64).await;
    let (_, fh) = writer.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    let most = MIB as u64 + PIECE;
    for at in (0..6 * MIB).step_by(96 << 10) {
        writer.write(fh, at as u64, &pattern(at..at + (96 << 10))).await.unwrap();
        let held = writer.fs.held();
        assert!(held.clean + held.dirty <= most, "{held:?} at {at}");
        if at % 7 == 0 {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    }
    writer.fs.fsync(fh).await.unwrap();
    for at in (0..6 * MIB).step_by(128 << 10) {
        assert_eq!(writer.read(fh, at as u64, 128 << 10).await, pattern(at..at + (128 << 10)), "at {at}");
        let held = writer.fs.held();
        assert!(held.clean + held.dirty <= most, "{held:?} at {at}");
    }
    writer.fs.flush(fh).await.unwrap();
    writer.fs.release(fh).await.unwrap();
    writer.end().await;
}

#[tokio::test(start_paused = true)]
async fn reading_along_takes_large_requests_and_reading_about_small_ones() {
    let server = server(2);
    let client = Client::of(&server, 256 << 20).await;
    client.file("f", 16 * MIB).await;
    let reader = Client::of(&server, 256 << 20).await;
    let ino = reader.fs.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let fh = reader.fs.open(ino, READ).await.unwrap();
    for at in (0..16 * MIB).step_by(128 << 10) {
        assert_eq!(reader.read(fh, at as u64, 128 << 10).await, pattern(at..at + (128 << 10)), "at {at}");
    }
    assert!(reader.remote.calls(Op::Read) <= 20, "{} requests", reader.remote.calls(Op::Read));
    reader.fs.release(fh).await.unwrap();

    let random = Client::of(&server, 256 << 20).await;
    let ino = random.fs.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let fh = random.fs.open(ino, READ).await.unwrap();
    let mut page = 1802;
    for count in 1..=100 {
        page = (page * 1103 + 12345) % 4096;
        let at = page * 4096;
        assert_eq!(random.read(fh, at as u64, 4096).await, pattern(at..at + 4096));
        assert_eq!(random.remote.calls(Op::Read), count);
    }
    assert_eq!(random.fs.held().clean, 100 * 4096, "nothing but what was asked for");
    random.fs.release(fh).await.unwrap();
    for client in [&client, &reader, &random] {
        client.fs.shutdown().await;
    }
    client.end().await;
}

#[tokio::test(start_paused = true)]
async fn small_writes_are_sent_as_large_ones() {
    let client = Client::of(&server(2), 256 << 20).await;
    let (_, fh) = client.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    for at in (0..8 * MIB).step_by(4096) {
        client.write(fh, at as u64, &pattern(at..at + 4096)).await.unwrap();
    }
    client.fs.flush(fh).await.unwrap();
    assert_eq!(client.remote.calls(Op::Write), 8);
    assert_eq!(client.remote.server().stored()["f"].data.as_deref(), Some(&*pattern(0..8 * MIB)));
    client.fs.release(fh).await.unwrap();
    client.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_written_waits_half_a_second_at_most() {
    let client = Client::of(&server(2), 256 << 20).await;
    let (_, fh) = client.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    for round in 0..5u64 {
        client.write(fh, round * 100, b"something").await.unwrap();
        assert_eq!(client.remote.calls(Op::Write), round, "not at once");
        tokio::time::sleep(Duration::from_millis(520)).await;
        assert_eq!((client.remote.calls(Op::Write), client.fs.held().dirty), (round + 1, 0));
    }
    // Also if the program never stops writing.
    for step in 0..100u64 {
        client.write(fh, 1000 + step, b"x").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(client.remote.calls(Op::Write) >= 5 + 8, "{}", client.remote.calls(Op::Write));
    client.fs.release(fh).await.unwrap();
    client.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_later_write_is_told_once_and_to_the_right_one() {
    for teller in 0..3 {
        let client = Client::of(&server(2), 256 << 20).await;
        let (_, other) = client.fs.create(Ino::ROOT, "other", &NEW).await.unwrap();
        let (entry, fh) = client.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
        client.write(fh, 0, b"lost").await.unwrap();
        client.remote.fail_next(Op::Write, NtStatus::DISK_FULL);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.fs.held().dirty, 0);
        // Nobody who only looks is told, nor anybody who writes something else.
        client.write(other, 0, b"kept").await.unwrap();
        client.fs.fsync(other).await.unwrap();
        client.fs.getattr(entry.attr.ino, None).await.unwrap();
        let told = match teller {
            0 => client.write(fh, 10, b"next").await.map(drop),
            1 => client.fs.fsync(fh).await,
            _ => client.fs.flush(fh).await,
        };
        assert_eq!(errno(told), e::ENOSPC, "teller {teller}");
        client.write(fh, 10, b"again").await.unwrap();
        client.fs.fsync(fh).await.unwrap();
        client.fs.flush(fh).await.unwrap();
        client.fs.release(fh).await.unwrap();
        client.fs.release(other).await.unwrap();
        client.end().await;
    }
}

/// A program that hears of it by one descriptor must not keep it from another that counts on its own.
#[tokio::test(start_paused = true)]
async fn an_error_of_a_later_write_is_told_to_every_open_of_the_file() {
    let client = Client::of(&server(2), 256 << 20).await;
    let (entry, fh) = client.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    let ino = entry.attr.ino;
    let open = || async { client.fs.open(ino, WRITE).await.unwrap() };
    let (another, closed) = (open().await, open().await);
    let lose = async |at: u64| {
        client.remote.fail_next(Op::Write, NtStatus::DISK_FULL);
        client.write(fh, at, b"lost").await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(client.fs.held().dirty, 0);
    };
    lose(0).await;
    client.fs.release(closed).await.unwrap();
    let early = open().await;
    assert_eq!(errno(client.fs.fsync(another).await), e::ENOSPC);
    assert_eq!(errno(client.fs.flush(fh).await), e::ENOSPC);
    assert_eq!(errno(client.fs.fsync(early).await), e::ENOSPC);
    let late = open().await;
    for fh in [fh, another, early, late] {
        client.fs.fsync(fh).await.unwrap();
        client.fs.flush(fh).await.unwrap();
    }
    lose(4).await;
    for fh in [fh, another, early, late] {
        assert_eq!(errno(client.write(fh, 0, b"next").await.map(drop)), e::ENOSPC);
        client.fs.release(fh).await.unwrap();
    }
    // And if none of them was told, nobody is.
    let fh = open().await;
    client.remote.fail_next(Op::Write, NtStatus::DISK_FULL);
    client.write(fh, 0, b"lost").await.unwrap();
    client.fs.release(fh).await.unwrap();
    let fh = open().await;
    client.fs.fsync(fh).await.unwrap();
    client.fs.release(fh).await.unwrap();
    client.end().await;
}

/// What the first client is doing when the second comes.
async fn work(client: &Client, what: usize, ino: Ino, fh: Fh) -> FsResult<()> {
    let fs = &client.fs;
    match what {
        0 => {
            let fh = fs.open(ino, WRITE).await?;
            fs.release(fh).await
        }
        1 => fs.read(fh, 0, 1 << 20).await.map(drop),
        2 => client.write(fh, 0, &vec![7; 3 * MIB]).await.map(drop),
        3 => {
            fs.flush(fh).await?;
            fs.fsync(fh).await
        }
        4 => fs.rename(Ino::ROOT, "f", Ino::ROOT, "g", RenameFlags::default()).await,
        5 => fs.unlink(Ino::ROOT, "f").await,
        6 => fs.setattr(ino, Some(fh), &SetAttrs { size: Some(77), ..SetAttrs::default() }).await.map(drop),
        7 => fs.open(ino, OpenFlags { truncate: true, ..WRITE }).await.map(drop),
        _ => {
            let open = Create { exclusive: false, ..NEW };
            fs.create(Ino::ROOT, "f", &open).await.map(drop)
        }
    }
}

/// What the second client does to the file that the first is at.
async fn disturb(other: &Client, how: usize) -> FsResult<()> {
    let fs = &other.fs;
    let ino = match fs.lookup(Ino::ROOT, "f").await {
        Ok(found) => found.attr.ino,
        Err(error) if error.errno() == e::ENOENT => return Ok(()),
        Err(error) => return Err(error),
    };
    match how {
        0 => {
            let fh = fs.open(ino, WRITE).await?;
            other.write(fh, 10, b"disturbed").await?;
            fs.flush(fh).await?;
            fs.release(fh).await
        }
        1 => fs.unlink(Ino::ROOT, "f").await,
        2 => fs.rename(Ino::ROOT, "f", Ino::ROOT, "h", RenameFlags::default()).await,
        _ => fs.setattr(ino, None, &SetAttrs { size: Some(5), ..SetAttrs::default() }).await.map(drop),
    }
}

/// Every combination, with the break coming at every millisecond of the operation.
#[tokio::test(start_paused = true)]
async fn a_break_at_any_moment_stops_nothing() {
    for what in 0..9 {
        for how in 0..4 {
            for after in 0..24u64 {
                let server = server(2);
                let (client, other) =
                    (Client::of(&server, 4 << 20).await, Client::of(&server, 4 << 20).await);
                let (entry, fh) = client.fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
                client.write(fh, 0, b"dirty before").await.unwrap();
                let disturbing = async {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    disturb(&other, how).await
                };
                let both = async { tokio::join!(work(&client, what, entry.attr.ino, fh), disturbing) };
                let done = tokio::time::timeout(HANGS, both).await;
                let (result, disturbed) =
                    done.unwrap_or_else(|_| panic!("{what} disturbed by {how} after {after} ms"));
                // A file that the other has deleted or renamed cannot be found by its name any more.
                let gone = |result: FsResult<()>| {
                    result.is_err_and(|error| !matches!(error.errno(), e::ENOENT | e::ESTALE | e::EBUSY))
                };
                assert!(!gone(result), "{what} disturbed by {how} after {after} ms");
                assert!(!gone(disturbed), "{how} disturbs {what} after {after} ms");
                for client in [&client, &other] {
                    let ended = tokio::time::timeout(HANGS, client.fs.shutdown()).await;
                    assert!(ended.is_ok(), "the end after {what} and {how} after {after} ms");
                }
                tokio::time::sleep(Duration::from_secs(10)).await;
                assert_eq!((server.leases(), server.open_handles(), server.timeouts()), (0, 0, 0));
            }
        }
    }
}

/// What somebody without any lease does breaks those of the others, and is answered when they have agreed.
#[tokio::test(start_paused = true)]
async fn the_server_breaks_leases_as_servers_do() {
    use crate::{Access, Disposition, FileKind, LeaseAsk, LeaseKey, OpenHow, Remote, RemotePath};

    let server = server(0);
    let (a, b) = (Arc::new(server.connect()), server.connect());
    let path = RemotePath::from_local("f").unwrap();
    let ask = |key| Some(LeaseAsk { key: LeaseKey(key), want: Caching::ALL, parent: None });
    let how = |lease| OpenHow {
        access: Access { read: true, write: true },
        disposition: Disposition::OpenOrCreate,
        kind: Some(FileKind::File),
        new_read_only: false,
        write_through: false,
        new_mode: 0o644,
        lease,
    };
    let mut breaks = a.events().unwrap();
    let first = a.open(&path, &how(ask(1))).await.unwrap();
    assert_eq!((first.granted.caching, first.granted.epoch), (Caching::ALL, Some(1)));
    assert_eq!(a.open(&path, &how(ask(1))).await.unwrap().granted.caching, Caching::ALL, "the same key");
    b.lookup(&path).await.unwrap();
    assert!(breaks.try_recv().is_err(), "attributes disturb nobody");

    let answered = Arc::new(Mutex::new(false));
    let (told, noted) = (a.clone(), answered.clone());
    let agree = async {
        let Some(RemoteEvent::LeaseBreak { key, to, epoch, acknowledge }) = breaks.recv().await else {
            panic!()
        };
        let kept = Caching { write: false, ..Caching::ALL };
        assert_eq!((key, to, epoch, acknowledge), (LeaseKey(1), kept, Some(2), true));
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!*noted.lock().unwrap(), "the open waits");
        told.acknowledge(key, to).await.unwrap();
        breaks
    };
    let second = async {
        let opened = b.open(&path, &how(ask(9))).await.unwrap();
        *answered.lock().unwrap() = true;
        opened
    };
    let (mut breaks, second) = tokio::join!(agree, second);
    assert_eq!(second.granted.caching, Caching { write: false, ..Caching::ALL });

    b.write(second.handle, 0, Bytes::from_static(b"x")).await.unwrap();
    let event = breaks.recv().await.unwrap();
    let none =
        RemoteEvent::LeaseBreak { key: LeaseKey(1), to: Caching::NONE, epoch: Some(3), acknowledge: true };
    assert_eq!(event, none, "and nobody waited");
    let again = a.open(&path, &how(ask(1))).await.unwrap();
    assert!(again.granted.breaking, "until it has agreed");
    a.acknowledge(LeaseKey(1), Caching::NONE).await.unwrap();
    let other = RemotePath::from_local("other").unwrap();
    a.open(&other, &how(ask(2))).await.unwrap();
    let wrong = a.open(&other, &how(ask(1))).await.unwrap_err();
    assert!(wrong.is(NtStatus::INVALID_PARAMETER), "a key belongs to one file");
}
