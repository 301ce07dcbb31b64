//! What every codec's tests ask: there and back, and no prefix that a decoder cannot bear.

use std::fmt::Debug;

use bytes::Bytes;

use super::{DecodeError, Wire};
use crate::fscc::{from_bytes, to_bytes};

/// Encodes, decodes and compares; then decodes each proper prefix, which may be an error or any value, but must
/// come back the same once it was read.
pub(crate) fn both_ways<T: Wire + PartialEq + Debug>(value: &T) {
    through(value, to_bytes, from_bytes);
}

/// The same for what has functions instead of [`Wire`].
pub(crate) fn through<T: PartialEq + Debug>(
    value: &T,
    encode: impl Fn(&T) -> Bytes,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
) {
    let bytes = encode(value);
    assert_eq!(decode(&bytes).as_ref(), Ok(value), "{bytes:02x?}");
    for length in 0..bytes.len() {
        if let Ok(shorter) = decode(&bytes.slice(..length)) {
            assert_eq!(decode(&encode(&shorter)), Ok(shorter), "{length} bytes of {bytes:02x?}");
        }
    }
}

/// The value is written as these bytes, and they read as the value.
pub(crate) fn vector<T: Wire + PartialEq + Debug>(value: &T, bytes: &[u8]) {
    assert_eq!(&to_bytes(value)[..], bytes, "{value:?}");
    assert_eq!(from_bytes::<T>(&Bytes::copy_from_slice(bytes)).as_ref(), Ok(value));
    both_ways(value);
}

/// Any bytes give a value or an error, and a value survives a round trip.
pub(crate) fn bear<T: Wire + PartialEq + Debug>(data: &Bytes) {
    if let Ok(value) = from_bytes::<T>(data) {
        assert_eq!(from_bytes::<T>(&to_bytes(&value)), Ok(value));
    }
}
