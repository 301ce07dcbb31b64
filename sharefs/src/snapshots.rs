//! `snapshots`: which earlier states there are of a share.

use std::io::{self, Write};

use anyhow::Result;
use serde_json::json;
use smb_client::{Share, Snapshot};

use crate::connect::Explain;
use crate::show::{local_time, printable, unless_broken_pipe};
use crate::source::Source;

/// Lists the earlier states of what the source names.
pub(crate) async fn snapshots(share: &Share, source: &Source, as_json: bool) -> Result<()> {
    let snapshots = share.snapshots(&source.path).await.explain(source, &source.path)?;
    show(&snapshots, as_json).or_else(unless_broken_pipe)
}

fn show(snapshots: &[Snapshot], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let all: Vec<_> = snapshots
            .iter()
            .map(|snapshot| json!({ "token": snapshot.token, "time": local_time(snapshot.time) }))
            .collect();
        return writeln!(out, "{:#}", json!(all));
    }
    for snapshot in snapshots {
        writeln!(out, "{}", printable(&snapshot.token))?;
    }
    Ok(())
}
