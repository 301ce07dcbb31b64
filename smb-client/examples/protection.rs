//! Insists on SMB 3.1.1 and AES-256-GCM, and shows what was agreed.

mod common;

use smb_client::{Cipher, Client, Dialect};

#[tokio::main]
async fn main() -> common::Result<()> {
    let options = common::options()?
        .dialects(Dialect::Smb311, Dialect::Smb311)
        .ciphers([Cipher::Aes256Gcm])
        .encrypt(true);
    let client = Client::connect(&options).await?;
    println!("{:?}", client.info());
    client.logoff().await?;
    Ok(())
}
