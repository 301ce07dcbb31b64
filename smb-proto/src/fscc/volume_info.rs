//! File-system information classes ([MS-FSCC] 2.5).

use crate::fscc::FileTime;
use crate::wire::{DecodeError, Reader, Wire, Writer, len32, utf16_len, utf16_to_string};

/// Numbers of the file-system information classes that this crate can read or write ([MS-FSCC] 2.5).
pub mod volume_class {
    /// `FileFsVolumeInformation`
    pub const VOLUME: u8 = 1;
    /// `FileFsSizeInformation`
    pub const SIZE: u8 = 3;
    /// `FileFsAttributeInformation`
    pub const ATTRIBUTE: u8 = 5;
    /// `FileFsFullSizeInformation`
    pub const FULL_SIZE: u8 = 7;
}

/// `FileFsFullSizeInformation` ([MS-FSCC] 2.5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullSizeInfo {
    /// The volume's size in allocation units.
    pub total_units: u64,
    /// What this user may still use, in allocation units.
    pub caller_available_units: u64,
    /// What is free, in allocation units.
    pub available_units: u64,
    /// Sectors of an allocation unit.
    pub sectors_per_unit: u32,
    /// Bytes of a sector.
    pub bytes_per_sector: u32,
}

impl FullSizeInfo {
    /// Bytes of an allocation unit.
    pub const fn unit_size(&self) -> u64 {
        self.sectors_per_unit as u64 * self.bytes_per_sector as u64
    }
}

impl Wire for FullSizeInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.total_units);
        w.u64(self.caller_available_units);
        w.u64(self.available_units);
        w.u32(self.sectors_per_unit);
        w.u32(self.bytes_per_sector);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            total_units: r.u64()?,
            caller_available_units: r.u64()?,
            available_units: r.u64()?,
            sectors_per_unit: r.u32()?,
            bytes_per_sector: r.u32()?,
        })
    }
}

/// `FileFsVolumeInformation` ([MS-FSCC] 2.5.9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeInfo {
    /// When the volume was made.
    pub created: FileTime,
    /// The volume's number.
    pub serial: u32,
    /// The volume's name.
    pub label: String,
}

impl Wire for VolumeInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.created.0);
        w.u32(self.serial);
        w.u32(len32(utf16_len(&self.label)));
        w.u16(0);
        w.utf16(&self.label);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let created = FileTime(r.u64()?);
        let serial = r.u32()?;
        let length = r.u32()? as usize;
        r.u16()?;
        Ok(Self { created, serial, label: utf16_to_string(&r.bytes(length)?)? })
    }
}

/// `FileFsAttributeInformation` ([MS-FSCC] 2.5.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeAttributes {
    /// What the file system can do ([MS-FSCC] 2.5.1).
    pub flags: u32,
    /// The longest component in characters.
    pub max_component: u32,
    /// `NTFS`, whatever is behind it.
    pub file_system: String,
}

impl Wire for VolumeAttributes {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(self.flags);
        w.u32(self.max_component);
        w.u32(len32(utf16_len(&self.file_system)));
        w.utf16(&self.file_system);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = r.u32()?;
        let max_component = r.u32()?;
        let length = r.u32()? as usize;
        Ok(Self { flags, max_component, file_system: utf16_to_string(&r.bytes(length)?)? })
    }
}
