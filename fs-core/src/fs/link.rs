//! Names that lead to what has another name: hard links and symbolic links.

use smb_client::resolve_link;
use smb_proto::NtStatus;

use super::serve::outside;
use super::{Entry, Filesystem, name_taken};
use crate::error::{FsError, FsResult, errno};
use crate::inode::Ino;
use crate::name;
use crate::remote::{FileKind, RemoteError};

/// What is said of links that lead out of the share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Symlinks {
    /// Nothing: whoever keeps the share must not choose which local files programs open.
    #[default]
    Contain,
    /// Where they lead; it is looked for on this machine.
    Follow,
}

impl Filesystem {
    /// Give a file another name besides.
    ///
    /// # Errors
    /// EPERM for a directory, and if the server has no hard links; EEXIST; EROFS; what the server says.
    pub async fn link(&self, ino: Ino, parent: Ino, name: &str) -> FsResult<Entry> {
        self.writable()?;
        let name = name::checked(name)?;
        let (old, new, asked, content) = {
            let inodes = self.inodes();
            if inodes.node(ino)?.kind == FileKind::Directory {
                return Err(FsError::local(errno::EPERM, "a directory has one name only"));
            }
            if inodes.node(ino)?.doomed {
                return Err(FsError::local(errno::ENOENT, "deleted; open handles keep it"));
            }
            (inodes.path(ino)?, inodes.path(parent)?.child(name), inodes.stamp(), inodes.content_of(ino))
        };
        if let Some(content) = &content {
            // Whoever reads by the new name has no part in what this one's lease lets us keep, if he cannot be told to be
            // the same.
            self.have_written(content).await?;
        }
        self.remote.link(self.at(&old), &new).await.map_err(|error| match error.status() {
            Some(
                NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST | NtStatus::INVALID_PARAMETER,
            ) => FsError::local(errno::EPERM, "the server has no hard links"),
            _ => name_taken(error),
        })?;
        let attr = self.remote.lookup(&new).await?;
        self.changed_now(ino);
        let entry = self.enter(parent, name, attr, asked)?;
        self.inodes().changed_entry(parent, FileKind::File);
        self.overtake(parent, name);
        self.links_changed(ino);
        if let Some(content) = content.filter(|_| entry.attr.ino != ino) {
            content.has_several_names();
            self.links_changed(entry.attr.ino);
            self.forget_in_kernel(ino);
        }
        Ok(entry)
    }

    /// Make a symbolic link.
    ///
    /// # Errors
    /// EPERM if the server keeps none and the mount was not told to make files that stand for links; EEXIST; EROFS;
    /// ENAMETOOLONG; what the server says.
    pub async fn symlink(&self, parent: Ino, name: &str, target: &str) -> FsResult<Entry> {
        self.writable()?;
        let name = name::checked(name)?;
        let (path, asked) = {
            let inodes = self.inodes();
            (inodes.path(parent)?.child(name), inodes.stamp())
        };
        let attr = self.remote.symlink(target, &path).await.map_err(|error| match error {
            RemoteError::Status(NtStatus::NOT_SUPPORTED) => {
                tracing::warn!(
                    "the server keeps no symbolic links; the mount option mfsymlinks makes files of them"
                );
                FsError::local(errno::EPERM, "the server keeps no symbolic links")
            }
            error => name_taken(error),
        })?;
        self.made(parent, name, attr, asked)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// EINVAL if it is none; EPERM if it leads out of the share, unless the mount follows such links; what the server
    /// says.
    pub async fn readlink(&self, ino: Ino) -> FsResult<String> {
        let path = {
            let inodes = self.inodes();
            if inodes.node(ino)?.kind != FileKind::Symlink {
                return Err(FsError::local(errno::EINVAL, "not a symbolic link"));
            }
            inodes.path(ino)?
        };
        let target = self.remote.read_link(&path).await?;
        if target.is_empty() || target.contains('\0') {
            return Err(FsError::local(errno::EIO, "a link to nothing"));
        }
        if self.options.symlinks == Symlinks::Contain && resolve_link(path.as_str(), &target).is_none() {
            tracing::warn!(%path, ?target, "a link leads out of the share; symlinks=follow would follow it");
            return Err(FsError::local(errno::EPERM, "the link leads out of the share"));
        }
        Ok(target)
    }

    /// The number of names of a file has changed: what is known of it, and listed of its other names, is not right.
    pub(super) fn links_changed(&self, ino: Ino) {
        {
            let mut inodes = self.inodes();
            if inodes.places(ino).is_empty() {
                return;
            }
            inodes.expire(ino);
        }
        self.note_changed(ino);
        if let Some(kernel) = self.kernel.get().cloned() {
            // It does not block, but what it writes to may be full.
            drop(outside(move || kernel.forget_attributes(ino)));
        }
    }
}
