//! Sharing of extents: FSCTL_DUPLICATE_EXTENTS_TO_FILE and its successor ([MS-FSCC] 2.3).

use crate::wire::{DecodeError, FileId, Reader, Wire, Writer, record};

record! {
    /// SMB2_DUPLICATE_EXTENTS_DATA ([MS-FSCC] 2.3).
    #[derive(Copy)]
    pub struct DuplicateExtents {
        /// The source.
        pub source: FileId,
        /// Where the range begins in the source.
        pub source_offset: u64,
        /// Where it shall begin in the target.
        pub target_offset: u64,
        /// Bytes, a multiple of the cluster's.
        pub length: u64,
    }
}

/// SMB2_DUPLICATE_EXTENTS_DATA_EX ([MS-FSCC] 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuplicateExtentsEx {
    /// What to share.
    pub extents: DuplicateExtents,
    /// Bit 0: all of it or nothing.
    pub flags: u32,
}

impl Wire for DuplicateExtentsEx {
    fn encode(&self, w: &mut Writer<'_>) {
        // The specification's figure; the structure is eight bytes longer.
        w.u64(0x30);
        self.extents.encode(w);
        w.u32(self.flags);
        w.u32(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.u64()?;
        let extents = DuplicateExtents::decode(r)?;
        let flags = r.u32()?;
        r.u32()?;
        Ok(Self { extents, flags })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::to_bytes;
    use crate::wire::check::both_ways;

    #[test]
    fn extents_survive_a_round_trip() {
        let source = FileId { persistent: 1, volatile: 2 };
        let extents = DuplicateExtents { source, source_offset: 3, target_offset: 4, length: 5 };
        both_ways(&extents);
        both_ways(&DuplicateExtentsEx { extents, flags: 1 });
        assert_eq!((to_bytes(&extents).len(), to_bytes(&DuplicateExtentsEx::default()).len()), (40, 56));
    }
}
