//! The algorithms that a connection can negotiate.

use std::fmt;

/// How messages are signed ([MS-SMB2] 2.2.3.1.7, SMB2_SIGNING_CAPABILITIES).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// HMAC-SHA256 cut to 16 bytes; the only one before SMB 3.0.
    HmacSha256,
    /// AES-128-CMAC (RFC 4493); the default from SMB 3.0 on.
    AesCmac,
    /// AES-128-GMAC (SP800-38D); SMB 3.1.1 by negotiation.
    AesGmac,
}

impl SigningAlgorithm {
    /// The algorithm with this identifier, `None` for one this crate does not know.
    pub const fn from_wire(id: u16) -> Option<Self> {
        match id {
            0 => Some(Self::HmacSha256),
            1 => Some(Self::AesCmac),
            2 => Some(Self::AesGmac),
            _ => None,
        }
    }

    /// The identifier in SMB2_SIGNING_CAPABILITIES.
    pub const fn to_wire(self) -> u16 {
        match self {
            Self::HmacSha256 => 0,
            Self::AesCmac => 1,
            Self::AesGmac => 2,
        }
    }
}

impl fmt::Display for SigningAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacSha256 => "HMAC-SHA256",
            Self::AesCmac => "AES-128-CMAC",
            Self::AesGmac => "AES-128-GMAC",
        })
    }
}

/// How messages are encrypted ([MS-SMB2] 2.2.3.1.2, SMB2_ENCRYPTION_CAPABILITIES).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// AES-128-CCM; the only one in SMB 3.0 and 3.0.2.
    Aes128Ccm,
    /// AES-128-GCM.
    Aes128Gcm,
    /// AES-256-CCM.
    Aes256Ccm,
    /// AES-256-GCM.
    Aes256Gcm,
}

impl Cipher {
    /// The cipher with this identifier, `None` for one this crate does not know.
    pub const fn from_wire(id: u16) -> Option<Self> {
        match id {
            1 => Some(Self::Aes128Ccm),
            2 => Some(Self::Aes128Gcm),
            3 => Some(Self::Aes256Ccm),
            4 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    /// The identifier in SMB2_ENCRYPTION_CAPABILITIES.
    pub const fn to_wire(self) -> u16 {
        match self {
            Self::Aes128Ccm => 1,
            Self::Aes128Gcm => 2,
            Self::Aes256Ccm => 3,
            Self::Aes256Gcm => 4,
        }
    }

    /// The length of its keys in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Ccm | Self::Aes128Gcm => 16,
            Self::Aes256Ccm | Self::Aes256Gcm => 32,
        }
    }

    /// How many bytes of the transform header's Nonce field it uses ([MS-SMB2] 2.2.41).
    pub const fn nonce_len(self) -> usize {
        match self {
            Self::Aes128Ccm | Self::Aes256Ccm => 11,
            Self::Aes128Gcm | Self::Aes256Gcm => 12,
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128Ccm => "AES-128-CCM",
            Self::Aes128Gcm => "AES-128-GCM",
            Self::Aes256Ccm => "AES-256-CCM",
            Self::Aes256Gcm => "AES-256-GCM",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_go_both_ways() {
        for id in 0..=u16::MAX {
            assert!(SigningAlgorithm::from_wire(id).is_none_or(|a| a.to_wire() == id));
            assert!(Cipher::from_wire(id).is_none_or(|c| c.to_wire() == id));
        }
        assert_eq!((0..=9).filter_map(SigningAlgorithm::from_wire).count(), 3);
        assert_eq!((0..=9).filter_map(Cipher::from_wire).count(), 4);
    }
}
