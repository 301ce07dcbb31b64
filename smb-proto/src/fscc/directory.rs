//! Directory entries ([MS-FSCC] 2.4.21) and change notifications ([MS-FSCC] 2.7.1).

use bytes::Bytes;

use super::FileAttributes;
use super::chain::{decode_chain, encode_chain};
use crate::wire::{DecodeError, FileTimes, Reader, Wire, Writer, len32, utf16_len, utf16_to_string};

/// `FileIdBothDirectoryInformation` ([MS-FSCC] 2.4.21), without the 8.3 name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Where the server says the entry stands; mostly 0.
    pub file_index: u32,
    /// The file's times.
    pub times: FileTimes,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's attributes.
    pub attributes: FileAttributes,
    /// Bytes of extended attributes; for a reparse point its tag.
    pub ea_size: u32,
    /// The file's number on its volume, 0 where the server has none.
    pub file_id: u64,
    /// One component. Not to be trusted: it may be any string.
    pub name: String,
}

impl DirectoryEntry {
    const FIXED: usize = 104;

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.file_index);
        self.times.encode(w);
        w.u64(self.end_of_file);
        w.u64(self.allocation_size);
        w.u32(self.attributes.bits());
        w.u32(len32(utf16_len(&self.name)));
        w.u32(self.ea_size);
        w.zeros(1 + 1 + 24 + 2);
        w.u64(self.file_id);
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let file_index = r.u32()?;
        let times = FileTimes::decode(r)?;
        let end_of_file = r.u64()?;
        let allocation_size = r.u64()?;
        let attributes = FileAttributes::from_bits_retain(r.u32()?);
        let name_length = r.u32()? as usize;
        let ea_size = r.u32()?;
        r.skip(1 + 1 + 24 + 2)?;
        let file_id = r.u64()?;
        let name = utf16_to_string(&r.bytes(name_length)?)?;
        Ok(Self { file_index, times, end_of_file, allocation_size, attributes, ea_size, file_id, name })
    }
}

/// One change of a watched directory ([MS-FSCC] 2.7.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyEntry {
    /// 1 added, 2 removed, 3 modified, 4 renamed from, 5 renamed to, 6 to 8 streams.
    pub action: u32,
    /// Relative to the watched directory, `\` between components.
    pub name: String,
}

impl NotifyEntry {
    const FIXED: usize = 12;

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.action);
        w.u32(len32(utf16_len(&self.name)));
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let action = r.u32()?;
        let length = r.u32()? as usize;
        Ok(Self { action, name: utf16_to_string(&r.bytes(length)?)? })
    }
}

/// Writes entries as a QUERY_DIRECTORY answer has them.
pub fn encode_directory(entries: &[DirectoryEntry]) -> Vec<u8> {
    encode_chain(entries, 8, DirectoryEntry::encode)
}

/// Reads a QUERY_DIRECTORY answer of class `FileIdBothDirectoryInformation`.
pub fn decode_directory(data: &Bytes) -> Result<Vec<DirectoryEntry>, DecodeError> {
    decode_chain(data, DirectoryEntry::FIXED, DirectoryEntry::decode)
}

/// Writes changes as a CHANGE_NOTIFY answer has them.
pub fn encode_notify(entries: &[NotifyEntry]) -> Vec<u8> {
    encode_chain(entries, 4, NotifyEntry::encode)
}

/// Reads a CHANGE_NOTIFY answer.
pub fn decode_notify(data: &Bytes) -> Result<Vec<NotifyEntry>, DecodeError> {
    decode_chain(data, NotifyEntry::FIXED, NotifyEntry::decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str) -> DirectoryEntry {
        DirectoryEntry { name: name.into(), end_of_file: 7, file_id: 9, ..DirectoryEntry::default() }
    }

    proptest! {
        #[test]
        fn listings_survive_a_round_trip(names in prop::collection::vec(".{0,20}", 0..20)) {
            let entries: Vec<_> = names.iter().map(|name| entry(name)).collect();
            prop_assert_eq!(decode_directory(&Bytes::from(encode_directory(&entries))).unwrap(), entries);
            let changes: Vec<_> =
                names.iter().map(|name| NotifyEntry { action: 3, name: name.clone() }).collect();
            prop_assert_eq!(decode_notify(&Bytes::from(encode_notify(&changes))).unwrap(), changes);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(data: Vec<u8>) {
            let _ = decode_directory(&Bytes::from(data.clone()));
            let _ = decode_notify(&Bytes::from(data));
        }
    }

    #[test]
    fn an_entry_cannot_claim_what_lies_behind_it() {
        let mut data = encode_directory(&[entry("a"), entry("b")]);
        // FileNameLength
        data[60..64].copy_from_slice(&100u32.to_le_bytes());
        assert_eq!(decode_directory(&Bytes::from(data)), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_cursor_that_does_not_advance_is_refused() {
        let mut data = encode_directory(&[entry("a"), entry("b")]);
        data[..4].copy_from_slice(&8u32.to_le_bytes());
        assert_eq!(decode_directory(&Bytes::from(data)), Err(DecodeError::OutOfBounds("next entry")));
    }
}
