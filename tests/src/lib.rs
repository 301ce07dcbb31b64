//! The harness of the tests against real servers and real mounts.
//!
//! A test starts the server that it wants ([`Samba::builder`]), a relay before it where it wants trouble
//! ([`Relay`]), and a mount of it where it tests the program ([`Mount`]). Each has its own directory and its own
//! address in 127/8, so tests run in parallel. What a test starts ends with it: by `Drop`, or, where the test is
//! killed, because the server's standard input ends.
//!
//! Nothing here skips. A component that is missing fails the test with a message that names it.

#![forbid(unsafe_code)]
// Samba, FUSE and process groups are Unix's; elsewhere this crate is empty, and its tests are none.
#![cfg(unix)]
// A harness has no caller to whom it could return an error: it fails the test, with the reason.
#![allow(clippy::missing_panics_doc)]

mod address;
mod another;
mod conf;
mod content;
mod impacket;
mod impostor;
mod lab;
mod machine;
mod mount;
mod process;
mod random;
mod relay;
mod samba;
mod snapshots;
mod user;

pub use address::free_address;
pub use another::overwrite;
pub use content::{Content, sha256, sha256_file};
pub use impacket::Impacket;
pub use impostor::{Answer, Impostor, Lie, Manner, listing};
pub use lab::{SambaVersion, find_tool};
pub use machine::{End, Machine};
pub use mount::{Mount, MountBuilder, sharefs_binary};
pub use process::{Group, find_program, wait_until};
pub use random::Random;
pub use relay::{Attack, Damage, Meddler, Message, Relay, Way};
pub use samba::{Samba, SambaBuilder};
pub use snapshots::Snapshots;
pub use user::User;
