//! What a connection is allowed to do.

use std::time::Duration;

use crate::crypto::{Cipher, SigningAlgorithm};
use crate::wire::{Capabilities, Dialect, Guid, SecurityMode};

/// What a connection offers and insists on.
#[derive(Clone, Debug)]
pub struct ConnectionConfig {
    /// The server's name as the user wrote it; sent as the netname context of 3.1.1.
    pub server_name: String,
    /// Names this client machine to the server.
    pub client_guid: Guid,
    /// The oldest dialect to offer.
    pub min_dialect: Dialect,
    /// The newest dialect to offer.
    pub max_dialect: Dialect,
    /// Signing algorithms to offer with 3.1.1, best first.
    pub signing_algorithms: Vec<SigningAlgorithm>,
    /// Ciphers to offer with 3.1.1, best first; without any, 3.x is negotiated without encryption.
    pub ciphers: Vec<Cipher>,
    /// Offer the SMB3 POSIX extensions with 3.1.1.
    pub posix: bool,
    /// Tell the server that signing is mandatory, so that it signs as well.
    pub require_signing: bool,
    /// How many credits to ask for in all. One credit pays for 64 KiB.
    pub credit_target: u16,
    /// The largest payload of one request in bytes, whatever the server allows.
    pub max_io: u32,
    /// After this much silence with requests waiting an ECHO asks whether the server lives.
    pub echo_after: Duration,
    /// After this much silence with requests waiting the connection is given up.
    pub dead_after: Duration,
    /// An idle connection sends an ECHO this often; servers and firewalls drop idle connections.
    pub keepalive: Duration,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            server_name: String::new(),
            client_guid: Guid::default(),
            min_dialect: Dialect::Smb202,
            max_dialect: Dialect::Smb311,
            signing_algorithms: vec![
                SigningAlgorithm::AesGmac,
                SigningAlgorithm::AesCmac,
                SigningAlgorithm::HmacSha256,
            ],
            ciphers: vec![Cipher::Aes128Gcm, Cipher::Aes256Gcm, Cipher::Aes128Ccm, Cipher::Aes256Ccm],
            posix: false,
            require_signing: true,
            credit_target: 1280,
            max_io: 1 << 20,
            echo_after: Duration::from_secs(15),
            dead_after: Duration::from_secs(45),
            keepalive: Duration::from_secs(60),
        }
    }
}

/// A frame's length has 24 bits, and the frame holds more than the payload.
const MOST_IO: u32 = 8 << 20;
/// Longer times would only serve to overflow a clock.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl ConnectionConfig {
    /// The same within what the protocol and clocks can bear.
    pub(super) fn clamped(self) -> Self {
        Self {
            max_io: self.max_io.clamp(1, MOST_IO),
            echo_after: self.echo_after.min(LONGEST),
            dead_after: self.dead_after.min(LONGEST),
            keepalive: self.keepalive.min(LONGEST),
            ..self
        }
    }

    /// The dialects on offer, oldest first.
    pub fn dialects(&self) -> Vec<u16> {
        Dialect::ALL
            .into_iter()
            .filter(|dialect| (self.min_dialect..=self.max_dialect).contains(dialect))
            .map(|dialect| dialect as u16)
            .collect()
    }

    /// What the client says of signing, in NEGOTIATE and in each SESSION_SETUP.
    pub const fn security_mode(&self) -> SecurityMode {
        if self.require_signing { SecurityMode::SIGNING_REQUIRED } else { SecurityMode::SIGNING_ENABLED }
    }

    /// What the client can do. Several channels are not asked for until something uses them.
    pub fn capabilities(&self) -> Capabilities {
        if self.max_dialect < Dialect::Smb210 {
            return Capabilities::empty();
        }
        let mut capabilities = Capabilities::LARGE_MTU | Capabilities::LEASING;
        if self.max_dialect >= Dialect::Smb300 {
            capabilities |= Capabilities::DIRECTORY_LEASING
                | Capabilities::PERSISTENT_HANDLES
                | Capabilities::MULTI_CHANNEL;
        }
        if self.max_dialect >= Dialect::Smb300 && !self.ciphers.is_empty() {
            capabilities |= Capabilities::ENCRYPTION;
        }
        capabilities
    }
}

/// What a login insists on.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// Sign each request and take no reply that is not signed.
    pub sign: bool,
    /// Encrypt each request and take no reply that is not encrypted.
    pub encrypt: bool,
    /// Accept being let in as guest or anonymously. Such sessions have no key: nothing is signed or encrypted.
    pub allow_guest: bool,
    /// A session that this one replaces after a lost connection, or 0.
    pub previous_session_id: u64,
}
