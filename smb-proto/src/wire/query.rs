//! IOCTL, QUERY_DIRECTORY, CHANGE_NOTIFY, QUERY_INFO and SET_INFO ([MS-SMB2] 2.2.31 to 2.2.40).

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len16, len32, utf16_len, utf16_to_string};
use super::create::FileId;

/// SMB2 IOCTL Request ([MS-SMB2] 2.2.31).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoctlRequest {
    /// See [`super::fsctl`].
    pub code: u32,
    /// The open, or [`FileId::RELATED`] for a share.
    pub file_id: FileId,
    /// The most bytes that the answer may carry.
    pub max_output: u32,
    /// Whether `code` is an FSCTL; plain IOCTLs are not for files.
    pub is_fsctl: bool,
    /// What the control code wants.
    pub input: Bytes,
}

impl Wire for IoctlRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(57);
        w.u16(0);
        w.u32(self.code);
        self.file_id.encode(w);
        w.u32(len32(w.position() + 32));
        w.u32(len32(self.input.len()));
        w.u32(0);
        w.u32(0);
        w.u32(0);
        w.u32(self.max_output);
        w.u32(u32::from(self.is_fsctl));
        w.u32(0);
        w.bytes(&self.input);
        if self.input.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(57)?;
        r.u16()?;
        let code = r.u32()?;
        let file_id = FileId::decode(r)?;
        let offset = r.u32()? as usize;
        let length = r.u32()? as usize;
        r.skip(12)?;
        let max_output = r.u32()?;
        let is_fsctl = r.u32()? & 1 != 0;
        r.u32()?;
        Ok(Self { code, file_id, max_output, is_fsctl, input: r.at(offset, length, "ioctl input")? })
    }
}

/// SMB2 IOCTL Response ([MS-SMB2] 2.2.32).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IoctlResponse {
    /// As in the request.
    pub code: u32,
    /// As in the request.
    pub file_id: FileId,
    /// The answer.
    pub output: Bytes,
}

impl Wire for IoctlResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(49);
        w.u16(0);
        w.u32(self.code);
        self.file_id.encode(w);
        let data = len32(w.position() + 24);
        w.u32(data);
        w.u32(0);
        w.u32(data);
        w.u32(len32(self.output.len()));
        w.u32(0);
        w.u32(0);
        w.bytes(&self.output);
        if self.output.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(49)?;
        r.u16()?;
        let code = r.u32()?;
        let file_id = FileId::decode(r)?;
        r.skip(8)?;
        let offset = r.u32()? as usize;
        let length = r.u32()? as usize;
        r.skip(8)?;
        Ok(Self { code, file_id, output: r.at(offset, length, "ioctl output")? })
    }
}

bitflags::bitflags! {
    /// QUERY_DIRECTORY flags ([MS-SMB2] 2.2.33).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct QueryDirectoryFlags: u8 {
        /// Start again from the first entry.
        const RESTART_SCANS = 0x01;
        /// One entry only.
        const RETURN_SINGLE_ENTRY = 0x02;
        /// Start at the given index.
        const INDEX_SPECIFIED = 0x04;
        /// Start again with a new pattern.
        const REOPEN = 0x10;
        const _ = !0;
    }
}

/// SMB2 QUERY_DIRECTORY Request ([MS-SMB2] 2.2.33).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryDirectoryRequest {
    /// The information class of the entries ([MS-FSCC] 2.4).
    pub info_class: u8,
    /// Where to go on.
    pub flags: QueryDirectoryFlags,
    /// Where to start, with `INDEX_SPECIFIED`.
    pub file_index: u32,
    /// The open directory.
    pub file_id: FileId,
    /// What to search for; `*` is everything.
    pub pattern: String,
    /// The most bytes that the answer may carry.
    pub max_output: u32,
}

impl Wire for QueryDirectoryRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(33);
        w.u8(self.info_class);
        w.u8(self.flags.bits());
        w.u32(self.file_index);
        self.file_id.encode(w);
        w.u16(len16(w.position() + 8));
        w.u16(len16(utf16_len(&self.pattern)));
        w.u32(self.max_output);
        w.utf16(&self.pattern);
        if self.pattern.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(33)?;
        let info_class = r.u8()?;
        let flags = QueryDirectoryFlags::from_bits_retain(r.u8()?);
        let file_index = r.u32()?;
        let file_id = FileId::decode(r)?;
        let offset = usize::from(r.u16()?);
        let length = usize::from(r.u16()?);
        let max_output = r.u32()?;
        let pattern = utf16_to_string(&r.at(offset, length, "search pattern")?)?;
        Ok(Self { info_class, flags, file_index, file_id, pattern, max_output })
    }
}

/// A response that is one buffer: QUERY_DIRECTORY, CHANGE_NOTIFY, QUERY_INFO
/// ([MS-SMB2] 2.2.34, 2.2.36, 2.2.38).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferResponse {
    /// The buffer, shared with the frame.
    pub data: Bytes,
}

impl Wire for BufferResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(9);
        w.u16(len16(w.position() + 6));
        w.u32(len32(self.data.len()));
        w.bytes(&self.data);
        if self.data.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(9)?;
        let offset = usize::from(r.u16()?);
        let length = r.u32()? as usize;
        Ok(Self { data: r.at(offset, length, "output buffer")? })
    }
}

/// SMB2 CHANGE_NOTIFY Request ([MS-SMB2] 2.2.35).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeNotifyRequest {
    /// Watch what is below too.
    pub watch_tree: bool,
    /// The most bytes that the answer may carry.
    pub max_output: u32,
    /// The open directory.
    pub file_id: FileId,
    /// What to watch for ([MS-SMB2] 2.2.35, CompletionFilter).
    pub filter: u32,
}

impl Wire for ChangeNotifyRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(32);
        w.u16(u16::from(self.watch_tree));
        w.u32(self.max_output);
        self.file_id.encode(w);
        w.u32(self.filter);
        w.u32(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(32)?;
        let watch_tree = r.u16()? & 1 != 0;
        let max_output = r.u32()?;
        let file_id = FileId::decode(r)?;
        let filter = r.u32()?;
        r.u32()?;
        Ok(Self { watch_tree, max_output, file_id, filter })
    }
}

/// What an information request is about ([MS-SMB2] 2.2.37, InfoType).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum InfoType {
    /// A file ([MS-FSCC] 2.4).
    File = 1,
    /// A file system ([MS-FSCC] 2.5).
    FileSystem = 2,
    /// A security descriptor.
    Security = 3,
    /// Quotas.
    Quota = 4,
}

impl InfoType {
    fn from_wire(value: u8) -> Result<Self, DecodeError> {
        Ok(match value {
            1 => Self::File,
            2 => Self::FileSystem,
            3 => Self::Security,
            4 => Self::Quota,
            _ => return Err(DecodeError::Invalid("info type")),
        })
    }
}

/// SMB2 QUERY_INFO Request ([MS-SMB2] 2.2.37).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryInfoRequest {
    /// File, file system, security or quota.
    pub info_type: InfoType,
    /// The information class.
    pub info_class: u8,
    /// The most bytes that the answer may carry.
    pub max_output: u32,
    /// Which parts of a security descriptor, or an extended attribute's index.
    pub additional: u32,
    /// Extended attributes: how to go on.
    pub flags: u32,
    /// The open.
    pub file_id: FileId,
    /// Names for extended attributes and quotas.
    pub input: Bytes,
}

impl Wire for QueryInfoRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(41);
        w.u8(self.info_type as u8);
        w.u8(self.info_class);
        w.u32(self.max_output);
        let offset = if self.input.is_empty() { 0 } else { w.position() + 32 };
        w.u16(len16(offset));
        w.u16(0);
        w.u32(len32(self.input.len()));
        w.u32(self.additional);
        w.u32(self.flags);
        self.file_id.encode(w);
        w.bytes(&self.input);
        if self.input.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(41)?;
        let info_type = InfoType::from_wire(r.u8()?)?;
        let info_class = r.u8()?;
        let max_output = r.u32()?;
        let offset = usize::from(r.u16()?);
        r.u16()?;
        let length = r.u32()? as usize;
        let additional = r.u32()?;
        let flags = r.u32()?;
        let file_id = FileId::decode(r)?;
        let input = r.at(offset, length, "query input")?;
        Ok(Self { info_type, info_class, max_output, additional, flags, file_id, input })
    }
}

/// SMB2 SET_INFO Request ([MS-SMB2] 2.2.39).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetInfoRequest {
    /// File, file system, security or quota.
    pub info_type: InfoType,
    /// The information class.
    pub info_class: u8,
    /// Which parts of a security descriptor.
    pub additional: u32,
    /// The open.
    pub file_id: FileId,
    /// The information.
    pub data: Bytes,
}

impl Wire for SetInfoRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(33);
        w.u8(self.info_type as u8);
        w.u8(self.info_class);
        w.u32(len32(self.data.len()));
        w.u16(len16(w.position() + 24));
        w.u16(0);
        w.u32(self.additional);
        self.file_id.encode(w);
        w.bytes(&self.data);
        if self.data.is_empty() {
            w.u8(0);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(33)?;
        let info_type = InfoType::from_wire(r.u8()?)?;
        let info_class = r.u8()?;
        let length = r.u32()? as usize;
        let offset = usize::from(r.u16()?);
        r.u16()?;
        let additional = r.u32()?;
        let file_id = FileId::decode(r)?;
        Ok(Self { info_type, info_class, additional, file_id, data: r.at(offset, length, "set input")? })
    }
}

/// SMB2 SET_INFO Response ([MS-SMB2] 2.2.40): two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetInfoResponse;

impl Wire for SetInfoResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(2);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(2)?;
        Ok(Self)
    }
}
