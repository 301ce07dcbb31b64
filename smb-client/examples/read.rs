//! Copies a file of any size to standard output: `read PATH`.

mod common;

use std::io::Write;
use std::sync::Arc;

use smb_client::OpenOptions;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let file = Arc::new(share.open(&common::argument(1, "PATH")?, &OpenOptions::read()).await?);
    // Several requests are under way while this one is handled.
    let mut pieces = file.read_stream(0, u64::MAX);
    while let Some(piece) = pieces.next().await? {
        std::io::stdout().write_all(&piece)?;
    }
    Ok(())
}
