//! A server double that lets everybody in as nobody and then lies.
//!
//! Sessions of nobody have no key, so it need not sign what it makes up: what the client does with names, listings
//! and lengths is the same as in any other session.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use smb_client::wire::{
    Capabilities, CloseResponse, Command, CreateAction, CreateResponse, Dialect, Empty, ErrorResponse,
    FileId, FileTimes, Guid, Header, HeaderFlags, MAX_FRAME, NegotiateContext, NegotiateResponse,
    OplockLevel, Request, Response, Route, SecurityMode, SessionFlags, SessionSetupResponse,
    ShareCapabilities, ShareFlags, ShareType, TreeConnectResponse, Wire, encode_message, frame_length,
    frame_prefix, split_compound,
};
use smb_client::{ConnectOptions, Credentials, FileAttributes, FileTime, NtStatus};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::address::free_address;

/// What an impostor says to a request instead of the proper answer; `None` for the proper one.
pub type Lie = dyn Fn(&Header, &Request) -> Option<Answer> + Send + Sync;

/// An answer to a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A body and its status.
    Body(NtStatus, Response),
    /// A status without a body.
    Refusal(NtStatus),
    /// No answer at all.
    Silence,
    /// The proper answer up to this byte of its frame, and nothing more.
    Cut(usize),
}

/// How an impostor's bytes reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Each frame at once.
    Whole,
    /// Each byte in a packet of its own.
    ByteByByte,
    /// Not at all: it accepts the connection and reads.
    Mute,
}

/// A listening impostor. It ends, with its connections, when dropped.
#[derive(Debug)]
pub struct Impostor {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Impostor {
    /// A server that answers by `lie`.
    pub async fn start(
        manner: Manner,
        lie: impl Fn(&Header, &Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let address = free_address();
        let listener = TcpListener::bind(address).await.expect("the impostor's address is free");
        let lie: Arc<Lie> = Arc::new(lie);
        let task = tokio::spawn(async move {
            // Aborted with this task.
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let _ = socket.set_nodelay(true);
                let lie = lie.clone();
                connections.spawn(async move { serve(socket, manner, &*lie).await });
            }
        });
        Self { address, task }
    }

    /// The impostor's address.
    pub const fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// Options that log in as nobody.
    pub fn options(&self) -> ConnectOptions {
        ConnectOptions::new(self.address().to_string(), Credentials::Anonymous).port(self.address.port())
    }
}

/// Until the client goes or the impostor has said all that it will.
async fn serve(mut socket: TcpStream, manner: Manner, lie: &Lie) {
    while let Some(frame) = receive(&mut socket).await {
        if manner == Manner::Mute {
            continue;
        }
        let Ok(messages) = split_compound(&frame) else { return };
        // A chain is answered message by message.
        for (header, message) in messages {
            let Ok(request) = Request::decode(header.command, &message) else { return };
            if header.command == Command::Cancel {
                continue;
            }
            let (mut status, mut body) = proper(&header, &request);
            let mut cut = None;
            match lie(&header, &request) {
                None => {}
                Some(Answer::Body(other, lie)) => (status, body) = (other, Some(lie)),
                Some(Answer::Refusal(other)) => (status, body) = (other, None),
                Some(Answer::Silence) => continue,
                Some(Answer::Cut(at)) => cut = Some(at),
            }
            let mut frame = encode(&header, status, body.as_ref());
            if let Some(at) = cut {
                frame.truncate(at);
            }
            let piece = if manner == Manner::ByteByByte { 1 } else { frame.len().max(1) };
            for piece in frame.chunks(piece) {
                if socket.write_all(piece).await.is_err() {
                    return;
                }
                if manner == Manner::ByteByByte {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

async fn receive(socket: &mut TcpStream) -> Option<Bytes> {
    let mut prefix = [0; 4];
    socket.read_exact(&mut prefix).await.ok()?;
    let mut frame = vec![0; frame_length(prefix).ok()?];
    socket.read_exact(&mut frame).await.ok()?;
    Some(frame.into())
}

fn encode(request: &Header, status: NtStatus, body: Option<&Response>) -> Vec<u8> {
    let mut header = Header::response_to(request, status.0, 64);
    match body {
        Some(Response::SessionSetup(_)) => header.session_id = 0x77,
        Some(Response::TreeConnect(_)) => header.route = Route::Sync { tree_id: 3 },
        _ => {}
    }
    header.flags = HeaderFlags::SERVER_TO_REDIR;
    let mut message = Vec::new();
    encode_message(&mut message, &header, |w| match body {
        Some(body) => body.encode(w),
        None => ErrorResponse::default().encode(w),
    });
    let mut frame = frame_prefix(message.len().min(MAX_FRAME)).to_vec();
    frame.extend_from_slice(&message);
    frame
}

/// An NTLM challenge: the server's name and nothing else.
fn challenge() -> Bytes {
    let mut out = b"NTLMSSP\0\x02\0\0\0".to_vec();
    // No target name; the flags that clients insist on; the server's challenge.
    out.extend_from_slice(&[0, 0, 0, 0, 56, 0, 0, 0]);
    out.extend_from_slice(&0xE288_8215_u32.to_le_bytes());
    out.extend_from_slice(b"nonce!!!");
    out.extend_from_slice(&[0; 8]);
    let info = [&[2, 0, 2, 0, b'D', 0][..], &[0; 4]].concat();
    out.extend_from_slice(&[10, 0, 10, 0, 56, 0, 0, 0]);
    out.extend_from_slice(&[6, 1, 0, 0, 0, 0, 0, 15]);
    out.extend_from_slice(&info);
    out.into()
}

/// What an honest server would say.
fn proper(header: &Header, request: &Request) -> (NtStatus, Option<Response>) {
    let body = match request {
        Request::Negotiate(_) => Response::Negotiate(NegotiateResponse {
            security_mode: SecurityMode::SIGNING_ENABLED,
            dialect: Dialect::Smb311 as u16,
            server_guid: Guid([7; 16]),
            capabilities: Capabilities::LARGE_MTU,
            max_transact: 1 << 20,
            max_read: 1 << 20,
            max_write: 1 << 20,
            system_time: FileTime::ZERO,
            start_time: FileTime::ZERO,
            token: Bytes::new(),
            contexts: vec![NegotiateContext::PreauthIntegrity { algorithms: vec![1], salt: Bytes::new() }],
        }),
        Request::SessionSetup(_) if header.session_id == 0 => {
            let body = SessionSetupResponse { flags: SessionFlags::empty(), token: challenge() };
            return (NtStatus::MORE_PROCESSING_REQUIRED, Some(Response::SessionSetup(body)));
        }
        Request::SessionSetup(_) => {
            Response::SessionSetup(SessionSetupResponse { flags: SessionFlags::IS_NULL, token: Bytes::new() })
        }
        Request::TreeConnect(_) => Response::TreeConnect(TreeConnectResponse {
            share_type: ShareType::Disk,
            flags: ShareFlags::empty(),
            capabilities: ShareCapabilities::empty(),
            maximal_access: 0x1F_01FF,
        }),
        Request::Create(_) => Response::Create(CreateResponse {
            oplock: OplockLevel::None,
            flags: 0,
            action: CreateAction::Opened,
            times: FileTimes::default(),
            allocation_size: 0,
            end_of_file: 0,
            attributes: FileAttributes::NORMAL,
            file_id: FileId { persistent: 1, volatile: 2 },
            contexts: Vec::new(),
        }),
        Request::Close(_) => Response::Close(CloseResponse::default()),
        Request::Flush(_) => Response::Flush(Empty),
        Request::Echo(_) => Response::Echo(Empty),
        Request::TreeDisconnect(_) => Response::TreeDisconnect(Empty),
        Request::Logoff(_) => Response::Logoff(Empty),
        _ => return (NtStatus::NO_MORE_FILES, None),
    };
    (NtStatus::SUCCESS, Some(body))
}

/// A FileIdBothDirectoryInformation list of such names, as UTF-16 units that need not be text
/// ([MS-FSCC] 2.4.18).
pub fn listing(names: &[Vec<u16>]) -> Bytes {
    let mut out = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let start = out.len();
        out.resize(start + 104, 0);
        let length = u32::try_from(2 * name.len()).unwrap_or(u32::MAX);
        out[start + 60..start + 64].copy_from_slice(&length.to_le_bytes());
        out.extend(name.iter().flat_map(|unit| unit.to_le_bytes()));
        if i + 1 < names.len() {
            out.resize(out.len().next_multiple_of(8), 0);
            let next = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
            out[start..start + 4].copy_from_slice(&next.to_le_bytes());
        }
    }
    out.into()
}
