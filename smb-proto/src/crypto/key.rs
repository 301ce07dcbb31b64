//! Secret keys.

use std::fmt;

use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A secret key of any length. It is wiped when dropped and its `Debug` shows nothing of it.
#[derive(Clone)]
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// A key with a copy of `bytes`; wiping the original is the caller's part.
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key cut or zero-padded on the right to 16 bytes, which is Session.SessionKey of
    /// [MS-SMB2] 3.2.5.3.1.
    pub(crate) fn to_16(&self) -> Self {
        let mut bytes = Zeroizing::new(vec![0; 16]);
        for (to, from) in bytes.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl ZeroizeOnDrop for Key {}

impl From<Vec<u8>> for Key {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bytes_come_of_any_length() {
        assert_eq!(Key::new(&[7; 32]).to_16().as_bytes(), [7; 16]);
        assert_eq!(Key::new(&[7; 8]).to_16().as_bytes(), [[7; 8], [0; 8]].concat());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Key::new(b"secret")), "Key(..)");
    }
}
