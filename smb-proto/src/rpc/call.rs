//! Calls and their answers, whole and in fragments (C706 12.6.4.7, 12.6.4.9, 12.6.4.10).

use bytes::Bytes;

use super::pdu::{HEADER, PduFlags, PduKind, RpcPdu};
use crate::fscc::to_bytes;
use crate::wire::{DecodeError, Guid, Reader, Wire, Writer, len32, record};

/// request (C706 12.6.4.9): one fragment of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcRequest {
    /// Bytes of stub data from here on, as a hint; 0 says nothing.
    pub alloc_hint: u32,
    /// The interface.
    pub context_id: u16,
    /// The function.
    pub opnum: u16,
    /// The object; interfaces of file servers have none.
    pub object: Option<Guid>,
    /// Arguments, or a part of them.
    pub stub: Bytes,
}

impl RpcRequest {
    pub(super) fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.alloc_hint);
        w.u16(self.context_id);
        w.u16(self.opnum);
        if let Some(object) = &self.object {
            object.encode(w);
        }
        w.bytes(&self.stub);
    }

    pub(super) fn decode(r: &mut Reader<'_>, with_object: bool) -> Result<Self, DecodeError> {
        Ok(Self {
            alloc_hint: r.u32()?,
            context_id: r.u16()?,
            opnum: r.u16()?,
            object: if with_object { Some(r.guid()?) } else { None },
            stub: r.rest(),
        })
    }
}

/// response (C706 12.6.4.10): one fragment of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcResponse {
    /// Bytes of stub data from here on, as a hint. Not to be trusted.
    pub alloc_hint: u32,
    /// The interface.
    pub context_id: u16,
    /// Cancellations that came in.
    pub cancel_count: u8,
    /// Results, or a part of them.
    pub stub: Bytes,
}

impl Wire for RpcResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.alloc_hint);
        w.u16(self.context_id);
        w.u8(self.cancel_count);
        w.u8(0);
        w.bytes(&self.stub);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let alloc_hint = r.u32()?;
        let context_id = r.u16()?;
        let cancel_count = r.u8()?;
        r.u8()?;
        Ok(Self { alloc_hint, context_id, cancel_count, stub: r.rest() })
    }
}

record! {
    /// fault (C706 12.6.4.7): the call failed before or beside its function.
    #[derive(Copy)]
    pub struct Fault {
        /// Means nothing.
        pub alloc_hint: u32,
        /// The interface.
        pub context_id: u16,
        /// Cancellations that came in.
        pub cancel_count: u8 => 1,
        /// Why: 0x1C010002 no such function, 5 access denied, 0x6F7 arguments that cannot be read.
        pub status: u32 => 4,
    }
}

/// What stands before the stub data: header, hint, context, function or cancellations.
const CALL_HEADER: usize = HEADER + 8;

/// Cuts stub data for PDUs of at most `max_fragment` bytes; there is always one.
fn cut(stub: &Bytes, max_fragment: u16, mut each: impl FnMut(PduFlags, u32, Bytes) -> RpcPdu) -> Vec<Bytes> {
    // A peer whose limit leaves no room for data cannot be helped: it gets eight bytes at a time. All but the
    // last fragment hold a multiple of eight bytes, so that data keeps its alignment ([MS-RPCE] 2.2.2.6).
    let room = (usize::from(max_fragment).saturating_sub(CALL_HEADER) & !7).max(8);
    let mut out = Vec::new();
    let mut rest = stub.clone();
    loop {
        let hint = len32(rest.len());
        let part = rest.split_to(room.min(rest.len()));
        let mut flags = PduFlags::empty();
        flags.set(PduFlags::FIRST, out.is_empty());
        flags.set(PduFlags::LAST, rest.is_empty());
        out.push(to_bytes(&each(flags, hint, part)));
        if rest.is_empty() {
            return out;
        }
    }
}

/// A call as PDUs of at most `max_fragment` bytes, to be written one by one.
pub fn request_fragments(
    call_id: u32,
    context_id: u16,
    opnum: u16,
    stub: &Bytes,
    max_fragment: u16,
) -> Vec<Bytes> {
    cut(stub, max_fragment, |flags, alloc_hint, stub| {
        let body = PduKind::Request(RpcRequest { alloc_hint, context_id, opnum, object: None, stub });
        RpcPdu { flags, call_id, body }
    })
}

/// An answer as PDUs of at most `max_fragment` bytes.
pub fn response_fragments(call_id: u32, context_id: u16, stub: &Bytes, max_fragment: u16) -> Vec<Bytes> {
    cut(stub, max_fragment, |flags, alloc_hint, stub| {
        let body = PduKind::Response(RpcResponse { alloc_hint, context_id, cancel_count: 0, stub });
        RpcPdu { flags, call_id, body }
    })
}
