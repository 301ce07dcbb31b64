//! NDR 2.0 in little-endian form: how arguments and results are written (C706 14).

use bytes::Bytes;

use crate::wire::{DecodeError, Reader, Writer, len32};

/// Writes arguments. Numbers are aligned to their size from the first byte on.
#[derive(Debug, Default)]
pub struct NdrWriter {
    out: Vec<u8>,
    referents: u32,
}

impl NdrWriter {
    /// Begins empty.
    pub const fn new() -> Self {
        Self { out: Vec::new(), referents: 0 }
    }

    fn put(&mut self, bytes: &[u8], alignment: usize) {
        self.out.resize(self.out.len().next_multiple_of(alignment), 0);
        self.out.extend_from_slice(bytes);
    }

    /// A 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes(), 2);
    }

    /// A 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes(), 4);
    }

    /// A 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes(), 8);
    }

    /// A pointer: null, or a number that no other one has (C706 14.3.10). What it points at is the caller's to
    /// write, where it belongs.
    pub fn pointer(&mut self, to_something: bool) {
        if !to_something {
            return self.u32(0);
        }
        // As Windows numbers them.
        let referent = 0x0002_0000 + 4 * self.referents;
        self.referents += 1;
        self.u32(referent);
    }

    /// A conformant and varying string with its terminator (C706 14.3.4.2).
    pub fn string(&mut self, text: &str) {
        let count = len32(text.encode_utf16().count() + 1);
        self.u32(count);
        self.u32(0);
        self.u32(count);
        text.encode_utf16().chain([0]).for_each(|unit| self.u16(unit));
    }

    /// An argument that is a string or null.
    pub fn unique_string(&mut self, text: Option<&str>) {
        self.pointer(text.is_some());
        if let Some(text) = text {
            self.string(text);
        }
    }

    /// An argument that is a number or null.
    pub fn unique_u32(&mut self, value: Option<u32>) {
        self.pointer(value.is_some());
        if let Some(value) = value {
            self.u32(value);
        }
    }

    /// What was written.
    pub fn finish(self) -> Bytes {
        Bytes::from(self.out)
    }

    /// Appends what was written.
    pub(super) fn append_to(self, w: &mut Writer<'_>) {
        w.bytes(&self.out);
    }
}

/// Reads results.
#[derive(Debug)]
pub struct NdrReader<'a>(Reader<'a>);

impl<'a> NdrReader<'a> {
    /// Begins at the first byte.
    pub const fn new(stub: &'a Bytes) -> Self {
        Self(Reader::new(stub, 0))
    }

    fn aligned(&mut self, alignment: usize) -> Result<&mut Reader<'a>, DecodeError> {
        let padding = self.0.position().next_multiple_of(alignment) - self.0.position();
        self.0.skip(padding)?;
        Ok(&mut self.0)
    }

    /// How many bytes follow.
    pub const fn remaining(&self) -> usize {
        self.0.remaining()
    }

    /// A 16-bit number.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        self.aligned(2)?.u16()
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.aligned(4)?.u32()
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        self.aligned(8)?.u64()
    }

    /// Whether a pointer points at something.
    pub fn pointer(&mut self) -> Result<bool, DecodeError> {
        Ok(self.u32()? != 0)
    }

    /// The count of a conformant array whose elements take at least `element` bytes each.
    pub fn count(&mut self, element: usize) -> Result<usize, DecodeError> {
        let count = self.u32()? as usize;
        if count > self.remaining() / element.max(1) {
            return Err(DecodeError::Truncated);
        }
        Ok(count)
    }

    /// A conformant and varying string; what follows a terminator is cut.
    pub fn string(&mut self) -> Result<String, DecodeError> {
        let most = self.u32()?;
        let offset = self.u32()?;
        let count = self.u32()?;
        if offset != 0 || count > most {
            return Err(DecodeError::Invalid("NDR string"));
        }
        let length = (count as usize).checked_mul(2).ok_or(DecodeError::Truncated)?;
        let mut text = self.0.utf16(length)?;
        if let Some(end) = text.find('\0') {
            text.truncate(end);
        }
        Ok(text)
    }

    /// A string behind a pointer that was read before.
    pub fn string_if(&mut self, pointed_at: bool) -> Result<String, DecodeError> {
        if pointed_at { self.string() } else { Ok(String::new()) }
    }

    /// An argument that is a string or null.
    pub fn unique_string(&mut self) -> Result<Option<String>, DecodeError> {
        if self.pointer()? { self.string().map(Some) } else { Ok(None) }
    }

    /// An argument that is a number or null.
    pub fn unique_u32(&mut self) -> Result<Option<u32>, DecodeError> {
        if self.pointer()? { self.u32().map(Some) } else { Ok(None) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn data_is_where_the_specification_puts_it() {
        let mut w = NdrWriter::new();
        w.u16(1);
        w.unique_string(Some("é"));
        w.u64(2);
        w.unique_u32(None);
        w.unique_u32(Some(3));
        let bytes = w.finish();
        let expected = [
            &[1, 0, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xE9, 0, 0, 0][..],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 2, 0, 3, 0, 0, 0],
        ]
        .concat();
        assert_eq!(bytes, expected);
        let mut r = NdrReader::new(&bytes);
        assert_eq!(r.u16(), Ok(1));
        assert_eq!(r.unique_string(), Ok(Some("é".into())));
        assert_eq!(r.u64(), Ok(2));
        assert_eq!((r.unique_u32(), r.unique_u32(), r.remaining()), (Ok(None), Ok(Some(3)), 0));
    }

    #[test]
    fn counts_are_not_believed() {
        let bytes = Bytes::from_static(&[0xFF; 16]);
        assert_eq!(NdrReader::new(&bytes).count(4), Err(DecodeError::Truncated));
        let mut claims = [0; 16];
        claims[..4].fill(0xFF);
        claims[8..12].fill(0xFF);
        assert_eq!(NdrReader::new(&Bytes::copy_from_slice(&claims)).string(), Err(DecodeError::Truncated));
        claims[4] = 1;
        assert!(NdrReader::new(&Bytes::copy_from_slice(&claims)).string().is_err());
    }

    proptest! {
        #[test]
        fn strings_survive_a_round_trip(texts in prop::collection::vec("[^\0]{0,9}", 0..4)) {
            let mut w = NdrWriter::new();
            texts.iter().for_each(|text| w.unique_string(Some(text)));
            let bytes = w.finish();
            let mut r = NdrReader::new(&bytes);
            for text in texts {
                prop_assert_eq!(r.unique_string(), Ok(Some(text)));
            }
        }
    }
}
