//! `shares`: what a server has to offer.

use std::io::{self, Write};

use anyhow::Result;
use serde_json::json;
use smb_client::{Client, ShareInfo, ShareKind};

use crate::connect::explain;
use crate::show::{printable, unless_broken_pipe};
use crate::source::Source;

/// Lists the shares of a server.
pub(crate) async fn shares(source: &Source, client: &Client, as_json: bool) -> Result<()> {
    let mut shares = client.shares().await.map_err(|error| explain(source, error))?;
    shares.sort_by(|a, b| a.name.cmp(&b.name));
    show(&shares, as_json).or_else(unless_broken_pipe)
}

fn show(shares: &[ShareInfo], as_json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if as_json {
        let shares: Vec<_> = shares
            .iter()
            .map(|share| {
                json!({
                    "name": share.name,
                    "kind": kind(share.kind),
                    "special": share.kind.is_special(),
                    "remark": share.remark,
                })
            })
            .collect();
        return writeln!(out, "{:#}", json!(shares));
    }
    let width = shares.iter().map(|share| share.name.chars().count()).max().unwrap_or(0).max(5);
    writeln!(out, "{:<width$}  {:<7}  Remark", "Share", "Kind")?;
    for share in shares {
        let (name, remark) = (printable(&share.name), printable(&share.remark));
        writeln!(out, "{name:<width$}  {:<7}  {remark}", kind(share.kind))?;
    }
    Ok(())
}

const fn kind(kind: ShareKind) -> &'static str {
    match kind.base() {
        ShareKind::DISK | ShareKind::CLUSTER_FS | ShareKind::CLUSTER_SOFS | ShareKind::CLUSTER_DFS => "disk",
        ShareKind::PRINT => "printer",
        ShareKind::DEVICE => "device",
        ShareKind::IPC => "pipes",
        _ => "other",
    }
}
