//! Several connections to one share: servers serve each by a process or a thread of its own.

use smb_client::{Client, ConnectOptions, Result, Share};

/// Fewer things to do than this are not worth another connection.
pub(crate) const MANY: usize = 64;
/// Connections for many things.
pub(crate) const LANES: usize = 4;

/// The share that is connected already and, for many jobs, further connections to it. A server that does not want
/// more is served by those there are.
pub(crate) async fn lanes(first: &Share, options: &ConnectOptions, jobs: usize) -> Vec<Share> {
    // Each is one of several already.
    let options = &options.clone().channels(1);
    let further = || async {
        let share = Client::connect(options).await?.share(first.name()).await?;
        share.in_manner(first.manner());
        Ok(share)
    };
    with_further(first.clone(), jobs, further).await
}

/// The same for whatever a lane is made of.
pub(crate) async fn with_further<T, F: Future<Output = Result<T>>>(
    first: T,
    jobs: usize,
    connect: impl Fn() -> F,
) -> Vec<T> {
    let wanted = if jobs < MANY { 0 } else { LANES - 1 };
    let mut lanes = vec![first];
    for result in futures::future::join_all((0..wanted).map(|_| connect())).await {
        match result {
            Ok(lane) => lanes.push(lane),
            Err(error) => tracing::info!(%error, "no further connection"),
        }
    }
    lanes
}
