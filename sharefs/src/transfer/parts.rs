//! Copies that are not whole yet: each has a name of its own, and goes when it cannot be finished.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use smb_client::Share;

/// A copy that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Local(PathBuf),
    Remote(String),
}

/// Longer names are shortened, so that there is room for what makes them a part's.
const LONGEST_NAME: usize = 200;

/// The name that a broken copy of a file keeps, so that a later transfer finds it.
pub(super) fn stable_name(file: &Path) -> Result<String> {
    let name = file.file_name().and_then(|name| name.to_str()).context("a file without a name")?;
    if name.len() <= LONGEST_NAME {
        return Ok(format!(".{name}.sharefs-part"));
    }
    let digest = Sha256::digest(name.as_bytes());
    let short: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Ok(format!(".{short}.sharefs-part"))
}

/// What is there under a name of its own.
#[derive(Debug)]
pub(super) struct Parts {
    /// Other machines write to the same share, and the numbers of their processes may be the same. What fails is
    /// removed by its name: it must not be another's.
    random: u64,
    count: AtomicU64,
    present: Mutex<HashSet<Part>>,
}

impl Default for Parts {
    fn default() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Self { random, count: AtomicU64::default(), present: Mutex::default() }
    }
}

impl Parts {
    /// A name that nothing else has.
    pub(super) fn name(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        format!(".sharefs-{:016x}-{number}.part", self.random)
    }

    pub(super) fn begin(&self, part: Part) -> Part {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).insert(part.clone());
        part
    }

    pub(super) async fn end(&self, share: &Share, part: Part, remove: bool) {
        if remove {
            part.remove(share).await;
        }
        self.present.lock().unwrap_or_else(PoisonError::into_inner).remove(&part);
    }

    /// Removes all that is not whole.
    pub(super) async fn clear(&self, share: &Share) {
        let parts: Vec<Part> = self.present.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
        for part in parts {
            part.remove(share).await;
        }
    }
}

impl Part {
    async fn remove(&self, share: &Share) {
        match self {
            Self::Local(path) => {
                if let Err(error) = tokio::fs::remove_file(path).await {
                    tracing::debug!(%error, "removing the partial file");
                }
            }
            Self::Remote(path) => {
                if let Err(error) = share.remove_file(path).await
                    && error.status() != Some(smb_client::NtStatus::OBJECT_NAME_NOT_FOUND)
                {
                    tracing::warn!("{path} could not be removed: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_a_name_of_its_own() {
        // As another process has them, on another machine and with the same number.
        let (one, other) = (Parts::default(), Parts::default());
        let names: HashSet<String> = [&one, &other, &one, &other].map(Parts::name).into();
        assert_eq!(names.len(), 4, "{names:?}");
    }

    #[test]
    fn a_broken_copy_keeps_its_name() {
        assert_eq!(stable_name(Path::new("a/b c.txt")).unwrap(), ".b c.txt.sharefs-part");
        let long = "\u{e4}".repeat(120);
        let name = stable_name(Path::new(&long)).unwrap();
        assert!(name.len() < 60 && name == stable_name(Path::new(&long)).unwrap(), "{name}");
        assert_ne!(name, stable_name(Path::new(&format!("{long}x"))).unwrap());
        assert!(stable_name(Path::new("/")).is_err());
    }
}
