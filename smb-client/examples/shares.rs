//! Lists a server's shares.

mod common;

use smb_client::Client;

#[tokio::main]
async fn main() -> common::Result<()> {
    let client = Client::connect(&common::options()?).await?;
    for share in client.shares().await? {
        println!("{share:?}");
    }
    client.logoff().await?;
    Ok(())
}
