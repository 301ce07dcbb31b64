//! Cursors over wire bytes: everything is little-endian, offsets count from the message's header.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;

/// Why bytes could not be read as what they should be. The sender's fault, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A field with a value that the specification does not allow.
    #[error("invalid {0}")]
    Invalid(&'static str),
    /// A buffer that lies outside its message.
    #[error("{0} points outside the message")]
    OutOfBounds(&'static str),
    /// A StructureSize field that is not the specification's.
    #[error("structure size {found} where {expected} was due")]
    StructureSize {
        /// What the specification asks for.
        expected: u16,
        /// What was sent.
        found: u16,
    },
    /// The bytes end too early.
    #[error("the message is truncated")]
    Truncated,
}

/// A globally unique identifier in wire order ([MS-DTYP] 2.3.4).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let b = &self.0;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:02x}{:02x}-",
            u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            u16::from_le_bytes([b[4], b[5]]),
            u16::from_le_bytes([b[6], b[7]]),
            b[8],
            b[9]
        )?;
        b[10..].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Guid {
    type Err = DecodeError;

    /// Reads what [`Display`](fmt::Display) writes, in either case, with or without braces.
    fn from_str(text: &str) -> Result<Self, DecodeError> {
        // Where each byte's two digits stand: the first three groups are numbers, the rest are bytes.
        const DIGITS: [usize; 16] = [6, 4, 2, 0, 11, 9, 16, 14, 19, 21, 24, 26, 28, 30, 32, 34];
        let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text).as_bytes();
        let digit = |at: usize| inner.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if inner.len() != 36 || [8, 13, 18, 23].iter().any(|at| inner.get(*at) != Some(&b'-')) {
            return Err(DecodeError::Invalid("GUID"));
        }
        let mut guid = [0; 16];
        for (byte, at) in guid.iter_mut().zip(DIGITS) {
            let (Some(high), Some(low)) = (digit(at), digit(at + 1)) else {
                return Err(DecodeError::Invalid("GUID"));
            };
            *byte = (high << 4 | low) as u8;
        }
        Ok(Self(guid))
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads fields in order, and buffers by offset without copying them.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    message: &'a Bytes,
    position: usize,
}

impl<'a> Reader<'a> {
    /// Starts `position` bytes into `message`, where offset 0 is the message's first byte.
    pub const fn new(message: &'a Bytes, position: usize) -> Self {
        Self { message, position }
    }

    /// The next field's offset.
    pub const fn position(&self) -> usize {
        self.position
    }

    /// How many bytes follow.
    pub const fn remaining(&self) -> usize {
        self.message.len().saturating_sub(self.position)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let end = self.position.checked_add(N).ok_or(DecodeError::Truncated)?;
        let bytes = self.message.get(self.position..end).ok_or(DecodeError::Truncated)?;
        self.position = end;
        bytes.try_into().map_err(|_| DecodeError::Truncated)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// The next 16-bit number.
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// The next 32-bit number.
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// The next 64-bit number.
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// The next GUID.
    pub fn guid(&mut self) -> Result<Guid, DecodeError> {
        Ok(Guid(self.array()?))
    }

    /// Passes over `count` bytes.
    pub fn skip(&mut self, count: usize) -> Result<(), DecodeError> {
        if count > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        self.position += count;
        Ok(())
    }

    /// The next `count` bytes, shared with the message.
    pub fn bytes(&mut self, count: usize) -> Result<Bytes, DecodeError> {
        if count > self.remaining() {
            return Err(DecodeError::Truncated);
        }
        let bytes = self.message.slice(self.position..self.position + count);
        self.position += count;
        Ok(bytes)
    }

    /// All that follows, shared with the message.
    pub fn rest(&mut self) -> Bytes {
        let bytes = self.message.slice(self.position.min(self.message.len())..);
        self.position = self.message.len().max(self.position);
        bytes
    }

    /// The next `length` bytes as UTF-16 text.
    pub fn utf16(&mut self, length: usize) -> Result<String, DecodeError> {
        utf16_to_string(&self.bytes(length)?)
    }

    /// Passes over the padding up to a multiple of `alignment`; the last of it may be missing.
    pub fn align(&mut self, alignment: usize) {
        let padding = self.position.next_multiple_of(alignment) - self.position;
        self.position += padding.min(self.remaining());
    }

    /// The buffer at `offset` from the message's start, shared with the message.
    ///
    /// An empty buffer may have any offset: servers put 0 or the end there.
    pub fn at(&self, offset: usize, length: usize, what: &'static str) -> Result<Bytes, DecodeError> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        match offset.checked_add(length) {
            Some(end) if end <= self.message.len() => Ok(self.message.slice(offset..end)),
            _ => Err(DecodeError::OutOfBounds(what)),
        }
    }

    /// The StructureSize field that opens every body.
    pub fn structure_size(&mut self, expected: u16) -> Result<(), DecodeError> {
        match self.u16()? {
            found if found == expected => Ok(()),
            found => Err(DecodeError::StructureSize { expected, found }),
        }
    }
}

/// Writes fields in order; offsets count from where this writer began.
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `out`; offset 0 is `out`'s present end.
    pub const fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// The next field's offset.
    pub const fn position(&self) -> usize {
        self.out.len() - self.start
    }

    /// Appends a byte.
    pub fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    /// Appends a 16-bit number.
    pub fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a 32-bit number.
    pub fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends a 64-bit number.
    pub fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, value: &[u8]) {
        self.out.extend_from_slice(value);
    }

    /// Appends `count` zeros.
    pub fn zeros(&mut self, count: usize) {
        self.out.resize(self.out.len() + count, 0);
    }

    /// Pads with zeros until the position is a multiple of `alignment`.
    pub fn align(&mut self, alignment: usize) {
        self.zeros(self.position().next_multiple_of(alignment) - self.position());
    }

    /// Overwrites a 16-bit number written before.
    pub fn patch_u16(&mut self, position: usize, value: u16) {
        self.patch(position, &value.to_le_bytes());
    }

    /// Overwrites a 32-bit number written before.
    pub fn patch_u32(&mut self, position: usize, value: u32) {
        self.patch(position, &value.to_le_bytes());
    }

    fn patch(&mut self, position: usize, value: &[u8]) {
        let at = self.start + position;
        if let Some(slot) = self.out.get_mut(at..at + value.len()) {
            slot.copy_from_slice(value);
        }
    }

    /// Appends a string as UTF-16 without a terminator.
    pub fn utf16(&mut self, value: &str) {
        for unit in value.encode_utf16() {
            self.u16(unit);
        }
    }
}

/// A length as a 16-bit wire field.
///
/// Senders keep names and tokens below 64 KiB; what does not fit is cut here and refused by the other side.
pub(crate) fn len16(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// A length as a 32-bit wire field.
pub(crate) fn len32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The bytes that `value` takes as UTF-16.
pub(crate) fn utf16_len(value: &str) -> usize {
    value.encode_utf16().count() * 2
}

/// A UTF-16 buffer as a string. A lone surrogate becomes U+FFFD: such a name can be shown but not opened.
pub fn utf16_to_string(bytes: &[u8]) -> Result<String, DecodeError> {
    if !bytes.len().is_multiple_of(2) {
        return Err(DecodeError::Invalid("UTF-16 length"));
    }
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Ok(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
}

/// A structure that can be written to and read from the wire.
pub trait Wire: Sized {
    /// Appends this structure.
    fn encode(&self, w: &mut Writer<'_>);
    /// Reads one, whatever the bytes are.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_outside_the_message_are_errors() {
        let message = Bytes::from_static(&[1, 2, 3]);
        let mut reader = Reader::new(&message, 0);
        assert_eq!(reader.at(2, 2, "x"), Err(DecodeError::OutOfBounds("x")));
        assert_eq!(reader.at(usize::MAX, 2, "x"), Err(DecodeError::OutOfBounds("x")));
        assert_eq!(reader.at(usize::MAX, 0, "x"), Ok(Bytes::new()));
        assert_eq!(reader.u32(), Err(DecodeError::Truncated));
        assert_eq!(reader.u16(), Ok(0x0201));
        assert_eq!(Reader::new(&message, 9).u8(), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_guid_reads_as_it_is_written() {
        let guid = Guid([
            0xC8, 0x4F, 0x32, 0x4B, 0x70, 0x16, 0xD3, 0x01, 0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88,
        ]);
        assert_eq!(guid.to_string(), "4b324fc8-1670-01d3-1278-5a47bf6ee188");
        assert_eq!("4B324FC8-1670-01d3-1278-5a47bf6ee188".parse(), Ok(guid));
        assert_eq!("{4b324fc8-1670-01d3-1278-5a47bf6ee188}".parse(), Ok(guid));
        for text in ["", "4b324fc8-1670-01d3-1278-5a47bf6ee18", "4b324fc8-1670-01d3-1278-5a47bf6ee1g8", "ää"]
        {
            assert!(text.parse::<Guid>().is_err(), "{text}");
        }
    }

    #[test]
    fn lone_surrogates_do_not_fail() {
        assert_eq!(utf16_to_string(&[0x00, 0xD8, 0x41, 0x00]).unwrap(), "\u{FFFD}A");
        assert!(utf16_to_string(&[0x41]).is_err());
    }
}
