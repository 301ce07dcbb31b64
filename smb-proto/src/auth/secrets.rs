//! What must be wiped is wiped, and what must not be shown is not.

use bytes::Bytes;
use md4::Md4;
use md5::Md5;
use rc4::Rc4;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use super::ntlm::acceptor::Acceptor;
use super::ntlm::message::{Authenticate, Challenge, Flags};
use super::*;
use crate::conn::SessionError;
use crate::crypto::{Cipher, Key, PreauthHash, SessionKeys, rust_crypto};
use crate::fscc::FileTime;
use crate::wire::{
    Capabilities, Request, Response, SecurityMode, SessionFlags, SessionSetupFlags, SessionSetupRequest,
    SessionSetupResponse,
};

// Much of it depends on the features of other crates, which nobody would miss.
#[test]
fn passwords_and_keys_are_wiped() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<Secret>();
    wiped::<Key>();
    // NTOWF, session keys, and what they are made of.
    wiped::<Zeroizing<[u8; 16]>>();
    wiped::<Zeroizing<Vec<u8>>>();
    wiped::<Md4>();
    // HMAC-MD5 holds two of it, and no more than that.
    wiped::<Md5>();
    wiped::<Rc4>();
}

/// Both as text and as a list of numbers, which is how bytes show themselves.
fn assert_hidden(shown: &str, secret: &[u8]) {
    let list = format!("{secret:?}");
    for needle in
        [String::from_utf8_lossy(secret).as_ref(), list.trim_matches(['[', ']']), &hex::encode(secret)]
    {
        assert!(!shown.contains(needle), "{shown}");
    }
}

const PASSWORD: &str = "Correct horse 4711";

#[test]
fn nothing_shows_a_password_or_a_key() {
    let credentials = Credentials::Password {
        user: "User".into(),
        domain: "Domain".into(),
        password: PASSWORD.to_owned().into(),
    };
    for shown in
        [format!("{credentials:?}"), format!("{credentials:#?}"), format!("{:?}", credentials.clone())]
    {
        assert_hidden(&shown, PASSWORD.as_bytes());
    }
    let key = Key::new(b"0123456789abcdef");
    let keys = SessionKeys::smb311(&key, &key, &PreauthHash::new(), Some(Cipher::Aes256Gcm));
    let shown = format!("{keys:?} {keys:#?} {key:?}");
    for key in [&key, &keys.signing, &keys.application] {
        assert_hidden(&shown, key.as_bytes());
    }
    assert_hidden(&shown, keys.client_to_server.as_ref().unwrap().as_bytes());
}

/// A login by a real exchange, and everything that could end in a log.
#[test]
fn nothing_shows_what_a_password_can_be_guessed_by() {
    let credentials = Credentials::Password {
        user: "User".into(),
        domain: "Domain".into(),
        password: PASSWORD.to_owned().into(),
    };
    let config =
        NtlmConfig { workstation: String::new(), target_name: "server.example".into(), now: FileTime(1) };
    let mut client = ntlm(credentials, config, rust_crypto()).unwrap();
    let mut acceptor = Acceptor::new(PASSWORD);
    let challenge = acceptor.challenge(&client.start(&[]).unwrap());
    let token = client.step(&challenge).unwrap();
    acceptor.authenticate(&token).unwrap();
    let message = Authenticate::decode(&token).unwrap();
    let request = Request::SessionSetup(SessionSetupRequest {
        flags: SessionSetupFlags::empty(),
        security_mode: SecurityMode::SIGNING_ENABLED,
        capabilities: Capabilities::empty(),
        previous_session_id: 0,
        token: Bytes::from(token),
    });
    let response = Response::SessionSetup(SessionSetupResponse {
        flags: SessionFlags::empty(),
        token: Bytes::from(challenge.clone()),
    });
    let shown = format!("{message:?} {request:?} {response:?}");
    assert_hidden(&shown, &message.nt_response[..16]);
    assert_hidden(&shown, &message.session_key);
    assert_hidden(&shown, &acceptor.session_key.unwrap());
    assert_hidden(&shown, &Challenge::decode(&challenge).unwrap().server_challenge);
    assert!(message.flags.contains(Flags::KEY_EXCHANGE));
}

#[test]
fn errors_hold_nothing_of_the_login() {
    for challenge in [&b"NTLMSSP\0\x02\0\0\0"[..], b"", b"garbage"] {
        let credentials = Credentials::Password {
            user: "User".into(),
            domain: "Domain".into(),
            password: PASSWORD.to_owned().into(),
        };
        let config = NtlmConfig { workstation: String::new(), target_name: "s".into(), now: FileTime(1) };
        let mut client = ntlm(credentials, config, rust_crypto()).unwrap();
        client.start(&[]).unwrap();
        let error = SessionError::from(client.step(challenge).unwrap_err());
        assert_hidden(&format!("{error} {error:?}"), PASSWORD.as_bytes());
    }
}
