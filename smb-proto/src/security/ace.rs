//! Access control entries ([MS-DTYP] 2.4.4).

use bytes::Bytes;

use super::Sid;
use crate::wire::{AccessMask, DecodeError, Guid, Reader, Wire, Writer, flags_on_wire, len16};

/// An entry's type ([MS-DTYP] 2.4.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AceKind(pub u8);

impl AceKind {
    /// Grants.
    pub const ALLOW: Self = Self(0x00);
    /// Refuses.
    pub const DENY: Self = Self(0x01);
    /// Has access recorded.
    pub const AUDIT: Self = Self(0x02);
    /// Reserved.
    pub const ALARM: Self = Self(0x03);
    /// Grants a property, a set of them, or children of a kind.
    pub const ALLOW_OBJECT: Self = Self(0x05);
    /// Refuses such.
    pub const DENY_OBJECT: Self = Self(0x06);
    /// Has such access recorded.
    pub const AUDIT_OBJECT: Self = Self(0x07);
    /// Reserved.
    pub const ALARM_OBJECT: Self = Self(0x08);
    /// Grants under a condition.
    pub const ALLOW_CALLBACK: Self = Self(0x09);
    /// Refuses under a condition.
    pub const DENY_CALLBACK: Self = Self(0x0A);
    /// Grants a property under a condition.
    pub const ALLOW_CALLBACK_OBJECT: Self = Self(0x0B);
    /// Refuses a property under a condition.
    pub const DENY_CALLBACK_OBJECT: Self = Self(0x0C);
    /// Has access recorded under a condition.
    pub const AUDIT_CALLBACK: Self = Self(0x0D);
    /// Reserved.
    pub const ALARM_CALLBACK: Self = Self(0x0E);
    /// Has access to a property recorded under a condition.
    pub const AUDIT_CALLBACK_OBJECT: Self = Self(0x0F);
    /// Reserved.
    pub const ALARM_CALLBACK_OBJECT: Self = Self(0x10);
    /// The integrity level; its mask says what those below it may not do.
    pub const MANDATORY_LABEL: Self = Self(0x11);
    /// An attribute that conditions can ask for.
    pub const RESOURCE_ATTRIBUTE: Self = Self(0x12);
    /// Names a central access policy.
    pub const SCOPED_POLICY: Self = Self(0x13);

    const fn shape(self) -> Shape {
        match self.0 {
            0x00..=0x03 | 0x09 | 0x0A | 0x0D | 0x0E | 0x11..=0x13 => Shape::Plain,
            0x05..=0x08 | 0x0B | 0x0C | 0x0F | 0x10 => Shape::Object,
            _ => Shape::Unknown,
        }
    }
}

enum Shape {
    Plain,
    Object,
    Unknown,
}

bitflags::bitflags! {
    /// How an entry is inherited and audited ([MS-DTYP] 2.4.4.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AceFlags: u8 {
        /// Files below inherit it.
        const OBJECT_INHERIT = 0x01;
        /// Directories below inherit it.
        const CONTAINER_INHERIT = 0x02;
        /// Children inherit it, but their children do not.
        const NO_PROPAGATE_INHERIT = 0x04;
        /// It is for children only.
        const INHERIT_ONLY = 0x08;
        /// It came from above.
        const INHERITED = 0x10;
        /// It cannot be removed by what updates resource attributes.
        const CRITICAL = 0x20;
        /// Record access that was granted.
        const SUCCESSFUL_ACCESS = 0x40;
        /// Record access that was refused.
        const FAILED_ACCESS = 0x80;
    }
}

bitflags::bitflags! {
    /// Which GUIDs an object entry has ([MS-DTYP] 2.4.4.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct ObjectFlags: u32 {
        const TYPE = 0x1;
        const INHERITED_TYPE = 0x2;
        const _ = !0;
    }
}

flags_on_wire!(AceFlags: u8);

/// One access control entry ([MS-DTYP] 2.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// Grants, refuses, audits; [`Self::body`] must be of the form that this kind has.
    pub kind: AceKind,
    /// Inheritance and auditing.
    pub flags: AceFlags,
    /// Who and what.
    pub body: AceBody,
}

/// What stands behind an entry's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AceBody {
    /// [MS-DTYP] 2.4.4.2, 2.4.4.4, 2.4.4.6, 2.4.4.7, 2.4.4.10, 2.4.4.13, 2.4.4.15, 2.4.4.16.
    Plain {
        /// What is granted, refused or audited.
        mask: AccessMask,
        /// To whom.
        sid: Sid,
        /// A condition or an attribute, else empty.
        data: Bytes,
    },
    /// [MS-DTYP] 2.4.4.3, 2.4.4.5, 2.4.4.8, 2.4.4.9, 2.4.4.11, 2.4.4.12, 2.4.4.14.
    Object {
        /// What is granted, refused or audited.
        mask: AccessMask,
        /// Only this property, set of properties or kind of child.
        object_type: Option<Guid>,
        /// Only this kind of child inherits it.
        inherited_type: Option<Guid>,
        /// To whom.
        sid: Sid,
        /// A condition, else empty.
        data: Bytes,
    },
    /// An entry of a kind that this crate does not know, as it is.
    Raw(Bytes),
}

impl Ace {
    /// An entry of the plain form.
    pub const fn plain(kind: AceKind, flags: AceFlags, mask: AccessMask, sid: Sid) -> Self {
        Self { kind, flags, body: AceBody::Plain { mask, sid, data: Bytes::new() } }
    }

    /// Grants `mask` to `sid`.
    pub const fn allow(sid: Sid, mask: AccessMask, flags: AceFlags) -> Self {
        Self::plain(AceKind::ALLOW, flags, mask, sid)
    }

    /// Refuses `mask` to `sid`.
    pub const fn deny(sid: Sid, mask: AccessMask, flags: AceFlags) -> Self {
        Self::plain(AceKind::DENY, flags, mask, sid)
    }

    /// The entry's subject, where it has one.
    pub const fn sid(&self) -> Option<Sid> {
        match &self.body {
            AceBody::Plain { sid, .. } | AceBody::Object { sid, .. } => Some(*sid),
            AceBody::Raw(_) => None,
        }
    }

    /// The entry's access mask, where it has one.
    pub const fn mask(&self) -> Option<AccessMask> {
        match &self.body {
            AceBody::Plain { mask, .. } | AceBody::Object { mask, .. } => Some(*mask),
            AceBody::Raw(_) => None,
        }
    }
}

impl Wire for Ace {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u8(self.kind.0);
        self.flags.encode(w);
        let size_at = w.position();
        w.u16(0);
        match &self.body {
            AceBody::Plain { mask, sid, data } => {
                mask.encode(w);
                sid.encode(w);
                w.bytes(data);
            }
            AceBody::Object { mask, object_type, inherited_type, sid, data } => {
                mask.encode(w);
                let mut present = ObjectFlags::empty();
                present.set(ObjectFlags::TYPE, object_type.is_some());
                present.set(ObjectFlags::INHERITED_TYPE, inherited_type.is_some());
                w.u32(present.bits());
                object_type.iter().chain(inherited_type).for_each(|guid| guid.encode(w));
                sid.encode(w);
                w.bytes(data);
            }
            AceBody::Raw(data) => w.bytes(data),
        }
        w.patch_u16(size_at, len16(w.position() - start));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = AceKind(r.u8()?);
        let flags = AceFlags::decode(r)?;
        let size = usize::from(r.u16()?);
        let body = r.bytes(size.checked_sub(4).ok_or(DecodeError::Invalid("ACE size"))?)?;
        let inner = &mut Reader::new(&body, 0);
        let body = match kind.shape() {
            Shape::Plain => {
                AceBody::Plain { mask: Wire::decode(inner)?, sid: Sid::decode(inner)?, data: inner.rest() }
            }
            Shape::Object => {
                let mask = Wire::decode(inner)?;
                let present = ObjectFlags::from_bits_retain(inner.u32()?);
                let mut guid = |flag| present.contains(flag).then(|| inner.guid()).transpose();
                let object_type = guid(ObjectFlags::TYPE)?;
                let inherited_type = guid(ObjectFlags::INHERITED_TYPE)?;
                let sid = Sid::decode(inner)?;
                AceBody::Object { mask, object_type, inherited_type, sid, data: inner.rest() }
            }
            Shape::Unknown => AceBody::Raw(body),
        };
        Ok(Self { kind, flags, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use proptest::prelude::*;

    #[test]
    fn the_specifications_entry() {
        // From the descriptor of [MS-DTYP] 2.5.1.4.
        let ace = Ace::allow(
            Sid::LOCAL_SYSTEM,
            AccessMask::GENERIC_ALL,
            AceFlags::OBJECT_INHERIT | AceFlags::CONTAINER_INHERIT,
        );
        vector(&ace, &[0, 3, 20, 0, 0, 0, 0, 0x10, 1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]);
        assert_eq!((ace.sid(), ace.mask()), (Some(Sid::LOCAL_SYSTEM), Some(AccessMask::GENERIC_ALL)));
    }

    #[test]
    fn each_form_survives_a_round_trip() {
        let data = Bytes::from_static(b"artx");
        let (mask, sid) = (AccessMask::READ_DATA, Sid::EVERYONE);
        for kind in 0..=0x16 {
            let kind = AceKind(kind);
            let bodies = match kind.shape() {
                Shape::Plain => vec![AceBody::Plain { mask, sid, data: data.clone() }],
                Shape::Object => [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))]
                    .map(|(object, inherited)| AceBody::Object {
                        mask,
                        object_type: object.map(|byte| Guid([byte; 16])),
                        inherited_type: inherited.map(|byte| Guid([byte; 16])),
                        sid,
                        data: data.clone(),
                    })
                    .to_vec(),
                Shape::Unknown => vec![AceBody::Raw(data.clone()), AceBody::Raw(Bytes::new())],
            };
            for body in bodies {
                both_ways(&Ace { kind, flags: AceFlags::FAILED_ACCESS, body });
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(kind in 0..0x18u8, tail: Vec<u8>) {
            let mut data = vec![kind, 0];
            data.extend((tail.len() as u16 + 4).to_le_bytes());
            data.extend(tail);
            bear::<Ace>(&Bytes::from(data));
        }
    }
}
