//! CREATE ([MS-SMB2] 2.2.13, 2.2.14).

use super::buf::{DecodeError, Reader, Wire, Writer, len16, utf16_len, utf16_to_string};
use super::create_context::{CreateContext, Direction};
use crate::fscc::{FileAttributes, FileTime};

/// An open on the server ([MS-SMB2] 2.2.14.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FileId {
    /// Survives a reconnect of a durable open.
    pub persistent: u64,
    /// Valid on one session.
    pub volatile: u64,
}

impl FileId {
    /// In a related compound request: the open of the request before.
    pub const RELATED: Self = Self { persistent: u64::MAX, volatile: u64::MAX };
}

impl Wire for FileId {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.persistent);
        w.u64(self.volatile);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { persistent: r.u64()?, volatile: r.u64()? })
    }
}

bitflags::bitflags! {
    /// Access mask ([MS-SMB2] 2.2.13.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AccessMask: u32 {
        /// `FILE_READ_DATA`, `FILE_LIST_DIRECTORY`
        const READ_DATA = 0x0000_0001;
        /// `FILE_WRITE_DATA`, `FILE_ADD_FILE`
        const WRITE_DATA = 0x0000_0002;
        /// `FILE_APPEND_DATA`, `FILE_ADD_SUBDIRECTORY`
        const APPEND_DATA = 0x0000_0004;
        /// `FILE_READ_EA`
        const READ_EA = 0x0000_0008;
        /// `FILE_WRITE_EA`
        const WRITE_EA = 0x0000_0010;
        /// `FILE_EXECUTE`, `FILE_TRAVERSE`
        const EXECUTE = 0x0000_0020;
        /// `FILE_DELETE_CHILD`
        const DELETE_CHILD = 0x0000_0040;
        /// `FILE_READ_ATTRIBUTES`
        const READ_ATTRIBUTES = 0x0000_0080;
        /// `FILE_WRITE_ATTRIBUTES`
        const WRITE_ATTRIBUTES = 0x0000_0100;
        /// `DELETE`
        const DELETE = 0x0001_0000;
        /// `READ_CONTROL`
        const READ_CONTROL = 0x0002_0000;
        /// `WRITE_DAC`
        const WRITE_DAC = 0x0004_0000;
        /// `WRITE_OWNER`
        const WRITE_OWNER = 0x0008_0000;
        /// `SYNCHRONIZE`
        const SYNCHRONIZE = 0x0010_0000;
        /// `ACCESS_SYSTEM_SECURITY`
        const ACCESS_SYSTEM_SECURITY = 0x0100_0000;
        /// `MAXIMUM_ALLOWED`
        const MAXIMUM_ALLOWED = 0x0200_0000;
        /// `GENERIC_ALL`
        const GENERIC_ALL = 0x1000_0000;
        /// `GENERIC_EXECUTE`
        const GENERIC_EXECUTE = 0x2000_0000;
        /// `GENERIC_WRITE`
        const GENERIC_WRITE = 0x4000_0000;
        /// `GENERIC_READ`
        const GENERIC_READ = 0x8000_0000;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// What others may do with the file meanwhile ([MS-SMB2] 2.2.13).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ShareAccess: u32 {
        /// `FILE_SHARE_READ`
        const READ = 0x1;
        /// `FILE_SHARE_WRITE`
        const WRITE = 0x2;
        /// `FILE_SHARE_DELETE`
        const DELETE = 0x4;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// Create options ([MS-SMB2] 2.2.13).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CreateOptions: u32 {
        /// `FILE_DIRECTORY_FILE`
        const DIRECTORY_FILE = 0x0000_0001;
        /// `FILE_WRITE_THROUGH`
        const WRITE_THROUGH = 0x0000_0002;
        /// `FILE_SEQUENTIAL_ONLY`
        const SEQUENTIAL_ONLY = 0x0000_0004;
        /// `FILE_NO_INTERMEDIATE_BUFFERING`
        const NO_INTERMEDIATE_BUFFERING = 0x0000_0008;
        /// `FILE_SYNCHRONOUS_IO_ALERT`; servers ignore it
        const SYNCHRONOUS_IO_ALERT = 0x0000_0010;
        /// `FILE_SYNCHRONOUS_IO_NONALERT`; servers ignore it
        const SYNCHRONOUS_IO_NONALERT = 0x0000_0020;
        /// `FILE_NON_DIRECTORY_FILE`
        const NON_DIRECTORY_FILE = 0x0000_0040;
        /// `FILE_COMPLETE_IF_OPLOCKED`
        const COMPLETE_IF_OPLOCKED = 0x0000_0100;
        /// `FILE_NO_EA_KNOWLEDGE`
        const NO_EA_KNOWLEDGE = 0x0000_0200;
        /// `FILE_RANDOM_ACCESS`
        const RANDOM_ACCESS = 0x0000_0800;
        /// `FILE_DELETE_ON_CLOSE`
        const DELETE_ON_CLOSE = 0x0000_1000;
        /// `FILE_OPEN_BY_FILE_ID`
        const OPEN_BY_FILE_ID = 0x0000_2000;
        /// `FILE_OPEN_FOR_BACKUP_INTENT`
        const OPEN_FOR_BACKUP_INTENT = 0x0000_4000;
        /// `FILE_NO_COMPRESSION`
        const NO_COMPRESSION = 0x0000_8000;
        /// `FILE_RESERVE_OPFILTER`
        const RESERVE_OPFILTER = 0x0010_0000;
        /// `FILE_OPEN_REPARSE_POINT`
        const OPEN_REPARSE_POINT = 0x0020_0000;
        /// `FILE_OPEN_NO_RECALL`
        const OPEN_NO_RECALL = 0x0040_0000;
        const _ = !0;
    }
}

/// What to do where the file exists, or does not ([MS-SMB2] 2.2.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CreateDisposition {
    /// Replace it, or create it.
    Supersede = 0,
    /// Open it, or fail.
    Open = 1,
    /// Fail, or create it.
    Create = 2,
    /// Open it, or create it.
    OpenIf = 3,
    /// Truncate it, or fail.
    Overwrite = 4,
    /// Truncate it, or create it.
    OverwriteIf = 5,
}

impl CreateDisposition {
    fn from_wire(value: u32) -> Result<Self, DecodeError> {
        Ok(match value {
            0 => Self::Supersede,
            1 => Self::Open,
            2 => Self::Create,
            3 => Self::OpenIf,
            4 => Self::Overwrite,
            5 => Self::OverwriteIf,
            _ => return Err(DecodeError::Invalid("create disposition")),
        })
    }
}

/// What the server did ([MS-SMB2] 2.2.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CreateAction {
    /// The file was replaced.
    Superseded = 0,
    /// The file was opened.
    Opened = 1,
    /// The file was created.
    Created = 2,
    /// The file was truncated.
    Overwritten = 3,
}

/// An oplock level ([MS-SMB2] 2.2.13, 2.2.23).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OplockLevel {
    /// None.
    #[default]
    None,
    /// Level II: others may read.
    LevelII,
    /// Exclusive.
    Exclusive,
    /// Batch: exclusive, and the handle may stay open.
    Batch,
    /// A lease, described by a create context.
    Lease,
}

impl OplockLevel {
    pub(super) const fn to_wire(self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::LevelII => 0x01,
            Self::Exclusive => 0x08,
            Self::Batch => 0x09,
            Self::Lease => 0xFF,
        }
    }

    pub(super) const fn from_wire(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            0x00 => Self::None,
            0x01 => Self::LevelII,
            0x08 => Self::Exclusive,
            0x09 => Self::Batch,
            0xFF => Self::Lease,
            _ => return Err(DecodeError::Invalid("oplock level")),
        })
    }
}

/// SMB2 CREATE Request ([MS-SMB2] 2.2.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateRequest {
    /// The oplock asked for.
    pub oplock: OplockLevel,
    /// 0 anonymous, 1 identification, 2 impersonation, 3 delegation.
    pub impersonation: u32,
    /// What the opener wants to do.
    pub access: AccessMask,
    /// Attributes of a new file.
    pub attributes: FileAttributes,
    /// What others may do.
    pub share_access: ShareAccess,
    /// What to do where the file exists, or does not.
    pub disposition: CreateDisposition,
    /// See [`CreateOptions`].
    pub options: CreateOptions,
    /// Relative to the share, `\` between components, no leading `\`.
    pub name: String,
    /// Extensions.
    pub contexts: Vec<CreateContext>,
}

impl Wire for CreateRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(57);
        w.u8(0);
        w.u8(self.oplock.to_wire());
        w.u32(self.impersonation);
        w.u64(0);
        w.u64(0);
        w.u32(self.access.bits());
        w.u32(self.attributes.bits());
        w.u32(self.share_access.bits());
        w.u32(self.disposition as u32);
        w.u32(self.options.bits());
        w.u16(len16(w.position() + 12));
        w.u16(len16(utf16_len(&self.name)));
        let contexts_at = w.position();
        w.u32(0);
        w.u32(0);
        w.utf16(&self.name);
        // The body has at least one byte of buffer, even for the share's root.
        if self.name.is_empty() && self.contexts.is_empty() {
            w.u8(0);
        }
        CreateContext::encode_list(&self.contexts, w, contexts_at);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(57)?;
        r.u8()?;
        let oplock = OplockLevel::from_wire(r.u8()?)?;
        let impersonation = r.u32()?;
        r.skip(16)?;
        let access = AccessMask::from_bits_retain(r.u32()?);
        let attributes = FileAttributes::from_bits_retain(r.u32()?);
        let share_access = ShareAccess::from_bits_retain(r.u32()?);
        let disposition = CreateDisposition::from_wire(r.u32()?)?;
        let options = CreateOptions::from_bits_retain(r.u32()?);
        let name_offset = usize::from(r.u16()?);
        let name_length = usize::from(r.u16()?);
        let contexts_offset = r.u32()? as usize;
        let contexts_length = r.u32()? as usize;
        let name = utf16_to_string(&r.at(name_offset, name_length, "file name")?)?;
        let contexts = CreateContext::decode_list(
            &r.at(contexts_offset, contexts_length, "create contexts")?,
            Direction::Request,
        )?;
        Ok(Self {
            oplock,
            impersonation,
            access,
            attributes,
            share_access,
            disposition,
            options,
            name,
            contexts,
        })
    }
}

/// The times of a file, in the order in which every SMB2 and FSCC structure has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTimes {
    /// CreationTime
    pub created: FileTime,
    /// LastAccessTime
    pub accessed: FileTime,
    /// LastWriteTime
    pub written: FileTime,
    /// ChangeTime
    pub changed: FileTime,
}

impl Wire for FileTimes {
    fn encode(&self, w: &mut Writer<'_>) {
        for time in [self.created, self.accessed, self.written, self.changed] {
            w.u64(time.0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            created: FileTime(r.u64()?),
            accessed: FileTime(r.u64()?),
            written: FileTime(r.u64()?),
            changed: FileTime(r.u64()?),
        })
    }
}

/// SMB2 CREATE Response ([MS-SMB2] 2.2.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateResponse {
    /// The oplock granted.
    pub oplock: OplockLevel,
    /// 3.x: bit 0, the last component is a reparse point.
    pub flags: u8,
    /// What was done.
    pub action: CreateAction,
    /// The file's times.
    pub times: FileTimes,
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// The file's attributes.
    pub attributes: FileAttributes,
    /// The open.
    pub file_id: FileId,
    /// Extensions.
    pub contexts: Vec<CreateContext>,
}

impl Wire for CreateResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(89);
        w.u8(self.oplock.to_wire());
        w.u8(self.flags);
        w.u32(self.action as u32);
        self.times.encode(w);
        w.u64(self.allocation_size);
        w.u64(self.end_of_file);
        w.u32(self.attributes.bits());
        w.u32(0);
        self.file_id.encode(w);
        let contexts_at = w.position();
        w.u32(0);
        w.u32(0);
        CreateContext::encode_list(&self.contexts, w, contexts_at);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(89)?;
        let oplock = OplockLevel::from_wire(r.u8()?)?;
        let flags = r.u8()?;
        let action = match r.u32()? {
            0 => CreateAction::Superseded,
            2 => CreateAction::Created,
            3 => CreateAction::Overwritten,
            // Impacket repeats the disposition, which has more values. The open is good, and this claims least.
            _ => CreateAction::Opened,
        };
        let times = FileTimes::decode(r)?;
        let allocation_size = r.u64()?;
        let end_of_file = r.u64()?;
        let attributes = FileAttributes::from_bits_retain(r.u32()?);
        r.u32()?;
        let file_id = FileId::decode(r)?;
        let offset = r.u32()? as usize;
        let length = r.u32()? as usize;
        let contexts =
            CreateContext::decode_list(&r.at(offset, length, "create contexts")?, Direction::Response)?;
        Ok(Self { oplock, flags, action, times, allocation_size, end_of_file, attributes, file_id, contexts })
    }
}
