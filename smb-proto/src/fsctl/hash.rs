//! Hashes for branch caches: FSCTL_SRV_READ_HASH ([MS-SMB2] 2.2.31.2, 2.2.32.4). The hashes themselves are not read
//! here ([MS-PCCRC]).

use bytes::Bytes;

use crate::fscc::FileTime;
use crate::wire::{DecodeError, Reader, Wire, Writer, len16, len32, record, utf16_len};

record! {
    /// SRV_READ_HASH Request ([MS-SMB2] 2.2.31.2).
    #[derive(Copy)]
    pub struct HashRequest {
        /// 1: for peers.
        pub hash_type: u32,
        /// 1 or 2.
        pub hash_version: u32,
        /// 1 [`HashByRange`], 2 [`HashByFile`].
        pub retrieval: u32,
        /// Bytes to read.
        pub length: u32,
        /// Where to start.
        pub offset: u64,
    }
}

record! {
    /// HASH_HEADER: what the hashes are of ([MS-SMB2] 2.2.32.4.1).
    pub struct HashHeader {
        /// As in the request.
        pub hash_type: u32,
        /// As in the request.
        pub hash_version: u32,
        /// The file's change time when they were made.
        pub source_changed: FileTime,
        /// The file's size when they were made.
        pub source_size: u64,
        /// Bytes of hashes.
        pub blob_length: u32,
        /// Where they begin.
        pub blob_offset: u32,
        /// Not 0: being made just now.
        pub dirty: u16,
        /// The file's name.
        pub source_name: HashName,
    }
}

/// A name with its length in bytes and a terminator that is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashName(pub String);

impl Wire for HashName {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(len16(utf16_len(&self.0) + 2));
        w.utf16(&self.0);
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = usize::from(r.u16()?);
        let name = r.utf16(length)?;
        Ok(Self(name.strip_suffix('\0').map(str::to_owned).unwrap_or(name)))
    }
}

/// SRV_HASH_RETRIEVE_HASH_BASED ([MS-SMB2] 2.2.32.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashByRange {
    /// Where in the hashes it begins.
    pub offset: u64,
    /// A part of [`HashHeader`] and the hashes.
    pub data: Bytes,
}

impl Wire for HashByRange {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.offset);
        w.u32(len32(self.data.len()));
        w.u32(0);
        w.bytes(&self.data);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let offset = r.u64()?;
        let length = r.u32()? as usize;
        r.u32()?;
        Ok(Self { offset, data: r.bytes(length)? })
    }
}

/// SRV_HASH_RETRIEVE_FILE_BASED ([MS-SMB2] 2.2.32.4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashByFile {
    /// Where in the file the hashes' range begins.
    pub file_offset: u64,
    /// Bytes of the file.
    pub file_length: u64,
    /// The hashes.
    pub data: Bytes,
}

impl Wire for HashByFile {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.file_offset);
        w.u64(self.file_length);
        w.u32(len32(self.data.len()));
        w.u32(0);
        w.bytes(&self.data);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let file_offset = r.u64()?;
        let file_length = r.u64()?;
        let length = r.u32()? as usize;
        r.u32()?;
        Ok(Self { file_offset, file_length, data: r.bytes(length)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::both_ways;

    #[test]
    fn hashes_survive_a_round_trip() {
        let data = Bytes::from_static(b"hash");
        both_ways(&HashRequest { hash_type: 1, hash_version: 2, retrieval: 1, length: 4, offset: 5 });
        both_ways(&HashByRange { offset: 1, data: data.clone() });
        both_ways(&HashByFile { file_offset: 1, file_length: 2, data });
        both_ways(&HashHeader { blob_offset: 3, source_name: HashName("x".into()), ..HashHeader::default() });
    }
}
