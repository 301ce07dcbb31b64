//! Makes a file read-only and its time the start of 2001, and shows what the server says then: `attributes PATH`.

mod common;

use smb_client::{FileAttributes, FileTime, SetAttributes};

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let set = SetAttributes::default()
        .written(FileTime::from_unix(978_307_200, 0))
        .attributes(FileAttributes::READONLY);
    let metadata = share.modify(&common::argument(1, "PATH")?, None, &set).await?;
    println!("{:?} {:?}", metadata.attributes, metadata.written.to_unix());
    Ok(())
}
