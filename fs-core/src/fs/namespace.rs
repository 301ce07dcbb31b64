//! Making, deleting and renaming.
//!
//! SMB cannot delete a file that is open and let its users go on: the name stays, unusable, until the last
//! handle closes. A file that is deleted, or replaced by a rename, while this mount has it open is therefore
//! renamed to a hidden name in the same directory, and removed with the last handle. A client that dies leaves
//! the hidden file behind, for its next mount to clean up (see `hidden`). What another client has open gets a hidden
//! name too, and is deleted at once: the server removes it when that client closes it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use smb_proto::NtStatus;
use smb_proto::fscc::FileAttributes;
use tokio::time::Instant;

use super::attr::with_read_only;
use super::serve::outside;
use super::{Entry, Filesystem, RenameFlags, name_taken};
use crate::error::{FsError, FsResult, errno};
use crate::inode::Ino;
use crate::name::{self, RemotePath};
use crate::remote::{FileKind, Place, RemoteAttr, RemoteError, RemoteResult, SetAttr};

/// How long a directory operation waits for closes that are on their way, and how often it looks.
const SETTLE_TIME: Duration = Duration::from_millis(250);
const SETTLE_STEP: Duration = Duration::from_millis(2);
/// Attempts to find a hidden name that is free; one is enough unless two clients draw the same 64 bits.
const HIDDEN_ATTEMPTS: u32 = 4;

/// How two names lead to one file.
enum Same {
    /// They are hard links, or spellings of one name.
    Links,
    /// What is known of one of them is out of date.
    Moved,
}

impl Filesystem {
    /// Make a directory. Its permission bits are the mount's, or `mode` where they can be kept.
    ///
    /// # Errors
    /// EEXIST; EROFS; EBUSY if a deleted directory still keeps the name; what the server says.
    pub async fn mkdir(&self, parent: Ino, name: &str, mode: u32) -> FsResult<Entry> {
        self.writable()?;
        let name = name::checked(name)?;
        let (path, asked) = {
            let inodes = self.inodes();
            (inodes.path(parent)?.child(name), inodes.stamp())
        };
        let attr = self.remote.mkdir(self.at(&path), mode).await.map_err(name_taken)?;
        let entry = self.made(parent, name, attr, asked)?;
        Ok(Entry { attr: self.make_up(entry.attr, Some(mode)), ..entry })
    }

    /// Delete a file. If this mount has it open, it stays usable through the open handles.
    ///
    /// # Errors
    /// ENOENT; EISDIR; EROFS; EBUSY if another client does not let it be deleted; what the server says.
    pub async fn unlink(&self, parent: Ino, name: &str) -> FsResult<()> {
        self.writable()?;
        let name = name::checked(name)?;
        let _changing = self.watches.changing();
        let (path, child, open) = self.find(parent, name)?;
        let own = self.own_spelling(parent, name);
        match child {
            Some((ino, FileKind::Directory)) => {
                tracing::debug!(ino = ino.0, "unlink of a directory");
                return Err(FsError::local(errno::EISDIR, "a directory is removed with rmdir"));
            }
            Some((ino, _)) if open => {
                self.hide(ino, &path, (parent, name)).await?;
            }
            _ => {
                let kind = child.map_or(FileKind::File, |(_, kind)| kind);
                // Side by side: whichever the server does last ends the file.
                let ((), removed) = tokio::join!(self.let_go(child), self.remove_or_hide(&path, kind));
                removed?;
                self.gone(child, (parent, name));
            }
        }
        self.forget_spelling(child, parent, own).await;
        self.left(parent, name);
        Ok(())
    }

    /// Delete an empty directory.
    ///
    /// # Errors
    /// ENOENT; ENOTDIR; ENOTEMPTY, also while it holds a file that was deleted but is still open; EROFS.
    pub async fn rmdir(&self, parent: Ino, name: &str) -> FsResult<()> {
        self.writable()?;
        let name = name::checked(name)?;
        let _changing = self.watches.changing();
        let (path, child, _) = self.find(parent, name)?;
        let own = self.own_spelling(parent, name);
        self.remove_directory(&path, child.map(|(ino, _)| ino)).await?;
        self.gone(child, (parent, name));
        self.forget_spelling(child, parent, own).await;
        self.left(parent, name);
        Ok(())
    }

    /// Rename, replacing a file or an empty directory of the new name.
    ///
    /// Replacing is atomic on the server, unless the target is a directory or is open on this mount: then the
    /// target is moved out of the way first, and for a moment the new name leads nowhere.
    ///
    /// # Errors
    /// EINVAL for a variant SMB does not have; EEXIST with `no_replace`; ENOTEMPTY, EISDIR, ENOTDIR as
    /// rename(2); EACCES for a directory in which something is open (Windows); EROFS; what the server says.
    pub async fn rename(
        &self,
        parent: Ino,
        name: &str,
        new_parent: Ino,
        new_name: &str,
        flags: RenameFlags,
    ) -> FsResult<()> {
        if flags.other {
            return Err(FsError::local(errno::EINVAL, "SMB has no such rename"));
        }
        self.writable()?;
        let (name, new_name) = (name::checked(name)?, name::checked(new_name)?);
        let _changing = self.watches.changing();
        let (from, source, _) = self.find(parent, name)?;
        let own = self.own_spelling(parent, name);
        let (to, mut target, target_open) = self.find_target(new_parent, new_name)?;
        if from == to {
            return Ok(());
        }
        let respelled = parent == new_parent && name.to_lowercase() == new_name.to_lowercase();
        match self.same_file(source, target) {
            Some(Same::Links) if !respelled => return Ok(()),
            // On a server that ignores case, another spelling of the source finds the source.
            Some(_) => target = None,
            None => {}
        }
        let replace = !flags.no_replace;
        let mut hidden = None;
        if replace && let (Some((_, kind)), Some((ino, target_kind))) = (source, target) {
            match (kind == FileKind::Directory, target_kind == FileKind::Directory) {
                (true, true) => {
                    self.remove_directory(&to, Some(ino)).await?;
                    self.gone(target, (new_parent, new_name));
                }
                (true, false) => return Err(FsError::local(errno::ENOTDIR, "a directory replaces no file")),
                (false, true) => return Err(FsError::local(errno::EISDIR, "a file replaces no directory")),
                (false, false) if target_open => match self.move_aside(&to).await {
                    Ok(aside) => hidden = Some((ino, aside)),
                    // Another client has just deleted it.
                    Err(error) if error.errno() == errno::ENOENT => {}
                    Err(error) => return Err(error),
                },
                (false, false) => self.let_go(target).await,
            }
        }
        if let Some((ino, FileKind::Directory)) = source {
            self.unwatch_below(ino).await;
        }
        let kind = source.map_or(FileKind::File, |(_, kind)| kind);
        let mut result = self.rename_on_server(&from, &to, kind, replace).await;
        if let (Err(error), Some((ino, FileKind::Directory))) = (&result, source)
            && matches!(error.status(), Some(NtStatus::ACCESS_DENIED | NtStatus::SHARING_VIOLATION))
            && self.settled(Some(ino)).await
        {
            result = self.rename_on_server(&from, &to, kind, replace).await;
        }
        if let (Err(error), Some((replaced, FileKind::File)), None, true) =
            (&result, target, &hidden, replace)
            && matches!(error.status(), Some(NtStatus::ACCESS_DENIED | NtStatus::SHARING_VIOLATION))
            && let Ok(aside) = self.move_aside(&to).await
        {
            // Somebody has the target open, be it we by a name that it had before.
            hidden = Some((replaced, aside));
            result = self.rename_on_server(&from, &to, kind, replace).await;
        }
        if let Err(error) = result {
            if let Some((_, aside)) = &hidden {
                self.move_back(aside, &to).await;
            }
            return Err(error);
        }
        if let Some((replaced, _)) = target {
            self.changed_now(replaced);
        }
        let moved_aside = hidden.as_ref().map(|(ino, _)| *ino);
        let removed = {
            let mut inodes = self.inodes();
            let removed =
                hidden.filter(|(ino, aside)| inodes.doom(*ino, (new_parent, new_name), last_name(aside)));
            if let Some((ino, _)) = source {
                inodes.moved(ino, (parent, name), (new_parent, new_name));
                // Its time of change is another.
                inodes.expire(ino);
            } else if target.is_some() {
                inodes.lose(new_parent, new_name);
            }
            removed
        };
        if let Some((ino, _)) = source {
            self.changed_now(ino);
            self.distrust_lease(ino).await;
        }
        if let Some(ino) = moved_aside {
            self.distrust_lease(ino).await;
        }
        if let Some((ino, aside)) = removed {
            self.let_go(Some((ino, FileKind::File))).await;
            self.remove_hidden(&aside).await;
        }
        if let Some((ino, _)) = target {
            self.links_changed(ino);
        }
        self.forget_spelling(source, parent, own).await;
        self.left(parent, name);
        self.left(new_parent, new_name);
        self.moved_into(new_parent, new_name);
        Ok(())
    }

    /// Remove what was kept for open handles only.
    pub(super) async fn remove_hidden(&self, path: &RemotePath) {
        // Other clients that only keep it open would keep it on the server.
        let removed = match self.remote.remove_unused(self.at(path)).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(_) => self.remove(path, FileKind::File).await,
        };
        if let Err(error) = removed {
            tracing::warn!(%path, %error, "a deleted file stays behind");
        }
        self.hidden.removed(last_name(path));
        let (_, parent) = self.inodes().walk(path);
        if let Some(parent) = parent {
            // A listing from before has it, and nothing hides it there any more.
            self.left(parent, last_name(path));
        }
    }

    /// A path with the leases that this mount holds there.
    pub(super) fn at<'a>(&self, path: &'a RemotePath) -> Place<'a> {
        let (ino, parent) = self.inodes().walk(path);
        let key = |ino: Option<Ino>| ino.and_then(|ino| self.key_of(ino));
        let file_id = ino.map_or(0, |ino| self.inodes().number_of(ino));
        Place { path, key: key(ino), parent: key(parent), file_id }
    }

    /// The path of an entry, its inode if known, and whether we have it open.
    #[allow(clippy::type_complexity, reason = "three results of one locked look, used at once")]
    fn find(&self, parent: Ino, name: &str) -> FsResult<(RemotePath, Option<(Ino, FileKind)>, bool)> {
        if self.inodes().is_doomed(parent, name) {
            return Err(FsError::local(errno::ENOENT, "deleted; open handles keep it"));
        }
        self.find_target(parent, name)
    }

    #[allow(clippy::type_complexity, reason = "as above")]
    fn find_target(&self, parent: Ino, name: &str) -> FsResult<(RemotePath, Option<(Ino, FileKind)>, bool)> {
        let inodes = self.inodes();
        let path = inodes.path(parent)?.child(name);
        let Some(ino) = inodes.child(parent, name) else { return Ok((path, None, false)) };
        let node = inodes.node(ino)?;
        Ok((path, Some((ino, node.kind)), node.opens > 0))
    }

    fn same_file(&self, a: Option<(Ino, FileKind)>, b: Option<(Ino, FileKind)>) -> Option<Same> {
        let (a, b) = (a?.0, b?.0);
        if a == b {
            return Some(Same::Links);
        }
        let inodes = self.inodes();
        let (a, b) = (inodes.node(a).ok()?.attr?, inodes.node(b).ok()?.attr?);
        let same = a.file_id != 0 && a.file_id == b.file_id;
        same.then_some(if b.links > 1 { Same::Links } else { Same::Moved })
    }

    fn own_spelling(&self, parent: Ino, name: &str) -> Option<Box<str>> {
        self.inodes().own_spelling(parent, name)
    }

    /// An entry has changed or gone by another spelling than the kernel may know it by.
    async fn forget_spelling(&self, child: Option<(Ino, FileKind)>, parent: Ino, own: Option<Box<str>>) {
        let (Some((ino, _)), Some(own), Some(kernel)) = (child, own, self.kernel.get().cloned()) else {
            return;
        };
        let names = kernel.clone();
        // It may wait for this very request to be answered.
        drop(outside(move || names.forget_name(parent, &own)));
        // Who looks by the name before that is done asks us, and is told if the file has gone.
        let _ = outside(move || kernel.forget_attributes(ino)).await;
    }

    /// An entry has changed or gone.
    fn left(&self, parent: Ino, name: &str) {
        self.inodes().changed_entry(parent, FileKind::File);
        self.watches.changed(parent);
        self.overtake(parent, name);
    }

    /// Close what is open for nobody: the server would keep the name for it.
    async fn let_go(&self, child: Option<(Ino, FileKind)>) {
        let content = child.and_then(|(ino, _)| self.inodes().content_of(ino));
        if let Some(content) = content
            && content.has_idle()
        {
            content.close_idle(Instant::now()).await;
            self.inodes().collect(content.ino);
        }
    }

    fn gone(&self, child: Option<(Ino, FileKind)>, (parent, name): (Ino, &str)) {
        if let Some((ino, _)) = child {
            self.changed_now(ino);
            self.inodes().lose(parent, name);
            self.links_changed(ino);
        }
    }

    /// Delete an open file of ours: it keeps living under a hidden name.
    async fn hide(&self, ino: Ino, path: &RemotePath, place: (Ino, &str)) -> FsResult<()> {
        let aside = self.move_aside(path).await?;
        let unused = self.inodes().doom(ino, place, last_name(&aside));
        self.links_changed(ino);
        self.distrust_lease(ino).await;
        if unused {
            self.let_go(Some((ino, FileKind::File))).await;
            self.remove_hidden(&aside).await;
        }
        Ok(())
    }

    async fn move_aside(&self, path: &RemotePath) -> FsResult<RemotePath> {
        let mut attempts = HIDDEN_ATTEMPTS;
        loop {
            let aside = sibling(path, &self.hidden.draw());
            match self.remote.rename(self.at(path), self.at(&aside), false).await {
                Ok(()) => return Ok(aside),
                Err(error) if attempts > 1 && error.is(NtStatus::OBJECT_NAME_COLLISION) => attempts -= 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn move_back(&self, aside: &RemotePath, to: &RemotePath) {
        if let Err(error) = self.remote.rename(self.at(aside), self.at(to), false).await {
            tracing::error!(%aside, %to, %error, "a file that was to be replaced could not be put back");
        }
    }

    /// Delete; what another client has open gets a hidden name first, so that the old one is free at once.
    async fn remove_or_hide(&self, path: &RemotePath, kind: FileKind) -> FsResult<()> {
        if kind != FileKind::File {
            return self.remove(path, kind).await;
        }
        match self.remote.remove_unused(self.at(path)).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is(NtStatus::SHARING_VIOLATION) => {}
            Err(error) if error.is_missing() => return Err(error.into()),
            Err(_) => return self.remove(path, kind).await,
        }
        let Ok(aside) = self.move_aside(path).await else { return self.remove(path, kind).await };
        let removed = self.remove(&aside, kind).await;
        if removed.is_err() {
            self.move_back(&aside, path).await;
        }
        self.hidden.removed(last_name(&aside));
        removed
    }

    /// Delete, also a file that is READONLY: to POSIX, deleting is a matter of the directory. The name stays, unusable,
    /// while another client has it open.
    async fn remove(&self, path: &RemotePath, kind: FileKind) -> FsResult<()> {
        let error = match self.remote.remove(self.at(path), kind).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match self.clear_read_only(path, &error).await {
            Some(attr) => {
                let again = self.remote.remove(self.at(path), kind).await;
                self.restore_on_error(path, &attr, again).await
            }
            None => Err(error.into()),
        }
    }

    async fn remove_directory(&self, path: &RemotePath, ino: Option<Ino>) -> FsResult<()> {
        if let Some(ino) = ino {
            self.let_go_of_directory(ino).await;
            self.unwatch_below(ino).await;
            // Our own listings would keep it, nameless, on the server.
            for dir in self.dirs.of(ino) {
                self.end_listing(&dir).await;
            }
        }
        match self.remote.remove(self.at(path), FileKind::Directory).await {
            Err(error) if error.is(NtStatus::DIRECTORY_NOT_EMPTY) && self.settled(ino).await => {
                self.remove_leftovers().await;
                Ok(self.remote.remove(self.at(path), FileKind::Directory).await?)
            }
            result => Ok(result?),
        }
    }

    /// Wait a little for what is open below a directory to be closed; true if all of it was.
    ///
    /// close(2) does not wait for the handle to be closed on the server, so that a program which closes a file
    /// and goes on to its directory would find the file still in the way.
    async fn settled(&self, directory: Option<Ino>) -> bool {
        let Some(directory) = directory else { return false };
        let leased = self.inodes().leased_below(directory);
        for ino in leased {
            self.let_go_of_directory(ino).await;
        }
        let contents = self.inodes().contents_below(directory);
        for content in contents {
            content.close_idle(Instant::now()).await;
        }
        let mut waited = Duration::ZERO;
        while self.closing.load(Ordering::Relaxed) > 0 || self.inodes().has_open_below(directory) {
            if waited >= SETTLE_TIME {
                return false;
            }
            tokio::time::sleep(SETTLE_STEP).await;
            waited += SETTLE_STEP;
        }
        true
    }

    async fn rename_on_server(
        &self,
        from: &RemotePath,
        to: &RemotePath,
        kind: FileKind,
        replace: bool,
    ) -> FsResult<()> {
        let error = match self.rename_once(from, to, kind, replace).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if error.is(NtStatus::DELETE_PENDING) {
            // Either name may be the one.
            return match self.remote.lookup(from).await {
                Ok(_) => Err(name_taken(error)),
                Err(missing) => Err(missing.into()),
            };
        }
        if !replace {
            return Err(error.into());
        }
        match self.clear_read_only(to, &error).await {
            Some(attr) => {
                let again = self.rename_once(from, to, kind, replace).await;
                self.restore_on_error(to, &attr, again).await
            }
            None => Err(error.into()),
        }
    }

    async fn rename_once(
        &self,
        from: &RemotePath,
        to: &RemotePath,
        kind: FileKind,
        replace: bool,
    ) -> RemoteResult<()> {
        match kind {
            FileKind::File | FileKind::Directory => {
                self.remote.rename(self.at(from), self.at(to), replace).await
            }
            _ => self.remote.rename_special(self.at(from), self.at(to), replace).await,
        }
    }

    /// If the error may be for the READONLY attribute of the file, clear it and answer with what it was like.
    async fn clear_read_only(&self, path: &RemotePath, error: &RemoteError) -> Option<RemoteAttr> {
        if !error.is(NtStatus::CANNOT_DELETE) && !error.is(NtStatus::ACCESS_DENIED) {
            return None;
        }
        let attr = self.remote.lookup(path).await.ok()?;
        if attr.kind == FileKind::Directory || !attr.attributes.contains(FileAttributes::READONLY) {
            return None;
        }
        let change =
            SetAttr { attributes: Some(with_read_only(attr.attributes, false)), ..SetAttr::default() };
        self.remote.set_attr(self.at(path), &change).await.ok()?;
        Some(attr)
    }

    async fn restore_on_error(
        &self,
        path: &RemotePath,
        attr: &RemoteAttr,
        result: RemoteResult<()>,
    ) -> FsResult<()> {
        let Err(error) = result else { return Ok(()) };
        let change =
            SetAttr { attributes: Some(with_read_only(attr.attributes, true)), ..SetAttr::default() };
        match self.remote.set_attr(self.at(path), &change).await {
            Err(lost) if !lost.is_missing() => {
                tracing::warn!(%path, error = %lost, "READONLY could not be restored")
            }
            _ => {}
        }
        Err(error.into())
    }
}

fn sibling(path: &RemotePath, name: &str) -> RemotePath {
    let depth = path.components().count().saturating_sub(1);
    RemotePath::from_checked(path.components().take(depth)).child(name)
}

fn last_name(path: &RemotePath) -> &str {
    path.components().last().unwrap_or_default()
}
