//! Information classes that are a few numbers ([MS-FSCC] 2.4).

use crate::fscc::{FileAttributes, FileTime};
use crate::wire::{AccessMask, FileTimes, flags_on_wire, record};

bitflags::bitflags! {
    /// How a file was opened ([MS-FSCC] 2.4.31).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FileMode: u32 {
        /// `FILE_WRITE_THROUGH`
        const WRITE_THROUGH = 0x0000_0002;
        /// `FILE_SEQUENTIAL_ONLY`
        const SEQUENTIAL_ONLY = 0x0000_0004;
        /// `FILE_NO_INTERMEDIATE_BUFFERING`
        const NO_INTERMEDIATE_BUFFERING = 0x0000_0008;
        /// `FILE_SYNCHRONOUS_IO_ALERT`
        const SYNCHRONOUS_IO_ALERT = 0x0000_0010;
        /// `FILE_SYNCHRONOUS_IO_NONALERT`
        const SYNCHRONOUS_IO_NONALERT = 0x0000_0020;
        /// `FILE_DELETE_ON_CLOSE`
        const DELETE_ON_CLOSE = 0x0000_1000;
        const _ = !0;
    }
}

flags_on_wire!(FileMode: u32);

record! {
    /// `FileAccessInformation` ([MS-FSCC] 2.4.1).
    #[derive(Copy)]
    pub struct AccessInfo {
        /// What this open may do.
        pub access: AccessMask,
    }
}

record! {
    /// `FileAlignmentInformation` ([MS-FSCC] 2.4.3).
    #[derive(Copy)]
    pub struct AlignmentInfo {
        /// What buffers must be aligned to, less one.
        pub mask: u32,
    }
}

record! {
    /// `FileAllocationInformation` ([MS-FSCC] 2.4.4).
    #[derive(Copy)]
    pub struct AllocationInfo {
        /// Bytes to set aside on disk.
        pub allocation_size: u64,
    }
}

record! {
    /// `FileEndOfFileInformation` ([MS-FSCC] 2.4.14).
    #[derive(Copy)]
    pub struct EndOfFileInfo {
        /// The file's new size in bytes.
        pub end_of_file: u64,
    }
}

record! {
    /// `FileValidDataLengthInformation` ([MS-FSCC] 2.4).
    #[derive(Copy)]
    pub struct ValidDataLengthInfo {
        /// From here on the file reads as zeros.
        pub length: u64,
    }
}

record! {
    /// `FilePositionInformation` ([MS-FSCC] 2.4.40).
    #[derive(Copy)]
    pub struct PositionInfo {
        /// Where the open stands.
        pub offset: u64,
    }
}

record! {
    /// `FileDispositionInformation` ([MS-FSCC] 2.4.11).
    #[derive(Copy)]
    pub struct DispositionInfo {
        /// The file goes when its last handle does.
        pub delete: bool,
    }
}

record! {
    /// `FileDispositionInformationEx` ([MS-FSCC] 2.4.12).
    #[derive(Copy)]
    pub struct DispositionInfoEx {
        /// Whether and how to delete.
        pub flags: super::DispositionFlags,
    }
}

record! {
    /// `FileEaInformation` ([MS-FSCC] 2.4.13).
    #[derive(Copy)]
    pub struct EaInfo {
        /// Bytes of extended attributes.
        pub size: u32,
    }
}

record! {
    /// `FileInternalInformation` ([MS-FSCC] 2.4.26).
    #[derive(Copy)]
    pub struct InternalInfo {
        /// The file's number on its volume.
        pub file_id: u64,
    }
}

record! {
    /// `FileIdInformation` ([MS-FSCC] 2.4.25).
    #[derive(Copy)]
    pub struct IdInfo {
        /// The volume's number.
        pub volume: u64,
        /// The file's number on its volume.
        pub file_id: [u8; 16],
    }
}

record! {
    /// `FileModeInformation` ([MS-FSCC] 2.4.31).
    #[derive(Copy)]
    pub struct ModeInfo {
        /// How the file was opened.
        pub mode: FileMode,
    }
}

record! {
    /// `FileCompressionInformation` ([MS-FSCC] 2.4.9).
    #[derive(Copy)]
    pub struct CompressionInfo {
        /// Bytes on disk.
        pub compressed_size: u64,
        /// 0 none, 2 LZNT1.
        pub format: u16,
        /// The binary logarithm of the unit's size.
        pub unit_shift: u8,
        /// The binary logarithm of the chunk's size.
        pub chunk_shift: u8,
        /// The binary logarithm of the cluster's size.
        pub cluster_shift: u8 => 3,
    }
}

record! {
    /// `FileStandardLinkInformation` ([MS-FSCC] 2.4).
    #[derive(Copy)]
    pub struct StandardLinkInfo {
        /// Links that are not about to be deleted.
        pub accessible_links: u32,
        /// All links.
        pub total_links: u32,
        /// The file goes when its last handle does.
        pub delete_pending: bool,
        /// A directory, not a file.
        pub directory: bool => 2,
    }
}

record! {
    /// `FileStatInformation` ([MS-FSCC] 2.4).
    #[derive(Copy)]
    pub struct StatInfo {
        /// The file's number on its volume.
        pub file_id: u64,
        /// The file's times.
        pub times: FileTimes,
        /// Bytes that the file takes on disk.
        pub allocation_size: u64,
        /// The file's size in bytes.
        pub end_of_file: u64,
        /// The file's attributes.
        pub attributes: FileAttributes,
        /// Which kind of reparse point it is, 0 for none.
        pub reparse_tag: u32,
        /// Hard links.
        pub links: u32,
        /// What this user may do.
        pub access: AccessMask,
    }
}

bitflags::bitflags! {
    /// Which of the Linux fields mean something (`FileStatLxInformation`, LxFlags).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct LxFlags: u32 {
        /// The owner.
        const HAS_UID = 0x01;
        /// The group.
        const HAS_GID = 0x02;
        /// The mode.
        const HAS_MODE = 0x04;
        /// The device.
        const HAS_DEVICE_ID = 0x08;
        /// A directory whose names differ by case.
        const CASE_SENSITIVE_DIRECTORY = 0x10;
        const _ = !0;
    }
}

flags_on_wire!(LxFlags: u32);

record! {
    /// `FileStatLxInformation`: what the Windows Subsystem for Linux keeps of a file.
    #[derive(Copy)]
    pub struct StatLxInfo {
        /// What every file has.
        pub stat: StatInfo,
        /// Which of the rest mean something.
        pub flags: LxFlags,
        /// The owner.
        pub uid: u32,
        /// The group.
        pub gid: u32,
        /// Type and permissions.
        pub mode: u32,
        /// A device's major number.
        pub major: u32,
        /// A device's minor number.
        pub minor: u32,
    }
}

record! {
    /// `FileCaseSensitiveInformation`: 1, names in this directory differ by case.
    #[derive(Copy)]
    pub struct CaseSensitiveInfo {
        /// Bit 0.
        pub flags: u32,
    }
}

record! {
    /// `FilePipeInformation` ([MS-FSCC] 2.4.37).
    #[derive(Copy)]
    pub struct PipeInfo {
        /// 0 bytes, 1 messages.
        pub read_mode: u32,
        /// 0 a read waits, 1 it does not.
        pub completion_mode: u32,
    }
}

record! {
    /// `FilePipeLocalInformation` ([MS-FSCC] 2.4.38).
    #[derive(Copy)]
    pub struct PipeLocalInfo {
        /// 0 bytes, 1 messages.
        pub kind: u32,
        /// 0 inbound, 1 outbound, 2 both.
        pub configuration: u32,
        /// Most instances, or 0xFFFFFFFF.
        pub maximum_instances: u32,
        /// Instances now.
        pub current_instances: u32,
        /// Bytes of the inbound buffer.
        pub inbound_quota: u32,
        /// Bytes to be read.
        pub read_available: u32,
        /// Bytes of the outbound buffer.
        pub outbound_quota: u32,
        /// Bytes that can be written.
        pub write_available: u32,
        /// 1 disconnected, 2 listening, 3 connected, 4 closing.
        pub state: u32,
        /// 0 client, 1 server.
        pub end: u32,
    }
}

record! {
    /// `FilePipeRemoteInformation` ([MS-FSCC] 2.4.39).
    #[derive(Copy)]
    pub struct PipeRemoteInfo {
        /// How long data is collected before it is sent.
        pub collect_time: FileTime,
        /// How many bytes are collected before they are sent.
        pub maximum_collection: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn sets_are_as_long_as_servers_want_them() {
        vector(&EndOfFileInfo { end_of_file: 0x0102 }, &[2, 1, 0, 0, 0, 0, 0, 0]);
        vector(&DispositionInfo { delete: true }, &[1]);
        vector(&DispositionInfoEx { flags: crate::fscc::DispositionFlags::DELETE }, &[1, 0, 0, 0]);
        vector(&ModeInfo { mode: FileMode::DELETE_ON_CLOSE }, &[0, 16, 0, 0]);
        vector(&PipeInfo { read_mode: 1, completion_mode: 0 }, &[1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(crate::fscc::to_bytes(&StatInfo::default()).len(), 72);
        assert_eq!(crate::fscc::to_bytes(&StatLxInfo::default()).len(), 96);
        assert_eq!(crate::fscc::to_bytes(&CompressionInfo::default()).len(), 16);
        assert_eq!(crate::fscc::to_bytes(&StandardLinkInfo::default()).len(), 12);
        assert_eq!(crate::fscc::to_bytes(&PipeLocalInfo::default()).len(), 40);
        assert_eq!(crate::fscc::to_bytes(&IdInfo::default()).len(), 24);
    }

    #[test]
    fn no_two_fields_are_confused() {
        both_ways(&CompressionInfo {
            compressed_size: 1,
            format: 2,
            unit_shift: 3,
            chunk_shift: 4,
            cluster_shift: 5,
        });
        both_ways(&StandardLinkInfo {
            accessible_links: 1,
            total_links: 2,
            delete_pending: true,
            directory: false,
        });
        let stat = StatInfo {
            file_id: 1,
            times: FileTimes { created: FileTime(2), ..FileTimes::default() },
            allocation_size: 3,
            end_of_file: 4,
            attributes: FileAttributes::HIDDEN,
            reparse_tag: 5,
            links: 6,
            access: AccessMask::DELETE,
        };
        both_ways(&stat);
        both_ways(&StatLxInfo { stat, flags: LxFlags::HAS_UID, uid: 1, gid: 2, mode: 3, major: 4, minor: 5 });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(any::<u8>(), 0..120)) {
            let data = Bytes::from(data);
            bear::<AccessInfo>(&data);
            bear::<AlignmentInfo>(&data);
            bear::<AllocationInfo>(&data);
            bear::<ValidDataLengthInfo>(&data);
            bear::<PositionInfo>(&data);
            bear::<EaInfo>(&data);
            bear::<InternalInfo>(&data);
            bear::<IdInfo>(&data);
            bear::<CompressionInfo>(&data);
            bear::<StandardLinkInfo>(&data);
            bear::<StatLxInfo>(&data);
            bear::<CaseSensitiveInfo>(&data);
            bear::<PipeLocalInfo>(&data);
            bear::<PipeRemoteInfo>(&data);
        }
    }
}
