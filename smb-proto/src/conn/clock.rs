//! What a connection does because time passes: late requests, silent servers, idle connections.

use std::collections::VecDeque;
use std::time::Instant;

use super::error::{ConnectionError, RequestError};
use super::request::{Chain, Event, Token};
use super::{Connection, Purpose};
use crate::wire::{Empty, Request};

/// The deadlines of requests, the nearest first. Most come in order and go from the front, and their number is
/// that of the requests under way: a queue that keeps its memory costs less than a tree.
#[derive(Debug, Default)]
pub(super) struct Deadlines(VecDeque<(Instant, Token)>);

impl Deadlines {
    pub(super) fn insert(&mut self, at: Instant, token: Token) {
        if let Err(index) = self.0.binary_search(&(at, token)) {
            self.0.insert(index, (at, token));
        }
    }

    pub(super) fn remove(&mut self, at: Instant, token: Token) {
        if let Ok(index) = self.0.binary_search(&(at, token)) {
            self.0.remove(index);
        }
    }

    pub(super) fn first(&self) -> Option<(Instant, Token)> {
        self.0.front().copied()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Connection {
    /// When [`Self::handle_timeout`] is due, unless something happens before.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        let silence = match self.silent_since {
            Some(since) if self.echo_pending || self.negotiated.is_none() => since + self.config.dead_after,
            Some(since) => since + self.config.echo_after,
            None => self.last_activity + self.config.keepalive,
        };
        let deadline = self.deadlines.first().map(|(at, _)| at);
        Some(deadline.map_or(silence, |at| at.min(silence)))
    }

    /// Does what is due by `now`: gives up late requests, asks a silent server whether it lives, ends a dead
    /// connection.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.closed.is_some() {
            return;
        }
        while let Some((at, token)) = self.deadlines.first() {
            if at > now {
                break;
            }
            self.deadlines.remove(at, token);
            self.cancel(token);
            if let Some(waiting) = self.chains.get_mut(&token)
                && !waiting.abandoned
            {
                waiting.abandoned = true;
                self.events.push_back(Event::Done { token, result: Err(RequestError::TimedOut) });
            }
        }
        match self.silent_since {
            Some(since) if now >= since + self.config.dead_after => self.close(ConnectionError::TimedOut),
            Some(since) if now >= since + self.config.echo_after => self.echo(now),
            None if now >= self.last_activity + self.config.keepalive => {
                self.last_activity = now;
                // Also if the ECHO has to wait for credits: whoever withholds them is silent too.
                self.silent_since = Some(now);
                self.echo(now);
            }
            _ => {}
        }
    }

    /// Part of a frame went one way or the other: the peer is slow, but not silent.
    pub fn note_progress(&mut self, now: Instant) {
        if let Some(since) = &mut self.silent_since {
            *since = now;
        }
    }

    pub(super) fn echo(&mut self, now: Instant) {
        if self.echo_pending || self.negotiated.is_none() {
            return;
        }
        self.echo_pending = true;
        let session_id = self.sessions.keys().next().copied().unwrap_or(0);
        self.enqueue(now, Purpose::Echo, Chain::one(session_id, 0, Request::Echo(Empty)));
        // In front of what waits: without credits nothing else would go either.
        if let Some(echo) = self.queue.pop_back() {
            self.queue.push_front(echo);
        }
        self.flush_queue(now);
    }
}
