//! Cryptography: message signing, message encryption, key derivation and the pre-authentication hash
//! ([MS-SMB2] 3.1.4).
//!
//! The rest of the crate reaches every primitive of signing and encryption through [`CryptoProvider`], so that
//! another implementation (a certified module, hardware, a scripted source of randomness in tests) can take the
//! place of those that come with it: [`rust_crypto()`] is the reference and runs everywhere, [`graviola()`] is
//! several times as fast where the processor has what it needs, `aws_lc()` is a little faster still and needs a C
//! compiler. [`default_provider()`] chooses.

mod algorithm;
#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod cbc;
mod choice;
#[cfg(any(
    feature = "aws-lc-rs",
    target_arch = "x86_64",
    all(target_arch = "aarch64", target_endian = "little")
))]
mod gmac;
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
mod graviola_gcm;
mod kdf;
mod key;
mod preauth;
mod provider;
mod rust_crypto;
#[cfg(test)]
mod tests;

pub use algorithm::{Cipher, SigningAlgorithm};
#[cfg(feature = "aws-lc-rs")]
pub use aws_lc::aws_lc;
pub use choice::{default_provider, graviola, providers};
pub use kdf::{SessionKeys, derive};
pub use key::Key;
pub use preauth::{PreauthHash, sha512};
pub use provider::{CryptoError, CryptoProvider, MessageCipher, MessageSigner};
pub use rust_crypto::rust_crypto;
