//! Many random lives of a connection, each made of its seed alone.
//!
//! A server that does its work at once and answers when it likes, in any order; a client that asks, gives up and
//! waits; sometimes a forger, sometimes the end of the line. After each step and at the end of each life the
//! books must be right: see [`Life::check`] and [`Life::end`].

use std::collections::{BTreeMap, BTreeSet};

use super::pair::{Pair, SESSION_ID, Script, TREE_ID, create_response};
use super::toy::toy_crypto;
use super::*;

/// Schedules in all; in parts, which run beside each other.
const PART: u64 = 25_000;
const STEPS: u64 = 24;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap();
        from.get(index).copied()
    }
}

/// A request that the server has carried out and not answered.
struct Held {
    header: Header,
    encrypted: bool,
    charge: u16,
    /// The tree that a TREE_CONNECT made.
    tree_id: u32,
    status: NtStatus,
    body: Option<Response>,
    /// How the interim response called it.
    async_id: Option<u64>,
    interims: u32,
    /// An interim response has paid its credits back.
    settled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Waiting,
    Abandoned,
}

struct Life {
    pair: Pair,
    random: Random,
    encrypt: bool,
    multi: bool,
    held: Vec<Held>,
    tokens: BTreeMap<Token, Fate>,
    next_id: u64,
    /// Credits as the server counts them: granted and not used.
    credits: u64,
    /// Charges of what has no final answer and no interim one that paid them back.
    spent: u64,
    next_file: u64,
    next_tree: u32,
    /// What is open on the server, and what of that the client was told.
    open: BTreeSet<u64>,
    owned: BTreeSet<u64>,
    trees: BTreeSet<u32>,
    owned_trees: BTreeSet<u32>,
    /// The open of the chain that is being received, or why there is none.
    current: Result<FileId, NtStatus>,
    /// A frame of before, for whoever likes to repeat it.
    last: Vec<u8>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let dialect =
            random.pick(&[Dialect::Smb202, Dialect::Smb210, Dialect::Smb302, Dialect::Smb311]).unwrap();
        let encrypt = dialect >= Dialect::Smb300 && random.chance(50);
        let script = Script { credits: 1 + random.below(12) as u16, ..script(dialect) };
        let mut pair = Pair::with_crypto(script, ConnectionConfig::default(), toy_crypto());
        pair.settle();
        pair.login(encrypt).unwrap();
        pair.settle();
        pair.send(Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x".into() }));
        pair.settle();
        assert!(matches!(
            pair.events()[..],
            [Event::Negotiated, Event::SessionReady { .. }, Event::Done { .. }]
        ));
        let next_id = 1 + pair.server.seen.iter().map(|(header, _)| header.message_id).max().unwrap();
        let credits = u64::from(pair.client.activity().credits);
        Self {
            pair,
            random,
            encrypt,
            multi: dialect != Dialect::Smb202,
            held: Vec::new(),
            tokens: BTreeMap::new(),
            next_id,
            credits,
            spent: 0,
            next_file: 100,
            next_tree: TREE_ID + 1,
            open: BTreeSet::new(),
            owned: BTreeSet::new(),
            trees: BTreeSet::new(),
            owned_trees: BTreeSet::new(),
            current: Err(NtStatus::FILE_CLOSED),
            last: Vec::new(),
        }
    }

    fn closed(&self) -> bool {
        self.pair.client.closed().is_some()
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..35 => self.ask(),
            35..65 => self.answer_any(),
            65..75 => self.say_pending(),
            75..82 => self.give_up(),
            82..94 => {
                self.pair.now += Duration::from_millis(self.random.below(4000));
                self.pair.client.handle_timeout(self.pair.now);
            }
            94..96 => self.forge(),
            96 if self.random.chance(30) => self.pair.client.close(ConnectionError::Lost),
            _ => self.answer_any(),
        }
        self.work();
        self.check();
    }

    fn ask(&mut self) {
        let close = |file_id| Request::Close(CloseRequest { query_attributes: false, file_id });
        let related_read = Request::Read(ReadRequest {
            flags: 0,
            length: 10,
            offset: 0,
            file_id: FileId::RELATED,
            minimum_count: 0,
        });
        let requests = match self.random.below(8) {
            0 => vec![create()],
            1 => vec![create(), close(FileId::RELATED)],
            2 => vec![create(), related_read, close(FileId::RELATED)],
            3 => vec![create(), related_read],
            4 => vec![read(9 + 65_536 * self.random.below(6) as u32)],
            5 => vec![Request::TreeConnect(TreeConnectRequest { flags: 0, path: "\\\\s\\x".into() })],
            6 => match self.owned.iter().next().copied() {
                Some(file) => {
                    self.owned.remove(&file);
                    vec![close(FileId { persistent: file, volatile: file })]
                }
                None => vec![Request::Echo(Empty)],
            },
            _ => vec![read(9)],
        };
        let timeout = self.random.chance(30).then(|| Duration::from_millis(self.random.below(6000)));
        let chain = Chain {
            session_id: SESSION_ID,
            tree_id: TREE_ID,
            requests,
            timeout,
            channel_sequence: 0,
            replay: false,
        };
        if let Ok(token) = self.pair.client.send(self.pair.now, chain) {
            assert_eq!(self.tokens.insert(token, Fate::Waiting), None, "a token given out twice");
        }
    }

    fn give_up(&mut self) {
        let waiting: Vec<_> =
            self.tokens.iter().filter(|(_, fate)| **fate == Fate::Waiting).map(|(token, _)| *token).collect();
        let Some(token) = self.random.pick(&waiting) else { return };
        if self.random.chance(50) {
            self.pair.client.cancel(token);
        } else {
            self.pair.client.abandon(token);
            self.tokens.insert(token, Fate::Abandoned);
        }
    }

    /// Takes what the client sends to the server, and what it tells its users.
    fn work(&mut self) {
        for (header, request, message, encrypted) in self.pair.sent() {
            assert_eq!(encrypted, self.encrypt, "{:?} in clear, or needlessly encrypted", header.command);
            if header.command == Command::Cancel {
                self.cancelled(header.message_id);
                continue;
            }
            assert!(encrypted || header.flags.contains(HeaderFlags::SIGNED), "{:?} unsigned", header.command);
            assert_eq!(header.message_id, self.next_id, "a message id used twice or left out");
            let charge = if self.multi { header.credit_charge } else { 1 };
            assert!(charge >= 1 && u64::from(charge) <= self.credits, "more spent than granted");
            self.next_id += u64::from(charge);
            self.credits -= u64::from(charge);
            self.spent += u64::from(charge);
            let (status, body) = self.carry_out(&header, &request, &message);
            let (async_id, interims, settled, tree_id) = (None, 0, false, self.next_tree);
            self.held.push(Held {
                header,
                encrypted,
                charge,
                tree_id,
                status,
                body,
                async_id,
                interims,
                settled,
            });
        }
        for event in self.pair.events() {
            self.told(event);
        }
    }

    fn told(&mut self, event: Event) {
        let (token, replies) = match event {
            Event::Done { token, result } => (token, result.unwrap_or_default()),
            Event::Unaffordable { token, .. } => (token, Vec::new()),
            Event::Closed(_) => return,
            other => panic!("{other:?}"),
        };
        let before = self.tokens.remove(&token);
        assert_eq!(before, Some(Fate::Waiting), "an event although nobody waits");
        let closed = matches!(replies.last(), Some(Reply { body: Ok(Response::Close(_)), .. }));
        for reply in &replies {
            match &reply.body {
                Ok(Response::Create(body)) if !closed => assert!(self.owned.insert(body.file_id.persistent)),
                Ok(Response::TreeConnect(_)) => assert!(self.owned_trees.insert(reply.tree_id)),
                _ => {}
            }
        }
    }

    fn cancelled(&mut self, message_id: u64) {
        if let Some(held) = self.held.iter_mut().find(|held| held.header.message_id == message_id)
            && held.header.command == Command::Read
        {
            (held.status, held.body) = (NtStatus(0xC000_0120), None);
        }
    }

    /// What the request does on the server, at once.
    fn carry_out(
        &mut self,
        header: &Header,
        request: &Request,
        message: &Bytes,
    ) -> (NtStatus, Option<Response>) {
        let related = header.flags.contains(HeaderFlags::RELATED_OPERATIONS);
        if related && let Err(status) = self.current {
            return (status, None);
        }
        let fails = self.random.chance(10);
        match request {
            Request::Create(_) => {
                self.current = Err(NtStatus::OBJECT_NAME_NOT_FOUND);
                if fails {
                    return (NtStatus::OBJECT_NAME_NOT_FOUND, None);
                }
                self.next_file += 1;
                self.open.insert(self.next_file);
                let file_id = FileId { persistent: self.next_file, volatile: self.next_file };
                self.current = Ok(file_id);
                let body = CreateResponse { file_id, ..create_response() };
                (NtStatus::SUCCESS, Some(Response::Create(body)))
            }
            Request::Close(body) => {
                let id = if body.file_id == FileId::RELATED { self.current } else { Ok(body.file_id) };
                // Only within a chain: the server gives up in its middle.
                if related && fails {
                    return (NtStatus::INSUFFICIENT_RESOURCES, None);
                }
                let known = id.is_ok_and(|id| self.open.remove(&id.persistent));
                assert!(known, "something is closed twice, or was never open");
                (NtStatus::SUCCESS, Some(Response::Close(CloseResponse::default())))
            }
            Request::TreeConnect(_) => {
                if fails {
                    return (NtStatus::ACCESS_DENIED, None);
                }
                self.next_tree += 1;
                self.trees.insert(self.next_tree);
                let (status, body) = self.pair.server.answer(header, request, message);
                (status, Some(body))
            }
            Request::TreeDisconnect(_) => {
                assert!(self.trees.remove(&header.tree_id()), "a tree is left twice");
                (NtStatus::SUCCESS, Some(Response::TreeDisconnect(Empty)))
            }
            Request::Read(_) if fails => (NtStatus::ACCESS_DENIED, None),
            Request::Read(_) => {
                (NtStatus::SUCCESS, Some(Response::Read(ReadResponse { data: Bytes::new() })))
            }
            _ => {
                let (status, body) = self.pair.server.answer(header, request, message);
                (status, Some(body))
            }
        }
    }

    /// A few credits, often none; but an honest server never leaves its client with nothing.
    fn grant(&mut self, last: bool) -> u16 {
        let generous = self.random.below(4);
        let some = [0, 0, 1, 2, 5][self.random.below(5) as usize] + u64::from(self.credits < 3) * generous;
        let some = if last && self.credits + some == 0 { 1 } else { some };
        some as u16
    }

    fn reply(&mut self, held: &Held, credits: u16) -> Vec<u8> {
        let mut header = Header::response_to(&held.header, held.status.0, credits);
        if let Some(Response::TreeConnect(_)) = held.body {
            header.route = Route::Sync { tree_id: held.tree_id };
        }
        if let Some(async_id) = held.async_id {
            header.route = Route::Async { async_id };
        }
        let mut message = Vec::new();
        encode_message(&mut message, &header, |w| match &held.body {
            Some(body) => body.encode(w),
            None => ErrorResponse::default().encode(w),
        });
        if held.encrypted { self.pair.server.encrypt(message) } else { self.pair.server.sign(message) }
    }

    fn answer_any(&mut self) {
        if self.held.is_empty() || self.closed() {
            return;
        }
        let index = self.random.below(self.held.len() as u64) as usize;
        let held = self.held.remove(index);
        let credits = self.grant(self.held.is_empty());
        let reply = self.reply(&held, credits);
        self.credits += u64::from(credits);
        self.spent -= if held.settled { 0 } else { u64::from(held.charge) };
        self.pair.deliver(&reply);
        assert!(self.pair.client.closed().is_none_or(|error| *error == PeerMisbehaved::Starved.into()));
        self.last = reply;
    }

    fn say_pending(&mut self) {
        if self.held.is_empty() || self.closed() {
            return;
        }
        let index = self.random.below(self.held.len() as u64) as usize;
        // A tree's number has its place where an operation's name is.
        if self.held[index].interims > 6 || matches!(self.held[index].header.command, Command::TreeConnect) {
            return;
        }
        let credits = self.grant(false);
        let held = &mut self.held[index];
        held.interims += 1;
        let async_id = *held.async_id.get_or_insert(held.header.message_id + 7);
        if credits > 0 && !std::mem::replace(&mut held.settled, true) {
            self.spent -= u64::from(held.charge);
        }
        self.credits += u64::from(credits);
        let mut header = Header::response_to(&held.header, NtStatus::PENDING.0, credits);
        header.route = Route::Async { async_id };
        let mut message = Vec::new();
        encode_message(&mut message, &header, |w| ErrorResponse::default().encode(w));
        let frame = if held.encrypted { self.pair.server.encrypt(message) } else { message };
        self.pair.deliver(&frame);
    }

    /// Something that is not the server's: it ends the connection and does nothing else.
    fn forge(&mut self) {
        if self.held.is_empty() || self.closed() {
            return;
        }
        let held = self.held.remove(self.random.below(self.held.len() as u64) as usize);
        let mut frame = self.reply(&held, 1);
        let length = frame.len() as u64;
        match self.random.below(5) {
            0 => frame.truncate(self.random.below(length) as usize),
            1 => frame[self.random.below(length) as usize] ^= 1 << self.random.below(8),
            2 => frame.extend_from_slice(b"more"),
            3 if !self.last.is_empty() => frame = self.last.clone(),
            _ => frame = (0..self.random.below(300)).map(|_| self.random.next() as u8).collect(),
        }
        self.pair.deliver(&frame);
        assert!(matches!(
            self.pair.ended(),
            ConnectionError::PeerMisbehaved(_) | ConnectionError::PeerIncompatible(_)
        ));
    }

    fn check(&self) {
        if self.closed() {
            return;
        }
        let activity = self.pair.client.activity();
        assert_eq!(u64::from(activity.credits), self.credits, "credits in hand");
        assert_eq!(u64::from(activity.spent), self.spent, "credits under way");
        assert_eq!(activity.in_flight, self.held.len(), "messages under way");
        assert_eq!(activity.unsent, 0);
    }

    /// The server answers all that is left; then everybody must have been told, and nothing be left.
    fn end(mut self) {
        for _ in 0..1000 {
            if self.closed() || (self.held.is_empty() && self.pair.client.activity().waiting == 0) {
                break;
            }
            self.answer_any();
            self.work();
            self.check();
        }
        self.work();
        let activity = self.pair.client.activity();
        assert_eq!((activity.waiting, activity.in_flight, activity.unsent), (0, 0, 0), "{activity:?}");
        assert!(self.pair.client.deadlines.is_empty() && self.pair.client.queue.is_empty());
        assert!(!self.tokens.values().any(|fate| *fate == Fate::Waiting), "never told: {:?}", self.tokens);
        if !self.closed() {
            assert_eq!(self.open, self.owned, "opens that nobody has");
            assert_eq!(self.trees, self.owned_trees, "trees that nobody has");
        }
    }
}

fn play(part: u64) {
    for seed in part * PART..(part + 1) * PART {
        let played = std::panic::catch_unwind(|| {
            let mut life = Life::new(seed);
            for _ in 0..STEPS {
                if life.closed() {
                    break;
                }
                life.step();
            }
            life.end();
        });
        assert!(played.is_ok(), "the schedule of seed {seed} failed: see above");
    }
}

#[test]
fn schedules_first_quarter() {
    play(0);
}

#[test]
fn schedules_second_quarter() {
    play(1);
}

#[test]
fn schedules_third_quarter() {
    play(2);
}

#[test]
fn schedules_fourth_quarter() {
    play(3);
}
