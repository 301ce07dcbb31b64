//! Which provider to use.

use std::sync::Arc;

use super::{CryptoProvider, rust_crypto};

/// The provider built on the crate `graviola`, which is Rust and assembler and needs no C compiler. It does AES-GCM
/// and AES-GMAC; the rest is that of [`rust_crypto()`].
///
/// `None` where it does not run: it needs an x86-64 processor with AES, PCLMULQDQ, AVX2, BMI and ADX (Intel from
/// 2014, AMD from 2017) or a little-endian 64-bit ARM with AES, PMULL and SHA-2.
///
/// Expanded keys are wiped when a signer or a cipher is dropped, and most vector registers after each call. What the
/// compiler leaves of them on the stack and in the registers that only AVX-512 has is not.
pub fn graviola() -> Option<Arc<dyn CryptoProvider>> {
    #[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")))]
    return super::graviola_gcm::provider();
    #[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little"))))]
    None
}

/// The fastest provider there is: AWS-LC with the feature `aws-lc-rs`, else [`graviola()`] where it runs, else
/// [`rust_crypto()`].
pub fn default_provider() -> Arc<dyn CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return super::aws_lc();
    #[cfg(not(feature = "aws-lc-rs"))]
    graviola().unwrap_or_else(rust_crypto)
}

/// Every provider that runs here, with its name, the reference first: for tests and measurements.
pub fn providers() -> Vec<(&'static str, Arc<dyn CryptoProvider>)> {
    let mut all = vec![("RustCrypto", rust_crypto())];
    all.extend(graviola().map(|provider| ("graviola", provider)));
    #[cfg(feature = "aws-lc-rs")]
    all.push(("AWS-LC", super::aws_lc()));
    all
}
