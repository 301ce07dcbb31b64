//! `get`, `put` and `cp`: files and trees between shares and this machine.

mod check;
mod copy;
mod get;
mod links;
mod local;
mod options;
mod parts;
mod put;
mod summary;

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Error, anyhow};
use futures::future::BoxFuture;
use indicatif::{ProgressBar, ProgressStyle};
use smb_client::{BufferPool, ConnectOptions, FileTime, Metadata, Share};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub(crate) use copy::Copier;
pub(crate) use options::{TransferOptions, arguments};

use crate::codes;
use crate::show::printable;
use crate::signals::interrupt;
use crate::source::Source;
use parts::Parts;
use summary::Summary;

/// Files under way at once on a connection: enough to hide the round trips of small ones.
const FILES_PER_LANE: usize = 8;
/// Large files under way at once: each has a window of its own.
const LARGE_AT_ONCE: usize = 4;
/// Links, and times of directories, under way at once.
const LITTLE_AT_ONCE: usize = 16;

/// One transfer command.
pub(crate) struct Transfer {
    /// The share; of two that it is about, the one that is written to.
    share: Share,
    source: Source,
    connect: ConnectOptions,
    options: TransferOptions,
    bar: ProgressBar,
    pool: BufferPool,
    large: Semaphore,
    /// What is there under a name of its own until it is whole.
    parts: Parts,
    summary: Summary,
}

/// What one direction has to do.
struct Job {
    remote: String,
    local: PathBuf,
    /// Below the directory that is copied; empty for what the user named.
    relative: String,
    /// What the side that is copied from says of it.
    metadata: Metadata,
}

/// A link to copy as one.
struct LinkJob {
    remote: String,
    local: PathBuf,
    target: String,
    directory: bool,
}

/// All that is to do, once the trees have been looked at.
#[derive(Default)]
struct Plan {
    jobs: Vec<Job>,
    links: Vec<LinkJob>,
    /// Outer ones first.
    directories: Vec<(String, PathBuf, Metadata)>,
}

/// The directories above the one that is looked at, so that links do not lead in a circle.
#[derive(Clone, Default)]
struct Above(Vec<(u64, FileTime)>);

impl Above {
    /// `None` where the directory is one of them. A number alone does not tell: each volume has its own.
    fn with(&self, directory: &Metadata) -> Option<Self> {
        let id = (directory.file_id, directory.created);
        if directory.file_id != 0 && self.0.contains(&id) {
            return None;
        }
        Some(Self(self.0.iter().copied().chain([id]).collect()))
    }
}

/// A path below the directory that is copied.
fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

impl Transfer {
    /// `connect` is for more connections to the same share, where there is much to do.
    pub(crate) fn new(
        share: Share,
        source: Source,
        connect: ConnectOptions,
        options: TransferOptions,
    ) -> Arc<Self> {
        let silent = options.quiet || options.json || options.dry_run;
        let bar = if std::io::stderr().is_terminal() && !silent {
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
            share,
            source,
            connect,
            options,
            bar,
            pool: BufferPool::new(),
            large: Semaphore::new(LARGE_AT_ONCE),
            parts: Parts::default(),
            summary: Summary::default(),
        })
    }

    fn progress(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.summary.moved(bytes);
    }

    /// Goes on with the rest, and tells at the end.
    fn failed(&self, error: Error) {
        self.summary.failed(error);
    }

    /// Where a copy on the share stays until it is whole.
    fn part_of(&self, path: &str) -> String {
        beside(path, &self.parts.name())
    }

    /// With --resume: leaves out what is left of a broken copy, made the other way, of another file of these. Both
    /// would be written under that name at once, and one take the other's content.
    fn without_rests<K: Eq + Hash>(
        &self,
        jobs: Vec<Job>,
        target: impl Fn(&Job) -> K,
        rest: impl Fn(&Job) -> Option<K>,
    ) -> Vec<Job> {
        if !self.options.resume {
            return jobs;
        }
        let large = jobs.iter().filter(|job| job.metadata.size >= self.share.small() as u64);
        let rests: HashSet<K> = large.filter_map(rest).collect();
        let (rests, jobs): (Vec<Job>, Vec<Job>) =
            jobs.into_iter().partition(|job| rests.contains(&target(job)));
        for job in rests {
            self.failed(anyhow!(
                "{} is what is left of a broken copy: left out; remove it or rename it",
                printable(&job.relative)
            ));
        }
        jobs
    }

    async fn finish(&self, workers: &mut JoinSet<()>) {
        while let Some(result) = workers.join_next().await {
            if let Err(error) = result {
                self.failed(error.into());
            }
        }
    }

    /// Does all jobs, several at once on each lane; whether it could go on to the end. What fails is in the summary.
    async fn run<J: Send + 'static, L: Clone + Send + 'static>(
        self: &Arc<Self>,
        jobs: Vec<J>,
        lanes: Vec<L>,
        work: impl Fn(Arc<Self>, L, J) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync + 'static,
    ) -> bool {
        let count = jobs.len();
        let queue = Arc::new(Mutex::new(VecDeque::from(jobs)));
        let work = Arc::new(work);
        let mut workers = JoinSet::new();
        for index in 0..(FILES_PER_LANE * lanes.len()).min(count) {
            let (transfer, queue, work) = (self.clone(), queue.clone(), work.clone());
            let lane = lanes[index % lanes.len()].clone();
            workers.spawn(async move {
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(job) = job else { break };
                    if let Err(error) = work(transfer.clone(), lane.clone(), job).await {
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
            self.parts.clear(&self.share).await;
            self.failed(if self.options.resume {
                codes::INTERRUPTED.says("interrupted: the same command goes on where this one was")
            } else {
                codes::INTERRUPTED.says("interrupted: what was not whole is removed")
            });
        }
        !interrupted
    }
}

/// A tree that takes its target's name, and the second time goes into it, is not gone on with: it is there twice.
fn must_be_there(target: &str) -> Error {
    anyhow!(
        "with --resume a tree is copied into a directory that is there, so that it can go on: make {target} first"
    )
}

/// Another name in the same directory of a share.
fn beside(path: &str, name: &str) -> String {
    match path.rsplit_once('/') {
        Some((above, _)) => format!("{above}/{name}"),
        None => name.to_owned(),
    }
}
