//! Remote procedure calls over a named pipe: just enough DCE/RPC to ask a server for its shares
//! ([MS-RPCE], C706, [MS-SRVS]).
//!
//! Nothing here does I/O. A caller opens the pipe `srvsvc` on `IPC$`, writes [`Bind`] and reads [`BindAck`], then
//! for each call writes [`request_fragments`] and feeds what it reads to a [`Reassembly`]; the pipe is authenticated
//! by its session, so authentication of RPC's own is refused.

mod call;
mod ndr;
mod pdu;
mod presentation;
mod reassembly;
mod server_info;
mod share_info;
mod srvsvc;

pub use call::{Fault, RpcRequest, RpcResponse, request_fragments, response_fragments};
pub use ndr::{NdrReader, NdrWriter};
pub use pdu::{MAX_FRAGMENT, PduFlags, PduHeader, PduKind, PduType, RpcPdu};
pub use presentation::{Bind, BindAck, BindNak, BindResult, PresentationContext, SyntaxId};
pub use reassembly::{Reassembly, RpcError, RpcReply};
pub use server_info::ServerInfo;
pub use share_info::{ShareInfo, ShareKind};
pub use srvsvc::{
    PIPE, SRVSVC, ServerGetInfoRequest, ServerGetInfoResponse, ShareEnumRequest, ShareEnumResponse,
    ShareGetInfoRequest, ShareGetInfoResponse, bind,
};
