//! The numbers of the information classes ([MS-FSCC] 2.4, 2.5; 100 is of the SMB3 POSIX extensions).

/// Numbers of the file information classes that this crate can read or write ([MS-FSCC] 2.4).
pub mod file_class {
    /// `FileDirectoryInformation`
    pub const DIRECTORY: u8 = 1;
    /// `FileFullDirectoryInformation`
    pub const FULL_DIRECTORY: u8 = 2;
    /// `FileBothDirectoryInformation`
    pub const BOTH_DIRECTORY: u8 = 3;
    /// `FileBasicInformation`
    pub const BASIC: u8 = 4;
    /// `FileStandardInformation`
    pub const STANDARD: u8 = 5;
    /// `FileInternalInformation`
    pub const INTERNAL: u8 = 6;
    /// `FileEaInformation`
    pub const EA: u8 = 7;
    /// `FileAccessInformation`
    pub const ACCESS: u8 = 8;
    /// `FileNameInformation`
    pub const NAME: u8 = 9;
    /// `FileRenameInformation`
    pub const RENAME: u8 = 10;
    /// `FileLinkInformation`
    pub const LINK: u8 = 11;
    /// `FileNamesInformation`
    pub const NAMES: u8 = 12;
    /// `FileDispositionInformation`
    pub const DISPOSITION: u8 = 13;
    /// `FilePositionInformation`
    pub const POSITION: u8 = 14;
    /// `FileFullEaInformation`
    pub const FULL_EA: u8 = 15;
    /// `FileModeInformation`
    pub const MODE: u8 = 16;
    /// `FileAlignmentInformation`
    pub const ALIGNMENT: u8 = 17;
    /// `FileAllInformation`
    pub const ALL: u8 = 18;
    /// `FileAllocationInformation`
    pub const ALLOCATION: u8 = 19;
    /// `FileEndOfFileInformation`
    pub const END_OF_FILE: u8 = 20;
    /// `FileAlternateNameInformation`
    pub const ALTERNATE_NAME: u8 = 21;
    /// `FileStreamInformation`
    pub const STREAM: u8 = 22;
    /// `FilePipeInformation`
    pub const PIPE: u8 = 23;
    /// `FilePipeLocalInformation`
    pub const PIPE_LOCAL: u8 = 24;
    /// `FilePipeRemoteInformation`
    pub const PIPE_REMOTE: u8 = 25;
    /// `FileCompressionInformation`
    pub const COMPRESSION: u8 = 28;
    /// `FileQuotaInformation`
    pub const QUOTA: u8 = 32;
    /// `FileNetworkOpenInformation`
    pub const NETWORK_OPEN: u8 = 34;
    /// `FileAttributeTagInformation`
    pub const ATTRIBUTE_TAG: u8 = 35;
    /// `FileIdBothDirectoryInformation`
    pub const ID_BOTH_DIRECTORY: u8 = 37;
    /// `FileIdFullDirectoryInformation`
    pub const ID_FULL_DIRECTORY: u8 = 38;
    /// `FileValidDataLengthInformation`
    pub const VALID_DATA_LENGTH: u8 = 39;
    /// `FileShortNameInformation`
    pub const SHORT_NAME: u8 = 40;
    /// `FileNormalizedNameInformation`
    pub const NORMALIZED_NAME: u8 = 48;
    /// `FileStandardLinkInformation`
    pub const STANDARD_LINK: u8 = 54;
    /// `FileIdInformation`
    pub const ID: u8 = 59;
    /// `FileIdExtdDirectoryInformation`
    pub const ID_EXTD_DIRECTORY: u8 = 60;
    /// `FileIdExtdBothDirectoryInformation`
    pub const ID_EXTD_BOTH_DIRECTORY: u8 = 63;
    /// `FileDispositionInformationEx`
    pub const DISPOSITION_EX: u8 = 64;
    /// `FileRenameInformationEx`
    pub const RENAME_EX: u8 = 65;
    /// `FileStatInformation`
    pub const STAT: u8 = 68;
    /// `FileStatLxInformation`
    pub const STAT_LX: u8 = 70;
    /// `FileCaseSensitiveInformation`
    pub const CASE_SENSITIVE: u8 = 71;
    /// `FileLinkInformationEx`
    pub const LINK_EX: u8 = 72;
    /// `FileId64ExtdDirectoryInformation`
    pub const ID_64_EXTD_DIRECTORY: u8 = 78;
    /// `FileId64ExtdBothDirectoryInformation`
    pub const ID_64_EXTD_BOTH_DIRECTORY: u8 = 79;
    /// `FileIdAllExtdDirectoryInformation`
    pub const ID_ALL_EXTD_DIRECTORY: u8 = 80;
    /// `FileIdAllExtdBothDirectoryInformation`
    pub const ID_ALL_EXTD_BOTH_DIRECTORY: u8 = 81;
    /// `FilePosixInformation`, of the SMB3 POSIX extensions
    pub const POSIX: u8 = 100;
}

/// Numbers of the file-system information classes that this crate can read or write ([MS-FSCC] 2.5).
pub mod volume_class {
    /// `FileFsVolumeInformation`
    pub const VOLUME: u8 = 1;
    /// `FileFsLabelInformation`
    pub const LABEL: u8 = 2;
    /// `FileFsSizeInformation`
    pub const SIZE: u8 = 3;
    /// `FileFsDeviceInformation`
    pub const DEVICE: u8 = 4;
    /// `FileFsAttributeInformation`
    pub const ATTRIBUTE: u8 = 5;
    /// `FileFsControlInformation`
    pub const CONTROL: u8 = 6;
    /// `FileFsFullSizeInformation`
    pub const FULL_SIZE: u8 = 7;
    /// `FileFsObjectIdInformation`
    pub const OBJECT_ID: u8 = 8;
    /// `FileFsSectorSizeInformation`
    pub const SECTOR_SIZE: u8 = 11;
    /// `FilePosixFsInformation`, of the SMB3 POSIX extensions
    pub const POSIX: u8 = 100;
}
