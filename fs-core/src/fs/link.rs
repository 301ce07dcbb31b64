//! Names that lead to what has another name: hard links and symbolic links.

use smb_client::resolve_link;
use smb_proto::NtStatus;

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
    /// Give a file another name besides. Both names stay inodes of their own.
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
            // Whoever reads by the new name has no part in what this one's lease lets us keep.
            self.write_back(content).await?;
        }
        self.remote.link(self.at(&old), &new).await.map_err(|error| match error.status() {
            Some(
                NtStatus::NOT_SUPPORTED | NtStatus::INVALID_DEVICE_REQUEST | NtStatus::INVALID_PARAMETER,
            ) => FsError::local(errno::EPERM, "the server has no hard links"),
            _ => name_taken(error),
        })?;
        if let Some(content) = content {
            content.has_several_names();
            if let Some(kernel) = self.kernel.get().cloned() {
                // Nobody waits for it: readers of the file may be waiting for us.
                drop(tokio::task::spawn_blocking(move || kernel.forget_data(ino)));
            }
        }
        let attr = self.remote.lookup(&new).await?;
        let entry = self.enter(parent, name, attr, asked)?;
        self.inodes().changed_entry(parent);
        self.overtake(parent, name);
        self.changed_now(ino);
        self.names_changed(entry.attr.ino).await;
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

    /// A file has changed that may have several names: what is known by the others is not right. The kernel has
    /// forgotten it as well when this returns.
    pub(super) async fn names_changed(&self, ino: Ino) {
        self.forget_attributes(self.expire_names(ino)).await;
    }

    /// The other names of a file, of which what was known is no longer believed.
    pub(super) fn expire_names(&self, ino: Ino) -> Vec<Ino> {
        let others = {
            let mut inodes = self.inodes();
            let others = inodes.same_file(ino);
            others.iter().for_each(|other| inodes.expire(*other));
            others
        };
        for other in &others {
            let place = self.inodes().place(*other);
            if let Some((parent, name)) = place {
                self.overtake(parent, &name);
            }
        }
        others
    }

    /// Whether both are names of one file: renaming one to the other changes nothing then.
    pub(super) fn two_names(&self, a: Option<(Ino, FileKind)>, b: Option<(Ino, FileKind)>) -> bool {
        let (Some((a, _)), Some((b, _))) = (a, b) else { return false };
        let inodes = self.inodes();
        let several = |ino| inodes.node(ino).is_ok_and(|node| node.attr.is_some_and(|attr| attr.links > 1));
        a != b && several(b) && inodes.same_file(a).contains(&b)
    }
}
