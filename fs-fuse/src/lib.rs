//! The Linux adapter: [`fs_core::Filesystem`] served to the kernel through FUSE.
//!
//! It translates and decides nothing: each request becomes a task on a tokio runtime, which calls one method of
//! the filesystem and sends the reply. A task that panics drops its reply, and the kernel gets EIO for that one
//! request.

#![cfg(target_os = "linux")]
#![deny(unsafe_code)]

mod adapter;
mod convert;
mod error;
mod mount;
mod mountinfo;
mod namespace;
mod unmount;
mod users;

pub use error::MountError;
pub use mount::{FuseOptions, Mounted, check, clear_dead, mount};
pub use namespace::{enter_namespace, give_no_rights};
pub use unmount::{resolve, unmount};
