//! Frames as jobs: signing, encrypting, verifying and decrypting need no access to the connection, so whoever
//! drives it may do them on any thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};

use super::error::{ConnectionError, PeerMisbehaved};
use crate::crypto::{MessageCipher, MessageSigner};
use crate::wire::{
    HEADER_LEN, Header, HeaderFlags, SIGNATURE_OFFSET, TRANSFORM_AAD_OFFSET, TRANSFORM_LEN, TransformHeader,
    Wire, Writer, frame_prefix, split_compound,
};

/// The bytes before each frame that tell its length.
pub const PREFIX_LEN: usize = 4;

/// Gives each encrypted message of a session another nonce, over all of the session's connections.
#[derive(Debug, Default)]
pub(super) struct NonceCounter(AtomicU64);

impl NonceCounter {
    fn next(&self) -> [u8; 16] {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        nonce
    }
}

/// What protects an outgoing frame.
pub(super) enum OutboundKey {
    None,
    Sign(Arc<dyn MessageSigner>),
    Encrypt { cipher: Arc<dyn MessageCipher>, nonces: Arc<NonceCounter>, nonce_len: usize, session_id: u64 },
}

/// A frame that is to be sent once it is signed or encrypted.
pub struct Outbound {
    /// Room for the prefix (and the transform header), then the messages.
    buffer: Vec<u8>,
    /// Where each message of the chain begins in `buffer`.
    starts: Vec<usize>,
    key: OutboundKey,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("length", &self.buffer.len()).finish_non_exhaustive()
    }
}

impl Outbound {
    pub(super) fn new(key: OutboundKey, capacity: usize) -> Self {
        let reserved = match key {
            OutboundKey::Encrypt { .. } => PREFIX_LEN + TRANSFORM_LEN,
            _ => PREFIX_LEN,
        };
        let mut buffer = Vec::with_capacity(reserved + capacity);
        buffer.resize(reserved, 0);
        Self { buffer, starts: Vec::with_capacity(1), key }
    }

    /// Whether the replies must be encrypted.
    pub(super) const fn encrypts(&self) -> bool {
        matches!(self.key, OutboundKey::Encrypt { .. })
    }

    /// Whether the replies must be signed.
    pub(super) const fn signs(&self) -> bool {
        matches!(self.key, OutboundKey::Sign(_))
    }

    /// Appends a message. All but the last must have been padded by [`Self::chain`].
    pub(super) fn push(&mut self, mut header: Header, body: impl FnOnce(&mut Writer<'_>)) {
        header.flags.set(HeaderFlags::SIGNED, self.signs());
        self.starts.push(self.buffer.len());
        crate::wire::encode_message(&mut self.buffer, &header, body);
    }

    /// Pads the last message and links it to the one that comes next.
    pub(super) fn chain(&mut self) {
        let Some(&start) = self.starts.last() else { return };
        let length = (self.buffer.len() - start).next_multiple_of(8);
        self.buffer.resize(start + length, 0);
        let mut next = crate::wire::len32(length).to_le_bytes();
        self.buffer[start + 20..start + 24].swap_with_slice(&mut next);
    }

    /// The only message, as the preauthentication hash wants it.
    pub(super) fn message(&self) -> &[u8] {
        self.starts.first().map_or(&[], |start| &self.buffer[*start..])
    }

    /// Signs or encrypts. The result begins with the prefix and goes out as it is.
    ///
    /// # Errors
    /// The cryptography failed, which is this machine's fault.
    pub fn seal(mut self) -> Result<Vec<u8>, ConnectionError> {
        match &self.key {
            OutboundKey::None => {}
            OutboundKey::Sign(signer) => {
                let ends = self.starts.iter().skip(1).copied().chain([self.buffer.len()]);
                for (start, end) in self.starts.iter().copied().zip(ends.collect::<Vec<_>>()) {
                    let message = &mut self.buffer[start..end];
                    let signature = signer.sign(&gmac_nonce(message), &[message]);
                    message[SIGNATURE_OFFSET..SIGNATURE_OFFSET + 16].copy_from_slice(&signature);
                }
            }
            OutboundKey::Encrypt { cipher, nonces, nonce_len, session_id } => {
                let nonce = nonces.next();
                let (head, data) = self.buffer.split_at_mut(PREFIX_LEN + TRANSFORM_LEN);
                let mut header = TransformHeader {
                    signature: [0; 16],
                    nonce,
                    original_size: crate::wire::len32(data.len()),
                    session_id: *session_id,
                };
                let encoded = encode_transform(&header);
                header.signature =
                    cipher.seal(&nonce[..*nonce_len], &encoded[TRANSFORM_AAD_OFFSET..], data)?;
                head[PREFIX_LEN..].copy_from_slice(&encode_transform(&header));
            }
        }
        let prefix = frame_prefix(self.buffer.len() - PREFIX_LEN);
        self.buffer[..PREFIX_LEN].copy_from_slice(&prefix);
        Ok(self.buffer)
    }
}

fn encode_transform(header: &TransformHeader) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRANSFORM_LEN);
    header.encode(&mut Writer::new(&mut out));
    out
}

/// The nonce of AES-GMAC: the message id, whether it is a response, whether it is a CANCEL
/// ([MS-SMB2] 3.1.4.1). `message` holds a whole header.
pub(super) fn gmac_nonce(message: &[u8]) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&message[24..32]);
    let response = message[16] & 1;
    let cancel = u8::from(message[12..14] == [0x0C, 0]);
    nonce[8] = response | cancel << 1;
    nonce
}

/// How a received message was protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Not at all, or signed by a session that does not exist yet.
    None,
    /// Its signature was right.
    Verified,
    /// It came encrypted, and untouched.
    Decrypted,
}

/// What is to be done to a received frame.
pub(super) enum InboundKey {
    /// For each message: the signer that must confirm it, if any.
    Plain(Vec<Option<Arc<dyn MessageSigner>>>),
    Encrypted {
        cipher: Arc<dyn MessageCipher>,
        nonce_len: usize,
        header: TransformHeader,
    },
}

/// A received frame whose keys are found but not yet used.
pub struct Inbound {
    pub(super) frame: BytesMut,
    pub(super) key: InboundKey,
}

impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound").field("length", &self.frame.len()).finish_non_exhaustive()
    }
}

impl Inbound {
    /// Decrypts or verifies. Decrypts in place; nothing is copied.
    ///
    /// # Errors
    /// The frame is not what the session's other side made, or cannot be read.
    pub fn open(self) -> Result<Opened, ConnectionError> {
        match self.key {
            InboundKey::Encrypted { cipher, nonce_len, header } => {
                let mut frame = self.frame;
                let (head, data) = frame.split_at_mut(TRANSFORM_LEN);
                cipher
                    .open(&header.nonce[..nonce_len], &head[TRANSFORM_AAD_OFFSET..], data, &header.signature)
                    .map_err(|_| PeerMisbehaved::BadSignature)?;
                frame.advance(TRANSFORM_LEN);
                let messages = split_compound(&frame.freeze())?;
                let foreign = |h: &Header| h.message_id != u64::MAX && h.session_id != header.session_id;
                if messages.iter().any(|(h, _)| foreign(h)) {
                    return Err(PeerMisbehaved::Unprotected("encrypted with its own session's key").into());
                }
                Ok(Opened { messages: with(messages, |_| Protection::Decrypted) })
            }
            InboundKey::Plain(signers) => {
                let mut frame = self.frame;
                let mut start = 0;
                for signer in &signers {
                    let message = &mut frame[start..];
                    let next =
                        u32::from_le_bytes([message[20], message[21], message[22], message[23]]) as usize;
                    let end = if next == 0 { message.len() } else { next };
                    if let Some(signer) = signer {
                        verify(&**signer, &mut message[..end])?;
                    }
                    start += end;
                }
                let messages = split_compound(&frame.freeze())?;
                let mut verified = signers.iter().map(Option::is_some);
                Ok(Opened {
                    messages: with(messages, |_| {
                        if verified.next() == Some(true) { Protection::Verified } else { Protection::None }
                    }),
                })
            }
        }
    }
}

/// Checks a message's signature and leaves the message as it was.
fn verify(signer: &dyn MessageSigner, message: &mut [u8]) -> Result<(), ConnectionError> {
    let field = SIGNATURE_OFFSET..SIGNATURE_OFFSET + 16;
    let mut signature = [0; 16];
    signature.swap_with_slice(&mut message[field.clone()]);
    let result = signer.verify(&gmac_nonce(message), &[message], &signature);
    message[field].copy_from_slice(&signature);
    result.map_err(|_| PeerMisbehaved::BadSignature.into())
}

/// Checks the signature of a message that is shared already.
pub(super) fn verify_shared(signer: &dyn MessageSigner, message: &Bytes) -> Result<(), ConnectionError> {
    if message.len() < HEADER_LEN {
        return Err(PeerMisbehaved::BadSignature.into());
    }
    verify(signer, &mut message.to_vec())
}

fn with(
    messages: Vec<(Header, Bytes)>,
    mut protection: impl FnMut(&Header) -> Protection,
) -> Vec<(Header, Bytes, Protection)> {
    messages
        .into_iter()
        .map(|(header, message)| {
            let protection = protection(&header);
            (header, message, protection)
        })
        .collect()
}

/// The messages of a frame, decrypted or verified as far as keys exist.
#[derive(Debug)]
pub struct Opened {
    pub(super) messages: Vec<(Header, Bytes, Protection)>,
}
