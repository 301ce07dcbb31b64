//! Agreeing on an interface: bind, bind_ack and bind_nak (C706 12.6.4.3 to 12.6.4.5).

use bytes::Bytes;

use crate::wire::{DecodeError, Guid, Reader, Wire, Writer, len16, record};

record! {
    /// An interface or a way to write its data, with its version (C706 12.6.3.1, p_syntax_id_t).
    #[derive(Copy)]
    pub struct SyntaxId {
        /// Which.
        pub uuid: Guid,
        /// Major version in the low half, minor in the high half.
        pub version: u32,
    }
}

impl SyntaxId {
    /// NDR 2.0: how all data here is written (C706 14).
    pub const NDR: Self = Self {
        uuid: Guid([
            0x04, 0x5D, 0x88, 0x8A, 0xEB, 0x1C, 0xC9, 0x11, 0x9F, 0xE8, 0x08, 0x00, 0x2B, 0x10, 0x48, 0x60,
        ]),
        version: 2,
    };
}

/// An interface that the client wants, and how it can write its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PresentationContext {
    /// What calls name it by.
    pub id: u16,
    /// The interface.
    pub abstract_syntax: SyntaxId,
    /// Ways to write its data, best first; at most 255.
    pub transfer: Vec<SyntaxId>,
}

/// bind (C706 12.6.4.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bind {
    /// The longest PDU that the client sends.
    pub max_transmit: u16,
    /// The longest PDU that the client takes.
    pub max_receive: u16,
    /// The association to join, 0 for a new one.
    pub group: u32,
    /// The interfaces; at most 255.
    pub contexts: Vec<PresentationContext>,
}

impl Wire for Bind {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.max_transmit);
        w.u16(self.max_receive);
        w.u32(self.group);
        let contexts = self.contexts.get(..255).unwrap_or(&self.contexts);
        w.u8(contexts.len() as u8);
        w.zeros(3);
        for context in contexts {
            let transfer = context.transfer.get(..255).unwrap_or(&context.transfer);
            w.u16(context.id);
            w.u8(transfer.len() as u8);
            w.u8(0);
            context.abstract_syntax.encode(w);
            transfer.iter().for_each(|syntax| syntax.encode(w));
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let max_transmit = r.u16()?;
        let max_receive = r.u16()?;
        let group = r.u32()?;
        let count = r.u8()?;
        r.skip(3)?;
        let mut contexts = Vec::new();
        for _ in 0..count {
            let id = r.u16()?;
            let count = r.u8()?;
            r.u8()?;
            let abstract_syntax = SyntaxId::decode(r)?;
            let transfer = (0..count).map(|_| SyntaxId::decode(r)).collect::<Result<_, _>>()?;
            contexts.push(PresentationContext { id, abstract_syntax, transfer });
        }
        Ok(Self { max_transmit, max_receive, group, contexts })
    }
}

record! {
    /// The server's word on one interface (C706 12.6.3.1, p_result_t).
    #[derive(Copy)]
    pub struct BindResult {
        /// 0 accepted, 1 refused by the user, 2 by the provider.
        pub result: u16,
        /// Why it was refused: 1 the interface, 2 the ways to write it, 3 too many.
        pub reason: u16,
        /// How to write its data.
        pub transfer: SyntaxId,
    }
}

impl BindResult {
    /// The server has the interface and writes NDR.
    pub fn is_accepted(&self) -> bool {
        self.result == 0 && self.transfer == SyntaxId::NDR
    }
}

/// bind_ack (C706 12.6.4.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindAck {
    /// The longest PDU that the server sends.
    pub max_transmit: u16,
    /// The longest PDU that the server takes.
    pub max_receive: u16,
    /// The association.
    pub group: u32,
    /// `\PIPE\name` with a terminator; nobody needs it.
    pub address: Bytes,
    /// One for each interface, in order.
    pub results: Vec<BindResult>,
}

impl Wire for BindAck {
    fn encode(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u16(self.max_transmit);
        w.u16(self.max_receive);
        w.u32(self.group);
        w.u16(len16(self.address.len()));
        w.bytes(&self.address);
        // The header before has a multiple of four bytes.
        let length = w.position() - start;
        w.zeros(length.next_multiple_of(4) - length);
        let results = self.results.get(..255).unwrap_or(&self.results);
        w.u8(results.len() as u8);
        w.zeros(3);
        results.iter().for_each(|result| result.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let max_transmit = r.u16()?;
        let max_receive = r.u16()?;
        let group = r.u32()?;
        let length = usize::from(r.u16()?);
        let address = r.bytes(length)?;
        r.align(4);
        let count = r.u8()?;
        r.skip(3)?;
        let results = (0..count).map(|_| BindResult::decode(r)).collect::<Result<_, _>>()?;
        Ok(Self { max_transmit, max_receive, group, address, results })
    }
}

/// bind_nak (C706 12.6.4.5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BindNak {
    /// 4: a version of the protocol that the server does not speak.
    pub reason: u16,
    /// Those that it does: major and minor.
    pub versions: Vec<[u8; 2]>,
}

impl Wire for BindNak {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.reason);
        let versions = self.versions.get(..255).unwrap_or(&self.versions);
        w.u8(versions.len() as u8);
        versions.iter().for_each(|version| version.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reason = r.u16()?;
        // Some servers say no more than that.
        let count = if r.remaining() == 0 { 0 } else { r.u8()? };
        Ok(Self { reason, versions: (0..count).map(|_| r.array()).collect::<Result<_, _>>()? })
    }
}
