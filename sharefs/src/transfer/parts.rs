//! Copies that are not whole yet: each has a name of its own, and goes when it cannot be finished.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use smb_client::Share;

/// A copy that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part {
    Local(PathBuf),
    Remote(String),
}

/// What is there under a name of its own.
#[derive(Debug, Default)]
pub(super) struct Parts {
    count: AtomicU64,
    present: Mutex<HashSet<Part>>,
}

impl Parts {
    /// A name that nothing else has.
    pub(super) fn name(&self) -> String {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        format!(".sharefs-{}-{number}.part", std::process::id())
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
