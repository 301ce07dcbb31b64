//! Servers that lie about what there is to know of a file, or never stop telling.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sharefs_tests::{Answer, Impostor, Manner, Samba};
use smb_client::wire::{
    BreakBody, BufferResponse, Command, Header, HeaderFlags, IoctlResponse, LeaseBreakNotification, Request,
    Response, Wire, encode_message, frame_prefix, fsctl,
};
use smb_client::{
    Break, ConnectionError, Error, LeaseState, LockRange, NtStatus, OpenOptions, PathLease, PeerMisbehaved,
    Share,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::help::connect;

const NO_LEASE: PathLease = PathLease { key: None, parent: None };

async fn ends<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.expect("no hanging")
}

async fn share(impostor: &Impostor) -> Share {
    connect(&impostor.options()).await.share("data").await.expect("the share")
}

fn told(status: NtStatus, data: Vec<u8>) -> Answer {
    Answer::Body(status, Response::QueryInfo(BufferResponse { data: data.into() }))
}

fn controlled(request: &Request, status: NtStatus, output: Vec<u8>) -> Answer {
    let Request::Ioctl(asked) = request else { panic!("no control code") };
    let body = IoctlResponse { code: asked.code, file_id: asked.file_id, output: output.into() };
    Answer::Body(status, Response::Ioctl(body))
}

/// One attribute `A` with the value `x`.
const ATTRIBUTE: [u8; 11] = [0, 0, 0, 0, 0, 1, 1, 0, b'A', 0, b'x'];

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_once_more() {
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
        Request::QueryInfo(_) if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            Some(told(NtStatus::BUFFER_OVERFLOW, vec![0; 8]))
        }
        Request::QueryInfo(_) => Some(told(NtStatus::SUCCESS, ATTRIBUTE.to_vec())),
        _ => None,
    })
    .await;
    let share = share(&impostor).await;
    let all = ends(share.extended_attributes("file", NO_LEASE)).await.expect("the second answer");
    assert_eq!((all.len(), &all[0].value[..]), (1, &b"x"[..]));
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_answer_that_never_fits_is_an_error() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::QueryInfo(_) => Some(told(NtStatus::BUFFER_OVERFLOW, vec![0; 8])),
        _ => None,
    })
    .await;
    let share = share(&impostor).await;
    let all = ends(share.extended_attributes("file", NO_LEASE)).await;
    assert!(matches!(all, Err(Error::TooLarge)), "{all:?}");
    let streams = ends(share.streams("file")).await;
    assert!(matches!(streams, Err(Error::TooLarge)), "{streams:?}");
}

#[tokio::test]
async fn nonsense_is_an_error_and_no_more() {
    for data in [vec![], vec![0xFF; 3], vec![0xFF; 500], [&[12, 0, 0, 0][..], &[0xFF; 40]].concat()] {
        let lie = data.clone();
        let impostor = Impostor::start(Manner::Whole, move |_, request| match request {
            Request::QueryInfo(_) => Some(told(NtStatus::SUCCESS, lie.clone())),
            Request::QueryDirectory(_) => Some(Answer::Body(
                NtStatus::SUCCESS,
                Response::QueryDirectory(BufferResponse { data: lie.clone().into() }),
            )),
            Request::Ioctl(_) => Some(controlled(request, NtStatus::SUCCESS, lie.clone())),
            _ => None,
        })
        .await;
        let share = share(&impostor).await;
        let parts = smb_client::security::SecurityInformation::DACL;
        let empty = data.is_empty();
        assert_eq!(ends(share.extended_attributes("file", NO_LEASE)).await.is_ok(), empty, "{data:?}");
        assert_eq!(ends(share.streams("file")).await.is_ok(), empty, "{data:?}");
        assert!(ends(share.security("file", parts, NO_LEASE)).await.is_err(), "{data:?}");
        assert!(ends(share.posix_metadata("file")).await.is_err(), "{data:?}");
        assert!(ends(share.read_special("file")).await.is_err(), "{data:?}");
        assert!(ends(share.snapshots("file")).await.is_err(), "{data:?}");
        let file = share.open("file", &OpenOptions::read()).await.expect("open");
        assert_eq!(ends(file.allocated_ranges(0, 100)).await.is_ok(), empty, "{data:?}");
        let folder = share.open_dir("folder").await.expect("open");
        assert_eq!(ends(folder.next_posix_entries()).await.is_ok(), empty, "{data:?}");
    }
}

#[tokio::test]
async fn ranges_without_an_end_end() {
    // Always the same range, and always more to come.
    let again = |range: [u64; 2]| {
        move |_: &Header, request: &Request| match request {
            Request::Ioctl(asked) if asked.code == fsctl::QUERY_ALLOCATED_RANGES => {
                let data = range.iter().flat_map(|number| number.to_le_bytes()).collect();
                Some(controlled(request, NtStatus::BUFFER_OVERFLOW, data))
            }
            _ => None,
        }
    };
    for range in [[0, 0], [0, 10], [u64::MAX, 1]] {
        let impostor = Impostor::start(Manner::Whole, again(range)).await;
        let file = share(&impostor).await.open("file", &OpenOptions::read()).await.expect("open");
        let ranges = ends(file.allocated_ranges(0, 1 << 40)).await;
        assert!(matches!(ranges, Err(Error::Malformed(_))), "{ranges:?}");
    }
    // One byte further each time.
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::Ioctl(asked) if asked.code == fsctl::QUERY_ALLOCATED_RANGES => {
            let data = [&asked.input[..8], &1_u64.to_le_bytes()].concat();
            Some(controlled(request, NtStatus::BUFFER_OVERFLOW, data))
        }
        _ => None,
    })
    .await;
    let file = share(&impostor).await.open("file", &OpenOptions::read()).await.expect("open");
    let ranges = ends(file.allocated_ranges(0, 1 << 40)).await;
    assert!(matches!(ranges, Err(Error::Malformed(_))), "{ranges:?}");
    // Holes without number, from one end of the file to the other.
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::Ioctl(asked) if asked.code == fsctl::QUERY_ALLOCATED_RANGES => {
            let at = u64::from_le_bytes(asked.input[..8].try_into().expect("eight bytes"));
            let ranges = (0..4000u64).flat_map(|i| [at + 2 * i + 1, 1]);
            let data = ranges.flat_map(u64::to_le_bytes).collect();
            Some(controlled(request, NtStatus::BUFFER_OVERFLOW, data))
        }
        _ => None,
    })
    .await;
    let file = share(&impostor).await.open("file", &OpenOptions::read()).await.expect("open");
    assert_eq!(ends(file.allocated_ranges(0, 1 << 40)).await.expect("ranges").len(), 65_536);
}

#[tokio::test]
async fn snapshots_that_never_come_whole() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::Ioctl(_) => {
            let data = [u32::MAX, 0, u32::MAX].iter().flat_map(|number| number.to_le_bytes()).collect();
            Some(controlled(request, NtStatus::SUCCESS, data))
        }
        _ => None,
    })
    .await;
    let snapshots = ends(share(&impostor).await.snapshots("")).await;
    assert!(matches!(snapshots, Err(Error::TooLarge)), "{snapshots:?}");
}

#[tokio::test]
async fn a_lock_that_is_refused_or_never_answered() {
    let impostor = Impostor::start(Manner::Whole, |_, request| match request {
        Request::Lock(lock) if lock.locks[0].offset == 0 => Some(Answer::Silence),
        Request::Lock(_) => Some(Answer::Refusal(NtStatus::LOCK_NOT_GRANTED)),
        _ => None,
    })
    .await;
    let file = share(&impostor).await.open("file", &OpenOptions::read()).await.expect("open");
    let refused = ends(file.lock(&[LockRange::shared(1, 1)], true)).await;
    assert_eq!(refused.expect_err("a refusal").status(), Some(NtStatus::LOCK_NOT_GRANTED));
    let silent = timeout(Duration::from_millis(100), file.lock(&[LockRange::shared(0, 1)], true)).await;
    assert!(silent.is_err());
    file.flush().await.expect("the connection is as good as ever");
}

/// The frame of a break of the lease with this key.
fn broken(key: u64) -> Vec<u8> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&key.to_le_bytes());
    let body = BreakBody::LeaseNotification(LeaseBreakNotification {
        epoch: 1,
        ack_required: false,
        key: bytes,
        current: LeaseState::READ,
        new: LeaseState::empty(),
    });
    let mut header = Header::request(Command::OplockBreak, u64::MAX);
    header.flags = HeaderFlags::SERVER_TO_REDIR;
    let mut message = Vec::new();
    encode_message(&mut message, &header, |w| body.encode(w));
    let prefix = frame_prefix(message.len());
    [&prefix[..], &message].concat()
}

/// Before a server, somebody who lets everything through and, once told to, breaks leases that nobody has.
async fn meddler(samba: &Samba, breaks: u64) -> (std::net::SocketAddr, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let (address, server) = (listener.local_addr().expect("an address"), samba.socket());
    let go = Arc::new(Notify::new());
    let told = go.clone();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.expect("a client");
        let server = TcpStream::connect(server).await.expect("the server");
        let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        loop {
            let mut prefix = [0; 4];
            tokio::select! {
                read = from_server.read_exact(&mut prefix) => {
                    let Ok(_) = read else { return };
                    let mut frame = vec![0; u32::from_be_bytes(prefix) as usize];
                    let Ok(_) = from_server.read_exact(&mut frame).await else { return };
                    let Ok(()) = to_client.write_all(&[&prefix[..], &frame].concat()).await else { return };
                }
                () = told.notified() => {
                    let flood: Vec<u8> = (0..breaks).flat_map(broken).collect();
                    let Ok(()) = to_client.write_all(&flood).await else { return };
                }
            }
        }
    });
    (address, go)
}

#[tokio::test]
async fn a_flood_of_breaks_ends_the_connection() {
    let samba = Samba::start();
    let (address, go) = meddler(&samba, 70_000).await;
    let options = samba.options().address(address.ip()).port(address.port());
    let client = connect(&options).await;
    let mut breaks = client.breaks().expect("breaks");
    let share = client.share("data").await.expect("the share");
    go.notify_one();
    let flooded = ConnectionError::PeerMisbehaved(PeerMisbehaved::TooManyBreaks);
    ends(async {
        while share.closed().is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(share.closed(), Some(flooded));
    assert_eq!(ends(breaks.next()).await, None);
}

#[tokio::test]
async fn breaks_of_leases_that_nobody_has_do_no_harm() {
    let samba = Samba::start();
    let (address, go) = meddler(&samba, 50_000).await;
    let options = samba.options().address(address.ip()).port(address.port());
    let client = connect(&options).await;
    let mut breaks = client.breaks().expect("breaks");
    let share = client.share("data").await.expect("the share");
    go.notify_one();
    for i in 0..50_000_u64 {
        let Some(Break::Lease { key, acknowledge, .. }) = ends(breaks.next()).await else { panic!("{i}") };
        assert_eq!((&key.0[..8], acknowledge), (&i.to_le_bytes()[..], false));
    }
    share.write("file", Bytes::from_static(b"x")).await.expect("write");
    let gone = share.acknowledge_lease(client.lease_key(), LeaseState::empty()).await;
    assert!(gone.as_ref().is_err_and(|error| error.status().is_some()), "{gone:?}");
}
