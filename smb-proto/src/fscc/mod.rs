//! The file-system structures that travel inside SMB2 messages ([MS-FSCC]).

mod attributes;
mod directory;
mod file_info;
mod time;
mod volume_info;

pub use attributes::FileAttributes;
pub use directory::{
    DirectoryEntry, NotifyEntry, decode_directory, decode_notify, encode_directory, encode_notify,
};
pub use file_info::{
    AllInfo, AttributeTagInfo, BasicInfo, DispositionFlags, NetworkOpenInfo, RenameInfo, StandardInfo,
    file_class, from_bytes, to_bytes,
};
pub use time::FileTime;
pub use volume_info::{FullSizeInfo, VolumeAttributes, VolumeInfo, volume_class};
