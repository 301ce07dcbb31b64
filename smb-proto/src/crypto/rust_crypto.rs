//! The primitives by the RustCrypto crates.

use std::sync::Arc;

use aes::cipher::BlockCipherEncrypt;
use aes::{Aes128, Aes256, Block};
use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadCore, AeadInOut};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

use super::cbc::{Ccm, CmacSigner};
use super::{Cipher, CryptoError, CryptoProvider, Key, MessageCipher, MessageSigner, SigningAlgorithm};

/// The provider built on the RustCrypto crates and the operating system's random number generator: the reference
/// for all others, which runs on every processor.
///
/// Expanded keys and the states made of them are wiped when a signer or a cipher is dropped. What is left of them in
/// registers and on the stack while one is made is not.
pub fn rust_crypto() -> Arc<dyn CryptoProvider> {
    Arc::new(RustCrypto)
}

struct RustCrypto;

impl CryptoProvider for RustCrypto {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(out).map_err(|_| CryptoError::Random)
    }

    fn signer(&self, algorithm: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError> {
        // HMAC would take any length; a signing key of another length is a mistake all the same.
        let key: &[u8; 16] = key.as_bytes().try_into().map_err(|_| CryptoError::KeyLength)?;
        Ok(match algorithm {
            SigningAlgorithm::HmacSha256 => Box::new(HmacSigner(keyed(key)?)),
            SigningAlgorithm::AesCmac => Box::new(CmacSigner::new(key)),
            SigningAlgorithm::AesGmac => Box::new(GmacSigner::new(key)),
        })
    }

    fn cipher(&self, cipher: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError> {
        let key = key.as_bytes();
        Ok(match cipher {
            Cipher::Aes128Ccm => Box::new(Ccm::<Aes128>::new(key)?),
            Cipher::Aes128Gcm => Box::new(AeadCipher::<Aes128Gcm>(keyed(key)?)),
            Cipher::Aes256Ccm => Box::new(Ccm::<Aes256>::new(key)?),
            Cipher::Aes256Gcm => Box::new(AeadCipher::<Aes256Gcm>(keyed(key)?)),
        })
    }
}

fn keyed<P: KeyInit>(key: &[u8]) -> Result<P, CryptoError> {
    P::new_from_slice(key).map_err(|_| CryptoError::KeyLength)
}

struct HmacSigner(Hmac<Sha256>);

impl MessageSigner for HmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        let mut signature = [0; 16];
        signature.copy_from_slice(&mac[..16]);
        signature
    }
}

/// GMAC is GCM over no plaintext, with the message as its associated data (SP800-38D 3). It is put together here
/// from GHASH and one AES block because `aes-gcm` wants the message in one piece.
struct GmacSigner {
    aes: Aes128,
    ghash: GHash,
}

impl GmacSigner {
    fn new(key: &[u8; 16]) -> Self {
        let aes = Aes128::new(key.into());
        let mut subkey = Block::default();
        aes.encrypt_block(&mut subkey);
        let ghash = GHash::new(&subkey);
        subkey.zeroize();
        Self { aes, ghash }
    }
}

impl MessageSigner for GmacSigner {
    fn sign(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut ghash = self.ghash.clone();
        // What has come of a block that the next part goes on with.
        let (mut begun, mut held) = (Block::default(), 0);
        let mut len = 0;
        for part in parts {
            len += part.len() as u64;
            let mut part = *part;
            if held > 0 {
                let (taken, rest) = part.split_at(part.len().min(16 - held));
                begun[held..held + taken.len()].copy_from_slice(taken);
                held += taken.len();
                if held < 16 {
                    continue;
                }
                ghash.update(&[begun]);
                part = rest;
            }
            let (blocks, rest) = Block::slice_as_chunks(part);
            ghash.update(blocks);
            begun[..rest.len()].copy_from_slice(rest);
            held = rest.len();
        }
        ghash.update_padded(&begun[..held]);
        let mut lengths = Block::default();
        lengths[..8].copy_from_slice(&(len * 8).to_be_bytes());
        ghash.update(&[lengths]);

        let mut tag = Block::default();
        tag[..12].copy_from_slice(nonce);
        tag[15] = 1;
        self.aes.encrypt_block(&mut tag);
        for (byte, hash) in tag.iter_mut().zip(ghash.finalize()) {
            *byte ^= hash;
        }
        tag.into()
    }
}

struct AeadCipher<A>(A);

impl<A: AeadInOut + AeadCore<TagSize = U16> + Send + Sync> MessageCipher for AeadCipher<A> {
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        let tag = self.0.encrypt_inout_detached(nonce, aad, data.into()).map_err(|_| CryptoError::TooLong)?;
        Ok(tag.into())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        self.0.decrypt_inout_detached(nonce, aad, data.into(), tag.into()).map_err(|_| CryptoError::Tag)
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    // It depends on each crate's feature, which nobody would miss.
    #[test]
    fn keys_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Aes128>();
        wiped::<Aes256>();
        wiped::<Aes128Gcm>();
        wiped::<Aes256Gcm>();
        // HMAC holds two of it, and no more than that.
        wiped::<Sha256>();
    }
}
