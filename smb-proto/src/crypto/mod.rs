//! Cryptography: message signing, message encryption, key derivation and the pre-authentication hash
//! ([MS-SMB2] 3.1.4).
//!
//! The rest of the crate reaches every primitive through [`CryptoProvider`], so that another implementation (a
//! certified module, hardware, a scripted source of randomness in tests) can take the place of
//! [`rust_crypto()`].

mod algorithm;
mod kdf;
mod key;
mod preauth;
mod provider;
mod rust_crypto;

pub use algorithm::{Cipher, SigningAlgorithm};
pub use kdf::{SessionKeys, derive};
pub use key::Key;
pub use preauth::{PreauthHash, sha512};
pub use provider::{CryptoError, CryptoProvider, MessageCipher, MessageSigner};
pub use rust_crypto::rust_crypto;
