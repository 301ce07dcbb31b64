//! Oplock and lease breaks ([MS-SMB2] 2.2.23 to 2.2.25).

use super::buf::{DecodeError, Reader, Wire, Writer};
use super::create::{FileId, OplockLevel};
use super::create_context::LeaseState;

/// A break of an oplock: notification, acknowledgement and response look alike
/// ([MS-SMB2] 2.2.23.1, 2.2.24.1, 2.2.25.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OplockBreak {
    /// The level that is left.
    pub level: OplockLevel,
    /// The open.
    pub file_id: FileId,
}

/// Lease Break Notification ([MS-SMB2] 2.2.23.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseBreakNotification {
    /// The lease's new epoch (version 2).
    pub epoch: u16,
    /// Whether the server waits for an acknowledgement.
    pub ack_required: bool,
    /// The lease.
    pub key: [u8; 16],
    /// What was held.
    pub current: LeaseState,
    /// What is left.
    pub new: LeaseState,
}

/// Lease Break Acknowledgment and its response ([MS-SMB2] 2.2.24.2, 2.2.25.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseBreakAck {
    /// The lease.
    pub key: [u8; 16],
    /// What is left.
    pub state: LeaseState,
}

/// Any body of the command OPLOCK_BREAK; the structure size tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakBody {
    /// An oplock.
    Oplock(OplockBreak),
    /// A lease breaks.
    LeaseNotification(LeaseBreakNotification),
    /// A lease break is acknowledged.
    LeaseAck(LeaseBreakAck),
}

impl Wire for BreakBody {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Oplock(body) => {
                w.u16(24);
                w.u8(body.level.to_wire());
                w.zeros(5);
                body.file_id.encode(w);
            }
            Self::LeaseNotification(body) => {
                w.u16(44);
                w.u16(body.epoch);
                w.u32(u32::from(body.ack_required));
                w.bytes(&body.key);
                w.u32(body.current.bits());
                w.u32(body.new.bits());
                w.zeros(12);
            }
            Self::LeaseAck(body) => {
                w.u16(36);
                w.u16(0);
                w.u32(0);
                w.bytes(&body.key);
                w.u32(body.state.bits());
                w.u64(0);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match r.u16()? {
            24 => {
                let level = OplockLevel::from_wire(r.u8()?)?;
                r.skip(5)?;
                Ok(Self::Oplock(OplockBreak { level, file_id: FileId::decode(r)? }))
            }
            44 => {
                let epoch = r.u16()?;
                let ack_required = r.u32()? & 1 != 0;
                let key = r.array()?;
                let current = LeaseState::from_bits_retain(r.u32()?);
                let new = LeaseState::from_bits_retain(r.u32()?);
                r.skip(12)?;
                Ok(Self::LeaseNotification(LeaseBreakNotification { epoch, ack_required, key, current, new }))
            }
            36 => {
                r.skip(6)?;
                let key = r.array()?;
                let state = LeaseState::from_bits_retain(r.u32()?);
                r.u64()?;
                Ok(Self::LeaseAck(LeaseBreakAck { key, state }))
            }
            found => Err(DecodeError::StructureSize { expected: 24, found }),
        }
    }
}
