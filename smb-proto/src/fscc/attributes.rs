//! File attribute flags ([MS-FSCC] 2.6).

bitflags::bitflags! {
    /// File attributes ([MS-FSCC] 2.6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FileAttributes: u32 {
        /// `FILE_ATTRIBUTE_READONLY`
        const READONLY = 0x0000_0001;
        /// `FILE_ATTRIBUTE_HIDDEN`
        const HIDDEN = 0x0000_0002;
        /// `FILE_ATTRIBUTE_SYSTEM`
        const SYSTEM = 0x0000_0004;
        /// `FILE_ATTRIBUTE_DIRECTORY`
        const DIRECTORY = 0x0000_0010;
        /// `FILE_ATTRIBUTE_ARCHIVE`
        const ARCHIVE = 0x0000_0020;
        /// `FILE_ATTRIBUTE_NORMAL`: no other attribute; in a set request, "clear all others".
        const NORMAL = 0x0000_0080;
        /// `FILE_ATTRIBUTE_TEMPORARY`
        const TEMPORARY = 0x0000_0100;
        /// `FILE_ATTRIBUTE_SPARSE_FILE`
        const SPARSE_FILE = 0x0000_0200;
        /// `FILE_ATTRIBUTE_REPARSE_POINT`
        const REPARSE_POINT = 0x0000_0400;
        /// `FILE_ATTRIBUTE_COMPRESSED`
        const COMPRESSED = 0x0000_0800;
        /// `FILE_ATTRIBUTE_OFFLINE`
        const OFFLINE = 0x0000_1000;
        /// `FILE_ATTRIBUTE_NOT_CONTENT_INDEXED`
        const NOT_CONTENT_INDEXED = 0x0000_2000;
        /// `FILE_ATTRIBUTE_ENCRYPTED`
        const ENCRYPTED = 0x0000_4000;
        /// `FILE_ATTRIBUTE_INTEGRITY_STREAM`
        const INTEGRITY_STREAM = 0x0000_8000;
        /// `FILE_ATTRIBUTE_NO_SCRUB_DATA`
        const NO_SCRUB_DATA = 0x0002_0000;
        /// `FILE_ATTRIBUTE_RECALL_ON_OPEN`
        const RECALL_ON_OPEN = 0x0004_0000;
        /// `FILE_ATTRIBUTE_PINNED`
        const PINNED = 0x0008_0000;
        /// `FILE_ATTRIBUTE_UNPINNED`
        const UNPINNED = 0x0010_0000;
        /// `FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS`
        const RECALL_ON_DATA_ACCESS = 0x0040_0000;
        // Bits without a name are the server's business and survive a round trip.
        const _ = !0;
    }
}
