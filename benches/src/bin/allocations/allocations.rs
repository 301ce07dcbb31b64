//! What requests cost in allocations: how many, and how many bytes, of all threads together, against a throw-away
//! Samba on this machine.

use std::alloc::System;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{Client, CreateDisposition, OpenOptions};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TIMES: usize = 2000;
const FILE: usize = 64 << 20;
const PIECE: usize = 1 << 20;

#[tokio::main]
pub(crate) async fn run() -> Result<()> {
    println!("{:<24} {:>12} {:>14} {:>14}", "request", "allocations", "reallocations", "bytes");
    for (name, encrypt) in [("signed", false), ("encrypted", true)] {
        println!("-- {name}");
        measure(encrypt).await?;
    }
    Ok(())
}

/// Does something some times, and prints what one time took.
macro_rules! each {
    ($name:expr, $times:expr, $what:expr) => {{
        // Pools and tables have their size after this.
        for _ in 0..$times / 10 {
            $what;
        }
        let region = Region::new(COUNTED);
        for _ in 0..$times {
            $what;
        }
        print($name, &region, $times);
    }};
}

async fn measure(encrypt: bool) -> Result<()> {
    let samba = Samba::start();
    std::fs::write(samba.share_path().join("file"), Content::new(1).bytes(FILE))?;
    let client = Client::connect(&samba.options().encrypt(encrypt)).await?;
    let share = client.share("data").await?;
    let options = OpenOptions::write().disposition(CreateDisposition::OverwriteIf);
    let target = share.open("target", &options).await?;
    let file = Arc::new(share.open("file", &OpenOptions::read()).await?);
    let (small, large) = (Bytes::from(vec![1; 4 << 10]), Bytes::from(vec![1; 64 << 10]));

    each!("read_at 4 KiB", TIMES, ensure!(file.read_at(4096, 4 << 10).await?.len() == 4 << 10));
    each!("read_at 64 KiB", TIMES, ensure!(file.read_at(4096, 64 << 10).await?.len() == 64 << 10));
    each!("write_at 4 KiB", TIMES, target.write_at(4096, small.clone()).await?);
    each!("write_at 64 KiB", TIMES, target.write_at(4096, large.clone()).await?);
    each!("metadata of a path", TIMES, ensure!(share.metadata("file").await?.size == FILE as u64));
    each!("metadata of a file", TIMES, ensure!(file.metadata().await?.size == FILE as u64));

    let pieces = FILE / PIECE;
    for measured in [false, true] {
        let region = Region::new(COUNTED);
        let mut stream = file.read_stream(0, FILE as u64);
        let (mut count, mut length) = (0, 0);
        while let Some(piece) = stream.next().await? {
            count += 1;
            length += piece.len();
        }
        ensure!(length == FILE, "{length} bytes instead of {FILE}");
        if measured {
            print(&format!("read_stream, {} KiB", FILE / count / 1024), &region, count);
        }
    }
    let mut stream = Arc::new(target).write_stream(0);
    let piece = Bytes::from(vec![2; PIECE]);
    let region = Region::new(COUNTED);
    for _ in 0..pieces {
        stream.write(piece.clone()).await?;
    }
    stream.finish().await?;
    print("write_stream, a MiB", &region, pieces);
    Ok(())
}

fn print(name: &str, region: &Region<'_, System>, times: usize) {
    let stats = region.change();
    let each = |count: usize| count as f64 / times as f64;
    println!(
        "{name:<24} {:>12.2} {:>14.2} {:>14.0}",
        each(stats.allocations),
        each(stats.reallocations),
        each(stats.bytes_allocated)
    );
}
