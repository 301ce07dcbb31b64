//! AES-GCM and AES-GMAC by the crate `graviola`, the rest by the RustCrypto crates.

use std::sync::Arc;

use graviola::aead::AesGcm;

use super::gmac::{Gcm, GmacSigner};
use super::{
    Cipher, CryptoError, CryptoProvider, Key, MessageCipher, MessageSigner, SigningAlgorithm, rust_crypto,
};

/// The longest plaintext that one counter of 32 bits can encrypt (SP800-38D 5.2.1.1). graviola does not look.
const PLAINTEXT_MAX: u64 = (1 << 36) - 32;

/// `None` on a processor that lacks what graviola needs, where it panics.
pub(super) fn provider() -> Option<Arc<dyn CryptoProvider>> {
    runs_here().then(|| Arc::new(Graviola { rest: rust_crypto() }) as _)
}

#[cfg(target_arch = "x86_64")]
fn runs_here() -> bool {
    use std::arch::is_x86_feature_detected as has;
    // What graviola asserts and what it documents differ in bmi1, bmi2 and ssse3.
    has!("aes")
        && has!("pclmulqdq")
        && has!("ssse3")
        && has!("avx")
        && has!("avx2")
        && has!("bmi1")
        && has!("bmi2")
        && has!("adx")
}

#[cfg(target_arch = "aarch64")]
fn runs_here() -> bool {
    use std::arch::is_aarch64_feature_detected as has;
    has!("neon") && has!("aes") && has!("pmull") && has!("sha2")
}

struct Graviola {
    rest: Arc<dyn CryptoProvider>,
}

impl CryptoProvider for Graviola {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        self.rest.random(out)
    }

    fn signer(&self, algorithm: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError> {
        match algorithm {
            SigningAlgorithm::AesGmac => {
                let key: &[u8; 16] = key.as_bytes().try_into().map_err(|_| CryptoError::KeyLength)?;
                Ok(Box::new(GmacSigner::new(AesGcm::new(key), key)))
            }
            // graviola has no AES outside of GCM; its HMAC-SHA256 is as fast as RustCrypto's and not wiped.
            SigningAlgorithm::AesCmac | SigningAlgorithm::HmacSha256 => self.rest.signer(algorithm, key),
        }
    }

    fn cipher(&self, cipher: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError> {
        match cipher {
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => {
                let key = key.as_bytes();
                // graviola panics at another length.
                if key.len() != cipher.key_len() {
                    return Err(CryptoError::KeyLength);
                }
                Ok(Box::new(GcmCipher(AesGcm::new(key))))
            }
            Cipher::Aes128Ccm | Cipher::Aes256Ccm => self.rest.cipher(cipher, key),
        }
    }
}

impl Gcm for AesGcm {
    fn gmac(&self, nonce: &[u8; 12], message: &[u8]) -> Option<[u8; 16]> {
        let mut tag = [0; 16];
        self.encrypt(nonce, message, &mut [], &mut tag);
        Some(tag)
    }
}

struct GcmCipher(AesGcm);

impl MessageCipher for GcmCipher {
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        if data.len() as u64 > PLAINTEXT_MAX {
            return Err(CryptoError::TooLong);
        }
        let mut tag = [0; 16];
        self.0.encrypt(nonce, aad, data, &mut tag);
        Ok(tag)
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        if data.len() as u64 > PLAINTEXT_MAX {
            return Err(CryptoError::Tag);
        }
        self.0.decrypt(nonce, aad, data, tag).map_err(|_| CryptoError::Tag)
    }
}
