//! File information classes for queries and sets ([MS-FSCC] 2.4).

use bytes::Bytes;

use super::{FileAttributes, FileMode};
use crate::wire::{
    AccessMask, DecodeError, FileTimes, Reader, Wire, Writer, flags_on_wire, len32, utf16_len,
    utf16_to_string,
};

/// `FileBasicInformation` ([MS-FSCC] 2.4.7). In a set request zero times and zero attributes mean "as it is".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BasicInfo {
    /// The file's times.
    pub times: FileTimes,
    /// The file's attributes.
    pub attributes: FileAttributes,
}

impl Wire for BasicInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        self.times.encode(w);
        w.u32(self.attributes.bits());
        w.u32(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let times = FileTimes::decode(r)?;
        let attributes = FileAttributes::from_bits_retain(r.u32()?);
        r.u32()?;
        Ok(Self { times, attributes })
    }
}

/// `FileStandardInformation` ([MS-FSCC] 2.4.46).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StandardInfo {
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// Hard links.
    pub links: u32,
    /// The file goes when its last handle does.
    pub delete_pending: bool,
    /// A directory, not a file.
    pub directory: bool,
}

impl Wire for StandardInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.allocation_size);
        w.u64(self.end_of_file);
        w.u32(self.links);
        w.u8(u8::from(self.delete_pending));
        w.u8(u8::from(self.directory));
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let allocation_size = r.u64()?;
        let end_of_file = r.u64()?;
        let links = r.u32()?;
        let delete_pending = r.u8()? != 0;
        let directory = r.u8()? != 0;
        r.u16()?;
        Ok(Self { allocation_size, end_of_file, links, delete_pending, directory })
    }
}

/// `FileAllInformation` ([MS-FSCC] 2.4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllInfo {
    /// Times and attributes.
    pub basic: BasicInfo,
    /// Sizes, links.
    pub standard: StandardInfo,
    /// The file's number on its volume, 0 where the server has none.
    pub index_number: u64,
    /// Bytes of extended attributes.
    pub ea_size: u32,
    /// What this open may do.
    pub access: AccessMask,
    /// Where the open stands.
    pub position: u64,
    /// How the file was opened.
    pub mode: FileMode,
    /// What buffers must be aligned to, less one.
    pub alignment: u32,
    /// The name; what it is relative to varies with the server.
    pub name: String,
}

impl Wire for AllInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        self.basic.encode(w);
        self.standard.encode(w);
        w.u64(self.index_number);
        w.u32(self.ea_size);
        self.access.encode(w);
        w.u64(self.position);
        self.mode.encode(w);
        w.u32(self.alignment);
        w.u32(len32(utf16_len(&self.name)));
        w.utf16(&self.name);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let basic = BasicInfo::decode(r)?;
        let standard = StandardInfo::decode(r)?;
        let index_number = r.u64()?;
        let ea_size = r.u32()?;
        let access = AccessMask::decode(r)?;
        let position = r.u64()?;
        let mode = FileMode::decode(r)?;
        let alignment = r.u32()?;
        // The query's buffer may end inside the name (STATUS_BUFFER_OVERFLOW): what is there will do.
        let length = (r.u32()? as usize).min(r.remaining()) & !1;
        let name = utf16_to_string(&r.bytes(length)?)?;
        Ok(Self { basic, standard, index_number, ea_size, access, position, mode, alignment, name })
    }
}

/// `FileNetworkOpenInformation` ([MS-FSCC] 2.4.34).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkOpenInfo {
    /// The file's times.
    pub times: FileTimes,
    /// Bytes that the file takes on disk.
    pub allocation_size: u64,
    /// The file's size in bytes.
    pub end_of_file: u64,
    /// The file's attributes.
    pub attributes: FileAttributes,
}

impl Wire for NetworkOpenInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        self.times.encode(w);
        w.u64(self.allocation_size);
        w.u64(self.end_of_file);
        w.u32(self.attributes.bits());
        w.u32(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let times = FileTimes::decode(r)?;
        let allocation_size = r.u64()?;
        let end_of_file = r.u64()?;
        let attributes = FileAttributes::from_bits_retain(r.u32()?);
        r.u32()?;
        Ok(Self { times, allocation_size, end_of_file, attributes })
    }
}

/// `FileAttributeTagInformation` ([MS-FSCC] 2.4.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeTagInfo {
    /// The file's attributes.
    pub attributes: FileAttributes,
    /// Which kind of reparse point it is, 0 for none.
    pub reparse_tag: u32,
}

impl Wire for AttributeTagInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.attributes.bits());
        w.u32(self.reparse_tag);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { attributes: FileAttributes::from_bits_retain(r.u32()?), reparse_tag: r.u32()? })
    }
}

/// `FileRenameInformation` and `FileLinkInformation` as SMB2 has them ([MS-FSCC] 2.4.42.2, 2.4.27.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameInfo {
    /// Replace a file of the new name.
    pub replace: bool,
    /// Relative to the share, `\` between components.
    pub name: String,
}

impl Wire for RenameInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(u8::from(self.replace));
        w.zeros(7);
        w.u64(0);
        w.u32(len32(utf16_len(&self.name)));
        w.utf16(&self.name);
        // Servers want at least the 24 bytes of the fixed part, padding included.
        if w.position() < 24 {
            w.zeros(24 - w.position());
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let replace = r.u8()? != 0;
        r.skip(15)?;
        let length = r.u32()? as usize;
        Ok(Self { replace, name: utf16_to_string(&r.bytes(length)?)? })
    }
}

bitflags::bitflags! {
    /// Flags of `FileDispositionInformationEx` ([MS-FSCC] 2.4.12).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct DispositionFlags: u32 {
        /// Delete.
        const DELETE = 0x01;
        /// The name goes at once, handles stay valid.
        const POSIX_SEMANTICS = 0x02;
        /// A read-only file too.
        const IGNORE_READONLY_ATTRIBUTE = 0x10;
        /// Fail where another maps the file as an image.
        const FORCE_IMAGE_SECTION_CHECK = 0x04;
        /// Set or clear deletion on close of this open, not of the file.
        const ON_CLOSE = 0x08;
        const _ = !0;
    }
}

flags_on_wire!(DispositionFlags: u32);

/// A structure as a buffer of its own, for a set request.
pub fn to_bytes(info: &impl Wire) -> Bytes {
    let mut out = Vec::new();
    info.encode(&mut Writer::new(&mut out));
    Bytes::from(out)
}

/// A structure out of a query's answer.
pub fn from_bytes<T: Wire>(data: &Bytes) -> Result<T, DecodeError> {
    T::decode(&mut Reader::new(data, 0))
}
