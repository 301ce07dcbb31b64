//! Answers to NEGOTIATE that choose what they may not.

use super::*;

/// What the connection makes of an answer to NEGOTIATE.
fn refused(config: ConnectionConfig, script: Script) -> ConnectionError {
    let mut pair = Pair::new(script, config);
    pair.settle();
    let ended = pair.ended();
    assert_blamed(&mut pair, "negotiation");
    ended
}

fn rewritten(rewrite: fn(&mut NegotiateResponse)) -> ConnectionError {
    refused(ConnectionConfig::default(), Script { rewrite, ..Script::default() })
}

fn not_offered(what: &'static str) -> ConnectionError {
    PeerMisbehaved::NotOffered(what).into()
}

#[test]
fn a_dialect_below_or_above_what_was_offered() {
    for dialect in [Dialect::Smb202, Dialect::Smb210, Dialect::Smb302, Dialect::Smb311] {
        let config = ConnectionConfig {
            min_dialect: Dialect::Smb300,
            max_dialect: Dialect::Smb300,
            ..ConnectionConfig::default()
        };
        assert_eq!(refused(config, script(dialect)), not_offered("a dialect"), "{dialect}");
    }
}

#[test]
fn the_wildcard_dialect_of_a_multi_protocol_negotiation() {
    assert_eq!(rewritten(|answer| answer.dialect = 0x02FF), not_offered("a dialect"));
}

#[test]
fn dialects_that_do_not_exist() {
    let answers: [fn(&mut NegotiateResponse); 4] = [
        |answer| answer.dialect = 0,
        |answer| answer.dialect = 0x0310,
        |answer| answer.dialect = 0x0312,
        |answer| answer.dialect = 0xFFFF,
    ];
    for answer in answers {
        assert_eq!(rewritten(answer), not_offered("a dialect"));
    }
}

fn replace(answer: &mut NegotiateResponse, context: NegotiateContext) {
    let kind = std::mem::discriminant(&context);
    answer.contexts.retain(|other| std::mem::discriminant(other) != kind);
    answer.contexts.push(context);
}

#[test]
fn a_cipher_that_was_not_offered() {
    let config = ConnectionConfig { ciphers: vec![Cipher::Aes256Gcm], ..ConnectionConfig::default() };
    assert_eq!(refused(config, Script::default()), not_offered("a cipher"));
    let without = ConnectionConfig { ciphers: Vec::new(), ..ConnectionConfig::default() };
    assert_eq!(refused(without, Script::default()), not_offered("a cipher"));
    let unknown = |answer: &mut NegotiateResponse| {
        replace(answer, NegotiateContext::Encryption { ciphers: vec![0x4711] });
    };
    assert_eq!(rewritten(unknown), not_offered("a cipher"));
}

#[test]
fn several_ciphers_or_a_list_of_none() {
    let several = |answer: &mut NegotiateResponse| {
        replace(answer, NegotiateContext::Encryption { ciphers: vec![2, 1] });
    };
    assert_eq!(rewritten(several), not_offered("several ciphers"));
    let none = |answer: &mut NegotiateResponse| {
        replace(answer, NegotiateContext::Encryption { ciphers: Vec::new() });
    };
    assert_eq!(rewritten(none), not_offered("several ciphers"));
}

#[test]
fn a_signing_algorithm_that_was_not_offered() {
    let config = ConnectionConfig {
        signing_algorithms: vec![SigningAlgorithm::AesCmac],
        ..ConnectionConfig::default()
    };
    assert_eq!(refused(config, Script::default()), not_offered("a signing algorithm"));
    let unknown = |answer: &mut NegotiateResponse| {
        replace(answer, NegotiateContext::Signing { algorithms: vec![3] });
    };
    assert_eq!(rewritten(unknown), not_offered("a signing algorithm"));
    let several = |answer: &mut NegotiateResponse| {
        replace(answer, NegotiateContext::Signing { algorithms: vec![2, 1] });
    };
    assert_eq!(rewritten(several), not_offered("several signing algorithms"));
}

#[test]
fn another_preauthentication_hash_or_none() {
    let expected = not_offered("a preauthentication hash other than SHA-512");
    let answers: [fn(&mut NegotiateResponse); 4] = [
        |answer| {
            let salt = Bytes::new();
            replace(answer, NegotiateContext::PreauthIntegrity { algorithms: vec![2], salt });
        },
        |answer| {
            let salt = Bytes::new();
            replace(answer, NegotiateContext::PreauthIntegrity { algorithms: vec![1, 2], salt });
        },
        |answer| {
            let salt = Bytes::new();
            replace(answer, NegotiateContext::PreauthIntegrity { algorithms: Vec::new(), salt });
        },
        |answer| answer.contexts.clear(),
    ];
    for answer in answers {
        assert_eq!(rewritten(answer), expected);
    }
}

#[test]
fn a_context_twice() {
    let answers: [fn(&mut NegotiateResponse); 3] = [
        |answer| answer.contexts.push(answer.contexts[0].clone()),
        |answer| answer.contexts.push(answer.contexts[1].clone()),
        |answer| answer.contexts.push(answer.contexts[2].clone()),
    ];
    for answer in answers {
        assert_eq!(rewritten(answer), not_offered("a negotiate context twice"));
    }
}

#[test]
fn compression_that_was_not_offered() {
    let answer = |answer: &mut NegotiateResponse| {
        answer.contexts.push(NegotiateContext::Compression { flags: 0, algorithms: vec![1] });
    };
    assert_eq!(rewritten(answer), not_offered("compression"));
}

#[test]
fn maximum_sizes_of_nothing() {
    let answers: [fn(&mut NegotiateResponse); 3] =
        [|answer| answer.max_read = 0, |answer| answer.max_write = 0, |answer| answer.max_transact = 0];
    for answer in answers {
        assert_eq!(rewritten(answer), not_offered("a maximum size of 0"));
    }
}

/// Harmless: the client has limits of its own.
#[test]
fn maximum_sizes_of_four_gigabytes() {
    let rewrite = |answer: &mut NegotiateResponse| {
        (answer.max_read, answer.max_write, answer.max_transact) = (u32::MAX, u32::MAX, u32::MAX);
    };
    let mut pair = Pair::ready(Script { rewrite, ..Script::default() }, false);
    let negotiated = pair.client.negotiated().unwrap();
    assert_eq!(
        (negotiated.max_read, negotiated.max_write, negotiated.max_transact),
        (1 << 20, 1 << 20, 1 << 20)
    );
    assert!(pair.client.max_frame() < 2 << 20);
    assert_works(&mut pair);
}

/// The honest answer to NEGOTIATE as bytes, and the pair that waits for it.
fn answered() -> (Pair, Vec<u8>) {
    let mut pair = Pair::new(Script::default(), ConnectionConfig::default());
    let (header, request, message, _) = pair.sent().remove(0);
    let (status, body) = pair.server.answer(&header, &request, &message);
    let reply = pair.server.encode(&header, status, &body);
    pair.server.negotiated(&reply);
    (pair, reply)
}

#[test]
fn counts_and_offsets_that_point_nowhere() {
    // NegotiateContextCount, SecurityBufferOffset and -Length, NegotiateContextOffset.
    for (at, value) in [(6, &[0xFF, 0xFF][..]), (56, &[0xFF; 4]), (60, &[0xFF; 4]), (60, &[1, 0, 0, 0])] {
        let (mut pair, mut reply) = answered();
        reply[HEADER_LEN + at..][..value.len()].copy_from_slice(value);
        pair.deliver(&reply);
        assert!(
            matches!(pair.ended(), ConnectionError::PeerMisbehaved(PeerMisbehaved::Malformed(_))),
            "{at}: {:?}",
            pair.ended()
        );
        assert_blamed(&mut pair, "offsets");
    }
}

#[test]
fn an_answer_cut_anywhere() {
    let (_, whole) = answered();
    for length in 0..whole.len() {
        let (mut pair, reply) = answered();
        pair.deliver(&reply[..length]);
        assert_blamed(&mut pair, "cut");
    }
}

#[test]
fn two_answers() {
    let (mut pair, reply) = answered();
    pair.deliver(&reply);
    assert!(pair.client.closed().is_none());
    pair.deliver(&reply);
    assert_eq!(pair.ended(), PeerMisbehaved::Unsolicited(0).into());
}

#[test]
fn a_refusal_is_no_misbehaviour() {
    for (status, expected) in [
        (NtStatus::NOT_SUPPORTED, PeerIncompatible::NoCommonDialect(NtStatus::NOT_SUPPORTED)),
        (NtStatus::ACCESS_DENIED, PeerIncompatible::NegotiationRefused(NtStatus::ACCESS_DENIED)),
    ] {
        let mut pair = Pair::new(Script::default(), ConnectionConfig::default());
        let (asked, ..) = pair.sent().remove(0);
        let mut out = Vec::new();
        encode_message(&mut out, &Header::response_to(&asked, status.0, 1), |w| {
            ErrorResponse::default().encode(w);
        });
        pair.deliver(&out);
        assert_eq!(pair.ended(), expected.into());
    }
}

/// Whoever stands between takes the ciphers out of the answer: the proof of the login no longer fits.
#[test]
fn a_cipher_stripped_on_the_way() {
    let (mut pair, _) = answered();
    let asked = Header::request(Command::Negotiate, 0);
    let mut body = pair.server.negotiate_response();
    body.contexts.retain(|context| !matches!(context, NegotiateContext::Encryption { .. }));
    let reply = pair.server.encode(&asked, NtStatus::SUCCESS, &Response::Negotiate(body));
    pair.deliver(&reply);
    assert!(matches!(pair.events()[..], [Event::Negotiated]));
    pair.login(false).unwrap();
    pair.settle();
    let events = pair.events();
    let expected = SessionError::Connection(PeerMisbehaved::BadSignature.into());
    assert!(matches!(&events[..], [Event::SessionFailed { error, .. }] if *error == expected), "{events:?}");
}

/// The same with the dialect, which 3.1.1 tells by the hash and older ones by their own question.
#[test]
fn a_dialect_lowered_on_the_way() {
    let (mut pair, _) = answered();
    let asked = Header::request(Command::Negotiate, 0);
    let mut body = pair.server.negotiate_response();
    (body.dialect, body.contexts) = (Dialect::Smb210 as u16, Vec::new());
    let reply = pair.server.encode(&asked, NtStatus::SUCCESS, &Response::Negotiate(body));
    pair.deliver(&reply);
    pair.login(false).unwrap();
    pair.settle();
    let events = pair.events();
    assert!(matches!(events[..], [Event::Negotiated, Event::SessionFailed { .. }]), "{events:?}");
}
