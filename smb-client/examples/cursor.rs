//! Any code for tokio's `AsyncRead`, `AsyncWrite` and `AsyncSeek` works on a file: counts the lines of a file,
//! then appends how many there are: `cursor PATH`.

mod common;

use std::io::SeekFrom;
use std::sync::Arc;

use smb_client::OpenOptions;
use tokio::io::{AsyncBufReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let file = Arc::new(share.open(&common::argument(1, "PATH")?, &OpenOptions::write()).await?);
    let mut lines = BufReader::new(file.cursor()).lines();
    let mut count = 0;
    while lines.next_line().await?.is_some() {
        count += 1;
    }
    println!("{count} lines");
    let mut cursor = file.cursor();
    cursor.seek(SeekFrom::End(0)).await?;
    cursor.write_all(format!("{count} lines above\n").as_bytes()).await?;
    cursor.flush().await?;
    file.close().await?;
    Ok(())
}
