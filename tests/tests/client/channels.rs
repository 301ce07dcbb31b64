//! Several connections of one session.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use sharefs_tests::{Samba, SambaBuilder, free_address, sha256};
use smb_client::{Client, ConnectOptions, DurableRequest, LeaseRequest, LeaseState, OpenOptions};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Passes connections on, and cuts any one of them.
struct Switchboard {
    address: SocketAddr,
    lines: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Switchboard {
    async fn before(samba: &Samba) -> Self {
        let (address, server) = (free_address(), samba.socket());
        let listener = TcpListener::bind(address).await.expect("a free address");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let line = tokio::spawn(async move {
                    let mut upstream = TcpStream::connect(server).await.expect("the server listens");
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
                });
                kept.lock().expect("no panic").push(line.abort_handle());
            }
        });
        Self { address, lines }
    }

    /// Cuts the connection that was made as that one; how many there have been.
    fn cut(&self, which: usize) -> usize {
        let lines = self.lines.lock().expect("no panic");
        lines[which].abort();
        lines.len()
    }

    fn options(&self, samba: &Samba) -> ConnectOptions {
        samba.options().address(self.address.ip()).port(self.address.port()).channels(4)
    }
}

fn several(builder: SambaBuilder) -> Samba {
    builder.global("server multi channel support", "yes").start()
}

async fn connected(options: &ConnectOptions) -> Client {
    let client = Client::connect(options).await.expect("a connection");
    until(&client, 4).await;
    client
}

async fn until(client: &Client, channels: usize) {
    let all = async {
        while client.channels() < channels {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("the further connections");
}

/// Writes and reads back, in pieces at any time; `meanwhile` is told how far it is, in percent.
async fn round_trip(client: &Client, meanwhile: impl Fn(usize)) {
    const PIECES: usize = 200;
    const PIECE: usize = 256 << 10;
    let share = client.share("data").await.expect("the share");
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    let content: Vec<u8> = (0..PIECES * PIECE).map(|at| (at / 7 % 251) as u8).collect();
    let content = Bytes::from(content);
    let done = |at: usize| meanwhile(at * 50 / PIECES);
    let write = |at: usize| {
        let (file, data) = (&file, content.slice(at * PIECE..(at + 1) * PIECE));
        async move { file.write_at((at * PIECE) as u64, data).await.map(|()| at) }
    };
    let mut writes = stream::iter(0..PIECES).map(write).buffer_unordered(16);
    let mut count = 0;
    while let Some(written) = writes.next().await {
        written.expect("written");
        count += 1;
        done(count);
    }
    let read = |at: usize| {
        let file = &file;
        async move { file.read_at((at * PIECE) as u64, PIECE as u32).await }
    };
    let mut reads = stream::iter(0..PIECES).map(read).buffered(16);
    let mut back = Vec::new();
    while let Some(read) = reads.next().await {
        back.extend_from_slice(&read.expect("read"));
        done(PIECES + back.len() / PIECE);
    }
    assert_eq!(sha256(&back), sha256(&content));
    file.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_has_several_connections() {
    for builder in [Samba::builder(), Samba::builder().newer()] {
        for encrypt in [false, true] {
            let samba = several(builder.clone());
            let client = connected(&samba.options().channels(4).encrypt(encrypt)).await;
            round_trip(&client, |_| {}).await;
            assert_eq!(client.channels(), 4);
            client.logoff().await.expect("logged off");
        }
    }
}

/// The loss of one of them is no error, and it is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_lost_is_replaced() {
    let samba = several(Samba::builder());
    let board = Switchboard::before(&samba).await;
    let client = connected(&board.options(&samba)).await;
    let cuts = Mutex::new(0);
    let cut_at = |percent: usize| {
        let mut cuts = cuts.lock().expect("no panic");
        if percent >= [10, 30, 60, usize::MAX][*cuts] {
            *cuts += 1;
            board.cut(*cuts);
        }
    };
    round_trip(&client, cut_at).await;
    assert_eq!(*cuts.lock().expect("no panic"), 3);
    until(&client, 4).await;
    round_trip(&client, |_| {}).await;
}

/// Without the capability there is one, whatever was asked for.
#[tokio::test]
async fn a_server_that_has_one_has_one() {
    let samba = Samba::builder().global("server multi channel support", "no").start();
    let client = Client::connect(&samba.options().channels(4)).await.expect("a connection");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(client.channels(), 1);
    client.share("data").await.expect("the share").write("file", "content").await.expect("written");
}

/// The server remembers with an open how often a connection was lost, beyond the session's end.
#[tokio::test]
async fn an_open_that_was_had_again_takes_what_is_written_next() {
    let builder = Samba::builder().share("kernel share modes", "no").share("kernel oplocks", "no");
    let samba = several(builder.share("posix locking", "no"));
    let board = Switchboard::before(&samba).await;
    let options = board.options(&samba);
    let client = connected(&options).await;
    let state = LeaseState::READ | LeaseState::WRITE | LeaseState::HANDLE;
    let lease = LeaseRequest { key: client.lease_key(), state, parent: None };
    let request = DurableRequest { guid: client.lease_key().0, timeout: 60_000 };
    let open = OpenOptions::write().lease(lease).durable(request);
    let file = client.share("data").await.expect("the share").open("file", &open).await.expect("open");
    let durable = file.durable().expect("the server keeps it");
    // Taken before the loss, as by somebody who connects again while this session still goes on.
    let resume = client.resume();
    let made = board.cut(3);
    // Until another has taken its place the loss has been noticed.
    until(&client, 3).await;
    let replaced = async {
        while board.lines.lock().expect("no panic").len() == made {
            file.write_at(0, Bytes::from_static(b"before")).await.expect("written");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), replaced).await.expect("replaced");
    file.write_at(0, Bytes::from_static(b"before")).await.expect("written");
    let lines = board.lines.lock().expect("no panic").len();
    for line in 0..lines {
        board.cut(line);
    }
    let again = Client::connect(&options.resuming(resume)).await.expect("another session");
    let share = again.share("data").await.expect("the share");
    let file = share.reclaim("file", &open, &durable).await.expect("reclaimed");
    file.write_at(6, Bytes::from_static(b" and after")).await.expect("written");
    assert_eq!(&file.read_at(0, 100).await.expect("read")[..], b"before and after");
}

/// How many connections of this process lead to an address.
fn connections_to(address: IpAddr, port: u16) -> usize {
    let IpAddr::V4(address) = address else { panic!("the lab's addresses are IPv4") };
    let remote = format!("{:08X}:{port:04X}", u32::from_le_bytes(address.octets()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    // Established ones, by whom they lead to.
    table
        .lines()
        .filter(|line| line.split_whitespace().nth(2) == Some(&remote))
        .filter(|line| line.split_whitespace().nth(3) == Some("01"))
        .count()
}

/// Those that the server has two addresses of, each as fast as the other.
const TWO: [&str; 2] =
    ["if_index=7,speed=1000000000,capability=RSS", "if_index=8,speed=1000000000,capability=RSS"];

#[tokio::test(flavor = "multi_thread")]
async fn connections_go_to_all_interfaces() {
    for builder in [Samba::builder(), Samba::builder().newer()] {
        let samba = several(builder.interfaces(&TWO));
        let said = Client::connect(&samba.options()).await.expect("a connection").interfaces().await;
        let mut said: Vec<_> = said.expect("told").iter().map(|one| (one.address, one.link_speed)).collect();
        said.sort_unstable();
        let mut all: Vec<_> = samba.addresses().iter().map(|address| (*address, 1_000_000_000)).collect();
        all.sort_unstable();
        assert_eq!(said, all);
        let client = connected(&samba.options().channels(4)).await;
        for address in samba.addresses() {
            assert_eq!(connections_to(*address, samba.port()), 2);
        }
        round_trip(&client, |_| {}).await;
        client.logoff().await.expect("logged off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_was_given_is_the_only_one() {
    let samba = several(Samba::builder().interfaces(&TWO));
    let client = connected(&samba.options().address(samba.address()).channels(4)).await;
    assert_eq!(
        samba.addresses().iter().map(|to| connections_to(*to, samba.port())).collect::<Vec<_>>(),
        [4, 0]
    );
    client.logoff().await.expect("logged off");
    // Whoever stands between is the only one who is known to lead there.
    let board = Switchboard::before(&samba).await;
    let mut options = board.options(&samba).host(board.address.ip().to_string());
    options.address = None;
    let _client = connected(&options).await;
    assert_eq!(connections_to(board.address.ip(), board.address.port()), 4);
}

/// As many as the server's interfaces make sensible and this machine can use; one where it says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_advises_how_many() {
    let cores = std::thread::available_parallelism().expect("cores").get();
    for (interfaces, wanted) in [(&TWO[..], cores.min(4)), (&[""], 1)] {
        let samba = several(Samba::builder().interfaces(interfaces));
        let client = Client::connect(&samba.options()).await.expect("a connection");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(client.channels(), 1, "nothing is to be done yet");
        round_trip(&client, |_| {}).await;
        until(&client, wanted).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(client.channels(), wanted);
    }
}
