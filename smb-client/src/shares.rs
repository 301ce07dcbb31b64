//! Which shares a server has, and what it is: calls of its server service over a named pipe.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::rpc::{
    PIPE, PduKind, Reassembly, RpcError, RpcPdu, RpcReply, ServerGetInfoRequest, ServerGetInfoResponse,
    ServerInfo, ShareEnumRequest, ShareEnumResponse, ShareGetInfoRequest, ShareGetInfoResponse, ShareInfo,
    bind, request_fragments,
};
use smb_proto::wire::{AccessMask, Response, Wire, fsctl};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::file::File;
use crate::open::OpenOptions;
use crate::share::read;

/// The share of pipes.
const PIPES: &str = "IPC$";
/// Bytes to ask a pipe for at once.
const PIECE: u32 = 32 << 10;
/// Bytes of an answer at most: some ten thousand shares.
const LONGEST: usize = 4 << 20;
/// Reads for one answer at most: servers give a fragment at a time, of some four thousand bytes.
const MOST_READS: usize = LONGEST / 1024;
/// Answers to one question at most, where the server gives it in parts.
const MOST_PARTS: usize = 256;
/// Win32 errors of the server service ([MS-SRVS] 2.2.2.10, [MS-ERREF] 2.2).
const MORE_DATA: u32 = 234;

/// A pipe bound to the server service.
struct Service {
    pipe: File,
    call_id: u32,
    max_fragment: u16,
}

impl Client {
    /// All shares of the server with their kinds and remarks, as far as it tells this user. Names are not checked:
    /// see [`ShareInfo::name`].
    ///
    /// # Errors
    /// The server refuses, does not tell, or is lost.
    pub async fn shares(&self) -> Result<Vec<ShareInfo>> {
        let mut service = Service::open(self).await?;
        let mut all = Vec::new();
        let mut request = ShareEnumRequest::all(&self.inner.host, 1);
        for _ in 0..MOST_PARTS {
            let answer: ShareEnumResponse = service.call(ShareEnumRequest::OPNUM, &request).await?;
            let (resume, before) = (answer.resume, request.resume);
            all.extend(answer.shares);
            match answer.result {
                0 => {
                    service.pipe.close().await?;
                    return Ok(all);
                }
                MORE_DATA if resume != before && all.len() < LONGEST / 16 => request.resume = resume,
                error => return Err(refused(error)),
            }
        }
        Err(Error::Malformed("a list of shares without an end"))
    }

    /// What the server says of one share.
    ///
    /// # Errors
    /// There is no such share ([`NtStatus::BAD_NETWORK_NAME`]), or the server refuses or is lost.
    pub async fn share_info(&self, share: &str) -> Result<ShareInfo> {
        let mut service = Service::open(self).await?;
        let server = Some(format!("\\\\{}", self.inner.host));
        let request = ShareGetInfoRequest { server, share: share.into(), level: 1 };
        let answer: ShareGetInfoResponse = service.call(ShareGetInfoRequest::OPNUM, &request).await?;
        service.pipe.close().await?;
        match answer.share {
            Some(share) if answer.result == 0 => Ok(share),
            _ => Err(refused(answer.result)),
        }
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn server_info(&self) -> Result<ServerInfo> {
        let mut service = Service::open(self).await?;
        let server = Some(format!("\\\\{}", self.inner.host));
        let request = ServerGetInfoRequest { server, level: 101 };
        let answer: ServerGetInfoResponse = service.call(ServerGetInfoRequest::OPNUM, &request).await?;
        service.pipe.close().await?;
        match answer.server {
            Some(server) if answer.result == 0 => Ok(server),
            _ => Err(refused(answer.result)),
        }
    }
}

impl Service {
    async fn open(client: &Client) -> Result<Self> {
        let share = client.share(PIPES).await?;
        let access = AccessMask::READ_DATA
            | AccessMask::WRITE_DATA
            | AccessMask::APPEND_DATA
            | AccessMask::READ_ATTRIBUTES
            | AccessMask::SYNCHRONIZE;
        let pipe = share.open(PIPE, &OpenOptions::existing(access)).await?;
        let mut service = Self { pipe, call_id: 1, max_fragment: smb_proto::rpc::MAX_FRAGMENT };
        let hello = to_bytes(&RpcPdu::whole(service.call_id, PduKind::Bind(bind())));
        match service.transact(vec![hello]).await? {
            RpcReply::BindAck(ack) if ack.results.first().is_some_and(|result| result.is_accepted()) => {
                service.max_fragment = ack.max_receive.min(service.max_fragment);
                Ok(service)
            }
            RpcReply::BindAck(_) | RpcReply::BindNak(_) => {
                Err(Error::refused("asking the server's service", NtStatus::NOT_SUPPORTED))
            }
            _ => Err(Error::Malformed("another answer than one to a bind")),
        }
    }

    async fn call<A: Wire>(&mut self, function: u16, arguments: &impl Wire) -> Result<A> {
        self.call_id += 1;
        let stub = to_bytes(arguments);
        match self.transact(request_fragments(self.call_id, 0, function, &stub, self.max_fragment)).await? {
            RpcReply::Response(results) => Ok(from_bytes(&results)?),
            RpcReply::Fault(status) => Err(refused(status)),
            _ => Err(Error::Malformed("another answer than one to a call")),
        }
    }

    /// Writes fragments and waits for the whole answer.
    async fn transact(&self, mut fragments: Vec<Bytes>) -> Result<RpcReply> {
        let last = fragments.pop().ok_or(Error::Malformed("no call"))?;
        for fragment in fragments {
            self.pipe.write_at(0, fragment).await?;
        }
        let mut answer = Reassembly::new(self.call_id, LONGEST);
        let request = (self.pipe.id(), fsctl::PIPE_TRANSCEIVE, last);
        let (_, mut data) = self.pipe.share().ioctl("asking the server's service", request, PIECE).await?;
        for _ in 0..MOST_READS {
            if let Some(reply) = answer.push(&data).map_err(unusable)? {
                return Ok(reply);
            }
            data = self.read().await?;
            if data.is_empty() {
                return Err(Error::Malformed("an answer that ends in the middle"));
            }
        }
        // Fragments may be empty: then no length ever is too long.
        Err(Error::Malformed("an answer without an end"))
    }

    /// What the pipe has next. A warning that there is more is none here: more is asked for until the answer is
    /// whole.
    async fn read(&self) -> Result<Bytes> {
        let share = self.pipe.share();
        let length = share.clamp(PIECE, share.max_read);
        let read = read(self.pipe.id(), 0, length);
        match share.request_one("asking the server's service", read).await? {
            Response::Read(body) if body.data.len() <= length as usize => Ok(body.data),
            _ => Err(Error::Malformed("more data than was asked for")),
        }
    }
}

const fn unusable(error: RpcError) -> Error {
    Error::Malformed(match error {
        RpcError::TooLong(_) => "an RPC answer that is too long",
        RpcError::OutOfOrder => "RPC fragments out of order",
        _ => "no RPC",
    })
}

/// A Win32 error as the NTSTATUS that says the same, or else in the facility for such ([MS-ERREF] 2.3).
const fn refused(error: u32) -> Error {
    let status = match error {
        5 => NtStatus::ACCESS_DENIED,
        50 => NtStatus::NOT_SUPPORTED,
        87 => NtStatus::INVALID_PARAMETER,
        // Samba calls the name of a share that it has not invalid.
        123 | 2310 => NtStatus::BAD_NETWORK_NAME,
        error if error <= 0xFFFF => NtStatus(0xC007_0000 | error),
        // A fault's own number, or a status already.
        error => NtStatus(error),
    };
    Error::refused("asking the server's service", status)
}
