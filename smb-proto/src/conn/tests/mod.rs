//! The connection against a scripted server, in virtual time.

mod hostile;
mod pair;
mod schedules;
mod toy;

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::crypto::{Cipher, SigningAlgorithm, rust_crypto};
use crate::fscc::FileAttributes;
use crate::status::NtStatus;
use crate::wire::*;
use pair::{Pair, SESSION_ID, Script, Server, TREE_ID, create_response};

fn read(length: u32) -> Request {
    let file_id = FileId { persistent: 1, volatile: 2 };
    Request::Read(ReadRequest { flags: 0, length, offset: 0, file_id, minimum_count: 0 })
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

fn script(dialect: Dialect) -> Script {
    let (signing, cipher, capabilities) = match dialect {
        Dialect::Smb202 => (SigningAlgorithm::HmacSha256, None, Capabilities::empty()),
        Dialect::Smb210 => (SigningAlgorithm::HmacSha256, None, Capabilities::LARGE_MTU),
        Dialect::Smb300 | Dialect::Smb302 => (
            SigningAlgorithm::AesCmac,
            Some(Cipher::Aes128Ccm),
            Capabilities::LARGE_MTU | Capabilities::ENCRYPTION,
        ),
        Dialect::Smb311 => (SigningAlgorithm::AesGmac, Some(Cipher::Aes128Gcm), Capabilities::LARGE_MTU),
    };
    Script { dialect, signing, cipher, capabilities, ..Script::default() }
}

#[test]
fn each_dialect_signs_and_encrypts() {
    for dialect in Dialect::ALL {
        for encrypt in [false, true] {
            if encrypt && dialect < Dialect::Smb300 {
                continue;
            }
            let mut pair = Pair::ready(script(dialect), encrypt);
            let token = pair.send(read(9));
            pair.settle();
            match &pair.events()[..] {
                [Event::Done { token: done, result: Ok(replies) }] => {
                    assert_eq!(*done, token);
                    assert!(matches!(&replies[0].body, Ok(Response::Read(body)) if body.data.len() == 9));
                }
                other => panic!("{dialect}: {other:?}"),
            }
            let validated = pair.server.seen.iter().any(|(_, request)| matches!(request, Request::Ioctl(_)));
            assert_eq!(validated, dialect < Dialect::Smb311, "{dialect}");
        }
    }
}

#[test]
fn an_answer_without_signature_ends_the_connection() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |server, header| {
        server.encode(
            header,
            NtStatus::SUCCESS,
            &Response::Read(ReadResponse { data: Bytes::from_static(b"x") }),
        )
    });
    assert_eq!(pair.ended(), PeerMisbehaved::Unprotected("signed").into());
    assert!(matches!(pair.events()[..], [Event::Done { result: Err(_), .. }, Event::Closed(_)]));
}

#[test]
fn a_changed_answer_ends_the_connection() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.answered(read(9), |server, header| {
            let body = Response::Read(ReadResponse { data: Bytes::from_static(b"123456789") });
            let message = server.encode(header, NtStatus::SUCCESS, &body);
            let mut reply = if encrypt { server.encrypt(message) } else { server.sign(message) };
            *reply.last_mut().unwrap() ^= 1;
            reply
        });
        assert_eq!(pair.ended(), PeerMisbehaved::BadSignature.into());
    }
}

/// A session that neither side wants signed.
fn unsigned() -> Pair {
    let mut pair = Pair::new(Script::default(), ConnectionConfig::default());
    pair.settle();
    let config = SessionConfig { sign: false, encrypt: false, allow_guest: false, previous_session_id: 0 };
    pair.client.authenticate(pair.now, pair::fixed_key(), config).unwrap();
    pair.settle();
    pair.events();
    pair
}

// Some servers sign unasked, and wrongly: impacket signs each message of a chain before it links them.
#[test]
fn a_signature_that_nobody_asked_for_is_not_looked_at() {
    let mut pair = unsigned();
    pair.answered(read(9), |server, header| {
        assert!(!header.flags.contains(HeaderFlags::SIGNED));
        let body = Response::Read(ReadResponse { data: Bytes::from_static(b"123456789") });
        let mut reply = server.sign(server.encode(header, NtStatus::SUCCESS, &body));
        *reply.last_mut().unwrap() ^= 1;
        reply
    });
    let events = pair.events();
    assert!(matches!(&events[..], [Event::Done { result: Ok(_), .. }]), "{events:?}");
}

#[test]
fn what_is_signed_in_an_unsigned_session_is_verified() {
    let mut pair = unsigned();
    let connect = TreeConnectRequest { flags: 0, path: r"\\server\share".into() };
    pair.answered(Request::TreeConnect(connect), |server, header| {
        assert!(header.flags.contains(HeaderFlags::SIGNED));
        let body = Response::Echo(Empty);
        let mut reply = server.sign(server.encode(header, NtStatus::SUCCESS, &body));
        *reply.last_mut().unwrap() ^= 1;
        reply
    });
    assert_eq!(pair.ended(), PeerMisbehaved::BadSignature.into());
}

#[test]
fn a_signed_answer_to_an_encrypted_request_is_not_enough() {
    let mut pair = Pair::ready(Script::default(), true);
    pair.answered(Request::Echo(Empty), |server, header| {
        let message = server.encode(header, NtStatus::SUCCESS, &Response::Echo(Empty));
        server.sign(message)
    });
    assert_eq!(pair.ended(), PeerMisbehaved::Unprotected("encrypted").into());
}

#[test]
fn an_error_too_must_be_signed() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |server, header| {
        let mut out = Vec::new();
        let header = Header::response_to(header, NtStatus::ACCESS_DENIED.0, 1);
        encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
        let _ = server;
        out
    });
    assert_eq!(pair.ended(), PeerMisbehaved::Unprotected("signed").into());
}

#[test]
fn an_unsigned_end_of_the_session_ends_the_connection() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |_, header| {
        let mut out = Vec::new();
        let header = Header::response_to(header, NtStatus::USER_SESSION_DELETED.0, 1);
        encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
        out
    });
    assert_eq!(pair.ended(), ConnectionError::SessionDeleted(NtStatus::USER_SESSION_DELETED));
}

#[test]
fn what_was_not_offered_is_refused() {
    let config = ConnectionConfig {
        min_dialect: Dialect::Smb302,
        ciphers: vec![Cipher::Aes256Gcm],
        signing_algorithms: vec![SigningAlgorithm::AesCmac],
        ..ConnectionConfig::default()
    };
    let cases = [
        (Script { dialect: Dialect::Smb210, ..Script::default() }, "a dialect"),
        (Script { signing: SigningAlgorithm::AesCmac, ..Script::default() }, "a cipher"),
        (Script { cipher: Some(Cipher::Aes256Gcm), ..Script::default() }, "a signing algorithm"),
    ];
    for (script, what) in cases {
        let mut pair = Pair::new(script, config.clone());
        pair.settle();
        assert_eq!(pair.ended(), PeerMisbehaved::NotOffered(what).into());
    }
}

#[test]
fn a_rewritten_negotiation_is_found_out() {
    for dialect in [Dialect::Smb210, Dialect::Smb300, Dialect::Smb302] {
        let script = Script { validated_capabilities: Some(Capabilities::all()), ..script(dialect) };
        let mut pair = Pair::connected(script, ConnectionConfig::default(), false);
        assert_eq!(pair.ended(), PeerMisbehaved::Downgrade.into());
        let events = pair.events();
        assert!(matches!(&events[..], [Event::Done { result: Err(_), .. }, Event::Closed(_)]), "{events:?}");
    }
}

#[test]
fn a_guest_is_not_let_in_unasked() {
    let mut pair = Pair::new(
        Script { session_flags: SessionFlags::IS_GUEST, ..Script::default() },
        ConnectionConfig::default(),
    );
    pair.settle();
    pair.login(false).unwrap();
    pair.settle();
    let events = pair.events();
    assert!(
        matches!(
            &events[..],
            [Event::Negotiated, Event::SessionFailed { error: SessionError::OnlyGuest, .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn encryption_that_is_wanted_but_impossible_is_an_error() {
    let mut pair = Pair::new(script(Dialect::Smb210), ConnectionConfig::default());
    pair.settle();
    assert!(matches!(pair.login(true), Err(SessionError::EncryptionUnavailable(_))));
}

#[test]
fn requests_wait_for_credits_and_one_that_never_fits_fails() {
    let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, false);
    let big = pair.send(read(1 << 20));
    let small = pair.send(read(1));
    pair.settle();
    let events = pair.events();
    let failed = |event: &Event| matches!(event, Event::Unaffordable { token, requests } if requests.len() == 1 && *token == big);
    assert!(failed(&events[0]), "{events:?}");
    assert!(matches!(&events[1], Event::Done { token, result: Ok(_) } if *token == small));
}

#[test]
fn message_ids_advance_by_the_charge() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(1 << 20));
    pair.send(Request::Echo(Empty));
    let sent = pair.sent();
    assert_eq!((sent[0].0.credit_charge, sent[1].0.credit_charge), (16, 1));
    assert_eq!(sent[1].0.message_id, sent[0].0.message_id + 16);
}

#[test]
fn a_chain_is_answered_as_one() {
    let mut pair = Pair::ready(Script::default(), false);
    let close = Request::Close(CloseRequest { query_attributes: false, file_id: FileId::RELATED });
    let chain = Chain {
        session_id: SESSION_ID,
        tree_id: TREE_ID,
        requests: vec![create(), close],
        timeout: None,
        channel_sequence: 0,
        replay: false,
    };
    pair.client.send(pair.now, chain).unwrap();
    let frames: Vec<_> = std::iter::from_fn(|| pair.client.poll_transmit()).collect();
    assert_eq!(frames.len(), 1);
    let messages = pair.server.receive(&frames.into_iter().next().unwrap().seal().unwrap().into_vec());
    assert!(messages[1].0.flags.contains(HeaderFlags::RELATED_OPERATIONS));
    // The server answers in two frames, the later request first.
    for (header, message) in messages.iter().rev() {
        let request = Request::decode(header.command, message).unwrap();
        let (status, body) = pair.server.answer(header, &request, message);
        let reply = pair.server.encode(header, status, &body);
        let reply = pair.server.sign(reply);
        pair.deliver(&reply);
    }
    let events = pair.events();
    let ok = matches!(&events[..], [Event::Done { result: Ok(replies), .. }]
        if matches!(replies[0].body, Ok(Response::Create(_))) && matches!(replies[1].body, Ok(Response::Close(_))));
    assert!(ok, "{events:?}");
}

#[test]
fn a_late_request_is_cancelled_and_its_open_closed() {
    let mut pair = Pair::ready(Script::default(), false);
    let chain = Chain { timeout: Some(Duration::from_secs(3)), ..Chain::one(SESSION_ID, TREE_ID, create()) };
    pair.client.send(pair.now, chain).unwrap();
    let (asked, ..) = pair.sent().remove(0);
    assert!(pair.client.poll_timeout().unwrap() <= pair.now + Duration::from_secs(3));
    pair.advance(3);
    assert!(matches!(pair.events()[..], [Event::Done { result: Err(RequestError::TimedOut), .. }]));
    let (cancel, ..) = pair.sent().remove(0);
    assert_eq!((cancel.command, cancel.message_id), (Command::Cancel, asked.message_id));
    // The server had opened the file all the same.
    let reply = pair.server.encode(&asked, NtStatus::SUCCESS, &Response::Create(create_response()));
    let reply = pair.server.sign(reply);
    pair.deliver(&reply);
    let (close, request, ..) = pair.sent().remove(0);
    assert_eq!(close.command, Command::Close);
    assert!(matches!(request, Request::Close(body) if body.file_id == create_response().file_id));
    assert!(pair.events().is_empty());
}

#[test]
fn what_an_abandoned_chain_locked_is_unlocked() {
    let range = LockElement { offset: 1, length: 2, flags: LockFlags::EXCLUSIVE };
    let lock = LockRequest { sequence: 0, file_id: create_response().file_id, locks: vec![range] };
    for (status, unlocks) in [(NtStatus::SUCCESS, 1), (NtStatus::CANCELLED, 0)] {
        let mut pair = Pair::ready(Script::default(), false);
        let token = pair.send(Request::Lock(lock.clone()));
        let (asked, ..) = pair.sent().remove(0);
        pair.client.cancel(token);
        pair.client.abandon(token);
        assert_eq!(pair.sent().remove(0).0.command, Command::Cancel);
        let reply = pair.server.encode(&asked, status, &Response::Lock(Empty));
        let reply = pair.server.sign(reply);
        pair.deliver(&reply);
        let sent = pair.sent();
        assert_eq!(sent.len(), unlocks, "{status}");
        if let Some((_, request, ..)) = sent.first() {
            assert!(matches!(request, Request::Lock(unlock) if Some(unlock) == lock.undo().as_ref()));
        }
    }
    assert_eq!(lock.undo().and_then(|unlock| unlock.undo()), None);
}

#[test]
fn an_abandoned_request_has_no_event_and_gives_its_credits_back() {
    let mut pair = Pair::ready(Script { credits: 16, ..Script::default() }, false);
    let before = pair.client.credit_bytes();
    let token = pair.send(read(65_536));
    pair.client.abandon(token);
    pair.settle();
    assert!(pair.events().is_empty());
    assert!(pair.client.credit_bytes() >= before);
    assert!(pair.client.pending.is_empty() && pair.client.chains.is_empty());
}

#[test]
fn silence_is_answered_by_an_echo_and_then_by_the_end() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    pair.sent();
    pair.advance(15);
    assert_eq!(pair.sent()[0].0.command, Command::Echo);
    pair.advance(30);
    assert_eq!(pair.ended(), ConnectionError::TimedOut);
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn an_idle_connection_is_kept_alive() {
    let mut pair = Pair::ready(Script::default(), false);
    for _ in 0..5 {
        pair.advance(60);
        assert_eq!(pair.server.seen.iter().filter(|(h, _)| h.command == Command::Echo).count(), 0);
        pair.settle();
        assert!(pair.client.closed().is_none());
        pair.server.seen.clear();
    }
}

#[test]
fn a_pending_request_may_take_any_time_but_not_say_so_for_ever() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    let (asked, ..) = pair.sent().remove(0);
    let interim = |pair: &mut Pair| {
        let mut header = Header::response_to(&asked, NtStatus::PENDING.0, 1);
        header.route = Route::Async { async_id: 77 };
        let mut out = Vec::new();
        encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
        pair.deliver(&out);
    };
    interim(&mut pair);
    pair.advance(30);
    assert!(pair.client.closed().is_none());
    (0..8).for_each(|_| interim(&mut pair));
    assert_eq!(pair.ended(), PeerMisbehaved::TooManyPending.into());
}

#[test]
fn what_no_server_may_send_ends_the_connection() {
    let unsolicited = |server: &mut Server, header: &Header| {
        let header = Header { message_id: 4000, ..header.clone() };
        let message = server.encode(&header, NtStatus::SUCCESS, &Response::Echo(Empty));
        server.sign(message)
    };
    let request = |server: &mut Server, header: &Header| {
        let mut out = Vec::new();
        let header = Header { signature: [0; 16], ..header.clone() };
        encode_message(&mut out, &header, |w| Request::Echo(Empty).encode(w));
        server.sign(out)
    };
    let another = |server: &mut Server, header: &Header| {
        let header = Header { command: Command::Flush, ..header.clone() };
        let message = server.encode(&header, NtStatus::SUCCESS, &Response::Flush(Empty));
        server.sign(message)
    };
    type Answer = Box<dyn FnOnce(&mut Server, &Header) -> Vec<u8>>;
    let cases: [(Answer, ConnectionError); 6] = [
        (Box::new(unsolicited), PeerMisbehaved::Unsolicited(4000).into()),
        (Box::new(request), PeerMisbehaved::SentRequest.into()),
        (
            Box::new(another),
            PeerMisbehaved::AnsweredAnother { asked: Command::Echo, answered: Command::Flush }.into(),
        ),
        (Box::new(|_, _| b"\xFCSMB123".to_vec()), PeerMisbehaved::Compressed.into()),
        (Box::new(|_, _| b"\xFFSMB123".to_vec()), PeerIncompatible::OnlySmb1.into()),
        (Box::new(|_, _| vec![0xFE; 3 << 20]), PeerMisbehaved::FrameTooLarge(3 << 20).into()),
    ];
    for (answer, expected) in cases {
        let mut pair = Pair::ready(Script::default(), false);
        pair.answered(Request::Echo(Empty), answer);
        assert_eq!(pair.ended(), expected);
    }
}

#[test]
fn a_reply_that_cannot_be_read_fails_its_request_only() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |server, header| {
        let body = Response::Read(ReadResponse { data: Bytes::from_static(b"123456789") });
        let mut message = server.encode(header, NtStatus::SUCCESS, &body);
        message[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        server.sign(message)
    });
    assert!(matches!(pair.events()[..], [Event::Done { result: Err(RequestError::Malformed(_)), .. }]));
    assert!(pair.client.closed().is_none());
}

#[test]
fn no_two_encrypted_messages_share_a_nonce() {
    let mut pair = Pair::ready(Script::default(), true);
    let mut nonces = std::collections::HashSet::new();
    for _ in 0..50 {
        pair.send(Request::Echo(Empty));
    }
    while let Some(outbound) = pair.client.poll_transmit() {
        let frame = outbound.seal().unwrap().into_vec();
        assert!(nonces.insert(frame[PREFIX_LEN + 20..PREFIX_LEN + 36].to_vec()));
    }
    assert_eq!(nonces.len(), 50);
}

#[test]
fn closing_tells_everyone_who_waits() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    pair.client.close(ConnectionError::Lost);
    let events = pair.events();
    assert!(matches!(events[..], [Event::Done { .. }, Event::Closed(ConnectionError::Lost)]), "{events:?}");
    assert!(pair.client.send(pair.now, Chain::one(SESSION_ID, TREE_ID, read(1))).is_err());
}

#[test]
fn nothing_queued_goes_out_in_clear_when_its_session_ends() {
    let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, true);
    pair.send(Request::Logoff(Empty));
    let queued = pair.send(Request::Echo(Empty));
    pair.settle();
    let events = pair.events();
    let refused = |event: &Event| matches!(event, Event::Done { token, result: Err(RequestError::UnknownSession) } if *token == queued);
    assert!(events.iter().any(refused), "{events:?}");
}

#[test]
fn a_message_is_cancelled_once_only() {
    let mut pair = Pair::ready(Script::default(), false);
    let token = pair.send(read(9));
    pair.sent();
    pair.client.cancel(token);
    pair.client.cancel(token);
    assert_eq!(pair.sent().len(), 1);
}

#[test]
fn another_sessions_name_is_refused() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |server, header| {
        let header = Header { session_id: SESSION_ID + 1, ..header.clone() };
        let body = Response::Read(ReadResponse { data: Bytes::from_static(b"x") });
        server.encode(&header, NtStatus::SUCCESS, &body)
    });
    assert_eq!(pair.ended(), PeerMisbehaved::AnotherSession.into());
}

#[test]
fn a_negotiation_that_is_pending_for_ever_ends() {
    let mut pair = Pair::new(Script::default(), ConnectionConfig::default());
    let (asked, ..) = pair.sent().remove(0);
    let mut header = Header::response_to(&asked, NtStatus::PENDING.0, 0);
    header.route = Route::Async { async_id: 1 };
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
    pair.deliver(&out);
    (0..10).for_each(|_| pair.advance(10));
    assert_eq!(pair.ended(), ConnectionError::TimedOut);
}

#[test]
fn notifications_do_not_end_a_silence() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    pair.sent();
    let lease = BreakBody::LeaseNotification(LeaseBreakNotification {
        epoch: 1,
        ack_required: false,
        key: [1; 16],
        current: LeaseState::READ,
        new: LeaseState::empty(),
    });
    let mut header = Header::request(Command::OplockBreak, u64::MAX);
    header.flags = HeaderFlags::SERVER_TO_REDIR;
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| lease.encode(w));
    for _ in 0..10 {
        pair.deliver(&out);
        pair.advance(10);
    }
    assert_eq!(pair.ended(), ConnectionError::TimedOut);
    assert!(matches!(pair.events()[0], Event::Break(_)));
}

#[test]
fn a_pending_requests_grant_is_booked_once() {
    let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, false);
    let before = pair.client.credit_bytes();
    pair.send(Request::Echo(Empty));
    let (asked, ..) = pair.sent().remove(0);
    let mut header = Header::response_to(&asked, NtStatus::PENDING.0, 1);
    header.route = Route::Async { async_id: 1 };
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
    pair.deliver(&out);
    assert_eq!(pair.client.credit_bytes(), before);
}

#[test]
fn a_server_that_insists_on_signatures_gets_them() {
    let mut pair = Pair::new(Script { must_sign: true, ..Script::default() }, ConnectionConfig::default());
    pair.settle();
    let authenticator = pair::fixed_key();
    let config = SessionConfig { sign: false, encrypt: false, allow_guest: false, previous_session_id: 0 };
    pair.client.authenticate(pair.now, authenticator, config).unwrap();
    pair.settle();
    pair.send(Request::Echo(Empty));
    assert!(pair.sent()[0].0.flags.contains(HeaderFlags::SIGNED));
}

proptest! {
    #[test]
    fn no_bytes_make_the_connection_panic(frames: Vec<Vec<u8>>, magic in 0..4usize, encrypt: bool) {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.send(read(9));
        pair.sent();
        for mut frame in frames {
            let start = [&SMB2_MAGIC[..], &TRANSFORM_MAGIC[..], b"\xFESMB\x40\x00", b""][magic];
            frame.splice(..0, start.iter().copied());
            pair.deliver(&frame);
        }
    }

    #[test]
    fn no_change_of_a_true_answer_is_believed(at in 0..89usize, bit in 0..8u8, encrypt: bool) {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.answered(read(9), |server, header| {
            let body = Response::Read(ReadResponse { data: Bytes::from_static(b"123456789") });
            let message = server.encode(header, NtStatus::SUCCESS, &body);
            let mut reply = if encrypt { server.encrypt(message) } else { server.sign(message) };
            reply[at] ^= 1 << bit;
            reply
        });
        // Whatever was changed, no data came through.
        prop_assert!(pair.client.closed().is_some(), "byte {at} bit {bit}");
    }
}

#[test]
fn a_refused_copy_says_what_the_limits_are() {
    let ioctl = || {
        Request::Ioctl(IoctlRequest {
            code: fsctl::SRV_COPYCHUNK_WRITE,
            file_id: FileId::RELATED,
            max_output: 12,
            is_fsctl: true,
            input: Bytes::new(),
        })
    };
    let output = Bytes::from_static(b"limits here.");
    let answer =
        IoctlResponse { code: fsctl::SRV_COPYCHUNK_WRITE, file_id: FileId::RELATED, output: output.clone() };
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(ioctl(), |server, header| {
        let message = server.encode(header, NtStatus::INVALID_PARAMETER, &Response::Ioctl(answer));
        server.sign(message)
    });
    match &pair.events()[..] {
        [Event::Done { result: Ok(replies), .. }] => {
            assert_eq!(replies[0].status, NtStatus::INVALID_PARAMETER);
            assert!(matches!(&replies[0].body, Ok(Response::Ioctl(body)) if body.output == output));
        }
        events => panic!("{events:?}"),
    }
}

#[test]
fn the_machine_can_move_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Connection>();
    assert_send::<Inbound>();
    assert_send::<Outbound>();
    let _: Arc<dyn CryptoProvider> = rust_crypto();
}
