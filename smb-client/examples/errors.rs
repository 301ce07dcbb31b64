//! Tells a file that is not there from a server that is not there: `errors PATH`.

mod common;

use smb_client::{Error, NtStatus};

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    match share.metadata(&common::argument(1, "PATH")?).await {
        Ok(metadata) => println!("{} bytes", metadata.size),
        Err(error) if error.status() == Some(NtStatus::OBJECT_NAME_NOT_FOUND) => println!("no such file"),
        Err(Error::Status { status, .. }) => println!("the server refuses: {status}"),
        Err(error) if error.is_connection() => println!("the server is lost: {error}"),
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
