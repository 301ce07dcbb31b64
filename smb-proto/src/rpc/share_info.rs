//! SHARE_INFO_0, SHARE_INFO_1 and SHARE_INFO_2 ([MS-SRVS] 2.2.4.22 to 2.2.4.24).

use super::ndr::{NdrReader, NdrWriter};
use crate::wire::DecodeError;

/// What a share shares ([MS-SRVS] 2.2.2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ShareKind(pub u32);

impl ShareKind {
    /// Files.
    pub const DISK: Self = Self(0);
    /// A printer's queue.
    pub const PRINT: Self = Self(1);
    /// A serial line or the like.
    pub const DEVICE: Self = Self(2);
    /// Named pipes.
    pub const IPC: Self = Self(3);
    /// Files of a cluster.
    pub const CLUSTER_FS: Self = Self(0x0200_0000);
    /// Files of a cluster, on all of its machines at once.
    pub const CLUSTER_SOFS: Self = Self(0x0400_0000);
    /// A root of a name space on a cluster.
    pub const CLUSTER_DFS: Self = Self(0x0800_0000);

    /// The kind without the flags.
    pub const fn base(self) -> Self {
        Self(self.0 & 0x3FFF_FFFF)
    }

    /// Meant for administrators: `C$`, `ADMIN$`, `IPC$`.
    pub const fn is_special(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// Gone when the server is restarted.
    pub const fn is_temporary(self) -> bool {
        self.0 & 0x4000_0000 != 0
    }
}

/// A share. Level 0 has the name only, level 1 kind and remark too, level 2 all; the rest is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareInfo {
    /// Its name. Not to be trusted: it may be any string.
    pub name: String,
    /// What it shares.
    pub kind: ShareKind,
    /// What its administrator says of it.
    pub remark: String,
    /// Nobody uses it.
    pub permissions: u32,
    /// How many may use it at once, or all ones.
    pub max_uses: u32,
    /// How many use it now.
    pub current_uses: u32,
    /// Where the files are on the server.
    pub path: String,
}

/// The pointers of a share, which the texts follow in this order: name, remark, path, password.
#[derive(Clone, Copy, Default)]
pub(super) struct Pointers([bool; 4]);

impl ShareInfo {
    /// Bytes of a share of this level without its texts; `None` for a level that this crate does not know.
    pub(super) const fn fixed(level: u32) -> Option<usize> {
        match level {
            0 => Some(4),
            1 => Some(12),
            2 => Some(32),
            _ => None,
        }
    }

    pub(super) fn encode_fixed(&self, level: u32, w: &mut NdrWriter) {
        w.pointer(true);
        if level >= 1 {
            w.u32(self.kind.0);
            w.pointer(true);
        }
        if level >= 2 {
            w.u32(self.permissions);
            w.u32(self.max_uses);
            w.u32(self.current_uses);
            w.pointer(true);
            // The password, which no server tells.
            w.pointer(false);
        }
    }

    pub(super) fn encode_texts(&self, level: u32, w: &mut NdrWriter) {
        w.string(&self.name);
        if level >= 1 {
            w.string(&self.remark);
        }
        if level >= 2 {
            w.string(&self.path);
        }
    }

    pub(super) fn decode_fixed(level: u32, r: &mut NdrReader<'_>) -> Result<(Self, Pointers), DecodeError> {
        let mut share = Self::default();
        let mut pointers = Pointers::default();
        pointers.0[0] = r.pointer()?;
        if level >= 1 {
            share.kind = ShareKind(r.u32()?);
            pointers.0[1] = r.pointer()?;
        }
        if level >= 2 {
            share.permissions = r.u32()?;
            share.max_uses = r.u32()?;
            share.current_uses = r.u32()?;
            pointers.0[2] = r.pointer()?;
            pointers.0[3] = r.pointer()?;
        }
        Ok((share, pointers))
    }

    pub(super) fn decode_texts(
        mut self,
        pointers: Pointers,
        r: &mut NdrReader<'_>,
    ) -> Result<Self, DecodeError> {
        let [name, remark, path, password] = pointers.0;
        self.name = r.string_if(name)?;
        self.remark = r.string_if(remark)?;
        self.path = r.string_if(path)?;
        r.string_if(password)?;
        Ok(self)
    }
}
