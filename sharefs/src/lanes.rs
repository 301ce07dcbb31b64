//! Several connections to one share: servers serve each by a process or a thread of its own.

use smb_client::{Client, ConnectOptions, Share};

/// Fewer things to do than this are not worth another connection.
pub(crate) const MANY: usize = 64;
/// Connections for many things.
pub(crate) const LANES: usize = 4;

/// The share that is connected already and, for many jobs, further connections to it. A server that does not want
/// more is served by those there are.
pub(crate) async fn lanes(first: &Share, options: &ConnectOptions, jobs: usize) -> Vec<Share> {
    let wanted = if jobs < MANY { 0 } else { LANES - 1 };
    let connecting = (0..wanted).map(|_| async { Client::connect(options).await?.share(first.name()).await });
    let mut lanes = vec![first.clone()];
    for result in futures::future::join_all(connecting).await {
        match result {
            Ok(share) => lanes.push(share),
            Err(error) => tracing::info!(%error, "no further connection"),
        }
    }
    lanes
}
