//! NTLM's session security, as far as the mechListMIC needs it ([MS-NLMP] 3.4).

use rc4::{Rc4, StreamCipher};
use subtle::ConstantTimeEq;

use super::message::Flags;
use super::v2::{self, Secret16};
use crate::auth::AuthError;

/// Signs in one direction and verifies in the other, with 128-bit keys and extended session security.
pub(super) struct Security {
    send: Direction,
    receive: Direction,
}

impl Security {
    pub(super) fn client(session_key: &Secret16, flags: Flags) -> Self {
        Self {
            send: Direction::new(session_key, "client-to-server", flags),
            receive: Direction::new(session_key, "server-to-client", flags),
        }
    }

    #[cfg(test)]
    pub(super) fn server(session_key: &Secret16, flags: Flags) -> Self {
        let Self { send, receive } = Self::client(session_key, flags);
        Self { send: receive, receive: send }
    }

    /// NTLMSSP_MESSAGE_SIGNATURE over the next message to send.
    pub(super) fn sign(&mut self, message: &[u8]) -> [u8; 16] {
        self.send.mac(message)
    }

    /// Checks the signature over the next message received.
    pub(super) fn verify(&mut self, message: &[u8], signature: &[u8]) -> Result<(), AuthError> {
        let same = self.receive.mac(message)[..].ct_eq(signature);
        if same.into() { Ok(()) } else { Err(AuthError::BadMic) }
    }
}

struct Direction {
    sign_key: Secret16,
    /// Encrypts the checksums where the key was exchanged.
    seal: Option<Rc4>,
    sequence: u32,
}

impl Direction {
    /// SIGNKEY and SEALKEY ([MS-NLMP] 3.4.5.2, 3.4.5.3).
    fn new(session_key: &Secret16, direction: &str, flags: Flags) -> Self {
        let key = |purpose: &str| {
            let magic = format!("session key to {direction} {purpose} key magic constant\0");
            v2::md5(&[&**session_key, magic.as_bytes()])
        };
        let seal = flags.contains(Flags::KEY_EXCHANGE).then(|| v2::rc4(&key("sealing")));
        Self { sign_key: key("signing"), seal, sequence: 0 }
    }

    /// MAC with extended session security ([MS-NLMP] 3.4.4.2).
    fn mac(&mut self, message: &[u8]) -> [u8; 16] {
        let sequence = self.sequence.to_le_bytes();
        let digest = v2::hmac_md5(&self.sign_key, &[&sequence, message]);
        let mut signature = [0; 16];
        signature[0] = 1;
        signature[4..12].copy_from_slice(&digest[..8]);
        signature[12..].copy_from_slice(&sequence);
        if let Some(seal) = &mut self.seal {
            seal.apply_keystream(&mut signature[4..12]);
        }
        self.sequence = self.sequence.wrapping_add(1);
        signature
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    // [MS-NLMP] 4.2.4.4: "Plaintext" sealed and signed by the client.
    #[test]
    fn the_specifications_example() {
        let mut security = Security::client(&Zeroizing::new([0x55; 16]), Flags::KEY_EXCHANGE);
        assert_eq!(hex::encode(*security.send.sign_key), "4788dc861b4782f35d43fd98fe1a2d39");
        let mut text = v2::utf16("Plaintext");
        security.send.seal.as_mut().unwrap().apply_keystream(&mut text);
        assert_eq!(hex::encode(&text), "54e50165bf1936dc996020c1811b0f06fb5f");
        let signature = security.sign(&v2::utf16("Plaintext"));
        assert_eq!(hex::encode(signature), "010000007fb38ec5c55d497600000000");
    }

    #[test]
    fn what_one_side_signs_the_other_verifies() {
        let key = Zeroizing::new([7; 16]);
        for flags in [Flags::KEY_EXCHANGE, Flags::empty()] {
            let (mut client, mut server) = (Security::client(&key, flags), Security::server(&key, flags));
            for message in [&b"one"[..], b"two"] {
                assert_eq!(server.verify(message, &client.sign(message)), Ok(()));
            }
            assert_eq!(client.verify(b"x", &server.sign(b"x")), Ok(()));
            assert_eq!(client.verify(b"x", &server.sign(b"y")), Err(AuthError::BadMic));
            assert_eq!(client.verify(b"x", b"short"), Err(AuthError::BadMic));
        }
    }
}
