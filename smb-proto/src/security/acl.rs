//! Access control lists ([MS-DTYP] 2.4.5).

use super::{Ace, AceBody};
use crate::wire::{DecodeError, Reader, Wire, Writer, len16};

/// An access control list: its entries are asked in order ([MS-DTYP] 2.4.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acl {
    /// 2, or 4 where there are object entries.
    pub revision: u8,
    /// The entries; no entries grant nothing.
    pub aces: Vec<Ace>,
}

impl Acl {
    /// The revision of a list without object entries.
    pub const REVISION: u8 = 2;
    /// The revision of a list with object entries.
    pub const REVISION_DS: u8 = 4;

    /// The list of these entries, with the revision that they need.
    pub fn new(aces: Vec<Ace>) -> Self {
        let objects = aces.iter().any(|ace| matches!(ace.body, AceBody::Object { .. }));
        Self { revision: if objects { Self::REVISION_DS } else { Self::REVISION }, aces }
    }
}

impl Wire for Acl {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u8(self.revision);
        w.u8(0);
        let size_at = w.position();
        w.u16(0);
        w.u16(len16(self.aces.len()));
        w.u16(0);
        self.aces.iter().for_each(|ace| ace.encode(w));
        w.patch_u16(size_at, len16(w.position() - start));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let revision = r.u8()?;
        r.u8()?;
        let size = usize::from(r.u16()?);
        let count = usize::from(r.u16()?);
        r.u16()?;
        let body = r.bytes(size.checked_sub(8).ok_or(DecodeError::Invalid("ACL size"))?)?;
        // Each entry has a header of four bytes.
        if count * 4 > body.len() {
            return Err(DecodeError::Truncated);
        }
        let inner = &mut Reader::new(&body, 0);
        let aces = (0..count).map(|_| Ace::decode(inner)).collect::<Result<_, _>>()?;
        Ok(Self { revision, aces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{AceFlags, AceKind, Sid};
    use crate::wire::AccessMask;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn lists_survive_a_round_trip() {
        vector(&Acl::new(Vec::new()), &[2, 0, 8, 0, 0, 0, 0, 0]);
        let allow = Ace::allow(Sid::EVERYONE, AccessMask::READ_DATA, AceFlags::INHERITED);
        let raw = Ace { kind: AceKind(0x40), flags: AceFlags::empty(), body: AceBody::Raw(Bytes::new()) };
        both_ways(&Acl::new(vec![allow, raw]));
    }

    #[test]
    fn the_list_cannot_claim_what_lies_behind_it() {
        for (bytes, error) in [
            (&[2, 0, 7, 0, 0, 0, 0, 0][..], DecodeError::Invalid("ACL size")),
            (&[2, 0, 8, 0, 1, 0, 0, 0, 0x40, 0, 4, 0], DecodeError::Truncated),
            (&[2, 0, 12, 0, 1, 0, 0, 0, 0x40, 0, 8, 0, 1, 2, 3, 4], DecodeError::Truncated),
            (&[2, 0, 12, 0, 1, 0, 0, 0, 0x40, 0, 3, 0], DecodeError::Invalid("ACE size")),
        ] {
            let bytes = Bytes::copy_from_slice(bytes);
            assert_eq!(Acl::decode(&mut Reader::new(&bytes, 0)), Err(error));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data: Vec<u8>) {
            bear::<Acl>(&Bytes::from(data));
        }
    }
}
