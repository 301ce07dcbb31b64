//! The SMB2 packet header ([MS-SMB2] 2.2.1).

use super::buf::{DecodeError, Reader, Wire, Writer};

/// The header's length in bytes.
pub const HEADER_LEN: usize = 64;
/// Where the 16-byte signature stands in the header.
pub const SIGNATURE_OFFSET: usize = 48;
/// The first four bytes of an SMB2 message.
pub const SMB2_MAGIC: [u8; 4] = [0xFE, b'S', b'M', b'B'];

/// What a message asks or answers ([MS-SMB2] 2.2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs)] // the specification's names say it
pub enum Command {
    Negotiate = 0x00,
    SessionSetup = 0x01,
    Logoff = 0x02,
    TreeConnect = 0x03,
    TreeDisconnect = 0x04,
    Create = 0x05,
    Close = 0x06,
    Flush = 0x07,
    Read = 0x08,
    Write = 0x09,
    Lock = 0x0A,
    Ioctl = 0x0B,
    Cancel = 0x0C,
    Echo = 0x0D,
    QueryDirectory = 0x0E,
    ChangeNotify = 0x0F,
    QueryInfo = 0x10,
    SetInfo = 0x11,
    OplockBreak = 0x12,
    ServerNotification = 0x13,
}

impl Command {
    /// All commands in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Negotiate,
        Self::SessionSetup,
        Self::Logoff,
        Self::TreeConnect,
        Self::TreeDisconnect,
        Self::Create,
        Self::Close,
        Self::Flush,
        Self::Read,
        Self::Write,
        Self::Lock,
        Self::Ioctl,
        Self::Cancel,
        Self::Echo,
        Self::QueryDirectory,
        Self::ChangeNotify,
        Self::QueryInfo,
        Self::SetInfo,
        Self::OplockBreak,
        Self::ServerNotification,
    ];

    /// The command with this number.
    pub fn from_wire(value: u16) -> Option<Self> {
        Self::ALL.get(usize::from(value)).copied()
    }
}

bitflags::bitflags! {
    /// Header flags ([MS-SMB2] 2.2.1.2).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HeaderFlags: u32 {
        /// A response, not a request.
        const SERVER_TO_REDIR = 0x0000_0001;
        /// The header is an async one.
        const ASYNC_COMMAND = 0x0000_0002;
        /// A related operation of a compound chain.
        const RELATED_OPERATIONS = 0x0000_0004;
        /// The message is signed.
        const SIGNED = 0x0000_0008;
        /// 3.1.1: the request's priority, 0 to 7.
        const PRIORITY_MASK = 0x0000_0070;
        /// The path is a DFS path.
        const DFS_OPERATIONS = 0x1000_0000;
        /// The request is sent again after a lost connection.
        const REPLAY_OPERATION = 0x2000_0000;
        const _ = !0;
    }
}

/// Who a message is about: synchronous messages name a tree, asynchronous ones an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `SMB2_FLAGS_ASYNC_COMMAND` is clear.
    Sync {
        /// The tree connect, 0 for none.
        tree_id: u32,
    },
    /// `SMB2_FLAGS_ASYNC_COMMAND` is set.
    Async {
        /// What the server called the pending operation.
        async_id: u64,
    },
}

/// The header of each message ([MS-SMB2] 2.2.1.1, 2.2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many credits the request costs; 0 in dialect 2.0.2.
    pub credit_charge: u16,
    /// Responses: the NTSTATUS. Requests: the channel sequence in the low half.
    pub status: u32,
    /// What is asked or answered.
    pub command: Command,
    /// Credits asked for, or granted.
    pub credits: u16,
    /// See [`HeaderFlags`]; the async flag follows `route`.
    pub flags: HeaderFlags,
    /// The distance to the next message of a compound chain, 0 for the last one.
    pub next_command: u32,
    /// Pairs requests with responses.
    pub message_id: u64,
    /// Tree or asynchronous operation.
    pub route: Route,
    /// The session, 0 for none.
    pub session_id: u64,
    /// Zero unless signed.
    pub signature: [u8; 16],
}

impl Header {
    /// A request header with everything else zero.
    pub const fn request(command: Command, message_id: u64) -> Self {
        Self {
            credit_charge: 0,
            status: 0,
            command,
            credits: 0,
            flags: HeaderFlags::empty(),
            next_command: 0,
            message_id,
            route: Route::Sync { tree_id: 0 },
            session_id: 0,
            signature: [0; 16],
        }
    }

    /// The header of the answer to `request`, synchronous and unsigned.
    pub const fn response_to(request: &Self, status: u32, credits: u16) -> Self {
        Self {
            credit_charge: request.credit_charge,
            status,
            command: request.command,
            credits,
            flags: HeaderFlags::SERVER_TO_REDIR,
            next_command: 0,
            message_id: request.message_id,
            route: request.route,
            session_id: request.session_id,
            signature: [0; 16],
        }
    }

    /// Whether this is a response.
    pub const fn is_response(&self) -> bool {
        self.flags.contains(HeaderFlags::SERVER_TO_REDIR)
    }

    /// The tree of a synchronous message, else 0.
    pub const fn tree_id(&self) -> u32 {
        match self.route {
            Route::Sync { tree_id } => tree_id,
            Route::Async { .. } => 0,
        }
    }
}

impl Wire for Header {
    fn encode(&self, w: &mut Writer<'_>) {
        let asynchronous = matches!(self.route, Route::Async { .. });
        let mut flags = self.flags;
        flags.set(HeaderFlags::ASYNC_COMMAND, asynchronous);
        w.bytes(&SMB2_MAGIC);
        w.u16(64);
        w.u16(self.credit_charge);
        w.u32(self.status);
        w.u16(self.command as u16);
        w.u16(self.credits);
        w.u32(flags.bits());
        w.u32(self.next_command);
        w.u64(self.message_id);
        match self.route {
            Route::Sync { tree_id } => {
                w.u32(0);
                w.u32(tree_id);
            }
            Route::Async { async_id } => w.u64(async_id),
        }
        w.u64(self.session_id);
        w.bytes(&self.signature);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.array()? != SMB2_MAGIC {
            return Err(DecodeError::Invalid("protocol id"));
        }
        r.structure_size(64)?;
        let credit_charge = r.u16()?;
        let status = r.u32()?;
        let command = Command::from_wire(r.u16()?).ok_or(DecodeError::Invalid("command"))?;
        let credits = r.u16()?;
        let flags = HeaderFlags::from_bits_retain(r.u32()?);
        let next_command = r.u32()?;
        let message_id = r.u64()?;
        let route = if flags.contains(HeaderFlags::ASYNC_COMMAND) {
            Route::Async { async_id: r.u64()? }
        } else {
            r.u32()?;
            Route::Sync { tree_id: r.u32()? }
        };
        let session_id = r.u64()?;
        let signature = r.array()?;
        Ok(Self {
            credit_charge,
            status,
            command,
            credits,
            flags,
            next_command,
            message_id,
            route,
            session_id,
            signature,
        })
    }
}
