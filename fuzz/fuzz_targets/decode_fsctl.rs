//! What control codes carry; what decodes must encode to what decodes the same.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::fsctl::*;
use smb_proto::wire::{DecodeError, Wire};

fn again<T: Wire + PartialEq + Debug>(data: &Bytes) {
    through(data, from_bytes::<T>, |value| to_bytes(value));
}

fn through<T: PartialEq + Debug>(
    data: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) {
    if let Ok(value) = decode(data) {
        assert_eq!(decode(&encode(&value)), Ok(value));
    }
}

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    through(&data, decode_interfaces, |list| Bytes::from(encode_interfaces(list)));
    through(&data, decode_ranges, |list| Bytes::from(encode_ranges(list)));
    through(&data, OffloadReadRequest::from_bytes, OffloadReadRequest::to_bytes);
    through(&data, OffloadReadResponse::from_bytes, OffloadReadResponse::to_bytes);
    through(&data, OffloadWriteRequest::from_bytes, OffloadWriteRequest::to_bytes);
    through(&data, OffloadWriteResponse::from_bytes, OffloadWriteResponse::to_bytes);
    if let Ok(response) = from_bytes::<DfsReferralResponse>(&data) {
        let _ = response.split("\\server\\share\\\u{1F980}");
    }
    again::<CompressionFormat>(&data);
    again::<CopyChunkRequest>(&data);
    again::<CopyChunkResponse>(&data);
    again::<DfsReferralExRequest>(&data);
    again::<DfsReferralRequest>(&data);
    again::<DfsReferralResponse>(&data);
    again::<DuplicateExtents>(&data);
    again::<DuplicateExtentsEx>(&data);
    again::<HashByFile>(&data);
    again::<HashByRange>(&data);
    again::<HashHeader>(&data);
    again::<HashRequest>(&data);
    again::<IntegrityInfo>(&data);
    again::<IntegrityUpdate>(&data);
    again::<PipePeek>(&data);
    again::<PipeWait>(&data);
    again::<ResiliencyRequest>(&data);
    again::<ResumeKey>(&data);
    again::<SetSparse>(&data);
    again::<SnapshotList>(&data);
    again::<TrimRequest>(&data);
    again::<TrimResponse>(&data);
    again::<ZeroRange>(&data);
});
