//! Security descriptors in self-relative form ([MS-DTYP] 2.4.6).

use super::{Acl, Sid};
use crate::wire::{DecodeError, Reader, Wire, Writer, flags_on_wire, len32};

bitflags::bitflags! {
    /// What is present, and how it came about ([MS-DTYP] 2.4.6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Control: u16 {
        /// The owner was a default.
        const OWNER_DEFAULTED = 0x0001;
        /// The group was a default.
        const GROUP_DEFAULTED = 0x0002;
        /// There is a DACL; where it is missing none the less, everybody may do everything.
        const DACL_PRESENT = 0x0004;
        /// The DACL was a default.
        const DACL_DEFAULTED = 0x0008;
        /// There is a SACL.
        const SACL_PRESENT = 0x0010;
        /// The SACL was a default.
        const SACL_DEFAULTED = 0x0020;
        /// The DACL comes from someone trusted.
        const DACL_TRUSTED = 0x0040;
        /// Server security.
        const SERVER_SECURITY = 0x0080;
        /// The DACL shall be inherited by what is below.
        const DACL_AUTO_INHERIT_REQUIRED = 0x0100;
        /// The SACL shall be inherited by what is below.
        const SACL_AUTO_INHERIT_REQUIRED = 0x0200;
        /// The DACL has been inherited.
        const DACL_AUTO_INHERITED = 0x0400;
        /// The SACL has been inherited.
        const SACL_AUTO_INHERITED = 0x0800;
        /// The DACL inherits nothing.
        const DACL_PROTECTED = 0x1000;
        /// The SACL inherits nothing.
        const SACL_PROTECTED = 0x2000;
        /// The resource manager's byte means something.
        const RM_CONTROL_VALID = 0x4000;
        /// Offsets, not pointers. On the wire always.
        const SELF_RELATIVE = 0x8000;
    }
}

bitflags::bitflags! {
    /// Which parts of a descriptor a query or a set is about ([MS-SMB2] 2.2.37, 2.2.39, AdditionalInformation).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SecurityInformation: u32 {
        /// The owner.
        const OWNER = 0x0000_0001;
        /// The primary group.
        const GROUP = 0x0000_0002;
        /// The DACL.
        const DACL = 0x0000_0004;
        /// The SACL; needs a privilege.
        const SACL = 0x0000_0008;
        /// The integrity label.
        const LABEL = 0x0000_0010;
        /// Resource attributes.
        const ATTRIBUTE = 0x0000_0020;
        /// The central access policy.
        const SCOPE = 0x0000_0040;
        /// All of it, for a backup.
        const BACKUP = 0x0001_0000;
        const _ = !0;
    }
}

flags_on_wire!(Control: u16, SecurityInformation: u32);

/// SECURITY_DESCRIPTOR ([MS-DTYP] 2.4.6). It begins where its writer or reader stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// Flags. What follows from the rest ([`Control::SELF_RELATIVE`], and `…_PRESENT` for a list that is there)
    /// is set when it is written.
    pub control: Control,
    /// The resource manager's byte, mostly 0.
    pub resource_manager: u8,
    /// Who owns the object.
    pub owner: Option<Sid>,
    /// The owner's group.
    pub group: Option<Sid>,
    /// What is recorded.
    pub sacl: Option<Acl>,
    /// Who may do what. `None` with [`Control::DACL_PRESENT`]: everybody everything.
    pub dacl: Option<Acl>,
}

impl SecurityDescriptor {
    /// Everybody may do everything: the DACL is there and null.
    pub const fn is_null_dacl(&self) -> bool {
        self.dacl.is_none() && self.control.contains(Control::DACL_PRESENT)
    }
}

impl Wire for SecurityDescriptor {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        let mut control = self.control | Control::SELF_RELATIVE;
        control.set(Control::DACL_PRESENT, self.dacl.is_some() || control.contains(Control::DACL_PRESENT));
        control.set(Control::SACL_PRESENT, self.sacl.is_some() || control.contains(Control::SACL_PRESENT));
        w.u8(1);
        w.u8(self.resource_manager);
        control.encode(w);
        let offsets = w.position();
        w.zeros(16);
        // Windows has the lists first, and in this order.
        if let Some(sacl) = &self.sacl {
            w.patch_u32(offsets + 8, len32(w.position() - start));
            sacl.encode(w);
            pad(w, start);
        }
        if let Some(dacl) = &self.dacl {
            w.patch_u32(offsets + 12, len32(w.position() - start));
            dacl.encode(w);
            pad(w, start);
        }
        if let Some(owner) = &self.owner {
            w.patch_u32(offsets, len32(w.position() - start));
            owner.encode(w);
        }
        if let Some(group) = &self.group {
            w.patch_u32(offsets + 4, len32(w.position() - start));
            group.encode(w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // A copy of the reader's view from here on, since the offsets count from here.
        let data = r.rest();
        let r = &mut Reader::new(&data, 0);
        if r.u8()? != 1 {
            return Err(DecodeError::Invalid("security descriptor revision"));
        }
        let resource_manager = r.u8()?;
        let mut control = Control::decode(r)? | Control::SELF_RELATIVE;
        let [owner, group, sacl, dacl] = [r.u32()?, r.u32()?, r.u32()?, r.u32()?];
        // A list that is not said to be present is none, wherever its offset points.
        let sacl = part(&data, if control.contains(Control::SACL_PRESENT) { sacl } else { 0 })?;
        let dacl = part(&data, if control.contains(Control::DACL_PRESENT) { dacl } else { 0 })?;
        control.set(Control::SACL_PRESENT, control.contains(Control::SACL_PRESENT) || sacl.is_some());
        Ok(Self {
            control,
            resource_manager,
            owner: part(&data, owner)?,
            group: part(&data, group)?,
            sacl,
            dacl,
        })
    }
}

/// Each part begins at a multiple of four from the descriptor's first byte.
fn pad(w: &mut Writer<'_>, start: usize) {
    let length = w.position() - start;
    w.zeros(length.next_multiple_of(4) - length);
}

fn part<T: Wire>(data: &bytes::Bytes, offset: u32) -> Result<Option<T>, DecodeError> {
    match offset {
        0 => Ok(None),
        1..20 => Err(DecodeError::OutOfBounds("part of a security descriptor")),
        offset if offset as usize >= data.len() => {
            Err(DecodeError::OutOfBounds("part of a security descriptor"))
        }
        offset => T::decode(&mut Reader::new(data, offset as usize)).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::{Ace, AceFlags};
    use crate::wire::AccessMask;
    use crate::wire::check::{bear, both_ways};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn every_set_of_parts_survives_a_round_trip() {
        let acl = Acl::new(vec![Ace::deny(Sid::ANONYMOUS, AccessMask::all(), AceFlags::empty())]);
        for parts in 0..16 {
            let has = |bit: u32| parts & bit != 0;
            let mut control = Control::SELF_RELATIVE | Control::DACL_PROTECTED;
            control.set(Control::SACL_PRESENT, has(4));
            control.set(Control::DACL_PRESENT, has(8));
            both_ways(&SecurityDescriptor {
                control,
                resource_manager: 7,
                owner: has(1).then_some(Sid::EVERYONE),
                group: has(2).then_some(Sid::LOCAL_SYSTEM),
                sacl: has(4).then(|| acl.clone()),
                dacl: has(8).then(|| acl.clone()),
            });
        }
    }

    #[test]
    fn a_null_list_is_not_an_absent_one() {
        let null = SecurityDescriptor {
            control: Control::SELF_RELATIVE | Control::DACL_PRESENT,
            ..SecurityDescriptor::default()
        };
        both_ways(&null);
        assert!(null.is_null_dacl());
        assert!(!SecurityDescriptor::default().is_null_dacl());
    }

    #[test]
    fn offsets_into_the_header_and_beyond_the_end_are_refused() {
        for offset in [1u8, 19, 20, 255] {
            let mut bytes = [0; 20];
            bytes[0] = 1;
            bytes[4] = offset;
            let bytes = Bytes::copy_from_slice(&bytes);
            let decoded = SecurityDescriptor::decode(&mut Reader::new(&bytes, 0));
            assert_eq!(decoded, Err(DecodeError::OutOfBounds("part of a security descriptor")), "{offset}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(
            control: u16, offsets in prop::array::uniform4(0..60u8), tail in prop::collection::vec(0..24u8, 0..60)
        ) {
            let mut data = vec![1, 0];
            data.extend(control.to_le_bytes());
            offsets.iter().for_each(|offset| data.extend([*offset, 0, 0, 0]));
            data.extend(tail);
            bear::<SecurityDescriptor>(&Bytes::from(data));
        }
    }
}
