//! TREE_CONNECT with the extension of 3.1.1 ([MS-SMB2] 2.2.9.1, 2.2.9.2).

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len16, len32, utf16_len, utf16_to_string};
use super::header::HEADER_LEN;

bitflags::bitflags! {
    /// TREE_CONNECT flags of 3.1.1 ([MS-SMB2] 2.2.9).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TreeConnectFlags: u16 {
        /// The client was connected to this cluster share before.
        const CLUSTER_RECONNECT = 0x0001;
        /// The client understands [`super::ShareRedirect`].
        const REDIRECT_TO_OWNER = 0x0002;
        /// [`TreeConnectExtendedRequest`].
        const EXTENSION_PRESENT = 0x0004;
        const _ = !0;
    }
}

/// Whether the TREE_CONNECT request in `message` has the extension.
pub(super) fn has_extension(message: &Bytes) -> bool {
    let flags = message.get(HEADER_LEN + 2..HEADER_LEN + 4).and_then(|bytes| bytes.try_into().ok());
    flags.is_some_and(|flags| {
        TreeConnectFlags::from_bits_retain(u16::from_le_bytes(flags))
            .contains(TreeConnectFlags::EXTENSION_PRESENT)
    })
}

/// A tree connect context ([MS-SMB2] 2.2.9.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TreeConnectContext {
    /// `SMB2_REMOTED_IDENTITY_TREE_CONNECT`: act as somebody else, whose ticket this is, as it is
    /// ([MS-SMB2] 2.2.9.2.1). Only clusters among themselves use it.
    RemotedIdentity(Bytes),
    /// A context of a type that has no variant here.
    Other {
        /// Its number.
        kind: u16,
        /// Its content.
        data: Bytes,
    },
}

/// SMB2 TREE_CONNECT Request with the extension ([MS-SMB2] 2.2.9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeConnectExtendedRequest {
    /// `EXTENSION_PRESENT` is set when it is written.
    pub flags: TreeConnectFlags,
    /// `\\server\share`
    pub path: String,
    /// What the extension is there for.
    pub contexts: Vec<TreeConnectContext>,
}

impl Wire for TreeConnectExtendedRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        // The path's offset counts from the header, the contexts' from the body ([MS-SMB2] 2.2.9, 2.2.9.1).
        let body = w.position();
        w.u16(9);
        w.u16((self.flags | TreeConnectFlags::EXTENSION_PRESENT).bits());
        w.u16(len16(w.position() + 4 + 16));
        w.u16(len16(utf16_len(&self.path)));
        let contexts_at = w.position();
        w.u32(0);
        w.u16(len16(self.contexts.len()));
        w.zeros(10);
        w.utf16(&self.path);
        for (i, context) in self.contexts.iter().enumerate() {
            w.align(8);
            if i == 0 {
                w.patch_u32(contexts_at, len32(w.position() - body));
            }
            let (kind, data) = match context {
                TreeConnectContext::RemotedIdentity(data) => (1, data),
                TreeConnectContext::Other { kind, data } => (*kind, data),
            };
            w.u16(kind);
            w.u16(len16(data.len()));
            w.u32(0);
            w.bytes(data);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let body = r.position();
        r.structure_size(9)?;
        let flags = TreeConnectFlags::from_bits_retain(r.u16()?) | TreeConnectFlags::EXTENSION_PRESENT;
        let path_offset = usize::from(r.u16()?);
        let path_length = usize::from(r.u16()?);
        let contexts_offset = r.u32()? as usize;
        let count = r.u16()?;
        r.skip(10)?;
        let path = utf16_to_string(&r.at(path_offset, path_length, "share path")?)?;
        let mut contexts = Vec::new();
        if count > 0 {
            let skip = body.checked_add(contexts_offset).and_then(|at| at.checked_sub(r.position()));
            r.skip(skip.ok_or(DecodeError::OutOfBounds("tree connect context"))?)?;
        }
        for i in 0..count {
            if i > 0 {
                r.align(8);
            }
            let kind = r.u16()?;
            let length = usize::from(r.u16()?);
            r.u32()?;
            let data = r.bytes(length)?;
            contexts.push(match kind {
                1 => TreeConnectContext::RemotedIdentity(data),
                kind => TreeConnectContext::Other { kind, data },
            });
        }
        Ok(Self { flags, path, contexts })
    }
}
