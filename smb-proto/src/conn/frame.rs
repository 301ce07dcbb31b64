//! Frames as jobs: signing, encrypting, verifying and decrypting need no access to the connection, so whoever
//! drives it may do them on any thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, Bytes, BytesMut};
use smallvec::SmallVec;

use super::error::{ConnectionError, PeerMisbehaved};
use crate::crypto::{MessageCipher, MessageSigner};
use crate::wire::{
    COMPRESSION_MAGIC, HEADER_LEN, Header, HeaderFlags, Request, SIGNATURE_OFFSET, TRANSFORM_AAD_OFFSET,
    TRANSFORM_LEN, TransformHeader, WriteRequest, each_message, frame_prefix,
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

/// Payloads from here on stay where they are and are sent from there; smaller ones cost less to copy.
const SHARED_PAYLOAD: usize = 16 << 10;
/// A WRITE request behind its header and before its data, and where its Length field is ([MS-SMB2] 2.2.21).
const WRITE_FIXED: usize = 48;
const WRITE_LENGTH: std::ops::Range<usize> = 4..8;
/// Most chains have no more requests than this, and need no memory of their own to be counted.
pub(super) const CHAIN: usize = 4;
/// Frames from here on are worth another task's while.
const HEAVY: usize = 64 << 10;

/// A frame that is to be sent once it is signed or encrypted.
pub struct Outbound {
    /// Room for the prefix (and the transform header), then the messages.
    buffer: Vec<u8>,
    /// Where each message of the chain begins in `buffer`.
    starts: SmallVec<[usize; CHAIN]>,
    /// The large payload of the last message, which belongs behind `buffer`.
    payload: Bytes,
    key: OutboundKey,
}

/// A frame to send as it is: `head`, then `payload`.
pub struct SealedFrame {
    /// The length prefix, the headers and all that is small.
    pub head: Vec<u8>,
    /// The caller's own bytes, not copied; often empty.
    pub payload: Bytes,
}

// What is in a frame is its sender's matter: content of files, where it is not encrypted, and logins.
impl fmt::Debug for SealedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.head.len() + self.payload.len();
        f.debug_struct("SealedFrame").field("length", &length).finish_non_exhaustive()
    }
}

impl SealedFrame {
    /// The two parts in one buffer, as a test or a simple transport wants them.
    pub fn into_vec(self) -> Vec<u8> {
        let Self { mut head, payload } = self;
        head.extend_from_slice(&payload);
        head
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("length", &self.len()).finish_non_exhaustive()
    }
}

impl Outbound {
    /// Builds in `buffer`, whose contents go and whose capacity stays.
    pub(super) fn new(key: OutboundKey, mut buffer: Vec<u8>) -> Self {
        let reserved = match key {
            OutboundKey::Encrypt { .. } => PREFIX_LEN + TRANSFORM_LEN,
            _ => PREFIX_LEN,
        };
        buffer.clear();
        buffer.reserve(256);
        buffer.resize(reserved, 0);
        Self { buffer, starts: SmallVec::new(), payload: Bytes::new(), key }
    }

    fn len(&self) -> usize {
        self.buffer.len() + self.payload.len()
    }

    /// Whether sealing takes long enough that another thread should do it.
    pub fn is_heavy(&self) -> bool {
        !matches!(self.key, OutboundKey::None) && self.len() >= HEAVY
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
    ///
    /// The payload of a large WRITE is not copied, as long as nothing is chained behind it.
    pub(super) fn push(&mut self, mut header: Header, request: &Request, last: bool) {
        header.flags.set(HeaderFlags::SIGNED, self.signs());
        let start = self.buffer.len();
        self.starts.push(start);
        match request {
            Request::Write(write) if last && write.data.len() >= SHARED_PAYLOAD => {
                let empty = Request::Write(WriteRequest { data: Bytes::new(), ..write.clone() });
                crate::wire::encode_message(&mut self.buffer, &header, |w| empty.encode(w));
                // An empty buffer is encoded as a byte that does not count.
                self.buffer.truncate(start + HEADER_LEN + WRITE_FIXED);
                let length = crate::wire::len32(write.data.len()).to_le_bytes();
                self.buffer[start + HEADER_LEN..][WRITE_LENGTH].copy_from_slice(&length);
                self.payload = write.data.clone();
            }
            _ => crate::wire::encode_message(&mut self.buffer, &header, |w| request.encode(w)),
        }
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

    /// Signs, if that is what the key is for, and needs no key afterwards: what hashes the message wants it signed.
    pub(super) fn sign(&mut self) {
        let OutboundKey::Sign(signer) = &self.key else { return };
        let signer = signer.clone();
        self.key = OutboundKey::None;
        let end = self.buffer.len();
        for (index, &start) in self.starts.iter().enumerate() {
            let next = self.starts.get(index + 1);
            let payload: &[u8] = if next.is_none() { &self.payload } else { &[] };
            let message = &mut self.buffer[start..next.copied().unwrap_or(usize::MAX).min(end)];
            let nonce = gmac_nonce(message);
            let signature = if payload.is_empty() {
                signer.sign(&nonce, &[message])
            } else {
                signer.sign(&nonce, &[message, payload])
            };
            message[SIGNATURE_OFFSET..SIGNATURE_OFFSET + 16].copy_from_slice(&signature);
        }
    }

    /// Signs or encrypts. The result begins with the prefix and goes out as it is.
    ///
    /// # Errors
    /// The cryptography failed, which is this machine's fault.
    pub fn seal(mut self) -> Result<SealedFrame, ConnectionError> {
        self.sign();
        match &self.key {
            OutboundKey::None | OutboundKey::Sign(_) => {}
            OutboundKey::Encrypt { cipher, nonces, nonce_len, session_id } => {
                let nonce = nonces.next();
                // Encryption has to write somewhere, and the payload is the caller's.
                self.buffer.extend_from_slice(&std::mem::take(&mut self.payload));
                let (head, data) = self.buffer.split_at_mut(PREFIX_LEN + TRANSFORM_LEN);
                let mut header = TransformHeader {
                    signature: [0; 16],
                    nonce,
                    original_size: crate::wire::len32(data.len()),
                    session_id: *session_id,
                };
                let aad = &header.to_array()[TRANSFORM_AAD_OFFSET..];
                header.signature = cipher.seal(&nonce[..*nonce_len], aad, data)?;
                head[PREFIX_LEN..].copy_from_slice(&header.to_array());
            }
        }
        let prefix = frame_prefix(self.len() - PREFIX_LEN);
        self.buffer[..PREFIX_LEN].copy_from_slice(&prefix);
        Ok(SealedFrame { head: self.buffer, payload: self.payload })
    }
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
    Plain(SmallVec<[Option<Arc<dyn MessageSigner>>; CHAIN]>),
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
    /// Whether opening takes long enough that another thread should do it.
    pub fn is_heavy(&self) -> bool {
        let keyed = match &self.key {
            InboundKey::Plain(signers) => signers.iter().any(Option::is_some),
            InboundKey::Encrypted { .. } => true,
        };
        keyed && self.frame.len() >= HEAVY
    }

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
                let frame = frame.freeze();
                if frame.starts_with(&COMPRESSION_MAGIC) {
                    return Err(PeerMisbehaved::Compressed.into());
                }
                let opened = Opened::new(frame, |_| Protection::Decrypted)?;
                let foreign = |h: &Header| h.message_id != u64::MAX && h.session_id != header.session_id;
                if opened.messages.iter().any(|(h, ..)| foreign(h)) {
                    return Err(PeerMisbehaved::Unprotected("encrypted with its own session's key").into());
                }
                Ok(opened)
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
                let verified = |index: usize| matches!(signers.get(index), Some(Some(_)));
                Opened::new(frame.freeze(), |index| {
                    if verified(index) { Protection::Verified } else { Protection::None }
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

/// The messages of a frame, decrypted or verified as far as keys exist.
pub struct Opened {
    pub(super) messages: SmallVec<[(Header, Bytes, Protection); 1]>,
    frame: Bytes,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("messages", &self.messages.len()).finish_non_exhaustive()
    }
}

impl Opened {
    fn new(frame: Bytes, protection: impl Fn(usize) -> Protection) -> Result<Self, ConnectionError> {
        let mut messages = SmallVec::new();
        each_message(&frame, |header, message| {
            let protection = protection(messages.len());
            messages.push((header, message, protection));
        })?;
        Ok(Self { messages, frame })
    }

    /// The memory that the frame lies in, which the replies share: once nobody else has it, it can take another
    /// frame.
    pub fn memory(&self) -> Bytes {
        self.frame.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Command, FileId, WriteRequest};

    #[test]
    fn a_payload_that_stays_where_it_is_makes_the_same_frame() {
        for length in [SHARED_PAYLOAD - 1, SHARED_PAYLOAD, SHARED_PAYLOAD + 1] {
            let data = Bytes::from((0..length).map(|i| i as u8).collect::<Vec<_>>());
            let request =
                Request::Write(WriteRequest { offset: 7, file_id: FileId::RELATED, flags: 0, data });
            let frame = |last| {
                let mut outbound = Outbound::new(OutboundKey::None, Vec::new());
                outbound.push(Header::request(Command::Write, 3), &request, last);
                outbound.seal().unwrap()
            };
            let (shared, copied) = (frame(true), frame(false));
            assert_eq!(shared.payload.is_empty(), length < SHARED_PAYLOAD);
            assert!(copied.payload.is_empty());
            assert_eq!(shared.into_vec(), copied.into_vec());
        }
    }
}
