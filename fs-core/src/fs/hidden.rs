//! Deleted files that have a hidden name as long as somebody has them open, and what a client that died has left of them.
//!
//! The name says whose it is: a mount removes what an earlier one of the same user on the same machine left behind,
//! where it comes by. That nobody has the file open, the server tells: it is opened for removal only, and not shared.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use smb_proto::NtStatus;

use super::Filesystem;
use crate::inode::Ino;
use crate::name::RemotePath;
use crate::remote::FileKind;

/// What hidden names begin with; the client follows in eight hexadecimal digits, a dash, and sixteen that were drawn.
const HIDDEN_PREFIX: &str = ".sharefs-deleted-";
/// Leftovers that are remembered to be removed, or not to be; what is beyond is found the next time.
const MOST_LEFTOVERS: usize = 1024;
/// Leftovers that are removed in one go.
const AT_ONCE: usize = 16;
/// Entries of the mounted folder that are looked through for leftovers.
const MOST_ENTRIES: usize = 10_000;

/// Draws hidden names, and knows those that nobody needs any more.
#[derive(Debug)]
pub(super) struct HiddenNames {
    prefix: String,
    key: RandomState,
    next: AtomicU64,
    left: Mutex<Left>,
}

#[derive(Debug, Default)]
struct Left {
    /// Drawn by this mount.
    own: HashSet<Box<str>>,
    found: Vec<RemotePath>,
    /// Found before: removed, about to be, or in use.
    known: HashSet<Box<str>>,
}

impl HiddenNames {
    pub(super) fn new(client: u32) -> Self {
        Self {
            prefix: format!("{HIDDEN_PREFIX}{client:08x}-"),
            key: RandomState::new(),
            next: AtomicU64::new(0),
            left: Mutex::default(),
        }
    }

    pub(super) fn draw(&self) -> String {
        let mut hasher = self.key.build_hasher();
        hasher.write_u64(self.next.fetch_add(1, Ordering::Relaxed));
        let name = format!("{}{:016x}", self.prefix, hasher.finish());
        self.left().own.insert(name.as_str().into());
        name
    }

    /// A name that was drawn is nobody's any more.
    pub(super) fn removed(&self, name: &str) {
        self.left().own.remove(name);
    }

    /// Notes an entry of a listing if it is one that an earlier mount may have left; true if nobody is to see it for now.
    fn notice(&self, directory: &RemotePath, name: &str) -> bool {
        let Some(drawn) = name.strip_prefix(&self.prefix) else { return false };
        let mut left = self.left();
        if drawn.len() != 16 || left.own.contains(name) || left.known.len() >= MOST_LEFTOVERS {
            return false;
        }
        let new = left.known.insert(name.into());
        if new {
            left.found.push(directory.child(name));
        }
        new || left.found.iter().any(|path| path.components().last() == Some(name))
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Filesystem {
    /// Whether an entry of a listing is a file that a mount of this client has left behind, and that is about to be
    /// removed.
    pub(super) fn is_left_behind(&self, directory: Ino, name: &str) -> bool {
        if self.options.read_only || !name.starts_with(HIDDEN_PREFIX) {
            return false;
        }
        let Ok(path) = self.inodes().path(directory) else { return false };
        self.hidden.notice(&path, name)
    }

    /// Looks for what was left behind in the mounted folder itself. Elsewhere it is found when somebody lists it.
    pub(super) async fn look_for_leftovers(&self) {
        if self.options.read_only {
            return;
        }
        let Ok((handle, _)) = self.remote.open_dir(&RemotePath::root(), None).await else { return };
        let mut seen = 0;
        while seen < MOST_ENTRIES
            && let Ok(batch) = self.remote.next_entries(handle).await
            && !batch.is_empty()
        {
            seen += batch.len();
            for entry in batch.iter().filter(|entry| entry.attr.kind == FileKind::File) {
                self.is_left_behind(Ino::ROOT, &entry.name);
            }
        }
        self.close_directory(Ino::ROOT, handle, false).await;
    }

    /// Removes some of what was found left behind.
    pub(super) async fn remove_leftovers(&self) {
        let found: Vec<_> = {
            let mut left = self.hidden.left();
            let keep = left.found.len().saturating_sub(AT_ONCE);
            left.found.split_off(keep)
        };
        for path in found {
            match self.remote.remove_unused(self.at(&path)).await {
                Ok(()) => tracing::info!(%path, "removed what a mount that died had left behind"),
                Err(error) if error.is_missing() => {}
                Err(error) if error.is(NtStatus::SHARING_VIOLATION) => {
                    tracing::debug!(%path, "another mount of this user has it open");
                }
                Err(error) => tracing::warn!(%path, %error, "a deleted file stays behind"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_client_and_not_of_this_mount_are_leftovers() {
        let (mine, earlier, other) = (HiddenNames::new(7), HiddenNames::new(7), HiddenNames::new(8));
        let root = RemotePath::root();
        assert!(!mine.notice(&root, &mine.draw()) && !mine.notice(&root, &other.draw()));
        assert!(!mine.notice(&root, ".sharefs-deleted-00000007-short") && !mine.notice(&root, "file"));
        let left = earlier.draw();
        assert!(mine.notice(&root, &left) && mine.notice(&root, &left));
        assert_eq!(mine.left().found.len(), 1);
        mine.left().found.clear();
        assert!(!mine.notice(&root, &left), "what could not be removed is shown");
    }
}
