//! Answers put together again from what a pipe gives, piece by piece.

use bytes::{Buf, Bytes, BytesMut};

use super::pdu::{HEADER, PduFlags, PduHeader, PduKind, RpcPdu};
use super::presentation::{BindAck, BindNak};
use crate::wire::{DecodeError, Reader, Wire};

/// Why an answer could not be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// What came is no RPC.
    #[error("the server sent no valid RPC: {0}")]
    Decode(#[from] DecodeError),
    /// The answer is longer than was allowed.
    #[error("the server's RPC answer is longer than {0} bytes")]
    TooLong(usize),
    /// A fragment of another call, or one that does not follow what was before.
    #[error("the server sent an RPC fragment out of order")]
    OutOfOrder,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RpcReply {
    /// To a bind.
    BindAck(BindAck),
    /// To a bind.
    BindNak(BindNak),
    /// The results of a call, whole.
    Response(Bytes),
    /// A call failed.
    Fault(u32),
}

/// Puts the answer to one call or bind together.
///
/// Reads of a pipe may end anywhere: in a PDU, behind one, behind several.
#[derive(Debug)]
pub struct Reassembly {
    call_id: u32,
    limit: usize,
    received: BytesMut,
    stub: BytesMut,
    begun: bool,
}

impl Reassembly {
    /// Awaits the answer to `call_id`, with at most `limit` bytes of results.
    pub fn new(call_id: u32, limit: usize) -> Self {
        Self { call_id, limit, received: BytesMut::new(), stub: BytesMut::new(), begun: false }
    }

    /// Takes what was read; gives the answer once it is whole. After an answer or an error it is of no more use.
    pub fn push(&mut self, data: &[u8]) -> Result<Option<RpcReply>, RpcError> {
        self.received.extend_from_slice(data);
        while let Some(pdu) = self.next_pdu()? {
            if pdu.call_id != self.call_id {
                return Err(RpcError::OutOfOrder);
            }
            let first = pdu.flags.contains(PduFlags::FIRST);
            let last = pdu.flags.contains(PduFlags::LAST);
            match pdu.body {
                PduKind::Response(body) => {
                    if first == self.begun {
                        return Err(RpcError::OutOfOrder);
                    }
                    self.begun = true;
                    if body.stub.len() > self.limit - self.stub.len() {
                        return Err(RpcError::TooLong(self.limit));
                    }
                    self.stub.extend_from_slice(&body.stub);
                    if last {
                        return Ok(Some(RpcReply::Response(self.stub.split().freeze())));
                    }
                }
                // A fault may end an answer that began well.
                PduKind::Fault(fault) => return Ok(Some(RpcReply::Fault(fault.status))),
                PduKind::BindAck(ack) if !self.begun => return Ok(Some(RpcReply::BindAck(ack))),
                PduKind::BindNak(nak) if !self.begun => return Ok(Some(RpcReply::BindNak(nak))),
                _ => return Err(RpcError::OutOfOrder),
            }
        }
        Ok(None)
    }

    fn next_pdu(&mut self) -> Result<Option<RpcPdu>, DecodeError> {
        let Some(head) = self.received.get(..HEADER) else { return Ok(None) };
        let header = PduHeader::decode(&mut Reader::new(&Bytes::copy_from_slice(head), 0))?;
        if self.received.remaining() < usize::from(header.length) {
            return Ok(None);
        }
        let pdu = self.received.split_to(usize::from(header.length)).freeze();
        RpcPdu::decode(&mut Reader::new(&pdu, 0)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::to_bytes;
    use crate::rpc::{Bind, Fault, RpcResponse, response_fragments};
    use proptest::prelude::*;

    fn fragment(flags: PduFlags, call_id: u32, stub: &'static [u8]) -> Vec<u8> {
        let body =
            PduKind::Response(RpcResponse { stub: Bytes::from_static(stub), ..RpcResponse::default() });
        to_bytes(&RpcPdu { flags, call_id, body }).to_vec()
    }

    #[test]
    fn other_answers_come_through() {
        for (body, reply) in [
            (PduKind::BindAck(BindAck::default()), RpcReply::BindAck(BindAck::default())),
            (PduKind::BindNak(BindNak::default()), RpcReply::BindNak(BindNak::default())),
            (PduKind::Fault(Fault { status: 5, ..Fault::default() }), RpcReply::Fault(5)),
        ] {
            let pdu = to_bytes(&RpcPdu::whole(1, body));
            assert_eq!(Reassembly::new(1, 10).push(&pdu), Ok(Some(reply)));
        }
    }

    #[test]
    fn what_does_not_follow_is_refused() {
        let whole = PduFlags::FIRST | PduFlags::LAST;
        for (bytes, error) in [
            (fragment(whole, 2, b""), RpcError::OutOfOrder),
            (fragment(PduFlags::LAST, 1, b""), RpcError::OutOfOrder),
            ([fragment(PduFlags::FIRST, 1, b""), fragment(whole, 1, b"")].concat(), RpcError::OutOfOrder),
            (
                [fragment(PduFlags::FIRST, 1, b"12345678"), fragment(PduFlags::LAST, 1, b"9ab")].concat(),
                RpcError::TooLong(10),
            ),
            (to_bytes(&RpcPdu::whole(1, PduKind::Bind(Bind::default()))).to_vec(), RpcError::OutOfOrder),
            (b"HTTP/1.1 400 Bad Request".to_vec(), DecodeError::Invalid("RPC version").into()),
        ] {
            assert_eq!(Reassembly::new(1, 10).push(&bytes), Err(error));
        }
    }

    proptest! {
        #[test]
        fn answers_come_together_however_they_are_cut(
            stub in prop::collection::vec(any::<u8>(), 0..500), max in 0..200u16, piece in 1..60usize
        ) {
            let stub = Bytes::from(stub);
            let wire = response_fragments(9, 0, &stub, max).concat();
            let mut reassembly = Reassembly::new(9, stub.len());
            let replies: Vec<_> =
                wire.chunks(piece).filter_map(|chunk| reassembly.push(chunk).unwrap()).collect();
            prop_assert_eq!(replies, [RpcReply::Response(stub)]);
        }

        #[test]
        fn any_bytes_give_a_reply_or_an_error(data: Vec<u8>, tail in prop::collection::vec(0..20u8, 0..80)) {
            let _ = Reassembly::new(1, 10).push(&data);
            let mut near = fragment(PduFlags::FIRST, 1, b"123");
            near.extend([5, 0]);
            near.extend(tail);
            let _ = Reassembly::new(1, 10).push(&near);
        }
    }
}
