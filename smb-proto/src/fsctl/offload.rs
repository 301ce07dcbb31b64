//! Copies that a storage does by itself: FSCTL_OFFLOAD_READ and FSCTL_OFFLOAD_WRITE ([MS-FSCC] 2.3).

use crate::wire::{DecodeError, Reader, Wire, Writer, record};

/// STORAGE_OFFLOAD_TOKEN: stands for the data that was read ([MS-FSCC] 2.1.11). Big-endian inside, and nobody's
/// business but the storage's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffloadToken(pub Box<[u8; 512]>);

impl OffloadToken {
    /// Stands for zeros, on any storage ([MS-FSCC] 2.1.11, STORAGE_OFFLOAD_TOKEN_TYPE_ZERO_DATA).
    pub fn zeros() -> Self {
        let mut token = Self::default();
        // Type, reserved, length of the identifier.
        token.0[..8].copy_from_slice(&[0xFF, 0xFF, 0x00, 0x01, 0, 0, 0x01, 0xF8]);
        token
    }
}

impl Default for OffloadToken {
    fn default() -> Self {
        Self(Box::new([0; 512]))
    }
}

impl Wire for OffloadToken {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.0[..]);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(Box::new(r.array()?)))
    }
}

/// The Size field that opens each of these, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size<const N: u32>;

impl<const N: u32> Wire for Size<N> {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(N);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u32()? != N {
            return Err(DecodeError::Invalid("offload structure size"));
        }
        Ok(Self)
    }
}

macro_rules! sized {
    ($size:literal $(#[$meta:meta])* pub struct $name:ident { $($fields:tt)* }) => {
        record! {
            $(#[$meta])*
            pub struct $name { $($fields)* }
        }

        impl $name {
            /// Writes it with its size.
            pub fn to_bytes(&self) -> bytes::Bytes {
                let mut out = Vec::new();
                let w = &mut Writer::new(&mut out);
                Size::<$size>.encode(w);
                self.encode(w);
                bytes::Bytes::from(out)
            }

            /// Reads it with its size.
            pub fn from_bytes(data: &bytes::Bytes) -> Result<Self, DecodeError> {
                let r = &mut Reader::new(data, 0);
                Size::<$size>::decode(r)?;
                Self::decode(r)
            }
        }
    };
}

sized! {
    32
    /// FSCTL_OFFLOAD_READ_INPUT ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct OffloadReadRequest {
        /// 0.
        pub flags: u32,
        /// Milliseconds that the token shall live; 0 leaves the storage the choice.
        pub time_to_live: u32 => 4,
        /// Where to start.
        pub offset: u64,
        /// Bytes.
        pub length: u64,
    }
}

sized! {
    528
    /// FSCTL_OFFLOAD_READ_OUTPUT ([MS-FSCC] 2.3).
    pub struct OffloadReadResponse {
        /// Bit 0: all behind the range is zeros.
        pub flags: u32,
        /// Bytes that the token stands for.
        pub length: u64,
        /// The token.
        pub token: OffloadToken,
    }
}

sized! {
    544
    /// FSCTL_OFFLOAD_WRITE_INPUT ([MS-FSCC] 2.3).
    pub struct OffloadWriteRequest {
        /// 0.
        pub flags: u32,
        /// Where to start.
        pub offset: u64,
        /// Bytes.
        pub length: u64,
        /// Where to start in what the token stands for.
        pub token_offset: u64,
        /// The token.
        pub token: OffloadToken,
    }
}

sized! {
    16
    /// FSCTL_OFFLOAD_WRITE_OUTPUT ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct OffloadWriteResponse {
        /// 0.
        pub flags: u32,
        /// Bytes written.
        pub written: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::through;

    #[test]
    fn structures_survive_a_round_trip_and_are_as_long_as_they_say() {
        let read = OffloadReadRequest { flags: 0, time_to_live: 1, offset: 2, length: 3 };
        through(&read, OffloadReadRequest::to_bytes, OffloadReadRequest::from_bytes);
        assert_eq!(read.to_bytes().len(), 32);
        let answer = OffloadReadResponse { flags: 1, length: 2, token: OffloadToken::zeros() };
        through(&answer, OffloadReadResponse::to_bytes, OffloadReadResponse::from_bytes);
        assert_eq!(answer.to_bytes().len(), 528);
        let write = OffloadWriteRequest { offset: 1, length: 2, token_offset: 3, ..Default::default() };
        through(&write, OffloadWriteRequest::to_bytes, OffloadWriteRequest::from_bytes);
        assert_eq!(write.to_bytes().len(), 544);
        let written = OffloadWriteResponse { flags: 0, written: 9 };
        through(&written, OffloadWriteResponse::to_bytes, OffloadWriteResponse::from_bytes);
        assert_eq!(written.to_bytes().len(), 16);
        assert!(OffloadWriteResponse::from_bytes(&read.to_bytes()).is_err());
    }
}
