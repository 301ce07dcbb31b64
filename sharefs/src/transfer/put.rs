//! From this machine to the share.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use smb_client::{
    CreateDisposition, FileAttributes, FileTime, Metadata, NtStatus, OpenOptions, SetAttributes, Share,
};

use super::check::{self, Checksum, Passing};
use super::local::{self, blocking};
use super::options::Links;
use super::parts::{Part, stable_name};
use super::{Job, LITTLE_AT_ONCE, LinkJob, Plan, Transfer, below, beside, links, must_be_there};
use crate::codes;
use crate::connect::Explain;
use crate::lanes::lanes;
use crate::show::{printable, shown};

/// One request's worth.
const PIECE: usize = 1 << 20;

impl Transfer {
    /// From this machine to the share's path, or into it where it is a directory.
    pub(crate) async fn put(self: &Arc<Self>, from: &Path) -> Result<()> {
        let mut plan = Plan::default();
        if let Err(error) = self.plan_put(from, &mut plan).await {
            self.failed(error);
            plan = Plan::default();
        }
        let Plan { jobs, links, directories } = plan;
        let rest = |job: &Job| Some(beside(&job.remote, &stable_name(Path::new(&job.remote)).ok()?));
        let jobs = self.without_rests(jobs, |job| job.remote.clone(), rest);
        let alone = jobs.len() <= 1;
        if self.options.dry_run {
            for job in &jobs {
                self.summary.would(shown(&job.local), self.source.at(&job.remote), job.metadata.size);
            }
            for link in &links {
                self.summary.would(shown(&link.local), self.source.at(&link.remote), 0);
            }
            return self.summary.tell(&self.options, alone);
        }
        self.bar.set_length(jobs.iter().map(|job| job.metadata.size).sum());
        let lanes = lanes(&self.share, &self.connect, jobs.len()).await;
        let work = |transfer: Arc<Self>, share: Share, job: Job| -> BoxFuture<'static, Result<()>> {
            Box::pin(async move { transfer.put_file(&share, &job).await })
        };
        if self.run(jobs, lanes, work).await {
            self.put_links(links).await;
            if self.options.preserve {
                self.keep_directories(directories).await;
            }
        }
        self.summary.tell(&self.options, alone)
    }

    async fn put_links(&self, links: Vec<LinkJob>) {
        let making = links.iter().map(|link| async move {
            match self.make_remote(&self.share, &link.target, &link.remote, link.directory).await {
                Ok(()) => self.summary.linked(),
                Err(error) => self.failed(error),
            }
        });
        stream::iter(making).buffer_unordered(LITTLE_AT_ONCE).for_each(|()| async {}).await;
    }

    /// What is made in a directory changes its times: they come last.
    pub(super) async fn keep_directories(&self, directories: Vec<(String, PathBuf, Metadata)>) {
        let keeping = directories.iter().map(|(remote, _, metadata)| async move {
            let set = attributes(metadata, true);
            if let Err(error) = self.share.modify(remote, None, &set).await {
                tracing::debug!(%error, "setting a directory's times");
            }
        });
        stream::iter(keeping).buffer_unordered(LITTLE_AT_ONCE).for_each(|()| async {}).await;
    }

    async fn plan_put(&self, from: &Path, plan: &mut Plan) -> Result<()> {
        let reading = || format!("cannot read {}", shown(from));
        let link = blocking(|| fs::symlink_metadata(from)).with_context(reading)?.is_symlink();
        let path = self.source.path.clone();
        let into_directory =
            path.is_empty() || self.share.metadata(&path).await.is_ok_and(|metadata| metadata.is_dir());
        if self.source.directory && !into_directory {
            return Err(codes::WRONG_KIND.says(format!(
                "{} is no directory: make it first, with mkdir",
                printable(&self.source.to_string())
            )));
        }
        let nameless = || {
            codes::NAME_INVALID
                .says(format!("{} has no name that a share can have: name the target", shown(from)))
        };
        let remote = if into_directory {
            // `.` and `..` are called something too; a link is called what it is called.
            let named = if link { from.to_owned() } else { from.canonicalize().with_context(reading)? };
            let name = named.file_name().and_then(|name| name.to_str()).ok_or_else(nameless)?;
            self.source.join(name)
        } else {
            path
        };
        if link && self.options.links != Links::Follow {
            return self.plan_put_link(from.to_owned(), remote, String::new(), plan);
        }
        let metadata = blocking(|| fs::metadata(from)).with_context(reading)?;
        if !metadata.is_dir() {
            let local = from.to_owned();
            plan.jobs.push(Job { remote, local, relative: String::new(), metadata: described(&metadata) });
            return Ok(());
        }
        if !self.options.recursive {
            return Err(codes::WRONG_KIND.says(format!("{} is a directory: use put -r", shown(from))));
        }
        if self.options.resume && !into_directory {
            return Err(must_be_there(&printable(&self.source.to_string())));
        }
        let real = blocking(|| fs::canonicalize(from)).with_context(reading)?;
        self.plan_put_directory(from.to_owned(), remote, String::new(), vec![real], plan).await
    }

    fn plan_put_link(&self, local: PathBuf, remote: String, relative: String, plan: &mut Plan) -> Result<()> {
        if self.options.links == Links::Skip {
            self.summary.skipped();
            return Ok(());
        }
        let (target, directory) = links::read_local(&local)?;
        let inside = if relative.is_empty() { &remote } else { &relative };
        links::stays(inside, &target, &shown(&local))?;
        plan.links.push(LinkJob { remote, local, target, directory });
        Ok(())
    }

    /// `above` are the directories from the named one to this, without links.
    fn plan_put_directory<'a>(
        &'a self,
        local: PathBuf,
        remote: String,
        relative: String,
        above: Vec<PathBuf>,
        plan: &'a mut Plan,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            if !self.options.dry_run {
                match self.share.create_dir(&remote).await {
                    Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                    result => result.map(drop).explain(&self.source, &remote)?,
                }
            }
            let reading = || format!("cannot read {}", shown(&local));
            let metadata = blocking(|| fs::metadata(&local)).with_context(reading)?;
            plan.directories.push((remote.clone(), local.clone(), described(&metadata)));
            for entry in blocking(|| fs::read_dir(&local)).with_context(reading)? {
                let entry = entry.with_context(reading)?;
                let path = entry.path();
                let name = entry.file_name();
                let name = name.to_str().ok_or_else(|| {
                    codes::NAME_INVALID.says(format!("{} is not Unicode: no share can have it", shown(&path)))
                })?;
                let (remote, relative) = (below(&remote, name), below(&relative, name));
                if self.options.exclude.covers(&relative) {
                    self.summary.skipped();
                    continue;
                }
                let is_link = entry.file_type().with_context(reading)?.is_symlink();
                if is_link && self.options.links != Links::Follow {
                    if let Err(error) = self.plan_put_link(path, remote, relative, plan) {
                        self.failed(error);
                    }
                    continue;
                }
                match blocking(|| fs::metadata(&path)) {
                    Ok(metadata) if metadata.is_file() => {
                        plan.jobs.push(Job { remote, local: path, relative, metadata: described(&metadata) });
                    }
                    Ok(metadata) if metadata.is_dir() => {
                        let real = if is_link { fs::canonicalize(&path).ok() } else { None };
                        let real = real
                            .unwrap_or_else(|| above.last().map_or_else(|| path.clone(), |a| a.join(name)));
                        if above.contains(&real) {
                            self.failed(anyhow!(
                                "{} leads in a circle: left out; use --links copy or --links skip",
                                shown(&path)
                            ));
                            continue;
                        }
                        let above = above.iter().cloned().chain([real]).collect();
                        self.plan_put_directory(path, remote, relative, above, plan).await?;
                    }
                    Ok(_) => {
                        self.failed(anyhow!("{} is no file and no directory: left out", shown(&path)));
                    }
                    Err(error) => {
                        self.failed(anyhow!("cannot read {}: {error}", shown(&path)));
                    }
                }
            }
            Ok(())
        })
    }

    async fn put_file(&self, share: &Share, job: &Job) -> Result<()> {
        let reading = || format!("cannot read {}", shown(&job.local));
        if self.is_there(share, job).await? {
            self.summary.skipped();
            return Ok(());
        }
        let mut file = blocking(|| fs::File::open(&job.local)).with_context(reading)?;
        if job.metadata.size <= share.small() as u64 {
            // One byte more than fits tells whether the file has grown meanwhile.
            let start = local::read(&mut file, &self.pool, share.small() + 1).with_context(reading)?;
            if start.len() <= share.small() {
                self.put_small(share, job, &file, start).await?;
                return self.put_is_done(share, job).await;
            }
            file = blocking(|| fs::File::open(&job.local)).with_context(reading)?;
        }
        let _turn = self.large.acquire().await?;
        let part = if self.options.resume {
            beside(&job.remote, &stable_name(Path::new(&job.remote))?)
        } else {
            self.part_of(&job.remote)
        };
        let guard = (!self.options.resume).then(|| self.parts.begin(Part::Remote(part.clone())));
        let result = async {
            let checksum = self.put_large(share, job, &mut file, &part).await?;
            self.compare(share, &part, &job.remote, checksum).await?;
            share.rename(&part, &job.remote, true).await.explain(&self.source, &job.remote)
        };
        let result = result.await;
        if let Some(guard) = guard {
            self.parts.end(share, guard, result.is_err()).await;
        }
        result?;
        self.put_is_done(share, job).await
    }

    /// Whether the same file is there already, as far as the options want to know.
    async fn is_there(&self, share: &Share, job: &Job) -> Result<bool> {
        if !self.options.resume && !self.options.checksum {
            return Ok(false);
        }
        let there = match share.metadata(&job.remote).await {
            Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_NOT_FOUND) => return Ok(false),
            there => there.explain(&self.source, &job.remote)?,
        };
        if there.is_dir() || there.size != job.metadata.size {
            return Ok(false);
        }
        if self.options.checksum {
            let there = check::of_remote(share, &job.remote).await.explain(&self.source, &job.remote)?;
            return Ok(check::of_local(&job.local)? == there);
        }
        Ok(there.written == job.metadata.written)
    }

    async fn put_is_done(&self, share: &Share, job: &Job) -> Result<()> {
        self.summary.copied();
        if self.options.preserve && job.metadata.attributes.contains(FileAttributes::READONLY) {
            // Last: a file that is read-only already may be given no other name.
            let attributes = Some(FileAttributes::READONLY | FileAttributes::ARCHIVE);
            let set = SetAttributes::default().attributes(attributes);
            share.modify(&job.remote, None, &set).await.map(drop).explain(&self.source, &job.remote)?;
        }
        Ok(())
    }

    /// Reads a copy back, where that is wanted, before it gets its name.
    pub(super) async fn compare(
        &self,
        share: &Share,
        part: &str,
        path: &str,
        checksum: Option<Checksum>,
    ) -> Result<()> {
        let Some(checksum) = checksum else { return Ok(()) };
        if check::of_remote(share, part).await.explain(&self.source, path)? != checksum {
            return Err(codes::DAMAGED
                .says(format!("{} is not what was sent: copy it again", printable(&self.source.at(path)))));
        }
        Ok(())
    }

    /// What is new arrives whole in one request; what replaces something gets its name when it is whole.
    async fn put_small(&self, share: &Share, job: &Job, file: &fs::File, data: Bytes) -> Result<()> {
        let set = times(job, file, self.options.preserve)?;
        self.progress(data.len() as u64);
        if !self.options.checksum {
            match share.create_whole(&job.remote, data.clone(), &set).await {
                Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                result => return result.explain(&self.source, &job.remote),
            }
        }
        let part = self.part_of(&job.remote);
        let guard = self.parts.begin(Part::Remote(part.clone()));
        let result = async {
            if !self.options.checksum {
                let replaced = share.replace_whole(&job.remote, &part, data, &set).await;
                return replaced.explain(&self.source, &job.remote);
            }
            let checksum = Some(check::of_bytes(&data));
            share.create_whole(&part, data, &set).await.explain(&self.source, &job.remote)?;
            self.compare(share, &part, &job.remote, checksum).await?;
            share.rename(&part, &job.remote, true).await.explain(&self.source, &job.remote)
        };
        let result = result.await;
        self.parts.end(share, guard, result.is_err()).await;
        result
    }

    async fn put_large(
        &self,
        share: &Share,
        job: &Job,
        local: &mut fs::File,
        part: &str,
    ) -> Result<Option<Checksum>> {
        let reading = || format!("cannot read {}", shown(&job.local));
        let goes_on = self.options.resume;
        let disposition = if goes_on { CreateDisposition::OpenIf } else { CreateDisposition::Create };
        let options = OpenOptions::write().disposition(disposition);
        let file = share.open(part, &options).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        let mut passing = Passing::new(self.options.checksum);
        let there = file.opened_metadata().size;
        let mut begin = 0;
        if goes_on && there > 0 {
            begin = check::same_until(&file, local, there, &mut passing).await.with_context(reading)?;
            file.set_len(begin).await.explain(&self.source, &job.remote)?;
            self.bar.inc(begin);
            self.summary.kept(begin);
        }
        let mut pieces = file.write_stream(begin);
        loop {
            let piece = local::read(local, &self.pool, PIECE).with_context(reading)?;
            if piece.is_empty() {
                break;
            }
            passing.update(&piece);
            self.progress(piece.len() as u64);
            pieces.write(piece).await.explain(&self.source, &job.remote)?;
        }
        pieces.finish().await.explain(&self.source, &job.remote)?;
        let set = times(job, local, self.options.preserve)?;
        file.modify(None, &set).await.map(drop).explain(&self.source, &job.remote)?;
        file.close().await.explain(&self.source, &job.remote)?;
        Ok(passing.finish())
    }
}

/// What this machine says of a file, in the server's terms.
fn described(metadata: &fs::Metadata) -> Metadata {
    let time = |time: std::io::Result<SystemTime>| time.map(FileTime::from).unwrap_or_default();
    let mut attributes = FileAttributes::empty();
    attributes.set(FileAttributes::DIRECTORY, metadata.is_dir());
    attributes.set(FileAttributes::READONLY, !metadata.is_dir() && metadata.permissions().readonly());
    let mut described = Metadata::default();
    described.size = metadata.len();
    described.created = time(metadata.created());
    described.accessed = time(metadata.accessed());
    described.written = time(metadata.modified());
    described.attributes = attributes;
    described
}

/// The times of a copy. When it was read last, the file itself tells no more: it has just been read.
fn times(job: &Job, file: &fs::File, preserve: bool) -> Result<SetAttributes> {
    let mut now = described(&blocking(|| file.metadata())?);
    now.accessed = job.metadata.accessed;
    Ok(attributes(&now, preserve))
}

/// The times that a copy of this gets.
pub(super) fn attributes(metadata: &Metadata, preserve: bool) -> SetAttributes {
    let given = |time: FileTime| (time != FileTime::ZERO).then_some(time);
    let all = |time: FileTime| if preserve { given(time) } else { None };
    let times = SetAttributes::default().created(all(metadata.created)).accessed(all(metadata.accessed));
    times.written(given(metadata.written))
}
