//! `smb-client` as an embedder uses it: reads a file and drops the bytes, or writes one from memory.
//!
//! `library HOST PORT LOGIN plain|signed|sealed read|write FILE MIB`; measured from outside by `versus`. Prints
//! the round trip in seconds and the rate in bytes a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use smb_client::{Client, ConnectOptions, CreateDisposition, Credentials, OpenOptions, Share};

const PIECE: usize = 1 << 20;

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, login, protection, work, name, mib] = &args[..] else {
        bail!("usage: library HOST PORT LOGIN plain|signed|sealed read|write FILE MIB");
    };
    let login = std::fs::read_to_string(login)?;
    let field = |key: &str| {
        let line = login.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(str::to_owned).with_context(|| format!("no {key} in the login"))
    };
    let credentials = Credentials::Password {
        user: field("username")?,
        domain: field("domain")?,
        password: field("password")?.into(),
    };
    let mut options = ConnectOptions::new(host.as_str(), credentials);
    options.port = port.parse()?;
    options.sign = protection != "plain";
    options.encrypt = protection == "sealed";
    let client = Client::connect(&options).await?;
    let share = client.share("data").await?;
    let round_trip = round_trip(&share).await?;
    let expected = mib.parse::<u64>()? << 20;
    let begin = Instant::now();
    if work == "read" {
        let file = Arc::new(share.open(name, &OpenOptions::read()).await?);
        let mut pieces = file.read_stream(0, expected);
        let mut got = 0;
        while let Some(piece) = pieces.next().await? {
            got += piece.len() as u64;
        }
        ensure!(got == expected, "{got} bytes instead of {expected}");
    } else {
        let options = OpenOptions::write().disposition(CreateDisposition::OverwriteIf);
        let file = Arc::new(share.open(name, &options).await?);
        let piece = Bytes::from(vec![0x5A; PIECE]);
        let mut pieces = file.write_stream(0);
        for _ in 0..expected / PIECE as u64 {
            pieces.write(piece.clone()).await?;
        }
        pieces.finish().await?;
        file.close().await?;
    }
    let rate = expected as f64 / begin.elapsed().as_secs_f64();
    println!("{} {rate}", round_trip.as_secs_f64());
    client.logoff().await?;
    Ok(())
}

/// The median of requests that move nothing.
async fn round_trip(share: &Share) -> Result<Duration> {
    let mut times = [Duration::ZERO; 15];
    for time in &mut times {
        let begin = Instant::now();
        share.space().await?;
        *time = begin.elapsed();
    }
    times.sort();
    Ok(times[times.len() / 2])
}
