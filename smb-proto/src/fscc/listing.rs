//! Directory listings of every class ([MS-FSCC] 2.4): one entry type, whose fields a class has or has not.

use bytes::Bytes;

use super::chain::{decode_chain, encode_chain};
use super::{FileAttributes, file_class};
use crate::wire::{DecodeError, FileTimes, Reader, Wire, Writer, len32, utf16_len};

/// A class that QUERY_DIRECTORY can ask for; POSIX listings are [`super::PosixEntry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ListingClass {
    /// `FileDirectoryInformation` ([MS-FSCC] 2.4.10).
    Directory = file_class::DIRECTORY,
    /// `FileFullDirectoryInformation` ([MS-FSCC] 2.4.15).
    FullDirectory = file_class::FULL_DIRECTORY,
    /// `FileBothDirectoryInformation` ([MS-FSCC] 2.4.8).
    BothDirectory = file_class::BOTH_DIRECTORY,
    /// `FileNamesInformation` ([MS-FSCC] 2.4.33).
    Names = file_class::NAMES,
    /// `FileIdBothDirectoryInformation` ([MS-FSCC] 2.4.21).
    IdBothDirectory = file_class::ID_BOTH_DIRECTORY,
    /// `FileIdFullDirectoryInformation` ([MS-FSCC] 2.4.23).
    IdFullDirectory = file_class::ID_FULL_DIRECTORY,
    /// `FileIdExtdDirectoryInformation` ([MS-FSCC] 2.4.22).
    IdExtdDirectory = file_class::ID_EXTD_DIRECTORY,
    /// `FileIdExtdBothDirectoryInformation`.
    IdExtdBothDirectory = file_class::ID_EXTD_BOTH_DIRECTORY,
    /// `FileId64ExtdDirectoryInformation` ([MS-FSCC] 2.4.18).
    Id64ExtdDirectory = file_class::ID_64_EXTD_DIRECTORY,
    /// `FileId64ExtdBothDirectoryInformation` ([MS-FSCC] 2.4.17).
    Id64ExtdBothDirectory = file_class::ID_64_EXTD_BOTH_DIRECTORY,
    /// `FileIdAllExtdDirectoryInformation` ([MS-FSCC] 2.4.20).
    IdAllExtdDirectory = file_class::ID_ALL_EXTD_DIRECTORY,
    /// `FileIdAllExtdBothDirectoryInformation` ([MS-FSCC] 2.4.19).
    IdAllExtdBothDirectory = file_class::ID_ALL_EXTD_BOTH_DIRECTORY,
}

/// Which number of the file an entry carries, and what is before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    None,
    Short,
    Long,
    Both,
}

impl ListingClass {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::Directory,
        Self::FullDirectory,
        Self::BothDirectory,
        Self::Names,
        Self::IdBothDirectory,
        Self::IdFullDirectory,
        Self::IdExtdDirectory,
        Self::IdExtdBothDirectory,
        Self::Id64ExtdDirectory,
        Self::Id64ExtdBothDirectory,
        Self::IdAllExtdDirectory,
        Self::IdAllExtdBothDirectory,
    ];

    /// The class with this number.
    pub fn from_wire(value: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|class| *class as u8 == value)
    }

    const fn has_short_name(self) -> bool {
        matches!(
            self,
            Self::BothDirectory
                | Self::IdBothDirectory
                | Self::IdExtdBothDirectory
                | Self::Id64ExtdBothDirectory
                | Self::IdAllExtdBothDirectory
        )
    }

    const fn has_ea_size(self) -> bool {
        !matches!(self, Self::Names | Self::Directory)
    }

    const fn has_reparse_tag(self) -> bool {
        match self.number() {
            Number::None => false,
            Number::Short => matches!(self, Self::Id64ExtdDirectory | Self::Id64ExtdBothDirectory),
            Number::Long | Number::Both => true,
        }
    }

    const fn number(self) -> Number {
        match self {
            Self::Directory | Self::FullDirectory | Self::BothDirectory | Self::Names => Number::None,
            Self::IdBothDirectory
            | Self::IdFullDirectory
            | Self::Id64ExtdDirectory
            | Self::Id64ExtdBothDirectory => Number::Short,
            Self::IdExtdDirectory | Self::IdExtdBothDirectory => Number::Long,
            Self::IdAllExtdDirectory | Self::IdAllExtdBothDirectory => Number::Both,
        }
    }

    /// Reserved bytes that align the number.
    const fn gap(self) -> usize {
        match self {
            Self::IdBothDirectory => 2,
            Self::IdFullDirectory => 4,
            _ => 0,
        }
    }

    /// Bytes before the name.
    const fn fixed(self) -> usize {
        match self {
            Self::Names => 12,
            Self::Directory => 64,
            Self::FullDirectory => 68,
            Self::BothDirectory => 94,
            Self::IdBothDirectory => 104,
            Self::IdFullDirectory => 80,
            Self::IdExtdDirectory => 88,
            Self::IdExtdBothDirectory => 114,
            Self::Id64ExtdDirectory => 80,
            Self::Id64ExtdBothDirectory => 106,
            Self::IdAllExtdDirectory => 96,
            Self::IdAllExtdBothDirectory => 122,
        }
    }
}

/// An entry of a listing. What its class does not have is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListingEntry {
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
    /// Bytes of extended attributes; for a reparse point some classes have its tag here.
    pub ea_size: u32,
    /// Which kind of reparse point it is, 0 for none.
    pub reparse_tag: u32,
    /// The file's number on its volume.
    pub file_id: u64,
    /// The file's number where 64 bits do not hold it.
    pub long_file_id: [u8; 16],
    /// The 8.3 name, at most 12 characters.
    pub short_name: String,
    /// One component. Not to be trusted: it may be any string.
    pub name: String,
}

/// Bytes of the 8.3 name's field.
const SHORT_NAME: usize = 24;

impl ListingEntry {
    fn encode(&self, class: ListingClass, w: &mut Writer<'_>) {
        w.u32(self.file_index);
        if class == ListingClass::Names {
            w.u32(len32(utf16_len(&self.name)));
            w.utf16(&self.name);
            return;
        }
        self.times.encode(w);
        w.u64(self.end_of_file);
        w.u64(self.allocation_size);
        self.attributes.encode(w);
        w.u32(len32(utf16_len(&self.name)));
        if class.has_ea_size() {
            w.u32(self.ea_size);
        }
        if class.has_reparse_tag() {
            w.u32(self.reparse_tag);
        }
        // The classes with a tag have the 8.3 name last, the others before the number.
        let short_name_first = !class.has_reparse_tag();
        if class.has_short_name() && short_name_first {
            self.encode_short_name(w);
        }
        match class.number() {
            Number::None => {}
            Number::Short => {
                w.zeros(class.gap());
                w.u64(self.file_id);
            }
            Number::Long => w.bytes(&self.long_file_id),
            Number::Both => {
                w.u64(self.file_id);
                w.bytes(&self.long_file_id);
            }
        }
        if class.has_short_name() && !short_name_first {
            self.encode_short_name(w);
        }
        w.utf16(&self.name);
    }

    fn encode_short_name(&self, w: &mut Writer<'_>) {
        let length = utf16_len(&self.short_name).min(SHORT_NAME);
        w.u8(length as u8);
        w.u8(0);
        self.short_name.encode_utf16().take(SHORT_NAME / 2).for_each(|unit| w.u16(unit));
        w.zeros(SHORT_NAME - length);
    }

    fn decode(class: ListingClass, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut entry = Self { file_index: r.u32()?, ..Self::default() };
        if class == ListingClass::Names {
            let length = r.u32()? as usize;
            entry.name = r.utf16(length)?;
            return Ok(entry);
        }
        entry.times = FileTimes::decode(r)?;
        entry.end_of_file = r.u64()?;
        entry.allocation_size = r.u64()?;
        entry.attributes = FileAttributes::decode(r)?;
        let name_length = r.u32()? as usize;
        if class.has_ea_size() {
            entry.ea_size = r.u32()?;
        }
        if class.has_reparse_tag() {
            entry.reparse_tag = r.u32()?;
        }
        let short_name_first = !class.has_reparse_tag();
        if class.has_short_name() && short_name_first {
            entry.decode_short_name(r)?;
        }
        match class.number() {
            Number::None => {}
            Number::Short => {
                r.skip(class.gap())?;
                entry.file_id = r.u64()?;
            }
            Number::Long => entry.long_file_id = r.array()?,
            Number::Both => {
                entry.file_id = r.u64()?;
                entry.long_file_id = r.array()?;
            }
        }
        if class.has_short_name() && !short_name_first {
            entry.decode_short_name(r)?;
        }
        entry.name = r.utf16(name_length)?;
        Ok(entry)
    }

    fn decode_short_name(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        let length = usize::from(r.u8()?);
        r.u8()?;
        let field = r.bytes(SHORT_NAME)?;
        self.short_name = Reader::new(&field, 0).utf16(length)?;
        Ok(())
    }
}

/// Writes entries as a QUERY_DIRECTORY answer of this class has them.
pub fn encode_listing(class: ListingClass, entries: &[ListingEntry]) -> Vec<u8> {
    encode_chain(entries, 8, |entry, w| entry.encode(class, w))
}

/// Reads a QUERY_DIRECTORY answer of this class.
pub fn decode_listing(class: ListingClass, data: &Bytes) -> Result<Vec<ListingEntry>, DecodeError> {
    decode_chain(data, class.fixed(), |r| ListingEntry::decode(class, r))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::{FileTime, decode_directory};
    use crate::wire::check::through;
    use proptest::prelude::*;

    /// An entry with everything that the class has.
    fn entry(class: ListingClass, name: &str) -> ListingEntry {
        let named = ListingEntry { file_index: 1, name: name.into(), ..ListingEntry::default() };
        if class == ListingClass::Names {
            return named;
        }
        let when = |yes, value| if yes { value } else { 0 };
        ListingEntry {
            times: FileTimes { created: FileTime(2), ..FileTimes::default() },
            end_of_file: 3,
            allocation_size: 4,
            attributes: FileAttributes::HIDDEN,
            ea_size: when(class.has_ea_size(), 5),
            reparse_tag: when(class.has_reparse_tag(), 6),
            file_id: u64::from(when(matches!(class.number(), Number::Short | Number::Both), 7)),
            long_file_id: [when(matches!(class.number(), Number::Long | Number::Both), 8) as u8; 16],
            short_name: if class.has_short_name() { "ABCDEF~1.TXT".into() } else { String::new() },
            ..named
        }
    }

    fn round_trip(class: ListingClass, names: &[String]) {
        let entries: Vec<_> = names.iter().map(|name| entry(class, name)).collect();
        through(
            &entries,
            |list| Bytes::from(encode_listing(class, list)),
            |data| decode_listing(class, data),
        );
    }

    #[test]
    fn names_begin_where_the_specification_puts_them() {
        for class in ListingClass::ALL {
            assert_eq!(encode_listing(class, &[entry(class, "")]).len(), class.fixed(), "{class:?}");
            assert_eq!(ListingClass::from_wire(class as u8), Some(class));
            round_trip(class, &["a".into(), "bcdé".into(), String::new()]);
        }
        assert_eq!(ListingClass::from_wire(0), None);
    }

    #[test]
    fn the_common_class_reads_the_same_either_way() {
        let class = ListingClass::IdBothDirectory;
        let data = Bytes::from(encode_listing(class, &[entry(class, "x")]));
        let common = decode_directory(&data).unwrap();
        assert_eq!((common[0].file_id, common[0].ea_size, common[0].name.as_str()), (7, 5, "x"));
    }

    #[test]
    fn a_short_name_cannot_be_longer_than_its_field() {
        let class = ListingClass::BothDirectory;
        let mut data = encode_listing(class, &[entry(class, "x")]);
        data[68] = 26;
        assert_eq!(decode_listing(class, &Bytes::from(data)), Err(DecodeError::Truncated));
    }

    proptest! {
        #[test]
        fn listings_survive_a_round_trip(which in 0..12usize, names in prop::collection::vec(".{0,9}", 0..5)) {
            round_trip(ListingClass::ALL[which], &names);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..130u8, 0..400)) {
            for class in ListingClass::ALL {
                let _ = decode_listing(class, &Bytes::from(data.clone()));
            }
        }
    }
}
