//! What a server says of a file and of its volume.

use smb_proto::fscc::{AllInfo, DirectoryEntry, FileAttributes, FileTime, FullSizeInfo};
use smb_proto::wire::{CloseResponse, CreateResponse, FileTimes};

/// What a server says of a file or directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// The file's number on its volume, 0 where the server has none.
    pub file_id: u64,
    /// The file's size in bytes.
    pub size: u64,
    /// Bytes that the file takes on disk.
    pub allocated: u64,
    /// When the file was created.
    pub created: FileTime,
    /// When the file was read last, as far as the server keeps that.
    pub accessed: FileTime,
    /// When the content changed last.
    pub written: FileTime,
    /// When content or attributes changed last.
    pub changed: FileTime,
    /// Directory, read-only and so on.
    pub attributes: FileAttributes,
    /// Hard links; 0 where the server was not asked.
    pub links: u32,
    /// Which kind of reparse point it is; 0 for none, or where the server was not asked.
    pub reparse_tag: u32,
}

impl Metadata {
    /// Whether it is a directory.
    pub const fn is_dir(&self) -> bool {
        self.attributes.contains(FileAttributes::DIRECTORY)
    }

    fn new(times: FileTimes, size: u64, allocated: u64, attributes: FileAttributes) -> Self {
        let FileTimes { created, accessed, written, changed } = times;
        Self { size, allocated, created, accessed, written, changed, attributes, ..Self::default() }
    }
}

impl From<&AllInfo> for Metadata {
    fn from(info: &AllInfo) -> Self {
        let standard = &info.standard;
        Self {
            file_id: info.index_number,
            links: standard.links,
            ..Self::new(
                info.basic.times,
                standard.end_of_file,
                standard.allocation_size,
                info.basic.attributes,
            )
        }
    }
}

impl From<&DirectoryEntry> for Metadata {
    fn from(entry: &DirectoryEntry) -> Self {
        let reparse = entry.attributes.contains(FileAttributes::REPARSE_POINT);
        Self {
            file_id: entry.file_id,
            reparse_tag: if reparse { entry.ea_size } else { 0 },
            ..Self::new(entry.times, entry.end_of_file, entry.allocation_size, entry.attributes)
        }
    }
}

impl From<&CreateResponse> for Metadata {
    fn from(response: &CreateResponse) -> Self {
        Self::new(response.times, response.end_of_file, response.allocation_size, response.attributes)
    }
}

impl From<&CloseResponse> for Metadata {
    fn from(response: &CloseResponse) -> Self {
        Self::new(response.times, response.end_of_file, response.allocation_size, response.attributes)
    }
}

/// How full a volume is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Space {
    /// Bytes in all.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Bytes that this user may still use.
    pub available: u64,
    /// Bytes of an allocation unit.
    pub unit: u64,
}

impl From<FullSizeInfo> for Space {
    fn from(info: FullSizeInfo) -> Self {
        let unit = info.unit_size();
        Self {
            total: info.total_units.saturating_mul(unit),
            free: info.available_units.saturating_mul(unit),
            available: info.caller_available_units.saturating_mul(unit),
            unit,
        }
    }
}
