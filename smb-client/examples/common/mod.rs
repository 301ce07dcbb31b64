//! Where the examples connect to: `SMB_HOST` (host or host:port), `SMB_SHARE`, `SMB_USER`, `SMB_PASSWORD`.
#![allow(dead_code)] // no example needs all of it

use std::env;
use std::error::Error;

use smb_client::{Client, ConnectOptions, Credentials, Share};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Server and login, as the environment says.
pub(crate) fn options() -> Result<ConnectOptions> {
    let host = env::var("SMB_HOST").map_err(|_| "set SMB_HOST, SMB_SHARE, SMB_USER and SMB_PASSWORD")?;
    let (host, port) = host.split_once(':').unwrap_or((&host, "445"));
    let credentials = Credentials::password(&env::var("SMB_USER")?, env::var("SMB_PASSWORD")?);
    Ok(ConnectOptions::new(host, credentials).port(port.parse()?))
}

/// The share, connected.
pub(crate) async fn share() -> Result<Share> {
    let client = Client::connect(&options()?).await?;
    Ok(client.share(&env::var("SMB_SHARE")?).await?)
}

/// An argument of the command line.
pub(crate) fn argument(number: usize, name: &str) -> Result<String> {
    env::args().nth(number).ok_or_else(|| format!("argument {number} is missing: {name}").into())
}
