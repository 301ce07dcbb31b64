//! Owners and modes: the server's where it has them, else the mount's.

use smb_proto::fscc::FileAttributes;

use super::{Attr, Filesystem, SetAttrs};
use crate::error::FsResult;
use crate::inode::Ino;
use crate::remote::{FileKind, RemoteAttr, SetPosix};

/// The permissions in a mode.
const PERMISSIONS: u32 = 0o7777;

impl Filesystem {
    /// Whether the mode that a program sets is kept, by the server or by this mount.
    pub(super) fn keeps_modes(&self) -> bool {
        self.remote.is_posix()
    }

    /// Permissions, owner and group of an inode.
    pub(super) fn permissions(&self, ino: Ino, attr: &RemoteAttr) -> (u16, u32, u32) {
        let options = &self.options;
        let made_up = if options.dynamic_permissions {
            self.inodes().node(ino).map(|node| node.made_up).unwrap_or_default()
        } else {
            SetPosix::default()
        };
        let mode = match (attr.posix, attr.kind) {
            (_, FileKind::Symlink) => 0o777,
            (Some(posix), _) => posix.mode,
            (None, FileKind::Directory) => made_up.mode.unwrap_or(options.dir_mode),
            (None, _) => made_up.mode.unwrap_or(options.file_mode),
        };
        let read_only = attr.posix.is_none()
            && attr.kind != FileKind::Directory
            && attr.kind != FileKind::Symlink
            && attr.attributes.contains(FileAttributes::READONLY);
        let mode = if read_only { mode & !0o222 } else { mode };
        let uid = made_up.uid.or_else(|| attr.posix.and_then(|posix| posix.uid)).unwrap_or(options.uid);
        let gid = made_up.gid.or_else(|| attr.posix.and_then(|posix| posix.gid)).unwrap_or(options.gid);
        ((mode & PERMISSIONS) as u16, uid, gid)
    }

    /// The attributes of what was just made, with the mode that it was to have where only this mount can keep that.
    pub(super) fn make_up(&self, attr: Attr, mode: Option<u32>) -> Attr {
        let Some(mode) = mode.filter(|_| self.options.dynamic_permissions && !self.keeps_modes()) else {
            return attr;
        };
        let change = SetPosix { mode: Some(mode & PERMISSIONS), ..SetPosix::default() };
        self.inodes().make_up(attr.ino, &change);
        Attr { perm: (mode & PERMISSIONS) as u16, ..attr }
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
                self.inodes().make_up(ino, &SetPosix { mode, uid, gid });
            }
            return Ok(());
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
