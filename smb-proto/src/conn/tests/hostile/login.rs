//! Servers that cheat at the login.

use super::*;
use crate::auth::ntlm::acceptor::Acceptor;
use crate::auth::ntlm::message::Flags;
use crate::auth::{AuthError, Credentials, NtlmConfig, ntlm};
use crate::fscc::FileTime;

const CONFIG: SessionConfig =
    SessionConfig { sign: true, encrypt: false, allow_guest: false, previous_session_id: 0 };

/// The error of the only login.
fn failure(pair: &mut Pair) -> SessionError {
    match &pair.events()[..] {
        [Event::SessionFailed { error, .. }] => error.clone(),
        other => panic!("{other:?}"),
    }
}

fn negotiated(script: Script) -> Pair {
    let mut pair = Pair::new(script, ConnectionConfig::default());
    pair.settle();
    assert!(matches!(pair.events()[..], [Event::Negotiated]));
    pair
}

fn setup_reply(server: &Server, asked: &Header, status: NtStatus, session_id: u64, token: &[u8]) -> Vec<u8> {
    let body =
        SessionSetupResponse { flags: server.script.session_flags, token: Bytes::copy_from_slice(token) };
    let mut header = Header::response_to(asked, status.0, 10);
    header.session_id = session_id;
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| Response::SessionSetup(body).encode(w));
    out
}

/// A real NTLM login up to the server's first answer, which `answer` makes of the client's token.
fn ntlm_answered(answer: impl FnOnce(&[u8]) -> (NtStatus, Vec<u8>)) -> SessionError {
    let mut pair = negotiated(Script::default());
    let credentials = Credentials::Password {
        user: "User".into(),
        domain: "Domain".into(),
        password: "Password".to_owned().into(),
    };
    let config =
        NtlmConfig { workstation: String::new(), target_name: "server.example".into(), now: FileTime(1) };
    let login = ntlm(credentials, config, rust_crypto()).unwrap();
    pair.client.authenticate(pair.now, login, CONFIG).unwrap();
    let (asked, request, ..) = pair.sent().remove(0);
    let Request::SessionSetup(body) = request else { panic!("{request:?}") };
    let (status, token) = answer(&body.token);
    let reply = setup_reply(&pair.server, &asked, status, SESSION_ID, &token);
    pair.deliver(&reply);
    failure(&mut pair)
}

#[test]
fn our_own_message_as_the_challenge() {
    let error = ntlm_answered(|token| (NtStatus::MORE_PROCESSING_REQUIRED, token.to_vec()));
    assert_eq!(error, AuthError::Reflected.into());
}

#[test]
fn a_challenge_without_target_information() {
    let error = ntlm_answered(|token| {
        let mut acceptor = Acceptor::new("Password");
        acceptor.withheld = Flags::TARGET_INFO;
        (NtStatus::MORE_PROCESSING_REQUIRED, acceptor.challenge(token))
    });
    assert_eq!(error, AuthError::Downgrade("target information").into());
}

#[test]
fn a_challenge_cut_anywhere() {
    let mut length = 0;
    loop {
        let mut whole = 0;
        let error = ntlm_answered(|token| {
            let challenge = Acceptor::new("Password").challenge(token);
            whole = challenge.len();
            (NtStatus::MORE_PROCESSING_REQUIRED, challenge[..length].to_vec())
        });
        assert!(matches!(error, SessionError::Auth(AuthError::Malformed(_))), "{length}: {error}");
        length += 1;
        if length == whole {
            return;
        }
    }
}

#[test]
fn success_before_any_proof() {
    let error = ntlm_answered(|_| (NtStatus::SUCCESS, Vec::new()));
    assert_eq!(error, AuthError::EndedEarly.into());
    let error = ntlm_answered(|token| (NtStatus::SUCCESS, Acceptor::new("Password").challenge(token)));
    assert_eq!(error, AuthError::EndedEarly.into());
}

#[test]
fn a_guest_who_did_not_ask_to_be_one() {
    for (flags, encrypt) in [
        (SessionFlags::IS_GUEST, false),
        (SessionFlags::IS_NULL, false),
        (SessionFlags::IS_GUEST | SessionFlags::IS_NULL, true),
        (SessionFlags::IS_GUEST | SessionFlags::ENCRYPT_DATA, false),
    ] {
        let mut pair = negotiated(Script { session_flags: flags, ..Script::default() });
        pair.login(encrypt).unwrap();
        pair.settle();
        assert_eq!(failure(&mut pair), SessionError::OnlyGuest, "{flags:?}");
        assert!(!pair.client.is_encrypted(SESSION_ID, 0));
        assert!(pair.client.send(pair.now, Chain::one(SESSION_ID, 0, Request::Echo(Empty))).is_err());
    }
}

#[test]
fn a_guest_where_encryption_is_wanted() {
    let mut pair = negotiated(Script { session_flags: SessionFlags::IS_GUEST, ..Script::default() });
    let config = SessionConfig { encrypt: true, allow_guest: true, ..CONFIG };
    pair.client.authenticate(pair.now, fixed_key(), config).unwrap();
    pair.settle();
    assert!(matches!(failure(&mut pair), SessionError::EncryptionUnavailable(_)));
}

/// The first answer to a login names this session, the second one that.
fn named(first: u64, second: u64) -> Pair {
    let mut pair = negotiated(Script::default());
    pair.login(false).unwrap();
    let (asked, ..) = pair.sent().remove(0);
    let reply = setup_reply(&pair.server, &asked, NtStatus::MORE_PROCESSING_REQUIRED, first, b"");
    pair.deliver(&reply);
    if let Some((asked, ..)) = pair.sent().pop() {
        let reply = setup_reply(&pair.server, &asked, NtStatus::SUCCESS, second, b"");
        pair.deliver(&reply);
    }
    pair
}

#[test]
fn a_session_that_changes_its_name_during_the_login() {
    for second in [SESSION_ID + 1, 0] {
        let mut pair = named(SESSION_ID, second);
        assert_eq!(pair.ended(), PeerMisbehaved::AnotherSession.into());
        assert!(matches!(pair.events()[..], [Event::SessionFailed { .. }, Event::Closed(_)]));
    }
}

#[test]
fn a_session_without_a_name() {
    let mut pair = named(0, 0);
    let expected = SessionError::Connection(PeerMisbehaved::AnotherSession.into());
    assert_eq!(failure(&mut pair), expected);
}

/// Otherwise the second login's keys, or a guest's lack of them, would replace the first one's.
#[test]
fn a_second_session_with_the_name_of_the_first() {
    for early in [false, true] {
        let mut pair = Pair::ready(Script::default(), true);
        pair.login(false).unwrap();
        let (asked, ..) = pair.sent().remove(0);
        let first = if early { SESSION_ID } else { SESSION_ID + 1 };
        let reply = setup_reply(&pair.server, &asked, NtStatus::MORE_PROCESSING_REQUIRED, first, b"");
        pair.deliver(&reply);
        if !early {
            let (asked, ..) = pair.sent().remove(0);
            let asked = Header { session_id: first, ..asked };
            let reply = setup_reply(&pair.server, &asked, NtStatus::SUCCESS, SESSION_ID, b"");
            pair.deliver(&reply);
            assert_eq!(pair.ended(), PeerMisbehaved::AnotherSession.into());
            continue;
        }
        let expected = SessionError::Connection(PeerMisbehaved::AnotherSession.into());
        assert_eq!(failure(&mut pair), expected);
        assert!(pair.client.is_encrypted(SESSION_ID, 0));
        assert_works(&mut pair);
    }
}

#[test]
fn a_login_whose_end_is_not_signed() {
    let mut pair = named(SESSION_ID, SESSION_ID);
    assert_eq!(failure(&mut pair), SessionError::Connection(PeerMisbehaved::Unprotected("signed").into()));
}

#[test]
fn a_login_whose_end_is_signed_with_another_key() {
    for dialect in Dialect::ALL {
        let mut pair = negotiated(script(dialect));
        pair.login(false).unwrap();
        let (asked, ..) = pair.sent().remove(0);
        let reply = setup_reply(&pair.server, &asked, NtStatus::MORE_PROCESSING_REQUIRED, SESSION_ID, b"");
        pair.deliver(&reply);
        let (asked, ..) = pair.sent().remove(0);
        let mut reply = setup_reply(&pair.server, &asked, NtStatus::SUCCESS, SESSION_ID, b"");
        reply[16] |= 8;
        reply[48..64].fill(0x5A);
        pair.deliver(&reply);
        assert_eq!(failure(&mut pair), SessionError::Connection(PeerMisbehaved::BadSignature.into()));
    }
}

#[test]
fn a_login_that_is_pending_for_ever() {
    let mut pair = negotiated(Script::default());
    pair.login(false).unwrap();
    let (asked, ..) = pair.sent().remove(0);
    let mut header = Header::response_to(&asked, NtStatus::PENDING.0, 0);
    header.route = Route::Async { async_id: 1 };
    let mut out = Vec::new();
    encode_message(&mut out, &header, |w| ErrorResponse::default().encode(w));
    pair.deliver(&out);
    (0..10).for_each(|_| pair.advance(10));
    assert_eq!(pair.ended(), ConnectionError::TimedOut);
    assert!(matches!(pair.events()[..], [Event::SessionFailed { .. }, Event::Closed(_)]));
}

#[test]
fn a_login_that_never_has_enough() {
    let error = {
        let mut pair = negotiated(Script::default());
        let credentials = Credentials::Anonymous;
        let config = NtlmConfig { workstation: String::new(), target_name: "s".into(), now: FileTime(1) };
        let login = ntlm(credentials, config, rust_crypto()).unwrap();
        pair.client.authenticate(pair.now, login, CONFIG).unwrap();
        let mut token = None;
        for _ in 0..3 {
            let Some((asked, request, ..)) = pair.sent().pop() else { break };
            let Request::SessionSetup(body) = request else { panic!("{request:?}") };
            let challenge = token.get_or_insert_with(|| Acceptor::new("").challenge(&body.token)).clone();
            let status = NtStatus::MORE_PROCESSING_REQUIRED;
            let reply = setup_reply(&pair.server, &asked, status, SESSION_ID, &challenge);
            pair.deliver(&reply);
        }
        failure(&mut pair)
    };
    assert!(matches!(error, SessionError::Auth(AuthError::Unexpected(_))), "{error}");
}

#[test]
fn a_refusal_is_no_misbehaviour() {
    let mut pair = negotiated(Script::default());
    pair.login(false).unwrap();
    let (asked, ..) = pair.sent().remove(0);
    let mut out = Vec::new();
    encode_message(&mut out, &Header::response_to(&asked, NtStatus::LOGON_FAILURE.0, 1), |w| {
        ErrorResponse::default().encode(w);
    });
    pair.deliver(&out);
    assert_eq!(failure(&mut pair), SessionError::Refused(NtStatus::LOGON_FAILURE));
    assert!(pair.client.closed().is_none());
}
