//! The pre-authentication integrity hash of SMB 3.1.1.

use sha2::{Digest, Sha512};

/// The SHA-512 of `parts` concatenated.
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// PreauthIntegrityHashValue: a running SHA-512 over the NEGOTIATE and SESSION_SETUP messages ([MS-SMB2]
/// 3.2.5.2 for the connection's, 3.2.5.3 for each session's).
///
/// A session's starts as a clone of the connection's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreauthHash([u8; 64]);

impl PreauthHash {
    /// The value before any message: 64 zero bytes.
    pub const fn new() -> Self {
        Self([0; 64])
    }

    /// Takes in one whole message, from its SMB2 header on, without the transport's length prefix.
    pub fn update(&mut self, message: &[u8]) {
        self.0 = sha512(&[&self.0, message]);
    }

    /// The current value.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl Default for PreauthHash {
    fn default() -> Self {
        Self::new()
    }
}

impl From<[u8; 64]> for PreauthHash {
    fn from(value: [u8; 64]) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha512_agrees_with_fips_180() {
        let abc = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert_eq!(hex::encode(sha512(&[b"a", b"", b"bc"])), abc);
    }

    #[test]
    fn each_message_is_hashed_onto_the_value_so_far() {
        let mut hash = PreauthHash::new();
        hash.update(b"one");
        let first = sha512(&[&[0; 64], b"one"]);
        assert_eq!(hash.as_bytes(), &first);
        hash.update(b"two");
        assert_eq!(hash.as_bytes(), &sha512(&[&first, b"two"]));
    }
}
