//! Copies a file on the server, without its bytes coming here: `copy FROM TO`.

mod common;

use smb_client::CreateDisposition;

#[tokio::main]
async fn main() -> common::Result<()> {
    let share = common::share().await?;
    let (from, to) = (common::argument(1, "FROM")?, common::argument(2, "TO")?);
    let copied = share.copy(&from, &share, &to, CreateDisposition::OverwriteIf, |_| ()).await?;
    println!("{copied:?}");
    Ok(())
}
