//! What somebody between a client and its server may try.

use super::{Meddler, Message, Way};

/// A field of the SMB2 header ([MS-SMB2] 2.2.1.2), by its offset.
const COMMAND: usize = 12;
const FLAGS: usize = 16;
const MESSAGE_ID: usize = 24;
const SIGNATURE: usize = 48;
const BODY: usize = 64;

const NEGOTIATE: u8 = 0;
const SESSION_SETUP: u8 = 1;
/// SMB2_FLAGS_SERVER_TO_REDIR
const ANSWER: u8 = 0x01;
/// SMB2_FLAGS_SIGNED
const SIGNED: u8 = 0x08;

/// What is done to the messages of each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// The client's newest dialect is taken from its offer.
    OlderDialect,
    /// The server's answer names an older dialect than it chose.
    OlderDialectAnswered,
    /// All ciphers but the weakest are taken from the client's offer.
    WeakerCipher,
    /// All signing algorithms but the oldest are taken from the client's offer.
    WeakerSigning,
    /// The server's answers come without their signatures.
    Unsigned,
    /// The server's answers come with other signatures.
    Forged,
    /// Each of the server's answers after the login comes twice.
    Replayed,
    /// What the server answered on an earlier connection is answered again on this one.
    Recorded,
    /// Requests after the login are answered in the server's place.
    Answered,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OlderDialect,
        Self::OlderDialectAnswered,
        Self::WeakerCipher,
        Self::WeakerSigning,
        Self::Unsigned,
        Self::Forged,
        Self::Replayed,
        Self::Recorded,
        Self::Answered,
    ];

    /// Whoever does it, for [`super::Relay::meddle`]. It sees a whole connection first, to know what to say on the next.
    pub fn meddler(self) -> Box<Meddler> {
        let mut first = None;
        let mut recorded: Vec<Vec<u8>> = Vec::new();
        let mut replayed = (0, 0);
        Box::new(move |message| {
            if self != Self::Recorded {
                return self.apply(message);
            }
            let first = *first.get_or_insert(message.connection);
            if message.way == Way::ToServer {
                return vec![message.bytes];
            }
            if message.connection == first {
                recorded.push(message.bytes.clone());
                return vec![message.bytes];
            }
            if replayed.0 != message.connection {
                replayed = (message.connection, 0);
            }
            // With the number that the client waits for.
            let mut old = recorded.get(replayed.1).cloned().unwrap_or_default();
            replayed.1 += 1;
            match old.get_mut(MESSAGE_ID..MESSAGE_ID + 8) {
                Some(id) if message.bytes.len() >= BODY => {
                    id.copy_from_slice(&message.bytes[MESSAGE_ID..MESSAGE_ID + 8]);
                    vec![old]
                }
                _ => vec![message.bytes],
            }
        })
    }

    fn apply(self, message: Message) -> Vec<Vec<u8>> {
        let Message { way, mut bytes, .. } = message;
        let is_plain = bytes.starts_with(b"\xfeSMB") && bytes.len() > BODY;
        if !is_plain {
            return match self {
                Self::Replayed if way == Way::ToClient => vec![bytes.clone(), bytes],
                _ => vec![bytes],
            };
        }
        let command = bytes[COMMAND];
        let is_login = matches!(command, NEGOTIATE | SESSION_SETUP);
        match (self, way, command) {
            (Self::OlderDialect, Way::ToServer, NEGOTIATE) => {
                // The dialects are in rising order.
                let count = u16::from_le_bytes([bytes[BODY + 2], bytes[BODY + 3]]);
                bytes[BODY + 2..BODY + 4].copy_from_slice(&(count - 1).to_le_bytes());
            }
            (Self::OlderDialectAnswered, Way::ToClient, NEGOTIATE) => {
                bytes[BODY + 4..BODY + 6].copy_from_slice(&0x0302_u16.to_le_bytes());
            }
            (Self::WeakerCipher, Way::ToServer, NEGOTIATE) => only_last(&mut bytes, 2),
            (Self::WeakerSigning, Way::ToServer, NEGOTIATE) => only_last(&mut bytes, 8),
            (Self::Unsigned, Way::ToClient, _) => {
                bytes[FLAGS] &= !SIGNED;
                bytes[SIGNATURE..BODY].fill(0);
            }
            (Self::Forged, Way::ToClient, _) if bytes[FLAGS] & SIGNED != 0 => bytes[SIGNATURE] ^= 1,
            (Self::Replayed, Way::ToClient, _) if !is_login => return vec![bytes.clone(), bytes],
            (Self::Answered, Way::ToClient, _) if !is_login => {
                // Success, and nothing else than what a request without an answer's content gets.
                bytes.truncate(BODY);
                bytes[8..12].fill(0);
                bytes[20..24].fill(0);
                bytes[FLAGS] = ANSWER;
                bytes[SIGNATURE..].fill(0);
                bytes.extend_from_slice(&[4, 0, 0, 0]);
            }
            _ => {}
        }
        vec![bytes]
    }
}

/// Leaves of a negotiate context's list ([MS-SMB2] 2.2.3.1) only the last.
fn only_last(bytes: &mut [u8], context: u16) {
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let mut at =
        u32::from_le_bytes([bytes[BODY + 28], bytes[BODY + 29], bytes[BODY + 30], bytes[BODY + 31]]) as usize;
    while at + 8 <= bytes.len() {
        let length = usize::from(word(at + 2));
        if word(at) == context {
            let count = usize::from(word(at + 8));
            // All say the same: the list keeps its length.
            let last = [bytes[at + 8 + 2 * count], bytes[at + 9 + 2 * count]];
            (0..count).for_each(|i| bytes[at + 10 + 2 * i..][..2].copy_from_slice(&last));
            return;
        }
        at = (at + 8 + length).next_multiple_of(8);
    }
}
