//! Several connections of one session: what is read and written goes by whichever has least to do.
//!
//! All else stays on the first connection, whose end is the session's end for this client. A further one that is lost
//! costs its requests a second attempt, and is replaced.

use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use smb_proto::conn::ConnectionError;
use smb_proto::crypto::CryptoProvider;
use smb_proto::wire::{Capabilities, Dialect};

use crate::client::{ClientInner, ConnectOptions};
use crate::error::{Error, Result};
use crate::link::Link;

/// How often a connection that was lost is tried for again.
const REPLACE_INTERVAL: Duration = Duration::from_secs(5);

/// How often one of several connections was lost ([MS-SMB2] 3.2.1.3), counted on in the session that takes this one's place,
/// and by both while they overlap: what either sends with a higher number makes the server refuse the other's lower.
#[derive(Clone, Debug, Default)]
pub(crate) struct ChannelSequence(Arc<AtomicU16>);

impl ChannelSequence {
    pub(crate) fn get(&self) -> u16 {
        self.0.load(Ordering::Acquire)
    }

    /// One was lost.
    pub(crate) fn advance(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The connections of a session besides its first.
#[derive(Debug, Default)]
pub(crate) struct Channels(RwLock<Vec<Arc<Link>>>);

impl Channels {
    fn all(&self) -> Vec<Arc<Link>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The one with least to do, if it has less to do than the first connection.
    pub(crate) fn idlest(&self, first: &Link) -> Option<Arc<Link>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let busy = |link: &Link| link.activity().in_flight;
        let least = all.iter().min_by_key(|link| busy(link))?;
        (least.closed().is_none() && busy(least) < busy(first)).then(|| least.clone())
    }

    /// Ends them all.
    pub(crate) fn close(&self) {
        self.all().iter().for_each(|link| link.close());
    }

    /// Takes out one that is lost; false if somebody has already.
    pub(crate) fn lose(&self, lost: &Arc<Link>) -> bool {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|link| !Arc::ptr_eq(link, lost));
        all.len() < before
    }

    /// A share has been connected to.
    pub(crate) fn note_tree(&self, session_id: u64, tree_id: u32, encrypt: bool) {
        self.all().iter().for_each(|link| link.note_tree(session_id, tree_id, encrypt));
    }

    /// One more, which learns of the shares that were connected to while it logged in.
    fn add(&self, link: Link, client: &ClientInner) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (tree_id, encrypt) in client.link.trees(client.session_id) {
            link.note_tree(client.session_id, tree_id, encrypt);
        }
        if client.link.closed().is_some() {
            link.close();
        }
        all.push(Arc::new(link));
    }
}

/// Keeps as many connections to the server as are wanted, for as long as the client lives.
pub(crate) async fn keep(
    client: Weak<ClientInner>,
    options: ConnectOptions,
    crypto: Arc<dyn CryptoProvider>,
) {
    loop {
        let Some(inner) = client.upgrade() else { return };
        if inner.link.closed().is_some() {
            return;
        }
        // Those that nobody used when they were lost.
        for link in inner.channels.all().iter().filter(|link| link.closed().is_some()) {
            inner.lost_channel(link);
        }
        while inner.channels.len() + 1 < usize::from(options.channels) {
            match connect(&inner, &options, &crypto).await {
                Ok(link) => inner.channels.add(link, &inner),
                Err(error) => {
                    tracing::debug!(%error, "no further connection");
                    break;
                }
            }
        }
        drop(inner);
        tokio::time::sleep(REPLACE_INTERVAL).await;
    }
}

/// Whether a server has several connections for a session.
pub(crate) fn are_possible(capabilities: Capabilities, dialect: Dialect) -> bool {
    dialect >= Dialect::Smb300 && capabilities.contains(Capabilities::MULTI_CHANNEL)
}

async fn connect(
    client: &ClientInner,
    options: &ConnectOptions,
    crypto: &Arc<dyn CryptoProvider>,
) -> Result<Link> {
    let shared = client.link.share_session(client.session_id);
    let shared = shared.ok_or(Error::Connection(ConnectionError::Closed))?;
    let peer = client.peer;
    let socket =
        crate::resolve::connect(&options.host, peer.port(), Some(peer.ip()), options.connect_timeout).await?;
    let authenticator = options.authenticator(crypto)?;
    let config = options.connection_config(client.client_guid);
    let login = async {
        let link = Link::establish(socket, config, crypto.clone(), Some(client.link.breaks())).await?;
        link.bind(authenticator, shared).await?;
        Ok::<_, Error>(link)
    };
    let began = Instant::now();
    let link = tokio::time::timeout(options.login_timeout, login).await.map_err(|_| Error::TimedOut)??;
    tracing::debug!(elapsed = ?began.elapsed(), "one more connection of the session");
    Ok(link)
}
