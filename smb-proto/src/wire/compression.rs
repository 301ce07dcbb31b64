//! Compressed messages: the headers only, chained and not ([MS-SMB2] 2.2.42). The compression itself is elsewhere.

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len32};
use super::record::record;
use super::transform::COMPRESSION_MAGIC;

/// Compression algorithms ([MS-SMB2] 2.2.3.1.3).
pub mod compression_algorithm {
    /// Not compressed.
    pub const NONE: u16 = 0;
    /// LZNT1
    pub const LZNT1: u16 = 1;
    /// LZ77
    pub const LZ77: u16 = 2;
    /// LZ77+Huffman
    pub const LZ77_HUFFMAN: u16 = 3;
    /// One byte, repeated ([`super::PatternPayload`]).
    pub const PATTERN_V1: u16 = 4;
    /// LZ4
    pub const LZ4: u16 = 5;
}

/// SMB2_COMPRESSION_TRANSFORM_HEADER_CHAINED's flag ([MS-SMB2] 2.2.42.2).
const CHAINED: u16 = 1;

/// A compressed message ([MS-SMB2] 2.2.42).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompressedMessage {
    /// `SMB2_COMPRESSION_TRANSFORM_HEADER_UNCHAINED` ([MS-SMB2] 2.2.42.1).
    Unchained {
        /// Bytes of the compressed part when decompressed. Not to be trusted.
        original_size: u32,
        /// How it is compressed.
        algorithm: u16,
        /// The message's first bytes, which are not compressed.
        plain: Bytes,
        /// The rest, compressed.
        data: Bytes,
    },
    /// `SMB2_COMPRESSION_TRANSFORM_HEADER_CHAINED` ([MS-SMB2] 2.2.42.2).
    Chained {
        /// Bytes of the whole message when decompressed. Not to be trusted.
        original_size: u32,
        /// Its parts in order, at least one.
        payloads: Vec<CompressedPayload>,
    },
}

/// One part of a chained message ([MS-SMB2] 2.2.42.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressedPayload {
    /// How it is compressed.
    pub algorithm: u16,
    /// Bytes of the part when decompressed; only LZNT1, LZ77, LZ77+Huffman and LZ4 have it. Not to be trusted.
    pub original_size: Option<u32>,
    /// The part.
    pub data: Bytes,
}

record! {
    /// SMB2_COMPRESSION_PATTERN_PAYLOAD_V1: the data of a part of algorithm `PATTERN_V1` ([MS-SMB2] 2.2.42.2.2).
    #[derive(Copy)]
    pub struct PatternPayload {
        /// The byte.
        pub pattern: u8 => 3,
        /// How often. Not to be trusted.
        pub repetitions: u32,
    }
}

/// Whether a part of this algorithm says how long it was.
const fn has_size(algorithm: u16) -> bool {
    use compression_algorithm::{LZ4, LZ77, LZ77_HUFFMAN, LZNT1};
    matches!(algorithm, LZNT1 | LZ77 | LZ77_HUFFMAN | LZ4)
}

impl Wire for CompressedMessage {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&COMPRESSION_MAGIC);
        match self {
            Self::Unchained { original_size, algorithm, plain, data } => {
                w.u32(*original_size);
                w.u16(*algorithm);
                w.u16(0);
                w.u32(len32(plain.len()));
                w.bytes(plain);
                w.bytes(data);
            }
            Self::Chained { original_size, payloads } => {
                w.u32(*original_size);
                for (i, payload) in payloads.iter().enumerate() {
                    w.u16(payload.algorithm);
                    w.u16(if i == 0 { CHAINED } else { 0 });
                    // The size belongs to what is counted.
                    let size = has_size(payload.algorithm).then(|| payload.original_size.unwrap_or(0));
                    w.u32(len32(payload.data.len() + if size.is_some() { 4 } else { 0 }));
                    if let Some(size) = size {
                        w.u32(size);
                    }
                    w.bytes(&payload.data);
                }
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.array()? != COMPRESSION_MAGIC {
            return Err(DecodeError::Invalid("compression protocol id"));
        }
        let original_size = r.u32()?;
        let mut algorithm = r.u16()?;
        if r.u16()? & CHAINED == 0 {
            let plain = r.u32()? as usize;
            return Ok(Self::Unchained { original_size, algorithm, plain: r.bytes(plain)?, data: r.rest() });
        }
        let mut payloads = Vec::new();
        loop {
            let length = r.u32()? as usize;
            let data = r.bytes(length)?;
            let part = &mut Reader::new(&data, 0);
            let size = if has_size(algorithm) { Some(part.u32()?) } else { None };
            payloads.push(CompressedPayload { algorithm, original_size: size, data: part.rest() });
            if r.remaining() == 0 {
                return Ok(Self::Chained { original_size, payloads });
            }
            algorithm = r.u16()?;
            r.u16()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::{from_bytes, to_bytes};
    use crate::wire::check::{bear, both_ways, vector};
    use proptest::prelude::*;

    #[test]
    fn both_forms_survive_a_round_trip() {
        vector(
            &CompressedMessage::Unchained {
                original_size: 0x0102,
                algorithm: compression_algorithm::LZ77,
                plain: Bytes::from_static(b"pl"),
                data: Bytes::from_static(b"data"),
            },
            b"\xfcSMB\x02\x01\0\0\x02\0\0\0\x02\0\0\0pldata",
        );
        let pattern = to_bytes(&PatternPayload { pattern: 0xAA, repetitions: 32 });
        let chained = CompressedMessage::Chained {
            original_size: 64,
            payloads: vec![
                CompressedPayload { algorithm: 0, original_size: None, data: Bytes::from_static(b"p") },
                CompressedPayload { algorithm: 3, original_size: Some(31), data: Bytes::from_static(b"c") },
                CompressedPayload { algorithm: 4, original_size: None, data: pattern.clone() },
            ],
        };
        vector(
            &chained,
            b"\xfcSMB\x40\0\0\0\0\0\x01\0\x01\0\0\0p\x03\0\0\0\x05\0\0\0\x1f\0\0\0c\
              \x04\0\0\0\x08\0\0\0\xaa\0\0\0\x20\0\0\0",
        );
        assert_eq!(from_bytes(&pattern), Ok(PatternPayload { pattern: 0xAA, repetitions: 32 }));
        both_ways(&chained);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..6u8, 0..60)) {
            let mut bytes = COMPRESSION_MAGIC.to_vec();
            bytes.extend(data);
            bear::<CompressedMessage>(&Bytes::from(bytes));
        }
    }
}
