//! Permissions and owners that only clients know, kept as the Linux kernel's client does (`modefromsid`, `idsfromsid`): in
//! identifiers of Windows' NFS server, `S-1-5-88-{1,2,3}-n`, in the list of who may do what. The server takes them for
//! entries about nobody.

use smb_client::security::UnixId;
use smb_client::{AccessMask, File, PathLease};
use smb_proto::security::{Ace, AceFlags, Acl, Control, SecurityDescriptor, SecurityInformation, Sid};

use super::SmbRemote;
use crate::remote::{Place, Posix, RemoteAttr, RemoteResult, SetPosix};

/// The permissions in a mode.
const PERMISSIONS: u32 = 0o7777;
/// The parts of a descriptor that say it.
const PARTS: SecurityInformation =
    SecurityInformation::OWNER.union(SecurityInformation::GROUP).union(SecurityInformation::DACL);

/// What is kept so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FromSid {
    pub(super) mode: bool,
    pub(super) ids: bool,
}

impl FromSid {
    pub(super) const fn any(self) -> bool {
        self.mode || self.ids
    }

    /// What a descriptor says. An owner that is itself such an identifier is the kernel's way; Samba and Windows let few
    /// set that, so that an entry does as well.
    fn read(self, descriptor: &SecurityDescriptor) -> Posix {
        let mut posix = Posix::default();
        let entries = descriptor.dacl.iter().flat_map(|list| &list.aces).filter_map(Ace::sid);
        for sid in [descriptor.owner, descriptor.group].into_iter().flatten().chain(entries) {
            match sid.to_unix() {
                Some(UnixId::User(uid)) if self.ids => posix.uid = posix.uid.or(Some(uid)),
                Some(UnixId::Group(gid)) if self.ids => posix.gid = posix.gid.or(Some(gid)),
                Some(UnixId::Mode(mode)) if self.mode => posix.mode = posix.mode.or(Some(mode & PERMISSIONS)),
                _ => {}
            }
        }
        posix
    }

    /// The same descriptor saying this instead. All entries about somebody stay, so that nobody may do more than before.
    fn write(self, descriptor: SecurityDescriptor, posix: &Posix) -> SecurityDescriptor {
        let open_to_all = descriptor.is_null_dacl();
        let mut aces = Vec::new();
        let numbers = [
            posix.mode.filter(|_| self.mode).map(|mode| (3, mode & PERMISSIONS)),
            posix.uid.filter(|_| self.ids).map(|uid| (1, uid)),
            posix.gid.filter(|_| self.ids).map(|gid| (2, gid)),
        ];
        for (kind, number) in numbers.into_iter().flatten() {
            if let Some(sid) = Sid::new(5, &[88, kind, number]) {
                aces.push(Ace::allow(sid, AccessMask::empty(), AceFlags::empty()));
            }
        }
        if open_to_all {
            aces.push(Ace::allow(Sid::EVERYONE, AccessMask::GENERIC_ALL, AceFlags::empty()));
        }
        let others = descriptor.dacl.into_iter().flat_map(|list| list.aces).filter(|ace| !is_number(ace));
        aces.extend(others);
        let kept = Control::DACL_PROTECTED | Control::DACL_AUTO_INHERITED;
        let mut control = descriptor.control & kept;
        control.set(Control::DACL_AUTO_INHERIT_REQUIRED, control.contains(Control::DACL_AUTO_INHERITED));
        SecurityDescriptor { control, dacl: Some(Acl::new(aces)), ..SecurityDescriptor::default() }
    }
}

/// Whether an entry is only there for its number.
fn is_number(ace: &Ace) -> bool {
    let unix = |sid: Sid| sid.authority() == 5 && sid.to_unix().is_some();
    ace.sid().is_some_and(unix) && ace.mask().is_some_and(|mask| mask.is_empty())
}

impl SmbRemote {
    /// Samba has them only for who asks for Apple's extensions, and forgets what others set.
    async fn ask_for_identifiers(&self) {
        let ask = async || {
            if let Err(error) = self.share.ask_for_apple().await {
                tracing::debug!(%error, "the server has no extensions of Apple's");
            }
        };
        self.asked_for_sids.get_or_init(ask).await;
    }

    /// Adds what the descriptor of a path of the share says.
    pub(super) async fn with_sids(&self, path: &str, attr: RemoteAttr) -> RemoteAttr {
        if !self.from_sid.any() || attr.posix.is_some() {
            return attr;
        }
        self.ask_for_identifiers().await;
        match self.share.security(path, PARTS, PathLease::default()).await {
            Ok(descriptor) => RemoteAttr { posix: Some(self.from_sid.read(&descriptor)), ..attr },
            Err(error) => {
                tracing::debug!(%error, "who may do what with a file cannot be read");
                attr
            }
        }
    }

    /// The same for an open file.
    pub(super) async fn with_sids_of(&self, file: &File, attr: RemoteAttr) -> RemoteAttr {
        if !self.from_sid.any() {
            return attr;
        }
        match file.security(PARTS).await {
            Ok(descriptor) => RemoteAttr { posix: Some(self.from_sid.read(&descriptor)), ..attr },
            Err(_) => attr,
        }
    }

    /// Keeps the permissions of what was just made.
    pub(super) async fn made_with(&self, place: &Place<'_>, mode: u32, attr: RemoteAttr) -> RemoteAttr {
        if !self.from_sid.mode {
            return attr;
        }
        let change = SetPosix { mode: Some(mode), ..SetPosix::default() };
        match self.change_sids(place, &change).await {
            Ok(posix) => RemoteAttr { posix: Some(posix), ..attr },
            Err(error) => {
                tracing::debug!(%error, "the permissions of what was made are not kept");
                attr
            }
        }
    }

    /// Changes what the descriptor of a path says.
    pub(super) async fn change_sids(&self, place: &Place<'_>, change: &SetPosix) -> RemoteResult<Posix> {
        let path = self.path(place.path);
        self.ask_for_identifiers().await;
        let descriptor = self.leases.with(place, |lease| self.share.security(&path, PARTS, lease)).await?;
        let known = self.from_sid.read(&descriptor);
        let posix = Posix {
            mode: change.mode.or(known.mode),
            uid: change.uid.or(known.uid),
            gid: change.gid.or(known.gid),
        };
        let new = self.from_sid.write(descriptor, &posix);
        let set = |lease| self.share.set_security(&path, SecurityInformation::DACL, &new, lease);
        self.leases.with(place, set).await?;
        Ok(posix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: FromSid = FromSid { mode: true, ids: true };

    fn list(aces: Vec<Ace>) -> SecurityDescriptor {
        SecurityDescriptor { dacl: Some(Acl::new(aces)), ..SecurityDescriptor::default() }
    }

    #[test]
    fn what_is_written_is_read_and_the_rest_stays() {
        let somebody = Ace::allow(Sid::LOCAL_SYSTEM, AccessMask::GENERIC_ALL, AceFlags::INHERITED);
        let posix = Posix { mode: Some(0o4751), uid: Some(1000), gid: Some(100) };
        let once = ALL.write(list(vec![somebody.clone()]), &posix);
        assert_eq!(ALL.read(&once), posix);
        let other = Posix { mode: Some(0o600), ..posix };
        let twice = ALL.write(once, &other);
        assert_eq!(ALL.read(&twice), other);
        let aces = twice.dacl.unwrap().aces;
        assert_eq!((aces.len(), aces.last()), (4, Some(&somebody)));
        assert!(aces[..3].iter().all(|ace| ace.mask() == Some(AccessMask::empty())));
    }

    #[test]
    fn only_what_was_asked_for_is_taken() {
        let posix = Posix { mode: Some(0o640), uid: Some(1), gid: Some(2) };
        let all = ALL.write(list(Vec::new()), &posix);
        let modes = FromSid { mode: true, ids: false };
        assert_eq!(modes.read(&all), Posix { mode: Some(0o640), ..Posix::default() });
        let owned = SecurityDescriptor { owner: Sid::new(5, &[88, 1, 7]), ..list(Vec::new()) };
        assert_eq!(ALL.read(&owned), Posix { uid: Some(7), ..Posix::default() });
    }

    #[test]
    fn what_was_open_to_all_stays_so() {
        let null = SecurityDescriptor { control: Control::DACL_PRESENT, ..SecurityDescriptor::default() };
        let written = ALL.write(null, &Posix { mode: Some(0o600), ..Posix::default() });
        let aces = written.dacl.unwrap().aces;
        assert!(aces.iter().any(|ace| ace.sid() == Some(Sid::EVERYONE)));
    }
}
