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

impl Wire for TransformHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&TRANSFORM_MAGIC);
        w.bytes(&self.signature);
        w.bytes(&self.nonce);
        w.u32(self.original_size);
        w.u16(0);
        w.u16(1);
        w.u64(self.session_id);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.array()? != TRANSFORM_MAGIC {
            return Err(DecodeError::Invalid("transform protocol id"));
        }
        let signature = r.array()?;
        let nonce = r.array()?;
        let original_size = r.u32()?;
        r.u16()?;
        // 3.1.1 calls it Flags, 3.0 EncryptionAlgorithm: 1 means encrypted in both.
        if r.u16()? != 1 {
            return Err(DecodeError::Invalid("transform flags"));
        }
        Ok(Self { signature, nonce, original_size, session_id: r.u64()? })
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
