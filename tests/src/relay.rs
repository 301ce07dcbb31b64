//! A TCP relay that makes the network's trouble: delay, silence, connections cut in the middle of a message. It also
//! counts what a client asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::address::free_address;

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
    /// What the server may still say before all connections are cut.
    server_bytes_left: AtomicU64,
    stalled: watch::Sender<bool>,
    cut: watch::Sender<u64>,
    /// Messages that clients sent.
    requests: AtomicU64,
    /// All that the servers said, if it is to be kept.
    record: Mutex<Option<Vec<u8>>>,
}

impl Relay {
    /// A relay that so far does no harm.
    pub async fn start(server: SocketAddr) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).await.expect("the relay's address is free");
        let controls = Arc::new(Controls {
            delay_micros: AtomicU64::new(0),
            server_bytes_left: AtomicU64::new(u64::MAX),
            stalled: watch::channel(false).0,
            cut: watch::channel(0).0,
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
        self.controls.stalled.send_replace(stalled);
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.controls.cut.send_modify(|count| *count += 1);
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
        self.controls.server_bytes_left.store(bytes, Ordering::Relaxed);
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
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, controls, false) => {}
        () = pass(from_server, to_client, controls, true) => {}
        _ = cut.changed() => {}
    }
}

/// Reads and writes apart, so that what is delayed does not hold up what follows.
async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, controls: &Controls, of_server: bool) {
    let mut frames = Frames::default();
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(1024);
    let reading = async move {
        let mut buffer = vec![0; 65_536];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if !of_server {
                controls.requests.fetch_add(frames.begun_in(&buffer[..n]), Ordering::Relaxed);
            }
            let delay = Duration::from_micros(controls.delay_micros.load(Ordering::Relaxed));
            if sender.send((Instant::now() + delay, buffer[..n].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        let mut stalled = controls.stalled.subscribe();
        while let Some((due, data)) = receiver.recv().await {
            sleep_until(due).await;
            if stalled.wait_for(|stalled| !stalled).await.is_err() {
                return;
            }
            let length = data.len() as u64;
            let left = if of_server {
                let take = |left: u64| (left != u64::MAX).then(|| left.saturating_sub(length));
                match controls.server_bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                    Ok(left) => left,
                    Err(unlimited) => unlimited,
                }
            } else {
                u64::MAX
            };
            if of_server
                && let Some(record) = &mut *controls.record.lock().expect("no panic while it is held")
            {
                record.extend_from_slice(&data);
            }
            let allowed = usize::try_from(left.min(length)).unwrap_or(data.len());
            let written = to.write_all(&data[..allowed]).await;
            if allowed < data.len() {
                controls.server_bytes_left.store(u64::MAX, Ordering::Relaxed);
                controls.cut.send_modify(|count| *count += 1);
            }
            if written.is_err() || allowed < data.len() {
                return;
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
