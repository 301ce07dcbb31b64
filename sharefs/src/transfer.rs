//! `get` and `put`: files and trees between the share and this machine.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, bail};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use smb_client::{CreateDisposition, FileAttributes, NtStatus, OpenOptions, SetAttributes, Share};
use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::connect::Explain;
use crate::source::Source;

/// Files under way at once: enough to hide the round trips of small ones.
const FILES_AT_ONCE: usize = 8;
const LOCAL_PIECE: usize = 1 << 20;

/// One transfer command.
pub(crate) struct Transfer {
    share: Share,
    source: Source,
    bar: ProgressBar,
    part_number: AtomicU64,
    /// What is there under a name of its own until it is whole.
    parts: Mutex<HashSet<Part>>,
    failures: Mutex<Vec<anyhow::Error>>,
}

/// A copy that is not whole yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Local(PathBuf),
    Remote(String),
}

/// What one direction has to do.
struct Job {
    remote: String,
    local: PathBuf,
    size: u64,
}

impl Transfer {
    pub(crate) fn new(share: Share, source: Source) -> Self {
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
        Self {
            share,
            source,
            bar,
            part_number: AtomicU64::new(0),
            parts: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// From the share to `to`, or into it where it is a directory.
    pub(crate) async fn get(&self, to: &Path, recursive: bool) -> Result<()> {
        let path = self.source.path.clone();
        let metadata = self.share.metadata(&path).await.explain(&self.source, &path)?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&self.source.share);
        let target = if fs::metadata(to).await.is_ok_and(|m| m.is_dir()) {
            to.join(local_name(name)?)
        } else {
            to.to_owned()
        };
        let mut jobs = Vec::new();
        if metadata.is_dir() {
            if !recursive {
                bail!("{} is a directory: use get -r", self.source);
            }
            self.plan_get(path, target, &mut jobs).await?;
        } else {
            jobs.push(Job { remote: path, local: target, size: metadata.size });
        }
        self.run(&jobs, |job| Box::pin(self.get_file(job))).await
    }

    fn plan_get<'a>(
        &'a self,
        remote: String,
        local: PathBuf,
        jobs: &'a mut Vec<Job>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match fs::create_dir(&local).await {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot make {}", local.display()));
                }
                _ => {}
            }
            let listing = async { self.share.open_dir(&remote).await?.all_entries().await };
            let entries = match listing.await.explain(&self.source, &remote) {
                Ok(entries) => entries,
                Err(error) => {
                    self.failed(error);
                    return Ok(());
                }
            };
            for entry in entries {
                let local = local.join(local_name(&entry.name)?);
                let remote =
                    if remote.is_empty() { entry.name.clone() } else { format!("{remote}/{}", entry.name) };
                if entry.metadata.is_dir() {
                    if entry.metadata.attributes.contains(FileAttributes::REPARSE_POINT) {
                        tracing::warn!("{remote} is a link to a directory: left out");
                        continue;
                    }
                    self.plan_get(remote, local, jobs).await?;
                } else {
                    jobs.push(Job { remote, local, size: entry.metadata.size });
                }
            }
            Ok(())
        })
    }

    /// Into a name of its own first: a broken transfer never looks like a finished one.
    async fn get_file(&self, job: &Job) -> Result<()> {
        // What a link leads to is replaced, not the link.
        let target = fs::canonicalize(&job.local).await.unwrap_or_else(|_| job.local.clone());
        let part = target.with_file_name(self.part_name());
        let guard = self.begin(Part::Local(part.clone()));
        let result = async {
            self.get_into(job, &part).await?;
            if let Ok(existing) = fs::metadata(&target).await {
                fs::set_permissions(&part, existing.permissions())
                    .await
                    .with_context(|| format!("cannot keep the mode of {}", target.display()))?;
            }
            fs::rename(&part, &target).await.with_context(|| format!("cannot rename to {}", target.display()))
        };
        let result = result.await;
        self.end(guard, result.is_err()).await;
        result
    }

    fn part_name(&self) -> String {
        let number = self.part_number.fetch_add(1, Ordering::Relaxed);
        format!(".sharefs-{}-{number}.part", std::process::id())
    }

    fn begin(&self, part: Part) -> Part {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part.clone());
        part
    }

    async fn end(&self, part: Part, remove: bool) {
        if remove {
            self.remove(&part).await;
        }
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(&part);
    }

    async fn remove(&self, part: &Part) {
        match part {
            Part::Local(path) => {
                if let Err(error) = fs::remove_file(path).await {
                    tracing::debug!(%error, "removing the partial file");
                }
            }
            Part::Remote(path) => {
                if let Err(error) = self.share.remove_file(path).await {
                    tracing::warn!("{path} could not be removed: {error}");
                }
            }
        }
    }

    /// Goes on with the rest, and tells at the end.
    fn failed(&self, error: anyhow::Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    async fn get_into(&self, job: &Job, part: &Path) -> Result<()> {
        let local = || format!("cannot write {}", job.local.display());
        let file =
            self.share.open(&job.remote, &OpenOptions::read()).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        // Made anew, or not at all: in a folder that others can write to, the name may lie in wait.
        let mut out =
            fs::OpenOptions::new().write(true).create_new(true).open(part).await.with_context(local)?;
        let mut pieces = file.read_stream(0, u64::MAX);
        while let Some(piece) = pieces.next().await.explain(&self.source, &job.remote)? {
            out.write_all(&piece).await.with_context(local)?;
            self.bar.inc(piece.len() as u64);
        }
        out.flush().await.with_context(local)?;
        let written = file.opened_metadata().written.to_system_time();
        let out = out.into_std().await;
        // Keeping the time is a courtesy; some file systems cannot.
        if let Err(error) = out.set_modified(written) {
            tracing::debug!(%error, "setting the time");
        }
        Ok(())
    }

    /// From this machine to the share's path, or into it where it is a directory.
    pub(crate) async fn put(&self, from: &Path, recursive: bool) -> Result<()> {
        let metadata = fs::metadata(from).await.with_context(|| format!("cannot read {}", from.display()))?;
        let path = self.source.path.clone();
        let into_directory =
            path.is_empty() || self.share.metadata(&path).await.is_ok_and(|metadata| metadata.is_dir());
        if self.source.directory && !into_directory {
            bail!("{} is no directory", self.source);
        }
        let target = if into_directory {
            let name = from.canonicalize()?;
            let name = name.file_name().and_then(|name| name.to_str()).map(str::to_owned);
            let name = name.ok_or_else(|| anyhow!("{} has no name that a share can have", from.display()))?;
            self.source.join(&name)
        } else {
            path
        };
        let mut jobs = Vec::new();
        if metadata.is_dir() {
            if !recursive {
                bail!("{} is a directory: use put -r", from.display());
            }
            self.plan_put(from.to_owned(), target, &mut jobs).await?;
        } else {
            jobs.push(Job { remote: target, local: from.to_owned(), size: metadata.len() });
        }
        self.run(&jobs, |job| Box::pin(self.put_file(job))).await
    }

    fn plan_put<'a>(
        &'a self,
        local: PathBuf,
        remote: String,
        jobs: &'a mut Vec<Job>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.share.create_dir(&remote).await {
                Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                result => result.map(drop).explain(&self.source, &remote)?,
            }
            let reading = || format!("cannot read {}", local.display());
            let mut entries = fs::read_dir(&local).await.with_context(reading)?;
            while let Some(entry) = entries.next_entry().await.with_context(reading)? {
                let path = entry.path();
                let name = entry.file_name();
                let name = name
                    .to_str()
                    .ok_or_else(|| anyhow!("{} is not Unicode: no share can have it", path.display()))?;
                let remote = format!("{remote}/{name}");
                // A link to a file is its content; a link to a directory could lead in a circle.
                let is_link = entry.file_type().await.with_context(reading)?.is_symlink();
                match fs::metadata(&path).await {
                    Ok(metadata) if metadata.is_file() => {
                        jobs.push(Job { remote, local: path, size: metadata.len() });
                    }
                    Ok(metadata) if metadata.is_dir() && !is_link => {
                        self.plan_put(path, remote, jobs).await?
                    }
                    Ok(metadata) if metadata.is_dir() => {
                        self.failed(anyhow!(
                            "{} is a symbolic link to a directory: left out",
                            path.display()
                        ));
                    }
                    Ok(_) => self.failed(anyhow!("{} is no file and no directory: left out", path.display())),
                    Err(error) => {
                        self.failed(anyhow!("cannot read {}: {error}", path.display()));
                    }
                }
            }
            Ok(())
        })
    }

    /// Into a name of its own first, as [`Self::get_file`].
    async fn put_file(&self, job: &Job) -> Result<()> {
        let reading = || format!("cannot read {}", job.local.display());
        let mut local = fs::File::open(&job.local).await.with_context(reading)?;
        let name = self.part_name();
        let part =
            job.remote.rsplit_once('/').map_or_else(|| name.clone(), |(above, _)| format!("{above}/{name}"));
        let guard = self.begin(Part::Remote(part.clone()));
        let result = async {
            self.put_into(job, &mut local, &part).await?;
            self.share.rename(&part, &job.remote, true).await.explain(&self.source, &job.remote)
        };
        let result = result.await;
        self.end(guard, result.is_err()).await;
        result
    }

    async fn put_into(&self, job: &Job, local: &mut fs::File, part: &str) -> Result<()> {
        let reading = || format!("cannot read {}", job.local.display());
        let options = OpenOptions::write().disposition(CreateDisposition::Create);
        let file = self.share.open(part, &options).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        let mut pieces = file.write_stream(0);
        loop {
            let piece = read_piece(local).await.with_context(reading)?;
            if piece.is_empty() {
                break;
            }
            self.bar.inc(piece.len() as u64);
            pieces.write(piece).await.explain(&self.source, &job.remote)?;
        }
        pieces.finish().await.explain(&self.source, &job.remote)?;
        let modified =
            local.metadata().await.with_context(reading)?.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let set = SetAttributes { written: Some(modified.into()), ..SetAttributes::default() };
        file.modify(None, &set).await.map(drop).explain(&self.source, &job.remote)?;
        file.close().await.explain(&self.source, &job.remote)
    }

    async fn run<'a>(
        &self,
        jobs: &'a [Job],
        work: impl Fn(&'a Job) -> BoxFuture<'a, Result<()>>,
    ) -> Result<()> {
        self.bar.set_length(jobs.iter().map(|job| job.size).sum());
        let all = stream::iter(jobs).for_each_concurrent(FILES_AT_ONCE, |job| {
            let one = work(job);
            async {
                if let Err(error) = one.await {
                    self.failed(error);
                }
            }
        });
        let interrupted = tokio::select! {
            () = all => false,
            () = interrupt() => true,
        };
        self.bar.finish_and_clear();
        if interrupted {
            let parts: Vec<Part> =
                self.parts.lock().unwrap_or_else(PoisonError::into_inner).drain().collect();
            for part in parts {
                self.remove(&part).await;
            }
            bail!("interrupted: what was not whole is removed");
        }
        let mut failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        match (failures.len(), jobs.len()) {
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

/// The next piece of a local file; empty at its end.
async fn read_piece(file: &mut fs::File) -> std::io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(LOCAL_PIECE);
    while piece.len() < LOCAL_PIECE && file.read_buf(&mut piece).await? > 0 {}
    Ok(piece.freeze())
}

/// A server's name as one component of a local path, and nothing else.
fn local_name(name: &str) -> Result<&str> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(name),
        _ => bail!(
            "the server's name {name:?} would lead elsewhere on this machine: left out, nothing more fetched"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for name in ["", ".", "..", "/etc", "a/b", "a/"] {
            assert!(local_name(name).is_err(), "{name}");
        }
        assert_eq!(local_name("a b.txt").unwrap(), "a b.txt");
    }
}
