//! What a connection does with what it receives ([MS-SMB2] 3.2.5.1).

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::error::{ConnectionError, PeerIncompatible, PeerMisbehaved, RequestError, SessionError};
use super::frame::{Inbound, InboundKey, Opened, Protection};
use super::request::{Chain, Event, Reply, Token};
use super::session::check_protection;
use super::{Connection, Pending, Purpose, negotiation};
use crate::fscc::{from_bytes, to_bytes};
use crate::status::NtStatus;
use crate::wire::{
    COMPRESSION_MAGIC, Command, DecodeError, Dialect, ErrorResponse, FileId, HEADER_LEN, Header, HeaderFlags,
    IoctlRequest, Reader, Request, Response, Route, SMB2_MAGIC, SessionSetupResponse, ShareFlags,
    TRANSFORM_LEN, TRANSFORM_MAGIC, TransformHeader, ValidateNegotiateResponse, Wire, fsctl,
};

/// A request has one interim response; a few more are a server's bug, many an attack.
const MAX_INTERIMS: u32 = 8;

/// A server that cannot validate a negotiation says so, signed, with one of these.
const CANNOT_VALIDATE: [NtStatus; 3] =
    [NtStatus::INVALID_DEVICE_REQUEST, NtStatus::NOT_SUPPORTED, NtStatus::FILE_CLOSED];

/// StructureSize of an IOCTL response ([MS-SMB2] 2.2.32); an error's is 9.
const IOCTL_RESPONSE_SIZE: u8 = 49;

impl Connection {
    /// Takes a received frame, without its length prefix, and finds the keys for it.
    ///
    /// # Errors
    /// What begins here is no SMB2 message. The connection should be closed with the error.
    pub fn accept(&self, frame: BytesMut) -> Result<Inbound, ConnectionError> {
        if frame.len() > self.max_frame() {
            return Err(PeerMisbehaved::FrameTooLarge(frame.len()).into());
        }
        match frame.first_chunk::<4>() {
            Some(&TRANSFORM_MAGIC) => self.accept_encrypted(frame),
            Some(&SMB2_MAGIC) => self.accept_plain(frame),
            Some(&COMPRESSION_MAGIC) => Err(PeerMisbehaved::Compressed.into()),
            Some([0xFF, b'S', b'M', b'B']) => Err(PeerIncompatible::OnlySmb1.into()),
            Some(_) => Err(DecodeError::Invalid("protocol id").into()),
            None => Err(DecodeError::Truncated.into()),
        }
    }

    fn accept_encrypted(&self, frame: BytesMut) -> Result<Inbound, ConnectionError> {
        let head = frame.first_chunk::<TRANSFORM_LEN>().ok_or(DecodeError::Truncated)?;
        let header = TransformHeader::from_array(head)?;
        if header.original_size as usize != frame.len() - TRANSFORM_LEN {
            return Err(DecodeError::Invalid("original message size").into());
        }
        let (cipher, nonce_len) = self
            .sessions
            .get(&header.session_id)
            .and_then(super::Session::decryptor)
            .ok_or(PeerMisbehaved::Unprotected("encrypted with a key that exists"))?;
        Ok(Inbound { frame, key: InboundKey::Encrypted { cipher, nonce_len, header } })
    }

    /// Walks the chain to see which session must have signed each message.
    fn accept_plain(&self, frame: BytesMut) -> Result<Inbound, ConnectionError> {
        let mut signers = SmallVec::new();
        let mut rest = &frame[..];
        loop {
            let head = rest.first_chunk::<HEADER_LEN>().ok_or(DecodeError::Truncated)?;
            let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
            let long = |at: usize| u64::from(field(at)) | u64::from(field(at + 4)) << 32;
            let (id, session_id) = (long(24), long(40));
            let flags = HeaderFlags::from_bits_retain(field(16));
            let signed = flags.contains(HeaderFlags::SIGNED);
            signers.push(match self.sessions.get(&session_id) {
                Some(session) if signed && (session.signs() || self.was_signed(id)) => session.signer(),
                _ => None,
            });
            let next = field(20) as usize;
            if next == 0 {
                return Ok(Inbound { frame, key: InboundKey::Plain(signers) });
            }
            if next < HEADER_LEN || next >= rest.len() {
                return Err(DecodeError::Invalid("next command offset").into());
            }
            rest = &rest[next..];
        }
    }

    /// Whether the answer to this message must be signed although the session is not. Of any other a signature
    /// proves nothing, for a forger would leave it out; and servers that sign unasked may do it wrongly.
    fn was_signed(&self, message_id: u64) -> bool {
        self.pending.get(&message_id).is_none_or(|pending| pending.signed)
    }

    /// Takes the messages of a frame.
    ///
    /// A server that breaks the protocol ends the connection: see [`Self::closed`].
    pub fn handle(&mut self, now: Instant, opened: Opened) {
        if self.closed.is_some() {
            return;
        }
        let mut answered = false;
        for (header, message, protection) in opened.messages {
            // Only an answer ends a silence: a notification comes from whoever likes to send one.
            answered |= header.message_id != u64::MAX;
            if let Err(error) = self.handle_message(now, &header, &message, protection) {
                self.close(error);
                return;
            }
        }
        if answered {
            self.last_activity = now;
            // What the server works on may take its time, but not what comes before the first session.
            let early = self.negotiated.is_none() || !self.logins.is_empty();
            let waits = if early { !self.pending.is_empty() } else { self.unanswered > 0 };
            self.silent_since = match self.silent_since {
                Some(since) if early && waits => Some(since),
                _ => waits.then_some(now),
            };
        }
        self.flush_queue(now);
    }

    fn handle_message(
        &mut self,
        now: Instant,
        header: &Header,
        message: &Bytes,
        protection: Protection,
    ) -> Result<(), ConnectionError> {
        if !header.is_response() {
            return Err(PeerMisbehaved::SentRequest.into());
        }
        if header.message_id == u64::MAX {
            // A notification is never signed ([MS-SMB2] 3.3.4.6); a forged one costs no more than a cache.
            return match Response::decode(header.command, message)? {
                Response::OplockBreak(body) => {
                    self.events.push_back(Event::Break(body));
                    Ok(())
                }
                _ => Err(PeerMisbehaved::Unsolicited(u64::MAX).into()),
            };
        }
        let pending =
            self.pending.get_mut(&header.message_id).ok_or(PeerMisbehaved::Unsolicited(header.message_id))?;
        if pending.command != header.command {
            let (asked, answered) = (pending.command, header.command);
            return Err(PeerMisbehaved::AnsweredAnother { asked, answered }.into());
        }
        if pending.session_id != 0 && pending.session_id != header.session_id {
            return Err(PeerMisbehaved::AnotherSession.into());
        }
        let status = NtStatus(header.status);
        if let (Some(known), Route::Async { async_id }) = (pending.async_id, header.route)
            && known != async_id
        {
            return Err(PeerMisbehaved::AnotherOperation.into());
        }
        if status == NtStatus::PENDING {
            let Route::Async { async_id } = header.route else {
                return Err(DecodeError::Invalid("interim response without an operation's name").into());
            };
            // Interim responses are not signed ([MS-SMB2] 3.3.4.2).
            check_protection(false, pending.encrypted, protection)?;
            if pending.async_id.replace(async_id).is_none() {
                self.unanswered = self.unanswered.saturating_sub(1);
            }
            pending.interims += 1;
            if pending.interims > MAX_INTERIMS {
                return Err(PeerMisbehaved::TooManyPending.into());
            }
            if header.credits > 0 {
                // The grant replaces what the request cost; the final response brings none.
                self.credits.finished(std::mem::take(&mut pending.charge));
                self.credits.grant(header.credits);
            }
            return Ok(());
        }
        if protection == Protection::None && status == NtStatus::USER_SESSION_DELETED {
            // The server has no key any more to sign this with. Believing it ends the connection, as any
            // forger could by other means.
            return Err(ConnectionError::SessionDeleted(status));
        }
        check_protection(pending.signed, pending.encrypted, protection)?;
        let Some(pending) = self.pending.remove(&header.message_id) else { return Ok(()) };
        if pending.async_id.is_none() {
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        self.credits.finished(pending.charge);
        self.credits.grant(header.credits);
        self.reply(now, pending, header, message, status)
    }

    /// Books a reply; the last one of a chain completes it.
    fn reply(
        &mut self,
        now: Instant,
        pending: Pending,
        header: &Header,
        message: &Bytes,
        status: NtStatus,
    ) -> Result<(), ConnectionError> {
        let token = pending.token;
        let Some(waiting) = self.chains.get_mut(&token) else { return Ok(()) };
        match decode_reply(header, status, message) {
            Ok(reply) => {
                if let Some(slot) = waiting.replies.get_mut(pending.index) {
                    *slot = Some(reply);
                }
            }
            Err(error) => waiting.malformed = Some(error),
        }
        waiting.message_ids.retain(|id| *id != header.message_id);
        if !waiting.message_ids.is_empty() {
            return Ok(());
        }
        let malformed = waiting.malformed;
        let purpose = waiting.purpose.clone();
        // That a chain asks for a CLOSE does not mean that the server got as far.
        let closed = waiting.close.and_then(|index| waiting.replies.get(index)?.as_ref());
        let closed = closed.is_some_and(|reply| reply.body.is_ok());
        let orphaned = (waiting.abandoned || malformed.is_some()) && !closed;
        let unlock = waiting.unlock.take().filter(|_| waiting.abandoned);
        let replies: Vec<Reply> = std::mem::take(&mut waiting.replies).into_iter().flatten().collect();
        for file_id in replies.iter().filter(|_| orphaned).filter_map(Reply::opened) {
            self.close_orphan(now, pending.session_id, pending.tree_id, file_id);
        }
        let locked = replies.iter().any(|reply| matches!(reply.body, Ok(Response::Lock(_))));
        if let (Some(unlock), true) = (unlock, locked) {
            self.keep_house(now, Chain::one(pending.session_id, pending.tree_id, Request::Lock(*unlock)));
        }
        let result = match malformed {
            Some(error) => Err(error),
            None => Ok(replies),
        };
        match purpose {
            Purpose::Negotiate => {
                self.forget_chain(token);
                self.negotiation_done(now, result?, message)
            }
            Purpose::Login => {
                self.forget_chain(token);
                self.login_step(now, token, result?, header, message);
                Ok(())
            }
            Purpose::Validate { held, replies } => {
                self.forget_chain(token);
                self.validation_done(result?)?;
                if self.chains.get(&held).is_none_or(|waiting| waiting.abandoned) {
                    self.leave_tree(now, pending.session_id, pending.tree_id);
                }
                self.finish_chain(held, Ok(replies));
                Ok(())
            }
            Purpose::Echo => {
                self.echo_pending = false;
                self.forget_chain(token);
                Ok(())
            }
            Purpose::Housekeeping => {
                self.forget_chain(token);
                Ok(())
            }
            Purpose::Caller => {
                self.caller_done(now, token, &pending, header, result);
                Ok(())
            }
        }
    }

    fn caller_done(
        &mut self,
        now: Instant,
        token: Token,
        pending: &Pending,
        header: &Header,
        result: Result<Vec<Reply>, DecodeError>,
    ) {
        let replies = match result {
            Ok(replies) => replies,
            Err(error) => return self.finish_chain(token, Err(RequestError::Malformed(error))),
        };
        match replies.first().map(|reply| &reply.body) {
            Some(Ok(Response::TreeConnect(tree))) => {
                let encrypt = tree.flags.contains(ShareFlags::ENCRYPT_DATA);
                if let Some(session) = self.sessions.get_mut(&pending.session_id) {
                    if encrypt && !session.can_encrypt() {
                        // The server would refuse each request; refuse with the reason instead.
                        let body = Err(ErrorResponse::default());
                        let refused = Reply { status: NtStatus::ACCESS_DENIED, tree_id: 0, body };
                        return self.finish_chain(token, Ok(vec![refused]));
                    }
                    // A number given out twice must not bare what the first one hides.
                    *session.trees.entry(header.tree_id()).or_default() |= encrypt;
                }
                // Validated even where nobody waits for it, and left only then: on a tree that is gone the
                // server could not confirm anything.
                if self.must_validate(pending.session_id) {
                    return self.validate(now, token, pending.session_id, header.tree_id(), replies);
                }
                if self.chains.get(&token).is_some_and(|waiting| waiting.abandoned) {
                    self.leave_tree(now, pending.session_id, header.tree_id());
                }
            }
            Some(Ok(Response::TreeDisconnect(_))) => {
                // An encrypted tree stays known: what still waits for it must not go out in clear.
                if let Some(session) = self.sessions.get_mut(&pending.session_id) {
                    session.trees.retain(|tree_id, encrypt| *tree_id != pending.tree_id || *encrypt);
                }
            }
            Some(Ok(Response::Logoff(_))) => {
                self.sessions.remove(&pending.session_id);
            }
            _ => {}
        }
        self.finish_chain(token, Ok(replies));
    }

    fn negotiation_done(
        &mut self,
        now: Instant,
        mut replies: Vec<Reply>,
        message: &Bytes,
    ) -> Result<(), ConnectionError> {
        let Some(reply) = replies.pop() else { return Err(DecodeError::Truncated.into()) };
        let response = match reply.body {
            Ok(Response::Negotiate(response)) => response,
            _ if reply.status == NtStatus::NOT_SUPPORTED => {
                return Err(PeerIncompatible::NoCommonDialect(reply.status).into());
            }
            _ => return Err(PeerIncompatible::NegotiationRefused(reply.status).into()),
        };
        let negotiated = negotiation::accept(&self.config, response)?;
        if negotiated.dialect == Dialect::Smb311 {
            self.preauth.update(message);
        }
        if negotiated.dialect >= Dialect::Smb210
            && negotiated.capabilities.contains(crate::wire::Capabilities::LARGE_MTU)
        {
            self.credits.enable_multi_credit();
        }
        self.negotiated = Some(negotiated);
        self.events.push_back(Event::Negotiated);
        self.flush_queue(now);
        Ok(())
    }

    fn login_step(
        &mut self,
        now: Instant,
        token: Token,
        mut replies: Vec<Reply>,
        header: &Header,
        message: &Bytes,
    ) {
        // Later rounds of a login are filed under tokens of their own; its name stays the first.
        let Some(mut login) = self.logins.remove(&token) else { return };
        let name = login.token;
        let outcome = match replies.pop() {
            Some(Reply { status, body: Ok(Response::SessionSetup(body)), .. }) => {
                if status == NtStatus::MORE_PROCESSING_REQUIRED {
                    self.login_continues(now, login, &body, header, message)
                } else if !self.may_name(&login, header.session_id) {
                    Err(ConnectionError::from(PeerMisbehaved::AnotherSession).into())
                } else {
                    let Some(negotiated) = &self.negotiated else { return };
                    let crypto = &*self.crypto;
                    let session =
                        login.complete(negotiated, crypto, header, body.flags, &body.token, message);
                    session.map(|session| {
                        let flags = session.flags;
                        self.sessions.insert(header.session_id, session);
                        let session_id = header.session_id;
                        self.events.push_back(Event::SessionReady { token: name, session_id, flags });
                    })
                }
            }
            Some(reply) => Err(SessionError::Refused(reply.status)),
            None => Err(ConnectionError::from(DecodeError::Truncated).into()),
        };
        if let Err(error) = outcome {
            self.events.push_back(Event::SessionFailed { token: name, error });
        }
    }

    /// Whether the server may give this login that name. Another session's would replace that one's keys.
    fn may_name(&self, login: &super::Login, session_id: u64) -> bool {
        let taken = self.sessions.contains_key(&session_id)
            || self.logins.values().any(|other| other.session_id == session_id);
        session_id != 0 && !taken && (login.session_id == 0 || login.session_id == session_id)
    }

    fn login_continues(
        &mut self,
        now: Instant,
        mut login: super::Login,
        body: &SessionSetupResponse,
        header: &Header,
        message: &Bytes,
    ) -> Result<(), SessionError> {
        if !self.may_name(&login, header.session_id) {
            return Err(ConnectionError::from(PeerMisbehaved::AnotherSession).into());
        }
        login.session_id = header.session_id;
        login.preauth.update(message);
        let token = login.authenticator.step(&body.token)?;
        let mut request = self.session_setup(&login.config, token);
        if login.binding.is_some() {
            super::bound(&mut request);
        }
        let chain = Chain::one(login.session_id, 0, request);
        let round = self.enqueue(now, Purpose::Login, chain);
        self.logins.insert(round, login);
        self.flush_queue(now);
        Ok(())
    }

    fn validate(&mut self, now: Instant, held: Token, session_id: u64, tree_id: u32, replies: Vec<Reply>) {
        let request = Request::Ioctl(IoctlRequest {
            code: fsctl::VALIDATE_NEGOTIATE_INFO,
            file_id: FileId::RELATED,
            max_output: 24,
            is_fsctl: true,
            input: to_bytes(&negotiation::validation(&self.config)),
        });
        self.enqueue(now, Purpose::Validate { held, replies }, Chain::one(session_id, tree_id, request));
        self.flush_queue(now);
    }

    /// The answer was verified: [`Purpose::Validate`] is signed or encrypted without exception.
    fn validation_done(&mut self, mut replies: Vec<Reply>) -> Result<(), ConnectionError> {
        let confirmed = match replies.pop() {
            Some(Reply { body: Ok(Response::Ioctl(body)), .. }) => {
                let repeated: ValidateNegotiateResponse = from_bytes(&body.output)?;
                self.negotiated.as_ref().is_some_and(|negotiated| negotiated.matches(&repeated))
            }
            Some(reply) => CANNOT_VALIDATE.contains(&reply.status),
            None => false,
        };
        self.validated = confirmed;
        if confirmed { Ok(()) } else { Err(PeerMisbehaved::Downgrade.into()) }
    }
}

fn decode_reply(header: &Header, status: NtStatus, message: &Bytes) -> Result<Reply, DecodeError> {
    // A server that refuses too large a COPYCHUNK says what its limits are, in an answer that only its size
    // tells from an error's ([MS-SMB2] 3.3.5.15.6.2).
    let limits = header.command == Command::Ioctl
        && status == NtStatus::INVALID_PARAMETER
        && message.get(HEADER_LEN) == Some(&IOCTL_RESPONSE_SIZE);
    let body = if limits || Response::carries_body(header.command, status) {
        Ok(Response::decode(header.command, message)?)
    } else {
        match ErrorResponse::decode(&mut Reader::new(message, HEADER_LEN)) {
            // Impacket refuses with the body of a success. The status says what there is to know.
            Err(_) if status.is_error() => Err(ErrorResponse::default()),
            body => Err(body?),
        }
    };
    Ok(Reply { status, tree_id: header.tree_id(), body })
}
