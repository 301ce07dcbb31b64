//! NEGOTIATE ([MS-SMB2] 2.2.3, 2.2.4) and its contexts.

use bytes::Bytes;

use super::buf::{DecodeError, Guid, Reader, Wire, Writer, len16, len32, utf16_to_string};
use crate::fscc::FileTime;

/// A dialect revision ([MS-SMB2] 2.2.3). Later ones compare greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Dialect {
    /// SMB 2.0.2
    Smb202 = 0x0202,
    /// SMB 2.1
    Smb210 = 0x0210,
    /// SMB 3.0
    Smb300 = 0x0300,
    /// SMB 3.0.2
    Smb302 = 0x0302,
    /// SMB 3.1.1
    Smb311 = 0x0311,
}

impl Dialect {
    /// All dialects, oldest first.
    pub const ALL: [Self; 5] = [Self::Smb202, Self::Smb210, Self::Smb300, Self::Smb302, Self::Smb311];

    /// The dialect with this number; the wildcard 0x02FF is none.
    pub fn from_wire(value: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| *dialect as u16 == value)
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Smb202 => "2.0.2",
            Self::Smb210 => "2.1",
            Self::Smb300 => "3.0",
            Self::Smb302 => "3.0.2",
            Self::Smb311 => "3.1.1",
        })
    }
}

bitflags::bitflags! {
    /// Security mode ([MS-SMB2] 2.2.3).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SecurityMode: u16 {
        /// Signing is possible.
        const SIGNING_ENABLED = 0x0001;
        /// Signing is mandatory.
        const SIGNING_REQUIRED = 0x0002;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Capabilities ([MS-SMB2] 2.2.3, 2.2.4).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Capabilities: u32 {
        /// DFS
        const DFS = 0x0000_0001;
        /// Leases
        const LEASING = 0x0000_0002;
        /// Multi-credit requests
        const LARGE_MTU = 0x0000_0004;
        /// Several connections per session
        const MULTI_CHANNEL = 0x0000_0008;
        /// Persistent handles
        const PERSISTENT_HANDLES = 0x0000_0010;
        /// Directory leases
        const DIRECTORY_LEASING = 0x0000_0020;
        /// Encryption (dialects 3.0 and 3.0.2)
        const ENCRYPTION = 0x0000_0040;
        /// Notifications from the server (dialect 3.1.1)
        const NOTIFICATIONS = 0x0000_0080;
        const _ = !0;
    }
}

/// A negotiate context of dialect 3.1.1 ([MS-SMB2] 2.2.3.1). Algorithm lists hold wire numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NegotiateContext {
    /// `SMB2_PREAUTH_INTEGRITY_CAPABILITIES`
    PreauthIntegrity {
        /// Hash algorithms; 1 is SHA-512.
        algorithms: Vec<u16>,
        /// Random bytes against precomputation.
        salt: Bytes,
    },
    /// `SMB2_ENCRYPTION_CAPABILITIES`
    Encryption {
        /// Ciphers, best first.
        ciphers: Vec<u16>,
    },
    /// `SMB2_COMPRESSION_CAPABILITIES`
    Compression {
        /// Bit 0: chained compression.
        flags: u32,
        /// Algorithms, best first.
        algorithms: Vec<u16>,
    },
    /// `SMB2_NETNAME_NEGOTIATE_CONTEXT_ID`
    Netname(String),
    /// `SMB2_TRANSPORT_CAPABILITIES`
    Transport(u32),
    /// `SMB2_RDMA_TRANSFORM_CAPABILITIES`
    RdmaTransform(Vec<u16>),
    /// `SMB2_SIGNING_CAPABILITIES`
    Signing {
        /// Algorithms, best first.
        algorithms: Vec<u16>,
    },
    /// `SMB2_POSIX_EXTENSIONS_AVAILABLE`, of the SMB3 POSIX extensions: the names of their versions, 16 bytes each
    /// ([`crate::fscc::POSIX_EXTENSIONS`]).
    Posix(Vec<[u8; 16]>),
    /// A context of a type that has no variant here.
    Other {
        /// The context's number.
        kind: u16,
        /// Its content.
        data: Bytes,
    },
}

fn u16_list(r: &mut Reader<'_>, count: u16) -> Result<Vec<u16>, DecodeError> {
    if usize::from(count) * 2 > r.remaining() {
        return Err(DecodeError::Truncated);
    }
    (0..count).map(|_| r.u16()).collect()
}

fn put_u16_list(w: &mut Writer<'_>, list: &[u16]) {
    list.iter().for_each(|value| w.u16(*value));
}

impl NegotiateContext {
    const fn kind(&self) -> u16 {
        match self {
            Self::PreauthIntegrity { .. } => 1,
            Self::Encryption { .. } => 2,
            Self::Compression { .. } => 3,
            Self::Netname(_) => 5,
            Self::Transport(_) => 6,
            Self::RdmaTransform(_) => 7,
            Self::Signing { .. } => 8,
            Self::Posix(_) => 0x100,
            Self::Other { kind, .. } => *kind,
        }
    }

    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.kind());
        let length_at = w.position();
        w.u16(0);
        w.u32(0);
        let start = w.position();
        match self {
            Self::PreauthIntegrity { algorithms, salt } => {
                w.u16(len16(algorithms.len()));
                w.u16(len16(salt.len()));
                put_u16_list(w, algorithms);
                w.bytes(salt);
            }
            Self::Encryption { ciphers: list } | Self::Signing { algorithms: list } => {
                w.u16(len16(list.len()));
                put_u16_list(w, list);
            }
            Self::Compression { flags, algorithms } => {
                w.u16(len16(algorithms.len()));
                w.u16(0);
                w.u32(*flags);
                put_u16_list(w, algorithms);
            }
            Self::Netname(name) => w.utf16(name),
            Self::Transport(flags) => w.u32(*flags),
            Self::RdmaTransform(list) => {
                w.u16(len16(list.len()));
                w.u16(0);
                w.u32(0);
                put_u16_list(w, list);
            }
            Self::Posix(versions) => versions.iter().for_each(|version| w.bytes(version)),
            Self::Other { data, .. } => w.bytes(data),
        }
        w.patch_u16(length_at, len16(w.position() - start));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = r.u16()?;
        let length = r.u16()?;
        r.u32()?;
        let data = r.bytes(usize::from(length))?;
        let r = &mut Reader::new(&data, 0);
        Ok(match kind {
            1 => {
                let count = r.u16()?;
                let salt = usize::from(r.u16()?);
                Self::PreauthIntegrity { algorithms: u16_list(r, count)?, salt: r.bytes(salt)? }
            }
            2 => {
                let count = r.u16()?;
                Self::Encryption { ciphers: u16_list(r, count)? }
            }
            3 => {
                let count = r.u16()?;
                r.u16()?;
                let flags = r.u32()?;
                Self::Compression { flags, algorithms: u16_list(r, count)? }
            }
            5 => Self::Netname(utf16_to_string(&data)?),
            6 => Self::Transport(r.u32()?),
            7 => {
                let count = r.u16()?;
                r.u16()?;
                r.u32()?;
                Self::RdmaTransform(u16_list(r, count)?)
            }
            8 => {
                let count = r.u16()?;
                Self::Signing { algorithms: u16_list(r, count)? }
            }
            0x100 => {
                let versions = (0..data.len() / 16).map(|_| r.array()).collect::<Result<_, _>>()?;
                Self::Posix(versions)
            }
            kind => Self::Other { kind, data },
        })
    }

    fn encode_list(contexts: &[Self], w: &mut Writer<'_>) {
        for (i, context) in contexts.iter().enumerate() {
            if i > 0 {
                w.align(8);
            }
            context.encode(w);
        }
    }

    fn decode_list(r: &mut Reader<'_>, offset: usize, count: u16) -> Result<Vec<Self>, DecodeError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let skip = offset.checked_sub(r.position()).ok_or(DecodeError::OutOfBounds("negotiate context"))?;
        r.skip(skip)?;
        let mut contexts = Vec::new();
        for i in 0..count {
            if i > 0 {
                r.skip(r.position().next_multiple_of(8) - r.position())?;
            }
            contexts.push(Self::decode(r)?);
        }
        Ok(contexts)
    }
}

/// SMB2 NEGOTIATE Request ([MS-SMB2] 2.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiateRequest {
    /// What the client wants of signing.
    pub security_mode: SecurityMode,
    /// What the client can do.
    pub capabilities: Capabilities,
    /// Names this client machine.
    pub client_guid: Guid,
    /// Dialect numbers on offer.
    pub dialects: Vec<u16>,
    /// Only with dialect 3.1.1 among the offers.
    pub contexts: Vec<NegotiateContext>,
}

impl Wire for NegotiateRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(36);
        w.u16(len16(self.dialects.len()));
        w.u16(self.security_mode.bits());
        w.u16(0);
        w.u32(self.capabilities.bits());
        w.bytes(&self.client_guid.0);
        let contexts_at = w.position();
        w.u32(0);
        w.u16(len16(self.contexts.len()));
        w.u16(0);
        put_u16_list(w, &self.dialects);
        if !self.contexts.is_empty() {
            w.align(8);
            w.patch_u32(contexts_at, len32(w.position()));
            NegotiateContext::encode_list(&self.contexts, w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(36)?;
        let count = r.u16()?;
        let security_mode = SecurityMode::from_bits_retain(r.u16()?);
        r.u16()?;
        let capabilities = Capabilities::from_bits_retain(r.u32()?);
        let client_guid = r.guid()?;
        let offset = r.u32()? as usize;
        let context_count = r.u16()?;
        r.u16()?;
        let dialects = u16_list(r, count)?;
        let with_contexts = dialects.contains(&(Dialect::Smb311 as u16));
        let contexts =
            if with_contexts { NegotiateContext::decode_list(r, offset, context_count)? } else { Vec::new() };
        Ok(Self { security_mode, capabilities, client_guid, dialects, contexts })
    }
}

/// SMB2 NEGOTIATE Response ([MS-SMB2] 2.2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiateResponse {
    /// What the server wants of signing.
    pub security_mode: SecurityMode,
    /// The chosen dialect's number, or 0x02FF.
    pub dialect: u16,
    /// Names this server.
    pub server_guid: Guid,
    /// What the server can do.
    pub capabilities: Capabilities,
    /// The largest buffer of a query, set info, notify or ioctl in bytes.
    pub max_transact: u32,
    /// The largest read in bytes.
    pub max_read: u32,
    /// The largest write in bytes.
    pub max_write: u32,
    /// The server's clock.
    pub system_time: FileTime,
    /// When the server started, or zero.
    pub start_time: FileTime,
    /// The server's first security token.
    pub token: Bytes,
    /// Only with dialect 3.1.1.
    pub contexts: Vec<NegotiateContext>,
}

impl Wire for NegotiateResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(65);
        w.u16(self.security_mode.bits());
        w.u16(self.dialect);
        w.u16(len16(self.contexts.len()));
        w.bytes(&self.server_guid.0);
        w.u32(self.capabilities.bits());
        w.u32(self.max_transact);
        w.u32(self.max_read);
        w.u32(self.max_write);
        w.u64(self.system_time.0);
        w.u64(self.start_time.0);
        w.u16(len16(w.position() + 8));
        w.u16(len16(self.token.len()));
        let contexts_at = w.position();
        w.u32(0);
        w.bytes(&self.token);
        if !self.contexts.is_empty() {
            w.align(8);
            w.patch_u32(contexts_at, len32(w.position()));
            NegotiateContext::encode_list(&self.contexts, w);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(65)?;
        let security_mode = SecurityMode::from_bits_retain(r.u16()?);
        let dialect = r.u16()?;
        let context_count = r.u16()?;
        let server_guid = r.guid()?;
        let capabilities = Capabilities::from_bits_retain(r.u32()?);
        let max_transact = r.u32()?;
        let max_read = r.u32()?;
        let max_write = r.u32()?;
        let system_time = FileTime(r.u64()?);
        let start_time = FileTime(r.u64()?);
        let token_offset = usize::from(r.u16()?);
        let token_length = usize::from(r.u16()?);
        let contexts_offset = r.u32()? as usize;
        let token = r.at(token_offset, token_length, "security token")?;
        let contexts = if dialect == Dialect::Smb311 as u16 {
            NegotiateContext::decode_list(r, contexts_offset, context_count)?
        } else {
            Vec::new()
        };
        Ok(Self {
            security_mode,
            dialect,
            server_guid,
            capabilities,
            max_transact,
            max_read,
            max_write,
            system_time,
            start_time,
            token,
            contexts,
        })
    }
}
