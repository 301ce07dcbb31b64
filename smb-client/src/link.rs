//! One TCP connection: the machine, who waits for what, and the tasks that drive it.

mod receive;
mod transmit;

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use smb_proto::auth::Authenticator;
use smb_proto::conn::{
    Chain, Connection, ConnectionConfig, ConnectionError, Event, Negotiated, Reply, RequestError,
    SessionConfig, SessionError, SharedSession, Token,
};
use smb_proto::crypto::CryptoProvider;
use smb_proto::wire::{CloseRequest, Empty, LockRequest, Request, Response, SessionFlags};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use crate::breaks::BreakQueue;
use crate::client::Activity;
use crate::error::Error;
use crate::pool::BufferPool;

type RequestResult = Result<Vec<Reply>, Failure>;
type LoginResult = Result<(u64, SessionFlags), SessionError>;

/// Why a chain has no replies.
#[derive(Debug)]
pub(crate) enum Failure {
    Request(RequestError),
    /// The requests, which may yet go one at a time.
    Unaffordable(Vec<Request>),
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Request(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Request(error) => error.into(),
            Failure::Unaffordable(_) => Self::NotEnoughCredits,
        }
    }
}

/// A connection in use. Dropping the last handle closes the socket.
pub(crate) struct Link {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    /// There may be something to send, or nothing ever again.
    transmit: Notify,
    /// The next deadline may have come nearer.
    rearm: Notify,
    /// Where large frames are received.
    pool: BufferPool,
    breaks: Arc<BreakQueue>,
}

struct State {
    machine: Connection,
    requests: HashMap<Token, oneshot::Sender<(RequestResult, Instant)>>,
    logins: HashMap<Token, oneshot::Sender<LoginResult>>,
    negotiated: Option<oneshot::Sender<Result<(), ConnectionError>>>,
    breaks: Arc<BreakQueue>,
    /// The end of this connection is the end of all leases.
    leads: bool,
    armed: Option<Instant>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.close(ConnectionError::Closed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Link {
    /// Negotiates over a connected socket. One more connection of a session has the breaks of the first.
    pub(crate) async fn establish(
        socket: TcpStream,
        config: ConnectionConfig,
        crypto: Arc<dyn CryptoProvider>,
        breaks: Option<&Arc<BreakQueue>>,
    ) -> Result<Self, ConnectionError> {
        let machine = Connection::new(config, crypto, Instant::now())?;
        let (sender, negotiated) = oneshot::channel();
        let leads = breaks.is_none();
        let breaks = breaks.cloned().unwrap_or_default();
        let state = State {
            machine,
            requests: HashMap::new(),
            logins: HashMap::new(),
            negotiated: Some(sender),
            breaks: breaks.clone(),
            leads,
            armed: None,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            transmit: Notify::new(),
            rearm: Notify::new(),
            pool: BufferPool::new(),
            breaks,
        });
        let (read, write) = socket.into_split();
        let tasks = vec![
            tokio::spawn(receive::run(shared.clone(), read)),
            tokio::spawn(transmit::run(shared.clone(), write)),
            tokio::spawn(keep_time(shared.clone())),
        ];
        let link = Self { shared, tasks };
        negotiated.await.unwrap_or(Err(ConnectionError::Closed))?;
        Ok(link)
    }

    /// Logs in.
    pub(crate) async fn authenticate(
        &self,
        authenticator: Box<dyn Authenticator>,
        config: SessionConfig,
    ) -> LoginResult {
        self.login(|machine| machine.authenticate(Instant::now(), authenticator, config)).await
    }

    /// Becomes one more connection of a session.
    pub(crate) async fn bind(
        &self,
        authenticator: Box<dyn Authenticator>,
        shared: SharedSession,
    ) -> LoginResult {
        self.login(|machine| machine.bind(Instant::now(), authenticator, shared)).await
    }

    async fn login(&self, begin: impl FnOnce(&mut Connection) -> Result<Token, SessionError>) -> LoginResult {
        let receiver = {
            let mut state = self.shared.lock();
            let token = begin(&mut state.machine)?;
            let (sender, receiver) = oneshot::channel();
            state.logins.insert(token, sender);
            self.shared.after(state);
            receiver
        };
        receiver.await.unwrap_or_else(|_| Err(ConnectionError::Closed.into()))
    }

    /// What further connections need to have part in a session.
    pub(crate) fn share_session(&self, session_id: u64) -> Option<SharedSession> {
        self.shared.lock().machine.share_session(session_id)
    }

    /// The trees of a session, and whether each must be encrypted.
    pub(crate) fn trees(&self, session_id: u64) -> Vec<(u32, bool)> {
        self.shared.lock().machine.trees(session_id)
    }

    /// Another connection of the session has connected to a tree.
    pub(crate) fn note_tree(&self, session_id: u64, tree_id: u32, encrypt: bool) {
        self.shared.lock().machine.note_tree(session_id, tree_id, encrypt);
    }

    /// Sends a chain and waits for all its replies.
    pub(crate) async fn request(&self, chain: Chain) -> RequestResult {
        self.begin(chain)?.await.0
    }

    /// Sends a chain; the result waits for its replies.
    pub(crate) fn begin(&self, chain: Chain) -> Result<Waiter, RequestError> {
        let (session_id, tree_id) = (chain.session_id, chain.tree_id);
        let lasts = |request: &Request| matches!(request, Request::ChangeNotify(_) | Request::Lock(_));
        let cancels = chain.requests.iter().any(lasts);
        let unlock = chain.unlock();
        let shared = self.shared.clone();
        let mut state = self.shared.lock();
        let token = state.machine.send(Instant::now(), chain)?;
        let (sender, receiver) = oneshot::channel();
        state.requests.insert(token, sender);
        self.shared.after(state);
        Ok(Waiter { shared, token: Some(token), receiver, session_id, tree_id, cancels, unlock })
    }

    /// Sends a chain whose replies nobody needs.
    pub(crate) fn post(&self, chain: Chain) {
        self.shared.post(chain);
    }

    /// What was agreed.
    pub(crate) fn negotiated(&self) -> Result<Negotiated, ConnectionError> {
        let state = self.shared.lock();
        match (state.machine.negotiated(), state.machine.closed()) {
            (_, Some(error)) => Err(error.clone()),
            (Some(negotiated), None) => Ok(negotiated.clone()),
            (None, None) => Err(ConnectionError::Closed),
        }
    }

    /// How many bytes one request can carry with the credits granted so far.
    pub(crate) fn credit_bytes(&self) -> u64 {
        self.shared.lock().machine.credit_bytes()
    }

    /// Gives memory back that was used to receive and is not needed at the moment.
    pub(crate) fn trim_memory(&self) {
        self.shared.pool.trim();
    }

    /// How busy the connection is.
    pub(crate) fn activity(&self) -> Activity {
        let state = self.shared.lock();
        let machine = state.machine.activity();
        Activity {
            waiting: state.requests.len() + state.logins.len(),
            in_flight: machine.waiting.max(machine.in_flight).max(machine.unsent),
            credits: machine.credits,
        }
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.shared.close(ConnectionError::Closed);
    }

    /// Why the connection is over, if it is.
    pub(crate) fn closed(&self) -> Option<ConnectionError> {
        self.shared.lock().machine.closed().cloned()
    }

    /// What the server takes back.
    pub(crate) fn breaks(&self) -> &Arc<BreakQueue> {
        &self.shared.breaks
    }

    pub(crate) fn is_encrypted(&self, session_id: u64, tree_id: u32) -> bool {
        self.shared.lock().machine.is_encrypted(session_id, tree_id)
    }
}

/// The replies to come. Dropped before, it gives the request up.
#[derive(Debug)]
pub(crate) struct Waiter {
    shared: Arc<Shared>,
    token: Option<Token>,
    receiver: oneshot::Receiver<(RequestResult, Instant)>,
    session_id: u64,
    tree_id: u32,
    /// The server may work on it for ever, unless it is told that nobody waits.
    cancels: bool,
    /// What gives back the ranges that it locks, if any.
    unlock: Option<LockRequest>,
}

impl Future for Waiter {
    /// The replies, and when they came: whoever waits may look later.
    type Output = (RequestResult, Instant);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.receiver).poll(cx));
        self.token = None;
        let closed = || Err(RequestError::Connection(ConnectionError::Closed).into());
        Poll::Ready(result.unwrap_or_else(|_| (closed(), Instant::now())))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        {
            let mut state = self.shared.lock();
            state.requests.remove(&token);
            if self.cancels {
                state.machine.cancel(token);
            }
            state.machine.abandon(token);
            self.shared.after(state);
        }
        // The answer may have come already, with nobody there to take it: then the machine is done with it.
        let Ok((Ok(replies), _)) = self.receiver.try_recv() else { return };
        let closed = replies.iter().any(|reply| matches!(reply.body, Ok(Response::Close(_))));
        for reply in replies {
            let (tree_id, request) = match (&reply.body, reply.opened()) {
                (_, Some(file_id)) if !closed => {
                    (self.tree_id, Request::Close(CloseRequest { query_attributes: false, file_id }))
                }
                (Ok(Response::Lock(_)), _) => match self.unlock.take() {
                    Some(unlock) => (self.tree_id, Request::Lock(unlock)),
                    None => continue,
                },
                (Ok(Response::TreeConnect(_)), _) => (reply.tree_id, Request::TreeDisconnect(Empty)),
                _ => continue,
            };
            self.shared.post(Chain::one(self.session_id, tree_id, request));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the other requests with it; the machine has no half-made states that
        // a later call could not bear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, chain: Chain) {
        let mut state = self.lock();
        // Not abandoned: what still waits for credits would be dropped. Nobody asks for its event.
        if let Err(error) = state.machine.send(Instant::now(), chain) {
            tracing::debug!(%error, "not sent");
        }
        self.after(state);
    }

    fn close(&self, reason: ConnectionError) {
        let mut state = self.lock();
        state.machine.close(reason);
        self.after(state);
    }

    /// Hands out what happened and wakes who must act.
    fn after(&self, mut state: MutexGuard<'_, State>) {
        while let Some(event) = state.machine.poll_event() {
            state.dispatch(event);
        }
        let next = state.machine.poll_timeout();
        let nearer = match (next, state.armed) {
            (Some(next), Some(armed)) => next < armed,
            _ => true,
        };
        drop(state);
        self.transmit.notify_one();
        if nearer {
            self.rearm.notify_one();
        }
    }
}

impl State {
    /// A receiver that is gone is no matter: its future was dropped.
    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Negotiated => {
                if let Some(sender) = self.negotiated.take() {
                    let _ = sender.send(Ok(()));
                }
            }
            Event::SessionReady { token, session_id, flags } => {
                if let Some(sender) = self.logins.remove(&token) {
                    let _ = sender.send(Ok((session_id, flags)));
                }
            }
            Event::SessionFailed { token, error } => {
                if let Some(sender) = self.logins.remove(&token) {
                    let _ = sender.send(Err(error));
                }
            }
            Event::Done { token, result } => {
                if let Some(sender) = self.requests.remove(&token) {
                    let _ = sender.send((result.map_err(Failure::Request), Instant::now()));
                }
            }
            Event::Unaffordable { token, requests } => {
                if let Some(sender) = self.requests.remove(&token) {
                    let _ = sender.send((Err(Failure::Unaffordable(requests)), Instant::now()));
                }
            }
            Event::Break(body) => {
                if let Err(error) = self.breaks.push(body) {
                    self.machine.close(error.into());
                }
            }
            Event::Closed(error) => {
                if self.leads {
                    self.breaks.end();
                }
                tracing::debug!(%error, "connection closed");
                if let Some(sender) = self.negotiated.take() {
                    let _ = sender.send(Err(error));
                }
            }
            _ => {}
        }
    }
}

async fn keep_time(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut state = shared.lock();
            if state.machine.closed().is_some() {
                return;
            }
            state.armed = state.machine.poll_timeout();
            state.armed
        };
        let Some(at) = next else { return };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {
                let mut state = shared.lock();
                state.machine.handle_timeout(Instant::now());
                shared.after(state);
            }
            () = shared.rearm.notified() => {}
        }
    }
}
