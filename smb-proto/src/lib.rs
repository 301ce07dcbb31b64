//! placeholder
pub mod auth;
pub mod crypto;
pub mod fscc;
pub mod status;
pub use status::NtStatus;
