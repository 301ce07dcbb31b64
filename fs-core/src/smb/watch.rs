//! Directories watched by CHANGE_NOTIFY.

use async_trait::async_trait;
use smb_client::{Directory, OpenOptions, Watch, WatchEvent, WatchFilter};
use smb_proto::NtStatus;

use super::SmbRemote;
use crate::name::RemotePath;
use crate::remote::{RemoteChange, RemoteResult, RemoteWatch};

/// What a mount keeps of a directory's entries.
const FILTER: WatchFilter = WatchFilter::CONTENT;

struct SmbWatch(Watch);

impl SmbRemote {
    pub(super) async fn watch_directory(&self, path: &RemotePath) -> RemoteResult<Box<dyn RemoteWatch>> {
        if self.leases_directories {
            return Err(NtStatus::NOT_SUPPORTED.into());
        }
        let file = self.share.open(&self.path(path), &OpenOptions::list()).await?;
        Ok(Box::new(SmbWatch(Directory::new(file).watch(FILTER, false)?)))
    }
}

#[async_trait]
impl RemoteWatch for SmbWatch {
    async fn next(&mut self) -> Option<Vec<RemoteChange>> {
        let first = match self.0.next().await? {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, "a directory is not watched any more");
                return None;
            }
        };
        let mut changes = Vec::new();
        for event in std::iter::once(first).chain(self.0.take_ready()) {
            match event {
                WatchEvent::Added(name) | WatchEvent::Modified(name) => {
                    changes.push(RemoteChange::Entry(name))
                }
                WatchEvent::Removed(name) => changes.push(RemoteChange::Name(name)),
                WatchEvent::Renamed { from, to } => {
                    changes.extend([RemoteChange::Name(from), RemoteChange::Name(to)]);
                }
                _ => changes.push(RemoteChange::Everything),
            }
        }
        Some(changes)
    }

    async fn close(self: Box<Self>) {
        if let Err(error) = self.0.close().await {
            tracing::debug!(%error, "closing a watched directory");
        }
    }
}
