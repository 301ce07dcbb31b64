//! Authentication: the tokens that SESSION_SETUP carries ([MS-SMB2] 3.2.4.2.3) and the session key they yield.
//!
//! An [`Authenticator`] conducts one login. [`ntlm()`] makes the one for NTLMv2 within SPNEGO; another
//! mechanism joins by implementing [`Mechanism`] and being wrapped in [`Spnego`](spnego::Spnego).

pub mod der;
pub mod ntlm;
pub mod spnego;

mod authenticator;
mod credentials;
mod error;
#[cfg(test)]
mod exchange;
#[cfg(test)]
mod secrets;

pub use authenticator::{Authenticator, Mechanism};
pub use credentials::{Credentials, Secret};
pub use error::AuthError;
pub use ntlm::{NtlmConfig, ntlm};
