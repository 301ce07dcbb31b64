//! An async SMB 2 and 3 client for tokio.
//!
//! ```no_run
//! # async fn example() -> Result<(), smb_client::Error> {
//! use smb_client::{Client, ConnectOptions, Credentials};
//!
//! let credentials = Credentials::Password {
//!     user: "alice".into(),
//!     domain: "WORKGROUP".into(),
//!     password: "secret".to_string().into(),
//! };
//! let client = Client::connect(&ConnectOptions::new("server", credentials)).await?;
//! let share = client.share("data").await?;
//! let file = share.open("folder/report.txt", &smb_client::OpenOptions::read()).await?;
//! let start = file.read_at(0, 65536).await?;
//! # drop(start); Ok(())
//! # }
//! ```
//!
//! Requests of any number of tasks share one connection; each is verified by the session's key. Sessions are
//! signed unless that is switched off, and encrypted where either side asks. Guests and nobody are let in only
//! where the caller said so.
//!
//! A future that is dropped leaks nothing: its credits come back with the reply, and a file that it was about to
//! open is closed again.

#![forbid(unsafe_code)]

pub mod blocking;
mod client;
mod copy;
mod cursor;
mod directory;
mod error;
mod file;
mod ioctl;
mod link;
mod links;
mod metadata;
mod names;
mod open;
mod pool;
mod resolve;
mod share;
mod shares;
mod transfer;
mod watch;
mod whole;
mod window;

pub use client::{Activity, Client, ConnectOptions, SessionInfo};
pub use copy::Copied;
pub use cursor::Cursor;
pub use directory::{Directory, Entry};
pub use error::{Error, Result};
pub use file::File;
pub use links::{Link, LinkKind, mfsymlink_target, resolve_link};
pub use metadata::{Metadata, Space};
pub use names::{InvalidName, name_from_wire, name_to_wire, path_to_wire};
pub use open::OpenOptions;
pub use pool::BufferPool;
pub use share::{SetAttributes, Share};
pub use smb_proto::auth::{Credentials, Secret};
pub use smb_proto::conn::{ConnectionError, PeerIncompatible, PeerMisbehaved, SessionError};
pub use smb_proto::crypto::{Cipher, SigningAlgorithm};
pub use smb_proto::fscc::{FileAttributes, FileTime, reparse_tag};
pub use smb_proto::rpc::{ServerInfo, ShareInfo, ShareKind};
pub use smb_proto::wire::{AccessMask, CreateAction, CreateDisposition, CreateOptions, Dialect, ShareAccess};
pub use smb_proto::{NtStatus, wire};
pub use transfer::{ReadStream, WriteStream};
pub use watch::{Watch, WatchEvent, WatchFilter};
pub use whole::FileStart;
