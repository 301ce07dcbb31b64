//! Lists a share's root and reads each file in it: `list HOST[:PORT] SHARE USER`, the password on standard input.

use std::sync::Arc;

use smb_client::{Client, ConnectOptions, Credentials, OpenOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(host), Some(share), Some(user)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: list HOST[:PORT] SHARE USER, the password on standard input".into());
    };
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let password = password.trim_end_matches('\n').to_owned().into();
    let (host, port) = host.split_once(':').unwrap_or((&host, "445"));
    let credentials = Credentials::Password { user, domain: String::new(), password };
    let options = ConnectOptions { port: port.parse()?, ..ConnectOptions::new(host, credentials) };
    let client = Client::connect(&options).await?;
    println!("{:?}", client.info());
    let share = client.share(&share).await?;
    for entry in share.open_dir("").await?.all_entries().await? {
        let mut read = 0;
        if !entry.metadata.is_dir() {
            let file = Arc::new(share.open(&entry.name, &OpenOptions::read()).await?);
            let mut pieces = file.read_stream(0, u64::MAX);
            while let Some(piece) = pieces.next().await? {
                read += piece.len();
            }
        }
        println!("{:>12} {:>12} {}", entry.metadata.size, read, entry.name);
    }
    client.logoff().await?;
    Ok(())
}
