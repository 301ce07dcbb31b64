//! SMB 2 and 3 without I/O: the wire codec, the cryptography, authentication and the connection as a state
//! machine ([MS-SMB2], [MS-FSCC], [MS-NLMP]).
//!
//! Nothing here reads a clock, opens a socket or awaits. [`conn::Connection`] takes received bytes and the
//! present time and gives frames to send, events and its next deadline; whoever drives it (the crate
//! `smb-client`, a test, a fuzzer) does the I/O.
//!
//! Nothing that a peer sends can make this crate panic or allocate more than the bytes received justify.

#![forbid(unsafe_code)]

pub mod auth;
pub mod conn;
pub mod crypto;
pub mod fscc;
pub mod fsctl;
pub mod rpc;
pub mod security;
pub mod status;
pub mod wire;

pub use status::NtStatus;
