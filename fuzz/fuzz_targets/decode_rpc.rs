//! RPC: PDUs, answers in pieces, and the server service's calls.
#![no_main]

use std::fmt::Debug;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::rpc::{
    Reassembly, RpcPdu, RpcReply, ServerGetInfoRequest, ServerGetInfoResponse, ShareEnumRequest, ShareEnumResponse,
    ShareGetInfoRequest, ShareGetInfoResponse,
};
use smb_proto::wire::Wire;

const LIMIT: usize = 64;

fn again<T: Wire + PartialEq + Debug>(data: &Bytes) {
    if let Ok(value) = from_bytes::<T>(data) {
        assert_eq!(from_bytes::<T>(&to_bytes(&value)), Ok(value));
    }
}

fn calls(data: &Bytes) {
    again::<ServerGetInfoRequest>(data);
    again::<ServerGetInfoResponse>(data);
    again::<ShareEnumRequest>(data);
    again::<ShareEnumResponse>(data);
    again::<ShareGetInfoRequest>(data);
    again::<ShareGetInfoResponse>(data);
}

fuzz_target!(|data: &[u8]| {
    let Some((&piece, stream)) = data.split_first() else { return };
    let mut reassembly = Reassembly::new(1, LIMIT);
    for chunk in stream.chunks(usize::from(piece).max(1)) {
        match reassembly.push(chunk) {
            Ok(None) => continue,
            Ok(Some(RpcReply::Response(stub))) => {
                assert!(stub.len() <= LIMIT);
                calls(&stub);
            }
            _ => {}
        }
        break;
    }
    let data = Bytes::copy_from_slice(data);
    again::<RpcPdu>(&data);
    calls(&data);
});
