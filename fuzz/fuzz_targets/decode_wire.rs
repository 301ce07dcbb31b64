//! Each decoder of messages; what decodes must encode to what decodes the same.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::status::NtStatus;
use smb_proto::wire::{
    Command, CompressedMessage, ErrorResponse, Header, PatternPayload, Reader, Request, Response, ShareRedirect,
    SymlinkError, TransformHeader, ValidateNegotiateRequest, ValidateNegotiateResponse, Wire, encode_message,
    split_compound,
};

fn again<T: Wire + PartialEq + Debug>(data: &Bytes) {
    if let Ok(value) = from_bytes::<T>(data) {
        assert_eq!(from_bytes::<T>(&to_bytes(&value)), Ok(value));
    }
}

fn message(command: Command, body: impl FnOnce(&mut smb_proto::wire::Writer<'_>)) -> Bytes {
    let mut out = Vec::new();
    encode_message(&mut out, &Header::request(command, 1), body);
    Bytes::from(out)
}

fn bodies(command: Command, data: &Bytes) {
    if let Ok(request) = Request::decode(command, data) {
        assert_eq!(Request::decode(command, &message(command, |w| request.encode(w))), Ok(request));
    }
    if let Ok(response) = Response::decode(command, data) {
        assert_eq!(Response::decode(command, &message(command, |w| response.encode(w))), Ok(response));
    }
}

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    if let Ok(header) = Header::decode(&mut Reader::new(&data, 0)) {
        bodies(header.command, &data);
    }
    let _ = split_compound(&data);
    for command in Command::ALL {
        bodies(command, &message(command, |w| w.bytes(&data)));
    }
    if let Ok(error) = from_bytes::<ErrorResponse>(&data) {
        for status in [NtStatus::STOPPED_ON_SYMLINK, NtStatus::BAD_NETWORK_NAME, NtStatus::BUFFER_TOO_SMALL] {
            let _ = error.detail(status);
        }
    }
    again::<CompressedMessage>(&data);
    again::<ErrorResponse>(&data);
    again::<PatternPayload>(&data);
    again::<ShareRedirect>(&data);
    again::<SymlinkError>(&data);
    again::<TransformHeader>(&data);
    again::<ValidateNegotiateRequest>(&data);
    again::<ValidateNegotiateResponse>(&data);
});
