//! Whole messages: the body that belongs to a header, error responses, compound chains.

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer};
use super::create::{CreateRequest, CreateResponse, FileId};
use super::header::{Command, HEADER_LEN, Header};
use super::io::{
    CloseRequest, CloseResponse, FlushRequest, LockRequest, ReadRequest, ReadResponse, WriteRequest,
    WriteResponse,
};
use super::negotiate::{NegotiateRequest, NegotiateResponse};
use super::notification::ServerNotification;
use super::oplock::BreakBody;
use super::query::{
    BufferResponse, ChangeNotifyRequest, IoctlRequest, IoctlResponse, QueryDirectoryRequest,
    QueryInfoRequest, SetInfoRequest, SetInfoResponse,
};
use super::session::{
    Empty, SessionSetupRequest, SessionSetupResponse, TreeConnectRequest, TreeConnectResponse,
};
use super::tree::{TreeConnectExtendedRequest, has_extension};
use crate::status::NtStatus;

/// More messages in one frame than this is an attack: the largest chain that a client of ours sends is 8.
const MAX_CHAIN: usize = 64;

macro_rules! bodies {
    ($(#[$meta:meta])* $name:ident, $decode:literal { $($variant:ident($body:ty) = $command:ident $(if $guard:ident)?,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(missing_docs)] // each variant is the command of its name
        #[allow(clippy::large_enum_variant)] // bodies live one at a time, boxing would cost more
        pub enum $name {
            $($variant($body),)*
        }

        impl $name {
            /// The command that the header must carry.
            pub const fn command(&self) -> Command {
                match self {
                    $(Self::$variant(_) => Command::$command,)*
                }
            }

            #[doc = $decode]
            #[allow(unreachable_patterns)] // CANCEL has no response, a notification no request
            pub fn decode(command: Command, message: &Bytes) -> Result<Self, DecodeError> {
                let r = &mut Reader::new(message, HEADER_LEN);
                Ok(match command {
                    $(Command::$command $(if $guard(message))? => Self::$variant(Wire::decode(r)?),)*
                    _ => return Err(DecodeError::Invalid("command")),
                })
            }

            /// Appends the body.
            pub fn encode(&self, w: &mut Writer<'_>) {
                match self {
                    $(Self::$variant(body) => body.encode(w),)*
                }
            }
        }
    };
}

bodies! {
    /// The body of a request.
    Request, "Reads the body of a request; `message` begins with the header." {
        Negotiate(NegotiateRequest) = Negotiate,
        SessionSetup(SessionSetupRequest) = SessionSetup,
        Logoff(Empty) = Logoff,
        TreeConnectExtended(TreeConnectExtendedRequest) = TreeConnect if has_extension,
        TreeConnect(TreeConnectRequest) = TreeConnect,
        TreeDisconnect(Empty) = TreeDisconnect,
        Create(CreateRequest) = Create,
        Close(CloseRequest) = Close,
        Flush(FlushRequest) = Flush,
        Read(ReadRequest) = Read,
        Write(WriteRequest) = Write,
        Lock(LockRequest) = Lock,
        Ioctl(IoctlRequest) = Ioctl,
        Cancel(Empty) = Cancel,
        Echo(Empty) = Echo,
        QueryDirectory(QueryDirectoryRequest) = QueryDirectory,
        ChangeNotify(ChangeNotifyRequest) = ChangeNotify,
        QueryInfo(QueryInfoRequest) = QueryInfo,
        SetInfo(SetInfoRequest) = SetInfo,
        OplockBreak(BreakBody) = OplockBreak,
    }
}

bodies! {
    /// The body of a successful response, or of a warning that carries data.
    Response, "Reads the body of a response whose status [`Self::carries_body`]; `message` begins with the header." {
        Negotiate(NegotiateResponse) = Negotiate,
        SessionSetup(SessionSetupResponse) = SessionSetup,
        Logoff(Empty) = Logoff,
        TreeConnect(TreeConnectResponse) = TreeConnect,
        TreeDisconnect(Empty) = TreeDisconnect,
        Create(CreateResponse) = Create,
        Close(CloseResponse) = Close,
        Flush(Empty) = Flush,
        Read(ReadResponse) = Read,
        Write(WriteResponse) = Write,
        Lock(Empty) = Lock,
        Ioctl(IoctlResponse) = Ioctl,
        Echo(Empty) = Echo,
        QueryDirectory(BufferResponse) = QueryDirectory,
        ChangeNotify(BufferResponse) = ChangeNotify,
        QueryInfo(BufferResponse) = QueryInfo,
        SetInfo(SetInfoResponse) = SetInfo,
        OplockBreak(BreakBody) = OplockBreak,
        ServerNotification(ServerNotification) = ServerNotification,
    }
}

impl Response {
    /// Whether a response with this status has the command's own body and not an error's
    /// ([MS-SMB2] 2.2.2, 3.3.4.4).
    pub fn carries_body(command: Command, status: NtStatus) -> bool {
        match status {
            NtStatus::MORE_PROCESSING_REQUIRED => command == Command::SessionSetup,
            NtStatus::BUFFER_OVERFLOW => {
                matches!(command, Command::QueryInfo | Command::Ioctl | Command::Read)
            }
            NtStatus::NOTIFY_ENUM_DIR => command == Command::ChangeNotify,
            NtStatus::PENDING | NtStatus::NOTIFY_CLEANUP => false,
            status => status.is_success(),
        }
    }
}

impl Request {
    /// Names the open of a request that would take it from the request before in its chain.
    pub fn relate(&mut self, open: FileId) {
        let file_id = match self {
            Self::Close(body) => &mut body.file_id,
            Self::Flush(body) => &mut body.file_id,
            Self::Read(body) => &mut body.file_id,
            Self::Write(body) => &mut body.file_id,
            Self::Lock(body) => &mut body.file_id,
            Self::Ioctl(body) => &mut body.file_id,
            Self::QueryDirectory(body) => &mut body.file_id,
            Self::ChangeNotify(body) => &mut body.file_id,
            Self::QueryInfo(body) => &mut body.file_id,
            Self::SetInfo(body) => &mut body.file_id,
            _ => return,
        };
        if *file_id == FileId::RELATED {
            *file_id = open;
        }
    }
}

/// Appends a message to `out`: the header, then what `body` writes.
pub fn encode_message(out: &mut Vec<u8>, header: &Header, body: impl FnOnce(&mut Writer<'_>)) {
    let mut w = Writer::new(out);
    header.encode(&mut w);
    body(&mut w);
}

/// Splits a frame into its messages, each with its header decoded; each but the last keeps its padding, which
/// the signature covers ([MS-SMB2] 3.2.5.1.9, 3.1.4.1).
pub fn split_compound(frame: &Bytes) -> Result<Vec<(Header, Bytes)>, DecodeError> {
    let mut messages = Vec::new();
    each_message(frame, |header, message| messages.push((header, message)))?;
    Ok(messages)
}

/// Gives `take` each message of a frame, as [`split_compound`] returns them.
pub(crate) fn each_message(frame: &Bytes, mut take: impl FnMut(Header, Bytes)) -> Result<(), DecodeError> {
    let mut rest = frame.clone();
    for _ in 0..MAX_CHAIN {
        let header = Header::decode(&mut Reader::new(&rest, 0))?;
        let next = header.next_command as usize;
        if next == 0 {
            take(header, rest);
            return Ok(());
        }
        if next < HEADER_LEN || !next.is_multiple_of(8) || next >= rest.len() {
            return Err(DecodeError::Invalid("next command offset"));
        }
        take(header, rest.split_to(next));
    }
    Err(DecodeError::Invalid("chain length"))
}
