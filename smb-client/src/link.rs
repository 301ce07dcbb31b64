//! One TCP connection: the tasks that move bytes between a socket and the connection machine.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::BytesMut;
use smb_proto::auth::Authenticator;
use smb_proto::conn::{
    Chain, Connection, ConnectionConfig, ConnectionError, Event, Negotiated, Reply, RequestError,
    SessionConfig, SessionError, Token,
};
use smb_proto::crypto::CryptoProvider;
use smb_proto::wire::{BreakBody, CloseRequest, Request, SessionFlags, frame_length};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

type RequestResult = Result<Vec<Reply>, RequestError>;
type LoginResult = Result<(u64, SessionFlags), SessionError>;

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
}

struct State {
    machine: Connection,
    requests: HashMap<Token, oneshot::Sender<RequestResult>>,
    logins: HashMap<Token, oneshot::Sender<LoginResult>>,
    negotiated: Option<oneshot::Sender<Result<(), ConnectionError>>>,
    breaks: mpsc::UnboundedSender<BreakBody>,
    armed: Option<Instant>,
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
    /// Negotiates over a connected socket. Oplock and lease breaks go to `breaks`.
    pub(crate) async fn establish(
        socket: TcpStream,
        config: ConnectionConfig,
        crypto: Arc<dyn CryptoProvider>,
        breaks: mpsc::UnboundedSender<BreakBody>,
    ) -> Result<Self, ConnectionError> {
        let machine = Connection::new(config, crypto, Instant::now())?;
        let (sender, negotiated) = oneshot::channel();
        let state = State {
            machine,
            requests: HashMap::new(),
            logins: HashMap::new(),
            negotiated: Some(sender),
            breaks,
            armed: None,
        };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), transmit: Notify::new(), rearm: Notify::new() });
        let (read, write) = socket.into_split();
        let tasks = vec![
            tokio::spawn(receive(shared.clone(), read)),
            tokio::spawn(transmit(shared.clone(), write)),
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
        let receiver = {
            let mut state = self.shared.lock();
            let token = state.machine.authenticate(Instant::now(), authenticator, config)?;
            let (sender, receiver) = oneshot::channel();
            state.logins.insert(token, sender);
            self.shared.after(state);
            receiver
        };
        receiver.await.unwrap_or_else(|_| Err(ConnectionError::Closed.into()))
    }

    /// Sends a chain and waits for all its replies.
    pub(crate) async fn request(&self, chain: Chain) -> RequestResult {
        let mut waiter = {
            let (session_id, tree_id) = (chain.session_id, chain.tree_id);
            let closes = chain.requests.iter().any(|request| matches!(request, Request::Close(_)));
            let mut state = self.shared.lock();
            let token = state.machine.send(Instant::now(), chain)?;
            let (sender, receiver) = oneshot::channel();
            state.requests.insert(token, sender);
            self.shared.after(state);
            Waiter { link: self, token: Some(token), receiver, session_id, tree_id, closes }
        };
        let result = (&mut waiter.receiver).await;
        waiter.token = None;
        result.unwrap_or(Err(RequestError::Connection(ConnectionError::Closed)))
    }

    /// Sends a chain whose replies nobody needs.
    pub(crate) fn post(&self, chain: Chain) {
        let mut state = self.shared.lock();
        // Not abandoned: what still waits for credits would be dropped. Nobody asks for its event.
        if let Err(error) = state.machine.send(Instant::now(), chain) {
            tracing::debug!(%error, "not sent");
        }
        self.shared.after(state);
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

    /// Why the connection is over, if it is.
    pub(crate) fn closed(&self) -> Option<ConnectionError> {
        self.shared.lock().machine.closed().cloned()
    }

    pub(crate) fn is_encrypted(&self, session_id: u64, tree_id: u32) -> bool {
        self.shared.lock().machine.is_encrypted(session_id, tree_id)
    }
}

/// Gives a request up when its future is dropped.
struct Waiter<'a> {
    link: &'a Link,
    token: Option<Token>,
    receiver: oneshot::Receiver<RequestResult>,
    session_id: u64,
    tree_id: u32,
    /// The chain closes what it opens.
    closes: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let Some(token) = self.token else { return };
        {
            let shared = &self.link.shared;
            let mut state = shared.lock();
            state.requests.remove(&token);
            state.machine.abandon(token);
            shared.after(state);
        }
        // The answer may have come already, with nobody there to take it: then the machine is done with it.
        if let Ok(Ok(replies)) = self.receiver.try_recv()
            && !self.closes
            && let Some(file_id) = replies.iter().find_map(Reply::opened)
        {
            let close = Request::Close(CloseRequest { query_attributes: false, file_id });
            self.link.post(Chain::one(self.session_id, self.tree_id, close));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not take the other requests with it; the machine has no half-made states that
        // a later call could not bear.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
                    let _ = sender.send(result);
                }
            }
            Event::Break(body) => {
                let _ = self.breaks.send(body);
            }
            Event::Closed(error) => {
                tracing::debug!(%error, "connection closed");
                if let Some(sender) = self.negotiated.take() {
                    let _ = sender.send(Err(error));
                }
            }
            _ => {}
        }
    }
}

async fn receive(shared: Arc<Shared>, mut socket: OwnedReadHalf) {
    let reason = loop {
        match receive_frame(&shared, &mut socket).await {
            Ok(()) => {}
            Err(reason) => break reason,
        }
    };
    shared.close(reason);
}

async fn receive_frame(shared: &Shared, socket: &mut OwnedReadHalf) -> Result<(), ConnectionError> {
    let lost = |error: io::Error| {
        tracing::debug!(%error, "receiving failed");
        ConnectionError::Lost
    };
    let mut prefix = [0; 4];
    socket.read_exact(&mut prefix).await.map_err(lost)?;
    let length = frame_length(prefix)?;
    let limit = shared.lock().machine.max_frame();
    if length > limit {
        return Err(smb_proto::conn::PeerMisbehaved::FrameTooLarge(length).into());
    }
    let mut frame = BytesMut::with_capacity(length);
    let mut rest = socket.take(length as u64);
    while frame.len() < length {
        if rest.read_buf(&mut frame).await.map_err(lost)? == 0 {
            return Err(ConnectionError::Lost);
        }
        if frame.len() < length {
            shared.lock().machine.note_progress(Instant::now());
        }
    }
    let inbound = shared.lock().machine.accept(frame)?;
    let opened = inbound.open()?;
    let mut state = shared.lock();
    state.machine.handle(Instant::now(), opened);
    let closed = state.machine.closed().cloned();
    shared.after(state);
    closed.map_or(Ok(()), Err)
}

async fn transmit(shared: Arc<Shared>, mut socket: OwnedWriteHalf) {
    loop {
        let (outbound, closed) = {
            let mut state = shared.lock();
            (state.machine.poll_transmit(), state.machine.closed().is_some())
        };
        let Some(outbound) = outbound else {
            if closed {
                let _ = socket.shutdown().await;
                return;
            }
            shared.transmit.notified().await;
            continue;
        };
        let frame = match outbound.seal() {
            Ok(frame) => frame,
            Err(error) => return shared.close(error),
        };
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match socket.write(rest).await {
                Ok(sent) if sent > 0 => rest = &rest[sent..],
                result => {
                    tracing::debug!(?result, "sending failed");
                    return shared.close(ConnectionError::Lost);
                }
            }
            if !rest.is_empty() {
                shared.lock().machine.note_progress(Instant::now());
            }
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
