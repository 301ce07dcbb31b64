//! AES-GCM, AES-GMAC, AES-CMAC and HMAC-SHA256 by AWS-LC, the rest by the RustCrypto crates.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{cmac, hmac};
use subtle::ConstantTimeEq;

use super::gmac::{Gcm, GmacSigner};
use super::{
    Cipher, CryptoError, CryptoProvider, Key, MessageCipher, MessageSigner, SigningAlgorithm, rust_crypto,
};

/// The provider built on AWS-LC. It has no AES-CCM for nonces of 11 bytes; that and the random numbers are those
/// of [`rust_crypto`](super::rust_crypto()).
///
/// AWS-LC wipes the memory that it frees, expanded keys among it. What the compiler leaves of them in registers and
/// on the stack is not wiped.
pub fn aws_lc() -> Arc<dyn CryptoProvider> {
    Arc::new(AwsLc { rest: rust_crypto() })
}

struct AwsLc {
    rest: Arc<dyn CryptoProvider>,
}

impl CryptoProvider for AwsLc {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.rest.random(out)
    }

    fn signer(&self, algorithm: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError> {
        let key: &[u8; 16] = key.as_bytes().try_into().map_err(|_| CryptoError::KeyLength)?;
        Ok(match algorithm {
            SigningAlgorithm::HmacSha256 => Box::new(HmacSigner(hmac::Key::new(hmac::HMAC_SHA256, key))),
            SigningAlgorithm::AesCmac => {
                Box::new(CmacSigner(cmac::Key::new(cmac::AES_128, key).map_err(|_| CryptoError::KeyLength)?))
            }
            SigningAlgorithm::AesGmac => {
                Box::new(GmacSigner::new(GcmCipher::new(Cipher::Aes128Gcm, key)?, key))
            }
        })
    }

    fn cipher(&self, cipher: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError> {
        match cipher {
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => Ok(Box::new(GcmCipher::new(cipher, key.as_bytes())?)),
            Cipher::Aes128Ccm | Cipher::Aes256Ccm => self.rest.cipher(cipher, key),
        }
    }
}

struct HmacSigner(hmac::Key);

impl MessageSigner for HmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = hmac::Context::with_key(&self.0);
        for part in parts {
            mac.update(part);
        }
        let mut signature = [0; 16];
        signature.copy_from_slice(&mac.sign().as_ref()[..16]);
        signature
    }
}

struct CmacSigner(cmac::Key);

impl CmacSigner {
    /// `None` should AWS-LC fail, for which it has no reason.
    fn tag(&self, parts: &[&[u8]]) -> Option<[u8; 16]> {
        let mut mac = cmac::Context::with_key(&self.0);
        for part in parts {
            mac.update(part).ok()?;
        }
        mac.sign().ok()?.as_ref().try_into().ok()
    }
}

impl MessageSigner for CmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        self.tag(parts).unwrap_or_default()
    }

    // Not the provided one, lest the zeros of a failure verify.
    fn verify(&self, _nonce: &[u8; 12], parts: &[&[u8]], signature: &[u8; 16]) -> Result<(), CryptoError> {
        let tag = self.tag(parts).ok_or(CryptoError::Tag)?;
        if tag.ct_eq(signature).into() { Ok(()) } else { Err(CryptoError::Tag) }
    }
}

struct GcmCipher(LessSafeKey);

impl GcmCipher {
    fn new(cipher: Cipher, key: &[u8]) -> Result<Self, CryptoError> {
        let algorithm = if cipher.key_len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = UnboundKey::new(algorithm, key).map_err(|_| CryptoError::KeyLength)?;
        Ok(Self(LessSafeKey::new(key)))
    }
}

impl Gcm for GcmCipher {
    fn gmac(&self, nonce: &[u8; 12], message: &[u8]) -> Option<[u8; 16]> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(message), &mut []).ok()?;
        tag.as_ref().try_into().ok()
    }
}

impl MessageCipher for GcmCipher {
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::NonceLength)?;
        let tag = self.0.seal_in_place_separate_tag(nonce, Aad::from(aad), data);
        tag.ok().and_then(|tag| tag.as_ref().try_into().ok()).ok_or(CryptoError::TooLong)
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CryptoError::NonceLength)?;
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(aad), tag, data);
        opened.map(|_| ()).map_err(|_| CryptoError::Tag)
    }
}
