//! Quotas ([MS-FSCC] 2.4.41, [MS-SMB2] 2.2.37.1).

use bytes::Bytes;

use super::FileTime;
use super::chain::{decode_chain, encode_chain};
use crate::security::Sid;
use crate::wire::{DecodeError, Reader, Wire, Writer, len32};

/// One user's quota: `FILE_QUOTA_INFORMATION` ([MS-FSCC] 2.4.41).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaEntry {
    /// When it was last changed.
    pub changed: FileTime,
    /// Bytes that the user takes.
    pub used: u64,
    /// From here on the user is warned; all ones for never.
    pub threshold: u64,
    /// More the user does not get; all ones for no limit.
    pub limit: u64,
    /// The user.
    pub sid: Sid,
}

impl QuotaEntry {
    /// No warning or no limit.
    pub const UNLIMITED: u64 = u64::MAX;
    const FIXED: usize = 40;

    fn encode(&self, w: &mut Writer<'_>) {
        w.u32(len32(self.sid.wire_len()));
        self.changed.encode(w);
        w.u64(self.used);
        w.u64(self.threshold);
        w.u64(self.limit);
        self.sid.encode(w);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let sid_length = r.u32()? as usize;
        Ok(Self {
            changed: FileTime::decode(r)?,
            used: r.u64()?,
            threshold: r.u64()?,
            limit: r.u64()?,
            sid: sid_of(r, sid_length)?,
        })
    }
}

fn sid_of(r: &mut Reader<'_>, length: usize) -> Result<Sid, DecodeError> {
    let data = r.bytes(length)?;
    Sid::decode(&mut Reader::new(&data, 0))
}

/// Writes quotas for a set or an answer.
pub fn encode_quotas(entries: &[QuotaEntry]) -> Vec<u8> {
    encode_chain(entries, 8, QuotaEntry::encode)
}

/// Reads `FileQuotaInformation`.
pub fn decode_quotas(data: &Bytes) -> Result<Vec<QuotaEntry>, DecodeError> {
    decode_chain(data, QuotaEntry::FIXED, QuotaEntry::decode)
}

/// SMB2_QUERY_QUOTA_INFO, the input of a quota query ([MS-SMB2] 2.2.37.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaQuery {
    /// One entry only.
    pub return_single: bool,
    /// Start again from the first user.
    pub restart: bool,
    /// Whose quotas.
    pub users: QuotaUsers,
}

/// Whom a quota query is about ([MS-SMB2] 2.2.37.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum QuotaUsers {
    /// All, from where the last query ended.
    #[default]
    All,
    /// These.
    List(Vec<Sid>),
    /// All from this one on.
    From(Sid),
}

impl Wire for QuotaQuery {
    fn encode(&self, w: &mut Writer<'_>) {
        self.return_single.encode(w);
        self.restart.encode(w);
        w.u16(0);
        let (list, first) = match &self.users {
            QuotaUsers::All => (Vec::new(), Vec::new()),
            QuotaUsers::List(users) => {
                let list = encode_chain(users, 4, |sid, w| {
                    w.u32(len32(sid.wire_len()));
                    sid.encode(w);
                });
                (list, Vec::new())
            }
            QuotaUsers::From(sid) => (Vec::new(), super::to_bytes(sid).to_vec()),
        };
        w.u32(len32(list.len()));
        w.u32(len32(first.len()));
        // The offset counts from the buffer's beginning, and only one of the two is there.
        w.u32(0);
        w.bytes(&list);
        w.bytes(&first);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let return_single = bool::decode(r)?;
        let restart = bool::decode(r)?;
        r.u16()?;
        let list_length = r.u32()? as usize;
        let first_length = r.u32()? as usize;
        let first_offset = r.u32()? as usize;
        let users = match (list_length, first_length) {
            (0, 0) => QuotaUsers::All,
            (0, length) => {
                r.skip(first_offset)?;
                QuotaUsers::From(sid_of(r, length)?)
            }
            (length, 0) => {
                let list = r.bytes(length)?;
                QuotaUsers::List(decode_chain(&list, 16, |r| {
                    let length = r.u32()? as usize;
                    sid_of(r, length)
                })?)
            }
            _ => return Err(DecodeError::Invalid("quota query")),
        };
        Ok(Self { return_single, restart, users })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, through, vector};
    use proptest::prelude::*;

    #[test]
    fn quotas_survive_a_round_trip() {
        let entry = |sid| QuotaEntry {
            changed: FileTime(1),
            used: 2,
            threshold: 3,
            limit: QuotaEntry::UNLIMITED,
            sid,
        };
        let list = vec![entry(Sid::EVERYONE), entry(Sid::BUILTIN_USERS)];
        through(&list, |list| Bytes::from(encode_quotas(list)), decode_quotas);
        let encoded = encode_quotas(&list);
        assert_eq!((encoded[0], encoded[4], encoded.len()), (56, 12, 56 + 40 + 16));
    }

    #[test]
    fn queries_survive_a_round_trip() {
        vector(
            &QuotaQuery { return_single: true, restart: true, users: QuotaUsers::From(Sid::EVERYONE) },
            &[1, 1, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0],
        );
        both_ways(&QuotaQuery::default());
        let users = QuotaUsers::List(vec![Sid::EVERYONE, Sid::BUILTIN_USERS]);
        both_ways(&QuotaQuery { users, ..QuotaQuery::default() });
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..60u8, 0..120)) {
            let data = Bytes::from(data);
            bear::<QuotaQuery>(&data);
            let _ = decode_quotas(&data);
        }
    }
}
