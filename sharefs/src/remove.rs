//! `rm`: files, and trees with many removals under way at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Error, Result, bail};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use smb_client::{ConnectOptions, Entry, FileAttributes, Metadata, Share};
use tokio::sync::{OnceCell, Semaphore};

use crate::codes;
use crate::connect::Explain;
use crate::files::all_or_nothing;
use crate::lanes::{LANES, MANY, lanes};
use crate::source::Source;

/// Requests under way on each connection.
const AT_ONCE: usize = 16;

/// One command's removals.
pub(crate) struct Removal<'a> {
    first: &'a Share,
    source: &'a Source,
    connect: &'a ConnectOptions,
    recursive: bool,
    /// More connections, once there turns out to be much to do.
    lanes: OnceCell<Vec<Share>>,
    next: AtomicUsize,
    turns: Semaphore,
    failures: Mutex<Vec<Error>>,
}

impl<'a> Removal<'a> {
    pub(crate) fn new(
        first: &'a Share,
        source: &'a Source,
        connect: &'a ConnectOptions,
        recursive: bool,
    ) -> Self {
        Self {
            first,
            source,
            connect,
            recursive,
            lanes: OnceCell::new(),
            next: AtomicUsize::new(0),
            turns: Semaphore::new(AT_ONCE),
            failures: Mutex::default(),
        }
    }

    /// Removes all of them, as far as it can; fails with what it could not.
    pub(crate) async fn remove(&self, paths: &[String]) -> Result<()> {
        if paths.len() >= MANY {
            self.widen().await;
        }
        let removing = paths.iter().map(|path| async move {
            if let Err(error) = self.named(path).await {
                self.failed(error);
            }
        });
        stream::iter(removing).buffer_unordered(AT_ONCE * LANES).for_each(|()| async {}).await;
        let failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        all_or_nothing(failures, "removed")
    }

    fn failed(&self, error: Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// Connects more often, the first time that it is called.
    async fn widen(&self) {
        self.lanes
            .get_or_init(|| async {
                let lanes = lanes(self.first, self.connect, MANY).await;
                self.turns.add_permits(AT_ONCE * (lanes.len() - 1));
                lanes
            })
            .await;
    }

    /// Each connection in turn.
    fn share(&self) -> &Share {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.lanes.get().map_or(self.first, |lanes| &lanes[turn % lanes.len()])
    }

    /// What the user named.
    async fn named(&self, path: &str) -> Result<()> {
        if path.is_empty() {
            bail!("will not remove the share's root: name what is in it");
        }
        let metadata = self.first.metadata(path).await.explain(self.source, path)?;
        if metadata.is_dir() && !is_link(&metadata) && !self.recursive {
            return Err(codes::WRONG_KIND.says(format!("{} is a directory: use rm -r", self.source.at(path))));
        }
        // Where it fails, why is among the failures already.
        self.gone(path.to_owned(), metadata).await;
        Ok(())
    }

    /// Whether it is; why not is among the failures.
    fn gone(&self, path: String, metadata: Metadata) -> BoxFuture<'_, bool> {
        Box::pin(async move {
            // A junction is not what it points to: removing the tree behind it would reach out of this one.
            if metadata.is_dir() && !is_link(&metadata) && !self.emptied(&path).await {
                return false;
            }
            let Ok(_turn) = self.turns.acquire().await else { return false };
            let share = self.share();
            let removed = if metadata.is_dir() {
                share.remove_dir(&path).await
            } else {
                share.remove_file(&path).await
            };
            match removed.explain(self.source, &path) {
                Ok(()) => true,
                Err(error) => {
                    self.failed(error);
                    false
                }
            }
        })
    }

    /// Whether nothing is left in the directory.
    async fn emptied(&self, path: &str) -> bool {
        let entries = match self.entries(path).await.explain(self.source, path) {
            Ok(entries) => entries,
            Err(error) => {
                self.failed(error);
                return false;
            }
        };
        if entries.len() >= MANY {
            self.widen().await;
        }
        let removing =
            entries.into_iter().map(|entry| self.gone(format!("{path}/{}", entry.name), entry.metadata));
        let mut removing = stream::iter(removing).buffer_unordered(AT_ONCE * LANES);
        let mut all = true;
        while let Some(gone) = removing.next().await {
            all &= gone;
        }
        all
    }

    async fn entries(&self, path: &str) -> smb_client::Result<Vec<Entry>> {
        let _turn = self.turns.acquire().await.map_err(|_| smb_client::Error::TimedOut)?;
        let directory = self.share().open_dir(path).await?;
        let entries = directory.all_entries().await?;
        directory.close().await?;
        Ok(entries)
    }
}

fn is_link(metadata: &Metadata) -> bool {
    metadata.attributes.contains(FileAttributes::REPARSE_POINT)
}
