//! Replies that say what no honest server says.

use super::*;

fn interim(asked: &Header, async_id: u64, credits: u16) -> Vec<u8> {
    let mut header = Header::response_to(asked, NtStatus::PENDING.0, credits);
    header.route = Route::Async { async_id };
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
    out
}

fn proper(pair: &Pair, asked: &Header) -> Vec<u8> {
    let message = pair.server.encode(asked, NtStatus::SUCCESS, &read_response(b"123456789"));
    pair.server.sign(message)
}

fn refusal(pair: &Pair, asked: &Header, status: NtStatus) -> Vec<u8> {
    let mut out = Vec::new();
    encode_message(&mut out, &Header::response_to(asked, status.0, 1), |w| {
        ErrorResponse::default().encode(w);
    });
    pair.server.sign(out)
}

fn related(request: fn(FileId) -> Request) -> Request {
    request(FileId::RELATED)
}

fn close(file_id: FileId) -> Request {
    Request::Close(CloseRequest { query_attributes: false, file_id })
}

fn query(file_id: FileId) -> Request {
    Request::QueryInfo(QueryInfoRequest {
        info_type: InfoType::File,
        info_class: 18,
        max_output: 4096,
        additional: 0,
        flags: 0,
        file_id,
        input: Bytes::new(),
    })
}

fn chain(requests: Vec<Request>) -> Chain {
    Chain {
        session_id: SESSION_ID,
        tree_id: TREE_ID,
        requests,
        timeout: Some(Duration::from_secs(3)),
        channel_sequence: 0,
        replay: false,
    }
}

/// What the client sends to end what nobody waits for.
fn ended_opens(pair: &mut Pair) -> Vec<FileId> {
    pair.sent()
        .into_iter()
        .filter_map(|(_, request, ..)| match request {
            Request::Close(body) => Some(body.file_id),
            _ => None,
        })
        .collect()
}

#[test]
fn a_request_that_is_pending_for_ever() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    let (asked, ..) = pair.sent().remove(0);
    for _ in 0..9 {
        pair.deliver(&interim(&asked, 77, u16::MAX));
    }
    assert_eq!(pair.ended(), PeerMisbehaved::TooManyPending.into());
    assert_blamed(&mut pair, "pending");
}

#[test]
fn a_pending_operation_that_changes_its_name() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    let (asked, ..) = pair.sent().remove(0);
    pair.deliver(&interim(&asked, 77, 1));
    assert!(pair.client.closed().is_none());
    pair.deliver(&interim(&asked, 78, 1));
    assert_eq!(pair.ended(), PeerMisbehaved::AnotherOperation.into());
}

#[test]
fn the_end_of_another_pending_operation() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    let (asked, ..) = pair.sent().remove(0);
    pair.deliver(&interim(&asked, 77, 1));
    let other = Header { route: Route::Async { async_id: 78 }, ..asked };
    let reply = proper(&pair, &other);
    pair.deliver(&reply);
    assert_eq!(pair.ended(), PeerMisbehaved::AnotherOperation.into());
    assert_blamed(&mut pair, "async id");
}

#[test]
fn a_pending_operation_without_a_name() {
    for signed in [false, true] {
        let mut pair = Pair::ready(Script::default(), false);
        pair.send(read(9));
        let (asked, ..) = pair.sent().remove(0);
        let reply = refusal(&pair, &asked, NtStatus::PENDING);
        let reply = if signed { reply } else { [&reply[..16], &[1, 0, 0, 0], &reply[20..]].concat() };
        pair.deliver(&reply);
        assert!(matches!(pair.ended(), ConnectionError::PeerMisbehaved(PeerMisbehaved::Malformed(_))));
        assert_blamed(&mut pair, "nameless");
    }
}

#[test]
fn an_interim_response_in_clear_within_an_encrypted_session() {
    let mut pair = Pair::ready(Script::default(), true);
    pair.send(read(9));
    let (asked, ..) = pair.sent().remove(0);
    pair.deliver(&interim(&asked, 77, 1));
    assert_eq!(pair.ended(), PeerMisbehaved::Unprotected("encrypted").into());
}

#[test]
fn no_credits_at_all() {
    let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, false);
    pair.server.script.credits = 0;
    let first = pair.send(read(9));
    let second = pair.send(read(9));
    pair.settle();
    assert_eq!(pair.ended(), PeerMisbehaved::Starved.into());
    let events = pair.events();
    assert!(
        matches!(&events[..], [Event::Done { token: a, result: Ok(_) }, Event::Done { token: b, result: Err(_) }, Event::Closed(_)]
            if (*a, *b) == (first, second)),
        "{events:?}"
    );
}

#[test]
fn no_credits_for_the_login() {
    let mut pair = Pair::new(Script { credits: 0, ..Script::default() }, ConnectionConfig::default());
    pair.settle();
    let _ = pair.login(false);
    assert_eq!(pair.ended(), PeerMisbehaved::Starved.into());
    let expected = SessionError::Connection(PeerMisbehaved::Starved.into());
    let events = pair.events();
    assert!(matches!(&events[1], Event::SessionFailed { error, .. } if *error == expected), "{events:?}");
}

/// Nothing is asked, so nothing is missed; but the next one who asks learns of it.
#[test]
fn an_idle_connection_without_credits() {
    let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, false);
    pair.server.script.credits = 0;
    pair.send(read(9));
    pair.settle();
    assert!(pair.client.closed().is_none());
    pair.advance(60);
    assert_eq!(pair.ended(), PeerMisbehaved::Starved.into());
}

#[test]
fn credits_beyond_all_measure() {
    let mut pair = Pair::ready(Script { credits: u16::MAX, ..Script::default() }, false);
    for _ in 0..100 {
        pair.send(Request::Echo(Empty));
    }
    pair.settle();
    assert_eq!(pair.client.activity().credits, 65_535);
    assert_works(&mut pair);
}

#[test]
fn an_answer_to_what_was_never_asked() {
    for message_id in [4000, u64::MAX - 1, u64::MAX] {
        let mut pair = Pair::ready(Script::default(), false);
        pair.answered(read(9), |server, header| {
            let header = Header { message_id, ..header.clone() };
            let message = server.encode(&header, NtStatus::SUCCESS, &read_response(b"x"));
            server.sign(message)
        });
        assert_eq!(pair.ended(), PeerMisbehaved::Unsolicited(message_id).into());
        assert_blamed(&mut pair, "unsolicited");
    }
}

#[test]
fn an_answer_before_the_question() {
    let mut pair = Pair::ready(Script::default(), false);
    let asked = Header { session_id: SESSION_ID, ..Header::request(Command::Read, 100) };
    let reply = proper(&pair, &asked);
    pair.deliver(&reply);
    assert_eq!(pair.ended(), PeerMisbehaved::Unsolicited(100).into());
}

#[test]
fn an_answer_that_claims_another_command() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(read(9), |server, header| {
        let header = Header { command: Command::Create, ..header.clone() };
        let message = server.encode(&header, NtStatus::SUCCESS, &Response::Create(create_response()));
        server.sign(message)
    });
    let expected = PeerMisbehaved::AnsweredAnother { asked: Command::Read, answered: Command::Create };
    assert_eq!(pair.ended(), expected.into());
}

/// A CREATE whose answer says so, and the rest of the chain never comes: the caller is told in time, and the open
/// is closed once the server is done with the chain.
#[test]
fn a_chain_of_which_one_answer_never_comes() {
    let mut pair = Pair::ready(Script::default(), false);
    let requests = vec![create(), related(query), related(close)];
    pair.client.send(pair.now, chain(requests)).unwrap();
    let asked = pair.sent();
    for (header, body) in [
        (&asked[0].0, Response::Create(create_response())),
        (&asked[2].0, Response::Close(CloseResponse::default())),
    ] {
        let message = pair.server.encode(header, NtStatus::SUCCESS, &body);
        let reply = pair.server.sign(message);
        pair.deliver(&reply);
    }
    assert!(pair.events().is_empty());
    pair.advance(3);
    assert!(matches!(pair.events()[..], [Event::Done { result: Err(RequestError::TimedOut), .. }]));
    // Once for each message that is still out.
    assert_eq!(pair.sent().iter().filter(|(h, ..)| h.command == Command::Cancel).count(), 1);
    assert_works(&mut pair);
}

/// Nobody waits for the chain, and the server got no further than its open.
#[test]
fn an_abandoned_chain_whose_close_fails_is_closed_again() {
    let mut pair = Pair::ready(Script::default(), false);
    let requests = vec![create(), related(query), related(close)];
    let token = pair.client.send(pair.now, chain(requests)).unwrap();
    let asked = pair.sent();
    pair.client.abandon(token);
    let message = pair.server.encode(&asked[0].0, NtStatus::SUCCESS, &Response::Create(create_response()));
    let opened = pair.server.sign(message);
    pair.deliver(&opened);
    for (header, ..) in &asked[1..] {
        let reply = refusal(&pair, header, NtStatus::INSUFFICIENT_RESOURCES);
        pair.deliver(&reply);
    }
    assert_eq!(ended_opens(&mut pair), [create_response().file_id]);
    assert!(pair.events().is_empty());
}

#[test]
fn an_abandoned_chain_that_closed_its_open_is_left_alone() {
    let mut pair = Pair::ready(Script::default(), false);
    let token = pair.client.send(pair.now, chain(vec![create(), related(close)])).unwrap();
    pair.client.abandon(token);
    pair.settle();
    assert_eq!(pair.server.seen.iter().filter(|(header, _)| header.command == Command::Close).count(), 1);
}

/// Who gives up waiting for a CLOSE has no other way to close what is open.
#[test]
fn a_close_that_is_given_up_before_it_is_sent_is_sent_all_the_same() {
    for how in 0..3 {
        let mut pair = Pair::ready(Script { credits: 1, ..Script::default() }, false);
        pair.send(read(9));
        let token = pair.client.send(pair.now, chain(vec![close(create_response().file_id)])).unwrap();
        match how {
            0 => pair.client.abandon(token),
            1 => pair.client.cancel(token),
            _ => pair.advance(3),
        }
        pair.settle();
        assert_eq!(pair.server.seen.last().unwrap().0.command, Command::Close);
        assert_eq!(pair.client.activity().waiting, 0);
    }
}

/// In dialects before 3.1.1 the answer to TREE_CONNECT waits for the validation. Whoever gives up in between must
/// neither leave the tree behind nor have it left before the validation, which needs it.
#[test]
fn a_tree_that_nobody_waits_for_is_validated_and_then_left() {
    for give_up_after in 0..3 {
        let mut pair = Pair::new(script(Dialect::Smb302), ConnectionConfig::default());
        pair.settle();
        pair.login(false).unwrap();
        pair.settle();
        pair.events();
        let request = Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x".into() });
        let chain = Chain { timeout: Some(Duration::from_secs(3)), ..Chain::one(SESSION_ID, 0, request) };
        let token = pair.client.send(pair.now, chain).unwrap();
        if give_up_after == 0 {
            pair.client.abandon(token);
        }
        let (asked, request, message, _) = pair.sent().remove(0);
        let (status, body) = pair.server.answer(&asked, &request, &message);
        let message = pair.server.encode(&asked, status, &body);
        let reply = pair.server.sign(message);
        pair.deliver(&reply);
        match give_up_after {
            1 => pair.client.abandon(token),
            2 => pair.advance(3),
            _ => {}
        }
        pair.settle();
        let commands: Vec<_> = pair.server.seen.iter().map(|(header, _)| header.command).collect();
        assert_eq!(
            commands[commands.len() - 2..],
            [Command::Ioctl, Command::TreeDisconnect],
            "{give_up_after}"
        );
        assert!(pair.client.closed().is_none());
        let expected = usize::from(give_up_after == 2);
        assert_eq!(pair.events().len(), expected);
        assert_eq!(pair.client.activity().waiting, 0);
    }
}

/// The number of an encrypted tree is given to a second tree that is not: what goes to the first stays encrypted.
#[test]
fn a_tree_number_given_out_twice() {
    let mut pair = Pair::ready(Script::default(), false);
    let request = || Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\y".into() });
    for flags in [ShareFlags::ENCRYPT_DATA, ShareFlags::empty()] {
        pair.send(request());
        let (asked, _, _, encrypted) = pair.sent().remove(0);
        let body = Response::TreeConnect(TreeConnectResponse {
            share_type: ShareType::Disk,
            flags,
            capabilities: ShareCapabilities::empty(),
            maximal_access: 0x1F01FF,
        });
        let message = pair.server.encode(&asked, NtStatus::SUCCESS, &body);
        let reply = protected(&mut pair.server, encrypted, message);
        pair.deliver(&reply);
        assert!(pair.client.is_encrypted(SESSION_ID, TREE_ID));
    }
    pair.send(read(9));
    assert!(pair.sent()[0].3, "it went out in clear");
}

/// A reply that is authentic, and of which this many bytes from `at` on say what cannot be.
fn spoiled(request: Request, body: &Response, at: usize, value: &[u8]) -> Pair {
    let mut pair = Pair::ready(Script::default(), false);
    pair.answered(request, |server, header| {
        let mut message = server.encode(header, NtStatus::SUCCESS, body);
        message[HEADER_LEN + at..][..value.len()].copy_from_slice(value);
        server.sign(message)
    });
    pair
}

#[test]
fn lengths_and_offsets_that_point_nowhere() {
    let directory = || {
        Request::QueryDirectory(QueryDirectoryRequest {
            info_class: 37,
            flags: QueryDirectoryFlags::empty(),
            file_index: 0,
            file_id: create_response().file_id,
            pattern: "*".into(),
            max_output: 65_536,
        })
    };
    let buffer = || BufferResponse { data: Bytes::from_static(b"12345678") };
    let output =
        || IoctlResponse { code: 1, file_id: FileId::RELATED, output: Bytes::from_static(b"12345678") };
    let ioctl = || {
        Request::Ioctl(IoctlRequest {
            code: 1,
            file_id: FileId::RELATED,
            max_output: 100,
            is_fsctl: true,
            input: Bytes::new(),
        })
    };
    let most = &[0xFF; 4][..];
    let cases = [
        // DataLength; DataOffset.
        (read(9), read_response(b"123456789"), 4, most),
        (read(9), read_response(b"123456789"), 2, &most[..1]),
        // OutputBufferOffset; OutputBufferLength.
        (directory(), Response::QueryDirectory(buffer()), 2, &most[..2]),
        (directory(), Response::QueryDirectory(buffer()), 4, most),
        (query(create_response().file_id), Response::QueryInfo(buffer()), 4, most),
        // OutputOffset; OutputCount.
        (ioctl(), Response::Ioctl(output()), 32, most),
        (ioctl(), Response::Ioctl(output()), 36, most),
        // CreateContextsOffset and -Length.
        (create(), Response::Create(create_response()), 80, &[0xFF; 8]),
        // StructureSize.
        (create(), Response::Create(create_response()), 0, &[90]),
        (Request::Echo(Empty), Response::Echo(Empty), 0, &[5]),
    ];
    for (request, body, at, value) in cases {
        let command = request.command();
        let mut pair = spoiled(request, &body, at, value);
        let events = pair.events();
        assert!(
            matches!(events[..], [Event::Done { result: Err(RequestError::Malformed(_)), .. }]),
            "{command:?} at {at}: {events:?}"
        );
        // An authentic reply that cannot be read is its request's matter only.
        assert_works(&mut pair);
    }
}

#[test]
fn an_error_with_contexts_that_are_not_there() {
    for (at, value) in [(2, &[0xFF][..]), (4, &[0xFF; 4])] {
        let mut pair = Pair::ready(Script::default(), false);
        pair.answered(read(9), |server, header| {
            let mut out = Vec::new();
            let header = Header::response_to(header, NtStatus::ACCESS_DENIED.0, 1);
            let body = ErrorResponse {
                contexts: vec![
                    ErrorContext { id: 1, data: Bytes::from_static(b"12345678") },
                    ErrorContext { id: 2, data: Bytes::new() },
                ],
            };
            encode_message(&mut out, &header, |w| body.encode(w));
            out[HEADER_LEN + at..][..value.len()].copy_from_slice(value);
            server.sign(out)
        });
        // The refusal stands, whatever was to be said about it.
        let refused = |reply: &Reply| reply.status == NtStatus::ACCESS_DENIED && reply.body.is_err();
        let events = pair.events();
        assert!(matches!(&events[..], [Event::Done { result: Ok(replies), .. }] if refused(&replies[0])));
        assert_works(&mut pair);
    }
}

/// A server without end of bytes but without an answer either: only life is believed, not for ever an answer.
#[test]
fn a_server_that_answers_echoes_and_nothing_else() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.client.send(pair.now, chain(vec![read(9)])).unwrap();
    pair.sent();
    pair.send(Request::Echo(Empty));
    pair.settle();
    assert!(matches!(pair.events()[..], [Event::Done { result: Ok(_), .. }]));
    pair.advance(3);
    assert!(matches!(pair.events()[..], [Event::Done { result: Err(RequestError::TimedOut), .. }]));
    assert!(pair.client.closed().is_none());
}
