//! Create contexts: named extensions of CREATE ([MS-SMB2] 2.2.13.2, 2.2.14.2).

use bytes::Bytes;

use super::buf::{DecodeError, Guid, Reader, Wire, Writer, len16, len32};
use super::create::FileId;
use crate::fscc::{ExtendedAttribute, FileTime, POSIX_EXTENSIONS, decode_eas, encode_eas};
use crate::security::{SecurityDescriptor, Sid};
use crate::status::NtStatus;

bitflags::bitflags! {
    /// What a lease lets its holder cache ([MS-SMB2] 2.2.13.2.8).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct LeaseState: u32 {
        /// Data read
        const READ = 0x1;
        /// Open handles
        const HANDLE = 0x2;
        /// Data written
        const WRITE = 0x4;
        const _ = !0;
    }
}

/// A lease asked for or granted ([MS-SMB2] 2.2.13.2.8, 2.2.13.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// One key for all opens of a file by this client.
    pub key: [u8; 16],
    /// What may be cached.
    pub state: LeaseState,
    /// Bit 1: a break is in progress. Bit 2 (v2): the parent key is set.
    pub flags: u32,
    /// Version 2 has these.
    pub v2: Option<LeaseV2>,
}

/// What version 2 of the lease adds ([MS-SMB2] 2.2.13.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseV2 {
    /// The lease of the directory above.
    pub parent_key: [u8; 16],
    /// Counts the lease's changes.
    pub epoch: u16,
}

/// Which way a message goes: some contexts look alike and mean something else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// `App Instance ID` ([MS-SMB2] 2.2.13.2.13).
const APP_INSTANCE_ID: [u8; 16] =
    [0x45, 0xBC, 0xA6, 0x6A, 0xEF, 0xA7, 0xF7, 0x4A, 0x90, 0x08, 0xFA, 0x46, 0x2E, 0x14, 0x4D, 0x74];
/// `App Instance Version` ([MS-SMB2] 2.2.13.2.15).
const APP_INSTANCE_VERSION: [u8; 16] =
    [0xB9, 0x82, 0xD0, 0xB7, 0x3B, 0x56, 0x07, 0x4F, 0xA0, 0x7B, 0x52, 0x4A, 0x81, 0x16, 0xA0, 0x10];
/// `SVHDX_OPEN_DEVICE_CONTEXT` ([MS-SMB2] 2.2.13.2.14).
const SHARED_DISK: [u8; 16] =
    [0x9C, 0xCB, 0xCF, 0x9E, 0x04, 0xC1, 0xE6, 0x43, 0x98, 0x0E, 0x15, 0x8D, 0xA1, 0xF6, 0xEC, 0x83];

/// A create context. Request and response forms of one name differ; each is a variant of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CreateContext {
    /// `MxAc` request: tell me the maximal access.
    QueryMaximalAccess,
    /// `MxAc` request: tell me the maximal access unless the file is as old as this.
    QueryMaximalAccessSince(FileTime),
    /// `MxAc` response.
    MaximalAccess {
        /// Whether the server could tell.
        status: NtStatus,
        /// The access mask.
        access: u32,
    },
    /// `QFid` request.
    QueryOnDiskId,
    /// `QFid` response.
    OnDiskId {
        /// The file's number on its volume.
        file: u64,
        /// The volume's number.
        volume: u64,
    },
    /// `RqLs`, both ways and both versions.
    Lease(Lease),
    /// `DHnQ` request.
    DurableRequest,
    /// `DHnQ` response.
    DurableGranted,
    /// `DHnC`: reconnect.
    DurableReconnect(FileId),
    /// `DH2Q` request.
    DurableV2Request {
        /// Milliseconds that the server should keep the open; 0 leaves it the choice.
        timeout: u32,
        /// Bit 1: persistent.
        flags: u32,
        /// Names this open for a replay.
        create_guid: Guid,
    },
    /// `DH2Q` response.
    DurableV2Granted {
        /// Milliseconds that the server will keep the open.
        timeout: u32,
        /// Bit 1: persistent.
        flags: u32,
    },
    /// `DH2C`: reconnect.
    DurableV2Reconnect {
        /// The open.
        file_id: FileId,
        /// As given at the first open.
        create_guid: Guid,
        /// Bit 1: persistent.
        flags: u32,
    },
    /// `AlSi`: bytes to set aside.
    AllocationSize(u64),
    /// `TWrp`: open the state of that time.
    TimeWarp(FileTime),
    /// `ExtA`: extended attributes of a new file.
    ExtendedAttributes(Vec<ExtendedAttribute>),
    /// `SecD`: a new file's security descriptor.
    SecurityDescriptor(SecurityDescriptor),
    /// App Instance ID: opens of one application, whichever machine it moves to.
    AppInstanceId(Guid),
    /// App Instance Version: which of two such opens is the later one.
    AppInstanceVersion {
        /// The more significant half.
        high: u64,
        /// The less significant half.
        low: u64,
    },
    /// `SVHDX_OPEN_DEVICE_CONTEXT`: a shared virtual disk, as it is.
    SharedDisk(Bytes),
    /// `AAPL`: Apple's extensions, as they are.
    Apple(Bytes),
    /// The POSIX extensions' request: open with POSIX semantics, create with this mode.
    PosixRequest {
        /// Permissions of a new file.
        mode: u32,
    },
    /// The POSIX extensions' response.
    PosixResponse {
        /// Hard links.
        links: u32,
        /// Which kind of reparse point it is, 0 for none.
        reparse_tag: u32,
        /// Permissions.
        mode: u32,
        /// The owner.
        owner: Sid,
        /// The group.
        group: Sid,
    },
    /// Any other, as it is.
    Other {
        /// The context's name.
        name: Bytes,
        /// Its content.
        data: Bytes,
    },
}

impl CreateContext {
    fn name(&self) -> &[u8] {
        match self {
            Self::QueryMaximalAccess | Self::QueryMaximalAccessSince(_) | Self::MaximalAccess { .. } => {
                b"MxAc"
            }
            Self::QueryOnDiskId | Self::OnDiskId { .. } => b"QFid",
            Self::Lease(_) => b"RqLs",
            Self::DurableRequest | Self::DurableGranted => b"DHnQ",
            Self::DurableReconnect(_) => b"DHnC",
            Self::DurableV2Request { .. } | Self::DurableV2Granted { .. } => b"DH2Q",
            Self::DurableV2Reconnect { .. } => b"DH2C",
            Self::AllocationSize(_) => b"AlSi",
            Self::TimeWarp(_) => b"TWrp",
            Self::ExtendedAttributes(_) => b"ExtA",
            Self::SecurityDescriptor(_) => b"SecD",
            Self::AppInstanceId(_) => &APP_INSTANCE_ID,
            Self::AppInstanceVersion { .. } => &APP_INSTANCE_VERSION,
            Self::SharedDisk(_) => &SHARED_DISK,
            Self::Apple(_) => b"AAPL",
            Self::PosixRequest { .. } | Self::PosixResponse { .. } => &POSIX_EXTENSIONS,
            Self::Other { name, .. } => name,
        }
    }

    fn encode_data(&self, w: &mut Writer<'_>) {
        match self {
            Self::MaximalAccess { status, access } => {
                w.u32(status.0);
                w.u32(*access);
            }
            Self::QueryMaximalAccess | Self::QueryOnDiskId => {}
            Self::OnDiskId { file, volume } => {
                w.u64(*file);
                w.u64(*volume);
                w.zeros(16);
            }
            Self::Lease(lease) => {
                w.bytes(&lease.key);
                w.u32(lease.state.bits());
                w.u32(lease.flags);
                w.u64(0);
                if let Some(v2) = &lease.v2 {
                    w.bytes(&v2.parent_key);
                    w.u16(v2.epoch);
                    w.u16(0);
                }
            }
            Self::DurableRequest => w.zeros(16),
            Self::DurableGranted => w.zeros(8),
            Self::DurableReconnect(file_id) => file_id.encode(w),
            Self::DurableV2Request { timeout, flags, create_guid } => {
                w.u32(*timeout);
                w.u32(*flags);
                w.u64(0);
                w.bytes(&create_guid.0);
            }
            Self::DurableV2Granted { timeout, flags } => {
                w.u32(*timeout);
                w.u32(*flags);
            }
            Self::DurableV2Reconnect { file_id, create_guid, flags } => {
                file_id.encode(w);
                w.bytes(&create_guid.0);
                w.u32(*flags);
            }
            Self::AllocationSize(size) => w.u64(*size),
            Self::TimeWarp(time) | Self::QueryMaximalAccessSince(time) => w.u64(time.0),
            Self::ExtendedAttributes(list) => w.bytes(&encode_eas(list)),
            Self::SecurityDescriptor(descriptor) => descriptor.encode(w),
            Self::AppInstanceId(id) => {
                w.u16(20);
                w.u16(0);
                id.encode(w);
            }
            Self::AppInstanceVersion { high, low } => {
                w.u16(24);
                w.u16(0);
                w.u32(0);
                w.u64(*high);
                w.u64(*low);
            }
            Self::SharedDisk(data) | Self::Apple(data) => w.bytes(data),
            Self::PosixRequest { mode } => w.u32(*mode),
            Self::PosixResponse { links, reparse_tag, mode, owner, group } => {
                w.u32(*links);
                w.u32(*reparse_tag);
                w.u32(*mode);
                owner.encode(w);
                group.encode(w);
            }
            Self::Other { data, .. } => w.bytes(data),
        }
    }

    fn decode_data(name: Bytes, data: Bytes, direction: Direction) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(&data, 0);
        Ok(match (&name[..], data.len()) {
            (b"MxAc", 0) => Self::QueryMaximalAccess,
            // Only the direction tells the time stamp from the answer.
            (b"MxAc", 8) if direction == Direction::Request => {
                Self::QueryMaximalAccessSince(FileTime(r.u64()?))
            }
            (b"MxAc", 8) => Self::MaximalAccess { status: NtStatus(r.u32()?), access: r.u32()? },
            (b"QFid", 0) => Self::QueryOnDiskId,
            (b"QFid", 32) => Self::OnDiskId { file: r.u64()?, volume: r.u64()? },
            (b"RqLs", length @ (32 | 52)) => {
                let key = r.array()?;
                let state = LeaseState::from_bits_retain(r.u32()?);
                let flags = r.u32()?;
                r.u64()?;
                let v2 = match length {
                    52 => Some(LeaseV2 { parent_key: r.array()?, epoch: r.u16()? }),
                    _ => None,
                };
                Self::Lease(Lease { key, state, flags, v2 })
            }
            (b"DHnQ", 16) => Self::DurableRequest,
            (b"DHnQ", 8) => Self::DurableGranted,
            (b"DHnC", 16) => Self::DurableReconnect(FileId::decode(r)?),
            (b"DH2Q", 32) => {
                let timeout = r.u32()?;
                let flags = r.u32()?;
                r.u64()?;
                Self::DurableV2Request { timeout, flags, create_guid: r.guid()? }
            }
            (b"DH2Q", 8) => Self::DurableV2Granted { timeout: r.u32()?, flags: r.u32()? },
            (b"DH2C", 36) => Self::DurableV2Reconnect {
                file_id: FileId::decode(r)?,
                create_guid: r.guid()?,
                flags: r.u32()?,
            },
            (b"AlSi", 8) => Self::AllocationSize(r.u64()?),
            (b"TWrp", 8) => Self::TimeWarp(FileTime(r.u64()?)),
            (b"ExtA", _) => Self::ExtendedAttributes(decode_eas(&data)?),
            (b"SecD", _) => Self::SecurityDescriptor(SecurityDescriptor::decode(r)?),
            (b"AAPL", _) => Self::Apple(data),
            (name, _) if *name == SHARED_DISK => Self::SharedDisk(data),
            (name, _) if *name == APP_INSTANCE_ID => {
                r.structure_size(20)?;
                r.u16()?;
                Self::AppInstanceId(r.guid()?)
            }
            (name, _) if *name == APP_INSTANCE_VERSION => {
                r.structure_size(24)?;
                r.skip(6)?;
                Self::AppInstanceVersion { high: r.u64()?, low: r.u64()? }
            }
            (name, _) if *name == POSIX_EXTENSIONS && direction == Direction::Request => {
                Self::PosixRequest { mode: r.u32()? }
            }
            (name, _) if *name == POSIX_EXTENSIONS => Self::PosixResponse {
                links: r.u32()?,
                reparse_tag: r.u32()?,
                mode: r.u32()?,
                owner: Sid::decode(r)?,
                group: Sid::decode(r)?,
            },
            (b"MxAc" | b"QFid" | b"RqLs" | b"DHnQ" | b"DHnC" | b"DH2Q" | b"DH2C" | b"AlSi" | b"TWrp", _) => {
                return Err(DecodeError::Invalid("create context length"));
            }
            _ => Self::Other { name, data },
        })
    }

    /// Writes the list at the next multiple of 8 and its offset and length into `patch_at`.
    pub(super) fn encode_list(contexts: &[Self], w: &mut Writer<'_>, patch_at: usize) {
        if contexts.is_empty() {
            return;
        }
        w.align(8);
        let list = w.position();
        for (i, context) in contexts.iter().enumerate() {
            let start = w.position();
            let name = context.name();
            w.u32(0);
            w.u16(16);
            w.u16(len16(name.len()));
            w.u16(0);
            let data_offset_at = w.position();
            w.u16(0);
            w.u32(0);
            w.bytes(name);
            w.align(8);
            let data = w.position();
            context.encode_data(w);
            let length = w.position() - data;
            if length > 0 {
                w.patch_u16(data_offset_at, len16(data - start));
                w.patch_u32(data_offset_at + 2, len32(length));
            }
            if i + 1 < contexts.len() {
                w.align(8);
                w.patch_u32(start, len32(w.position() - start));
            }
        }
        w.patch_u32(patch_at, len32(list));
        w.patch_u32(patch_at + 4, len32(w.position() - list));
    }

    /// Reads a list; the bytes are exactly the list.
    pub(super) fn decode_list(list: &Bytes, direction: Direction) -> Result<Vec<Self>, DecodeError> {
        let mut contexts = Vec::new();
        let mut rest = list.clone();
        while !rest.is_empty() {
            let r = &mut Reader::new(&rest, 0);
            let next = r.u32()? as usize;
            let name_offset = usize::from(r.u16()?);
            let name_length = usize::from(r.u16()?);
            r.u16()?;
            let data_offset = usize::from(r.u16()?);
            let data_length = r.u32()? as usize;
            let name = r.at(name_offset, name_length, "create context name")?;
            let data = r.at(data_offset, data_length, "create context data")?;
            contexts.push(Self::decode_data(name, data, direction)?);
            match next {
                0 => break,
                // At least the 16 bytes just read, so the loop ends.
                16.. if next <= rest.len() => rest = rest.slice(next..),
                _ => return Err(DecodeError::OutOfBounds("next create context")),
            }
        }
        Ok(contexts)
    }
}
