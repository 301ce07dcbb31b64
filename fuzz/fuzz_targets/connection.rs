//! A whole server's stream into the connection machine: frames of any content at any time.
#![no_main]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use smb_proto::auth::{Credentials, NtlmConfig, ntlm};
use smb_proto::conn::{Chain, Connection, ConnectionConfig, Event, Inbound, SessionConfig};
use smb_proto::crypto::rust_crypto;
use smb_proto::fscc::FileTime;
use smb_proto::wire::{
    Capabilities, Empty, Guid, Header, NegotiateContext, NegotiateResponse, Request, Response, SecurityMode,
    encode_message,
};

/// A proper answer to NEGOTIATE, so that the fuzzer gets past it.
fn negotiated(dialect: u16) -> Vec<u8> {
    let body = Response::Negotiate(NegotiateResponse {
        security_mode: SecurityMode::SIGNING_ENABLED,
        dialect,
        server_guid: Guid([1; 16]),
        capabilities: Capabilities::LARGE_MTU | Capabilities::ENCRYPTION,
        max_transact: 65536,
        max_read: 65536,
        max_write: 65536,
        system_time: FileTime(1),
        start_time: FileTime(1),
        token: Bytes::new(),
        contexts: vec![NegotiateContext::PreauthIntegrity { algorithms: vec![1], salt: Bytes::new() }],
    });
    let request = Header::request(body.command(), 0);
    let mut out = Vec::new();
    encode_message(&mut out, &Header::response_to(&request, 0, 10), |w| body.encode(w));
    out
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, mut rest)) = data.split_first() else { return };
    let mut now = Instant::now();
    let Ok(mut connection) = Connection::new(ConnectionConfig::default(), rust_crypto(), now) else { return };
    if how & 1 != 0 {
        let dialect = [0x0202, 0x0210, 0x0302, 0x0311][usize::from(how >> 1) % 4];
        feed(&mut connection, now, &negotiated(dialect));
        let credentials =
            Credentials::Password { user: "u".into(), domain: String::new(), password: "p".to_string().into() };
        let ntlm_config = NtlmConfig { workstation: String::new(), target_name: "s".into(), now: FileTime(1) };
        let config = SessionConfig { sign: true, encrypt: false, allow_guest: how & 8 != 0, previous_session_id: 0 };
        if let Ok(login) = ntlm(credentials, ntlm_config, rust_crypto()) {
            let _ = connection.authenticate(now, login, config);
        }
    }
    while let [length, time, tail @ ..] = rest {
        let (frame, after) = tail.split_at(tail.len().min(usize::from(*length) * 2));
        rest = after;
        now += Duration::from_secs(u64::from(*time & 0x1F));
        connection.handle_timeout(now);
        feed(&mut connection, now, frame);
        let mut sessions = Vec::new();
        while let Some(event) = connection.poll_event() {
            if let Event::SessionReady { session_id, .. } = event {
                sessions.push(session_id);
            }
        }
        for session_id in sessions {
            let _ = connection.send(now, Chain::one(session_id, 0, Request::Echo(Empty)));
        }
        while let Some(outbound) = connection.poll_transmit() {
            let _ = outbound.seal();
        }
        assert!(connection.poll_timeout().is_none_or(|at| connection.closed().is_none() && at > now - Duration::from_secs(120)));
    }
});

fn feed(connection: &mut Connection, now: Instant, frame: &[u8]) {
    match connection.accept(BytesMut::from(frame)).and_then(Inbound::open) {
        Ok(opened) => connection.handle(now, opened),
        Err(error) => connection.close(error),
    }
}
