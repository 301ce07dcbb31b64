//! What is asked of a connection and what comes back.

use std::time::Duration;

use super::error::{ConnectionError, RequestError, SessionError};
use crate::status::NtStatus;
use crate::wire::{BreakBody, ErrorResponse, FileId, LockRequest, Request, Response, SessionFlags};

/// Names a chain of requests until its [`Event::Done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(super) u64);

/// One request, or several in one frame.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The session, 0 for none.
    pub session_id: u64,
    /// The tree connect, 0 for none.
    pub tree_id: u32,
    /// At least one. Each but the first works on the open of the one before
    /// ([`crate::wire::FileId::RELATED`]), and fails where that fails.
    pub requests: Vec<Request>,
    /// Give up after this time; the silence limits of the connection hold besides.
    pub timeout: Option<Duration>,
    /// How often the session has lost one of its connections; the server refuses what was sent before a loss and
    /// comes after it ([MS-SMB2] 3.2.4.1.1). Only dialects 3.x say it.
    pub channel_sequence: u16,
    /// It was sent before, on a connection that was lost, and may have been carried out.
    pub replay: bool,
}

impl Chain {
    /// A single request.
    pub fn one(session_id: u64, tree_id: u32, request: Request) -> Self {
        Self {
            session_id,
            tree_id,
            requests: vec![request],
            timeout: None,
            channel_sequence: 0,
            replay: false,
        }
    }

    /// What gives back the ranges that the chain locks, if it locks any.
    pub fn unlock(&self) -> Option<LockRequest> {
        self.requests.iter().find_map(|request| match request {
            Request::Lock(lock) => lock.undo(),
            _ => None,
        })
    }
}

/// What the server said to one request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: NtStatus,
    /// The tree that the reply names: what TREE_CONNECT is after.
    pub tree_id: u32,
    /// The command's body, or the error's where the status carries no body.
    pub body: Result<Response, ErrorResponse>,
}

impl Reply {
    /// The open that this reply brings, if it answers a CREATE.
    pub const fn opened(&self) -> Option<FileId> {
        match &self.body {
            Ok(Response::Create(body)) => Some(body.file_id),
            _ => None,
        }
    }
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The dialect is agreed; sessions may begin.
    Negotiated,
    /// A login succeeded.
    SessionReady {
        /// As given by [`super::Connection::authenticate`].
        token: Token,
        /// The session.
        session_id: u64,
        /// Guest or anonymous, encrypted.
        flags: SessionFlags,
    },
    /// A login failed.
    SessionFailed {
        /// As given by [`super::Connection::authenticate`].
        token: Token,
        /// Why.
        error: SessionError,
    },
    /// A chain has all its replies, one for each request, or has none and never will.
    Done {
        /// As given by [`super::Connection::send`].
        token: Token,
        /// The replies in the order of the requests.
        result: Result<Vec<Reply>, RequestError>,
    },
    /// The server grants too few credits to send this chain ever. Its requests may go one at a time.
    Unaffordable {
        /// As given by [`super::Connection::send`].
        token: Token,
        /// What was to be sent.
        requests: Vec<Request>,
    },
    /// The server takes an oplock or a lease back.
    Break(BreakBody),
    /// The connection is over; each waiting chain got its [`Event::Done`] before.
    Closed(ConnectionError),
}
