//! The file commands that need no mount and copy nothing: ls, stat, cat, mkdir, mv, df.

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use futures::stream::{self, StreamExt};
use indicatif::HumanBytes;
use serde_json::Value;
use smb_client::{FileAttributes, Metadata, NtStatus, OpenOptions, Share};

use crate::codes;
use crate::connect::Explain;
use crate::show::{
    as_json, complaint, describe, kind_letters, local_time, printable, tell, unless_broken_pipe,
};
use crate::source::Source;

/// Questions under way at once; the server's credits may allow fewer.
const AT_ONCE: usize = 256;
/// Files to open ahead of the one that is read.
const OPEN_AHEAD: usize = 8;

/// A share and where in it the command works.
pub(crate) struct Place<'a> {
    pub(crate) share: &'a Share,
    pub(crate) source: &'a Source,
}

/// Fails where one of several things failed, and says which.
pub(crate) fn all_or_nothing(mut failures: Vec<Error>, done: &str) -> Result<()> {
    match failures.len() {
        0 => Ok(()),
        1 => Err(failures.remove(0)),
        failed => {
            for error in &failures {
                tell(&format!("sharefs: {}", complaint(error)));
            }
            Err(codes::INCOMPLETE.says(format!("{failed} could not be {done}: see above")))
        }
    }
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
    pub(crate) async fn ls(&self, long: bool, all: bool, json: bool) -> Result<()> {
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
        let shown = if json { list_json(&lines) } else { list(&lines, long) };
        shown.or_else(unless_broken_pipe)
    }

    /// All that the server says of files; the questions are under way together.
    pub(crate) async fn stat(&self, paths: &[String], json: bool) -> Result<()> {
        let asking = paths.iter().map(|path| async move { (path, self.metadata(path).await) });
        let mut answers = stream::iter(asking).buffered(AT_ONCE);
        let (mut failures, mut values) = (Vec::new(), Vec::new());
        while let Some((path, answer)) = answers.next().await {
            let name = self.source.at(path);
            match answer {
                Ok(metadata) if json => values.push(as_json("path", &name, &metadata)),
                Ok(metadata) => {
                    if let Err(error) = describe(&mut io::stdout().lock(), &name, &metadata) {
                        return unless_broken_pipe(error);
                    }
                }
                Err(error) => failures.push(error),
            }
        }
        if json {
            // One is an object, several are an array, whatever became of them.
            let value = match (paths.len(), values.pop()) {
                (1, Some(only)) => Some(only),
                (1, None) => None,
                (_, last) => Some(Value::Array(values.into_iter().chain(last).collect())),
            };
            if let Some(value) = value
                && let Err(error) = writeln!(io::stdout().lock(), "{value:#}")
            {
                return unless_broken_pipe(error);
            }
        }
        all_or_nothing(failures, "looked at")
    }

    /// Copies files to standard output, one after the other.
    pub(crate) async fn cat(&self, paths: &[String]) -> Result<()> {
        let opening = paths.iter().map(|path| async move {
            (path, self.share.open(path, &OpenOptions::read()).await.explain(self.source, path))
        });
        let mut files = stream::iter(opening).buffered(OPEN_AHEAD);
        let mut failures = Vec::new();
        while let Some((path, file)) = files.next().await {
            let mut pieces = match file {
                Ok(file) => Arc::new(file).read_stream(0, u64::MAX),
                Err(error) => {
                    failures.push(error);
                    continue;
                }
            };
            loop {
                match pieces.next().await.explain(self.source, path) {
                    Ok(Some(piece)) => {
                        if let Err(error) = io::stdout().lock().write_all(&piece) {
                            return unless_broken_pipe(error);
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        failures.push(error);
                        break;
                    }
                }
            }
        }
        if let Err(error) = io::stdout().lock().flush() {
            return unless_broken_pipe(error).context("cannot write to standard output");
        }
        all_or_nothing(failures, "read")
    }

    /// Makes directories, with `parents` those above them too.
    pub(crate) async fn mkdir(&self, paths: &[String], parents: bool) -> Result<()> {
        let making = paths.iter().map(|path| async move {
            if parents {
                return (path, self.make_all(path).await, false);
            }
            let made = self.share.create_dir(path).await;
            let missing = |error: &smb_client::Error| error.status() == Some(NtStatus::OBJECT_PATH_NOT_FOUND);
            let early = made.as_ref().is_err_and(missing);
            (path, made.map(drop).explain(self.source, path), early)
        });
        let mut made = stream::iter(making).buffered(AT_ONCE);
        let (mut failures, mut again) = (Vec::new(), Vec::new());
        while let Some((path, result, early)) = made.next().await {
            match result {
                // The one above may have been among those under way.
                Err(_) if early && paths.len() > 1 => again.push(path),
                result => failures.extend(result.err()),
            }
        }
        for path in again {
            failures.extend(self.share.create_dir(path).await.explain(self.source, path).err());
        }
        all_or_nothing(failures, "made")
    }

    /// Makes a directory and those above it, as far as they are not there.
    async fn make_all(&self, path: &str) -> Result<()> {
        let mut above = String::new();
        for component in path.split('/').filter(|component| !component.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(component);
            match self.share.create_dir(&above).await {
                Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_COLLISION) => {}
                result => result.map(drop).explain(self.source, &above)?,
            }
        }
        if self.metadata(&above).await?.is_dir() {
            Ok(())
        } else {
            Err(codes::WRONG_KIND
                .says(format!("{} is a file: choose another name", printable(&self.source.at(&above)))))
        }
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
            printable(&format!("//{}/{}", self.source.host, self.source.share)),
            HumanBytes(space.total).to_string(),
            HumanBytes(used).to_string(),
            HumanBytes(space.available).to_string(),
            percent
        );
        Ok(())
    }
}

fn list(lines: &[(String, Metadata)], long: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for (name, metadata) in lines {
        let name = printable(name);
        if long {
            let (kind, time) = (kind_letters(metadata), local_time(metadata.written));
            writeln!(out, "{kind} {:>15} {time} {name}", metadata.size)?;
        } else {
            writeln!(out, "{name}")?;
        }
    }
    out.flush()
}

fn list_json(lines: &[(String, Metadata)]) -> io::Result<()> {
    let entries = lines.iter().map(|(name, metadata)| as_json("name", name, metadata)).collect();
    writeln!(io::stdout().lock(), "{:#}", Value::Array(entries))
}
