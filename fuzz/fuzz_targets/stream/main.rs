//! A whole server as a stream of bytes: reassembly, keys, events, and a client that keeps asking.
//!
//! The input is a script. Its first byte says what the server negotiates; then each step either sends bytes as they
//! are, or sends a message of the fuzzer's making under the session's own key, so that what lies behind signature and
//! encryption is reached, or lets the client ask, give up or wait.
#![no_main]

mod server;

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use server::{SESSION_ID, Server, TREE_ID, fixed_key};
use smb_proto::conn::{
    Chain, Connection, ConnectionConfig, ConnectionError, Event, Inbound, PeerMisbehaved, SessionConfig, Token,
};
use smb_proto::crypto::rust_crypto;
use smb_proto::fscc::FileAttributes;
use smb_proto::wire::*;

/// What a step does; its number in the script modulo their count. Then comes its argument, which for those that
/// carry bytes is a quarter of how many. `make seeds` knows these numbers too.
#[derive(Clone, Copy)]
enum Step {
    /// Bytes as they are, not even a frame.
    Bytes,
    /// A frame with these bytes, unprotected.
    Frame,
    /// These bytes as a message under the session's key.
    Sealed,
    /// The oldest request's answer, with these bytes as its body.
    Answer,
    /// The same with a status that is no success.
    Refuse,
    /// The oldest request's proper answer.
    Proper,
    Interim,
    Ask,
    GiveUp,
    Wait,
}

const STEPS: [Step; 10] = [
    Step::Bytes,
    Step::Frame,
    Step::Sealed,
    Step::Answer,
    Step::Refuse,
    Step::Proper,
    Step::Interim,
    Step::Ask,
    Step::GiveUp,
    Step::Wait,
];

const STATUSES: [u32; 8] =
    [0x8000_0005, 0xC000_0016, 0x103, 0xC000_0022, 0xC000_0203, 0x8000_0006, 0x10C, 0xC000_020C];

struct Client {
    machine: Connection,
    now: Instant,
    received: BytesMut,
    tokens: Vec<Token>,
    done: usize,
}

impl Client {
    /// What smb-client's receiver does, without a socket.
    fn receive(&mut self, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        while self.machine.closed().is_none() && self.received.len() >= 4 {
            let prefix = [self.received[0], self.received[1], self.received[2], self.received[3]];
            let length = match frame_length(prefix) {
                Ok(length) if length > self.machine.max_frame() => {
                    self.machine.close(PeerMisbehaved::FrameTooLarge(length).into());
                    return;
                }
                Ok(length) => length,
                Err(error) => return self.machine.close(error.into()),
            };
            if self.received.len() < 4 + length {
                return self.machine.note_progress(self.now);
            }
            self.received.advance(4);
            let frame = self.received.split_to(length);
            match self.machine.accept(frame).and_then(Inbound::open) {
                Ok(opened) => self.machine.handle(self.now, opened),
                Err(error) => self.machine.close(error),
            }
        }
    }

    fn frame(&mut self, frame: &[u8]) {
        let mut bytes = frame_prefix(frame.len().min(MAX_FRAME)).to_vec();
        bytes.extend_from_slice(frame);
        self.receive(&bytes);
    }

    /// Takes what is to be sent to the server, and what happened.
    fn work(&mut self, server: &mut Server) {
        while let Some(outbound) = self.machine.poll_transmit() {
            let Ok(frame) = outbound.seal() else { continue };
            server.receive(&frame.into_vec());
        }
        while let Some(event) = self.machine.poll_event() {
            if let Event::Done { token, .. } | Event::Unaffordable { token, .. } = event {
                let at = self.tokens.iter().position(|t| *t == token).expect("one event for each token");
                self.tokens.swap_remove(at);
                self.done += 1;
            }
        }
    }

    fn ask(&mut self, kind: u8) {
        let file_id = FileId { persistent: 1, volatile: 2 };
        let query = |file_id| {
            Request::QueryInfo(QueryInfoRequest {
                info_type: InfoType::File,
                info_class: 18,
                max_output: 4096,
                additional: 0,
                flags: 0,
                file_id,
                input: Bytes::new(),
            })
        };
        let close = |file_id| Request::Close(CloseRequest { query_attributes: true, file_id });
        let requests = match kind % 10 {
            0 => vec![Request::Echo(Empty)],
            1 => vec![create()],
            2 => vec![create(), query(FileId::RELATED), close(FileId::RELATED)],
            3 => vec![Request::Read(ReadRequest { flags: 0, length: 70_000, offset: 0, file_id, minimum_count: 0 })],
            4 => vec![Request::QueryDirectory(QueryDirectoryRequest {
                info_class: 37,
                flags: QueryDirectoryFlags::empty(),
                file_index: 0,
                file_id,
                pattern: "*".into(),
                max_output: 65_536,
            })],
            5 => vec![Request::ChangeNotify(ChangeNotifyRequest {
                watch_tree: true,
                max_output: 4096,
                file_id,
                filter: 0xFFF,
            })],
            6 => vec![Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x".into() })],
            7 => vec![query(file_id), close(file_id)],
            8 => vec![Request::TreeDisconnect(Empty)],
            _ => vec![Request::Logoff(Empty)],
        };
        let timeout = (kind & 0x80 != 0).then(|| Duration::from_secs(u64::from(kind & 0x1F)));
        let chain = Chain {
            session_id: SESSION_ID,
            tree_id: TREE_ID,
            requests,
            timeout,
            channel_sequence: 0,
            replay: false,
        };
        if let Ok(token) = self.machine.send(self.now, chain) {
            self.tokens.push(token);
        }
    }
}

fn create() -> Request {
    Request::Create(CreateRequest {
        oplock: OplockLevel::None,
        impersonation: 2,
        access: AccessMask::READ_DATA,
        attributes: FileAttributes::empty(),
        share_access: ShareAccess::READ,
        disposition: CreateDisposition::Open,
        options: CreateOptions::empty(),
        name: "x".into(),
        contexts: Vec::new(),
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let now = Instant::now();
    let mut server = Server::new(how);
    let Ok(machine) = Connection::new(ConnectionConfig::default(), rust_crypto(), now) else { return };
    let mut client = Client { machine, now, received: BytesMut::new(), tokens: Vec::new(), done: 0 };
    client.work(&mut server);
    // A proper beginning for most, so that the fuzzer need not find it.
    if how & 0x40 == 0 {
        settle(&mut client, &mut server);
        let encrypt = how & 0x20 != 0 && client.machine.negotiated().is_some_and(|n| n.cipher.is_some());
        let config = SessionConfig { sign: true, encrypt, allow_guest: false, previous_session_id: 0 };
        let _ = client.machine.authenticate(now, fixed_key(), config);
        settle(&mut client, &mut server);
        client.ask(6);
        settle(&mut client, &mut server);
        assert_eq!((client.done, client.machine.closed()), (1, None));
    }
    while let [step, argument, tail @ ..] = rest {
        let step = STEPS[usize::from(*step) % STEPS.len()];
        let takes = matches!(step, Step::Bytes | Step::Frame | Step::Sealed | Step::Answer);
        let (payload, after) = tail.split_at(if takes { tail.len().min(usize::from(*argument) * 4) } else { 0 });
        rest = after;
        match step {
            Step::Bytes => client.receive(payload),
            Step::Frame => client.frame(payload),
            Step::Sealed => {
                if let Some(frame) = server.seal(payload.to_vec(), None) {
                    client.frame(&frame);
                }
            }
            Step::Answer => {
                if let Some(frame) = server.answer_with(0, payload) {
                    client.frame(&frame);
                }
            }
            Step::Refuse => {
                let status = STATUSES[usize::from(*argument) % STATUSES.len()];
                if let Some(frame) = server.answer_with(status, &[9, 0, 0, 0, 0, 0, 0, 0, 0]) {
                    client.frame(&frame);
                }
            }
            Step::Proper => {
                if let Some(frame) = server.proper() {
                    client.frame(&frame);
                }
            }
            Step::Interim => {
                if let Some(frame) = server.interim(*argument) {
                    client.frame(&frame);
                }
            }
            Step::Ask => client.ask(*argument),
            Step::GiveUp => {
                if !client.tokens.is_empty() {
                    let at = usize::from(*argument >> 1) % client.tokens.len();
                    if argument & 1 == 0 {
                        client.machine.cancel(client.tokens[at]);
                    } else {
                        client.machine.abandon(client.tokens.swap_remove(at));
                    }
                }
            }
            Step::Wait => {
                client.now += Duration::from_secs(u64::from(argument & 0x1F));
                client.machine.handle_timeout(client.now);
            }
        }
        client.work(&mut server);
        let activity = client.machine.activity();
        assert!(activity.credits <= 65_535);
        if client.machine.closed().is_some() {
            break;
        }
    }
    client.machine.close(ConnectionError::Lost);
    client.work(&mut server);
    assert!(client.tokens.is_empty(), "somebody still waits");
    let activity = client.machine.activity();
    assert_eq!((activity.waiting, activity.in_flight, activity.unsent), (0, 0, 0));
});

fn settle(client: &mut Client, server: &mut Server) {
    client.work(server);
    while let Some(frame) = server.proper() {
        client.frame(&frame);
        client.work(server);
    }
}
