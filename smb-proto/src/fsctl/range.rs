//! Ranges of a file: FSCTL_SET_ZERO_DATA, FSCTL_QUERY_ALLOCATED_RANGES and FSCTL_FILE_LEVEL_TRIM
//! ([MS-FSCC] 2.3).

use bytes::Bytes;

use crate::wire::{DecodeError, Reader, Wire, Writer, len32, record};

record! {
    /// FILE_ZERO_DATA_INFORMATION ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct ZeroRange {
        /// The first byte.
        pub offset: u64,
        /// The first byte that stays.
        pub beyond: u64,
    }
}

record! {
    /// FILE_ALLOCATED_RANGE_BUFFER: where to look, and what was found ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct AllocatedRange {
        /// The first byte.
        pub offset: u64,
        /// Bytes.
        pub length: u64,
    }
}

/// Writes a FSCTL_QUERY_ALLOCATED_RANGES reply.
pub fn encode_ranges(ranges: &[AllocatedRange]) -> Vec<u8> {
    let mut out = Vec::new();
    let w = &mut Writer::new(&mut out);
    ranges.iter().for_each(|range| range.encode(w));
    out
}

/// Reads a FSCTL_QUERY_ALLOCATED_RANGES reply. Whether they are in order and within the question is not looked at.
pub fn decode_ranges(data: &Bytes) -> Result<Vec<AllocatedRange>, DecodeError> {
    let r = &mut Reader::new(data, 0);
    let mut ranges = Vec::with_capacity(data.len() / 16);
    while r.remaining() > 0 {
        ranges.push(AllocatedRange::decode(r)?);
    }
    Ok(ranges)
}

/// FILE_LEVEL_TRIM ([MS-FSCC] 2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrimRequest {
    /// What need not be kept.
    pub ranges: Vec<AllocatedRange>,
}

impl Wire for TrimRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(0);
        w.u32(len32(self.ranges.len()));
        self.ranges.iter().for_each(|range| range.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u32()?;
        let count = r.u32()? as usize;
        if count > r.remaining() / 16 {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { ranges: (0..count).map(|_| AllocatedRange::decode(r)).collect::<Result<_, _>>()? })
    }
}

record! {
    /// FILE_LEVEL_TRIM_OUTPUT ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct TrimResponse {
        /// Ranges that were trimmed.
        pub processed: u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, through, vector};
    use proptest::prelude::*;

    #[test]
    fn ranges_survive_a_round_trip() {
        let range = AllocatedRange { offset: 1 << 40, length: 2 };
        vector(&ZeroRange { offset: 1, beyond: 2 }, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
        through(&vec![range, range], |list| Bytes::from(encode_ranges(list)), decode_ranges);
        both_ways(&TrimRequest { ranges: vec![range] });
        both_ways(&TrimResponse { processed: 1 });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..4u8, 0..60)) {
            let data = Bytes::from(data);
            bear::<TrimRequest>(&data);
            let _ = decode_ranges(&data);
        }
    }
}
