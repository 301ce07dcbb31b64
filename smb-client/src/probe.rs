//! Asking a server what it would agree on.

use smb_proto::conn::{ConnectionError, Negotiated};
use smb_proto::crypto::default_provider;
use smb_proto::wire::Guid;

use crate::client::{Client, ConnectOptions};
use crate::error::{Error, Result};
use crate::link::Link;

impl Client {
    /// Negotiates as for a connection and ends it again: what the server would agree on. Nobody logs in.
    ///
    /// # Errors
    /// The server cannot be reached or used.
    pub async fn negotiate(options: &ConnectOptions) -> Result<Negotiated> {
        let socket =
            crate::resolve::connect(&options.host, options.port, options.address, options.connect_timeout)
                .await?;
        let crypto = default_provider();
        let mut guid = [0; 16];
        crypto.random(&mut guid).map_err(ConnectionError::from)?;
        let link = Link::establish(socket, options.connection_config(Guid(guid)), crypto, None);
        let link = tokio::time::timeout(options.login_timeout, link).await.map_err(|_| Error::TimedOut)??;
        Ok(link.negotiated()?)
    }
}
