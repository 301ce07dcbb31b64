//! Security identifiers ([MS-DTYP] 2.4.2).

use std::fmt;
use std::str::FromStr;

use crate::wire::{DecodeError, Reader, Wire, Writer};

/// Most sub-authorities that an identifier can have ([MS-DTYP] 2.4.2.2).
const MAX_SUBS: usize = 15;
/// The largest identifier authority: 48 bits.
const MAX_AUTHORITY: u64 = (1 << 48) - 1;

/// A security identifier: a user, a group, a machine ([MS-DTYP] 2.4.2).
///
/// As text it is `S-1-5-…` ([MS-DTYP] 2.4.2.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sid {
    authority: u64,
    count: u8,
    // Those behind `count` are zero, so that comparing compares identifiers.
    subs: [u32; MAX_SUBS],
}

/// A user or group that has a number only ([`Sid::to_unix`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnixId {
    /// A user's number.
    User(u32),
    /// A group's number.
    Group(u32),
    /// Not somebody but a file's mode, in an entry that grants nothing.
    Mode(u32),
}

/// The text is not `S-1-…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a security identifier")]
pub struct ParseSidError;

macro_rules! well_known {
    ($($(#[$doc:meta])* $name:ident = $authority:literal $(- $sub:literal)*;)*) => {
        impl Sid {
            $($(#[$doc])* pub const $name: Self = Self::known($authority, &[$($sub),*]);)*
        }
    };
}

well_known! {
    /// Nobody.
    NULL = 0 - 0;
    /// Everyone.
    EVERYONE = 1 - 0;
    /// Who is at the console.
    LOCAL = 2 - 0;
    /// In an inheritable entry: whoever creates the child.
    CREATOR_OWNER = 3 - 0;
    /// In an inheritable entry: the primary group of whoever creates the child.
    CREATOR_GROUP = 3 - 1;
    /// Whoever owns the object now.
    OWNER_RIGHTS = 3 - 4;
    /// Who came over the network.
    NETWORK = 5 - 2;
    /// Who logged on interactively.
    INTERACTIVE = 5 - 4;
    /// Services.
    SERVICE = 5 - 6;
    /// Who gave no name.
    ANONYMOUS = 5 - 7;
    /// Domain controllers of the forest.
    ENTERPRISE_DOMAIN_CONTROLLERS = 5 - 9;
    /// In an entry of a user or group object: that object.
    PRINCIPAL_SELF = 5 - 10;
    /// Who gave a name and proved it.
    AUTHENTICATED_USERS = 5 - 11;
    /// Code with fewer rights than its user.
    RESTRICTED = 5 - 12;
    /// The machine itself.
    LOCAL_SYSTEM = 5 - 18;
    /// A service with few rights.
    LOCAL_SERVICE = 5 - 19;
    /// A service with few rights that shows the machine's identity in the network.
    NETWORK_SERVICE = 5 - 20;
    /// The machine's administrators.
    BUILTIN_ADMINISTRATORS = 5 - 32 - 544;
    /// The machine's users.
    BUILTIN_USERS = 5 - 32 - 545;
    /// The machine's guests.
    BUILTIN_GUESTS = 5 - 32 - 546;
    /// Who may pass over access control to back up and restore.
    BUILTIN_BACKUP_OPERATORS = 5 - 32 - 551;
}

impl Sid {
    const fn known(authority: u64, list: &[u32]) -> Self {
        let mut subs = [0; MAX_SUBS];
        let mut i = 0;
        while i < list.len() {
            subs[i] = list[i];
            i += 1;
        }
        Self { authority, count: list.len() as u8, subs }
    }

    /// The identifier with these numbers; `None` where the authority has more than 48 bits or there are more than
    /// 15 sub-authorities.
    pub const fn new(authority: u64, sub_authorities: &[u32]) -> Option<Self> {
        if authority > MAX_AUTHORITY || sub_authorities.len() > MAX_SUBS {
            return None;
        }
        Some(Self::known(authority, sub_authorities))
    }

    /// Who issued it: 5 is Windows.
    pub const fn authority(&self) -> u64 {
        self.authority
    }

    /// The numbers behind the authority.
    pub fn sub_authorities(&self) -> &[u32] {
        self.subs.get(..usize::from(self.count)).unwrap_or(&self.subs)
    }

    /// The last number: who it is within the domain.
    pub fn rid(&self) -> Option<u32> {
        self.sub_authorities().last().copied()
    }

    /// This identifier with one number more: `rid` of this domain.
    pub fn with_rid(&self, rid: u32) -> Option<Self> {
        let mut child = *self;
        *child.subs.get_mut(usize::from(self.count))? = rid;
        child.count += 1;
        Some(child)
    }

    /// The identifier without its last number: the domain.
    pub fn domain(&self) -> Option<Self> {
        let (_, rest) = self.sub_authorities().split_last()?;
        Self::new(self.authority, rest)
    }

    /// The user with this number as Samba writes it: `S-1-22-1-uid`.
    pub const fn unix_user(uid: u32) -> Self {
        Self::known(22, &[1, uid])
    }

    /// The group with this number as Samba writes it: `S-1-22-2-gid`.
    pub const fn unix_group(gid: u32) -> Self {
        Self::known(22, &[2, gid])
    }

    /// A file's mode as Windows' NFS server keeps it in an access control list: `S-1-5-88-3-mode`.
    pub const fn unix_mode(mode: u32) -> Self {
        Self::known(5, &[88, 3, mode])
    }

    /// The Unix number behind it: Samba's `S-1-22-{1,2}-n` and the NFS server's `S-1-5-88-{1,2,3}-n`.
    pub fn to_unix(&self) -> Option<UnixId> {
        match (self.authority, self.sub_authorities()) {
            (22, [1, id]) | (5, [88, 1, id]) => Some(UnixId::User(*id)),
            (22, [2, id]) | (5, [88, 2, id]) => Some(UnixId::Group(*id)),
            (5, [88, 3, mode]) => Some(UnixId::Mode(*mode)),
            _ => None,
        }
    }

    /// Bytes on the wire.
    pub const fn wire_len(&self) -> usize {
        8 + 4 * self.count as usize
    }

    /// Reads an identifier from the front of `text` and gives what follows.
    pub(super) fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let number = |text: &str, radix: u32| {
            let end = text.find(|c: char| !c.is_digit(radix)).unwrap_or(text.len());
            let value = u64::from_str_radix(text.get(..end)?, radix).ok()?;
            Some((value, end))
        };
        let prefix = text.get(..4)?;
        if !prefix.eq_ignore_ascii_case("S-1-") {
            return None;
        }
        let rest = text.get(4..)?;
        let (authority, mut rest) = match rest.get(..2) {
            Some("0x" | "0X") => {
                let hex = rest.get(2..)?;
                // Twelve digits and no more: a descriptor's text may go on with a "D".
                let (value, end) = number(hex.get(..12).unwrap_or(hex), 16)?;
                (value, hex.get(end..)?)
            }
            _ => {
                let (value, end) = number(rest, 10)?;
                (value, rest.get(end..)?)
            }
        };
        let mut sid = Self::new(authority, &[])?;
        while let Some(after) = rest.strip_prefix('-') {
            let (value, end) = number(after, 10)?;
            sid = sid.with_rid(u32::try_from(value).ok()?)?;
            rest = after.get(end..)?;
        }
        Some((sid, rest))
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Authorities of more than 32 bits are in hexadecimal ([MS-DTYP] 2.4.2.1).
        if self.authority > u64::from(u32::MAX) {
            write!(f, "S-1-0x{:012x}", self.authority)?;
        } else {
            write!(f, "S-1-{}", self.authority)?;
        }
        self.sub_authorities().iter().try_for_each(|sub| write!(f, "-{sub}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sid {
    type Err = ParseSidError;

    fn from_str(text: &str) -> Result<Self, ParseSidError> {
        match Self::parse_prefix(text) {
            Some((sid, "")) => Ok(sid),
            _ => Err(ParseSidError),
        }
    }
}

impl Wire for Sid {
    fn encode(&self, w: &mut Writer<'_>) {
        w.u8(1);
        w.u8(self.count);
        let [_, _, authority @ ..] = self.authority.to_be_bytes();
        w.bytes(&authority);
        self.sub_authorities().iter().for_each(|sub| w.u32(*sub));
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if r.u8()? != 1 {
            return Err(DecodeError::Invalid("SID revision"));
        }
        let count = r.u8()?;
        let [a, b, c, d, e, f] = r.array()?;
        let authority = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        let mut subs = [0; MAX_SUBS];
        let used =
            subs.get_mut(..usize::from(count)).ok_or(DecodeError::Invalid("SID sub-authority count"))?;
        for sub in used {
            *sub = r.u32()?;
        }
        Ok(Self { authority, count, subs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::check::{bear, both_ways, vector};
    use bytes::Bytes;
    use proptest::prelude::*;

    pub(crate) fn any_sid() -> impl Strategy<Value = Sid> {
        (0..=MAX_AUTHORITY, prop::collection::vec(any::<u32>(), 0..=MAX_SUBS))
            .prop_map(|(authority, subs)| Sid::new(authority, &subs).unwrap())
    }

    #[test]
    fn the_specifications_identifiers() {
        vector(&Sid::EVERYONE, &[1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        vector(&Sid::BUILTIN_ADMINISTRATORS, &[1, 2, 0, 0, 0, 0, 0, 5, 0x20, 0, 0, 0, 0x20, 2, 0, 0]);
        assert_eq!(Sid::LOCAL_SYSTEM.to_string(), "S-1-5-18");
        assert_eq!("s-1-5-32-544".parse(), Ok(Sid::BUILTIN_ADMINISTRATORS));
        assert_eq!("S-1-0x100000000-7".parse(), Ok(Sid::new(1 << 32, &[7]).unwrap()));
        assert_eq!(Sid::new(1 << 32, &[7]).unwrap().to_string(), "S-1-0x000100000000-7");
    }

    #[test]
    fn what_is_no_identifier_is_refused() {
        for text in ["", "S-1", "S-1-", "S-2-5", "S-1-5-", "S-1-5-x", "S-1-5-4294967296", "S-1-5 ", "ä-1-5"]
        {
            assert_eq!(text.parse::<Sid>(), Err(ParseSidError), "{text}");
        }
        assert_eq!(format!("S-1-5{}", "-1".repeat(16)).parse::<Sid>(), Err(ParseSidError));
        assert!(Sid::new(1 << 48, &[]).is_none());
        assert!(Sid::new(5, &[1; 15]).unwrap().with_rid(1).is_none());
        let many = Bytes::from_static(&[1, 16, 0, 0, 0, 0, 0, 5]);
        assert_eq!(
            Sid::decode(&mut Reader::new(&many, 0)),
            Err(DecodeError::Invalid("SID sub-authority count"))
        );
    }

    #[test]
    fn a_domain_and_who_is_in_it() {
        let admin: Sid = "S-1-5-21-1-2-3-500".parse().unwrap();
        assert_eq!(admin.rid(), Some(500));
        assert_eq!(admin.domain().unwrap().with_rid(500), Some(admin));
        assert_eq!(Sid::unix_user(1000).to_unix(), Some(UnixId::User(1000)));
        assert_eq!(Sid::unix_group(5).to_unix(), Some(UnixId::Group(5)));
        assert_eq!(Sid::unix_mode(0o644).to_unix(), Some(UnixId::Mode(0o644)));
        assert_eq!(admin.to_unix(), None);
    }

    proptest! {
        #[test]
        fn every_identifier_survives_both_round_trips(sid in any_sid()) {
            both_ways(&sid);
            prop_assert_eq!(sid.to_string().parse(), Ok(sid));
        }

        #[test]
        fn any_bytes_and_text_give_a_value_or_an_error(data: Vec<u8>, text: String, tail in "[-0-9xa-fA-F]{0,30}") {
            bear::<Sid>(&Bytes::from(data));
            let _ = text.parse::<Sid>();
            let _ = format!("S-1-{tail}").parse::<Sid>();
        }
    }
}
