//! A server 20 ms away: how much of what its credits allow is used. The relay delays, the throughput stays.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sharefs_tests::{Relay, Samba};

use crate::versus::write_login;

/// Each way.
const DELAY: Duration = Duration::from_millis(10);
/// One credit pays for this much.
const CREDIT_BYTES: f64 = 65_536.0;

/// Measures, and gives a section of the report.
pub(crate) fn run(mib: usize) -> Result<String> {
    let mut text = String::from(
        "## A server 20 ms away\n\n\
         The library over a relay that delays each way by 10 ms. Allowed is credits × 64 KiB / round trip, with the\n\
         round trip as measured, or, with all of Samba's credits, what the relay passes without a delay.\n\n\
         | case | round trip | reached | allowed | ratio |\n|---|---|---|---|---|\n",
    );
    for (credits, work) in [(128, "read"), (128, "write"), (8192, "read"), (8192, "write")] {
        let (round_trip, reached) = transfer(mib, credits, work, DELAY)?;
        let allowed = if credits == 8192 {
            transfer(mib, credits, work, Duration::ZERO)?.1
        } else {
            f64::from(credits) * CREDIT_BYTES / round_trip
        };
        let mb = |rate: f64| rate / 1e6;
        let _ = writeln!(
            text,
            "| {work}, {credits} credits | {:.1} ms | {:.0} MB/s | {:.0} MB/s | **{:.2}** |",
            round_trip * 1e3,
            mb(reached),
            mb(allowed),
            reached / allowed
        );
    }
    Ok(text)
}

/// The round trip in seconds and the rate in bytes a second.
fn transfer(mib: usize, credits: u32, work: &str, delay: Duration) -> Result<(f64, f64)> {
    let samba = Samba::builder().global("smb2 max credits", credits).start();
    let options = samba.options();
    let server = format!("{}:{}", options.host, options.port).parse().context("the server's address")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let relay = runtime.block_on(Relay::start(server));
    relay.delay(delay);
    let folder = tempfile::tempdir()?;
    let login = write_login(&samba, folder.path())?;
    fs::write(samba.share_path().join("big"), vec![1; mib << 20])?;
    let output = Command::new(std::env::current_exe()?.with_file_name("library"))
        .args([relay.address().to_string(), relay.port().to_string(), login.display().to_string()])
        .args(["signed", work, if work == "write" { "up" } else { "big" }, &mib.to_string()])
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse().ok());
    numbers.next().zip(numbers.next()).with_context(|| format!("library said {text:?}"))
}
