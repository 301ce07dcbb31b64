//! From the share to this machine.

use std::fs;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use futures::future::BoxFuture;
use smb_client::{FileAttributes, Metadata, OpenOptions, Share, mfsymlink_target};

use super::check::{self, Checksum, Passing};
use super::local::{self, blocking, local_name};
use super::options::Links;
use super::parts::{Part, stable_name};
use super::{Above, Job, LinkJob, Plan, Transfer, below, links, must_be_there};
use crate::codes;
use crate::connect::Explain;
use crate::lanes::lanes;
use crate::show::{printable, shown};

/// A file that came, in its part: what the server said of it, and the checksum of what came if it is wanted.
type Came = (fs::File, Metadata, Option<Checksum>);

impl Transfer {
    /// From the share to `to`, or into it where it is a directory.
    pub(crate) async fn get(self: &Arc<Self>, to: &Path) -> Result<()> {
        let mut plan = Plan::default();
        if let Err(error) = self.plan_get(to, &mut plan).await {
            self.failed(error);
            plan = Plan::default();
        }
        let Plan { jobs, links, directories } = plan;
        let rest = |job: &Job| Some(job.local.with_file_name(stable_name(&job.local).ok()?));
        let jobs = self.without_rests(jobs, |job| job.local.clone(), rest);
        let alone = jobs.len() <= 1;
        if self.options.dry_run {
            for job in &jobs {
                self.summary.would(self.source.at(&job.remote), shown(&job.local), job.metadata.size);
            }
            for link in &links {
                self.summary.would(self.source.at(&link.remote), shown(&link.local), 0);
            }
            return self.summary.tell(&self.options, alone);
        }
        self.bar.set_length(jobs.iter().map(|job| job.metadata.size).sum());
        let lanes = lanes(&self.share, &self.connect, jobs.len()).await;
        let work = |transfer: Arc<Self>, share: Share, job: Job| -> BoxFuture<'static, Result<()>> {
            Box::pin(async move { transfer.get_file(&share, &job).await })
        };
        if self.run(jobs, lanes, work).await {
            // After all files: nothing is written through a link that has just come.
            for link in links {
                let part = link.local.with_file_name(self.parts.name());
                match links::make_local(&link.target, &link.local, &part) {
                    Ok(()) => self.summary.linked(),
                    Err(error) => self.failed(error),
                }
            }
            if self.options.preserve {
                // Inner ones first: what is made in a directory changes its times.
                for (_, local, metadata) in directories.iter().rev() {
                    keep_times(local, metadata);
                }
            }
        }
        self.summary.tell(&self.options, alone)
    }

    async fn plan_get(&self, to: &Path, plan: &mut Plan) -> Result<()> {
        let mut remote = self.source.path.clone();
        let mut metadata = self.share.metadata(&remote).await.explain(&self.source, &remote)?;
        let name = remote.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&self.source.share);
        let into_directory = blocking(|| to.is_dir());
        let local = if into_directory { to.join(local_name(name)?) } else { to.to_owned() };
        if links::is_link(&metadata) {
            match self.options.links {
                Links::Follow => {
                    (remote, metadata) = links::follow(&self.share, &self.source, &remote).await?
                }
                _ => return self.plan_get_link(remote, local, String::new(), plan).await,
            }
        }
        if !metadata.is_dir() {
            plan.jobs.push(Job { remote, local, relative: String::new(), metadata });
            return Ok(());
        }
        if !self.options.recursive {
            return Err(codes::WRONG_KIND
                .says(format!("{} is a directory: use get -r", printable(&self.source.to_string()))));
        }
        if self.options.resume && !into_directory {
            return Err(must_be_there(&shown(to)));
        }
        self.plan_get_directory(remote, local, String::new(), (metadata, Above::default()), plan).await
    }

    async fn plan_get_link(
        &self,
        remote: String,
        local: PathBuf,
        relative: String,
        plan: &mut Plan,
    ) -> Result<()> {
        if self.options.links == Links::Skip {
            self.summary.skipped();
            return Ok(());
        }
        let target = self.share.read_link(&remote).await.explain(&self.source, &remote)?.target;
        links::stays_here(inside(&remote, &relative), &target, &self.source.at(&remote))?;
        plan.links.push(LinkJob { remote, local, target, directory: false });
        Ok(())
    }

    fn plan_get_directory<'a>(
        &'a self,
        remote: String,
        local: PathBuf,
        relative: String,
        (metadata, above): (Metadata, Above),
        plan: &'a mut Plan,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let Some(above) = above.with(&metadata) else {
                self.failed(anyhow!(
                    "{} leads in a circle: left out; use --links skip",
                    printable(&self.source.at(&remote))
                ));
                return Ok(());
            };
            if !self.options.dry_run && !self.make_directory(&local, relative.is_empty())? {
                return Ok(());
            }
            plan.directories.push((remote.clone(), local.clone(), metadata));
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
                let (mut remote, relative) = (below(&remote, &entry.name), below(&relative, &entry.name));
                let mut metadata = entry.metadata;
                if self.options.exclude.covers(&relative) {
                    self.summary.skipped();
                    continue;
                }
                if links::is_link(&metadata) {
                    if self.options.links != Links::Follow {
                        if let Err(error) = self.plan_get_link(remote, local, relative, plan).await {
                            self.failed(error);
                        }
                        continue;
                    }
                    match links::follow(&self.share, &self.source, &remote).await {
                        Ok(to) => (remote, metadata) = to,
                        Err(error) => {
                            self.failed(error);
                            continue;
                        }
                    }
                }
                if metadata.is_dir() {
                    let place = (metadata, above.clone());
                    self.plan_get_directory(remote, local, relative, place, plan).await?;
                } else {
                    plan.jobs.push(Job { remote, local, relative, metadata });
                }
            }
            Ok(())
        })
    }

    /// Whether the directory is there now. One that is a link is used only if the user named it: a server that sends
    /// a link first and a directory of its name later could write anywhere.
    fn make_directory(&self, local: &Path, named: bool) -> Result<bool> {
        match blocking(|| fs::create_dir(local)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let link = blocking(|| fs::symlink_metadata(local)).is_ok_and(|there| there.is_symlink());
                if link && !named {
                    self.failed(anyhow!(
                        "{} is a symbolic link here and would lead elsewhere: left out; remove the link",
                        shown(local)
                    ));
                    return Ok(false);
                }
                Ok(true)
            }
            Err(error) => Err(error).with_context(|| format!("cannot make {}", shown(local))),
        }
    }

    /// Into a name of its own first: a broken transfer never looks like a finished one.
    fn get_file<'a>(&'a self, share: &'a Share, job: &'a Job) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // Where the user named a link, what it leads to is replaced; in a tree, the link.
            let link = job.relative.is_empty() && blocking(|| fs::read_link(&job.local)).is_ok();
            let target = link.then(|| fs::canonicalize(&job.local).ok()).flatten();
            let target = target.unwrap_or_else(|| job.local.clone());
            if self.is_here(share, job, &target).await? {
                self.summary.skipped();
                return Ok(());
            }
            let stays = self.options.resume && job.metadata.size >= share.small() as u64;
            let name = if stays { stable_name(&target)? } else { self.parts.name() };
            let part = target.with_file_name(name);
            let guard = (!stays).then(|| self.parts.begin(Part::Local(part.clone())));
            let result = self.get_into(share, job, &part, &target).await;
            if let Some(guard) = guard {
                self.parts.end(share, guard, result.is_err()).await;
            }
            result
        })
    }

    /// Whether the same file is here already, as far as the options want to know.
    async fn is_here(&self, share: &Share, job: &Job, target: &Path) -> Result<bool> {
        if !self.options.resume && !self.options.checksum {
            return Ok(false);
        }
        let Ok(here) = blocking(|| fs::symlink_metadata(target)) else { return Ok(false) };
        if !here.is_file() || here.len() != job.metadata.size {
            return Ok(false);
        }
        if self.options.checksum {
            let there = check::of_remote(share, &job.remote).await.explain(&self.source, &job.remote)?;
            return Ok(check::of_local(target)? == there);
        }
        Ok(here.modified().is_ok_and(|time| smb_client::FileTime::from(time) == job.metadata.written))
    }

    async fn get_into(&self, share: &Share, job: &Job, part: &Path, target: &Path) -> Result<()> {
        let came = if job.metadata.size < share.small() as u64 {
            self.get_small(share, job, part, target).await?
        } else {
            Some(self.get_large(share, job, part).await?)
        };
        let Some((out, metadata, checksum)) = came else { return Ok(()) };
        if let Some(checksum) = checksum
            && check::of_local(part)? != checksum
        {
            return Err(codes::DAMAGED.says(format!(
                "{} is not what came: the disk or its file system is not to be trusted",
                shown(target)
            )));
        }
        blocking(|| finish(&out, &metadata, self.options.preserve, part, target))?;
        self.summary.copied();
        Ok(())
    }

    /// In one round trip, unless the file has grown meanwhile. Nothing where it stood for a link that has been dealt
    /// with.
    async fn get_small(&self, share: &Share, job: &Job, part: &Path, target: &Path) -> Result<Option<Came>> {
        let start = share.read_start(&job.remote, share.small() as u32);
        let start = start.await.explain(&self.source, &job.remote)?;
        if start.more {
            return self.get_large(share, job, part).await.map(Some);
        }
        if let Some(leads_to) = mfsymlink_target(&start.data) {
            return self.get_mfsymlink(share, job, (part, target), &leads_to).await.map(|()| None);
        }
        self.progress(start.data.len() as u64);
        let mut out = create(part, job)?;
        local::write(&mut out, &start.data).with_context(|| writing(job))?;
        let checksum = self.options.checksum.then(|| check::of_bytes(&start.data));
        Ok(Some((out, start.metadata, checksum)))
    }

    /// A file that stands for a link.
    async fn get_mfsymlink(
        &self,
        share: &Share,
        job: &Job,
        (part, target): (&Path, &Path),
        leads_to: &str,
    ) -> Result<()> {
        match self.options.links {
            Links::Skip => self.summary.skipped(),
            Links::Copy => {
                let inside = inside(&job.remote, &job.relative);
                links::stays_here(inside, leads_to, &self.source.at(&job.remote))?;
                links::make_local(leads_to, target, part)?;
                self.summary.linked();
            }
            Links::Follow => {
                let (remote, metadata) = links::follow(share, &self.source, &job.remote).await?;
                if metadata.is_dir() {
                    bail!(
                        "{} is a link to a directory, kept as a file: use --links copy or --links skip",
                        printable(&self.source.at(&job.remote))
                    );
                }
                let (local, relative) = (job.local.clone(), job.relative.clone());
                self.get_file(share, &Job { remote, local, relative, metadata }).await?;
            }
        }
        Ok(())
    }

    async fn get_large(&self, share: &Share, job: &Job, part: &Path) -> Result<Came> {
        let _turn = self.large.acquire().await?;
        let file = share.open(&job.remote, &OpenOptions::read()).await.explain(&self.source, &job.remote)?;
        let file = Arc::new(file);
        let mut passing = Passing::new(self.options.checksum);
        let (mut out, begin) = if self.options.resume {
            let mut out = reopen(part, job)?;
            let there = blocking(|| out.metadata()).with_context(|| writing(job))?.len();
            let same = check::same_until(&file, &mut out, there, &mut passing).await?;
            blocking(|| out.set_len(same).and_then(|()| out.seek(SeekFrom::Start(same))))
                .with_context(|| writing(job))?;
            self.bar.inc(same);
            self.summary.kept(same);
            (out, same)
        } else {
            (create(part, job)?, 0)
        };
        let mut pieces = file.read_stream(begin, u64::MAX);
        while let Some(piece) = pieces.next().await.explain(&self.source, &job.remote)? {
            local::write(&mut out, &piece).with_context(|| writing(job))?;
            passing.update(&piece);
            self.progress(piece.len() as u64);
        }
        Ok((out, *file.opened_metadata(), passing.finish()))
    }
}

/// Where a link is in what is copied. What the user named itself has nothing around it here.
fn inside<'a>(remote: &'a str, relative: &'a str) -> &'a str {
    if relative.is_empty() { remote.rsplit('/').next().unwrap_or(remote) } else { relative }
}

fn writing(job: &Job) -> String {
    format!("cannot write {}", shown(&job.local))
}

/// Made anew, or not at all: in a folder that others can write to, the name may lie in wait.
fn create(part: &Path, job: &Job) -> Result<fs::File> {
    blocking(|| fs::OpenOptions::new().write(true).create_new(true).open(part)).with_context(|| writing(job))
}

/// What an earlier transfer left, or made anew. What lies in wait there is not a file of this user's.
fn reopen(part: &Path, job: &Job) -> Result<fs::File> {
    let there = blocking(|| fs::symlink_metadata(part));
    match there {
        Ok(there) if !there.is_file() || !is_mine(&there) => {
            bail!("{} is in the way: remove it, or do without --resume", shown(part))
        }
        Ok(_) => blocking(|| fs::OpenOptions::new().read(true).write(true).open(part)),
        Err(_) => blocking(|| fs::OpenOptions::new().read(true).write(true).create_new(true).open(part)),
    }
    .with_context(|| writing(job))
}

#[cfg(target_os = "linux")]
fn is_mine(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.nlink() == 1
}

#[cfg(not(target_os = "linux"))]
const fn is_mine(_: &fs::Metadata) -> bool {
    true
}

fn times(metadata: &Metadata, preserve: bool) -> fs::FileTimes {
    let times = fs::FileTimes::new().set_modified(metadata.written.to_system_time());
    if preserve { times.set_accessed(metadata.accessed.to_system_time()) } else { times }
}

fn keep_times(directory: &Path, metadata: &Metadata) {
    let kept = blocking(|| fs::File::open(directory)?.set_times(times(metadata, true)));
    if let Err(error) = kept {
        tracing::debug!(%error, "setting a directory's times");
    }
}

/// Gives a whole copy its times, its predecessor's mode and its name.
fn finish(out: &fs::File, metadata: &Metadata, preserve: bool, part: &Path, target: &Path) -> Result<()> {
    // Keeping the time is a courtesy; some file systems cannot.
    if let Err(error) = out.set_times(times(metadata, preserve)) {
        tracing::debug!(%error, "setting the time");
    }
    let keeping = || format!("cannot keep the mode of {}", shown(target));
    if let Ok(existing) = fs::symlink_metadata(target)
        && existing.is_file()
    {
        out.set_permissions(existing.permissions()).with_context(keeping)?;
    }
    if preserve && metadata.attributes.contains(FileAttributes::READONLY) {
        let mut permissions = out.metadata().with_context(keeping)?.permissions();
        permissions.set_readonly(true);
        out.set_permissions(permissions).with_context(keeping)?;
    }
    fs::rename(part, target).with_context(|| format!("cannot rename to {}", shown(target)))
}
