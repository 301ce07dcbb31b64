//! From one share to another, or within one.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow, bail};
use futures::future::BoxFuture;
use smb_client::{
    Client, ConnectOptions, CreateDisposition, FileAttributes, LinkKind, Metadata, NtStatus, SetAttributes,
    Share,
};

use super::options::Links;
use super::parts::Part;
use super::put::attributes;
use super::{Above, Job, LinkJob, Plan, Transfer, below, check, links};
use crate::codes;
use crate::connect::Explain;
use crate::lanes::with_further;
use crate::show::printable;
use crate::source::Source;

/// The share that is read and the one that is written, over one login where they are one server's: then the server
/// copies by itself.
#[derive(Clone)]
struct Lane {
    from: Share,
    to: Share,
}

/// One `cp`.
pub(crate) struct Copier {
    from: Share,
    source: Source,
    connect: ConnectOptions,
    /// Both shares are reached over one login.
    one_login: bool,
    /// The writing side.
    transfer: Arc<Transfer>,
}

impl Copier {
    /// `transfer` is about the target; `connect` is for more connections to the source.
    pub(crate) fn new(
        (from, source): (Share, Source),
        connect: ConnectOptions,
        one_login: bool,
        transfer: Arc<Transfer>,
    ) -> Self {
        Self { from, source, connect, one_login, transfer }
    }

    /// Copies to the target's path, or into it where it is a directory.
    pub(crate) async fn copy(self: &Arc<Self>) -> Result<()> {
        let transfer = &self.transfer;
        let mut plan = Plan::default();
        if let Err(error) = self.plan(&mut plan).await {
            transfer.failed(error);
            plan = Plan::default();
        }
        let Plan { jobs, links, directories } = plan;
        let alone = jobs.len() <= 1;
        if transfer.options.dry_run {
            for job in &jobs {
                let to = transfer.source.at(&path_of(&job.local));
                transfer.summary.would(self.source.at(&job.remote), to, job.metadata.size);
            }
            for link in &links {
                let to = transfer.source.at(&path_of(&link.local));
                transfer.summary.would(self.source.at(&link.remote), to, 0);
            }
            return transfer.summary.tell(&transfer.options, alone);
        }
        transfer.bar.set_length(jobs.iter().map(|job| job.metadata.size).sum());
        let lanes = self.lanes(jobs.len()).await;
        let copier = self.clone();
        let work = move |_, lane: Lane, job: Job| -> BoxFuture<'static, Result<()>> {
            let copier = copier.clone();
            Box::pin(async move { copier.copy_file(&lane, &job).await })
        };
        if transfer.run(jobs, lanes, work).await {
            for link in links {
                let path = path_of(&link.local);
                match transfer.make_remote(&transfer.share, &link.target, &path, link.directory).await {
                    Ok(()) => transfer.summary.linked(),
                    Err(error) => transfer.failed(error),
                }
            }
            if transfer.options.preserve {
                let directories =
                    directories.into_iter().map(|(_, to, metadata)| (path_of(&to), to, metadata));
                transfer.keep_directories(directories.collect()).await;
            }
        }
        transfer.summary.tell(&transfer.options, alone)
    }

    /// As for one share, but each lane reaches both.
    async fn lanes(&self, jobs: usize) -> Vec<Lane> {
        let first = Lane { from: self.from.clone(), to: self.transfer.share.clone() };
        let further = || async {
            let client = Client::connect(&self.connect).await?;
            let from = client.share(self.from.name()).await?;
            let client =
                if self.one_login { client } else { Client::connect(&self.transfer.connect).await? };
            let to = client.share(self.transfer.share.name()).await?;
            Ok(Lane { from, to })
        };
        with_further(first, jobs, further).await
    }

    async fn plan(&self, plan: &mut Plan) -> Result<()> {
        let (transfer, target) = (&self.transfer, &self.transfer.source);
        let mut from = self.source.path.clone();
        let mut metadata = self.from.metadata(&from).await.explain(&self.source, &from)?;
        let into_directory = target.path.is_empty()
            || transfer.share.metadata(&target.path).await.is_ok_and(|metadata| metadata.is_dir());
        if target.directory && !into_directory {
            return Err(codes::WRONG_KIND.says(format!(
                "{} is no directory: make it first, with mkdir",
                printable(&target.to_string())
            )));
        }
        let name = from.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(&self.source.share);
        let to = if into_directory { target.join(name) } else { target.path.clone() };
        if links::is_link(&metadata) {
            match transfer.options.links {
                Links::Follow => (from, metadata) = links::follow(&self.from, &self.source, &from).await?,
                _ => return self.plan_link(from, to, String::new(), plan).await,
            }
        }
        // Servers do not tell capitals apart, or not all of them do.
        let (a, b) = (from.to_lowercase(), to.to_lowercase());
        let one_share = self.one_login && self.from.name().eq_ignore_ascii_case(transfer.share.name());
        if one_share && a == b {
            bail!("{} would be copied onto itself: name another target", printable(&self.source.to_string()));
        }
        if !metadata.is_dir() {
            plan.jobs.push(Job { remote: from, local: to.into(), relative: String::new(), metadata });
            return Ok(());
        }
        if !transfer.options.recursive {
            return Err(codes::WRONG_KIND
                .says(format!("{} is a directory: use cp -r", printable(&self.source.to_string()))));
        }
        if one_share && (a.is_empty() || b.starts_with(&format!("{a}/"))) {
            bail!(
                "{} would be copied into itself: name a target outside of it",
                printable(&self.source.to_string())
            );
        }
        self.plan_directory(from, to, String::new(), (metadata, Above::default()), plan).await
    }

    async fn plan_link(&self, from: String, to: String, relative: String, plan: &mut Plan) -> Result<()> {
        if self.transfer.options.links == Links::Skip {
            self.transfer.summary.skipped();
            return Ok(());
        }
        let link = self.from.read_link(&from).await.explain(&self.source, &from)?;
        let inside = if relative.is_empty() { &from } else { &relative };
        links::stays(inside, &link.target, &self.source.at(&from))?;
        let directory = link.kind == LinkKind::Directory;
        plan.links.push(LinkJob { remote: from, local: to.into(), target: link.target, directory });
        Ok(())
    }

    fn plan_directory<'a>(
        &'a self,
        from: String,
        to: String,
        relative: String,
        (metadata, above): (Metadata, Above),
        plan: &'a mut Plan,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let transfer = &self.transfer;
            let Some(above) = above.with(&metadata) else {
                transfer.failed(anyhow!(
                    "{} leads in a circle: left out; use --links skip",
                    printable(&self.source.at(&from))
                ));
                return Ok(());
            };
            if !transfer.options.dry_run {
                match transfer.share.create_dir(&to).await {
                    Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                    result => result.map(drop).explain(&transfer.source, &to)?,
                }
            }
            plan.directories.push((from.clone(), PathBuf::from(&to), metadata));
            let listing = async { self.from.open_dir(&from).await?.all_entries().await };
            let entries = match listing.await.explain(&self.source, &from) {
                Ok(entries) => entries,
                Err(error) => {
                    transfer.failed(error);
                    return Ok(());
                }
            };
            for entry in entries {
                let (mut from, to) = (below(&from, &entry.name), below(&to, &entry.name));
                let (relative, mut metadata) = (below(&relative, &entry.name), entry.metadata);
                if transfer.options.exclude.covers(&relative) {
                    transfer.summary.skipped();
                    continue;
                }
                if links::is_link(&metadata) {
                    if transfer.options.links != Links::Follow {
                        if let Err(error) = self.plan_link(from, to, relative, plan).await {
                            transfer.failed(error);
                        }
                        continue;
                    }
                    match links::follow(&self.from, &self.source, &from).await {
                        Ok(target) => (from, metadata) = target,
                        Err(error) => {
                            transfer.failed(error);
                            continue;
                        }
                    }
                }
                if metadata.is_dir() {
                    self.plan_directory(from, to, relative, (metadata, above.clone()), plan).await?;
                } else {
                    plan.jobs.push(Job { remote: from, local: to.into(), relative, metadata });
                }
            }
            Ok(())
        })
    }

    async fn copy_file(&self, lane: &Lane, job: &Job) -> Result<()> {
        let (transfer, to) = (&self.transfer, path_of(&job.local));
        if transfer.options.checksum && self.is_there(lane, job, &to).await? {
            transfer.summary.skipped();
            return Ok(());
        }
        let part = transfer.part_of(&to);
        let guard = transfer.parts.begin(Part::Remote(part.clone()));
        let result = async {
            let progress = |bytes| transfer.progress(bytes);
            let copying = lane.from.copy(&job.remote, &lane.to, &part, CreateDisposition::Create, progress);
            let (copied, file) = copying.await.explain(&self.source, &job.remote)?;
            tracing::debug!(by_server = copied.by_server, "copied");
            let set = attributes(&job.metadata, transfer.options.preserve);
            file.modify(None, &set).await.map(drop).explain(&transfer.source, &to)?;
            file.close().await.explain(&transfer.source, &to)?;
            if transfer.options.checksum {
                let sum =
                    check::of_remote(&lane.from, &job.remote).await.explain(&self.source, &job.remote)?;
                transfer.compare(&lane.to, &part, &to, Some(sum)).await?;
            }
            lane.to.rename(&part, &to, true).await.explain(&transfer.source, &to)
        };
        let result = result.await;
        transfer.parts.end(&lane.to, guard, result.is_err()).await;
        result?;
        if transfer.options.preserve && job.metadata.attributes.contains(FileAttributes::READONLY) {
            let attributes = Some(FileAttributes::READONLY | FileAttributes::ARCHIVE);
            let set = SetAttributes::default().attributes(attributes);
            lane.to.modify(&to, None, &set).await.map(drop).explain(&transfer.source, &to)?;
        }
        transfer.summary.copied();
        Ok(())
    }

    /// Whether the target is there and equal.
    async fn is_there(&self, lane: &Lane, job: &Job, to: &str) -> Result<bool> {
        let there = match lane.to.metadata(to).await {
            Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_NOT_FOUND) => return Ok(false),
            there => there.explain(&self.transfer.source, to)?,
        };
        if there.is_dir() || there.size != job.metadata.size {
            return Ok(false);
        }
        let (here, there) =
            futures::join!(check::of_remote(&lane.from, &job.remote), check::of_remote(&lane.to, to));
        Ok(here.explain(&self.source, &job.remote)? == there.explain(&self.transfer.source, to)?)
    }
}

/// The target's path, which was text before.
fn path_of(path: &std::path::Path) -> String {
    path.to_string_lossy().into_owned()
}
