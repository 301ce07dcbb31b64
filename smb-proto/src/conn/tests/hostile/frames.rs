//! Frames that are cut, glued, repeated, mislabelled or in the wrong order.

use super::*;

fn whole(server: &mut Server, header: &Header, encrypt: bool) -> Vec<u8> {
    let message = server.encode(header, NtStatus::SUCCESS, &read_response(b"123456789"));
    protected(server, encrypt, message)
}

/// Gives the client this instead of the proper answer to a READ; the connection must end through the server's fault.
fn refused(
    encrypt: bool,
    what: &str,
    spoil: impl Fn(&mut Server, &Header, Vec<u8>) -> Vec<u8>,
) -> ConnectionError {
    let mut pair = Pair::ready(Script::default(), encrypt);
    pair.answered(read(9), |server, header| {
        let reply = whole(server, header, encrypt);
        spoil(server, header, reply)
    });
    let ended = pair.ended();
    assert_blamed(&mut pair, what);
    ended
}

#[test]
fn a_frame_cut_anywhere() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.send(read(9));
        let (header, ..) = pair.sent().remove(0);
        let length = whole(&mut pair.server, &header, encrypt).len();
        for cut in 0..length {
            refused(encrypt, &format!("cut at {cut}"), |_, _, reply| reply[..cut].to_vec());
        }
    }
}

#[test]
fn a_frame_with_something_behind_it() {
    for encrypt in [false, true] {
        for extra in [1, 8, 64, 1000] {
            refused(encrypt, "appended", |_, _, reply| [reply, vec![0; extra]].concat());
        }
    }
}

#[test]
fn a_frame_larger_than_anything_asked_for() {
    let most = Pair::ready(Script::default(), false).client.max_frame();
    let ended = refused(false, "large", |_, _, reply| [reply, vec![0; most]].concat());
    assert!(matches!(ended, ConnectionError::PeerMisbehaved(PeerMisbehaved::FrameTooLarge(_))), "{ended:?}");
}

#[test]
fn an_empty_frame() {
    refused(false, "empty", |_, _, _| Vec::new());
}

/// Not an attack: a server answers in the order in which it is done.
#[test]
fn answers_in_any_order() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        let tokens: Vec<_> = (0..5).map(|_| pair.send(read(9))).collect();
        let asked = pair.sent();
        for index in [3, 0, 4, 2, 1] {
            let reply = whole(&mut pair.server, &asked[index].0, encrypt);
            pair.deliver(&reply);
        }
        let done: Vec<_> = pair
            .events()
            .into_iter()
            .map(|event| match event {
                Event::Done { token, result: Ok(_) } => token,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(done, [3, 0, 4, 2, 1].map(|index| tokens[index]));
    }
}

#[test]
fn an_answer_whose_signed_flag_was_stripped() {
    let ended = refused(false, "stripped", |_, _, mut reply| {
        reply[16] &= !8;
        reply
    });
    assert_eq!(ended, PeerMisbehaved::Unprotected("signed").into());
}

#[test]
fn an_answer_whose_signature_is_zero() {
    let ended = refused(false, "zero", |_, _, mut reply| {
        reply[48..64].fill(0);
        reply
    });
    assert_eq!(ended, PeerMisbehaved::BadSignature.into());
}

#[test]
fn an_answer_that_was_taken_out_of_its_encryption() {
    let ended = refused(true, "bared", |server, header, _| {
        server.encode(header, NtStatus::SUCCESS, &read_response(b"123456789"))
    });
    assert_eq!(ended, PeerMisbehaved::Unprotected("encrypted").into());
}

#[test]
fn an_answer_that_is_repeated() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.send(read(9));
        let (header, ..) = pair.sent().remove(0);
        let reply = whole(&mut pair.server, &header, encrypt);
        pair.deliver(&reply);
        assert!(matches!(pair.events()[..], [Event::Done { result: Ok(_), .. }]));
        pair.deliver(&reply);
        assert_eq!(pair.ended(), PeerMisbehaved::Unsolicited(header.message_id).into());
        assert_blamed(&mut pair, "repeated");
    }
}

/// An answer of before under the number of a later question: the number is part of what is signed.
#[test]
fn an_old_answer_to_a_new_question() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.send(read(9));
        let (first, ..) = pair.sent().remove(0);
        let mut reply = whole(&mut pair.server, &first, encrypt);
        pair.deliver(&reply.clone());
        pair.events();
        pair.send(read(9));
        let (second, ..) = pair.sent().remove(0);
        let at = if encrypt { TRANSFORM_LEN } else { 0 } + 24;
        reply[at..at + 8].copy_from_slice(&second.message_id.to_le_bytes());
        pair.deliver(&reply);
        assert_eq!(pair.ended(), PeerMisbehaved::BadSignature.into());
    }
}

#[test]
fn a_number_used_twice_in_one_frame() {
    let mut pair = Pair::ready(Script::default(), true);
    pair.answered(read(9), |server, header| {
        let mut message = server.encode(header, NtStatus::SUCCESS, &read_response(b"12345678"));
        message.resize(message.len().next_multiple_of(8), 0);
        let mut first = message.clone();
        first[20..24].copy_from_slice(&(message.len() as u32).to_le_bytes());
        let both = [first, message].concat();
        server.encrypt(both)
    });
    assert!(matches!(pair.ended(), ConnectionError::PeerMisbehaved(PeerMisbehaved::Unsolicited(_))));
    let events = pair.events();
    assert!(matches!(events[..], [Event::Done { result: Ok(_), .. }, Event::Closed(_)]), "{events:?}");
}

#[test]
fn chains_that_lead_nowhere() {
    for encrypt in [false, true] {
        // Into the header, off alignment, to the end, behind it, all the way around.
        for next in [1_u32, 8, 56, 63, 68, 89, 96, 4096, 0x7FFF_FFF8, u32::MAX - 7, u32::MAX] {
            let mut pair = Pair::ready(Script::default(), encrypt);
            pair.answered(read(9), |server, header| {
                let mut message = server.encode(header, NtStatus::SUCCESS, &read_response(b"123456789"));
                message[20..24].copy_from_slice(&next.to_le_bytes());
                protected(server, encrypt, message)
            });
            assert!(
                matches!(pair.ended(), ConnectionError::PeerMisbehaved(PeerMisbehaved::Malformed(_))),
                "{next}: {:?}",
                pair.ended()
            );
            assert_blamed(&mut pair, "chain");
        }
    }
}

#[test]
fn a_chain_of_thousands() {
    for encrypt in [false, true] {
        let mut pair = Pair::ready(Script::default(), encrypt);
        pair.answered(Request::Echo(Empty), |server, header| {
            let mut message = server.encode(header, NtStatus::SUCCESS, &Response::Echo(Empty));
            message.resize(72, 0);
            message[20..24].copy_from_slice(&72_u32.to_le_bytes());
            let mut all = message.repeat(1500);
            let last = all.len() - 72;
            all[last + 20..last + 24].fill(0);
            if encrypt { server.encrypt(all) } else { all }
        });
        assert_eq!(pair.ended(), DecodeError::Invalid("chain length").into());
    }
}

/// The second message of a chain bears the name of a session that nobody knows, and so no signature is checked.
#[test]
fn a_chain_whose_rest_nobody_signed() {
    let mut pair = Pair::ready(Script::default(), false);
    pair.send(read(9));
    pair.send(read(9));
    let asked = pair.sent();
    let first = pair.server.encode(&asked[0].0, NtStatus::SUCCESS, &read_response(b"12345678"));
    let mut first = first;
    first.resize(first.len().next_multiple_of(8), 0);
    let next = (first.len() as u32).to_le_bytes();
    first[20..24].copy_from_slice(&next);
    let mut frame = pair.server.sign(first);
    let stranger = Header { session_id: 99, ..asked[1].0.clone() };
    frame.extend(pair.server.encode(&stranger, NtStatus::SUCCESS, &read_response(b"forged")));
    pair.deliver(&frame);
    assert_eq!(pair.ended(), PeerMisbehaved::AnotherSession.into());
}

#[test]
fn an_encrypted_frame_that_lies_about_its_length() {
    for size in [0_u32, 1, 72, 74, u32::MAX] {
        let ended = refused(true, "size", |_, _, mut reply| {
            reply[36..40].copy_from_slice(&size.to_le_bytes());
            reply
        });
        assert_eq!(ended, DecodeError::Invalid("original message size").into(), "{size}");
    }
}

#[test]
fn an_encrypted_frame_of_nothing() {
    let mut pair = Pair::ready(Script::default(), true);
    let frame = pair.server.encrypt(Vec::new());
    pair.deliver(&frame);
    assert_eq!(pair.ended(), DecodeError::Truncated.into());
}

#[test]
fn an_encrypted_frame_that_says_it_is_not() {
    let ended = refused(true, "flags", |_, _, mut reply| {
        reply[42] = 0;
        reply
    });
    assert_eq!(ended, DecodeError::Invalid("transform flags").into());
}

#[test]
fn encryption_within_encryption() {
    let mut pair = Pair::ready(Script::default(), true);
    pair.answered(read(9), |server, header| {
        let inner = whole(server, header, true);
        server.encrypt(inner)
    });
    assert_eq!(pair.ended(), DecodeError::Invalid("protocol id").into());
}

#[test]
fn encryption_where_none_was_negotiated() {
    let mut pair = Pair::ready(script(Dialect::Smb210), false);
    pair.send(read(9));
    let mut frame = TRANSFORM_MAGIC.to_vec();
    frame.resize(TRANSFORM_LEN, 0);
    frame[42] = 1;
    frame[44..52].copy_from_slice(&SESSION_ID.to_le_bytes());
    pair.deliver(&frame);
    assert!(matches!(pair.ended(), ConnectionError::PeerMisbehaved(PeerMisbehaved::Unprotected(_))));
}

#[test]
fn encryption_under_a_session_that_does_not_exist() {
    let ended = refused(true, "session", |_, _, mut reply| {
        reply[44] ^= 1;
        reply
    });
    assert!(matches!(ended, ConnectionError::PeerMisbehaved(PeerMisbehaved::Unprotected(_))), "{ended:?}");
}

/// Both sessions are the server's own; still the one's answers are no answers to the other.
#[test]
fn an_answer_under_another_sessions_key() {
    for inner in [SESSION_ID, SESSION_ID + 1] {
        let mut pair = Pair::ready(Script::default(), true);
        pair.send(read(9));
        let (header, ..) = pair.sent().remove(0);
        pair.server.script.session_id = SESSION_ID + 1;
        pair.login(true).unwrap();
        pair.settle();
        let header = Header { session_id: inner, ..header };
        let reply = whole(&mut pair.server, &header, true);
        pair.deliver(&reply);
        let expected = if inner == SESSION_ID {
            PeerMisbehaved::Unprotected("encrypted with its own session's key")
        } else {
            PeerMisbehaved::AnotherSession
        };
        assert_eq!(pair.ended(), expected.into());
    }
}

#[test]
fn compression_that_nobody_offered() {
    let mut frame = COMPRESSION_MAGIC.to_vec();
    frame.resize(200, 0);
    assert_eq!(refused(false, "bare", |_, _, _| frame.clone()), PeerMisbehaved::Compressed.into());
    assert_eq!(
        refused(true, "sealed", |server, _, _| server.encrypt(frame.clone())),
        PeerMisbehaved::Compressed.into()
    );
}
