//! SESSION_SETUP, TREE_CONNECT and the bodies that carry nothing ([MS-SMB2] 2.2.5 to 2.2.12).

use std::fmt;

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len16, utf16_len, utf16_to_string};
use super::negotiate::{Capabilities, SecurityMode};

bitflags::bitflags! {
    /// Session setup request flags ([MS-SMB2] 2.2.5).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SessionSetupFlags: u8 {
        /// Bind an existing session to this connection.
        const BINDING = 0x01;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Session flags ([MS-SMB2] 2.2.6).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SessionFlags: u16 {
        /// The server let the user in as guest.
        const IS_GUEST = 0x0001;
        /// The server let the user in as nobody.
        const IS_NULL = 0x0002;
        /// The server wants this session encrypted.
        const ENCRYPT_DATA = 0x0004;
        const _ = !0;
    }
}

/// SMB2 SESSION_SETUP Request ([MS-SMB2] 2.2.5).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSetupRequest {
    /// Binding or not.
    pub flags: SessionSetupFlags,
    /// What the client wants of signing.
    pub security_mode: SecurityMode,
    /// Only [`Capabilities::DFS`] means something here.
    pub capabilities: Capabilities,
    /// A session that this one replaces after a lost connection, or 0.
    pub previous_session_id: u64,
    /// The GSS token.
    pub token: Bytes,
}

// Passwords can be guessed against the token, so neither shows it.
impl fmt::Debug for SessionSetupRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSetupRequest")
            .field("flags", &self.flags)
            .field("previous_session_id", &self.previous_session_id)
            .field("token", &format_args!("{} bytes", self.token.len()))
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionSetupResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSetupResponse")
            .field("flags", &self.flags)
            .field("token", &format_args!("{} bytes", self.token.len()))
            .finish()
    }
}

impl Wire for SessionSetupRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(25);
        w.u8(self.flags.bits());
        w.u8(self.security_mode.bits() as u8);
        w.u32(self.capabilities.bits());
        w.u32(0);
        w.u16(len16(w.position() + 12));
        w.u16(len16(self.token.len()));
        w.u64(self.previous_session_id);
        w.bytes(&self.token);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(25)?;
        let flags = SessionSetupFlags::from_bits_retain(r.u8()?);
        let security_mode = SecurityMode::from_bits_retain(u16::from(r.u8()?));
        let capabilities = Capabilities::from_bits_retain(r.u32()?);
        r.u32()?;
        let offset = usize::from(r.u16()?);
        let length = usize::from(r.u16()?);
        let previous_session_id = r.u64()?;
        let token = r.at(offset, length, "security token")?;
        Ok(Self { flags, security_mode, capabilities, previous_session_id, token })
    }
}

/// SMB2 SESSION_SETUP Response ([MS-SMB2] 2.2.6).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionSetupResponse {
    /// Guest, anonymous, encrypted.
    pub flags: SessionFlags,
    /// The GSS token.
    pub token: Bytes,
}

impl Wire for SessionSetupResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(9);
        w.u16(self.flags.bits());
        w.u16(len16(w.position() + 4));
        w.u16(len16(self.token.len()));
        w.bytes(&self.token);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(9)?;
        let flags = SessionFlags::from_bits_retain(r.u16()?);
        let offset = usize::from(r.u16()?);
        let length = usize::from(r.u16()?);
        Ok(Self { flags, token: r.at(offset, length, "security token")? })
    }
}

/// SMB2 TREE_CONNECT Request ([MS-SMB2] 2.2.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeConnectRequest {
    /// 3.1.1 only: cluster reconnect, redirect to owner, extension present.
    pub flags: u16,
    /// `\\server\share`
    pub path: String,
}

impl Wire for TreeConnectRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(9);
        w.u16(self.flags);
        w.u16(len16(w.position() + 4));
        w.u16(len16(utf16_len(&self.path)));
        w.utf16(&self.path);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(9)?;
        let flags = r.u16()?;
        let offset = usize::from(r.u16()?);
        let length = usize::from(r.u16()?);
        Ok(Self { flags, path: utf16_to_string(&r.at(offset, length, "share path")?)? })
    }
}

/// What kind of share it is ([MS-SMB2] 2.2.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareType {
    /// Files.
    Disk,
    /// Named pipes (`IPC$`).
    Pipe,
    /// A printer.
    Print,
}

bitflags::bitflags! {
    /// Share flags ([MS-SMB2] 2.2.10).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShareFlags: u32 {
        /// The share is in DFS.
        const DFS = 0x0000_0001;
        /// The share is a DFS root.
        const DFS_ROOT = 0x0000_0002;
        /// Names that a user may not read are hidden.
        const ACCESS_BASED_DIRECTORY_ENUM = 0x0000_0800;
        /// Requests to this share must be encrypted.
        const ENCRYPT_DATA = 0x0000_8000;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Share capabilities ([MS-SMB2] 2.2.10).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShareCapabilities: u32 {
        /// DFS
        const DFS = 0x0000_0008;
        /// Persistent handles
        const CONTINUOUS_AVAILABILITY = 0x0000_0010;
        /// Scale-out
        const SCALEOUT = 0x0000_0020;
        /// Cluster
        const CLUSTER = 0x0000_0040;
        /// Asymmetric
        const ASYMMETRIC = 0x0000_0080;
        /// Redirect to owner
        const REDIRECT_TO_OWNER = 0x0000_0100;
        const _ = !0;
    }
}

/// SMB2 TREE_CONNECT Response ([MS-SMB2] 2.2.10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeConnectResponse {
    /// Disk, pipe or printer.
    pub share_type: ShareType,
    /// Encryption, DFS.
    pub flags: ShareFlags,
    /// Availability, DFS.
    pub capabilities: ShareCapabilities,
    /// The access mask that the user has at most.
    pub maximal_access: u32,
}

impl Wire for TreeConnectResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(16);
        w.u8(match self.share_type {
            ShareType::Disk => 1,
            ShareType::Pipe => 2,
            ShareType::Print => 3,
        });
        w.u8(0);
        w.u32(self.flags.bits());
        w.u32(self.capabilities.bits());
        w.u32(self.maximal_access);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(16)?;
        let share_type = match r.u8()? {
            1 => ShareType::Disk,
            2 => ShareType::Pipe,
            3 => ShareType::Print,
            _ => return Err(DecodeError::Invalid("share type")),
        };
        r.u8()?;
        Ok(Self {
            share_type,
            flags: ShareFlags::from_bits_retain(r.u32()?),
            capabilities: ShareCapabilities::from_bits_retain(r.u32()?),
            maximal_access: r.u32()?,
        })
    }
}

/// The body of LOGOFF, TREE_DISCONNECT, ECHO and CANCEL, and of several responses: four bytes that say nothing
/// ([MS-SMB2] 2.2.7, 2.2.8, 2.2.11, 2.2.12, 2.2.18, 2.2.27 to 2.2.30).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Empty;

impl Wire for Empty {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(4);
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(4)?;
        r.u16()?;
        Ok(Self)
    }
}
