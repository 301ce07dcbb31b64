//! The server's side of NTLM, enough to test the client's against ([MS-NLMP] 3.2).

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::av::{self, AvPairs};
use super::message::{Authenticate, Challenge, Flags, Negotiate};
use super::security::Security;
use super::v2::{self, utf16};
use crate::auth::AuthError;
use crate::fscc::FileTime;

/// Why the acceptor turned a client away.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Malformed(AuthError),
    Password,
    Mic,
}

/// Knows one account: `User` in `Domain`.
pub(crate) struct Acceptor {
    pub(crate) password: String,
    pub(crate) timestamp: Option<FileTime>,
    /// Taken from the flags that the client proposed.
    pub(crate) withheld: Flags,
    negotiate: Vec<u8>,
    challenge: Vec<u8>,
    /// Once a client is accepted; `None` still for an anonymous one.
    pub(crate) session_key: Option<[u8; 16]>,
    security: Option<Security>,
}

const SERVER_CHALLENGE: [u8; 8] = *b"nonce!!!";

impl Acceptor {
    pub(crate) fn new(password: &str) -> Self {
        Self {
            password: password.to_owned(),
            timestamp: Some(FileTime(133_000_000_000_000_000)),
            withheld: Flags::empty(),
            negotiate: Vec::new(),
            challenge: Vec::new(),
            session_key: None,
            security: None,
        }
    }

    pub(crate) fn challenge(&mut self, negotiate: &[u8]) -> Vec<u8> {
        let flags = Negotiate::decode(negotiate).unwrap().flags - self.withheld;
        let mut target_info = AvPairs::default();
        target_info.set(2, utf16("Domain"));
        target_info.set(1, utf16("Server"));
        if let Some(time) = self.timestamp {
            target_info.set(av::TIMESTAMP, time.0.to_le_bytes().to_vec());
        }
        let message = Challenge {
            flags: flags | Flags::TARGET_TYPE_SERVER,
            server_challenge: SERVER_CHALLENGE,
            target_name: utf16("Server"),
            target_info,
        };
        self.negotiate = negotiate.to_vec();
        self.challenge = message.encode().unwrap();
        self.challenge.clone()
    }

    pub(crate) fn authenticate(&mut self, token: &[u8]) -> Result<(), Refusal> {
        let message = Authenticate::decode(token).map_err(Refusal::Malformed)?;
        if message.flags.contains(Flags::ANONYMOUS) {
            let null =
                message.user.is_empty() && message.nt_response.is_empty() && message.lm_response == [0];
            return if null { Ok(()) } else { Err(Refusal::Password) };
        }
        let (proof, blob) = message.nt_response.split_at_checked(16).ok_or(Refusal::Password)?;
        let ntowf = v2::ntowf("User", "Domain", &self.password);
        let expected = v2::hmac_md5(&ntowf, &[&SERVER_CHALLENGE, blob]);
        if !bool::from(expected[..].ct_eq(proof)) || !message.user.eq_ignore_ascii_case(&utf16("User")) {
            return Err(Refusal::Password);
        }
        let base = v2::hmac_md5(&ntowf, &[proof]);
        let session_key = match <[u8; 16]>::try_from(message.session_key) {
            Ok(encrypted) if message.flags.contains(Flags::KEY_EXCHANGE) => {
                v2::rc4k(&base, &Zeroizing::new(encrypted))
            }
            _ => base,
        };

        let pairs = AvPairs::decode(blob.get(28..).unwrap_or_default()).map_err(Refusal::Malformed)?;
        assert_eq!(pairs.get(av::TARGET_NAME), Some(&utf16("cifs/server.example")[..]));
        assert_eq!(pairs.get(av::CHANNEL_BINDINGS), Some(&[0; 16][..]));
        assert_eq!(message.lm_response == [0; 24], self.timestamp.is_some());
        if pairs.flags() & av::MIC_PROVIDED != 0 {
            let mut zeroed = token.to_vec();
            Authenticate::set_mic(&mut zeroed, [0; 16]);
            let expected = v2::hmac_md5(&session_key, &[&self.negotiate, &self.challenge, &zeroed]);
            if Authenticate::mic(token) != Some(*expected) {
                return Err(Refusal::Mic);
            }
        }
        self.session_key = Some(*session_key);
        self.security = Some(Security::server(&session_key, message.flags));
        Ok(())
    }

    /// Verifies the client's mechListMIC and makes the server's.
    pub(crate) fn exchange_mics(&mut self, mech_list: &[u8], theirs: &[u8]) -> Result<[u8; 16], Refusal> {
        let security = self.security.as_mut().unwrap();
        security.verify(mech_list, theirs).map_err(|_| Refusal::Mic)?;
        Ok(security.sign(mech_list))
    }
}
