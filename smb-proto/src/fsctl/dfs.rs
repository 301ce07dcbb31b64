//! Referrals of a distributed file system: FSCTL_DFS_GET_REFERRALS and its successor ([MS-DFSC] 2.2.2 to 2.2.4).

use bytes::Bytes;

use super::dfs_entry::{DfsReferral, Names};
use crate::wire::{DecodeError, Reader, Wire, Writer, flags_on_wire, len16, len32, utf16_len};

/// REQ_GET_DFS_REFERRAL ([MS-DFSC] 2.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfsReferralRequest {
    /// The latest version of referral that the client understands: 1 to 4.
    pub max_level: u16,
    /// `\server\share\path` with a single `\` in front; empty for the names of domains.
    pub path: String,
}

impl Wire for DfsReferralRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.max_level);
        w.utf16(&self.path);
        w.u16(0);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let max_level = r.u16()?;
        let length = r.remaining() & !1;
        let text = r.utf16(length)?;
        let path = text.split_once('\0').ok_or(DecodeError::Truncated)?.0;
        Ok(Self { max_level, path: path.to_owned() })
    }
}

/// REQ_GET_DFS_REFERRAL_EX ([MS-DFSC] 2.2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfsReferralExRequest {
    /// As in [`DfsReferralRequest`].
    pub max_level: u16,
    /// As in [`DfsReferralRequest`].
    pub path: String,
    /// The client's site, so that near targets come first.
    pub site: Option<String>,
}

impl Wire for DfsReferralExRequest {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.max_level);
        w.u16(u16::from(self.site.is_some()));
        let length_at = w.position();
        w.u32(0);
        let start = w.position();
        for text in [Some(&self.path), self.site.as_ref()].into_iter().flatten() {
            w.u16(len16(utf16_len(text)));
            w.utf16(text);
        }
        w.patch_u32(length_at, len32(w.position() - start));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let max_level = r.u16()?;
        let has_site = r.u16()? & 1 != 0;
        let length = r.u32()? as usize;
        let data = r.bytes(length)?;
        let r = &mut Reader::new(&data, 0);
        let mut text = || {
            let length = usize::from(r.u16()?);
            r.utf16(length)
        };
        // A path may come with its terminator.
        let path = text()?.trim_end_matches('\0').to_owned();
        let site = if has_site { Some(text()?) } else { None };
        Ok(Self { max_level, path, site })
    }
}

bitflags::bitflags! {
    /// What the referrals are ([MS-DFSC] 2.2.4, ReferralHeaderFlags).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DfsReferralFlags: u32 {
        /// The targets are servers of the name space, not of files.
        const REFERRAL_SERVERS = 0x1;
        /// The targets hold files; no further referral is needed.
        const STORAGE_SERVERS = 0x2;
        /// A client that had to leave a target goes back when it can.
        const TARGET_FAILBACK = 0x4;
        const _ = !0;
    }
}

flags_on_wire!(DfsReferralFlags: u32);

/// RESP_GET_DFS_REFERRAL ([MS-DFSC] 2.2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DfsReferralResponse {
    /// Bytes of the path, in UTF-16, that the targets stand for.
    pub path_consumed: u16,
    /// What the referrals are.
    pub flags: DfsReferralFlags,
    /// The targets, best first.
    pub referrals: Vec<DfsReferral>,
}

impl DfsReferralResponse {
    /// Splits the path that was asked for into what the targets stand for and the rest; `None` where the server's
    /// count does not fit the path.
    pub fn split<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        let mut left = usize::from(self.path_consumed);
        for (at, c) in path.char_indices() {
            if left == 0 {
                return path.split_at_checked(at);
            }
            left = left.checked_sub(c.len_utf16() * 2)?;
        }
        (left == 0).then_some((path, ""))
    }
}

impl Wire for DfsReferralResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u16(self.path_consumed);
        w.u16(len16(self.referrals.len()));
        self.flags.encode(w);
        let starts: Vec<_> = self
            .referrals
            .iter()
            .map(|referral| {
                let start = w.position();
                referral.encode_fixed(w);
                start
            })
            .collect();
        for (referral, start) in self.referrals.iter().zip(starts) {
            referral.encode_names(w, start);
        }
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let path_consumed = r.u16()?;
        let count = usize::from(r.u16()?);
        let flags = DfsReferralFlags::decode(r)?;
        let data: Bytes = r.rest();
        if count > data.len() / DfsReferral::SHORTEST {
            return Err(DecodeError::Truncated);
        }
        let mut names = Names::new(&data);
        let mut at = 0;
        let mut referrals = Vec::new();
        for _ in 0..count {
            let (referral, size) = DfsReferral::decode(&mut names, at)?;
            referrals.push(referral);
            at += size;
        }
        Ok(Self { path_consumed, flags, referrals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsctl::{DfsEntryFlags, DfsTarget};
    use crate::wire::Guid;
    use crate::wire::check::{bear, both_ways, vector};
    use proptest::prelude::*;

    fn referral(version: u16) -> DfsReferral {
        let full = version > 1;
        DfsReferral {
            version,
            is_root: true,
            flags: if version == 4 { DfsEntryFlags::TARGET_SET_BOUNDARY } else { DfsEntryFlags::empty() },
            proximity: if version == 2 { 5 } else { 0 },
            time_to_live: if full { 300 } else { 0 },
            target: DfsTarget::Path {
                dfs_path: if full { "\\d\\root".into() } else { "".into() },
                alternate: if full { "\\D\\root".into() } else { "".into() },
                address: "\\s\\éxport".into(),
                site: if version > 2 { Guid([3; 16]) } else { Guid::default() },
            },
        }
    }

    fn name_list() -> DfsReferral {
        let expanded = vec!["\\dc1".into(), "\\dc2".into()];
        DfsReferral {
            version: 3,
            flags: DfsEntryFlags::NAME_LIST,
            target: DfsTarget::Names { special: "\\dom".into(), expanded },
            ..DfsReferral::default()
        }
    }

    fn response(referrals: Vec<DfsReferral>) -> DfsReferralResponse {
        DfsReferralResponse { path_consumed: 14, flags: DfsReferralFlags::STORAGE_SERVERS, referrals }
    }

    #[test]
    fn every_version_survives_a_round_trip() {
        for version in 1..=4 {
            both_ways(&response(vec![referral(version), referral(version)]));
        }
        both_ways(&response(vec![name_list(), name_list()]));
        both_ways(&response(Vec::new()));
    }

    #[test]
    fn a_referral_is_where_the_specification_puts_it() {
        let simple = DfsReferral {
            version: 3,
            target: DfsTarget::Path {
                dfs_path: "a".into(),
                alternate: "a".into(),
                address: "b".into(),
                site: Guid::default(),
            },
            ..DfsReferral::default()
        };
        let mut expected =
            vec![14, 0, 1, 0, 2, 0, 0, 0, 3, 0, 34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 34, 0, 34, 0, 38, 0];
        expected.extend([0; 16]);
        expected.extend(b"a\0\0\0b\0\0\0");
        vector(&response(vec![simple]), &expected);
    }

    #[test]
    fn requests_survive_a_round_trip() {
        vector(&DfsReferralRequest { max_level: 4, path: "\\a".into() }, b"\x04\0\\\0a\0\0\0");
        both_ways(&DfsReferralExRequest { max_level: 4, path: "\\a".into(), site: None });
        both_ways(&DfsReferralExRequest { max_level: 4, path: "\\a".into(), site: Some("here".into()) });
    }

    #[test]
    fn the_consumed_part_is_counted_in_utf_16() {
        let of = |path_consumed| DfsReferralResponse { path_consumed, ..Default::default() };
        assert_eq!(of(6).split("\\🦀\\x"), Some(("\\🦀", "\\x")));
        assert_eq!(of(4).split("\\🦀\\x"), None);
        assert_eq!(of(0).split("\\x"), Some(("", "\\x")));
        assert_eq!(of(4).split("\\x"), Some(("\\x", "")));
        assert_eq!(of(6).split("\\x"), None);
    }

    #[test]
    fn one_long_string_cannot_be_read_a_thousand_times() {
        // Each entry points a character further into the same text.
        let mut data = vec![0, 0, 0xE8, 3, 0, 0, 0, 0];
        for i in 0..1000u16 {
            let offset = (1000 - i) * 22 + i * 2;
            data.extend([2, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            (0..3).for_each(|_| data.extend(offset.to_le_bytes()));
        }
        data.extend(std::iter::repeat_n(b'x', 20_000));
        let data = Bytes::from(data);
        let decoded = DfsReferralResponse::decode(&mut Reader::new(&data, 0));
        assert_eq!(decoded, Err(DecodeError::Invalid("overlapping referral names")));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(version in 0..5u8, flags in 0..4u8, tail in prop::collection::vec(0..40u8, 0..80)) {
            let mut data = vec![0, 0, 1, 0, 0, 0, 0, 0, version, 0, 18, 0, 0, 0, flags, 0];
            data.extend(tail);
            let data = Bytes::from(data);
            bear::<DfsReferralResponse>(&data);
            bear::<DfsReferralRequest>(&data);
            bear::<DfsReferralExRequest>(&data);
        }
    }
}
