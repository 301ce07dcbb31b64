//! Cryptography that hides nothing and costs nothing, so that many schedules can be played: it finds out only
//! whether the same key, nonce and bytes were used on both sides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::crypto::{
    Cipher, CryptoError, CryptoProvider, Key, MessageCipher, MessageSigner, SigningAlgorithm,
};

pub(super) fn toy_crypto() -> Arc<dyn CryptoProvider> {
    Arc::new(Toy(AtomicU8::new(0)))
}

struct Toy(AtomicU8);

impl CryptoProvider for Toy {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        out.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }

    fn signer(&self, _: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError> {
        Ok(Box::new(ToyKey(sum(1, &[key.as_bytes()]))))
    }

    fn cipher(&self, _: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError> {
        Ok(Box::new(ToyKey(sum(2, &[key.as_bytes()]))))
    }
}

struct ToyKey(u64);

/// Depends on every byte and its place.
fn sum(start: u64, parts: &[&[u8]]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
    parts.iter().flat_map(|part| part.iter()).fold(start ^ 0xcbf2_9ce4_8422_2325, step)
}

impl ToyKey {
    fn tag(&self, nonce: &[u8], parts: &[&[u8]]) -> [u8; 16] {
        let nonce = sum(self.0, &[nonce]);
        let tag = sum(nonce, parts);
        let mut out = [0; 16];
        out[..8].copy_from_slice(&tag.to_le_bytes());
        out[8..].copy_from_slice(&nonce.to_le_bytes());
        out
    }
}

impl MessageSigner for ToyKey {
    fn sign(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        self.tag(nonce, parts)
    }
}

impl MessageCipher for ToyKey {
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        let tag = self.tag(nonce, &[aad, data]);
        data.iter_mut().for_each(|byte| *byte ^= 0x5A);
        Ok(tag)
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        data.iter_mut().for_each(|byte| *byte ^= 0x5A);
        if self.tag(nonce, &[aad, data]) == *tag { Ok(()) } else { Err(CryptoError::Tag) }
    }
}
