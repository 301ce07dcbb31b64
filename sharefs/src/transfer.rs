//! `get` and `put`: files and trees between the share and this machine.

mod get;
mod local;
mod parts;
mod put;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::BoxFuture;
use indicatif::{ProgressBar, ProgressStyle};
use smb_client::{BufferPool, Client, ConnectOptions, Share};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::source::Source;
use parts::Parts;

/// A tree with fewer files than this is not worth another connection.
const MANY_FILES: usize = 64;
/// Connections for a tree: servers serve each by a process or a thread of its own.
const LANES: usize = 4;
/// Files under way at once on a connection: enough to hide the round trips of small ones.
const FILES_PER_LANE: usize = 8;
/// Large files under way at once: each has a window of its own.
const LARGE_AT_ONCE: usize = 4;

/// One transfer command.
pub(crate) struct Transfer {
    /// The share, over one connection or several.
    lanes: Vec<Share>,
    source: Source,
    bar: ProgressBar,
    pool: BufferPool,
    large: Semaphore,
    /// What is there under a name of its own until it is whole.
    parts: Parts,
    failures: Mutex<Vec<anyhow::Error>>,
    connect: ConnectOptions,
}

/// What one direction has to do.
struct Job {
    remote: String,
    local: PathBuf,
    size: u64,
}

impl Transfer {
    /// `connect` is for more connections to the same share, where there is much to do.
    pub(crate) fn new(share: Share, source: Source, connect: ConnectOptions) -> Arc<Self> {
        let bar = if std::io::stderr().is_terminal() {
            let style =
                ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(0).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        } else {
            ProgressBar::hidden()
        };
        Arc::new(Self {
            lanes: vec![share],
            source,
            bar,
            pool: BufferPool::new(),
            large: Semaphore::new(LARGE_AT_ONCE),
            parts: Parts::default(),
            failures: Mutex::default(),
            connect,
        })
    }

    fn share(&self) -> &Share {
        &self.lanes[0]
    }

    fn progress(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Goes on with the rest, and tells at the end.
    fn failed(&self, error: anyhow::Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// Connections beside the first. A server that does not want more is served by those there are.
    async fn more_lanes(&self, jobs: usize) -> Vec<Share> {
        let wanted = if jobs < MANY_FILES { 0 } else { LANES - 1 };
        let connecting = (0..wanted).map(|_| async {
            let client = Client::connect(&self.connect).await?;
            client.share(&self.source.share).await
        });
        let mut lanes = self.lanes.clone();
        for result in futures::future::join_all(connecting).await {
            match result {
                Ok(share) => lanes.push(share),
                Err(error) => tracing::info!(%error, "no further connection"),
            }
        }
        lanes
    }

    async fn finish(&self, workers: &mut JoinSet<()>) {
        while let Some(result) = workers.join_next().await {
            if let Err(error) = result {
                self.failed(error.into());
            }
        }
    }

    async fn run(
        self: &Arc<Self>,
        jobs: Vec<Job>,
        work: impl Fn(Arc<Self>, Share, Job) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    ) -> Result<()> {
        self.bar.set_length(jobs.iter().map(|job| job.size).sum());
        let count = jobs.len();
        let lanes = self.more_lanes(count).await;
        let queue = Arc::new(Mutex::new(VecDeque::from(jobs)));
        let work = Arc::new(work);
        let mut workers = JoinSet::new();
        for index in 0..(FILES_PER_LANE * lanes.len()).min(count) {
            let (transfer, queue, work) = (self.clone(), queue.clone(), work.clone());
            let share = lanes[index % lanes.len()].clone();
            workers.spawn(async move {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(job) = job else { break };
                    if let Err(error) = work(transfer.clone(), share.clone(), job).await {
                        transfer.failed(error);
                    }
                }
            });
        }
        let interrupted = tokio::select! {
            () = self.finish(&mut workers) => false,
            () = interrupt() => true,
        };
        self.bar.finish_and_clear();
        if interrupted {
            workers.shutdown().await;
            self.parts.clear(self.share()).await;
            bail!("interrupted: what was not whole is removed");
        }
        let mut failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        match (failures.len(), count) {
            (0, _) => Ok(()),
            (1, 0 | 1) => Err(failures.remove(0)),
            (failed, _) => {
                for error in failures {
                    eprintln!("sharefs: {error:#}");
                }
                bail!("{failed} could not be copied, everything else was")
            }
        }
    }
}

/// Ctrl-C, or a polite request to end.
async fn interrupt() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
