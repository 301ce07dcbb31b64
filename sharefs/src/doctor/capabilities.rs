//! What the share can do, tried in a folder of the doctor's own that is removed again.

use std::time::Duration;

use serde_json::json;
use smb_client::{
    Client, CreateDisposition, DurableRequest, Error, FileTime, LeaseRequest, LeaseState, LinkKind,
    LockRange, NtStatus, OpenOptions, Result, SetAttributes, Share, WatchFilter,
};
use tokio::time::timeout;

use super::bench::{Bench, random};
use super::check::{Check, Group};
use super::report::Report;
use crate::codes;

/// How long all of it may take; what is not tried by then is said so.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a notification may take.
const NOTICE: Duration = Duration::from_secs(3);
/// The longest name of most servers, and a path that is longer than some take.
const LONGEST_NAME: usize = 255;
const LONG_PATH: usize = 2000;

/// Whether the share has it, and what is to be said besides.
struct Has(bool, String);

impl Has {
    fn yes(text: impl Into<String>) -> Self {
        Self(true, text.into())
    }

    fn no(text: impl Into<String>) -> Self {
        Self(false, text.into())
    }
}

impl Bench<'_> {
    fn leased(&self, options: OpenOptions) -> OpenOptions {
        let state = LeaseState::READ | LeaseState::HANDLE | LeaseState::WRITE;
        options.lease(LeaseRequest { key: self.client.lease_key(), state, parent: None })
    }

    async fn lease(&self) -> Result<Has> {
        let file = self.share.open(&self.at("lease"), &self.leased(OpenOptions::write())).await?;
        let state = file.lease().state;
        file.close().await?;
        Ok(if state.is_empty() { Has::no("none is granted") } else { Has::yes(letters(state)) })
    }

    async fn directory_lease(&self) -> Result<Has> {
        if !self.client.info().directory_leases {
            return Ok(Has::no("the server has none"));
        }
        let dir = self.share.open_dir_with(&self.dir, &self.leased(OpenOptions::list())).await?;
        let state = dir.file().lease().state;
        dir.close().await?;
        Ok(if state.is_empty() { Has::no("none is granted") } else { Has::yes(letters(state)) })
    }

    async fn durable(&self) -> Result<Has> {
        let request = DurableRequest { guid: random(), timeout: 0 };
        let options = self.leased(OpenOptions::write()).durable(request);
        let file = self.share.open(&self.at("durable"), &options).await?;
        let durable = file.durable();
        file.close().await?;
        Ok(match durable {
            Some(durable) if durable.is_persistent() => Has::yes("persistent"),
            Some(durable) => Has::yes(format!("durable for {} s", durable.timeout() / 1000)),
            None => Has::no("none is granted"),
        })
    }

    async fn locks(&self) -> Result<Has> {
        let file = self.share.open(&self.at("lock"), &OpenOptions::write()).await?;
        let range = LockRange::exclusive(0, 10);
        file.lock(&[range], false).await?;
        file.unlock(&[range]).await?;
        file.close().await?;
        Ok(Has::yes("byte ranges are locked and unlocked"))
    }

    async fn symlinks(&self) -> Result<Has> {
        let mut kinds = Vec::new();
        for (kind, word) in [(LinkKind::File, "Windows"), (LinkKind::Nfs, "NFS"), (LinkKind::Wsl, "WSL")] {
            match self.share.symlink("lease", &self.at(&format!("link-{word}")), kind).await {
                Ok(()) => kinds.push(word),
                Err(error) if error.is_connection() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(if kinds.is_empty() {
            Has::no("none as the server's own; -o mfsymlinks keeps them as small files")
        } else {
            Has::yes(kinds.join(", "))
        })
    }

    async fn hard_links(&self) -> Result<Has> {
        self.share.write(&self.at("first"), "x").await?;
        self.share.hard_link(&self.at("first"), &self.at("second")).await?;
        Ok(Has::yes("a file may have several names"))
    }

    async fn sparse(&self) -> Result<Has> {
        let file = self.share.open(&self.at("sparse"), &OpenOptions::write()).await?;
        let end = 4 << 20;
        let made = async {
            file.set_sparse(true).await?;
            file.write_at(end, bytes::Bytes::from_static(b"x")).await?;
            file.allocated_ranges(0, end + 1).await
        };
        let ranges = made.await;
        file.close().await?;
        let data: u64 = ranges?.iter().map(|range| range.end - range.start).sum();
        Ok(if data <= end { Has::yes("holes are kept as holes") } else { Has::no("holes are written out") })
    }

    async fn streams(&self) -> Result<Has> {
        self.share.write(&self.at("streams"), "x").await?;
        self.share.streams(&self.at("streams")).await?;
        Ok(Has::yes("the server lists a file's streams"))
    }

    async fn attributes(&self) -> Result<Has> {
        let path = self.at("attributes");
        self.share.write(&path, "x").await?;
        let none = smb_client::PathLease::default();
        self.share.set_extended_attribute(&path, b"sharefs", b"probe", none).await?;
        let kept = self.share.extended_attribute(&path, b"sharefs", none).await?;
        Ok(match kept.as_deref() {
            Some(b"probe") => Has::yes("extended attributes are kept"),
            _ => Has::no("taken and not kept"),
        })
    }

    async fn copy(&self) -> Result<Has> {
        self.share.write(&self.at("from"), vec![7; 64 << 10]).await?;
        let create = CreateDisposition::Create;
        let (copied, file) =
            self.share.copy(&self.at("from"), self.share, &self.at("to"), create, drop).await?;
        file.close().await?;
        Ok(if copied.by_server {
            Has::yes("no data travels")
        } else {
            Has::no("data travels through this machine")
        })
    }

    async fn rename_over_open(&self) -> Result<Has> {
        self.share.write(&self.at("old"), "old").await?;
        self.share.write(&self.at("new"), "new").await?;
        let file = self.share.open(&self.at("old"), &OpenOptions::read()).await?;
        let renamed = self.share.rename(&self.at("new"), &self.at("old"), true).await;
        file.close().await?;
        renamed?;
        Ok(Has::yes("a file that is open can be replaced"))
    }

    async fn case(&self) -> Result<Has> {
        self.share.write(&self.at("Case"), "x").await?;
        match self.share.metadata(&self.at("cASE")).await {
            Ok(_) => Ok(Has::no("Case and cASE are one file")),
            Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_NOT_FOUND) => {
                Ok(Has::yes("Case and cASE are two files"))
            }
            Err(error) => Err(error),
        }
    }

    async fn times(&self) -> Result<Has> {
        let path = self.at("times");
        self.share.write(&path, "x").await?;
        let set = FileTime::from_unix(1_234_567_890, 123_456_700);
        let change = SetAttributes::default().written(set);
        self.share.modify(&path, None, &change).await?;
        let kept = if self.client.info().posix {
            // Samba has other answers for what is opened in this manner.
            self.share.posix_metadata(&path).await?.metadata.written
        } else {
            self.share.metadata(&path).await?.written
        };
        let off = kept.0.abs_diff(set.0);
        Ok(match off {
            0 => Has::yes("kept to 100 ns"),
            off => Has::no(format!("off by {} ns", off.saturating_mul(100))),
        })
    }

    async fn notices(&self) -> Result<Has> {
        let dir = self.share.open_dir(&self.dir).await?;
        let mut watch = dir.watch(WatchFilter::CONTENT, false)?;
        self.share.write(&self.at("noticed"), "x").await?;
        let noticed = timeout(NOTICE, watch.next()).await;
        watch.close().await?;
        Ok(match noticed {
            Ok(Some(Ok(_))) => Has::yes("the server tells of changes"),
            Ok(Some(Err(error))) => return Err(error),
            _ => Has::no("the server tells of no change"),
        })
    }

    async fn long_names(&self) -> Result<Has> {
        self.share.write(&self.at(&"n".repeat(LONGEST_NAME)), "x").await?;
        Ok(Has::yes(format!("names of {LONGEST_NAME} characters")))
    }

    async fn long_paths(&self) -> Result<Has> {
        let (mut path, mut longest) = (self.at("deep"), 0);
        while path.len() < LONG_PATH {
            match self.share.create_dir(&path).await {
                Ok(_) => longest = path.len(),
                Err(error) if error.is_connection() => return Err(error),
                Err(error) => return Ok(Has::no(format!("no more than {longest} characters: {error}"))),
            }
            path.push('/');
            path.push_str(&"d".repeat(200));
        }
        Ok(Has::yes(format!("paths of {longest} characters")))
    }

    async fn posix(&self) -> Result<Has> {
        Ok(if self.client.info().posix {
            Has::yes("modes, owners and names are kept as POSIX has them")
        } else {
            Has::no("the server has not got them")
        })
    }

    /// Writes a file and reads it back: without that nothing else is worth trying.
    async fn content(&self) -> Result<()> {
        let path = self.at("content");
        self.share.write(&path, "written by sharefs doctor").await?;
        match &self.share.read(&path).await?[..] {
            b"written by sharefs doctor" => Ok(()),
            _ => Err(Error::Malformed("what was written is not what is read")),
        }
    }

    async fn probe(&self, report: &mut Report) -> Result<()> {
        self.content().await?;
        report.add(Check::passed(Group::Capabilities, "content", "what is written is read back"));
        // Each by itself: only a connection that is lost ends the row.
        macro_rules! probes {
            ($($name:literal $probe:ident;)*) => {$(
                report.add(check($name, self.$probe().await)?);
            )*};
        }
        probes! {
            "leases" lease;
            "directory leases" directory_lease;
            "durable opens" durable;
            "locks" locks;
            "notifications" notices;
            "symbolic links" symlinks;
            "hard links" hard_links;
            "sparse files" sparse;
            "streams" streams;
            "extended attributes" attributes;
            "server copies" copy;
            "rename over open" rename_over_open;
            "case sensitive" case;
            "times" times;
            "long names" long_names;
            "long paths" long_paths;
            "POSIX extensions" posix;
        }
        Ok(())
    }
}

/// That a share lacks something is no fault.
fn check(name: &'static str, result: Result<Has>) -> Result<Check> {
    let Has(has, text) = match result {
        Ok(has) => has,
        Err(error) if error.is_connection() => return Err(error),
        Err(error) => Has::no(error.to_string()),
    };
    let word = if has { "yes" } else { "no" };
    Ok(Check::passed(Group::Capabilities, name, format!("{word}: {text}")).data(json!({ "has": has })))
}

fn letters(state: LeaseState) -> String {
    let all = [(LeaseState::READ, 'R'), (LeaseState::WRITE, 'W'), (LeaseState::HANDLE, 'H')];
    all.iter().filter(|(one, _)| state.contains(*one)).map(|(_, letter)| letter).collect()
}

/// Tries all, and removes what it made whatever happens.
pub(crate) async fn look(client: &Client, share: &Share, above: &str, report: &mut Report) {
    let bench = match Bench::make(client, share, above).await {
        Ok(bench) => bench,
        Err(error) => {
            let code = codes::of_client(&error);
            report.add(Check::failed(Group::Capabilities, "content", code, error.to_string()));
            return;
        }
    };
    match timeout(PATIENCE, bench.probe(report)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let code = codes::of_client(&error);
            report.add(Check::failed(Group::Capabilities, "content", code, error.to_string()));
        }
        Err(_) => {
            let found = format!("the rest was not tried within {} s", PATIENCE.as_secs());
            report.add(Check::warning(Group::Capabilities, "content", &codes::SERVER_SILENT, found));
        }
    }
    bench.clear(Group::Capabilities, report).await;
}
