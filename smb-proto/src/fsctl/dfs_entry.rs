//! One referral, in each of its versions ([MS-DFSC] 2.2.5).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::{DecodeError, Guid, Reader, Wire, Writer, flags_on_wire, len16, utf16_to_string};

bitflags::bitflags! {
    /// What a referral is like ([MS-DFSC] 2.2.5.3, 2.2.5.4).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DfsEntryFlags: u16 {
        /// [`DfsTarget::Names`].
        const NAME_LIST = 0x2;
        /// Version 4: the first of a set of targets that cost the same.
        const TARGET_SET_BOUNDARY = 0x4;
        const _ = !0;
    }
}

flags_on_wire!(DfsEntryFlags: u16);

/// One referral ([MS-DFSC] 2.2.5). What its version does not have is zero or empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfsReferral {
    /// 1 to 4.
    pub version: u16,
    /// The target is a root of a name space, not a link's.
    pub is_root: bool,
    /// What it is like.
    pub flags: DfsEntryFlags,
    /// Version 2 only; nobody uses it.
    pub proximity: u32,
    /// Seconds that it may be kept; version 1 does not say.
    pub time_to_live: u32,
    /// Where to go.
    pub target: DfsTarget,
}

/// Where a referral leads. Texts that several referrals have in common are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DfsTarget {
    /// A root or a link.
    Path {
        /// The part of the path that the target stands for; version 1 does not say.
        dfs_path: Arc<str>,
        /// The same with 8.3 names.
        alternate: Arc<str>,
        /// `\server\share\path`
        address: Arc<str>,
        /// Always zero.
        site: Guid,
    },
    /// A domain or its controllers: versions 3 and 4 with [`DfsEntryFlags::NAME_LIST`].
    Names {
        /// The domain.
        special: Arc<str>,
        /// Its controllers; none where the domain itself is meant.
        expanded: Vec<Arc<str>>,
    },
}

impl Default for DfsTarget {
    fn default() -> Self {
        let empty: Arc<str> = "".into();
        Self::Path {
            dfs_path: empty.clone(),
            alternate: empty.clone(),
            address: empty,
            site: Guid::default(),
        }
    }
}

/// Reads terminated texts anywhere in a response, each once.
///
/// Offsets may point anywhere, many at one text, so that a small response could stand for much. Texts that are read
/// from the same place share their memory, and texts that overlap are not honest.
pub(super) struct Names<'a> {
    data: &'a Bytes,
    known: HashMap<usize, (Arc<str>, usize)>,
    budget: usize,
}

impl<'a> Names<'a> {
    pub(super) fn new(data: &'a Bytes) -> Self {
        Self { data, known: HashMap::new(), budget: 2 * data.len() }
    }

    fn pay(&mut self, bytes: usize) -> Result<(), DecodeError> {
        self.budget =
            self.budget.checked_sub(bytes).ok_or(DecodeError::Invalid("overlapping referral names"))?;
        Ok(())
    }

    /// The text at this place and how many bytes it takes.
    fn read(&mut self, at: usize) -> Result<(Arc<str>, usize), DecodeError> {
        if let Some(known) = self.known.get(&at) {
            return Ok(known.clone());
        }
        let rest = self.data.get(at..).ok_or(DecodeError::OutOfBounds("referral name"))?;
        let length = rest.chunks_exact(2).take_while(|unit| unit != &[0, 0]).count() * 2;
        self.pay(length + 2)?;
        let name: Arc<str> = utf16_to_string(rest.get(..length).unwrap_or_default())?.into();
        self.known.insert(at, (name.clone(), length + 2));
        Ok((name, length + 2))
    }

    /// The text at `offset` from `start`; 0 stands for none.
    fn at(&mut self, start: usize, offset: u16) -> Result<Arc<str>, DecodeError> {
        match offset {
            0 => Ok("".into()),
            offset => Ok(self.read(start + usize::from(offset))?.0),
        }
    }
}

impl DfsReferral {
    /// Bytes of the shortest entry: version 1 with no name.
    pub(super) const SHORTEST: usize = 8;

    const fn is_list(&self) -> bool {
        self.version >= 3 && self.flags.contains(DfsEntryFlags::NAME_LIST)
    }

    /// Writes all but the texts, whose offsets are left zero.
    pub(super) fn encode_fixed(&self, w: &mut Writer<'_>) {
        let start = w.position();
        w.u16(self.version);
        let size_at = w.position();
        w.u16(0);
        w.u16(u16::from(self.is_root));
        self.flags.encode(w);
        match (self.version, &self.target) {
            // The only version with its text inside.
            (1, DfsTarget::Path { address, .. }) => {
                w.utf16(address);
                w.u16(0);
            }
            (1, DfsTarget::Names { .. }) => w.u16(0),
            (2, _) => {
                w.u32(self.proximity);
                w.u32(self.time_to_live);
                w.zeros(6);
            }
            (_, target) => {
                w.u32(self.time_to_live);
                w.zeros(6);
                match target {
                    DfsTarget::Path { site, .. } => site.encode(w),
                    DfsTarget::Names { .. } => w.zeros(16),
                }
            }
        }
        w.patch_u16(size_at, len16(w.position() - start));
    }

    /// Writes the texts behind all entries and their offsets into the entry at `start`.
    pub(super) fn encode_names(&self, w: &mut Writer<'_>, start: usize) {
        let offsets = match self.version {
            1 => return,
            2 => start + 16,
            _ => start + 12,
        };
        let put = |w: &mut Writer<'_>, at: usize, text: &str| {
            let offset = len16(w.position() - start);
            w.patch_u16(at, offset);
            w.utf16(text);
            w.u16(0);
            offset
        };
        match &self.target {
            DfsTarget::Path { dfs_path, alternate, address, .. } => {
                let first = put(w, offsets, dfs_path);
                if alternate == dfs_path {
                    w.patch_u16(offsets + 2, first);
                } else {
                    put(w, offsets + 2, alternate);
                }
                put(w, offsets + 4, address);
            }
            DfsTarget::Names { special, expanded } => {
                put(w, offsets, special);
                w.patch_u16(offsets + 2, len16(expanded.len()));
                w.patch_u16(offsets + 4, len16(w.position() - start));
                for name in expanded {
                    w.utf16(name);
                    w.u16(0);
                }
            }
        }
    }

    /// Reads the entry at `start` and says how many bytes it takes.
    pub(super) fn decode(names: &mut Names<'_>, start: usize) -> Result<(Self, usize), DecodeError> {
        let r = &mut Reader::new(names.data, start);
        let version = r.u16()?;
        let size = usize::from(r.u16()?);
        let is_root = r.u16()? & 1 != 0;
        let flags = DfsEntryFlags::decode(r)?;
        let mut referral = Self { version, is_root, flags, ..Self::default() };
        let list = referral.is_list();
        match version {
            1 => {}
            2 => {
                referral.proximity = r.u32()?;
                referral.time_to_live = r.u32()?;
            }
            3 | 4 => referral.time_to_live = r.u32()?,
            _ => return Err(DecodeError::Invalid("referral version")),
        }
        let empty: Arc<str> = "".into();
        referral.target = if version == 1 {
            let (address, _) = names.read(r.position())?;
            DfsTarget::Path { dfs_path: empty.clone(), alternate: empty, address, site: Guid::default() }
        } else if list {
            let special = names.at(start, r.u16()?)?;
            let count = usize::from(r.u16()?);
            let mut at = start + usize::from(r.u16()?);
            let mut expanded = Vec::new();
            for _ in 0..count {
                // A name costs what it takes even where it is shared: there may be many lists of the same.
                let (name, length) = names.read(at)?;
                names.pay(2)?;
                expanded.push(name);
                at += length;
            }
            DfsTarget::Names { special, expanded }
        } else {
            DfsTarget::Path {
                dfs_path: names.at(start, r.u16()?)?,
                alternate: names.at(start, r.u16()?)?,
                address: names.at(start, r.u16()?)?,
                site: if version == 2 { Guid::default() } else { r.guid()? },
            }
        };
        // So that entries cannot lie in each other. Version 1's size counts its text.
        if size < r.position() - start || size < Self::SHORTEST {
            return Err(DecodeError::Invalid("referral size"));
        }
        Ok((referral, size))
    }
}
