//! What the protocol asks of an implementation of the primitives.

use subtle::ConstantTimeEq;

use super::{Cipher, Key, SigningAlgorithm};

/// Why a cryptographic operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The operating system gave no random bytes.
    #[error("the operating system's random number generator failed")]
    Random,
    /// The caller passed a key of a length the algorithm does not take.
    #[error("the key has the wrong length for the algorithm")]
    KeyLength,
    /// The caller passed a nonce of a length other than [`Cipher::nonce_len`].
    #[error("the nonce has the wrong length for the cipher")]
    NonceLength,
    /// The caller passed more data than the cipher can protect under one nonce.
    #[error("the message is too long for the cipher")]
    TooLong,
    /// The peer's signature or authentication tag does not fit its message: it was altered on the way, or
    /// made with another key.
    #[error("the signature or authentication tag does not match the message")]
    Tag,
}

/// An implementation of the primitives. [`default_provider`](super::default_provider()) chooses among those that
/// come with this crate.
pub trait CryptoProvider: Send + Sync + 'static {
    /// Fills `out` with bytes fit for keys and nonces.
    ///
    /// # Errors
    /// [`CryptoError::Random`].
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError>;

    /// A signer for many messages with one key of 16 bytes.
    ///
    /// # Errors
    /// [`CryptoError::KeyLength`].
    fn signer(&self, algorithm: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError>;

    /// A cipher for many messages with one key of [`Cipher::key_len`] bytes.
    ///
    /// # Errors
    /// [`CryptoError::KeyLength`].
    fn cipher(&self, cipher: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError>;
}

/// Signs and verifies messages with one key ([MS-SMB2] 3.1.4.1, 3.1.5.1).
pub trait MessageSigner: Send + Sync {
    /// The signature of `parts` concatenated, which are the message with its Signature field zeroed.
    ///
    /// `nonce` is used by AES-GMAC only, and must then differ for every message signed with the key.
    fn sign(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16];

    /// Compares `signature` with what [`sign`](Self::sign) gives, in constant time.
    ///
    /// # Errors
    /// [`CryptoError::Tag`] when they differ.
    fn verify(&self, nonce: &[u8; 12], parts: &[&[u8]], signature: &[u8; 16]) -> Result<(), CryptoError> {
        if self.sign(nonce, parts).ct_eq(signature).into() { Ok(()) } else { Err(CryptoError::Tag) }
    }
}

/// Encrypts and decrypts messages with one key ([MS-SMB2] 3.1.4.3).
pub trait MessageCipher: Send + Sync {
    /// Encrypts `data` in place and returns the tag over it and `aad`.
    ///
    /// # Errors
    /// [`CryptoError::NonceLength`] for a nonce that has not exactly [`Cipher::nonce_len`] bytes,
    /// [`CryptoError::TooLong`] for data over the cipher's limit (4 GiB or more).
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError>;

    /// Checks `tag` over `data` and `aad` in constant time and decrypts `data` in place.
    ///
    /// # Errors
    /// [`CryptoError::Tag`] when the tag does not fit, after which the contents of `data` are unspecified and
    /// of no use; [`CryptoError::NonceLength`] as for [`seal`](Self::seal).
    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError>;
}
