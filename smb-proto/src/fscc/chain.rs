//! Lists whose elements say how far away the next one is ([MS-FSCC] 2.4, NextEntryOffset).

use bytes::Bytes;

use crate::wire::{DecodeError, Reader, Writer, len32};

/// Writes a list whose elements begin with the distance to the next, aligned to `alignment`.
pub(crate) fn encode_chain<T>(
    items: &[T],
    alignment: usize,
    encode: impl Fn(&T, &mut Writer<'_>),
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    for (i, item) in items.iter().enumerate() {
        let start = w.position();
        w.u32(0);
        encode(item, &mut w);
        if i + 1 < items.len() {
            w.align(alignment);
            w.patch_u32(start, len32(w.position() - start));
        }
    }
    out
}

/// Reads such a list. Each element must take at least `fixed` bytes and sees only its own, so the loop ends and the
/// result cannot be larger than the buffer pays for.
pub(crate) fn decode_chain<T>(
    data: &Bytes,
    fixed: usize,
    decode: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let mut items = Vec::new();
    let mut rest = data.clone();
    while !rest.is_empty() {
        let item = match Reader::new(&rest, 0).u32()? as usize {
            0 => std::mem::take(&mut rest),
            next if next >= fixed && next <= rest.len() => rest.split_to(next),
            _ => return Err(DecodeError::OutOfBounds("next entry")),
        };
        items.push(decode(&mut Reader::new(&item, 4))?);
    }
    Ok(items)
}
