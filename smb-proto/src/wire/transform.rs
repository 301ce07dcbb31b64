//! The transform header of encrypted messages ([MS-SMB2] 2.2.41), and the direct-TCP length prefix (2.1).

use super::buf::{DecodeError, Reader, Wire, Writer};

/// The first four bytes of an encrypted message.
pub const TRANSFORM_MAGIC: [u8; 4] = [0xFD, b'S', b'M', b'B'];
/// The first four bytes of a compressed message ([MS-SMB2] 2.2.42).
pub const COMPRESSION_MAGIC: [u8; 4] = [0xFC, b'S', b'M', b'B'];
/// The transform header's length in bytes.
pub const TRANSFORM_LEN: usize = 52;
/// The authenticated part of the transform header begins behind magic and signature.
pub const TRANSFORM_AAD_OFFSET: usize = 20;
/// The largest frame that direct TCP can carry, in bytes.
pub const MAX_FRAME: usize = 0x00FF_FFFF;

/// SMB2 TRANSFORM_HEADER ([MS-SMB2] 2.2.41).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransformHeader {
    /// The AEAD tag.
    pub signature: [u8; 16],
    /// Never used twice with one key; 11 bytes for CCM, 12 for GCM count.
    pub nonce: [u8; 16],
    /// Bytes of the message when decrypted.
    pub original_size: u32,
    /// Whose key.
    pub session_id: u64,
}

impl TransformHeader {
    /// The header as it is sent.
    pub fn to_array(&self) -> [u8; TRANSFORM_LEN] {
        let mut out = [0; TRANSFORM_LEN];
        out[..4].copy_from_slice(&TRANSFORM_MAGIC);
        out[4..TRANSFORM_AAD_OFFSET].copy_from_slice(&self.signature);
        out[20..36].copy_from_slice(&self.nonce);
        out[36..40].copy_from_slice(&self.original_size.to_le_bytes());
        out[42] = 1;
        out[44..].copy_from_slice(&self.session_id.to_le_bytes());
        out
    }

    /// The header as it was received.
    pub fn from_array(bytes: &[u8; TRANSFORM_LEN]) -> Result<Self, DecodeError> {
        // Bytes 40 and 41 are reserved. 3.1.1 calls the next two Flags, 3.0 EncryptionAlgorithm: 1 means encrypted
        // in both.
        if bytes[..4] != TRANSFORM_MAGIC {
            return Err(DecodeError::Invalid("transform protocol id"));
        }
        if bytes[42..44] != [1, 0] {
            return Err(DecodeError::Invalid("transform flags"));
        }
        let (mut signature, mut nonce) = ([0; 16], [0; 16]);
        signature.copy_from_slice(&bytes[4..TRANSFORM_AAD_OFFSET]);
        nonce.copy_from_slice(&bytes[20..36]);
        let original_size = u32::from_le_bytes([bytes[36], bytes[37], bytes[38], bytes[39]]);
        let mut session_id = [0; 8];
        session_id.copy_from_slice(&bytes[44..]);
        Ok(Self { signature, nonce, original_size, session_id: u64::from_le_bytes(session_id) })
    }
}

impl Wire for TransformHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.to_array());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Self::from_array(&r.array()?)
    }
}

/// Reads the four bytes before each frame: its length.
pub fn frame_length(prefix: [u8; 4]) -> Result<usize, DecodeError> {
    match prefix {
        [0, a, b, c] => Ok(usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)),
        _ => Err(DecodeError::Invalid("frame prefix")),
    }
}

/// The four bytes before a frame of `length` bytes, at most [`MAX_FRAME`].
pub const fn frame_prefix(length: usize) -> [u8; 4] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    [0, a, b, c]
}
