//! From the share to this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use smb_client::{FileAttributes, FileTime, OpenOptions, Share};

use super::local::{self, blocking, local_name};
use super::parts::Part;
use super::{Job, Transfer};
use crate::connect::Explain;

impl Transfer {
    /// From the share to `to`, or into it where it is a directory.
    pub(crate) async fn get(self: &Arc<Self>, to: &Path, recursive: bool) -> Result<()> {
        let path = self.source.path.clone();
        let metadata = self.share().metadata(&path).await.explain(&self.source, &path)?;
        let name = path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&self.source.share);
        let target = if blocking(|| to.is_dir()) { to.join(local_name(name)?) } else { to.to_owned() };
        let mut jobs = Vec::new();
        if metadata.is_dir() {
            if !recursive {
                bail!("{} is a directory: use get -r", self.source);
            }
            self.plan_get(path, target, &mut jobs).await?;
        } else {
            jobs.push(Job { remote: path, local: target, size: metadata.size });
        }
        self.run(jobs, |transfer, share, job| Box::pin(async move { transfer.get_file(&share, &job).await }))
            .await
    }

    fn plan_get<'a>(
        &'a self,
        remote: String,
        local: PathBuf,
        jobs: &'a mut Vec<Job>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match blocking(|| fs::create_dir(&local)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("cannot make {}", local.display()));
                }
                _ => {}
            }
            let listing = async { self.share().open_dir(&remote).await?.all_entries().await };
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
    async fn get_file(&self, share: &Share, job: &Job) -> Result<()> {
        // What a link leads to is replaced, not the link.
        let target = blocking(|| fs::canonicalize(&job.local)).unwrap_or_else(|_| job.local.clone());
        let part = target.with_file_name(self.parts.name());
        let guard = self.parts.begin(Part::Local(part.clone()));
        let result = async {
            let (out, written) = if job.size < share.small() as u64 {
                self.get_small(share, job, &part).await?
            } else {
                self.get_large(share, job, &part).await?
            };
            blocking(|| finish(&out, written, &part, &target))
        };
        let result = result.await;
        self.parts.end(share, guard, result.is_err()).await;
        result
    }

    /// In one round trip, unless the file has grown meanwhile.
    async fn get_small(&self, share: &Share, job: &Job, part: &Path) -> Result<(fs::File, FileTime)> {
        let start = share.read_start(&job.remote, share.small() as u32);
        let start = start.await.explain(&self.source, &job.remote)?;
        if start.more {
            return self.get_large(share, job, part).await;
        }
        self.progress(start.data.len());
        let mut out = create(part, job)?;
        local::write(&mut out, &start.data).with_context(|| writing(job))?;
        Ok((out, start.metadata.written))
    }

    async fn get_large(&self, share: &Share, job: &Job, part: &Path) -> Result<(fs::File, FileTime)> {
        let _turn = self.large.acquire().await?;
        let file = share.open(&job.remote, &OpenOptions::read()).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        let mut out = create(part, job)?;
        let mut pieces = file.read_stream(0, u64::MAX);
        while let Some(piece) = pieces.next().await.explain(&self.source, &job.remote)? {
            local::write(&mut out, &piece).with_context(|| writing(job))?;
            self.progress(piece.len());
        }
        Ok((out, file.opened_metadata().written))
    }
}

fn writing(job: &Job) -> String {
    format!("cannot write {}", job.local.display())
}

/// Made anew, or not at all: in a folder that others can write to, the name may lie in wait.
fn create(part: &Path, job: &Job) -> Result<fs::File> {
    blocking(|| fs::OpenOptions::new().write(true).create_new(true).open(part)).with_context(|| writing(job))
}

/// Gives a whole copy its time, its predecessor's mode and its name.
fn finish(out: &fs::File, written: FileTime, part: &Path, target: &Path) -> Result<()> {
    // Keeping the time is a courtesy; some file systems cannot.
    if let Err(error) = out.set_modified(written.to_system_time()) {
        tracing::debug!(%error, "setting the time");
    }
    if let Ok(existing) = fs::metadata(target) {
        fs::set_permissions(part, existing.permissions())
            .with_context(|| format!("cannot keep the mode of {}", target.display()))?;
    }
    fs::rename(part, target).with_context(|| format!("cannot rename to {}", target.display()))
}
