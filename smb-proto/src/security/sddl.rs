//! Security descriptors as text: the security descriptor definition language ([MS-DTYP] 2.5.1).
//!
//! Text cannot say all that a descriptor can: the resource manager's byte and the flags that call a part a default
//! or trusted are lost, and what would change somebody's rights if it were lost is an error
//! ([`SddlError::Inexpressible`]). Conditions and resource attributes ([MS-DTYP] 2.5.1.2) are such.

use std::str::FromStr;

use bytes::Bytes;

use super::alias::{Alias, FLAGS, KINDS, LABEL_RIGHTS, RIGHTS, SIDS, WHOLE_RIGHTS, find};
use super::{Ace, AceBody, AceFlags, AceKind, Acl, Control, SecurityDescriptor, Sid};
use crate::wire::{AccessMask, Guid};

/// Why a text is no security descriptor, or a descriptor has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SddlError {
    /// Something that the language does not have.
    #[error("this {what} is not valid in a security descriptor (at byte {at})")]
    Syntax {
        /// What was to be read.
        what: &'static str,
        /// Where in the text.
        at: usize,
    },
    /// A short name for somebody of a domain, and no domain to look in.
    #[error("the name at byte {at} is of a domain, and which one is not known")]
    NoDomain {
        /// Where in the text.
        at: usize,
    },
    /// Something that has no text, or none that this crate can write.
    #[error("this {0} cannot be written as text")]
    Inexpressible(&'static str),
}

/// The flags of one list in the text and in the descriptor.
struct ListFlags {
    protected: Control,
    required: Control,
    inherited: Control,
}

const DACL: ListFlags = ListFlags {
    protected: Control::DACL_PROTECTED,
    required: Control::DACL_AUTO_INHERIT_REQUIRED,
    inherited: Control::DACL_AUTO_INHERITED,
};

const SACL: ListFlags = ListFlags {
    protected: Control::SACL_PROTECTED,
    required: Control::SACL_AUTO_INHERIT_REQUIRED,
    inherited: Control::SACL_AUTO_INHERITED,
};

/// Stands for a list that is present and null.
const NULL_LIST: &str = "NO_ACCESS_CONTROL";

impl FromStr for SecurityDescriptor {
    type Err = SddlError;

    fn from_str(text: &str) -> Result<Self, SddlError> {
        Self::from_sddl(text, None)
    }
}

impl SecurityDescriptor {
    /// Reads a text; names such as `DA` are looked for in `domain`.
    pub fn from_sddl(text: &str, domain: Option<&Sid>) -> Result<Self, SddlError> {
        let mut p = Parser { text, at: 0, domain };
        let mut descriptor = Self { control: Control::SELF_RELATIVE, ..Self::default() };
        p.blanks();
        while !p.rest().is_empty() {
            if p.eat("O:") && descriptor.owner.is_none() {
                descriptor.owner = Some(p.sid()?);
            } else if p.eat("G:") && descriptor.group.is_none() {
                descriptor.group = Some(p.sid()?);
            } else if p.eat("D:") && !descriptor.control.contains(Control::DACL_PRESENT) {
                descriptor.control |= Control::DACL_PRESENT;
                descriptor.dacl = p.acl(&DACL, &mut descriptor.control)?;
            } else if p.eat("S:") && !descriptor.control.contains(Control::SACL_PRESENT) {
                descriptor.control |= Control::SACL_PRESENT;
                descriptor.sacl = p.acl(&SACL, &mut descriptor.control)?;
            } else {
                return Err(p.wrong("part"));
            }
            p.blanks();
        }
        Ok(descriptor)
    }

    /// Writes the text; those of `domain` get the names that they have there.
    pub fn to_sddl(&self, domain: Option<&Sid>) -> Result<String, SddlError> {
        let mut out = String::new();
        if let Some(owner) = &self.owner {
            out.push_str("O:");
            put_sid(&mut out, owner, domain);
        }
        if let Some(group) = &self.group {
            out.push_str("G:");
            put_sid(&mut out, group, domain);
        }
        for (name, list, present, flags) in
            [("D:", &self.dacl, Control::DACL_PRESENT, DACL), ("S:", &self.sacl, Control::SACL_PRESENT, SACL)]
        {
            if list.is_none() && !self.control.contains(present) {
                continue;
            }
            out.push_str(name);
            for (text, flag) in [("P", flags.protected), ("AR", flags.required), ("AI", flags.inherited)] {
                if self.control.contains(flag) {
                    out.push_str(text);
                }
            }
            match list {
                Some(acl) => acl.aces.iter().try_for_each(|ace| put_ace(&mut out, ace, domain))?,
                None => out.push_str(NULL_LIST),
            }
        }
        Ok(out)
    }
}

fn put_sid(out: &mut String, sid: &Sid, domain: Option<&Sid>) {
    let known = SIDS.iter().find(|(name, alias)| match alias {
        Alias::Fixed(fixed) => fixed == sid,
        Alias::InDomain(rid) => {
            *name != "EA" && domain.is_some_and(|domain| domain.with_rid(*rid).as_ref() == Some(sid))
        }
    });
    match known {
        Some((name, _)) => out.push_str(name),
        None => out.push_str(&sid.to_string()),
    }
}

fn put_mask(out: &mut String, kind: AceKind, mask: AccessMask) {
    let mask = mask.bits();
    let single: &[(&str, u32)] = if kind == AceKind::MANDATORY_LABEL { &LABEL_RIGHTS } else { &RIGHTS };
    let named = single.iter().fold(0, |sum, (_, bit)| sum | bit);
    let whole = WHOLE_RIGHTS.iter().find(|(_, rights)| *rights == mask);
    match whole {
        Some((name, _)) if kind != AceKind::MANDATORY_LABEL => out.push_str(name),
        _ if mask & !named == 0 && mask != 0 => {
            single.iter().filter(|(_, bit)| mask & bit != 0).for_each(|(name, _)| out.push_str(name));
        }
        _ => out.push_str(&format!("{mask:#x}")),
    }
}

fn put_ace(out: &mut String, ace: &Ace, domain: Option<&Sid>) -> Result<(), SddlError> {
    let (kind, _) =
        KINDS.iter().find(|(_, kind)| *kind == ace.kind).ok_or(SddlError::Inexpressible("kind of entry"))?;
    let (mask, sid, data, guids) = match &ace.body {
        AceBody::Plain { mask, sid, data } => (mask, sid, data, [&None, &None]),
        AceBody::Object { mask, object_type, inherited_type, sid, data } => {
            (mask, sid, data, [object_type, inherited_type])
        }
        AceBody::Raw(_) => return Err(SddlError::Inexpressible("kind of entry")),
    };
    if !data.is_empty() {
        return Err(SddlError::Inexpressible("condition or attribute"));
    }
    out.push('(');
    out.push_str(kind);
    out.push(';');
    FLAGS.iter().filter(|(_, flag)| ace.flags.contains(*flag)).for_each(|(name, _)| out.push_str(name));
    out.push(';');
    put_mask(out, ace.kind, *mask);
    for guid in guids {
        out.push(';');
        if let Some(guid) = guid {
            out.push_str(&guid.to_string());
        }
    }
    out.push(';');
    put_sid(out, sid, domain);
    out.push(')');
    Ok(())
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    domain: Option<&'a Sid>,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    const fn wrong(&self, what: &'static str) -> SddlError {
        SddlError::Syntax { what, at: self.at }
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let here = self.rest().get(..token.len()).is_some_and(|text| text.eq_ignore_ascii_case(token));
        if here {
            self.at += token.len();
        }
        here
    }

    fn sid(&mut self) -> Result<Sid, SddlError> {
        self.blanks();
        if let Some((sid, rest)) = Sid::parse_prefix(self.rest()) {
            self.at = self.text.len() - rest.len();
            return Ok(sid);
        }
        let name = self.rest().get(..2).ok_or_else(|| self.wrong("identifier"))?;
        let sid = match find(&SIDS, name).ok_or_else(|| self.wrong("identifier"))? {
            Alias::Fixed(sid) => sid,
            Alias::InDomain(rid) => {
                let domain = self.domain.ok_or(SddlError::NoDomain { at: self.at })?;
                domain.with_rid(rid).ok_or_else(|| self.wrong("identifier"))?
            }
        };
        self.at += 2;
        Ok(sid)
    }

    fn acl(&mut self, flags: &ListFlags, control: &mut Control) -> Result<Option<Acl>, SddlError> {
        let mut aces = Vec::new();
        loop {
            self.blanks();
            if self.eat(NULL_LIST) {
                return Ok(None);
            } else if self.eat("AR") {
                *control |= flags.required;
            } else if self.eat("AI") {
                *control |= flags.inherited;
            } else if self.eat("P") {
                *control |= flags.protected;
            } else {
                break;
            }
        }
        while self.eat("(") {
            aces.push(self.ace()?);
            self.blanks();
        }
        Ok(Some(Acl::new(aces)))
    }

    /// The text up to the next `;` or `)`, without blanks around it; the delimiter is passed over.
    fn field(&mut self, last: bool) -> Result<(&'a str, usize), SddlError> {
        let end = if last { ')' } else { ';' };
        let text = self.rest();
        match text.find([';', ')']) {
            Some(length) if text.get(length..).is_some_and(|rest| rest.starts_with(end)) => {
                let start = self.at;
                self.at += length + 1;
                Ok((text.get(..length).unwrap_or_default().trim(), start))
            }
            _ => Err(self.wrong("entry")),
        }
    }

    fn ace(&mut self) -> Result<Ace, SddlError> {
        let (kind, at) = self.field(false)?;
        let kind = find(&KINDS, kind).ok_or(SddlError::Syntax { what: "kind of entry", at })?;
        let (flags, at) = self.field(false)?;
        let flags = pairs(flags)
            .and_then(|mut names| {
                names.try_fold(AceFlags::empty(), |sum, name| Some(sum | find(&FLAGS, name)?))
            })
            .ok_or(SddlError::Syntax { what: "entry's flag", at })?;
        let (mask, at) = self.field(false)?;
        let mask = rights(mask).ok_or(SddlError::Syntax { what: "access right", at })?;
        let mask = AccessMask::from_bits_retain(mask);
        let object_type = self.guid()?;
        let inherited_type = self.guid()?;
        let sid = self.sid()?;
        self.blanks();
        match self.field(true) {
            Ok(("", _)) => {}
            // A condition or an attribute would follow here.
            _ => return Err(self.wrong("end of an entry")),
        }
        let object = matches!(
            kind,
            AceKind::ALLOW_OBJECT
                | AceKind::DENY_OBJECT
                | AceKind::AUDIT_OBJECT
                | AceKind::ALARM_OBJECT
                | AceKind::ALLOW_CALLBACK_OBJECT
                | AceKind::DENY_CALLBACK_OBJECT
                | AceKind::AUDIT_CALLBACK_OBJECT
        );
        let data = Bytes::new();
        let body = match (object, object_type, inherited_type) {
            (true, ..) => AceBody::Object { mask, object_type, inherited_type, sid, data },
            (false, None, None) => AceBody::Plain { mask, sid, data },
            _ => return Err(SddlError::Syntax { what: "GUID", at }),
        };
        Ok(Ace { kind, flags, body })
    }

    fn guid(&mut self) -> Result<Option<Guid>, SddlError> {
        match self.field(false)? {
            ("", _) => Ok(None),
            (text, at) => text.parse().map(Some).map_err(|_| SddlError::Syntax { what: "GUID", at }),
        }
    }
}

/// Splits into names of two letters.
fn pairs(text: &str) -> Option<impl Iterator<Item = &str>> {
    (text.is_ascii() && text.len().is_multiple_of(2))
        .then(|| (0..text.len() / 2).filter_map(move |i| text.get(2 * i..2 * i + 2)))
}

/// A mask: a number in any of C's notations, or names of two letters.
fn rights(text: &str) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())?;
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let radix = if text.len() > 1 && text.starts_with('0') { 8 } else { 10 };
        return u32::from_str_radix(text, radix).ok();
    }
    pairs(text)?.try_fold(0, |sum, name| {
        let right = find(&WHOLE_RIGHTS, name)
            .or_else(|| find(&RIGHTS, name))
            .or_else(|| find(&LABEL_RIGHTS, name))
            // The same bits as KR.
            .or_else(|| name.eq_ignore_ascii_case("KX").then_some(0x0002_0019));
        Some(sum | right?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::{from_bytes, to_bytes};
    use proptest::prelude::*;

    /// [MS-DTYP] 2.5.1.4.
    const TEXT: &str =
        "O:BAG:BAD:P(A;OICI;GRGX;;;BU)(A;OICI;GA;;;BA)(A;OICI;GA;;;SY)(A;OICI;GA;;;CO)S:P(AU;FA;GR;;;WD)";
    const BINARY: &str = "010014b090000000a000000014000000300000000200\
        1c000100000002801400000000800101000000000001000000000200600004000000000318000000\
        00a001020000000000052000000021020000000318000000001001020000000000052000000020020000\
        0003140000000010010100000000000512000000000314000000001001010000000000030000000001\
        020000000000052000000020020000010200000000000520000000200200 00";

    #[test]
    fn the_specifications_example_both_ways() {
        let binary = hex::decode(BINARY.replace(' ', "")).unwrap();
        let descriptor: SecurityDescriptor = TEXT.parse().unwrap();
        assert_eq!(hex::encode(to_bytes(&descriptor)), hex::encode(&binary));
        let read: SecurityDescriptor = from_bytes(&Bytes::from(binary)).unwrap();
        assert_eq!(read, descriptor);
        assert_eq!(read.to_sddl(None).as_deref(), Ok(TEXT));
    }

    #[test]
    fn sambas_descriptor_can_be_read() {
        // smbd 4.17 of a file without an ACL of its own.
        let captured = "0100049014000000240000000000000034000000010200000000001601000000000000000102000000000016\
            020000000000000002004c0003000000000018009f01120001020000000000160100000000000000000018009f011200\
            01020000000000160200000000000000000014009f011200010100000000000100000000";
        let read: SecurityDescriptor = from_bytes(&Bytes::from(hex::decode(captured).unwrap())).unwrap();
        assert_eq!(
            read.to_sddl(None).as_deref(),
            Ok(
                "O:S-1-22-1-0G:S-1-22-2-0D:P(A;;0x12019f;;;S-1-22-1-0)(A;;0x12019f;;;S-1-22-2-0)(A;;0x12019f;;;WD)"
            )
        );
        assert_eq!(read.owner.and_then(|sid| sid.to_unix()), Some(crate::security::UnixId::User(0)));
    }

    #[test]
    fn what_was_read_is_written_the_same() {
        let domain: Sid = "S-1-5-21-1-2-3".parse().unwrap();
        for text in [
            "",
            "O:SY",
            "D:",
            "D:NO_ACCESS_CONTROL",
            "D:PARAI(A;;FA;;;DA)S:ARAI(ML;;NWNX;;;HI)",
            "O:LAG:DUD:AI(D;ID;0x1200a9;;;AN)(A;;FRDC;;;S-1-22-1-1000)",
            "D:(OA;CI;CCDC;bf967aba-0de6-11d0-a285-00aa003049e2;;AU)(OA;;CR;;4c164200-20c0-11d0-a768-00aa006e0529;PS)",
            "O:S-1-5-32-999G:S-1-0x010000000000D:(A;;0x0;;;S-1-5)",
        ] {
            let descriptor = SecurityDescriptor::from_sddl(text, Some(&domain)).unwrap();
            let again = descriptor.to_sddl(Some(&domain)).unwrap();
            assert_eq!(
                SecurityDescriptor::from_sddl(&again, Some(&domain)),
                Ok(descriptor.clone()),
                "{again}"
            );
            assert_eq!(from_bytes(&to_bytes(&descriptor)), Ok(descriptor));
            if !text.contains("FRDC") {
                assert_eq!(again, text);
            }
        }
    }

    #[test]
    fn other_ways_to_write_the_same() {
        let expected: SecurityDescriptor = "O:BAD:(A;OICI;FA;;;SY)".parse().unwrap();
        for text in [
            " o:ba d:( a ; ciOI ; 0x1f01ff ;;; sy ) ",
            "D:(A;OICI;2032127;;;S-1-5-18)O:S-1-5-32-544",
            "O:BAD:(A;OICI;07600777;;;SY)",
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_no_descriptor_is_refused() {
        for text in [
            "X:",
            "O:",
            "O:XX",
            "O:BAO:BA",
            "D:D:",
            "D:(",
            "D:(A;;FA;;;SY",
            "D:(A;;FA;;SY)",
            "D:(Q;;FA;;;SY)",
            "D:(A;Q;FA;;;SY)",
            "D:(A;;F;;;SY)",
            "D:(A;;0xg;;;SY)",
            "D:(A;;FA;x;;SY)",
            "D:(XA;;FA;;;SY;(@User.x==1))",
            "D:(A;;FA;bf967aba-0de6-11d0-a285-00aa003049e2;;SY)",
            "ä",
            "D:(A;ää;FA;;;SY)",
        ] {
            assert!(matches!(text.parse::<SecurityDescriptor>(), Err(SddlError::Syntax { .. })), "{text}");
        }
        assert_eq!("O:DA".parse::<SecurityDescriptor>(), Err(SddlError::NoDomain { at: 2 }));
    }

    #[test]
    fn what_has_no_text_is_an_error() {
        let raw = Ace { kind: AceKind(0x40), flags: AceFlags::empty(), body: AceBody::Raw(Bytes::new()) };
        let body =
            AceBody::Plain { mask: AccessMask::empty(), sid: Sid::NULL, data: Bytes::from_static(b"artx") };
        let condition = Ace { kind: AceKind::ALLOW_CALLBACK, flags: AceFlags::empty(), body };
        for ace in [raw, condition] {
            let descriptor = SecurityDescriptor { dacl: Some(Acl::new(vec![ace])), ..Default::default() };
            assert!(matches!(descriptor.to_sddl(None), Err(SddlError::Inexpressible(_))));
        }
    }

    proptest! {
        #[test]
        fn every_mask_and_flag_survives(mask: u32, flags: u8, label: bool) {
            let kind = if label { AceKind::MANDATORY_LABEL } else { AceKind::AUDIT };
            let mask = AccessMask::from_bits_retain(mask);
            let ace = Ace::plain(kind, AceFlags::from_bits_retain(flags), mask, Sid::NULL);
            let control = Control::SELF_RELATIVE | Control::SACL_PRESENT;
            let descriptor = SecurityDescriptor { control, sacl: Some(Acl::new(vec![ace])), ..Default::default() };
            prop_assert_eq!(descriptor.to_sddl(None).unwrap().parse(), Ok(descriptor));
        }

        #[test]
        fn any_text_gives_a_value_or_an_error(text: String, close in "[OGDS:PAI();FRWXS0-9x-]{0,40}") {
            let _ = text.parse::<SecurityDescriptor>();
            if let Ok(descriptor) = close.parse::<SecurityDescriptor>() {
                prop_assert_eq!(descriptor.to_sddl(None).unwrap().parse(), Ok(descriptor));
            }
        }
    }
}
