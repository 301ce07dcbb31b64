//! File-system information classes ([MS-FSCC] 2.5).

use crate::fscc::FileTime;
use crate::wire::{
    DecodeError, Guid, Reader, Wire, Writer, flags_on_wire, len32, record, utf16_len, utf16_to_string,
};

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
    /// Its files may have object identifiers.
    pub supports_objects: bool,
    /// The volume's name.
    pub label: String,
}

impl Wire for VolumeInfo {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u64(self.created.0);
        w.u32(self.serial);
        w.u32(len32(utf16_len(&self.label)));
        self.supports_objects.encode(w);
        w.u8(0);
        w.utf16(&self.label);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let created = FileTime(r.u64()?);
        let serial = r.u32()?;
        let length = r.u32()? as usize;
        let supports_objects = bool::decode(r)?;
        r.u8()?;
        Ok(Self { created, serial, supports_objects, label: utf16_to_string(&r.bytes(length)?)? })
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

bitflags::bitflags! {
    /// What a file system can do: [`VolumeAttributes::flags`] ([MS-FSCC] 2.5.1).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct VolumeFlags: u32 {
        /// Names that differ by case only are found apart.
        const CASE_SENSITIVE_SEARCH = 0x0000_0001;
        /// Names keep their case.
        const CASE_PRESERVED_NAMES = 0x0000_0002;
        /// Names are Unicode.
        const UNICODE_ON_DISK = 0x0000_0004;
        /// Access control lists.
        const PERSISTENT_ACLS = 0x0000_0008;
        /// Compression of single files.
        const FILE_COMPRESSION = 0x0000_0010;
        /// Quotas.
        const VOLUME_QUOTAS = 0x0000_0020;
        /// Sparse files.
        const SUPPORTS_SPARSE_FILES = 0x0000_0040;
        /// Reparse points.
        const SUPPORTS_REPARSE_POINTS = 0x0000_0080;
        /// Files that are kept elsewhere.
        const SUPPORTS_REMOTE_STORAGE = 0x0000_0100;
        /// The whole volume is compressed.
        const VOLUME_IS_COMPRESSED = 0x0000_8000;
        /// Object identifiers.
        const SUPPORTS_OBJECT_IDS = 0x0001_0000;
        /// Encryption.
        const SUPPORTS_ENCRYPTION = 0x0002_0000;
        /// Named streams.
        const NAMED_STREAMS = 0x0004_0000;
        /// Nothing can be written.
        const READ_ONLY_VOLUME = 0x0008_0000;
        /// Can be written once.
        const SEQUENTIAL_WRITE_ONCE = 0x0010_0000;
        /// Transactions.
        const SUPPORTS_TRANSACTIONS = 0x0020_0000;
        /// Hard links.
        const SUPPORTS_HARD_LINKS = 0x0040_0000;
        /// Extended attributes.
        const SUPPORTS_EXTENDED_ATTRIBUTES = 0x0080_0000;
        /// Files can be opened by number.
        const SUPPORTS_OPEN_BY_FILE_ID = 0x0100_0000;
        /// A change journal.
        const SUPPORTS_USN_JOURNAL = 0x0200_0000;
        /// Integrity streams.
        const SUPPORTS_INTEGRITY_STREAMS = 0x0400_0000;
        /// Extents can be shared.
        const SUPPORTS_BLOCK_REFCOUNTING = 0x0800_0000;
        /// Sparse files in the sense of a valid data length.
        const SUPPORTS_SPARSE_VDL = 0x1000_0000;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// What a volume's device is like ([MS-FSCC] 2.5.10, Characteristics).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DeviceCharacteristics: u32 {
        /// Its medium can be taken out.
        const REMOVABLE_MEDIA = 0x0000_0001;
        /// Nothing can be written.
        const READ_ONLY = 0x0000_0002;
        /// A floppy.
        const FLOPPY = 0x0000_0004;
        /// Can be written once.
        const WRITE_ONCE = 0x0000_0008;
        /// On another machine.
        const REMOTE = 0x0000_0010;
        /// Its medium is in.
        const IS_MOUNTED = 0x0000_0020;
        /// Not a real one.
        const VIRTUAL = 0x0000_0040;
        const _ = !0;
    }
}

flags_on_wire!(VolumeFlags: u32, DeviceCharacteristics: u32);

record! {
    /// `FileFsSizeInformation` ([MS-FSCC] 2.5.8).
    #[derive(Copy)]
    pub struct SizeInfo {
        /// The volume's size in allocation units.
        pub total_units: u64,
        /// What this user may still use, in allocation units.
        pub available_units: u64,
        /// Sectors of an allocation unit.
        pub sectors_per_unit: u32,
        /// Bytes of a sector.
        pub bytes_per_sector: u32,
    }
}

record! {
    /// `FileFsDeviceInformation` ([MS-FSCC] 2.5.10).
    #[derive(Copy)]
    pub struct DeviceInfo {
        /// 7 a disk, 2 a CD.
        pub kind: u32,
        /// See there.
        pub characteristics: DeviceCharacteristics,
    }
}

record! {
    /// `FileFsControlInformation` ([MS-FSCC] 2.5.2).
    #[derive(Copy)]
    pub struct ControlInfo {
        /// Free space at which content indexing starts.
        pub start_filtering: u64,
        /// Free space at which it goes on.
        pub filtering_threshold: u64,
        /// Free space at which it stops.
        pub stop_filtering: u64,
        /// A new user's warning level in bytes.
        pub default_threshold: u64,
        /// A new user's limit in bytes.
        pub default_limit: u64,
        /// Whether quotas are tracked (1) or enforced (2), and what is recorded.
        pub flags: u32 => 4,
    }
}

record! {
    /// `FileFsObjectIdInformation` ([MS-FSCC] 2.5.6).
    #[derive(Copy)]
    pub struct ObjectIdInfo {
        /// Names the volume.
        pub object_id: Guid,
        /// Three identifiers more.
        pub extended: [Guid; 3],
    }
}

record! {
    /// `FileFsSectorSizeInformation` ([MS-FSCC] 2.5.7).
    #[derive(Copy)]
    pub struct SectorSizeInfo {
        /// Bytes of a logical sector.
        pub logical: u32,
        /// Bytes that are written whole or not at all.
        pub physical_for_atomicity: u32,
        /// Bytes that go best at once.
        pub physical_for_performance: u32,
        /// Bytes that the file system takes for the physical sector.
        pub effective_physical: u32,
        /// 1 aligned device, 2 aligned partition, 4 no seek penalty, 8 trim.
        pub flags: u32,
        /// From the device's start to the first aligned logical sector.
        pub sector_alignment: u32,
        /// From the partition's start to the first aligned physical sector.
        pub partition_alignment: u32,
    }
}

impl Wire for [Guid; 3] {
    fn encode(&self, w: &mut Writer<'_>) {
        self.iter().for_each(|guid| guid.encode(w));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok([r.guid()?, r.guid()?, r.guid()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::to_bytes;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    #[test]
    fn structures_are_as_long_as_the_specification_says() {
        assert_eq!(to_bytes(&SizeInfo::default()).len(), 24);
        assert_eq!(to_bytes(&ControlInfo::default()).len(), 48);
        assert_eq!(to_bytes(&ObjectIdInfo::default()).len(), 64);
        assert_eq!(to_bytes(&SectorSizeInfo::default()).len(), 28);
        let characteristics = DeviceCharacteristics::REMOTE | DeviceCharacteristics::IS_MOUNTED;
        vector(&DeviceInfo { kind: 7, characteristics }, &[7, 0, 0, 0, 0x30, 0, 0, 0]);
    }

    #[test]
    fn no_two_fields_are_confused() {
        both_ways(&SizeInfo { total_units: 1, available_units: 2, sectors_per_unit: 3, bytes_per_sector: 4 });
        both_ways(&ControlInfo { start_filtering: 1, default_limit: 2, flags: 3, ..ControlInfo::default() });
        let extended = [Guid([2; 16]), Guid([3; 16]), Guid([4; 16])];
        both_ways(&ObjectIdInfo { object_id: Guid([1; 16]), extended });
        both_ways(&SectorSizeInfo { logical: 1, flags: 2, partition_alignment: 3, ..Default::default() });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(any::<u8>(), 0..80)) {
            let data = Bytes::from(data);
            bear::<SizeInfo>(&data);
            bear::<DeviceInfo>(&data);
            bear::<ControlInfo>(&data);
            bear::<ObjectIdInfo>(&data);
            bear::<SectorSizeInfo>(&data);
            bear::<FullSizeInfo>(&data);
            bear::<VolumeInfo>(&data);
            bear::<VolumeAttributes>(&data);
        }
    }
}
