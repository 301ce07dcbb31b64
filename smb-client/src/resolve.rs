//! From a server's name to a socket.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use crate::error::{Error, Result};

/// Connects to the first address that answers; the name is resolved anew each time.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    address: Option<IpAddr>,
    patience: Duration,
) -> Result<TcpStream> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<SocketAddr> = match address {
        Some(ip) => vec![SocketAddr::new(ip, port)],
        None => lookup_host((name, port))
            .await
            .map_err(|error| Error::Resolve { host: host.into(), error: Arc::new(error) })?
            .collect(),
    };
    let mut last = Error::Resolve {
        host: host.into(),
        error: Arc::new(std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address")),
    };
    for address in addresses {
        match timeout(patience, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => {
                // Requests are written whole; waiting for more would only delay them.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                return Ok(socket);
            }
            Ok(Err(error)) => last = Error::Connect { address: address.to_string(), error: Arc::new(error) },
            Err(_) => last = Error::ConnectTimeout { address: address.to_string(), after: patience },
        }
    }
    Err(last)
}
