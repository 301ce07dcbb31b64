//! SERVER_TO_CLIENT_NOTIFICATION: what a server of 3.1.1 says unasked ([MS-SMB2] 2.2.44).

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer};

/// SMB2 Server to Client Notification ([MS-SMB2] 2.2.44.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerNotification {
    /// `SmbNotifySessionClosed`: the session of the header is no more ([MS-SMB2] 2.2.44.2).
    SessionClosed,
    /// A notification that has no variant here.
    Other {
        /// Its number.
        kind: u32,
        /// Its content.
        data: Bytes,
    },
}

impl Wire for ServerNotification {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(4);
        w.u16(0);
        match self {
            Self::SessionClosed => {
                w.u32(0);
                w.u32(0);
            }
            Self::Other { kind, data } => {
                w.u32(*kind);
                w.bytes(data);
            }
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(4)?;
        r.u16()?;
        match r.u32()? {
            0 => {
                r.u32()?;
                Ok(Self::SessionClosed)
            }
            kind => Ok(Self::Other { kind, data: r.rest() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{both_ways, vector};

    #[test]
    fn notifications_survive_a_round_trip() {
        vector(&ServerNotification::SessionClosed, &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        both_ways(&ServerNotification::Other { kind: 1, data: Bytes::from_static(b"x") });
    }
}
