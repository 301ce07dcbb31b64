//! The server service: shares and the server itself ([MS-SRVS] 3.1.4).
//!
//! What is written here is the stub data of calls and answers; [`super::request_fragments`] wraps it. The functions'
//! results are Win32 errors: 0, 5 access denied, 234 there is more, 2310 no such share.

use super::ndr::{NdrReader, NdrWriter};
use super::pdu::MAX_FRAGMENT;
use super::presentation::{Bind, PresentationContext, SyntaxId};
use super::server_info::ServerInfo;
use super::share_info::ShareInfo;
use crate::wire::{DecodeError, Guid, Reader, Wire, Writer, len32};

/// The name of the pipe.
pub const PIPE: &str = "srvsvc";

/// The interface ([MS-SRVS] 1.9).
pub const SRVSVC: SyntaxId = SyntaxId {
    uuid: Guid([
        0xC8, 0x4F, 0x32, 0x4B, 0x70, 0x16, 0xD3, 0x01, 0x12, 0x78, 0x5A, 0x47, 0xBF, 0x6E, 0xE1, 0x88,
    ]),
    version: 3,
};

/// The bind that asks for the interface, as context 0.
pub fn bind() -> Bind {
    let context = PresentationContext { id: 0, abstract_syntax: SRVSVC, transfer: vec![SyntaxId::NDR] };
    Bind { max_transmit: MAX_FRAGMENT, max_receive: MAX_FRAGMENT, group: 0, contexts: vec![context] }
}

/// NetrShareEnum, its arguments ([MS-SRVS] 3.1.4.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareEnumRequest {
    /// `\\server`; servers ignore it.
    pub server: Option<String>,
    /// 0, 1 or 2.
    pub level: u32,
    /// Bytes that the answer should not exceed; all ones for no limit.
    pub preferred_length: u32,
    /// Where to go on, as the last answer said; `Some(0)` to begin with.
    pub resume: Option<u32>,
}

impl ShareEnumRequest {
    /// The function's number.
    pub const OPNUM: u16 = 15;

    /// All shares of `server` at once.
    pub fn all(server: &str, level: u32) -> Self {
        let server = Some(format!("\\\\{server}"));
        Self { server, level, preferred_length: u32::MAX, resume: Some(0) }
    }
}

impl Wire for ShareEnumRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        ndr.unique_string(self.server.as_deref());
        put_shares(&mut ndr, self.level, None);
        ndr.u32(self.preferred_length);
        ndr.unique_u32(self.resume);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        let server = r.unique_string()?;
        let (level, _) = shares(r)?;
        Ok(Self { server, level, preferred_length: r.u32()?, resume: r.unique_u32()? })
    }
}

/// NetrShareEnum, its results ([MS-SRVS] 3.1.4.8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareEnumResponse {
    /// As in the request.
    pub level: u32,
    /// The shares.
    pub shares: Vec<ShareInfo>,
    /// How many there are from where this answer began.
    pub total: u32,
    /// Where to go on.
    pub resume: Option<u32>,
    /// The Win32 error.
    pub result: u32,
}

impl Wire for ShareEnumResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        put_shares(&mut ndr, self.level, Some(&self.shares));
        ndr.u32(self.total);
        ndr.unique_u32(self.resume);
        ndr.u32(self.result);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        let (level, shares) = shares(r)?;
        Ok(Self { level, shares, total: r.u32()?, resume: r.unique_u32()?, result: r.u32()? })
    }
}

/// SHARE_ENUM_STRUCT ([MS-SRVS] 2.2.4.38); without shares the array is null.
fn put_shares(w: &mut NdrWriter, level: u32, shares: Option<&[ShareInfo]>) {
    w.u32(level);
    w.u32(level);
    w.pointer(true);
    w.u32(len32(shares.map_or(0, <[_]>::len)));
    w.pointer(shares.is_some());
    if let Some(shares) = shares {
        w.u32(len32(shares.len()));
        shares.iter().for_each(|share| share.encode_fixed(level, w));
        shares.iter().for_each(|share| share.encode_texts(level, w));
    }
}

fn shares(r: &mut NdrReader<'_>) -> Result<(u32, Vec<ShareInfo>), DecodeError> {
    let level = r.u32()?;
    if r.u32()? != level {
        return Err(DecodeError::Invalid("share level"));
    }
    let fixed = ShareInfo::fixed(level).ok_or(DecodeError::Invalid("share level"))?;
    if !r.pointer()? {
        return Ok((level, Vec::new()));
    }
    let said = r.u32()? as usize;
    if !r.pointer()? {
        return Ok((level, Vec::new()));
    }
    let count = r.count(fixed)?;
    if count != said {
        return Err(DecodeError::Invalid("share count"));
    }
    let entries = (0..count).map(|_| ShareInfo::decode_fixed(level, r)).collect::<Result<Vec<_>, _>>()?;
    let shares = entries
        .into_iter()
        .map(|(share, pointers)| share.decode_texts(pointers, r))
        .collect::<Result<_, _>>()?;
    Ok((level, shares))
}

/// NetrShareGetInfo, its arguments ([MS-SRVS] 3.1.4.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGetInfoRequest {
    /// `\\server`; servers ignore it.
    pub server: Option<String>,
    /// The share.
    pub share: String,
    /// 0, 1 or 2; the last is for administrators.
    pub level: u32,
}

impl ShareGetInfoRequest {
    /// The function's number.
    pub const OPNUM: u16 = 16;
}

impl Wire for ShareGetInfoRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        ndr.unique_string(self.server.as_deref());
        ndr.string(&self.share);
        ndr.u32(self.level);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        Ok(Self { server: r.unique_string()?, share: r.string()?, level: r.u32()? })
    }
}

/// NetrShareGetInfo, its results ([MS-SRVS] 3.1.4.10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareGetInfoResponse {
    /// As in the request.
    pub level: u32,
    /// The share, unless there was an error.
    pub share: Option<ShareInfo>,
    /// The Win32 error.
    pub result: u32,
}

impl Wire for ShareGetInfoResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        ndr.u32(self.level);
        ndr.pointer(self.share.is_some());
        if let Some(share) = &self.share {
            share.encode_fixed(self.level, &mut ndr);
            share.encode_texts(self.level, &mut ndr);
        }
        ndr.u32(self.result);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        let level = r.u32()?;
        let mut share = None;
        if r.pointer()? {
            ShareInfo::fixed(level).ok_or(DecodeError::Invalid("share level"))?;
            let (info, pointers) = ShareInfo::decode_fixed(level, r)?;
            share = Some(info.decode_texts(pointers, r)?);
        }
        Ok(Self { level, share, result: r.u32()? })
    }
}

/// NetrServerGetInfo, its arguments ([MS-SRVS] 3.1.4.17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerGetInfoRequest {
    /// `\\server`; servers ignore it.
    pub server: Option<String>,
    /// 100 or 101.
    pub level: u32,
}

impl ServerGetInfoRequest {
    /// The function's number.
    pub const OPNUM: u16 = 21;
}

impl Wire for ServerGetInfoRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        ndr.unique_string(self.server.as_deref());
        ndr.u32(self.level);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        Ok(Self { server: r.unique_string()?, level: r.u32()? })
    }
}

/// NetrServerGetInfo, its results ([MS-SRVS] 3.1.4.17).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerGetInfoResponse {
    /// As in the request.
    pub level: u32,
    /// The server, unless there was an error.
    pub server: Option<ServerInfo>,
    /// The Win32 error.
    pub result: u32,
}

impl Wire for ServerGetInfoResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        let mut ndr = NdrWriter::new();
        ndr.u32(self.level);
        ndr.pointer(self.server.is_some());
        if let Some(server) = &self.server {
            server.encode(self.level, &mut ndr);
        }
        ndr.u32(self.result);
        ndr.append_to(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let stub = r.rest();
        let r = &mut NdrReader::new(&stub);
        let level = r.u32()?;
        let mut server = None;
        if r.pointer()? {
            if !ServerInfo::is_level(level) {
                return Err(DecodeError::Invalid("server level"));
            }
            server = Some(ServerInfo::decode(level, r)?);
        }
        Ok(Self { level, server, result: r.u32()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::ShareKind;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn share(level: u32, name: &str) -> ShareInfo {
        let mut share = ShareInfo { name: name.into(), ..ShareInfo::default() };
        if level >= 1 {
            share.kind = ShareKind(0x8000_0003);
            share.remark = "IPC Service".into();
        }
        if level >= 2 {
            share.permissions = 1;
            share.max_uses = u32::MAX;
            share.current_uses = 2;
            share.path = "C:\\tmp".into();
        }
        share
    }

    #[test]
    fn calls_and_answers_survive_a_round_trip() {
        for level in 0..3 {
            both_ways(&ShareEnumRequest::all("s", level));
            both_ways(&ShareEnumRequest { server: None, level, preferred_length: 9, resume: None });
            let shares = vec![share(level, "IPC$"), share(level, "é")];
            both_ways(&ShareEnumResponse { level, shares, total: 2, resume: Some(0), result: 0 });
            both_ways(&ShareEnumResponse { level, result: 5, ..ShareEnumResponse::default() });
            both_ways(&ShareGetInfoRequest { server: None, share: "x".into(), level });
            both_ways(&ShareGetInfoResponse { level, share: Some(share(level, "x")), result: 0 });
            both_ways(&ShareGetInfoResponse { level, share: None, result: 2310 });
        }
        for level in [100, 101] {
            both_ways(&ServerGetInfoRequest { server: Some("\\\\s".into()), level });
            let mut server = ServerInfo { platform: 500, name: "S".into(), ..ServerInfo::default() };
            if level == 101 {
                server = ServerInfo { major: 6, minor: 1, kind: 0x9_9A03, comment: "Samba".into(), ..server };
            }
            both_ways(&ServerGetInfoResponse { level, server: Some(server), result: 0 });
            both_ways(&ServerGetInfoResponse { level, server: None, result: 124 });
        }
    }

    #[test]
    fn a_call_is_as_others_write_it() {
        let call = ShareEnumRequest { server: None, level: 1, preferred_length: u32::MAX, resume: Some(0) };
        let expected = [
            &[0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
            &[0xFF, 0xFF, 0xFF, 0xFF, 4, 0, 2, 0, 0, 0, 0, 0],
        ]
        .concat();
        vector(&call, &expected);
    }

    /// What rpcclient and smbd 4.17 said to each other, without the PDUs' headers.
    fn captured<T: Wire>(stub: &str) -> T {
        crate::fscc::from_bytes(&Bytes::from(hex::decode(stub).unwrap())).unwrap()
    }

    #[test]
    fn sambas_shares_can_be_read() {
        let read: ShareEnumResponse = captured(
            "010000000100000008000200010000000c000200010000001000020000000000140002000400000000000000\
             0400000070007500620000000c000000000000000c0000007400680065002000e90020007300680061007200\
             65000000010000000000000000000000",
        );
        let share = ShareInfo { name: "pub".into(), remark: "the é share".into(), ..ShareInfo::default() };
        assert_eq!(
            read,
            ShareEnumResponse { level: 1, shares: vec![share.clone()], total: 1, resume: None, result: 0 }
        );
        let read: ShareGetInfoResponse = captured(
            "020000000400020008000200000000000c00020000000000ffffffff00000000100002001400020004000000\
             000000000400000070007500620000000c000000000000000c0000007400680065002000e900200073006800\
             610072006500000013000000000000001300000043003a005c0074006d0070005c006800310073006d006200\
             5c0073006800610072006500000000000100000000000000010000000000000000000000",
        );
        let share = ShareInfo { max_uses: u32::MAX, path: "C:\\tmp\\h1smb\\share".into(), ..share };
        assert_eq!(read, ShareGetInfoResponse { level: 2, share: Some(share), result: 0 });
    }

    #[test]
    fn sambas_server_can_be_read() {
        let read: ServerGetInfoResponse = captured(
            "6500000004000200f4010000080002000600000001000000039a80000c000200070000000000000007000000\
             480031005400450053005400000000000800000000000000080000004800310020007400650073007400000000000000",
        );
        let server = ServerInfo {
            platform: 500,
            name: "H1TEST".into(),
            major: 6,
            minor: 1,
            kind: 0x0080_9A03,
            comment: "H1 test".into(),
        };
        assert_eq!(read, ServerGetInfoResponse { level: 101, server: Some(server), result: 0 });
    }

    #[test]
    fn sambas_calls_can_be_read() {
        let call: ServerGetInfoRequest = captured(
            "000002000d000000000000000d0000005c005c003100320037002e00370037002e0030002e0032000000000065000000",
        );
        assert_eq!(call, ServerGetInfoRequest { server: Some("\\\\127.77.0.2".into()), level: 101 });
        let call: ShareEnumRequest = captured(
            "000002000b000000000000000b0000003100320037002e00370037002e0030002e0032000000000001000000\
             01000000040002000000000000000000ffffffff00000000",
        );
        assert_eq!(
            call,
            ShareEnumRequest {
                server: Some("127.77.0.2".into()),
                level: 1,
                preferred_length: u32::MAX,
                resume: None
            }
        );
    }

    #[test]
    fn kinds_and_their_flags() {
        assert!(ShareKind(0x8000_0003).is_special() && !ShareKind(0x8000_0003).is_temporary());
        assert_eq!(ShareKind(0xC000_0003).base(), ShareKind::IPC);
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(level in 0..4u8, data in prop::collection::vec(0..4u8, 0..120)) {
            let mut bytes = vec![level, 0, 0, 0, level, 0, 0, 0, 1, 0, 0, 0];
            bytes.extend(data);
            let bytes = Bytes::from(bytes);
            bear::<ShareEnumResponse>(&bytes);
            bear::<ShareGetInfoResponse>(&bytes);
            bear::<ServerGetInfoResponse>(&bytes);
            bear::<ShareEnumRequest>(&bytes);
            bear::<ShareGetInfoRequest>(&bytes);
            bear::<ServerGetInfoRequest>(&bytes);
        }
    }
}
