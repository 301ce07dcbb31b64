//! Information classes that carry names: names, streams, renames with flags ([MS-FSCC] 2.4).

use bytes::Bytes;

use super::chain::{decode_chain, encode_chain};
use crate::wire::{DecodeError, Reader, Wire, Writer, flags_on_wire, len32, utf16_len};

/// `FileNameInformation`, and the classes that look like it: alternate, normalized and short names, and
/// `FileFsLabelInformation` ([MS-FSCC] 2.1.7, 2.4.5, 2.5.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameInfo {
    /// The name.
    pub name: String,
}

impl Wire for NameInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(len32(utf16_len(&self.name)));
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // The query's buffer may end inside the name (STATUS_BUFFER_OVERFLOW): what is there will do.
        let length = (r.u32()? as usize).min(r.remaining()) & !1;
        Ok(Self { name: r.utf16(length)? })
    }
}

bitflags::bitflags! {
    /// How to rename or link ([MS-FSCC] 2.4.43, 2.4.28).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RenameFlags: u32 {
        /// Replace a file of the new name.
        const REPLACE_IF_EXISTS = 0x001;
        /// A file that is open may be replaced, and its handles stay valid.
        const POSIX_SEMANTICS = 0x002;
        /// Do not take over what the new directory says of keeping files offline.
        const SUPPRESS_PIN_STATE_INHERITANCE = 0x004;
        /// Replace a read-only file too.
        const IGNORE_READONLY_ATTRIBUTE = 0x040;
        const _ = !0;
    }
}

flags_on_wire!(RenameFlags: u32);

/// `FileRenameInformationEx` and `FileLinkInformationEx` ([MS-FSCC] 2.4.43, 2.4.28).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenameInfoEx {
    /// Whether and what to replace.
    pub flags: RenameFlags,
    /// Relative to the share, `\` between components.
    pub name: String,
}

impl Wire for RenameInfoEx {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        self.flags.encode(w);
        w.u32(0);
        w.u64(0);
        w.u32(len32(utf16_len(&self.name)));
        w.utf16(&self.name);
        // Servers want at least the 24 bytes of the fixed part, padding included.
        w.zeros((start + 24).saturating_sub(w.position()));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = RenameFlags::decode(r)?;
        r.skip(12)?;
        let length = r.u32()? as usize;
        Ok(Self { flags, name: r.utf16(length)? })
    }
}

/// One data stream of a file: `FileStreamInformation` ([MS-FSCC] 2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo {
    /// `:name:$DATA`; the file's own data is `::$DATA`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that it takes on disk.
    pub allocation_size: u64,
}

impl StreamInfo {
    const FIXED: usize = 24;

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(len32(utf16_len(&self.name)));
        w.u64(self.size);
        w.u64(self.allocation_size);
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = r.u32()? as usize;
        Ok(Self { size: r.u64()?, allocation_size: r.u64()?, name: r.utf16(length)? })
    }

    /// The name between the colons, empty for the file's own data; `None` for what is not data.
    pub fn data_name(&self) -> Option<&str> {
        self.name.strip_prefix(':')?.strip_suffix(":$DATA")
    }
}

/// Writes streams as a query's answer has them.
pub fn encode_streams(streams: &[StreamInfo]) -> Vec<u8> {
    encode_chain(streams, 8, StreamInfo::encode)
}

/// Reads `FileStreamInformation`; a directory's may be empty.
pub fn decode_streams(data: &Bytes) -> Result<Vec<StreamInfo>, DecodeError> {
    decode_chain(data, StreamInfo::FIXED, StreamInfo::decode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, through, vector};
    use proptest::prelude::*;

    #[test]
    fn names_are_counted_in_bytes() {
        vector(&NameInfo { name: "aé".into() }, &[4, 0, 0, 0, b'a', 0, 0xE9, 0]);
        let mut expected = [0; 24];
        expected[0] = 3;
        expected[16] = 2;
        expected[20] = b'x';
        let flags = RenameFlags::REPLACE_IF_EXISTS | RenameFlags::POSIX_SEMANTICS;
        vector(&RenameInfoEx { flags, name: "x".into() }, &expected);
        both_ways(&RenameInfoEx { flags, name: "dir\\näme".into() });
    }

    #[test]
    fn sambas_answers_can_be_read() {
        let captured = |answer| Bytes::from(hex::decode::<&str>(answer).unwrap());
        assert_eq!(
            decode_streams(&captured(
                "000000000e000000030000000000000000001000000000003a003a0024004400410054004100"
            )),
            Ok(vec![StreamInfo { name: "::$DATA".into(), size: 3, allocation_size: 0x10_0000 }])
        );
        let name: NameInfo = crate::fscc::from_bytes(&captured("020000006600")).unwrap();
        assert_eq!(name.name, "f");
        let all: crate::fscc::AllInfo = crate::fscc::from_bytes(&captured(
            "3fb64249a17add013fb64249a17add013fb64249a17add013fb64249a17add01800000000000000000001000\
             00000000030000000000000001000000\
             00000000b2629d0000000000000000008000000000000000000000008000000000000000040000005c006600",
        ))
        .unwrap();
        assert_eq!((all.index_number, all.standard.end_of_file, all.name.as_str()), (0x9D_62B2, 3, "\\f"));
        assert_eq!(
            (all.access, all.mode.bits(), all.alignment),
            (crate::wire::AccessMask::READ_ATTRIBUTES, 0x80, 0)
        );
    }

    #[test]
    fn a_streams_name_without_its_colons() {
        let of = |name: &str| StreamInfo { name: name.into(), ..StreamInfo::default() };
        assert_eq!(of("::$DATA").data_name(), Some(""));
        assert_eq!(of(":a:$DATA").data_name(), Some("a"));
        assert_eq!(of(":a:$INDEX_ALLOCATION").data_name(), None);
    }

    proptest! {
        #[test]
        fn streams_survive_a_round_trip(names in prop::collection::vec(".{0,9}", 0..5), size: u64) {
            let streams: Vec<_> =
                names.into_iter().map(|name| StreamInfo { name, size, allocation_size: 1 }).collect();
            through(&streams, |list| Bytes::from(encode_streams(list)), decode_streams);
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..60u8, 0..100)) {
            let data = Bytes::from(data);
            bear::<NameInfo>(&data);
            bear::<RenameInfoEx>(&data);
            let _ = decode_streams(&data);
        }
    }
}
