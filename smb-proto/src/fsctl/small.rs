//! Control codes that carry a few numbers ([MS-FSCC] 2.3, [MS-SMB2] 2.2.31.3).

use crate::wire::{DecodeError, Reader, Wire, Writer, record};

/// FILE_SET_SPARSE_BUFFER ([MS-FSCC] 2.3): no byte at all means yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetSparse(pub bool);

impl Wire for SetSparse {
    fn encode(&self, w: &mut Writer<'_>) {
        self.0.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.remaining() == 0 || bool::decode(r)?))
    }
}

record! {
    /// NETWORK_RESILIENCY_REQUEST ([MS-SMB2] 2.2.31.3).
    #[derive(Copy)]
    pub struct ResiliencyRequest {
        /// Milliseconds that the server shall keep the open without a connection.
        pub timeout: u32 => 4,
    }
}

record! {
    /// FSCTL_GET_COMPRESSION Reply and FSCTL_SET_COMPRESSION Request ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct CompressionFormat {
        /// 0 none, 1 the default, 2 LZNT1.
        pub format: u16,
    }
}

record! {
    /// FSCTL_GET_INTEGRITY_INFORMATION Reply ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct IntegrityInfo {
        /// 0 none, 1 CRC32, 2 CRC64.
        pub algorithm: u16 => 2,
        /// Bit 0: a wrong checksum is no error.
        pub flags: u32,
        /// Bytes that have a checksum of their own.
        pub chunk_size: u32,
        /// Bytes of a cluster.
        pub cluster_size: u32,
    }
}

record! {
    /// FSCTL_SET_INTEGRITY_INFORMATION Request ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct IntegrityUpdate {
        /// 0 none, 2 CRC64, 0xFFFF as it is.
        pub algorithm: u16 => 2,
        /// Bit 0: a wrong checksum is no error.
        pub flags: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::from_bytes;
    use crate::wire::check::{both_ways, vector};
    use bytes::Bytes;

    #[test]
    fn small_codes_survive_a_round_trip() {
        vector(&ResiliencyRequest { timeout: 258 }, &[2, 1, 0, 0, 0, 0, 0, 0]);
        vector(&CompressionFormat { format: 2 }, &[2, 0]);
        both_ways(&IntegrityInfo { algorithm: 2, flags: 1, chunk_size: 3, cluster_size: 4 });
        vector(&IntegrityUpdate { algorithm: 0xFFFF, flags: 1 }, &[0xFF, 0xFF, 0, 0, 1, 0, 0, 0]);
        vector(&SetSparse(false), &[0]);
        assert_eq!(from_bytes(&Bytes::new()), Ok(SetSparse(true)));
    }
}
