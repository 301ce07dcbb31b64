//! NTLMv2 ([MS-NLMP]), always with extended session security, 128-bit keys and a MIC over the messages.

#[cfg(test)]
pub(crate) mod acceptor;
pub mod av;
pub mod message;
mod security;
mod v2;

use std::sync::Arc;

use zeroize::Zeroizing;

use self::message::{Authenticate, Challenge, Flags, Negotiate};
use self::security::Security;
use self::v2::{Secret16, utf16};
use super::spnego::Spnego;
use super::{AuthError, Authenticator, Credentials, Mechanism};
use crate::crypto::{CryptoProvider, Key};
use crate::fscc::FileTime;

/// 1.3.6.1.4.1.311.2.2.10.
const NTLMSSP: &[u8] = &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x02, 0x02, 0x0a];

/// What the client proposes.
const OURS: Flags = Flags::UNICODE
    .union(Flags::REQUEST_TARGET)
    .union(Flags::SIGN)
    .union(Flags::NTLM)
    .union(Flags::ALWAYS_SIGN)
    .union(Flags::EXTENDED_SESSION_SECURITY)
    .union(Flags::TARGET_INFO)
    .union(Flags::VERSION)
    .union(Flags::KEY_128)
    .union(Flags::KEY_EXCHANGE);

/// What an NTLM login is told besides the credentials.
#[derive(Clone, Debug)]
pub struct NtlmConfig {
    /// The client's name, as the server's logs show it. May be empty.
    pub workstation: String,
    /// The server's host name or address as the user gave it; MsvAvTargetName becomes "cifs/" and this.
    pub target_name: String,
    /// The current time, for servers that do not tell theirs in MsvAvTimestamp.
    pub now: FileTime,
}

/// A login by NTLMv2 within SPNEGO, or by the anonymous variant of NTLM.
///
/// # Errors
/// [`AuthError::NameTooLong`] for names that the message's fields cannot hold.
pub fn ntlm(
    credentials: Credentials,
    config: NtlmConfig,
    crypto: Arc<dyn CryptoProvider>,
) -> Result<Box<dyn Authenticator>, AuthError> {
    let (user, domain) = match &credentials {
        Credentials::Password { user, domain, .. } => (user.as_str(), domain.as_str()),
        Credentials::Anonymous => ("", ""),
    };
    // UTF-16 takes at most two bytes for each of UTF-8; the target name shares its field with the server's.
    for name in [user, domain, &config.workstation, &config.target_name] {
        if name.len() > usize::from(u16::MAX) / 4 {
            return Err(AuthError::NameTooLong);
        }
    }
    Ok(Box::new(Spnego::new(Ntlm { credentials, config, crypto, stage: Stage::Fresh, keys: None })))
}

struct Ntlm {
    credentials: Credentials,
    config: NtlmConfig,
    crypto: Arc<dyn CryptoProvider>,
    stage: Stage,
    keys: Option<(Key, Security)>,
}

enum Stage {
    Fresh,
    /// Holds the NEGOTIATE message, which the MIC covers.
    Negotiated(Vec<u8>),
    Authenticated,
}

impl Ntlm {
    /// [MS-NLMP] 3.1.5.1.2.
    fn authenticate(&mut self, negotiate: &[u8], token: &[u8]) -> Result<Vec<u8>, AuthError> {
        let challenge = Challenge::decode(token)?;
        refuse_downgrade(&challenge)?;
        let flags = (challenge.flags & OURS) | Flags::VERSION;
        let Credentials::Password { user, domain, password } = &self.credentials else {
            return anonymous(flags, &self.config.workstation);
        };

        let mut info = challenge.target_info;
        let server_time = info.timestamp();
        info.set(av::FLAGS, (info.flags() | av::MIC_PROVIDED).to_le_bytes().to_vec());
        info.set(av::CHANNEL_BINDINGS, vec![0; 16]);
        info.set(av::TARGET_NAME, utf16(&format!("cifs/{}", self.config.target_name)));
        let info = info.encode().ok_or(TARGET_INFO_TOO_LONG)?;

        let mut client_challenge = [0; 8];
        self.crypto.random(&mut client_challenge)?;
        let ntowf = v2::ntowf(user, domain, password.expose());
        let time = server_time.unwrap_or(self.config.now);
        let response = v2::respond(&ntowf, challenge.server_challenge, client_challenge, time, &info);
        // LMv2 adds nothing where the server tells the time, and is only something more to attack.
        let lm_response = if server_time.is_some() { [0; 24] } else { response.lm };
        let (session_key, encrypted) = self.exchange_key(flags, response.session_base_key)?;

        let message = Authenticate {
            flags,
            lm_response: lm_response.to_vec(),
            nt_response: response.nt,
            domain: utf16(domain),
            user: utf16(user),
            workstation: utf16(&self.config.workstation),
            session_key: encrypted,
        };
        // The names were measured beforehand, which leaves the response with the server's part in it.
        let mut message = message.encode().ok_or(TARGET_INFO_TOO_LONG)?;
        let mic = v2::hmac_md5(&session_key, &[negotiate, token, &message]);
        Authenticate::set_mic(&mut message, *mic);
        self.keys = Some((Key::new(&*session_key), Security::client(&session_key, flags)));
        Ok(message)
    }

    /// ExportedSessionKey and EncryptedRandomSessionKey.
    fn exchange_key(&self, flags: Flags, base: Secret16) -> Result<(Secret16, Vec<u8>), AuthError> {
        if !flags.contains(Flags::KEY_EXCHANGE) {
            return Ok((base, Vec::new()));
        }
        let mut session_key = Zeroizing::new([0; 16]);
        self.crypto.random(&mut *session_key)?;
        let encrypted = v2::rc4k(&base, &session_key).to_vec();
        Ok((session_key, encrypted))
    }
}

const TARGET_INFO_TOO_LONG: AuthError = AuthError::Malformed("NTLM target information is too long to answer");

fn refuse_downgrade(challenge: &Challenge) -> Result<(), AuthError> {
    for (flag, name) in [
        (Flags::UNICODE, "Unicode"),
        (Flags::EXTENDED_SESSION_SECURITY, "extended session security"),
        (Flags::KEY_128, "128-bit keys"),
        (Flags::TARGET_INFO, "target information"),
    ] {
        if !challenge.flags.contains(flag) {
            return Err(AuthError::Downgrade(name));
        }
    }
    if challenge.target_info.is_empty() {
        return Err(AuthError::Downgrade("target information"));
    }
    Ok(())
}

/// The message of a client without identity ([MS-NLMP] 3.2.5.1.2 says how a server knows it). It has no key
/// and so no MIC.
fn anonymous(flags: Flags, workstation: &str) -> Result<Vec<u8>, AuthError> {
    let message = Authenticate {
        flags: (flags - Flags::KEY_EXCHANGE) | Flags::ANONYMOUS,
        lm_response: vec![0],
        nt_response: Vec::new(),
        domain: Vec::new(),
        user: Vec::new(),
        workstation: utf16(workstation),
        session_key: Vec::new(),
    };
    message.encode().ok_or(AuthError::NameTooLong)
}

impl Mechanism for Ntlm {
    fn oids(&self) -> &'static [&'static [u8]] {
        &[NTLMSSP]
    }

    fn name(&self) -> &'static str {
        "NTLMv2"
    }

    fn initial(&mut self) -> Result<Vec<u8>, AuthError> {
        let message = Negotiate { flags: OURS }.encode();
        self.stage = Stage::Negotiated(message.clone());
        Ok(message)
    }

    fn step(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, AuthError> {
        match std::mem::replace(&mut self.stage, Stage::Fresh) {
            Stage::Negotiated(negotiate) => {
                let answer = self.authenticate(&negotiate, token)?;
                self.stage = Stage::Authenticated;
                Ok(Some(answer))
            }
            Stage::Authenticated => Err(AuthError::Unexpected("a token after NTLM's last message")),
            Stage::Fresh => Err(AuthError::OutOfOrder),
        }
    }

    fn finish(&mut self, token: &[u8]) -> Result<(), AuthError> {
        match self.stage {
            Stage::Authenticated if token.is_empty() => Ok(()),
            Stage::Authenticated => Err(AuthError::Unexpected("a token after NTLM's last message")),
            Stage::Fresh | Stage::Negotiated(_) => Err(AuthError::EndedEarly),
        }
    }

    fn mic(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        self.keys.as_mut().map(|(_, security)| security.sign(message).to_vec())
    }

    fn verify_mic(&mut self, message: &[u8], mic: &[u8]) -> Result<(), AuthError> {
        // Nothing an anonymous login does is protected, so there is nothing to find out.
        if self.is_anonymous() {
            return Ok(());
        }
        let (_, security) = self.keys.as_mut().ok_or(AuthError::BadMic)?;
        security.verify(message, mic)
    }

    fn session_key(&self) -> Option<&Key> {
        self.keys.as_ref().map(|(key, _)| key)
    }

    fn is_anonymous(&self) -> bool {
        matches!(self.credentials, Credentials::Anonymous)
    }
}
