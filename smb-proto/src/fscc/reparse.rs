//! Reparse points: links of several families and whatever else a file system keeps there ([MS-FSCC] 2.1.2).

use bytes::Bytes;

use crate::wire::{DecodeError, Guid, Reader, Wire, Writer, len16, utf16_len, utf16_to_string};

/// Tags of reparse points ([MS-FSCC] 2.1.2.1).
pub mod reparse_tag {
    /// `IO_REPARSE_TAG_MOUNT_POINT`: a junction.
    pub const MOUNT_POINT: u32 = 0xA000_0003;
    /// `IO_REPARSE_TAG_SYMLINK`
    pub const SYMLINK: u32 = 0xA000_000C;
    /// `IO_REPARSE_TAG_DFS`
    pub const DFS: u32 = 0x8000_000A;
    /// `IO_REPARSE_TAG_DEDUP`
    pub const DEDUP: u32 = 0x8000_0013;
    /// `IO_REPARSE_TAG_NFS`
    pub const NFS: u32 = 0x8000_0014;
    /// `IO_REPARSE_TAG_LX_SYMLINK`
    pub const LX_SYMLINK: u32 = 0xA000_001D;
    /// `IO_REPARSE_TAG_AF_UNIX`
    pub const AF_UNIX: u32 = 0x8000_0023;
    /// `IO_REPARSE_TAG_LX_FIFO`
    pub const LX_FIFO: u32 = 0x8000_0024;
    /// `IO_REPARSE_TAG_LX_CHR`
    pub const LX_CHR: u32 = 0x8000_0025;
    /// `IO_REPARSE_TAG_LX_BLK`
    pub const LX_BLK: u32 = 0x8000_0026;
    /// `IO_REPARSE_TAG_APPEXECLINK`
    pub const APPEXECLINK: u32 = 0x8000_001B;
    /// `IO_REPARSE_TAG_CLOUD`; sixteen of them differ in bits 12 to 15.
    pub const CLOUD: u32 = 0x9000_001A;

    /// Whether the tag's owner is Microsoft, and so its data has no GUID.
    pub const fn is_microsoft(tag: u32) -> bool {
        tag & 0x8000_0000 != 0
    }

    /// Whether it stands for another named entity: a link of some kind.
    pub const fn is_name_surrogate(tag: u32) -> bool {
        tag & 0x2000_0000 != 0
    }
}

/// What an NFS reparse point stands for ([MS-FSCC] 2.1.2.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NfsNode {
    /// A symbolic link with its target, `/` between components.
    Symlink(String),
    /// A character device.
    CharDevice {
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

/// The type field of each kind: its name in ASCII, read as a number.
mod nfs_type {
    pub(super) const SYMLINK: u64 = 0x014B_4E4C;
    pub(super) const CHAR_DEVICE: u64 = 0x0052_4843;
    pub(super) const BLOCK_DEVICE: u64 = 0x004B_4C42;
    pub(super) const FIFO: u64 = 0x4F46_4946;
    pub(super) const SOCKET: u64 = 0x4B43_4F53;
}

/// A reparse data buffer ([MS-FSCC] 2.1.2.2, 2.1.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReparsePoint {
    /// A symbolic link of Windows ([MS-FSCC] 2.1.2.4).
    Symlink {
        /// What Windows follows: `\??\C:\x`, `\??\UNC\server\share\x` or a relative path.
        substitute: String,
        /// What a user is shown; may be empty.
        print: String,
        /// The target is relative to the link's directory.
        relative: bool,
    },
    /// A junction ([MS-FSCC] 2.1.2.5).
    MountPoint {
        /// What Windows follows: `\??\C:\x` or a volume's name.
        substitute: String,
        /// What a user is shown; may be empty.
        print: String,
    },
    /// A special file of Windows' NFS server ([MS-FSCC] 2.1.2.6).
    Nfs(NfsNode),
    /// A symbolic link of the Windows Subsystem for Linux: the target, in UTF-8 mostly.
    LxSymlink(Bytes),
    /// A socket of the Windows Subsystem for Linux.
    AfUnix,
    /// A named pipe of the Windows Subsystem for Linux.
    LxFifo,
    /// A character device of the Windows Subsystem for Linux; its numbers are in an extended attribute
    /// ([`super::lx_ea::DEVICE`]).
    LxCharDevice,
    /// A block device of the Windows Subsystem for Linux; its numbers are in an extended attribute.
    LxBlockDevice,
    /// Any other, as it is.
    Raw {
        /// Which kind.
        tag: u32,
        /// Whose, where the tag is not Microsoft's.
        guid: Option<Guid>,
        /// Its content.
        data: Bytes,
    },
}

/// The version of a Linux symbolic link's content.
const LX_SYMLINK_VERSION: u32 = 2;

impl ReparsePoint {
    /// The tag that says which kind it is.
    pub const fn tag(&self) -> u32 {
        match self {
            Self::Symlink { .. } => reparse_tag::SYMLINK,
            Self::MountPoint { .. } => reparse_tag::MOUNT_POINT,
            Self::Nfs(_) => reparse_tag::NFS,
            Self::LxSymlink(_) => reparse_tag::LX_SYMLINK,
            Self::AfUnix => reparse_tag::AF_UNIX,
            Self::LxFifo => reparse_tag::LX_FIFO,
            Self::LxCharDevice => reparse_tag::LX_CHR,
            Self::LxBlockDevice => reparse_tag::LX_BLK,
            Self::Raw { tag, .. } => *tag,
        }
    }

    fn encode_data(&self, w: &mut Writer<'_>) {
        match self {
            Self::Symlink { substitute, print, relative } => {
                put_names(w, substitute, print, Some(u32::from(*relative)));
            }
            Self::MountPoint { substitute, print } => put_names(w, substitute, print, None),
            Self::Nfs(node) => node.encode(w),
            Self::LxSymlink(target) => {
                w.u32(LX_SYMLINK_VERSION);
                w.bytes(target);
            }
            Self::AfUnix | Self::LxFifo | Self::LxCharDevice | Self::LxBlockDevice => {}
            Self::Raw { data, .. } => w.bytes(data),
        }
    }

    fn decode_data(tag: u32, data: Bytes) -> Result<Self, DecodeError> {
        let r = &mut Reader::new(&data, 0);
        Ok(match tag {
            reparse_tag::SYMLINK => {
                let (substitute, print, flags) = names(r, true)?;
                Self::Symlink { substitute, print, relative: flags & 1 != 0 }
            }
            reparse_tag::MOUNT_POINT => {
                let (substitute, print, _) = names(r, false)?;
                Self::MountPoint { substitute, print }
            }
            reparse_tag::NFS => Self::Nfs(NfsNode::decode(r)?),
            reparse_tag::LX_SYMLINK => {
                if r.u32()? != LX_SYMLINK_VERSION {
                    return Err(DecodeError::Invalid("Linux symbolic link version"));
                }
                Self::LxSymlink(r.rest())
            }
            reparse_tag::AF_UNIX => Self::AfUnix,
            reparse_tag::LX_FIFO => Self::LxFifo,
            reparse_tag::LX_CHR => Self::LxCharDevice,
            reparse_tag::LX_BLK => Self::LxBlockDevice,
            tag => Self::Raw { tag, guid: None, data },
        })
    }
}

impl Wire for ReparsePoint {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.tag());
        let length_at = w.position();
        w.u16(0);
        w.u16(0);
        if let Self::Raw { guid: Some(guid), .. } = self {
            guid.encode(w);
        }
        // The GUID is not counted.
        let start = w.position();
        self.encode_data(w);
        w.patch_u16(length_at, len16(w.position() - start));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = r.u32()?;
        let length = usize::from(r.u16()?);
        r.u16()?;
        if reparse_tag::is_microsoft(tag) {
            return Self::decode_data(tag, r.bytes(length)?);
        }
        let guid = Some(r.guid()?);
        Ok(Self::Raw { tag, guid, data: r.bytes(length)? })
    }
}

/// The four offsets and lengths, the flags if any, and the names behind them.
fn put_names(w: &mut Writer<'_>, substitute: &str, print: &str, flags: Option<u32>) {
    let (first, second) = (utf16_len(substitute), utf16_len(print));
    w.u16(0);
    w.u16(len16(first));
    w.u16(len16(first));
    w.u16(len16(second));
    if let Some(flags) = flags {
        w.u32(flags);
    }
    w.utf16(substitute);
    w.utf16(print);
}

/// Reads such a thing; the offsets count from the first byte behind the fixed part.
pub(crate) fn names(r: &mut Reader<'_>, with_flags: bool) -> Result<(String, String, u32), DecodeError> {
    let [substitute_at, substitute_length, print_at, print_length] =
        [r.u16()?, r.u16()?, r.u16()?, r.u16()?].map(usize::from);
    let flags = if with_flags { r.u32()? } else { 0 };
    let buffer = r.rest();
    let r = &Reader::new(&buffer, 0);
    let substitute = utf16_to_string(&r.at(substitute_at, substitute_length, "substitute name")?)?;
    let print = utf16_to_string(&r.at(print_at, print_length, "print name")?)?;
    Ok((substitute, print, flags))
}

impl Wire for NfsNode {
    fn encode(&self, w: &mut Writer<'_>) {
        match self {
            Self::Symlink(target) => {
                w.u64(nfs_type::SYMLINK);
                w.utf16(target);
            }
            Self::CharDevice { major, minor } => {
                w.u64(nfs_type::CHAR_DEVICE);
                w.u32(*major);
                w.u32(*minor);
            }
            Self::BlockDevice { major, minor } => {
                w.u64(nfs_type::BLOCK_DEVICE);
                w.u32(*major);
                w.u32(*minor);
            }
            Self::Fifo => w.u64(nfs_type::FIFO),
            Self::Socket => w.u64(nfs_type::SOCKET),
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match r.u64()? {
            nfs_type::SYMLINK => Self::Symlink(utf16_to_string(&r.rest())?),
            nfs_type::CHAR_DEVICE => Self::CharDevice { major: r.u32()?, minor: r.u32()? },
            nfs_type::BLOCK_DEVICE => Self::BlockDevice { major: r.u32()?, minor: r.u32()? },
            nfs_type::FIFO => Self::Fifo,
            nfs_type::SOCKET => Self::Socket,
            _ => return Err(DecodeError::Invalid("NFS file type")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use proptest::prelude::*;

    fn every() -> Vec<ReparsePoint> {
        vec![
            ReparsePoint::Symlink {
                substitute: "\\??\\C:\\é".into(),
                print: "C:\\é".into(),
                relative: false,
            },
            ReparsePoint::Symlink { substitute: String::new(), print: "p".into(), relative: true },
            ReparsePoint::MountPoint { substitute: "\\??\\D:\\".into(), print: String::new() },
            ReparsePoint::Nfs(NfsNode::Symlink("../ä/b".into())),
            ReparsePoint::Nfs(NfsNode::CharDevice { major: 5, minor: 1 }),
            ReparsePoint::Nfs(NfsNode::BlockDevice { major: 8, minor: 0 }),
            ReparsePoint::Nfs(NfsNode::Fifo),
            ReparsePoint::Nfs(NfsNode::Socket),
            ReparsePoint::LxSymlink(Bytes::from_static(b"/etc/passwd")),
            ReparsePoint::AfUnix,
            ReparsePoint::LxFifo,
            ReparsePoint::LxCharDevice,
            ReparsePoint::LxBlockDevice,
            ReparsePoint::Raw { tag: reparse_tag::CLOUD, guid: None, data: Bytes::from_static(b"raw") },
            ReparsePoint::Raw { tag: 5, guid: Some(Guid([9; 16])), data: Bytes::from_static(b"theirs") },
        ]
    }

    #[test]
    fn every_kind_survives_a_round_trip() {
        every().iter().for_each(both_ways);
    }

    #[test]
    fn known_kinds_look_as_others_write_them() {
        vector(
            &ReparsePoint::Symlink { substitute: "b".into(), print: "b".into(), relative: true },
            &[0x0C, 0, 0, 0xA0, 16, 0, 0, 0, 0, 0, 2, 0, 2, 0, 2, 0, 1, 0, 0, 0, b'b', 0, b'b', 0],
        );
        vector(&ReparsePoint::Nfs(NfsNode::Fifo), b"\x14\0\0\x80\x08\0\0\0FIFO\0\0\0\0");
        vector(&ReparsePoint::Nfs(NfsNode::Socket), b"\x14\0\0\x80\x08\0\0\0SOCK\0\0\0\0");
        vector(
            &ReparsePoint::Nfs(NfsNode::CharDevice { major: 1, minor: 3 }),
            b"\x14\0\0\x80\x10\0\0\0CHR\0\0\0\0\0\x01\0\0\0\x03\0\0\0",
        );
        vector(&ReparsePoint::Nfs(NfsNode::Symlink("x".into())), b"\x14\0\0\x80\x0a\0\0\0LNK\x01\0\0\0\0x\0");
        vector(&ReparsePoint::LxSymlink(Bytes::from_static(b"x")), b"\x1d\0\0\xa0\x05\0\0\0\x02\0\0\0x");
    }

    #[test]
    fn a_name_cannot_lie_outside_the_buffer() {
        let bytes =
            Bytes::from_static(&[0x0C, 0, 0, 0xA0, 14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, b'b', 0]);
        let decoded = ReparsePoint::decode(&mut Reader::new(&bytes, 0));
        assert_eq!(decoded, Err(DecodeError::OutOfBounds("substitute name")));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(which in 0..15usize, data in prop::collection::vec(0..30u8, 0..60)) {
            let mut bytes = every()[which].tag().to_le_bytes().to_vec();
            bytes.extend(data);
            bear::<ReparsePoint>(&Bytes::from(bytes));
        }
    }
}
