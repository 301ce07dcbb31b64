//! Whole logins of the client against the test acceptor.

use super::ntlm::acceptor::{Acceptor, Refusal};
use super::ntlm::message::{Authenticate, Challenge, Flags};
use super::spnego::{NegState, NegTokenInit, NegTokenResp};
use super::*;
use crate::crypto::rust_crypto;
use crate::fscc::FileTime;

const NTLMSSP: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];
const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

fn config() -> NtlmConfig {
    NtlmConfig {
        workstation: "WORKSTATION".to_owned(),
        target_name: "server.example".to_owned(),
        now: FileTime(132_000_000_000_000_000),
    }
}

fn client(password: &str) -> Box<dyn Authenticator> {
    let credentials = Credentials::Password {
        user: "uSER".to_owned(),
        domain: "Domain".to_owned(),
        password: password.to_owned().into(),
    };
    ntlm(credentials, config(), rust_crypto()).unwrap()
}

fn hint(mechanisms: &[&[u8]]) -> Vec<u8> {
    NegTokenInit { mech_types: mechanisms.to_vec(), mech_token: None }.encode()
}

/// A server that speaks SPNEGO around the acceptor.
struct Server {
    acceptor: Acceptor,
    mech_list: Vec<u8>,
    state: NegState,
}

impl Server {
    fn new(password: &str) -> Self {
        let mut mech_list = vec![0x30, 12, 6, 10];
        mech_list.extend_from_slice(NTLMSSP);
        Self { acceptor: Acceptor::new(password), mech_list, state: NegState::AcceptIncomplete }
    }

    fn challenge(&mut self, token: &[u8]) -> Vec<u8> {
        let init = NegTokenInit::decode(token).unwrap();
        assert_eq!(init.mech_types, [NTLMSSP]);
        let challenge = self.acceptor.challenge(init.mech_token.unwrap());
        self.reply(&challenge)
    }

    fn reply(&self, challenge: &[u8]) -> Vec<u8> {
        let reply = NegTokenResp {
            state: Some(self.state),
            supported_mech: Some(NTLMSSP),
            response_token: Some(challenge),
            mech_list_mic: None,
        };
        reply.encode()
    }

    fn authenticate(&mut self, token: &[u8]) -> Result<Vec<u8>, Refusal> {
        let resp = NegTokenResp::decode(token).unwrap();
        self.acceptor.authenticate(resp.response_token.unwrap())?;
        let mic = match resp.mech_list_mic {
            Some(mic) => Some(self.acceptor.exchange_mics(&self.mech_list, mic)?),
            None => None,
        };
        let done = NegTokenResp {
            state: Some(NegState::AcceptCompleted),
            mech_list_mic: mic.as_ref().map(|mic| &mic[..]),
            ..NegTokenResp::default()
        };
        Ok(done.encode())
    }
}

fn log_in(client: &mut dyn Authenticator, server: &mut Server) -> Vec<u8> {
    let first = client.start(&hint(&[KERBEROS, NTLMSSP])).unwrap();
    let answer = client.step(&server.challenge(&first)).unwrap();
    server.authenticate(&answer).unwrap()
}

#[test]
fn both_sides_end_with_the_same_key() {
    for (timestamp, withheld) in [
        (true, Flags::empty()),
        (false, Flags::empty()),
        (true, Flags::KEY_EXCHANGE),
        (true, Flags::SIGN | Flags::VERSION),
    ] {
        let (mut client, mut server) = (client("Password"), Server::new("Password"));
        server.acceptor.withheld = withheld;
        if !timestamp {
            server.acceptor.timestamp = None;
        }
        assert!(client.session_key().is_none());
        let last = log_in(&mut *client, &mut server);
        client.finish(&last).unwrap();
        let key = client.session_key().unwrap().as_bytes();
        assert_eq!(key, server.acceptor.session_key.unwrap());
        assert!(!client.is_anonymous());
    }
}

#[test]
fn without_a_hint_the_messages_go_bare() {
    let (mut client, mut acceptor) = (client("Password"), Acceptor::new("Password"));
    let challenge = acceptor.challenge(&client.start(&[]).unwrap());
    acceptor.authenticate(&client.step(&challenge).unwrap()).unwrap();
    client.finish(&[]).unwrap();
    assert_eq!(client.session_key().unwrap().as_bytes(), acceptor.session_key.unwrap());
}

#[test]
fn an_anonymous_login_has_no_key() {
    let mut client = ntlm(Credentials::Anonymous, config(), rust_crypto()).unwrap();
    let mut server = Server::new("Password");
    let last = log_in(&mut *client, &mut server);
    client.finish(&last).unwrap();
    assert!(client.is_anonymous());
    assert!(client.session_key().is_none());
}

#[test]
fn a_wrong_password_is_turned_away() {
    let (mut client, mut server) = (client("password"), Server::new("Password"));
    let first = client.start(&hint(&[NTLMSSP])).unwrap();
    let answer = client.step(&server.challenge(&first)).unwrap();
    assert_eq!(server.authenticate(&answer), Err(Refusal::Password));
}

#[test]
fn a_flag_stripped_from_the_challenge_breaks_the_mic() {
    let (mut client, mut acceptor) = (client("Password"), Acceptor::new("Password"));
    let mut challenge = acceptor.challenge(&client.start(&[]).unwrap());
    challenge[23] &= !0x40;
    let answer = client.step(&challenge).unwrap();
    assert!(!Authenticate::decode(&answer).unwrap().flags.contains(Flags::KEY_EXCHANGE));
    assert_eq!(acceptor.authenticate(&answer), Err(Refusal::Mic));
}

#[test]
fn the_word_that_a_mic_is_there_cannot_be_stripped() {
    let (mut client, mut acceptor) = (client("Password"), Acceptor::new("Password"));
    let challenge = acceptor.challenge(&client.start(&[]).unwrap());
    let mut answer = client.step(&challenge).unwrap();
    let flags = [6, 0, 4, 0, 2, 0, 0, 0];
    let at = answer.windows(8).position(|window| window == flags).unwrap();
    answer[at + 4] = 0;
    Authenticate::set_mic(&mut answer, [0; 16]);
    assert_eq!(acceptor.authenticate(&answer), Err(Refusal::Password));
}

#[test]
fn a_weaker_challenge_is_refused() {
    for flag in [Flags::UNICODE, Flags::EXTENDED_SESSION_SECURITY, Flags::KEY_128, Flags::TARGET_INFO] {
        let (mut client, mut acceptor) = (client("Password"), Acceptor::new("Password"));
        acceptor.withheld = flag;
        let challenge = acceptor.challenge(&client.start(&[]).unwrap());
        assert!(matches!(client.step(&challenge), Err(AuthError::Downgrade(_))));
        assert_eq!(client.step(&challenge), Err(AuthError::OutOfOrder));
    }
    let (mut client, mut acceptor) = (client("Password"), Acceptor::new("Password"));
    let mut challenge = Challenge::decode(&acceptor.challenge(&client.start(&[]).unwrap())).unwrap();
    challenge.target_info = Default::default();
    let challenge = challenge.encode().unwrap();
    assert_eq!(client.step(&challenge), Err(AuthError::Downgrade("target information")));
}

#[test]
fn an_altered_mech_list_is_noticed_on_both_sides() {
    let (mut client, mut server) = (client("Password"), Server::new("Password"));
    server.mech_list = vec![0x30, 0];
    let first = client.start(&hint(&[NTLMSSP])).unwrap();
    let answer = client.step(&server.challenge(&first)).unwrap();
    assert_eq!(server.authenticate(&answer), Err(Refusal::Mic));

    let (mut client, mut server) = (self::client("Password"), Server::new("Password"));
    let mut last = log_in(&mut *client, &mut server);
    // The checksum within the MIC, which ends the token.
    let at = last.len() - 5;
    last[at] ^= 1;
    assert_eq!(client.finish(&last), Err(AuthError::BadMic));
}

#[test]
fn the_servers_mic_may_only_be_missing_where_it_was_not_asked_for() {
    let completed =
        NegTokenResp { state: Some(NegState::AcceptCompleted), ..NegTokenResp::default() }.encode();
    for last in [&completed[..], &[]] {
        let (mut client, mut server) = (client("Password"), Server::new("Password"));
        log_in(&mut *client, &mut server);
        assert_eq!(client.finish(last), Ok(()));

        let (mut client, mut server) = (self::client("Password"), Server::new("Password"));
        server.state = NegState::RequestMic;
        log_in(&mut *client, &mut server);
        assert_eq!(client.finish(last), Err(AuthError::MissingMic));
    }
}

#[test]
fn a_server_that_rejects_or_chooses_something_else_is_believed() {
    for (state, mechanism, error) in [
        (NegState::Reject, NTLMSSP, AuthError::Rejected),
        (NegState::AcceptIncomplete, KERBEROS, AuthError::UnsupportedMechanism),
    ] {
        let reply =
            NegTokenResp { state: Some(state), supported_mech: Some(mechanism), ..NegTokenResp::default() };
        let mut client = client("Password");
        client.start(&hint(&[NTLMSSP])).unwrap();
        assert_eq!(client.step(&reply.encode()), Err(error));
    }
    assert_eq!(client("").start(&hint(&[KERBEROS])), Err(AuthError::NotOffered("NTLMv2")));
    assert!(client("").start(&hint(&[])).is_ok());
}

#[test]
fn success_before_the_proof_is_no_success() {
    let completed =
        NegTokenResp { state: Some(NegState::AcceptCompleted), ..NegTokenResp::default() }.encode();
    for hint in [hint(&[NTLMSSP]), Vec::new()] {
        for last in [if hint.is_empty() { &[][..] } else { &completed }, &[]] {
            let mut client = client("Password");
            client.start(&hint).unwrap();
            assert_eq!(client.finish(last), Err(AuthError::EndedEarly));
        }
    }
}

#[test]
fn our_own_message_sent_back_is_named_so() {
    let mut client = client("Password");
    let first = client.start(&[]).unwrap();
    assert_eq!(client.step(&first), Err(AuthError::Reflected));

    let (mut client, server) = (self::client("Password"), Server::new("Password"));
    let first = client.start(&hint(&[NTLMSSP])).unwrap();
    let ours = NegTokenInit::decode(&first).unwrap().mech_token.unwrap();
    assert_eq!(client.step(&server.reply(ours)), Err(AuthError::Reflected));
}

#[test]
fn the_order_is_kept() {
    let mut client = client("Password");
    assert_eq!(client.step(&[]), Err(AuthError::OutOfOrder));
    assert_eq!(client.start(&[]), Err(AuthError::OutOfOrder));
    assert_eq!(client.finish(&[]), Err(AuthError::OutOfOrder));
}

#[test]
fn names_too_long_for_the_wire_are_refused_at_once() {
    let config = NtlmConfig { workstation: "w".repeat(40_000), ..config() };
    let refused = ntlm(Credentials::Anonymous, config, rust_crypto()).err();
    assert_eq!(refused, Some(AuthError::NameTooLong));
}

proptest::proptest! {
    #[test]
    fn no_token_of_a_server_panics(
        hint in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..80),
        token in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        at in 0usize..100,
        bit in 0u8..8,
    ) {
        let _ = client("").start(&hint);
        let mut other = client("");
        other.start(&[]).unwrap();
        let _ = other.step(&token);
        let (mut client, mut server) = (client("Password"), Server::new("Password"));
        let first = client.start(&self::hint(&[NTLMSSP])).unwrap();
        let mut reply = server.challenge(&first);
        if let Some(byte) = reply.get_mut(at) {
            *byte ^= 1 << bit;
        }
        if client.step(&reply).is_ok() {
            let _ = client.finish(&token);
        }
    }
}
