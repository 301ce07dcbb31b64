//! SERVER_INFO_100 and SERVER_INFO_101 ([MS-SRVS] 2.2.4.40, 2.2.4.41).

use super::ndr::{NdrReader, NdrWriter};
use crate::wire::DecodeError;

/// A server. Level 100 has platform and name only; the rest is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerInfo {
    /// 500 Windows NT, and what takes itself for it.
    pub platform: u32,
    /// Its name.
    pub name: String,
    /// Its system's major version.
    pub major: u32,
    /// Its system's minor version.
    pub minor: u32,
    /// What it serves ([MS-SRVS] 2.2.2.7).
    pub kind: u32,
    /// What its administrator says of it.
    pub comment: String,
}

impl ServerInfo {
    pub(super) const fn is_level(level: u32) -> bool {
        matches!(level, 100 | 101)
    }

    pub(super) fn encode(&self, level: u32, w: &mut NdrWriter) {
        w.u32(self.platform);
        w.pointer(true);
        if level >= 101 {
            w.u32(self.major);
            w.u32(self.minor);
            w.u32(self.kind);
            w.pointer(true);
        }
        w.string(&self.name);
        if level >= 101 {
            w.string(&self.comment);
        }
    }

    pub(super) fn decode(level: u32, r: &mut NdrReader<'_>) -> Result<Self, DecodeError> {
        let mut server = Self { platform: r.u32()?, ..Self::default() };
        let name = r.pointer()?;
        let mut comment = false;
        if level >= 101 {
            server.major = r.u32()?;
            server.minor = r.u32()?;
            server.kind = r.u32()?;
            comment = r.pointer()?;
        }
        server.name = r.string_if(name)?;
        server.comment = r.string_if(comment)?;
        Ok(server)
    }
}
