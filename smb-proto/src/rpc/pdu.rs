//! PDUs of connection-oriented RPC (C706 12.6, [MS-RPCE] 2.2.2).

use bytes::Bytes;

use super::call::{Fault, RpcRequest, RpcResponse};
use super::presentation::{Bind, BindAck, BindNak};
use crate::wire::{DecodeError, Reader, Wire, Writer, flags_on_wire, len16};

/// The header's length in bytes.
pub(super) const HEADER: usize = 16;
/// The longest PDU that everybody takes, as Windows has it.
pub const MAX_FRAGMENT: u16 = 4280;
/// Little-endian, ASCII, IEEE: the only representation that anybody uses.
const REPRESENTATION: [u8; 4] = [0x10, 0, 0, 0];

bitflags::bitflags! {
    /// PDU flags (C706 12.6.3.1, [MS-RPCE] 2.2.2.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PduFlags: u8 {
        /// The call's first fragment.
        const FIRST = 0x01;
        /// The call's last fragment.
        const LAST = 0x02;
        /// A fault: the call did not begin.
        const DID_NOT_EXECUTE = 0x20;
        /// A request: the object's identifier is there.
        const OBJECT = 0x80;
        const _ = !0;
    }
}

flags_on_wire!(PduFlags: u8);

/// A PDU's type (C706 12.6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
#[allow(missing_docs)] // the specification's names say it
pub enum PduType {
    Request = 0,
    Response = 2,
    Fault = 3,
    Bind = 11,
    BindAck = 12,
    BindNak = 13,
}

impl PduType {
    fn from_wire(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            0 => Self::Request,
            2 => Self::Response,
            3 => Self::Fault,
            11 => Self::Bind,
            12 => Self::BindAck,
            13 => Self::BindNak,
            _ => return Err(DecodeError::Invalid("RPC PDU type")),
        })
    }
}

/// The header of each PDU (C706 12.6.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PduHeader {
    /// What follows.
    pub kind: PduType,
    /// Where in its call it stands.
    pub flags: PduFlags,
    /// Bytes of the whole PDU.
    pub length: u16,
    /// The call.
    pub call_id: u32,
}

impl Wire for PduHeader {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(5);
        w.u8(0);
        w.u8(self.kind as u8);
        self.flags.encode(w);
        w.bytes(&REPRESENTATION);
        w.u16(self.length);
        w.u16(0);
        w.u32(self.call_id);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // Minor version 1 differs in what nobody uses.
        let [5, 0 | 1] = r.array()? else { return Err(DecodeError::Invalid("RPC version")) };
        let kind = PduType::from_wire(r.u8()?)?;
        let flags = PduFlags::decode(r)?;
        let [0x10, 0, _, _] = r.array()? else { return Err(DecodeError::Invalid("RPC data representation")) };
        let length = r.u16()?;
        if usize::from(length) < HEADER {
            return Err(DecodeError::Invalid("RPC fragment length"));
        }
        if r.u16()? != 0 {
            return Err(DecodeError::Invalid("RPC authentication"));
        }
        Ok(Self { kind, flags, length, call_id: r.u32()? })
    }
}

/// What stands behind the header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)] // each variant is the PDU of its name
pub enum PduKind {
    Request(RpcRequest),
    Response(RpcResponse),
    Fault(Fault),
    Bind(Bind),
    BindAck(BindAck),
    BindNak(BindNak),
}

/// A whole PDU: one fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcPdu {
    /// Where in its call it stands; [`PduFlags::OBJECT`] follows the body.
    pub flags: PduFlags,
    /// The call.
    pub call_id: u32,
    /// The rest.
    pub body: PduKind,
}

impl RpcPdu {
    /// A PDU that is a call's only fragment.
    pub fn whole(call_id: u32, body: PduKind) -> Self {
        Self { flags: PduFlags::FIRST | PduFlags::LAST, call_id, body }
    }
}

impl Wire for RpcPdu {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        let mut flags = self.flags;
        let kind = match &self.body {
            PduKind::Request(body) => {
                flags.set(PduFlags::OBJECT, body.object.is_some());
                PduType::Request
            }
            PduKind::Response(_) => PduType::Response,
            PduKind::Fault(_) => PduType::Fault,
            PduKind::Bind(_) => PduType::Bind,
            PduKind::BindAck(_) => PduType::BindAck,
            PduKind::BindNak(_) => PduType::BindNak,
        };
        PduHeader { kind, flags, length: 0, call_id: self.call_id }.encode(w);
        match &self.body {
            PduKind::Request(body) => body.encode(w),
            PduKind::Response(body) => body.encode(w),
            PduKind::Fault(body) => body.encode(w),
            PduKind::Bind(body) => body.encode(w),
            PduKind::BindAck(body) => body.encode(w),
            PduKind::BindNak(body) => body.encode(w),
        }
        let length = len16(w.position() - start);
        w.patch_u16(start + 8, length);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = PduHeader::decode(r)?;
        let body: Bytes = r.bytes(usize::from(header.length) - HEADER)?;
        let r = &mut Reader::new(&body, 0);
        let body = match header.kind {
            PduType::Request => {
                PduKind::Request(RpcRequest::decode(r, header.flags.contains(PduFlags::OBJECT))?)
            }
            PduType::Response => PduKind::Response(RpcResponse::decode(r)?),
            PduType::Fault => PduKind::Fault(Fault::decode(r)?),
            PduType::Bind => PduKind::Bind(Bind::decode(r)?),
            PduType::BindAck => PduKind::BindAck(BindAck::decode(r)?),
            PduType::BindNak => PduKind::BindNak(BindNak::decode(r)?),
        };
        Ok(Self { flags: header.flags, call_id: header.call_id, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::{BindResult, PresentationContext, SyntaxId, srvsvc};
    use crate::wire::Guid;
    use crate::wire::check::{bear, both_ways, vector};
    use proptest::prelude::*;

    #[test]
    fn every_pdu_survives_a_round_trip() {
        let stub = Bytes::from_static(b"stub");
        let request =
            RpcRequest { alloc_hint: 4, context_id: 1, opnum: 15, object: None, stub: stub.clone() };
        for body in [
            PduKind::Bind(srvsvc::bind()),
            PduKind::Bind(Bind { contexts: Vec::new(), ..srvsvc::bind() }),
            PduKind::BindAck(BindAck {
                max_transmit: 1,
                max_receive: 2,
                group: 3,
                address: Bytes::from_static(b"\\PIPE\\srvsvc\0"),
                results: vec![BindResult { result: 0, reason: 0, transfer: SyntaxId::NDR }],
            }),
            PduKind::BindNak(BindNak { reason: 4, versions: vec![[5, 0], [5, 1]] }),
            PduKind::BindNak(BindNak { reason: 0, versions: Vec::new() }),
            PduKind::Request(request.clone()),
            PduKind::Response(RpcResponse { alloc_hint: 1, context_id: 2, cancel_count: 3, stub }),
            PduKind::Fault(Fault { alloc_hint: 0, context_id: 1, cancel_count: 2, status: 0x1C01_0002 }),
        ] {
            both_ways(&RpcPdu::whole(7, body));
        }
        let object = RpcRequest { object: Some(Guid([8; 16])), ..request };
        both_ways(&RpcPdu { flags: PduFlags::OBJECT, call_id: 1, body: PduKind::Request(object) });
    }

    #[test]
    fn a_bind_is_as_others_write_it() {
        let pdu = RpcPdu::whole(1, PduKind::Bind(srvsvc::bind()));
        let expected = "05000b03100000004800000001000000b810b810000000000100000000000100\
            c84f324b7016d30112785a47bf6ee188030000000\
            45d888aeb1cc9119fe808002b10486002000000";
        vector(&pdu, &hex::decode(expected).unwrap());
        let PduKind::Bind(bind) = pdu.body else { panic!() };
        assert_eq!(
            bind.contexts,
            [PresentationContext { id: 0, abstract_syntax: srvsvc::SRVSVC, transfer: vec![SyntaxId::NDR] }]
        );
    }

    #[test]
    fn sambas_answer_to_a_bind_can_be_read() {
        let captured = "05000c03100000004400000001000000b810b810079b00000d005c706970655c73727673766300\
            000100000000000000045d888aeb1cc9119fe808002b10486002000000";
        let result = BindResult { result: 0, reason: 0, transfer: SyntaxId::NDR };
        assert!(result.is_accepted());
        let ack = BindAck {
            max_transmit: 4280,
            max_receive: 4280,
            group: 0x9B07,
            address: Bytes::from_static(b"\\pipe\\srvsvc\0"),
            results: vec![result],
        };
        // Windows and Samba count the terminator; the padding is none here.
        vector(&RpcPdu::whole(1, PduKind::BindAck(ack)), &hex::decode(captured).unwrap());
    }

    #[test]
    fn what_this_crate_cannot_do_is_refused() {
        let good = crate::fscc::to_bytes(&RpcPdu::whole(1, PduKind::Bind(srvsvc::bind())));
        for (at, value) in [(0, 4), (1, 2), (2, 1), (4, 0), (8, 15), (10, 1)] {
            let mut bad = good.to_vec();
            bad[at] = value;
            if at == 8 {
                bad[9] = 0;
            }
            assert!(RpcPdu::decode(&mut Reader::new(&Bytes::from(bad), 0)).is_err(), "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(kind in 0..14u8, flags: u8, data in prop::collection::vec(0..4u8, 0..90)) {
            let mut bytes = vec![5, 0, kind, flags, 0x10, 0, 0, 0, data.len() as u8 + 16, 0, 0, 0, 1, 0, 0, 0];
            bytes.extend(data);
            bear::<RpcPdu>(&Bytes::from(bytes));
        }
    }
}
