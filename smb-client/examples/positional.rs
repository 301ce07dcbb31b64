//! Changes four bytes in the middle of a file and reads them back: `positional PATH`.

mod common;

use bytes::Bytes;
use smb_client::OpenOptions;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let file = share.open(&common::argument(1, "PATH")?, &OpenOptions::write()).await?;
    let middle = file.metadata().await?.size / 2;
    file.write_at(middle, Bytes::from_static(b"here")).await?;
    println!("{:?} at {middle}", file.read_at(middle, 4).await?);
    file.close().await?;
    Ok(())
}
