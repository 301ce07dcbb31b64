//! What the SMB3 POSIX extensions say of files and file systems (class 100 of each kind; the specification is the
//! Samba team's `smb3_posix_extensions`, sections "SMB2 Query Info" and "SMB2 Query Directory").

use bytes::Bytes;

use super::FileAttributes;
use super::chain::{decode_chain, encode_chain};
use crate::security::Sid;
use crate::wire::{DecodeError, FileTimes, Reader, Wire, Writer, len32, record, utf16_len};

/// The name under which client and server find each other's extensions: a negotiate context's content and a create
/// context's name.
pub const POSIX_EXTENSIONS: [u8; 16] =
    [0x93, 0xAD, 0x25, 0x50, 0x9C, 0xB4, 0x11, 0xE7, 0xB4, 0x23, 0x83, 0xDE, 0x96, 0x8B, 0xCD, 0x7C];

/// A file as POSIX knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosixInfo {
    /// The file's times.
    pub times: FileTimes,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's DOS attributes.
    pub attributes: FileAttributes,
    /// The file's number on its volume.
    pub inode: u64,
    /// The volume's number.
    pub device: u32,
    /// Hard links.
    pub links: u32,
    /// Which kind of reparse point it is, 0 for none.
    pub reparse_tag: u32,
    /// Permissions; some servers say the type too.
    pub mode: u32,
    /// The owner.
    pub owner: Sid,
    /// The group.
    pub group: Sid,
}

impl Wire for PosixInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        self.times.encode(w);
        w.u64(self.end_of_file);
        w.u64(self.allocation_size);
        self.attributes.encode(w);
        w.u64(self.inode);
        w.u32(self.device);
        w.u32(0);
        w.u32(self.links);
        w.u32(self.reparse_tag);
        w.u32(self.mode);
        self.owner.encode(w);
        self.group.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let times = FileTimes::decode(r)?;
        let end_of_file = r.u64()?;
        let allocation_size = r.u64()?;
        let attributes = FileAttributes::decode(r)?;
        let inode = r.u64()?;
        let device = r.u32()?;
        r.u32()?;
        Ok(Self {
            times,
            end_of_file,
            allocation_size,
            attributes,
            inode,
            device,
            links: r.u32()?,
            reparse_tag: r.u32()?,
            mode: r.u32()?,
            owner: Sid::decode(r)?,
            group: Sid::decode(r)?,
        })
    }
}

/// An entry of a POSIX listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PosixEntry {
    /// What is known of the file.
    pub info: PosixInfo,
    /// One component. Not to be trusted: it may be any string.
    pub name: String,
}

/// Bytes of an entry with the shortest identifiers: 8 before, 80 of the file, 16, 4 for the name's length.
const ENTRY_FIXED: usize = 108;

/// Writes a POSIX listing.
pub fn encode_posix_listing(entries: &[PosixEntry]) -> Vec<u8> {
    encode_chain(entries, 8, |entry, w| {
        w.u32(0);
        entry.info.encode(w);
        w.u32(len32(utf16_len(&entry.name)));
        w.utf16(&entry.name);
    })
}

/// Reads a POSIX listing.
pub fn decode_posix_listing(data: &Bytes) -> Result<Vec<PosixEntry>, DecodeError> {
    decode_chain(data, ENTRY_FIXED, |r| {
        r.u32()?;
        let info = PosixInfo::decode(r)?;
        let length = r.u32()? as usize;
        Ok(PosixEntry { info, name: r.utf16(length)? })
    })
}

record! {
    /// A file system as POSIX knows it; all ones where the server cannot tell.
    #[derive(Copy)]
    pub struct PosixFsInfo {
        /// Bytes that go best at once.
        pub transfer_size: u32,
        /// Bytes of a block.
        pub block_size: u32,
        /// The volume's size in blocks.
        pub total_blocks: u64,
        /// What is free, in blocks.
        pub available_blocks: u64,
        /// What an ordinary user may still use, in blocks.
        pub user_available_blocks: u64,
        /// Files that there can be.
        pub total_nodes: u64,
        /// Files that there can be still.
        pub free_nodes: u64,
        /// The file system's number.
        pub id: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::FileTime;
    use crate::wire::check::{bear, both_ways, through};
    use proptest::prelude::*;

    fn info() -> PosixInfo {
        PosixInfo {
            times: FileTimes { created: FileTime(1), ..FileTimes::default() },
            end_of_file: 2,
            allocation_size: 3,
            attributes: FileAttributes::ARCHIVE,
            inode: 4,
            device: 5,
            links: 6,
            reparse_tag: 7,
            mode: 0o644,
            owner: Sid::unix_user(1000),
            group: Sid::unix_group(1000),
        }
    }

    #[test]
    fn files_and_file_systems_survive_a_round_trip() {
        both_ways(&info());
        let bytes = crate::fscc::to_bytes(&info());
        assert_eq!((bytes.len(), bytes[76], bytes[80]), (80 + 16 + 16, 0xA4, 1));
        assert_eq!(crate::fscc::to_bytes(&PosixFsInfo::default()).len(), 56);
        both_ways(&PosixFsInfo { block_size: 1, user_available_blocks: 2, id: 3, ..PosixFsInfo::default() });
    }

    proptest! {
        #[test]
        fn listings_survive_a_round_trip(names in prop::collection::vec(".{0,9}", 0..4)) {
            let entries: Vec<_> = names.into_iter().map(|name| PosixEntry { info: info(), name }).collect();
            through(&entries, |list| Bytes::from(encode_posix_listing(list)), decode_posix_listing);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..3u8, 0..140)) {
            let data = Bytes::from(data);
            bear::<PosixInfo>(&data);
            let _ = decode_posix_listing(&data);
        }
    }
}
