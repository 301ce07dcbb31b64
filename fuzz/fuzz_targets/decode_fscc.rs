//! Each decoder of file-system structures; what decodes must encode to what decodes the same.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::*;
use smb_proto::wire::{DecodeError, Wire};

fn again<T: Wire + PartialEq + Debug>(data: &Bytes) {
    list(data, from_bytes::<T>, |value| to_bytes(value).to_vec());
}

fn list<T: PartialEq + Debug>(
    data: &Bytes,
    decode: impl Fn(&Bytes) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    if let Ok(value) = decode(data) {
        assert_eq!(decode(&Bytes::from(encode(&value))), Ok(value));
    }
}

fuzz_target!(|data: &[u8]| {
    if let Some(node) = decode_sfu(data) {
        assert_eq!(encode_sfu(&node).as_deref().and_then(decode_sfu), Some(node));
    }
    if let Some(target) = decode_mfsymlink(data) {
        assert_eq!(encode_mfsymlink(target).as_deref().and_then(decode_mfsymlink), Some(target));
    }
    let data = Bytes::copy_from_slice(data);
    list(&data, decode_directory, |entries| encode_directory(entries));
    list(&data, decode_notify, |entries| encode_notify(entries));
    for class in ListingClass::ALL {
        list(&data, |data| decode_listing(class, data), |entries| encode_listing(class, entries));
    }
    list(&data, decode_posix_listing, |entries| encode_posix_listing(entries));
    list(&data, decode_eas, |entries| encode_eas(entries));
    list(&data, decode_ea_names, |entries| encode_ea_names(entries));
    list(&data, decode_streams, |entries| encode_streams(entries));
    list(&data, decode_quotas, |entries| encode_quotas(entries));
    again::<AccessInfo>(&data);
    again::<AlignmentInfo>(&data);
    again::<AllInfo>(&data);
    again::<AllocationInfo>(&data);
    again::<AttributeTagInfo>(&data);
    again::<BasicInfo>(&data);
    again::<CaseSensitiveInfo>(&data);
    again::<CompressionInfo>(&data);
    again::<ControlInfo>(&data);
    again::<DeviceInfo>(&data);
    again::<DispositionInfo>(&data);
    again::<DispositionInfoEx>(&data);
    again::<EaInfo>(&data);
    again::<EndOfFileInfo>(&data);
    again::<FullSizeInfo>(&data);
    again::<IdInfo>(&data);
    again::<InternalInfo>(&data);
    again::<ModeInfo>(&data);
    again::<NameInfo>(&data);
    again::<NetworkOpenInfo>(&data);
    again::<ObjectIdInfo>(&data);
    again::<PipeInfo>(&data);
    again::<PipeLocalInfo>(&data);
    again::<PipeRemoteInfo>(&data);
    again::<PositionInfo>(&data);
    again::<PosixFsInfo>(&data);
    again::<PosixInfo>(&data);
    again::<QuotaQuery>(&data);
    again::<RenameInfo>(&data);
    again::<RenameInfoEx>(&data);
    again::<ReparsePoint>(&data);
    again::<SectorSizeInfo>(&data);
    again::<SizeInfo>(&data);
    again::<StandardInfo>(&data);
    again::<StandardLinkInfo>(&data);
    again::<StatInfo>(&data);
    again::<StatLxInfo>(&data);
    again::<ValidDataLengthInfo>(&data);
    again::<VolumeAttributes>(&data);
    again::<VolumeInfo>(&data);
});
