//! Structures whose fields simply follow each other, and the plain values that they are made of.

use super::buf::{DecodeError, Guid, Reader, Wire, Writer};
use super::create::AccessMask;
use crate::fscc::{FileAttributes, FileTime};
use crate::status::NtStatus;

macro_rules! number {
    ($($number:ident)*) => {
        $(impl Wire for $number {
            fn encode(&self, w: &mut Writer<'_>) {
                w.$number(*self);
            }

            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.$number()
            }
        })*
    };
}

number!(u8 u16 u32 u64);

/// BOOLEAN: a byte, anything but zero is true ([MS-DTYP] 2.2.4).
impl Wire for bool {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(u8::from(*self));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(r.u8()? != 0)
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(self);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.array()
    }
}

impl Wire for Guid {
    fn encode(&self, w: &mut Writer<'_>) {
        w.bytes(&self.0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.guid()
    }
}

impl Wire for FileTime {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.u64()?))
    }
}

impl Wire for NtStatus {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(r.u32()?))
    }
}

/// Puts sets of flags on the wire as the number that they are; bits without a name survive.
macro_rules! flags_on_wire {
    ($($flags:ty: $number:ident),* $(,)?) => {
        $(impl $crate::wire::Wire for $flags {
            fn encode(&self, w: &mut $crate::wire::Writer<'_>) {
                w.$number(self.bits());
            }

            fn decode(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::DecodeError> {
                Ok(Self::from_bits_retain(r.$number()?))
            }
        })*
    };
}

flags_on_wire!(AccessMask: u32, FileAttributes: u32);

/// Declares a structure whose fields follow each other on the wire; `=> n` after a field stands for `n` reserved
/// bytes behind it.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* pub $field:ident: $kind:ty $(=> $reserved:literal)?,)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $kind,)*
        }

        impl $crate::wire::Wire for $name {
            fn encode(&self, w: &mut $crate::wire::Writer<'_>) {
                $(
                    $crate::wire::Wire::encode(&self.$field, w);
                    $(w.zeros($reserved);)?
                )*
            }

            fn decode(r: &mut $crate::wire::Reader<'_>) -> Result<Self, $crate::wire::DecodeError> {
                $(
                    let $field = $crate::wire::Wire::decode(r)?;
                    $(r.skip($reserved)?;)?
                )*
                Ok(Self { $($field),* })
            }
        }
    };
}

pub(crate) use {flags_on_wire, record};
