//! Each decoder of messages and file-system structures; what decodes must encode to what decodes the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::{
    AllInfo, RenameInfo, VolumeAttributes, VolumeInfo, decode_directory, decode_notify, from_bytes,
};
use smb_proto::wire::{
    Command, ErrorResponse, Header, Reader, Request, Response, TransformHeader, ValidateNegotiateRequest, Wire,
    encode_message, split_compound,
};

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    if let Ok(header) = Header::decode(&mut Reader::new(&data, 0)) {
        let _ = Response::decode(header.command, &data);
        if let Ok(request) = Request::decode(header.command, &data) {
            let mut out = Vec::new();
            encode_message(&mut out, &Header::request(request.command(), 1), |w| request.encode(w));
            assert_eq!(Request::decode(request.command(), &Bytes::from(out)), Ok(request));
        }
    }
    let _ = split_compound(&data);
    for command in Command::ALL {
        let mut out = Vec::new();
        encode_message(&mut out, &Header::request(command, 1), |w| w.bytes(&data));
        let message = Bytes::from(out);
        let _ = Request::decode(command, &message);
        let _ = Response::decode(command, &message);
    }
    let _ = decode_directory(&data);
    let _ = decode_notify(&data);
    let _ = from_bytes::<AllInfo>(&data);
    let _ = from_bytes::<ErrorResponse>(&data);
    let _ = from_bytes::<RenameInfo>(&data);
    let _ = from_bytes::<TransformHeader>(&data);
    let _ = from_bytes::<ValidateNegotiateRequest>(&data);
    let _ = from_bytes::<VolumeAttributes>(&data);
    let _ = from_bytes::<VolumeInfo>(&data);
});
