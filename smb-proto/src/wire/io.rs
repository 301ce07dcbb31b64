//! CLOSE, FLUSH, READ, WRITE and LOCK ([MS-SMB2] 2.2.15 to 2.2.26).

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len16, len32};
use super::create::{FileId, FileTimes};
use super::header::HEADER_LEN;
use crate::fscc::FileAttributes;

/// SMB2 CLOSE Request ([MS-SMB2] 2.2.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseRequest {
    /// Ask for the attributes after the close.
    pub query_attributes: bool,
    /// The open.
    pub file_id: FileId,
}

impl Wire for CloseRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(24);
        w.u16(u16::from(self.query_attributes));
        w.u32(0);
        self.file_id.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(24)?;
        let query_attributes = r.u16()? & 1 != 0;
        r.u32()?;
        Ok(Self { query_attributes, file_id: FileId::decode(r)? })
    }
}

/// SMB2 CLOSE Response ([MS-SMB2] 2.2.16).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CloseResponse {
    /// Whether the rest is filled in.
    pub has_attributes: bool,
    /// The file's times.
    pub times: FileTimes,
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// The file's attributes.
    pub attributes: FileAttributes,
}

impl Wire for CloseResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(60);
        w.u16(u16::from(self.has_attributes));
        w.u32(0);
        self.times.encode(w);
        w.u64(self.allocation_size);
        w.u64(self.end_of_file);
        w.u32(self.attributes.bits());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(60)?;
        let has_attributes = r.u16()? & 1 != 0;
        r.u32()?;
        Ok(Self {
            has_attributes,
            times: FileTimes::decode(r)?,
            allocation_size: r.u64()?,
            end_of_file: r.u64()?,
            attributes: FileAttributes::from_bits_retain(r.u32()?),
        })
    }
}

/// SMB2 FLUSH Request ([MS-SMB2] 2.2.17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlushRequest {
    /// The open.
    pub file_id: FileId,
}

impl Wire for FlushRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(24);
        w.zeros(6);
        self.file_id.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(24)?;
        r.skip(6)?;
        Ok(Self { file_id: FileId::decode(r)? })
    }
}

/// SMB2 READ Request ([MS-SMB2] 2.2.19).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// 3.0.2 and later: 1 unbuffered, 2 compressed.
    pub flags: u8,
    /// Bytes to read.
    pub length: u32,
    /// Where to start.
    pub offset: u64,
    /// The open.
    pub file_id: FileId,
    /// Fewer bytes than this are an error (END_OF_FILE).
    pub minimum_count: u32,
}

impl Wire for ReadRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(49);
        // Where the answer's data should begin: behind header and fixed part.
        w.u8((HEADER_LEN + 16) as u8);
        w.u8(self.flags);
        w.u32(self.length);
        w.u64(self.offset);
        self.file_id.encode(w);
        w.u32(self.minimum_count);
        // Channel, RemainingBytes and the channel's buffer, all for RDMA; the buffer has at least one byte.
        w.zeros(13);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(49)?;
        r.u8()?;
        let flags = r.u8()?;
        let length = r.u32()?;
        let offset = r.u64()?;
        let file_id = FileId::decode(r)?;
        let minimum_count = r.u32()?;
        r.skip(12)?;
        Ok(Self { flags, length, offset, file_id, minimum_count })
    }
}

/// SMB2 READ Response ([MS-SMB2] 2.2.20).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadResponse {
    /// What was read, shared with the frame.
    pub data: Bytes,
}

impl Wire for ReadResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(17);
        w.u8((HEADER_LEN + 16) as u8);
        w.u8(0);
        w.u32(len32(self.data.len()));
        w.u64(0);
        w.bytes(&self.data);
        if self.data.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(17)?;
        let offset = usize::from(r.u8()?);
        r.u8()?;
        let length = r.u32()? as usize;
        r.u64()?;
        Ok(Self { data: r.at(offset, length, "read data")? })
    }
}

/// SMB2 WRITE Request ([MS-SMB2] 2.2.21).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRequest {
    /// Where to start.
    pub offset: u64,
    /// The open.
    pub file_id: FileId,
    /// 1: write through. 2 (3.0.2 and later): unbuffered.
    pub flags: u32,
    /// What to write.
    pub data: Bytes,
}

impl Wire for WriteRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(49);
        w.u16(len16(w.position() + 46));
        w.u32(len32(self.data.len()));
        w.u64(self.offset);
        self.file_id.encode(w);
        w.zeros(12);
        w.u32(self.flags);
        w.bytes(&self.data);
        if self.data.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(49)?;
        let data_offset = usize::from(r.u16()?);
        let length = r.u32()? as usize;
        let offset = r.u64()?;
        let file_id = FileId::decode(r)?;
        r.skip(12)?;
        let flags = r.u32()?;
        Ok(Self { offset, file_id, flags, data: r.at(data_offset, length, "write data")? })
    }
}

/// SMB2 WRITE Response ([MS-SMB2] 2.2.22).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteResponse {
    /// Bytes written.
    pub count: u32,
}

impl Wire for WriteResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(17);
        w.u16(0);
        w.u32(self.count);
        w.zeros(9);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(17)?;
        r.u16()?;
        let count = r.u32()?;
        r.skip(8)?;
        Ok(Self { count })
    }
}

bitflags::bitflags! {
    /// What to do with a range ([MS-SMB2] 2.2.26.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LockFlags: u32 {
        /// Others may read.
        const SHARED = 0x01;
        /// Nobody else may read or write.
        const EXCLUSIVE = 0x02;
        /// Give the range back.
        const UNLOCK = 0x04;
        /// Do not wait.
        const FAIL_IMMEDIATELY = 0x10;
        const _ = !0;
    }
}

/// A range to lock or unlock ([MS-SMB2] 2.2.26.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockElement {
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
    /// What to do.
    pub flags: LockFlags,
}

/// SMB2 LOCK Request ([MS-SMB2] 2.2.26).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockRequest {
    /// Lock sequence number and index, for a replay.
    pub sequence: u32,
    /// The open.
    pub file_id: FileId,
    /// At least one range.
    pub locks: Vec<LockElement>,
}

impl LockRequest {
    /// The request that gives back what this one locks; `None` where it locks nothing.
    pub fn undo(&self) -> Option<Self> {
        let locks: Vec<_> = self
            .locks
            .iter()
            .filter(|lock| !lock.flags.contains(LockFlags::UNLOCK))
            .map(|lock| LockElement { flags: LockFlags::UNLOCK, ..*lock })
            .collect();
        (!locks.is_empty()).then_some(Self { sequence: 0, file_id: self.file_id, locks })
    }
}

impl Wire for LockRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(48);
        w.u16(len16(self.locks.len()));
        w.u32(self.sequence);
        self.file_id.encode(w);
        for lock in &self.locks {
            w.u64(lock.offset);
            w.u64(lock.length);
            w.u32(lock.flags.bits());
            w.u32(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(48)?;
        let count = usize::from(r.u16()?);
        let sequence = r.u32()?;
        let file_id = FileId::decode(r)?;
        if count == 0 {
            return Err(DecodeError::Invalid("lock count"));
        }
        if count * 24 > r.remaining() {
            return Err(DecodeError::Truncated);
        }
        let mut locks = Vec::with_capacity(count);
        for _ in 0..count {
            let offset = r.u64()?;
            let length = r.u64()?;
            let flags = LockFlags::from_bits_retain(r.u32()?);
            r.u32()?;
            locks.push(LockElement { offset, length, flags });
        }
        Ok(Self { sequence, file_id, locks })
    }
}
