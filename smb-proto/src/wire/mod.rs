//! The wire format of SMB2 messages ([MS-SMB2] 2.2), in both directions.
//!
//! Decoders are total: any bytes give a value or a [`DecodeError`]. What they return shares the frame's
//! memory ([`bytes::Bytes`]); nothing is allocated that the frame's own length does not pay for.

mod buf;
#[cfg(test)]
pub(crate) mod check;
mod compression;
mod control_code;
mod create;
mod create_context;
mod error;
mod header;
mod io;
mod message;
mod negotiate;
mod notification;
mod oplock;
mod query;
mod record;
mod session;
#[cfg(test)]
mod tests;
mod transform;
mod tree;
mod validate;

pub use buf::{DecodeError, Guid, Reader, Wire, Writer, utf16_to_string};
pub(crate) use buf::{len16, len32, utf16_len};
pub use compression::{CompressedMessage, CompressedPayload, PatternPayload, compression_algorithm};
pub use control_code::fsctl;
pub use create::{
    AccessMask, CreateAction, CreateDisposition, CreateOptions, CreateRequest, CreateResponse, FileId,
    FileTimes, OplockLevel, ShareAccess,
};
pub use create_context::{CreateContext, Lease, LeaseState, LeaseV2};
pub use error::{ErrorContext, ErrorDetail, ErrorResponse, ShareRedirect, SymlinkError, error_id};
pub use header::{Command, HEADER_LEN, Header, HeaderFlags, Route, SIGNATURE_OFFSET, SMB2_MAGIC};
pub use io::{
    CloseRequest, CloseResponse, FlushRequest, LockElement, LockFlags, LockRequest, ReadRequest,
    ReadResponse, WriteRequest, WriteResponse,
};
pub(crate) use message::each_message;
pub use message::{Request, Response, encode_message, split_compound};
pub use negotiate::{
    Capabilities, Dialect, NegotiateContext, NegotiateRequest, NegotiateResponse, SecurityMode,
};
pub use notification::ServerNotification;
pub use oplock::{BreakBody, LeaseBreakAck, LeaseBreakNotification, OplockBreak};
pub use query::{
    BufferResponse, ChangeNotifyRequest, InfoType, IoctlRequest, IoctlResponse, QueryDirectoryFlags,
    QueryDirectoryRequest, QueryInfoRequest, SetInfoRequest, SetInfoResponse,
};
pub(crate) use record::{flags_on_wire, record};
pub use session::{
    Empty, SessionFlags, SessionSetupFlags, SessionSetupRequest, SessionSetupResponse, ShareCapabilities,
    ShareFlags, ShareType, TreeConnectRequest, TreeConnectResponse,
};
pub use transform::{
    COMPRESSION_MAGIC, MAX_FRAME, TRANSFORM_AAD_OFFSET, TRANSFORM_LEN, TRANSFORM_MAGIC, TransformHeader,
    frame_length, frame_prefix,
};
pub use tree::{TreeConnectContext, TreeConnectExtendedRequest, TreeConnectFlags};
pub use validate::{ValidateNegotiateRequest, ValidateNegotiateResponse};
