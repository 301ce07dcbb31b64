//! A connection as a state machine, without I/O and without a clock.
//!
//! Whoever drives a [`Connection`] does this, in any order:
//!
//! - give it each received frame: [`Connection::accept`] finds the keys, [`Inbound::open`] does the
//!   cryptography (on any thread), [`Connection::handle`] takes the result;
//! - take what it wants sent: [`Connection::poll_transmit`], then [`Outbound::seal`] (on any thread);
//! - take what happened: [`Connection::poll_event`];
//! - call [`Connection::handle_timeout`] at [`Connection::poll_timeout`].
//!
//! Message ids, credits, pending replies, compounds, which key protects what, the preauthentication hash and the
//! validation of the negotiation are settled in here. A chain waits in a queue until its credits are there. A
//! reply is taken only with the protection that its request had.

mod activity;
mod clock;
mod config;
mod credits;
mod error;
mod frame;
mod inbound;
mod negotiation;
mod request;
mod session;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

pub use activity::Activity;
pub use config::{ConnectionConfig, SessionConfig};
pub use error::{ConnectionError, PeerIncompatible, PeerMisbehaved, RequestError, SessionError};
pub use frame::{Inbound, Opened, Outbound, PREFIX_LEN, Protection, SealedFrame};
pub use negotiation::Negotiated;
pub use request::{Chain, Event, Reply, Token};
pub use session::SharedSession;

use crate::auth::Authenticator;
use crate::crypto::{CryptoProvider, PreauthHash};
use crate::wire::{
    Capabilities, CloseRequest, Command, Dialect, Empty, FileId, Header, HeaderFlags, LockRequest, Request,
    Route, SessionSetupFlags, SessionSetupRequest,
};
use clock::Deadlines;
use credits::Credits;
use frame::OutboundKey;
use session::{Login, Session};

/// Room in a frame beside its payload: headers, names, contexts, other members of a chain.
const FRAME_SLACK: usize = 1 << 17;

/// How many sent frames' buffers to keep, and how large at most: an encrypted write of the largest usual size.
const SPARE_BUFFERS: usize = 16;
const SPARE_BYTES: usize = (1 << 20) + FRAME_SLACK;

/// One transport connection to a server.
pub struct Connection {
    config: ConnectionConfig,
    crypto: Arc<dyn CryptoProvider>,
    negotiated: Option<Negotiated>,
    preauth: PreauthHash,
    /// Whether VALIDATE_NEGOTIATE_INFO has confirmed the negotiation, or need not.
    validated: bool,
    closed: Option<ConnectionError>,
    credits: Credits,
    next_token: u64,
    queue: VecDeque<Queued>,
    pending: HashMap<u64, Pending>,
    /// How many of `pending` have no interim response.
    unanswered: usize,
    chains: HashMap<Token, Waiting>,
    deadlines: Deadlines,
    logins: HashMap<Token, Login>,
    sessions: HashMap<u64, Session>,
    out: VecDeque<Outbound>,
    /// Buffers of frames that were sent, for those to come.
    spare: Vec<Vec<u8>>,
    events: VecDeque<Event>,
    /// Since when an answer has been due: the last frame received, or the first sent after that.
    silent_since: Option<Instant>,
    last_activity: Instant,
    echo_pending: bool,
    /// An ECHO has been sent to bring credits for the front of the queue.
    probed: bool,
}

/// Who gets the replies of a chain.
#[derive(Clone, Debug)]
enum Purpose {
    Negotiate,
    Login,
    Caller,
    /// VALIDATE_NEGOTIATE_INFO; the caller's tree connect waits for it.
    Validate {
        held: Token,
        replies: Vec<Reply>,
    },
    /// ECHO, which asks whether the server lives, or for credits.
    Echo,
    /// The end of an open or a tree connect that nobody waited for.
    Housekeeping,
}

/// A chain that waits for credits.
struct Queued {
    token: Token,
    session_id: u64,
    tree_id: u32,
    requests: Vec<Request>,
    channel_sequence: u16,
    replay: bool,
}

/// A message that waits for its reply.
struct Pending {
    token: Token,
    index: usize,
    command: Command,
    charge: u16,
    signed: bool,
    encrypted: bool,
    session_id: u64,
    tree_id: u32,
    async_id: Option<u64>,
    interims: u32,
    cancelled: bool,
}

/// A chain that waits for replies.
struct Waiting {
    purpose: Purpose,
    replies: Vec<Option<Reply>>,
    malformed: Option<crate::wire::DecodeError>,
    deadline: Option<Instant>,
    /// Nobody wants the replies any more; what they opened is closed again.
    abandoned: bool,
    /// Which of the chain's requests is the CLOSE of what it opens, if any.
    close: Option<usize>,
    /// What gives back the ranges that the chain locks, if any.
    unlock: Option<Box<LockRequest>>,
    message_ids: SmallVec<[u64; frame::CHAIN]>,
}

impl Connection {
    /// A connection whose first frame is the NEGOTIATE request.
    ///
    /// # Errors
    /// The provider has no random numbers.
    pub fn new(
        config: ConnectionConfig,
        crypto: Arc<dyn CryptoProvider>,
        now: Instant,
    ) -> Result<Self, ConnectionError> {
        let mut salt = [0; 32];
        crypto.random(&mut salt)?;
        let config = config.clamped();
        let mut connection = Self {
            credits: Credits::new(config.credit_target),
            config,
            crypto,
            negotiated: None,
            preauth: PreauthHash::default(),
            validated: false,
            closed: None,
            next_token: 0,
            queue: VecDeque::new(),
            pending: HashMap::new(),
            unanswered: 0,
            chains: HashMap::new(),
            deadlines: Deadlines::default(),
            logins: HashMap::new(),
            sessions: HashMap::new(),
            out: VecDeque::new(),
            spare: Vec::new(),
            events: VecDeque::new(),
            silent_since: None,
            last_activity: now,
            echo_pending: false,
            probed: false,
        };
        let request = Request::Negotiate(negotiation::request(&connection.config, salt));
        connection.enqueue(now, Purpose::Negotiate, Chain::one(0, 0, request));
        connection.flush_queue(now);
        Ok(connection)
    }

    /// What was agreed, once it is.
    pub const fn negotiated(&self) -> Option<&Negotiated> {
        self.negotiated.as_ref()
    }

    /// Why the connection is over, if it is.
    pub const fn closed(&self) -> Option<&ConnectionError> {
        self.closed.as_ref()
    }

    /// The largest frame that the server may send, in bytes. A reader should refuse a longer one unread.
    pub fn max_frame(&self) -> usize {
        let payload = self.negotiated.as_ref().map_or(0, |n| n.max_read.max(n.max_transact));
        payload as usize + FRAME_SLACK
    }

    /// How many bytes one request can carry with the credits that the server has granted so far.
    pub fn credit_bytes(&self) -> u64 {
        u64::from(self.credits.total().max(1)) * 65_536
    }

    /// Whether messages of this session (and tree) are encrypted.
    pub fn is_encrypted(&self, session_id: u64, tree_id: u32) -> bool {
        self.sessions
            .get(&session_id)
            .is_some_and(|s| s.encrypts() || s.trees.get(&tree_id).copied().unwrap_or(false))
    }

    /// Begins a login. [`Event::SessionReady`] or [`Event::SessionFailed`] carries the same token.
    ///
    /// # Errors
    /// The connection is over or not negotiated yet, or the authenticator cannot begin.
    pub fn authenticate(
        &mut self,
        now: Instant,
        mut authenticator: Box<dyn Authenticator>,
        config: SessionConfig,
    ) -> Result<Token, SessionError> {
        if let Some(error) = &self.closed {
            return Err(error.clone().into());
        }
        let Some(negotiated) = &self.negotiated else { return Err(ConnectionError::Closed.into()) };
        if config.encrypt && negotiated.cipher.is_none() {
            return Err(SessionError::NO_CIPHER);
        }
        let token = authenticator.start(&negotiated.token)?;
        let chain = Chain::one(0, 0, self.session_setup(&config, token));
        let preauth = self.preauth.clone();
        let id = self.enqueue(now, Purpose::Login, chain);
        let login = Login { token: id, authenticator, config, session_id: 0, preauth, binding: None };
        self.logins.insert(id, login);
        self.flush_queue(now);
        Ok(id)
    }

    /// What other connections of a session need to have part in it; `None` where the dialect has no such thing, or the
    /// session no key.
    pub fn share_session(&self, session_id: u64) -> Option<SharedSession> {
        SharedSession::of(self.negotiated.as_ref()?, session_id, self.sessions.get(&session_id)?)
    }

    /// Begins to make this one more connection of a session ([MS-SMB2] 3.2.4.2.3): its user logs in once more. As
    /// [`Self::authenticate`] otherwise.
    ///
    /// # Errors
    /// As [`Self::authenticate`]; or this connection leads to another server or has agreed on less than the session's first.
    pub fn bind(
        &mut self,
        now: Instant,
        mut authenticator: Box<dyn Authenticator>,
        shared: SharedSession,
    ) -> Result<Token, SessionError> {
        if let Some(error) = &self.closed {
            return Err(error.clone().into());
        }
        let Some(negotiated) = &self.negotiated else { return Err(ConnectionError::Closed.into()) };
        shared.check(negotiated)?;
        let config = shared.config();
        let token = authenticator.start(&negotiated.token)?;
        let session_id = shared.session_id();
        let mut request = self.session_setup(&config, token);
        bound(&mut request);
        let id = self.enqueue(now, Purpose::Login, Chain::one(session_id, 0, request));
        let preauth = self.preauth.clone();
        let login = Login { token: id, authenticator, config, session_id, preauth, binding: Some(shared) };
        self.logins.insert(id, login);
        self.flush_queue(now);
        Ok(id)
    }

    /// The trees of a session, and whether each must be encrypted.
    pub fn trees(&self, session_id: u64) -> Vec<(u32, bool)> {
        let session = self.sessions.get(&session_id);
        session
            .map(|session| session.trees.iter().map(|(id, encrypt)| (*id, *encrypt)).collect())
            .unwrap_or_default()
    }

    /// Tells a further connection of a session of a tree that another one has connected to, and whether it must be encrypted.
    pub fn note_tree(&mut self, session_id: u64, tree_id: u32, encrypt: bool) {
        if let Some(session) = self.sessions.get_mut(&session_id) {
            *session.trees.entry(tree_id).or_default() |= encrypt;
        }
    }

    /// Sends a chain as soon as there are credits for it.
    ///
    /// # Errors
    /// The connection is over, or knows no such session.
    pub fn send(&mut self, now: Instant, chain: Chain) -> Result<Token, RequestError> {
        if let Some(error) = &self.closed {
            return Err(error.clone().into());
        }
        if chain.session_id != 0 && !self.sessions.contains_key(&chain.session_id) {
            return Err(RequestError::UnknownSession);
        }
        let token = self.enqueue(now, Purpose::Caller, chain);
        self.flush_queue(now);
        Ok(token)
    }

    /// Asks the server to stop working on a chain. Its replies still come, mostly STATUS_CANCELLED.
    pub fn cancel(&mut self, token: Token) {
        let Some(waiting) = self.chains.get(&token) else { return };
        if waiting.message_ids.is_empty() {
            self.withdraw(token);
            self.finish_chain(token, Err(RequestError::TimedOut));
            return;
        }
        for id in waiting.message_ids.clone() {
            let Some(pending) = self.pending.get_mut(&id) else { continue };
            // Once only: with AES-GMAC a second CANCEL would use the first one's nonce for another message.
            if std::mem::replace(&mut pending.cancelled, true) {
                continue;
            }
            let key = match self.sessions.get(&pending.session_id) {
                Some(session) => session.outbound(pending.session_id, pending.tree_id, false),
                None => OutboundKey::None,
            };
            // A CANCEL repeats its target's message id and costs no credit ([MS-SMB2] 3.2.4.24).
            let mut header = Header::request(Command::Cancel, id);
            header.session_id = pending.session_id;
            header.route = match pending.async_id {
                Some(async_id) => Route::Async { async_id },
                None => Route::Sync { tree_id: 0 },
            };
            let mut outbound = Outbound::new(key, Vec::new());
            outbound.push(header, &Request::Cancel(Empty), true);
            self.out.push_back(outbound);
        }
    }

    /// Nobody waits for this chain any more: there will be no event, credits are booked as ever, a file that the
    /// chain opens is closed again, and a range that it locks is unlocked.
    pub fn abandon(&mut self, token: Token) {
        let Some(waiting) = self.chains.get_mut(&token) else { return };
        waiting.abandoned = true;
        if waiting.message_ids.is_empty() {
            self.withdraw(token);
            self.forget_chain(token);
        }
    }

    /// Takes a chain out of the queue. What it was to close is closed all the same, in its place: its user has
    /// no other way to.
    fn withdraw(&mut self, token: Token) {
        let Some(at) = self.queue.iter().position(|queued| queued.token == token) else { return };
        let Some(mut queued) = self.queue.remove(at) else { return };
        queued
            .requests
            .retain(|request| matches!(request, Request::Close(close) if close.file_id != FileId::RELATED));
        if queued.requests.is_empty() {
            return;
        }
        let Queued { session_id, tree_id, requests, channel_sequence, replay, .. } = queued;
        let chain = Chain { session_id, tree_id, requests, timeout: None, channel_sequence, replay };
        self.enqueue_at(at, Purpose::Housekeeping, chain, None);
    }

    /// Ends the connection: each waiting chain gets `reason`.
    pub fn close(&mut self, reason: ConnectionError) {
        if self.closed.is_some() {
            return;
        }
        let confirming = |waiting: &Waiting| matches!(waiting.purpose, Purpose::Validate { .. });
        let reason = match reason {
            ConnectionError::Lost if self.chains.values().any(confirming) => ConnectionError::NotConfirmed,
            reason => reason,
        };
        self.closed = Some(reason.clone());
        self.queue.clear();
        self.pending.clear();
        self.unanswered = 0;
        self.out.clear();
        self.deadlines.clear();
        let chains: Vec<_> = self.chains.drain().collect();
        for (token, waiting) in chains {
            let result = Err(RequestError::Connection(reason.clone()));
            match waiting.purpose {
                Purpose::Caller if !waiting.abandoned => self.events.push_back(Event::Done { token, result }),
                _ => {}
            }
        }
        for login in std::mem::take(&mut self.logins).into_values() {
            let (token, error) = (login.token, reason.clone().into());
            self.events.push_back(Event::SessionFailed { token, error });
        }
        self.sessions.clear();
        self.events.push_back(Event::Closed(reason));
    }

    /// The next frame to send.
    pub fn poll_transmit(&mut self) -> Option<Outbound> {
        self.out.pop_front()
    }

    /// Takes back what [`SealedFrame::head`] was, once it is sent, to build another frame in.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS && (1..=SPARE_BYTES).contains(&buffer.capacity()) {
            self.spare.push(buffer);
        }
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn session_setup(&self, config: &SessionConfig, token: Vec<u8>) -> Request {
        Request::SessionSetup(SessionSetupRequest {
            flags: SessionSetupFlags::empty(),
            security_mode: self.config.security_mode(),
            capabilities: Capabilities::empty(),
            previous_session_id: config.previous_session_id,
            token: token.into(),
        })
    }

    fn enqueue(&mut self, now: Instant, purpose: Purpose, chain: Chain) -> Token {
        let deadline = chain.timeout.map(|timeout| now + timeout);
        self.enqueue_at(self.queue.len(), purpose, chain, deadline)
    }

    fn enqueue_at(&mut self, at: usize, purpose: Purpose, chain: Chain, deadline: Option<Instant>) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        if let Some(at) = deadline {
            self.deadlines.insert(at, token);
        }
        let waiting = Waiting {
            purpose,
            replies: chain.requests.iter().map(|_| None).collect(),
            malformed: None,
            deadline,
            abandoned: false,
            close: chain.requests.iter().position(|request| matches!(request, Request::Close(_))),
            unlock: chain.unlock().map(Box::new),
            message_ids: SmallVec::new(),
        };
        self.chains.insert(token, waiting);
        let Chain { session_id, tree_id, requests, channel_sequence, replay, .. } = chain;
        let queued = Queued { token, session_id, tree_id, requests, channel_sequence, replay };
        self.queue.insert(at, queued);
        token
    }

    /// Sends what the credits allow, in order.
    fn flush_queue(&mut self, now: Instant) {
        while let Some(front) = self.queue.front() {
            let charge: u32 = front.requests.iter().map(|r| u32::from(self.credits.charge(r))).sum();
            if !self.credits.affords(charge) {
                if !self.credits.idle() {
                    break;
                }
                if !self.credits.affords(1) {
                    // A server must never leave a client with nothing ([MS-SMB2] 3.3.1.2): no request can go
                    // out any more, nor anything come in that would change that.
                    return self.close(PeerMisbehaved::Starved.into());
                }
                // Nothing is under way that would bring credits. An ECHO may; if it has not, nothing will.
                if !self.probed && self.negotiated.is_some() {
                    self.probed = true;
                    self.echo(now);
                    break;
                }
                self.probed = false;
                if let Some(stuck) = self.queue.pop_front() {
                    self.unaffordable(stuck);
                }
                continue;
            }
            if !matches!(front.requests[..], [Request::Echo(_)]) {
                self.probed = false;
            }
            if let Some(queued) = self.queue.pop_front() {
                self.transmit(now, queued);
            }
        }
    }

    /// The server will never have the credits for this chain, but perhaps for its requests one at a time.
    fn unaffordable(&mut self, stuck: Queued) {
        let Queued { token, requests, .. } = stuck;
        match self.chains.get(&token) {
            Some(Waiting { purpose: Purpose::Caller, abandoned: false, .. }) => {
                self.forget_chain(token);
                self.events.push_back(Event::Unaffordable { token, requests });
            }
            _ => self.finish_chain(token, Err(RequestError::NotEnoughCredits)),
        }
    }

    fn transmit(&mut self, now: Instant, queued: Queued) {
        let Queued { token, session_id, tree_id, requests, channel_sequence, replay } = queued;
        let login = matches!(self.chains.get(&token).map(|waiting| &waiting.purpose), Some(Purpose::Login));
        if session_id != 0 && !login && !self.sessions.contains_key(&session_id) {
            // The session ended while the chain waited: it must not go out without the session's protection.
            return self.finish_chain(token, Err(RequestError::UnknownSession));
        }
        let Some(waiting) = self.chains.get_mut(&token) else { return };
        let session = self.sessions.get(&session_id);
        let must_sign = matches!(waiting.purpose, Purpose::Validate { .. })
            || requests.iter().any(|r| matches!(r, Request::TreeConnect(_)));
        let binding = self.logins.get(&token).filter(|_| login).and_then(|login| login.binding.as_ref());
        let key = match (session, binding) {
            (Some(session), _) => session.outbound(session_id, tree_id, must_sign),
            (None, Some(shared)) => shared.binding_key(),
            (None, None) => OutboundKey::None,
        };
        let mut outbound = Outbound::new(key, self.spare.pop().unwrap_or_default());
        // The last answer to a login proves itself with the key that only then exists: see `Login::complete`.
        let (signed, encrypted) = (outbound.signs() && !login, outbound.encrypts());
        let new = self.negotiated.as_ref().is_some_and(|agreed| agreed.dialect >= Dialect::Smb300);
        for (index, request) in requests.iter().enumerate() {
            let charge = self.credits.charge(request);
            let (message_id, wanted) = self.credits.take(charge);
            let command = request.command();
            let mut header = Header::request(command, message_id);
            header.credit_charge = self.credits.field(charge);
            header.credits = wanted;
            header.session_id = session_id;
            header.route = Route::Sync { tree_id };
            if new {
                header.status = u32::from(channel_sequence);
                header.flags.set(HeaderFlags::REPLAY_OPERATION, replay);
            }
            if index > 0 {
                header.flags |= HeaderFlags::RELATED_OPERATIONS;
                outbound.chain();
            }
            outbound.push(header, request, index + 1 == requests.len());
            waiting.message_ids.push(message_id);
            let pending = Pending {
                token,
                index,
                command,
                charge,
                signed,
                encrypted,
                session_id,
                tree_id,
                async_id: None,
                interims: 0,
                cancelled: false,
            };
            self.pending.insert(message_id, pending);
            self.unanswered += 1;
        }
        match waiting.purpose {
            Purpose::Negotiate => self.preauth.update(outbound.message()),
            Purpose::Login => {
                outbound.sign();
                if let Some(login) = self.logins.get_mut(&token) {
                    login.preauth.update(outbound.message());
                }
            }
            _ => {}
        }
        self.silent_since.get_or_insert(now);
        self.last_activity = now;
        self.out.push_back(outbound);
    }

    /// Removes a chain and everything that waits for it.
    fn forget_chain(&mut self, token: Token) -> Option<Waiting> {
        let waiting = self.chains.remove(&token)?;
        if let Some(at) = waiting.deadline {
            self.deadlines.remove(at, token);
        }
        Some(waiting)
    }

    fn finish_chain(&mut self, token: Token, result: Result<Vec<Reply>, RequestError>) {
        let Some(waiting) = self.forget_chain(token) else { return };
        match waiting.purpose {
            Purpose::Caller if !waiting.abandoned => self.events.push_back(Event::Done { token, result }),
            Purpose::Validate { held, .. } => self.finish_chain(held, result),
            Purpose::Echo => self.echo_pending = false,
            Purpose::Login => {
                if let (Some(login), Err(error)) = (self.logins.remove(&token), result) {
                    let error = match error {
                        RequestError::Connection(error) => error.into(),
                        _ => SessionError::Connection(ConnectionError::TimedOut),
                    };
                    self.events.push_back(Event::SessionFailed { token: login.token, error });
                }
            }
            _ => {}
        }
    }

    /// Closes what a chain opened that nobody waits for.
    fn close_orphan(&mut self, now: Instant, session_id: u64, tree_id: u32, file_id: FileId) {
        let close = Request::Close(CloseRequest { query_attributes: false, file_id });
        self.keep_house(now, Chain::one(session_id, tree_id, close));
    }

    /// Leaves a tree that nobody waits for.
    fn leave_tree(&mut self, now: Instant, session_id: u64, tree_id: u32) {
        self.keep_house(now, Chain::one(session_id, tree_id, Request::TreeDisconnect(Empty)));
    }

    fn keep_house(&mut self, now: Instant, chain: Chain) {
        if self.sessions.contains_key(&chain.session_id) {
            self.enqueue(now, Purpose::Housekeeping, chain);
        }
    }

    /// Whether VALIDATE_NEGOTIATE_INFO is due: a 3.x client on a connection older than 3.1.1, with a key that
    /// the answer can be signed with ([MS-SMB2] 3.2.5.5).
    fn must_validate(&self, session_id: u64) -> bool {
        let old = self.negotiated.as_ref().is_some_and(|n| n.dialect < Dialect::Smb311);
        old && !self.validated
            && self.config.max_dialect >= Dialect::Smb300
            && self.sessions.get(&session_id).is_some_and(Session::has_key)
    }
}

/// Makes a SESSION_SETUP one for a further connection.
fn bound(request: &mut Request) {
    if let Request::SessionSetup(setup) = request {
        setup.flags |= SessionSetupFlags::BINDING;
    }
}
