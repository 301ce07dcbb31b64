//! The file commands that need no mount: ls, stat, cat, rm, mkdir, mv, df.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use futures::future::BoxFuture;
use indicatif::HumanBytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use smb_client::{FileAttributes, FileTime, Metadata, NtStatus, OpenOptions, Share};

use crate::connect::Explain;
use crate::source::Source;

/// A share and where in it the command works.
pub(crate) struct Place<'a> {
    pub(crate) share: &'a Share,
    pub(crate) source: &'a Source,
}

impl Place<'_> {
    fn path(&self) -> &str {
        &self.source.path
    }

    /// What is there.
    pub(crate) async fn metadata(&self, path: &str) -> Result<Metadata> {
        self.share.metadata(path).await.explain(self.source, path)
    }

    /// Lists a directory, or shows a file.
    pub(crate) async fn ls(&self, long: bool, all: bool) -> Result<()> {
        let metadata = self.metadata(self.path()).await?;
        let mut lines = Vec::new();
        if metadata.is_dir() {
            let directory = self.share.open_dir(self.path()).await.explain(self.source, self.path())?;
            let mut entries = directory.all_entries().await.explain(self.source, self.path())?;
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            for entry in entries {
                let hidden =
                    entry.name.starts_with('.') || entry.metadata.attributes.contains(FileAttributes::HIDDEN);
                if all || !hidden {
                    lines.push((entry.name, entry.metadata));
                }
            }
        } else {
            let name = self.path().rsplit('/').next().unwrap_or_default();
            lines.push((name.into(), metadata));
        }
        let mut out = io::stdout().lock();
        for (name, metadata) in lines {
            let name = printable(&name);
            if long {
                let kind = kind_letters(&metadata);
                let time = local_time(metadata.written);
                writeln!(out, "{kind} {:>15} {time} {name}", metadata.size)?;
            } else {
                writeln!(out, "{name}")?;
            }
        }
        Ok(())
    }

    /// All that the server says of a file.
    pub(crate) async fn stat(&self, as_json: bool) -> Result<()> {
        let m = self.metadata(self.path()).await?;
        let mut out = io::stdout().lock();
        if as_json {
            let value = json!({
                "path": self.source.to_string(),
                "kind": if m.is_dir() { "directory" } else { "file" },
                "size": m.size,
                "allocated": m.allocated,
                "links": m.links,
                "file_id": m.file_id,
                "attributes": m.attributes.bits(),
                "reparse_tag": m.reparse_tag,
                "created": timestamp(m.created).map(|t| t.to_string()),
                "accessed": timestamp(m.accessed).map(|t| t.to_string()),
                "written": timestamp(m.written).map(|t| t.to_string()),
                "changed": timestamp(m.changed).map(|t| t.to_string()),
            });
            writeln!(out, "{value:#}")?;
            return Ok(());
        }
        writeln!(out, "      Path: {}", printable(&self.source.to_string()))?;
        writeln!(out, "      Kind: {}", if m.is_dir() { "directory" } else { "file" })?;
        writeln!(out, "      Size: {} ({} on disk)", m.size, m.allocated)?;
        writeln!(out, "     Links: {}   File id: {}", m.links, m.file_id)?;
        writeln!(out, "Attributes: {:#x} {}", m.attributes.bits(), kind_letters(&m))?;
        for (what, time) in
            [("Created", m.created), ("Accessed", m.accessed), ("Written", m.written), ("Changed", m.changed)]
        {
            writeln!(out, "{what:>10}: {}", local_time(time))?;
        }
        Ok(())
    }

    /// Copies a file to standard output.
    pub(crate) async fn cat(&self) -> Result<()> {
        let file =
            self.share.open(self.path(), &OpenOptions::read()).await.explain(self.source, self.path())?;
        let file = Arc::new(file);
        let mut pieces = file.read_stream(0, u64::MAX);
        let mut out = io::stdout().lock();
        while let Some(piece) = pieces.next().await.explain(self.source, self.path())? {
            if let Err(error) = out.write_all(&piece) {
                // As cat(1): who reads a pipe may have had enough.
                return if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) };
            }
        }
        out.flush().context("cannot write to standard output")
    }

    /// Removes a file, or with `recursive` a tree.
    pub(crate) async fn rm(&self, recursive: bool) -> Result<()> {
        if self.path().is_empty() {
            bail!("will not remove the share's root");
        }
        let metadata = self.metadata(self.path()).await?;
        if !metadata.is_dir() {
            return self.share.remove_file(self.path()).await.explain(self.source, self.path());
        }
        // A junction is not what it points to: removing the tree behind it would reach out of this one.
        if metadata.attributes.contains(FileAttributes::REPARSE_POINT) {
            return self.share.remove_dir(self.path()).await.explain(self.source, self.path());
        }
        if !recursive {
            bail!("{} is a directory: use rm -r", self.source);
        }
        self.remove_tree(self.path().to_owned()).await
    }

    fn remove_tree(&self, path: String) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let directory = self.share.open_dir(&path).await.explain(self.source, &path)?;
            let entries = directory.all_entries().await.explain(self.source, &path)?;
            directory.close().await.explain(self.source, &path)?;
            for entry in entries {
                let child = if path.is_empty() { entry.name } else { format!("{path}/{}", entry.name) };
                let link = entry.metadata.attributes.contains(FileAttributes::REPARSE_POINT);
                if !entry.metadata.is_dir() {
                    self.share.remove_file(&child).await.explain(self.source, &child)?;
                } else if link {
                    self.share.remove_dir(&child).await.explain(self.source, &child)?;
                } else {
                    self.remove_tree(child).await?;
                }
            }
            self.share.remove_dir(&path).await.explain(self.source, &path)
        })
    }

    /// Makes a directory, with `parents` those above it too.
    pub(crate) async fn mkdir(&self, parents: bool) -> Result<()> {
        if !parents {
            return self.share.create_dir(self.path()).await.map(drop).explain(self.source, self.path());
        }
        let mut path = String::new();
        for component in self.path().split('/').filter(|component| !component.is_empty()) {
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(component);
            match self.share.create_dir(&path).await {
                Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                result => result.map(drop).explain(self.source, &path)?,
            }
        }
        if self.metadata(&path).await?.is_dir() { Ok(()) } else { bail!("{} is a file", self.source) }
    }

    /// Renames within the share; into `to` where that is a directory.
    pub(crate) async fn mv(&self, to: &Source, replace: bool) -> Result<()> {
        let mut target = to.path.clone();
        if target.is_empty() || self.share.metadata(&target).await.is_ok_and(|metadata| metadata.is_dir()) {
            let name = self.path().rsplit('/').next().unwrap_or_default();
            target = to.join(name);
        }
        self.share.rename(self.path(), &target, replace).await.explain(self.source, self.path())
    }

    /// How full the share is.
    pub(crate) async fn df(&self) -> Result<()> {
        let space = self.share.space().await.explain(self.source, "")?;
        let used = space.total.saturating_sub(space.free);
        let percent = used.saturating_mul(100).checked_div(space.total).unwrap_or(0);
        println!("{:<40} {:>12} {:>12} {:>12} {:>5}", "Share", "Size", "Used", "Available", "Use%");
        println!(
            "{:<40} {:>12} {:>12} {:>12} {:>4}%",
            format!("//{}/{}", self.source.host, self.source.share),
            HumanBytes(space.total).to_string(),
            HumanBytes(used).to_string(),
            HumanBytes(space.available).to_string(),
            percent
        );
        Ok(())
    }
}

/// A server's name for a terminal: control characters could do anything there.
pub(crate) fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn kind_letters(metadata: &Metadata) -> String {
    let flag = |attribute, letter| if metadata.attributes.contains(attribute) { letter } else { '-' };
    [
        flag(FileAttributes::DIRECTORY, 'd'),
        flag(FileAttributes::READONLY, 'r'),
        flag(FileAttributes::HIDDEN, 'h'),
        flag(FileAttributes::SYSTEM, 's'),
        flag(FileAttributes::ARCHIVE, 'a'),
        flag(FileAttributes::REPARSE_POINT, 'l'),
    ]
    .iter()
    .collect()
}

fn timestamp(time: FileTime) -> Option<Timestamp> {
    if time == FileTime::ZERO {
        return None;
    }
    let (seconds, nanoseconds) = time.to_unix();
    Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
}

fn local_time(time: FileTime) -> String {
    match timestamp(time) {
        Some(time) => time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        None => format!("{:<19}", "-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_controls_the_terminal() {
        assert_eq!(printable("a\u{1b}[2J\nb"), "a?[2J?b");
    }
}
