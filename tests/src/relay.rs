//! A TCP relay that makes the network's trouble: delay, silence, connections cut in the middle of a message, and what an
//! attacker in the middle can do. It also counts what a client asks.

mod attack;
mod stream;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};

use crate::address::free_address;
pub use attack::Attack;
pub use stream::{Damage, Meddler, Message, Way};
use stream::{Stream, Tampering};

/// Passes connections on to a server. Ends with its connections when dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    controls: Arc<Controls>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Controls {
    delay_micros: AtomicU64,
    /// Bytes of a second, each way of each connection; 0 is no limit.
    rate: AtomicU64,
    /// What comes is cut at once.
    refusing: AtomicBool,
    /// To the server, and to the client.
    stalled: [watch::Sender<bool>; 2],
    tampering: Tampering,
    connections: AtomicU64,
    /// Those that there are, by their number.
    live: Mutex<BTreeSet<u64>>,
    cut: watch::Sender<Cut>,
    /// Messages that clients sent.
    requests: AtomicU64,
    /// All that the servers said, if it is to be kept.
    record: Mutex<Option<Vec<u8>>>,
}

/// Which connections are cut; each time is another.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    times: u64,
    /// All of them, if none is named.
    only: Option<u64>,
}

impl Controls {
    fn cut(&self, only: Option<u64>) {
        self.cut.send_modify(|cut| *cut = Cut { times: cut.times + 1, only });
    }

    fn live(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// A relay that so far does no harm.
    pub async fn start(server: SocketAddr) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).await.expect("the relay's address is free");
        let controls = Arc::new(Controls {
            delay_micros: AtomicU64::new(0),
            rate: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
            stalled: [watch::channel(false).0, watch::channel(false).0],
            tampering: Tampering::default(),
            connections: AtomicU64::new(0),
            live: Mutex::default(),
            cut: watch::channel(Cut::default()).0,
            requests: AtomicU64::new(0),
            record: Mutex::new(None),
        });
        let task = tokio::spawn(accept(listener, server, controls.clone()));
        Self { address, controls, task }
    }

    /// Where the relay listens.
    pub const fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// The relay's port.
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything takes this much longer each way; the throughput stays.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.controls.delay_micros.store(micros, Ordering::Relaxed);
    }

    /// Passes nothing on, or goes on with it. Connections stay open.
    pub fn stall(&self, stalled: bool) {
        self.stop(Way::ToServer, stalled);
        self.stop(Way::ToClient, stalled);
    }

    /// The same for one direction only.
    pub fn stop(&self, way: Way, stopped: bool) {
        self.controls.stalled[way as usize].send_replace(stopped);
    }

    /// No more than so many bytes of a second pass each way of a connection; 0 is no limit.
    pub fn throttle(&self, rate: u64) {
        self.controls.rate.store(rate, Ordering::Relaxed);
    }

    /// Cuts all new connections at once, or no longer. Those that there are stay.
    pub fn refuse(&self, refuse: bool) {
        self.controls.refusing.store(refuse, Ordering::Relaxed);
    }

    /// Does this once, after so many bytes more went this way, on whatever connections. `None` undoes what has not
    /// happened yet.
    pub fn damage(&self, way: Way, damage: Option<(u64, Damage)>) {
        self.controls.tampering.arm(way, damage);
    }

    /// Whether damage was asked for and has not happened yet.
    pub fn is_armed(&self) -> bool {
        self.controls.tampering.is_armed()
    }

    /// Has whole messages changed from now on, or no longer.
    pub fn meddle(&self, meddler: Option<Box<Meddler>>) {
        self.controls.tampering.meddle(meddler);
    }

    /// How many connections were passed on so far.
    pub fn connections(&self) -> u64 {
        self.controls.connections.load(Ordering::Relaxed)
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.controls.cut(None);
    }

    /// Cuts one of the connections that there are, the one that `choose` makes of their count; false if there are none.
    pub fn cut_one(&self, choose: impl FnOnce(usize) -> usize) -> bool {
        let chosen = {
            let live = self.controls.live();
            let count = live.len();
            if count == 0 { None } else { live.iter().nth(choose(count)).copied() }
        };
        if let Some(number) = chosen {
            self.controls.cut(Some(number));
        }
        chosen.is_some()
    }

    /// Keeps from now on what the server says.
    pub fn record(&self) {
        *self.controls.record.lock().expect("no panic while it is held") = Some(Vec::new());
    }

    /// What the server said since [`Self::record`].
    pub fn recorded(&self) -> Vec<u8> {
        self.controls.record.lock().expect("no panic while it is held").take().unwrap_or_default()
    }

    /// How many messages the clients have sent through this relay, on all connections. A chain of requests is one
    /// message, as it is one round trip, and so is one that is encrypted.
    pub fn requests(&self) -> u64 {
        self.controls.requests.load(Ordering::Relaxed)
    }

    /// Cuts all connections once, after the server said this many bytes more.
    pub fn cut_after(&self, bytes: u64) {
        self.damage(Way::ToClient, Some((bytes, Damage::Cut)));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, controls: Arc<Controls>) {
    // Aborted with this task.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        if controls.refusing.load(Ordering::Relaxed) {
            let _ = client.set_zero_linger();
            continue;
        }
        let controls = controls.clone();
        connections.spawn(async move {
            if let Ok(upstream) = TcpStream::connect(server).await {
                connection(client, upstream, &controls).await;
            }
        });
    }
}

async fn connection(client: TcpStream, server: TcpStream, controls: &Controls) {
    for socket in [&client, &server] {
        let _ = socket.set_nodelay(true);
        // A cut is a reset, as of a machine that lost its memory.
        let _ = socket.set_zero_linger();
    }
    let mut cut = controls.cut.subscribe();
    let before = cut.borrow().times;
    let number = controls.connections.fetch_add(1, Ordering::Relaxed);
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    controls.live().insert(number);
    let ours = cut.wait_for(|cut| cut.times > before && cut.only.is_none_or(|only| only == number));
    tokio::select! {
        () = pass(from_client, to_server, controls, Stream::new(number, Way::ToServer)) => {}
        () = pass(from_server, to_client, controls, Stream::new(number, Way::ToClient)) => {}
        _ = ours => {}
    }
    controls.live().remove(&number);
}

/// Reads and writes apart, so that what is delayed does not hold up what follows.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, controls: &Controls, mut stream: Stream) {
    let way = stream.way();
    let mut frames = Frames::default();
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if way == Way::ToServer {
                controls.requests.fetch_add(frames.begun_in(&buffer[..n]), Ordering::Relaxed);
            }
            let delay = Duration::from_micros(controls.delay_micros.load(Ordering::Relaxed));
            if sender.send((Instant::now() + delay, buffer[..n].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        let mut stalled = controls.stalled[way as usize].subscribe();
        while let Some((due, data)) = receiver.recv().await {
            sleep_until(due).await;
            if stalled.wait_for(|stalled| !stalled).await.is_err() {
                return;
            }
            let (bytes, cut) = stream.pass(&data, &controls.tampering);
            if way == Way::ToClient
                && let Some(record) = &mut *controls.record.lock().expect("no panic while it is held")
            {
                record.extend_from_slice(&bytes);
            }
            let written = to.write_all(&bytes).await;
            if cut {
                controls.cut(None);
            }
            if written.is_err() || cut {
                return;
            }
            let rate = controls.rate.load(Ordering::Relaxed);
            if rate > 0 {
                sleep(Duration::from_secs_f64(bytes.len() as f64 / rate as f64)).await;
            }
        }
    };
    tokio::join!(reading, writing);
}

/// Where in a stream of messages, each with its length before it ([MS-SMB2] 2.1), a reader is.
#[derive(Debug, Default)]
struct Frames {
    /// As much of the next length as has come.
    head: Vec<u8>,
    /// What is still to come of the message before it.
    left: usize,
}

impl Frames {
    /// How many messages begin in this piece of the stream; one begins when all of its length is there.
    fn begun_in(&mut self, mut data: &[u8]) -> u64 {
        let mut begun = 0;
        while !data.is_empty() {
            let (body, rest) = data.split_at(self.left.min(data.len()));
            self.left -= body.len();
            let (head, rest) = rest.split_at(rest.len().min(4 - self.head.len()));
            self.head.extend_from_slice(head);
            data = rest;
            if let [_, a, b, c] = self.head[..] {
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                self.head.clear();
                begun += 1;
            }
        }
        begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for length in [1_u32, 0, 70, 300, 5, 0] {
            stream.extend_from_slice(&length.to_be_bytes());
            stream.resize(stream.len() + length as usize, 0xff);
        }
        for piece in 1..stream.len() + 1 {
            let mut frames = Frames::default();
            let begun: u64 = stream.chunks(piece).map(|data| frames.begun_in(data)).sum();
            assert_eq!(begun, 6, "in pieces of {piece}");
        }
    }
}
