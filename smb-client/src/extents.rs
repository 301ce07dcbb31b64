//! Extents: which ranges of a file take space, and how they come to take it, none, or another's.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{AllocationInfo, file_class, to_bytes};
use smb_proto::fsctl::{AllocatedRange, DuplicateExtents, SetSparse, ZeroRange, decode_ranges};
use smb_proto::wire::fsctl;

use crate::error::{Error, Result};
use crate::file::File;

/// Bytes of ranges to ask for at once: 4096 of them, one credit.
const BATCH_BYTES: u32 = 65_536;
/// Ranges of one call at most: a megabyte.
const MOST_RANGES: usize = 65_536;
/// Requests of one call at most: a server could otherwise tell of a file byte by byte.
const MOST_REQUESTS: u32 = 1024;
/// Below this, a server that still says that the answer is too long means something else.
const SMALLEST_QUESTION: u64 = 65_536;
/// Bytes to share with one request: servers count them in 32 bits, and in clusters.
const MOST_SHARED: u64 = 1 << 30;

impl File {
    /// The ranges of `length` bytes from `offset` on that are not known to be a hole, in order, with a gap between
    /// any two. At most 65,536: where there are as many, there may be more behind the last.
    ///
    /// # Errors
    /// The server keeps no account of ranges, refuses, or is lost.
    pub async fn allocated_ranges(&self, offset: u64, length: u64) -> Result<Vec<Range<u64>>> {
        let end = offset.saturating_add(length);
        let (mut at, mut step) = (offset, end - offset);
        let mut found: Vec<Range<u64>> = Vec::new();
        for _ in 0..MOST_REQUESTS {
            if at >= end || found.len() >= MOST_RANGES {
                found.truncate(MOST_RANGES);
                return Ok(found);
            }
            let asked = at..end.min(at.saturating_add(step));
            let question = AllocatedRange { offset: at, length: asked.end - at };
            let request = (self.id(), fsctl::QUERY_ALLOCATED_RANGES, to_bytes(&question));
            let (status, data) = match self.share().ioctl("querying ranges", request, BATCH_BYTES).await {
                Ok(answer) => answer,
                // Samba says nothing rather than a part.
                Err(Error::Status { status: NtStatus::BUFFER_TOO_SMALL, .. })
                    if asked.end - at > SMALLEST_QUESTION =>
                {
                    step = (asked.end - at) / 2;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let told = take_ranges(&mut found, &data, &asked)?;
            at = match (status == NtStatus::BUFFER_OVERFLOW, told) {
                (true, Some(told)) if told > at => told,
                (true, _) => return Err(Error::Malformed("a list of ranges without an end")),
                (false, _) => asked.end,
            };
            step = step.saturating_mul(2);
        }
        Err(Error::Malformed("a list of ranges without an end"))
    }

    /// Makes a range read as zeros; the file stays as long as it is. Where the file is sparse, the range takes no
    /// more space than it must.
    ///
    /// # Errors
    /// Another has locked a part, or the server cannot, refuses, or is lost.
    pub async fn zero_range(&self, range: Range<u64>) -> Result<()> {
        let zero = ZeroRange { offset: range.start, beyond: range.end.max(range.start) };
        self.control("zeroing", fsctl::SET_ZERO_DATA, to_bytes(&zero)).await
    }

    /// Says whether ranges of the file that are zero may take no space.
    ///
    /// # Errors
    /// The server has no sparse files, refuses, or is lost.
    pub async fn set_sparse(&self, sparse: bool) -> Result<()> {
        self.control("making sparse", fsctl::SET_SPARSE, to_bytes(&SetSparse(sparse))).await
    }

    /// Sets so many bytes aside for the file. Fewer than its size cut it; more leave its size as it is, and mostly
    /// last only until it is closed.
    ///
    /// # Errors
    /// The volume is full ([`NtStatus::DISK_FULL`]), or the server refuses or is lost.
    pub async fn allocate(&self, size: u64) -> Result<()> {
        let info = to_bytes(&AllocationInfo { allocation_size: size });
        self.share().set_info(self.id(), file_class::ALLOCATION, info).await
    }

    /// Makes `length` bytes from `offset` on share their place on disk with those of `source` from `source_offset`
    /// on, until either is written. All three are multiples of the volume's [`crate::Space::unit`], but that the
    /// range may end where the source does.
    ///
    /// # Errors
    /// The volume cannot share ([`NtStatus::NOT_SUPPORTED`], `INVALID_DEVICE_REQUEST`), the two are not of one
    /// login, or the server refuses or is lost; a part may be shared already.
    pub async fn duplicate_extents(
        &self,
        source: &Self,
        source_offset: u64,
        offset: u64,
        length: u64,
    ) -> Result<()> {
        if !Arc::ptr_eq(&self.share().client, &source.share().client) {
            return Err(Error::refused("sharing extents", NtStatus::NOT_SAME_DEVICE));
        }
        if [source_offset, offset].iter().any(|start| start.checked_add(length).is_none()) {
            return Err(Error::refused("sharing extents", NtStatus::INVALID_PARAMETER));
        }
        let mut done = 0;
        while done < length {
            let piece = (length - done).min(MOST_SHARED);
            let extents = DuplicateExtents {
                source: source.id(),
                source_offset: source_offset + done,
                target_offset: offset + done,
                length: piece,
            };
            self.control("sharing extents", fsctl::DUPLICATE_EXTENTS_TO_FILE, to_bytes(&extents)).await?;
            done += piece;
        }
        Ok(())
    }

    /// Carries out a control code that has no answer.
    async fn control(&self, operation: &'static str, code: u32, input: Bytes) -> Result<()> {
        self.share().ioctl(operation, (self.id(), code, input), 0).await.map(drop)
    }
}

/// Adds what an answer says of `asked` to `found`; where the last range ends. Ranges are cut to the question, for
/// servers that round, and joined where they touch.
fn take_ranges(found: &mut Vec<Range<u64>>, data: &Bytes, asked: &Range<u64>) -> Result<Option<u64>> {
    let mut told = None;
    for AllocatedRange { offset, length } in decode_ranges(data)? {
        let end = offset.checked_add(length).ok_or(Error::Malformed("a range beyond all files"))?;
        if told.is_some_and(|told| offset < told) {
            return Err(Error::Malformed("ranges out of order"));
        }
        told = Some(end);
        let range = offset.max(asked.start)..end.min(asked.end);
        match found.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => found.push(range),
        }
    }
    Ok(told.map(|told| told.min(asked.end)))
}

#[cfg(test)]
mod tests {
    use smb_proto::fsctl::encode_ranges;

    use super::*;

    fn answer(ranges: &[(u64, u64)]) -> Bytes {
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(offset, length)| AllocatedRange { offset: *offset, length: *length })
            .collect();
        encode_ranges(&ranges).into()
    }

    #[test]
    fn ranges_are_cut_and_joined() {
        let mut found = Vec::new();
        let told = take_ranges(&mut found, &answer(&[(0, 10), (20, 5), (25, 5)]), &(5..28)).unwrap();
        assert_eq!((found.clone(), told), (vec![5..10, 20..28], Some(28)));
        take_ranges(&mut found, &answer(&[(28, 2), (40, 1), (50, 0)]), &(28..100)).unwrap();
        assert_eq!(found, [5..10, 20..30, 40..41]);
        assert_eq!(take_ranges(&mut found, &answer(&[]), &(100..200)).unwrap(), None);
    }

    #[test]
    fn ranges_that_cannot_be_are_refused() {
        for nonsense in [&[(5, 5), (0, 1)][..], &[(0, 10), (5, 10)], &[(u64::MAX, 2)]] {
            assert!(take_ranges(&mut Vec::new(), &answer(nonsense), &(0..100)).is_err(), "{nonsense:?}");
        }
    }
}
