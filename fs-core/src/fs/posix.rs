//! Owners and modes: the server's where it has them, else the mount's.

use smb_proto::fscc::FileAttributes;

use super::{Attr, Entry, Filesystem, SetAttrs};
use crate::clock;
use crate::error::FsResult;
use crate::inode::{Ino, MadeUp};
use crate::remote::{FileKind, RemoteAttr, SetPosix};

/// The permissions in a mode.
const PERMISSIONS: u32 = 0o7777;
/// Those that a server with the POSIX extensions may leave out, as Samba does: set-user-ID, set-group-ID, sticky.
const UNKEPT: u32 = 0o7000;
const SET_GROUP_ID: u16 = 0o2000;

/// Whom a new file is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Filesystem {
    /// Whether the mode that a program sets is kept, by the server or by this mount.
    pub(super) fn keeps_modes(&self) -> bool {
        self.remote.is_posix()
    }

    /// Permissions, owner and group of an inode.
    pub(super) fn permissions(&self, ino: Ino, attr: &RemoteAttr) -> (u16, u32, u32) {
        let options = &self.options;
        let made_up = self.made_up(ino).set;
        let kept = attr.posix.and_then(|posix| posix.mode);
        let mode = match (kept, attr.kind) {
            (_, FileKind::Symlink) => 0o777,
            (Some(mode), _) => mode | (made_up.mode.unwrap_or(0) & UNKEPT),
            (None, FileKind::Directory) => made_up.mode.unwrap_or(options.dir_mode),
            (None, _) => made_up.mode.unwrap_or(options.file_mode),
        };
        let read_only = kept.is_none()
            && made_up.mode.is_none()
            && attr.kind != FileKind::Directory
            && attr.kind != FileKind::Symlink
            && attr.attributes.contains(FileAttributes::READONLY);
        let mode = if read_only { mode & !0o222 } else { mode };
        let uid = attr.posix.and_then(|posix| posix.uid).or(made_up.uid).unwrap_or(options.uid);
        let gid = attr.posix.and_then(|posix| posix.gid).or(made_up.gid).unwrap_or(options.gid);
        ((mode & PERMISSIONS) as u16, uid, gid)
    }

    /// What this mount makes up of an inode, if it was told to.
    pub(super) fn made_up(&self, ino: Ino) -> MadeUp {
        if !self.options.dynamic_permissions {
            return MadeUp::default();
        }
        self.inodes().node(ino).map(|node| node.made_up).unwrap_or_default()
    }

    /// Something of an inode has changed that is not its data: a server that has not the extensions tells of no time.
    pub(super) fn changed_now(&self, ino: Ino) {
        if self.options.dynamic_permissions && !self.keeps_modes() {
            self.inodes().make_up(ino, &SetPosix::default(), clock::now());
        }
    }

    /// The attributes of what was just made, with the mode that it was to have where only this mount can keep that.
    pub(super) fn make_up(&self, attr: Attr, mode: Option<u32>) -> Attr {
        let Some(mode) = mode.filter(|_| self.options.dynamic_permissions) else { return attr };
        let change = SetPosix { mode: Some(mode & PERMISSIONS), ..SetPosix::default() };
        self.inodes().make_up(attr.ino, &change, attr.changed);
        if self.keeps_modes() {
            return Attr { perm: attr.perm | (mode & UNKEPT) as u16, ..attr };
        }
        Attr { perm: (mode & PERMISSIONS) as u16, ..attr }
    }

    /// Give what was just made to whom it was made for, where the mount was told to (`setuids`). As POSIX has it, a
    /// directory with the set-group-ID bit passes its group on. A server that refuses keeps its own opinion.
    pub async fn give(&self, parent: Ino, made: Entry, owner: Owner) -> Entry {
        if !self.options.set_owners {
            return made;
        }
        let above = self.inodes().node(parent).ok().and_then(|node| node.attr);
        let above = above.map(|attr| self.permissions(parent, &attr));
        let gid = match above {
            Some((mode, _, gid)) if mode & SET_GROUP_ID != 0 => gid,
            _ => owner.gid,
        };
        let change = SetAttrs { uid: Some(owner.uid), gid: Some(gid), ..SetAttrs::default() };
        if let Err(error) = self.set_owner_and_mode(made.attr.ino, &change).await {
            tracing::debug!(%error, "the server does not let its files have another owner");
            return made;
        }
        let known = self.inodes().node(made.attr.ino).ok().and_then(|node| node.attr);
        match known {
            Some(attr) => Entry { attr: self.presented(made.attr.ino, &attr), ..made },
            None => made,
        }
    }

    /// Carries out what a change says of owner, group and mode, as far as anybody can keep it.
    pub(super) async fn set_owner_and_mode(&self, ino: Ino, change: &SetAttrs) -> FsResult<()> {
        let SetAttrs { mode, uid, gid, .. } = *change;
        let mode = mode.map(|mode| mode & PERMISSIONS);
        if (mode, uid, gid) == (None, None, None) {
            return Ok(());
        }
        if !self.keeps_modes() {
            if self.options.dynamic_permissions {
                self.writable()?;
                self.inodes().make_up(ino, &SetPosix { mode, uid, gid }, clock::now());
            }
            return Ok(());
        }
        if let Some(mode) = mode.filter(|_| self.options.dynamic_permissions) {
            let change = SetPosix { mode: Some(mode & UNKEPT), ..SetPosix::default() };
            self.inodes().make_up(ino, &change, clock::now());
        }
        let (path, known) = {
            let inodes = self.inodes();
            (inodes.path(ino)?, inodes.node(ino)?.attr)
        };
        // What is shown where the server names nobody is the mount's, and setting it is no change.
        let shown = known.map(|attr| self.permissions(ino, &attr));
        let set = SetPosix {
            mode,
            uid: uid.filter(|uid| shown.is_none_or(|(_, now, _)| now != *uid)),
            gid: gid.filter(|gid| shown.is_none_or(|(_, _, now)| now != *gid)),
        };
        if set.is_empty() {
            return Ok(());
        }
        self.writable()?;
        let asked = self.inodes().stamp();
        let attr = self.remote.set_posix(self.at(&path), &set).await?;
        self.applied(ino, attr, asked);
        Ok(())
    }
}
