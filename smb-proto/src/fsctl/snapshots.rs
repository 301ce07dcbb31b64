//! Earlier states of a file: FSCTL_SRV_ENUMERATE_SNAPSHOTS ([MS-SMB2] 2.2.32.2).

use crate::wire::{DecodeError, Reader, Wire, Writer, len32, utf16_len};

/// SRV_SNAPSHOT_ARRAY ([MS-SMB2] 2.2.32.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotList {
    /// How many there are.
    pub total: u32,
    /// Bytes that all names take. More than what is here: ask again with as much and 12 more.
    pub needed: u32,
    /// `@GMT-YYYY.MM.DD-HH.MM.SS`, as many as fitted.
    pub names: Vec<String>,
}

impl SnapshotList {
    /// The list of these names, whole.
    pub fn of(names: Vec<String>) -> Self {
        let needed = names.iter().map(|name| utf16_len(name) + 2).sum::<usize>() + 2;
        Self { total: len32(names.len()), needed: len32(needed), names }
    }
}

impl Wire for SnapshotList {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.total);
        w.u32(len32(self.names.len()));
        w.u32(self.needed);
        for name in &self.names {
            w.utf16(name);
            w.u16(0);
        }
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let total = r.u32()?;
        let returned = r.u32()? as usize;
        let needed = r.u32()?;
        // Servers that return none have said different things of the array's size; what is there counts.
        let length = r.remaining() & !1;
        let text = r.utf16(length)?;
        let names: Vec<_> =
            text.split('\0').take(returned).take_while(|name| !name.is_empty()).map(str::to_owned).collect();
        if names.len() != returned {
            return Err(DecodeError::Truncated);
        }
        Ok(Self { total, needed, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn lists_survive_a_round_trip() {
        vector(
            &SnapshotList::of(vec!["@".into(), "G".into()]),
            &[2, 0, 0, 0, 2, 0, 0, 0, 10, 0, 0, 0, b'@', 0, 0, 0, b'G', 0, 0, 0, 0, 0],
        );
        both_ways(&SnapshotList { total: 7, needed: 400, names: Vec::new() });
        both_ways(&SnapshotList::of(vec!["@GMT-2026.01.02-03.04.05".into()]));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..3u8, 0..60)) {
            bear::<SnapshotList>(&Bytes::from(data));
        }
    }
}
