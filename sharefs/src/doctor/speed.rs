//! A short run that tells how fast the share is from here. It judges nothing: who knows the network does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use smb_client::{Client, OpenOptions, Result, Share};
use tokio::time::timeout;

use super::bench::Bench;
use super::check::{Check, Group};
use super::report::Report;
use crate::codes;

/// How long each part may take.
const PATIENCE: Duration = Duration::from_secs(20);
const ROUND_TRIPS: usize = 20;
const SMALL_FILES: usize = 20;
const LARGE: usize = 16 << 20;

/// Measures round trips, and with `writes` also files that it makes and removes.
pub(crate) async fn look(client: &Client, share: &Share, path: &str, writes: bool, report: &mut Report) {
    add(report, "round trip", timeout(PATIENCE, round_trips(share, path)).await);
    if !writes {
        report.add(Check::skipped(Group::Speed, "files", "only with --write-probe"));
        return;
    }
    let bench = match Bench::make(client, share, path).await {
        Ok(bench) => bench,
        Err(error) => {
            let code = codes::of_client(&error);
            report.add(Check::warning(Group::Speed, "files", code, error.to_string()));
            return;
        }
    };
    add(report, "files", timeout(PATIENCE, small_files(&bench)).await);
    add(report, "data", timeout(PATIENCE, data(&bench)).await);
    bench.clear(Group::Speed, report).await;
}

type Timed = std::result::Result<Result<Check>, tokio::time::error::Elapsed>;

fn add(report: &mut Report, name: &'static str, timed: Timed) {
    report.add(match timed {
        Ok(Ok(check)) => check,
        Ok(Err(error)) => Check::warning(Group::Speed, name, codes::of_client(&error), error.to_string()),
        Err(_) => {
            let found = format!("not done within {} s", PATIENCE.as_secs());
            Check::warning(Group::Speed, name, &codes::SERVER_SILENT, found)
        }
    });
}

async fn round_trips(share: &Share, path: &str) -> Result<Check> {
    let mut times = Vec::with_capacity(ROUND_TRIPS);
    for _ in 0..ROUND_TRIPS {
        let begin = Instant::now();
        share.metadata(path).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median = times[ROUND_TRIPS / 2];
    let found = format!("{median:.2} ms to ask for a file's metadata, in the median of {ROUND_TRIPS}");
    Ok(Check::passed(Group::Speed, "round trip", found).data(json!({ "milliseconds": median })))
}

async fn small_files(bench: &Bench<'_>) -> Result<Check> {
    let begin = Instant::now();
    for number in 0..SMALL_FILES {
        bench.share.write(&bench.at(&format!("small-{number}")), vec![7; 4096]).await?;
    }
    let made = rate(SMALL_FILES as f64, begin);
    let begin = Instant::now();
    for number in 0..SMALL_FILES {
        bench.share.read(&bench.at(&format!("small-{number}"))).await?;
    }
    let read = rate(SMALL_FILES as f64, begin);
    let found = format!("{made:.0} files of 4 KiB made, {read:.0} read in a second, one after the other");
    Ok(Check::passed(Group::Speed, "files", found)
        .data(json!({ "made_per_second": made, "read_per_second": read })))
}

async fn data(bench: &Bench<'_>) -> Result<Check> {
    let path = bench.at("large");
    let begin = Instant::now();
    bench.share.write(&path, Bytes::from(vec![7; LARGE])).await?;
    let file = Arc::new(bench.share.open(&path, &OpenOptions::write()).await?);
    file.flush().await?;
    file.close().await?;
    let mebibytes = (LARGE >> 20) as f64;
    let written = rate(mebibytes, begin);
    let begin = Instant::now();
    bench.share.read(&path).await?;
    let read = rate(mebibytes, begin);
    let found =
        format!("{written:.0} MiB/s written, {read:.0} MiB/s read, of one file of {mebibytes:.0} MiB");
    let data = json!({ "written_mib_per_second": written, "read_mib_per_second": read });
    Ok(Check::passed(Group::Speed, "data", found).data(data))
}

fn rate(count: f64, begin: Instant) -> f64 {
    count / begin.elapsed().as_secs_f64().max(1e-6)
}
