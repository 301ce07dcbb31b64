//! The file-system structures that travel inside SMB2 messages ([MS-FSCC]).

mod attributes;
mod chain;
mod class;
mod directory;
mod ea;
mod file_info;
mod listing;
mod mfsymlink;
mod names;
mod posix;
mod quota;
mod reparse;
mod sfu;
mod simple_info;
mod time;
mod volume_info;

pub use attributes::FileAttributes;
pub(crate) use chain::{decode_chain, encode_chain};
pub use class::{file_class, volume_class};
pub use directory::{
    DirectoryEntry, NotifyEntry, decode_directory, decode_notify, encode_directory, encode_notify,
};
pub use ea::{ExtendedAttribute, decode_ea_names, decode_eas, encode_ea_names, encode_eas, lx_ea};
pub use file_info::{
    AllInfo, AttributeTagInfo, BasicInfo, DispositionFlags, NetworkOpenInfo, RenameInfo, StandardInfo,
    from_bytes, to_bytes,
};
pub use listing::{ListingClass, ListingEntry, decode_listing, encode_listing};
pub use mfsymlink::{MFSYMLINK_LEN, MFSYMLINK_MAX_TARGET, decode_mfsymlink, encode_mfsymlink};
pub use names::{NameInfo, RenameFlags, RenameInfoEx, StreamInfo, decode_streams, encode_streams};
pub use posix::{
    POSIX_EXTENSIONS, PosixEntry, PosixFsInfo, PosixInfo, decode_posix_listing, encode_posix_listing,
};
pub use quota::{QuotaEntry, QuotaQuery, QuotaUsers, decode_quotas, encode_quotas};
pub(crate) use reparse::names as link_names;
pub use reparse::{NfsNode, ReparsePoint, reparse_tag};
pub use sfu::{SFU_MAX_LEN, decode_sfu, encode_sfu};
pub use simple_info::{
    AccessInfo, AlignmentInfo, AllocationInfo, CaseSensitiveInfo, CompressionInfo, DispositionInfo,
    DispositionInfoEx, EaInfo, EndOfFileInfo, FileMode, IdInfo, InternalInfo, LxFlags, ModeInfo, PipeInfo,
    PipeLocalInfo, PipeRemoteInfo, PositionInfo, StandardLinkInfo, StatInfo, StatLxInfo, ValidDataLengthInfo,
};
pub use time::FileTime;
pub use volume_info::{
    ControlInfo, DeviceCharacteristics, DeviceInfo, FullSizeInfo, ObjectIdInfo, SectorSizeInfo, SizeInfo,
    VolumeAttributes, VolumeFlags, VolumeInfo,
};
