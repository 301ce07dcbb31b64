//! The short names of SDDL ([MS-DTYP] 2.5.1.1).

use super::{AceFlags, AceKind, Sid};

/// An identifier that an alias stands for.
#[derive(Clone, Copy)]
pub(super) enum Alias {
    /// The same everywhere.
    Fixed(Sid),
    /// This number of the domain at hand.
    InDomain(u32),
}

const fn fixed(authority: u64, subs: &[u32]) -> Alias {
    match Sid::new(authority, subs) {
        Some(sid) => Alias::Fixed(sid),
        None => panic!("more sub-authorities than an identifier can have"),
    }
}

/// SID strings.
pub(super) static SIDS: [(&str, Alias); 64] = [
    ("WD", Alias::Fixed(Sid::EVERYONE)),
    ("CO", Alias::Fixed(Sid::CREATOR_OWNER)),
    ("CG", Alias::Fixed(Sid::CREATOR_GROUP)),
    ("OW", Alias::Fixed(Sid::OWNER_RIGHTS)),
    ("NU", Alias::Fixed(Sid::NETWORK)),
    ("IU", Alias::Fixed(Sid::INTERACTIVE)),
    ("SU", Alias::Fixed(Sid::SERVICE)),
    ("AN", Alias::Fixed(Sid::ANONYMOUS)),
    ("ED", Alias::Fixed(Sid::ENTERPRISE_DOMAIN_CONTROLLERS)),
    ("PS", Alias::Fixed(Sid::PRINCIPAL_SELF)),
    ("AU", Alias::Fixed(Sid::AUTHENTICATED_USERS)),
    ("RC", Alias::Fixed(Sid::RESTRICTED)),
    ("SY", Alias::Fixed(Sid::LOCAL_SYSTEM)),
    ("LS", Alias::Fixed(Sid::LOCAL_SERVICE)),
    ("NS", Alias::Fixed(Sid::NETWORK_SERVICE)),
    ("BA", Alias::Fixed(Sid::BUILTIN_ADMINISTRATORS)),
    ("BU", Alias::Fixed(Sid::BUILTIN_USERS)),
    ("BG", Alias::Fixed(Sid::BUILTIN_GUESTS)),
    ("PU", fixed(5, &[32, 547])),
    ("AO", fixed(5, &[32, 548])),
    ("SO", fixed(5, &[32, 549])),
    ("PO", fixed(5, &[32, 550])),
    ("BO", Alias::Fixed(Sid::BUILTIN_BACKUP_OPERATORS)),
    ("RE", fixed(5, &[32, 552])),
    ("RU", fixed(5, &[32, 554])),
    ("RD", fixed(5, &[32, 555])),
    ("NO", fixed(5, &[32, 556])),
    ("MU", fixed(5, &[32, 558])),
    ("LU", fixed(5, &[32, 559])),
    ("IS", fixed(5, &[32, 568])),
    ("CY", fixed(5, &[32, 569])),
    ("ER", fixed(5, &[32, 573])),
    ("CD", fixed(5, &[32, 574])),
    ("RA", fixed(5, &[32, 575])),
    ("ES", fixed(5, &[32, 576])),
    ("MS", fixed(5, &[32, 577])),
    ("HA", fixed(5, &[32, 578])),
    ("AA", fixed(5, &[32, 579])),
    ("RM", fixed(5, &[32, 580])),
    ("WR", fixed(5, &[33])),
    ("UD", fixed(5, &[84, 0, 0, 0, 0, 0])),
    ("AC", fixed(15, &[2, 1])),
    ("LW", fixed(16, &[4096])),
    ("ME", fixed(16, &[8192])),
    ("MP", fixed(16, &[8448])),
    ("HI", fixed(16, &[12288])),
    ("SI", fixed(16, &[16384])),
    ("AS", fixed(18, &[1])),
    ("SS", fixed(18, &[2])),
    ("RO", Alias::InDomain(498)),
    ("LA", Alias::InDomain(500)),
    ("LG", Alias::InDomain(501)),
    ("DA", Alias::InDomain(512)),
    ("DU", Alias::InDomain(513)),
    ("DG", Alias::InDomain(514)),
    ("DC", Alias::InDomain(515)),
    ("DD", Alias::InDomain(516)),
    ("CA", Alias::InDomain(517)),
    ("PA", Alias::InDomain(520)),
    ("CN", Alias::InDomain(522)),
    ("AP", Alias::InDomain(525)),
    ("KA", Alias::InDomain(526)),
    ("RS", Alias::InDomain(553)),
    // The forest's root domain is another one: only its number is known here, so these are read, never written.
    ("EA", Alias::InDomain(519)),
];

/// Types of entries.
pub(super) static KINDS: [(&str, AceKind); 17] = [
    ("A", AceKind::ALLOW),
    ("D", AceKind::DENY),
    ("AU", AceKind::AUDIT),
    ("AL", AceKind::ALARM),
    ("OA", AceKind::ALLOW_OBJECT),
    ("OD", AceKind::DENY_OBJECT),
    ("OU", AceKind::AUDIT_OBJECT),
    ("OL", AceKind::ALARM_OBJECT),
    ("XA", AceKind::ALLOW_CALLBACK),
    ("XD", AceKind::DENY_CALLBACK),
    ("XU", AceKind::AUDIT_CALLBACK),
    ("ZA", AceKind::ALLOW_CALLBACK_OBJECT),
    ("ML", AceKind::MANDATORY_LABEL),
    ("RA", AceKind::RESOURCE_ATTRIBUTE),
    ("SP", AceKind::SCOPED_POLICY),
    ("ZD", AceKind::DENY_CALLBACK_OBJECT),
    ("ZU", AceKind::AUDIT_CALLBACK_OBJECT),
];

/// Flags of entries.
pub(super) static FLAGS: [(&str, AceFlags); 8] = [
    ("OI", AceFlags::OBJECT_INHERIT),
    ("CI", AceFlags::CONTAINER_INHERIT),
    ("NP", AceFlags::NO_PROPAGATE_INHERIT),
    ("IO", AceFlags::INHERIT_ONLY),
    ("ID", AceFlags::INHERITED),
    ("CR", AceFlags::CRITICAL),
    ("SA", AceFlags::SUCCESSFUL_ACCESS),
    ("FA", AceFlags::FAILED_ACCESS),
];

/// Rights that are written only where the mask is exactly theirs.
pub(super) static WHOLE_RIGHTS: [(&str, u32); 7] = [
    ("FA", 0x001F_01FF),
    ("FR", 0x0012_0089),
    ("FW", 0x0012_0116),
    ("FX", 0x0012_00A0),
    ("KA", 0x000F_003F),
    ("KR", 0x0002_0019),
    ("KW", 0x0002_0006),
];

/// Rights of one bit each.
pub(super) static RIGHTS: [(&str, u32); 17] = [
    ("GA", 0x1000_0000),
    ("GR", 0x8000_0000),
    ("GW", 0x4000_0000),
    ("GX", 0x2000_0000),
    ("RC", 0x0002_0000),
    ("SD", 0x0001_0000),
    ("WD", 0x0004_0000),
    ("WO", 0x0008_0000),
    ("CC", 0x0000_0001),
    ("DC", 0x0000_0002),
    ("LC", 0x0000_0004),
    ("SW", 0x0000_0008),
    ("RP", 0x0000_0010),
    ("WP", 0x0000_0020),
    ("DT", 0x0000_0040),
    ("LO", 0x0000_0080),
    ("CR", 0x0000_0100),
];

/// What those below an integrity level may not do.
pub(super) static LABEL_RIGHTS: [(&str, u32); 3] = [("NW", 0x1), ("NR", 0x2), ("NX", 0x4)];

/// Looks up a name, in either case.
pub(super) fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(text, _)| text.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}
