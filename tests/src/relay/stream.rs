//! One direction of one connection, and what is done to its bytes and messages.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

/// What happens to a stream once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// All connections are cut at this byte.
    Cut,
    /// A bit of this byte is turned.
    Corrupt,
    /// The next whole message is not passed on.
    Drop,
    /// The next whole message is passed on twice.
    Duplicate,
}

/// A whole message on its way, without the length before it ([MS-SMB2] 2.1).
#[derive(Debug)]
pub struct Message {
    /// Which of the relay's connections it is on; the first is 0.
    pub connection: u64,
    /// Where it goes.
    pub way: Way,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// Sees each whole message, and says what is passed on in its place.
pub type Meddler = dyn FnMut(Message) -> Vec<Vec<u8>> + Send;

/// What is to be done to the streams of a relay.
#[derive(Default)]
pub(super) struct Tampering {
    to_server: Mutex<Option<(u64, Damage)>>,
    to_client: Mutex<Option<(u64, Damage)>>,
    meddler: Mutex<Option<Box<Meddler>>>,
}

impl fmt::Debug for Tampering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tampering").finish_non_exhaustive()
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tampering {
    fn armed(&self, way: Way) -> MutexGuard<'_, Option<(u64, Damage)>> {
        match way {
            Way::ToServer => held(&self.to_server),
            Way::ToClient => held(&self.to_client),
        }
    }

    pub(super) fn arm(&self, way: Way, damage: Option<(u64, Damage)>) {
        *self.armed(way) = damage;
    }

    pub(super) fn is_armed(&self) -> bool {
        self.armed(Way::ToServer).is_some() || self.armed(Way::ToClient).is_some()
    }

    pub(super) fn meddle(&self, meddler: Option<Box<Meddler>>) {
        *held(&self.meddler) = meddler;
    }

    /// What is to be done to the message that begins now, if its time has come.
    fn of_message(&self, way: Way) -> Option<Damage> {
        let mut armed = self.armed(way);
        match *armed {
            Some((0, damage @ (Damage::Drop | Damage::Duplicate))) => {
                *armed = None;
                Some(damage)
            }
            _ => None,
        }
    }

    /// Damages what is passed on; true if it ends with a cut.
    fn of_bytes(&self, way: Way, bytes: &mut Vec<u8>) -> bool {
        let mut armed = self.armed(way);
        let Some((left, damage)) = &mut *armed else { return false };
        let length = bytes.len() as u64;
        let due = *left < length;
        let at = usize::try_from(*left).unwrap_or(usize::MAX);
        *left = left.saturating_sub(length);
        match *damage {
            Damage::Cut if due => {
                bytes.truncate(at);
                *armed = None;
                true
            }
            Damage::Corrupt if due => {
                bytes[at] ^= 0x10;
                *armed = None;
                false
            }
            _ => false,
        }
    }
}

/// Where in its messages one direction of a connection is.
#[derive(Debug)]
pub(super) struct Stream {
    connection: u64,
    way: Way,
    /// As much of the next length as has come.
    head: Vec<u8>,
    /// What is still to come of the message before it.
    left: usize,
    /// The message that is being collected, and what happens to it.
    collected: Option<(Vec<u8>, Option<Damage>)>,
}

impl Stream {
    pub(super) const fn new(connection: u64, way: Way) -> Self {
        Self { connection, way, head: Vec::new(), left: 0, collected: None }
    }

    pub(super) const fn way(&self) -> Way {
        self.way
    }

    /// What is passed on in the place of these bytes, and whether a cut follows.
    pub(super) fn pass(&mut self, mut data: &[u8], tampering: &Tampering) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(data.len());
        while !data.is_empty() {
            if self.left == 0 {
                let (head, rest) = data.split_at(data.len().min(4 - self.head.len()));
                self.head.extend_from_slice(head);
                data = rest;
                let [_, a, b, c] = self.head[..] else { break };
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
                let damage = tampering.of_message(self.way);
                if damage.is_some() || held(&tampering.meddler).is_some() {
                    self.collected = Some((Vec::new(), damage));
                } else {
                    out.extend_from_slice(&self.head);
                }
                self.head.clear();
            }
            let (body, rest) = data.split_at(self.left.min(data.len()));
            self.left -= body.len();
            data = rest;
            match &mut self.collected {
                None => out.extend_from_slice(body),
                Some((bytes, _)) => bytes.extend_from_slice(body),
            }
            if self.left == 0
                && let Some((bytes, damage)) = self.collected.take()
            {
                self.release(bytes, damage, tampering, &mut out);
            }
        }
        let cut = tampering.of_bytes(self.way, &mut out);
        (out, cut)
    }

    fn release(&self, bytes: Vec<u8>, damage: Option<Damage>, tampering: &Tampering, out: &mut Vec<u8>) {
        let copies = match damage {
            Some(Damage::Drop) => 0,
            Some(Damage::Duplicate) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let message = Message { connection: self.connection, way: self.way, bytes: bytes.clone() };
            let instead = match &mut *held(&tampering.meddler) {
                Some(meddler) => meddler(message),
                None => vec![message.bytes],
            };
            for bytes in instead {
                let length = u32::try_from(bytes.len()).expect("a message is below 16 MiB");
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(lengths: &[usize]) -> Vec<u8> {
        let mut stream = Vec::new();
        for (i, length) in lengths.iter().enumerate() {
            stream.extend_from_slice(&u32::try_from(*length).expect("small").to_be_bytes());
            stream.resize(stream.len() + length, i as u8);
        }
        stream
    }

    fn passed(tampering: &Tampering, data: &[u8], piece: usize) -> Vec<u8> {
        let mut stream = Stream::new(0, Way::ToServer);
        let mut out = Vec::new();
        for piece in data.chunks(piece) {
            let (bytes, cut) = stream.pass(piece, tampering);
            out.extend(bytes);
            if cut {
                break;
            }
        }
        out
    }

    #[test]
    fn damage_strikes_where_it_is_to_however_the_stream_is_cut() {
        let data = messages(&[5, 0, 30, 7]);
        for piece in 1..data.len() + 1 {
            let tampering = Tampering::default();
            assert_eq!(passed(&tampering, &data, piece), data);
            tampering.arm(Way::ToServer, Some((11, Damage::Cut)));
            assert_eq!(passed(&tampering, &data, piece), data[..11]);
            assert!(!tampering.is_armed(), "once");
            tampering.arm(Way::ToServer, Some((20, Damage::Corrupt)));
            let out = passed(&tampering, &data, piece);
            let changed: Vec<_> = (0..data.len()).filter(|at| out[*at] != data[*at]).collect();
            assert_eq!(changed, [20]);
            tampering.arm(Way::ToServer, Some((0, Damage::Drop)));
            assert_eq!(passed(&tampering, &data, piece), data[9..]);
            tampering.arm(Way::ToServer, Some((0, Damage::Duplicate)));
            assert_eq!(passed(&tampering, &data, piece), [&data[..9], &data].concat());
            tampering.meddle(Some(Box::new(|message| vec![vec![9; message.bytes.len()]])));
            let out = passed(&tampering, &data, piece);
            assert_eq!(out[..9], [0, 0, 0, 5, 9, 9, 9, 9, 9]);
            assert_eq!(out.len(), data.len());
        }
    }
}
