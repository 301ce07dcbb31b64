//! Several connections of one session: what is read and written goes by whichever has least to do.
//!
//! All else stays on the first connection, whose end is the session's end for this client. A further one that is lost
//! costs its requests a second attempt, and is replaced.

use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use smb_proto::conn::ConnectionError;
use smb_proto::crypto::CryptoProvider;
use smb_proto::wire::{Capabilities, Dialect};
use tokio::sync::Notify;

use crate::client::{ClientInner, ConnectOptions};
use crate::error::{Error, Result};
use crate::interfaces;
use crate::link::Link;
use crate::routes::Routes;

/// How often a connection that was lost is tried for again.
const REPLACE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the server is asked for its interfaces while all is well ([MS-SMB2] 3.2.4.20.10 leaves it to the client).
const ASK_INTERVAL: Duration = Duration::from_secs(600);
/// How long an address may take to answer that is one of several.
const PATIENCE: Duration = Duration::from_secs(3);
/// So many reads and writes under way at once make it worth asking the server whether it can do with more connections.
const BUSY: usize = 4;

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

/// One of them, and where it leads.
#[derive(Clone, Debug)]
struct Channel {
    link: Arc<Link>,
    address: SocketAddr,
}

/// The connections of a session besides its first.
#[derive(Debug)]
pub(crate) struct Channels {
    all: RwLock<Vec<Channel>>,
    /// Nobody has asked yet whether there should be any.
    undecided: AtomicBool,
    /// There is work for several, or the session is over.
    busy: Arc<Notify>,
}

impl Drop for Channels {
    fn drop(&mut self) {
        self.busy.notify_one();
    }
}

impl Channels {
    /// None so far. `undecided`: there are to be some when there is work for them, if the server advises it.
    pub(crate) fn new(undecided: bool) -> Self {
        Self { all: RwLock::default(), undecided: undecided.into(), busy: Arc::default() }
    }

    fn all(&self) -> Vec<Channel> {
        self.all.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The one for a read or write, if it is not for the first connection.
    pub(crate) fn for_work(&self, first: &Link) -> Option<Arc<Link>> {
        if self.undecided.load(Ordering::Relaxed) && first.activity().in_flight >= BUSY {
            self.undecided.store(false, Ordering::Relaxed);
            self.busy.notify_one();
        }
        self.idlest(first)
    }

    /// The one with least to do, if it has less to do than the first connection.
    fn idlest(&self, first: &Link) -> Option<Arc<Link>> {
        let all = self.all.read().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return None;
        }
        let busy = |link: &Link| link.activity().in_flight;
        let least = &all.iter().min_by_key(|channel| busy(&channel.link))?.link;
        (least.closed().is_none() && busy(least) < busy(first)).then(|| least.clone())
    }

    /// Ends them all.
    pub(crate) fn close(&self) {
        self.all().iter().for_each(|channel| channel.link.close());
    }

    /// Takes out one that is lost; false if somebody has already.
    pub(crate) fn lose(&self, lost: &Arc<Link>) -> bool {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|channel| !Arc::ptr_eq(&channel.link, lost));
        all.len() < before
    }

    /// A share has been connected to.
    pub(crate) fn note_tree(&self, session_id: u64, tree_id: u32, encrypt: bool) {
        self.all().iter().for_each(|channel| channel.link.note_tree(session_id, tree_id, encrypt));
    }

    /// One more, which learns of the shares that were connected to while it logged in.
    fn add(&self, link: Link, address: SocketAddr, client: &ClientInner) {
        let mut all = self.all.write().unwrap_or_else(PoisonError::into_inner);
        for (tree_id, encrypt) in client.link.trees(client.session_id) {
            link.note_tree(client.session_id, tree_id, encrypt);
        }
        if client.link.closed().is_some() {
            link.close();
        }
        all.push(Channel { link: Arc::new(link), address });
    }
}

/// Keeps as many connections to the server as are wanted, for as long as the client lives.
pub(crate) async fn keep(
    client: Weak<ClientInner>,
    options: ConnectOptions,
    crypto: Arc<dyn CryptoProvider>,
) {
    if options.channels.is_none() {
        let Some(busy) = client.upgrade().map(|inner| inner.channels.busy.clone()) else { return };
        busy.notified().await;
    }
    let mut routes: Option<(Routes, Instant)> = None;
    loop {
        let Some(inner) = client.upgrade() else { return };
        if inner.link.closed().is_some() {
            return;
        }
        // Those that nobody used when they were lost.
        let all = inner.channels.all();
        let lost: Vec<_> = all.iter().filter(|channel| channel.link.closed().is_some()).collect();
        lost.iter().for_each(|channel| inner.lost_channel(&channel.link));
        if routes.as_ref().is_none_or(|(_, asked)| asked.elapsed() > ASK_INTERVAL || !lost.is_empty()) {
            routes = Some((ask(&inner, &options).await, Instant::now()));
        }
        if let Some((routes, _)) = &mut routes {
            let wanted = options.channels.map_or_else(|| routes.advised(cores()), usize::from);
            if wanted <= 1 {
                return;
            }
            fill(&inner, &options, &crypto, routes, wanted).await;
        }
        drop(inner);
        tokio::time::sleep(REPLACE_INTERVAL).await;
    }
}

/// What the server says of its addresses. One that says nothing is as one that has no other than that which is in use.
async fn ask(client: &Arc<ClientInner>, options: &ConnectOptions) -> Routes {
    let said = match interfaces::ask(client).await {
        Ok(said) => said,
        Err(error) => {
            tracing::debug!(%error, "the server does not tell its interfaces");
            Vec::new()
        }
    };
    Routes::new(client.peer, options.address.is_some(), &said)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Makes connections until there are as many as are wanted, or none can be made.
async fn fill(
    client: &ClientInner,
    options: &ConnectOptions,
    crypto: &Arc<dyn CryptoProvider>,
    routes: &mut Routes,
    wanted: usize,
) {
    loop {
        let mut used = vec![client.peer];
        used.extend(client.channels.all().iter().map(|channel| channel.address));
        if used.len() >= wanted {
            return;
        }
        let address = routes.next(&used);
        match connect(client, options, crypto, address).await {
            Ok(link) => client.channels.add(link, address, client),
            Err(error) => {
                tracing::debug!(%error, %address, "no further connection");
                if address == client.peer {
                    return;
                }
                routes.strike_out(address);
            }
        }
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
    address: SocketAddr,
) -> Result<Link> {
    let shared = client.link.share_session(client.session_id);
    let shared = shared.ok_or(Error::Connection(ConnectionError::Closed))?;
    let socket = crate::resolve::connect_to(address, options.connect_timeout.min(PATIENCE)).await?;
    let authenticator = options.authenticator(crypto)?;
    let config = options.connection_config(client.client_guid);
    let login = async {
        let link = Link::establish(socket, config, crypto.clone(), Some(client.link.breaks())).await?;
        link.bind(authenticator, shared).await?;
        Ok::<_, Error>(link)
    };
    let began = Instant::now();
    let link = tokio::time::timeout(options.login_timeout, login).await.map_err(|_| Error::TimedOut)??;
    tracing::debug!(elapsed = ?began.elapsed(), %address, "one more connection of the session");
    Ok(link)
}
