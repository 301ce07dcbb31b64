//! What control codes carry, in and out ([MS-FSCC] 2.3, [MS-SMB2] 2.2.31, 2.2.32, [MS-DFSC] 2.2).
//!
//! The codes themselves are in [`crate::wire::fsctl`]; `FSCTL_VALIDATE_NEGOTIATE_INFO` is in [`crate::wire`], the
//! data of reparse points in [`crate::fscc::ReparsePoint`], and `FSCTL_PIPE_TRANSCEIVE` carries what [`crate::rpc`]
//! makes. A structure that a code carries is written with [`crate::fscc::to_bytes`] and read with
//! [`crate::fscc::from_bytes`]; lists have functions of their own.

mod copy;
mod dfs;
mod dfs_entry;
mod extents;
mod hash;
mod interfaces;
mod offload;
mod pipe;
mod range;
mod small;
mod snapshots;

pub use copy::{CopyChunk, CopyChunkRequest, CopyChunkResponse, ResumeKey};
pub use dfs::{DfsReferralExRequest, DfsReferralFlags, DfsReferralRequest, DfsReferralResponse};
pub use dfs_entry::{DfsEntryFlags, DfsReferral, DfsTarget};
pub use extents::{DuplicateExtents, DuplicateExtentsEx};
pub use hash::{HashByFile, HashByRange, HashHeader, HashName, HashRequest};
pub use interfaces::{InterfaceCapability, NetworkInterface, decode_interfaces, encode_interfaces};
pub use offload::{
    OffloadReadRequest, OffloadReadResponse, OffloadToken, OffloadWriteRequest, OffloadWriteResponse,
};
pub use pipe::{PipePeek, PipeWait};
pub use range::{AllocatedRange, TrimRequest, TrimResponse, ZeroRange, decode_ranges, encode_ranges};
pub use small::{CompressionFormat, IntegrityInfo, IntegrityUpdate, ResiliencyRequest, SetSparse};
pub use snapshots::SnapshotList;
