//! Extended attributes ([MS-FSCC] 2.4.16, 2.4.16.1).

use bytes::Bytes;

use super::chain::{decode_chain, encode_chain};
use crate::wire::{DecodeError, Reader, Writer, len16};

/// Names under which the Windows Subsystem for Linux keeps what a Unix file has.
pub mod lx_ea {
    /// The owner: 32 bits.
    pub const UID: &[u8] = b"$LXUID";
    /// The group: 32 bits.
    pub const GID: &[u8] = b"$LXGID";
    /// Type and permissions: 32 bits.
    pub const MODE: &[u8] = b"$LXMOD";
    /// A device's major and minor number: 32 bits each.
    pub const DEVICE: &[u8] = b"$LXDEV";
}

/// One extended attribute: `FILE_FULL_EA_INFORMATION` ([MS-FSCC] 2.4.16).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtendedAttribute {
    /// 0x80: who does not know this attribute cannot understand the file.
    pub flags: u8,
    /// 1 to 255 bytes of an 8-bit character set; servers compare without case.
    pub name: Bytes,
    /// At most 65535 bytes; none removes the attribute.
    pub value: Bytes,
}

impl ExtendedAttribute {
    /// The flag of an attribute without which the file cannot be understood.
    pub const NEED_EA: u8 = 0x80;
    const FIXED: usize = 9;

    fn encode(&self, w: &mut Writer<'_>) {
        // What is longer than its count is cut: the other side refuses a list that it cannot walk.
        let name = self.name.get(..255).unwrap_or(&self.name);
        let value = self.value.get(..0xFFFF).unwrap_or(&self.value);
        w.u8(self.flags);
        w.u8(name.len() as u8);
        w.u16(len16(value.len()));
        w.bytes(name);
        w.u8(0);
        w.bytes(value);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = r.u8()?;
        let name_length = usize::from(r.u8()?);
        let value_length = usize::from(r.u16()?);
        let name = r.bytes(name_length)?;
        r.u8()?;
        Ok(Self { flags, name, value: r.bytes(value_length)? })
    }
}

/// Writes a list for a set, for an answer, or for the create context `ExtA`.
pub fn encode_eas(list: &[ExtendedAttribute]) -> Vec<u8> {
    encode_chain(list, 4, ExtendedAttribute::encode)
}

/// Reads such a list.
pub fn decode_eas(data: &Bytes) -> Result<Vec<ExtendedAttribute>, DecodeError> {
    decode_chain(data, ExtendedAttribute::FIXED, ExtendedAttribute::decode)
}

/// Writes the names that a query asks for: `FILE_GET_EA_INFORMATION` ([MS-FSCC] 2.4.16.1).
pub fn encode_ea_names(names: &[Bytes]) -> Vec<u8> {
    encode_chain(names, 4, |name, w| {
        let name = name.get(..255).unwrap_or(name);
        w.u8(name.len() as u8);
        w.bytes(name);
        w.u8(0);
    })
}

/// Reads such a list.
pub fn decode_ea_names(data: &Bytes) -> Result<Vec<Bytes>, DecodeError> {
    decode_chain(data, 6, |r| {
        let length = usize::from(r.u8()?);
        let name = r.bytes(length)?;
        r.u8()?;
        Ok(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::through;
    use proptest::prelude::*;

    #[test]
    fn an_attribute_is_where_the_specification_puts_it() {
        let ea = |name: &'static [u8], value: &'static [u8]| ExtendedAttribute {
            flags: 0x80,
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        };
        assert_eq!(
            encode_eas(&[ea(b"A", b"xy"), ea(b"BC", b"")]),
            [12, 0, 0, 0, 0x80, 1, 2, 0, b'A', 0, b'x', b'y', 0, 0, 0, 0, 0x80, 2, 0, 0, b'B', b'C', 0]
        );
        assert_eq!(
            encode_ea_names(&[Bytes::from_static(b"A"), Bytes::from_static(b"B")]),
            [8, 0, 0, 0, 1, b'A', 0, 0, 0, 0, 0, 0, 1, b'B', 0]
        );
    }

    #[test]
    fn what_is_too_long_is_cut_not_misread() {
        let long =
            ExtendedAttribute { flags: 0, name: vec![b'n'; 300].into(), value: vec![1; 70_000].into() };
        let read = decode_eas(&Bytes::from(encode_eas(&[long]))).unwrap();
        assert_eq!((read[0].name.len(), read[0].value.len()), (255, 65535));
    }

    proptest! {
        #[test]
        fn lists_survive_a_round_trip(list: Vec<(u8, [u8; 3], Vec<u8>)>) {
            let names: Vec<_> = list.iter().map(|(_, name, _)| Bytes::copy_from_slice(name)).collect();
            let eas: Vec<_> = list
                .into_iter()
                .take(5)
                .map(|(flags, name, value)| ExtendedAttribute {
                    flags,
                    name: Bytes::copy_from_slice(&name),
                    value: value.into(),
                })
                .collect();
            through(&eas, |list| Bytes::from(encode_eas(list)), decode_eas);
            prop_assert_eq!(decode_ea_names(&Bytes::from(encode_ea_names(&names))), Ok(names));
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..20u8, 0..60)) {
            let _ = decode_eas(&Bytes::from(data.clone()));
            let _ = decode_ea_names(&Bytes::from(data));
        }
    }
}
