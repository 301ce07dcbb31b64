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
        match connect_to(address, patience).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Connects to one address.
pub(crate) async fn connect_to(address: SocketAddr, patience: Duration) -> Result<TcpStream> {
    match timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(socket)) => {
            // Requests are written whole; waiting for more would only delay them.
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
            Ok(socket)
        }
        Ok(Err(error)) => Err(Error::Connect { address: address.to_string(), error: Arc::new(error) }),
        Err(_) => Err(Error::ConnectTimeout { address: address.to_string(), after: patience }),
    }
}
