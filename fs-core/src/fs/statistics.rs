//! What a mount can tell of its work, and having all that was written saved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Filesystem;
use crate::content::Content;
use crate::error::{FsError, FsResult};
use crate::name::RemotePath;

/// What programs do and what is held for them, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes of files that were answered to reads since the start. What the kernel has kept it does not ask for.
    pub read: u64,
    /// Bytes that writes have taken since the start.
    pub written: u64,
    /// Bytes held that the server has as well.
    pub clean: u64,
    /// Bytes held that the server does not have yet.
    pub dirty: u64,
    /// Most bytes that may be held.
    pub limit: u64,
    /// Files that programs have open.
    pub open_files: u64,
    /// Directories that programs have open.
    pub open_directories: u64,
}

/// What is counted from the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    read: AtomicU64,
    written: AtomicU64,
}

impl Counts {
    pub(super) fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn written(&self, bytes: u32) {
        self.written.fetch_add(bytes.into(), Ordering::Relaxed);
    }
}

impl Filesystem {
    /// What programs do and what is held for them. Asks nobody.
    pub fn statistics(&self) -> Statistics {
        let held = self.common.budget.held();
        Statistics {
            read: self.counts.read.load(Ordering::Relaxed),
            written: self.counts.written.load(Ordering::Relaxed),
            clean: held.clean,
            dirty: held.dirty,
            limit: self.common.budget.limit(),
            open_files: self.files.count(),
            open_directories: self.dirs.count(),
        }
    }

    /// Has the server take all that was written, and put on stable storage what it has open for writing. The files of
    /// which it could not be done, and why; with the errors of writing that nobody was told yet.
    pub async fn sync(&self) -> Vec<(RemotePath, FsError)> {
        let contents = self.inodes().contents();
        let mut failed = Vec::new();
        contents.iter().for_each(Content::push_all);
        for content in contents {
            if let Err(error) = self.sync_one(&content).await {
                let path = self.inodes().path(content.ino).unwrap_or_else(|_| RemotePath::root());
                failed.push((path, error));
            }
        }
        failed
    }

    async fn sync_one(&self, content: &Arc<Content>) -> FsResult<()> {
        let told = content.told();
        let settled = self.have_written(content).await;
        content.take_error(&told).and(settled)?;
        for backing in content.backings(true) {
            // Not closed as long as this is held.
            let closed = backing.closed.read().await;
            if !*closed {
                return Ok(self.remote.flush(backing.handle).await?);
            }
        }
        Ok(())
    }
}
