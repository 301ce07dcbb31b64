//! From this machine to the share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use futures::future::BoxFuture;
use smb_client::{CreateDisposition, NtStatus, OpenOptions, SetAttributes, Share};

use super::local::{self, blocking};
use super::parts::Part;
use super::{Job, Transfer};
use crate::connect::Explain;

/// One request's worth.
const PIECE: usize = 1 << 20;

impl Transfer {
    /// From this machine to the share's path, or into it where it is a directory.
    pub(crate) async fn put(self: &Arc<Self>, from: &Path, recursive: bool) -> Result<()> {
        let metadata =
            blocking(|| fs::metadata(from)).with_context(|| format!("cannot read {}", from.display()))?;
        let path = self.source.path.clone();
        let into_directory =
            path.is_empty() || self.share().metadata(&path).await.is_ok_and(|metadata| metadata.is_dir());
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
        self.run(jobs, |transfer, share, job| Box::pin(async move { transfer.put_file(&share, &job).await }))
            .await
    }

    fn plan_put<'a>(
        &'a self,
        local: PathBuf,
        remote: String,
        jobs: &'a mut Vec<Job>,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            match self.share().create_dir(&remote).await {
                Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                result => result.map(drop).explain(&self.source, &remote)?,
            }
            let reading = || format!("cannot read {}", local.display());
            for entry in blocking(|| fs::read_dir(&local)).with_context(reading)? {
                let entry = entry.with_context(reading)?;
                let path = entry.path();
                let name = entry.file_name();
                let name = name
                    .to_str()
                    .ok_or_else(|| anyhow!("{} is not Unicode: no share can have it", path.display()))?;
                let remote = format!("{remote}/{name}");
                // A link to a file is its content; a link to a directory could lead in a circle.
                let is_link = entry.file_type().with_context(reading)?.is_symlink();
                match fs::metadata(&path) {
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

    async fn put_file(&self, share: &Share, job: &Job) -> Result<()> {
        let reading = || format!("cannot read {}", job.local.display());
        let mut file = blocking(|| fs::File::open(&job.local)).with_context(reading)?;
        if job.size <= share.small() as u64 {
            // One byte more than fits tells whether the file has grown meanwhile.
            let start = local::read(&mut file, &self.pool, share.small() + 1).with_context(reading)?;
            if start.len() <= share.small() {
                return self.put_small(share, job, &file, start).await;
            }
            file = blocking(|| fs::File::open(&job.local)).with_context(reading)?;
        }
        let _turn = self.large.acquire().await?;
        let part = self.part_of(job);
        let guard = self.parts.begin(Part::Remote(part.clone()));
        let result = async {
            self.put_large(share, job, &mut file, &part).await?;
            share.rename(&part, &job.remote, true).await.explain(&self.source, &job.remote)
        };
        let result = result.await;
        self.parts.end(share, guard, result.is_err()).await;
        result
    }

    fn part_of(&self, job: &Job) -> String {
        let name = self.parts.name();
        match job.remote.rsplit_once('/') {
            Some((above, _)) => format!("{above}/{name}"),
            None => name,
        }
    }

    /// What is new arrives whole in one request; what replaces something gets its name when it is whole.
    async fn put_small(&self, share: &Share, job: &Job, file: &fs::File, data: Bytes) -> Result<()> {
        let set = times(file)?;
        self.progress(data.len());
        match share.create_whole(&job.remote, data.clone(), &set).await {
            Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
            result => return result.explain(&self.source, &job.remote),
        }
        let part = self.part_of(job);
        let guard = self.parts.begin(Part::Remote(part.clone()));
        let result = share.replace_whole(&job.remote, &part, data, &set).await;
        self.parts.end(share, guard, result.is_err()).await;
        result.explain(&self.source, &job.remote)
    }

    async fn put_large(&self, share: &Share, job: &Job, local: &mut fs::File, part: &str) -> Result<()> {
        let reading = || format!("cannot read {}", job.local.display());
        let options = OpenOptions::write().disposition(CreateDisposition::Create);
        let file = share.open(part, &options).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        let mut pieces = file.write_stream(0);
        loop {
            let piece = local::read(local, &self.pool, PIECE).with_context(reading)?;
            if piece.is_empty() {
                break;
            }
            self.progress(piece.len());
            pieces.write(piece).await.explain(&self.source, &job.remote)?;
        }
        pieces.finish().await.explain(&self.source, &job.remote)?;
        file.modify(None, &times(local)?).await.map(drop).explain(&self.source, &job.remote)?;
        file.close().await.explain(&self.source, &job.remote)
    }
}

/// The times of a copy.
fn times(file: &fs::File) -> Result<SetAttributes> {
    let metadata = blocking(|| file.metadata())?;
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(SetAttributes { written: Some(modified.into()), ..SetAttributes::default() })
}
