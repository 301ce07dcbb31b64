//! An async SMB 2 and 3 client for tokio, and the same without async in [`blocking`].
//!
//! # From `cargo add` to a working program
//!
//! The crate is not published yet: take it from its repository, with tokio beside it.
//!
//! ```toml
//! [dependencies]
//! smb-client = { git = "…", package = "smb-client" }
//! tokio = { version = "1", features = ["rt-multi-thread", "macros"] }
//! ```
//!
//! ```no_run
//! use smb_client::{Client, ConnectOptions, Credentials};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), smb_client::Error> {
//!     let credentials = Credentials::password("WORKGROUP\\alice", "secret");
//!     let client = Client::connect(&ConnectOptions::new("server", credentials)).await?;
//!     let share = client.share("data").await?;
//!     for entry in share.read_dir("reports").await? {
//!         println!("{:>12} {}", entry.metadata.size, entry.name);
//!     }
//!     share.write("reports/new.txt", "hello\n").await?;
//!     let text = share.read("reports/new.txt").await?;
//!     assert_eq!(text, "hello\n");
//!     client.logoff().await
//! }
//! ```
//!
//! # What to use for what
//!
//! | to | use |
//! |---|---|
//! | read or write a whole file | [`Share::read`], [`Share::write`]: one round trip for a small one |
//! | read or write pieces anywhere | [`Share::open`], then [`File::read_at`], [`File::write_at`] |
//! | move much data in order | [`File::read_stream`], [`File::write_stream`]: many requests under way |
//! | use code for `AsyncRead`, `AsyncWrite`, `AsyncSeek` | [`File::cursor`] |
//! | list a directory | [`Share::read_dir`]; one entry after the other: [`Directory::entries`] |
//! | copy on the server | [`Share::copy`], [`File::copy_range`], [`File::copy_from`] |
//! | find and make holes | [`File::allocated_ranges`], [`File::zero_range`], [`File::set_sparse`] |
//! | keep content without asking again | [`OpenOptions::lease`], and [`Client::breaks`] before it |
//! | have an open again after the connection broke | [`OpenOptions::durable`], [`ConnectOptions::resuming`], [`Share::reclaim`] |
//! | keep others from a range | [`File::lock`] |
//! | be told of changes | [`Directory::watch`] |
//! | list a server's shares | [`Client::shares`] |
//! | ask what a server would agree on | [`Client::negotiate`] |
//! | follow or make links | [`Share::read_link`], [`Share::symlink`], [`Share::hard_link`] |
//! | find or make pipes, sockets and devices | [`Share::read_special`], [`Share::make_special`] |
//! | read and set what hangs on a file | [`Share::extended_attribute`], [`Share::streams`], [`Share::security`] |
//! | look at earlier states | [`Share::snapshots`], [`OpenOptions::snapshot`] |
//! | have permissions and owners of Unix | [`OpenOptions::posix`], [`Share::posix_metadata`] |
//! | do all that without async | [`blocking`] |
//!
//! Each has a short program in `examples/`, which the tests run.
//!
//! # What holds
//!
//! - Requests of any number of tasks share one connection. [`Client`], [`Share`] and `Arc<File>` are cheap to clone.
//! - Sessions are signed unless that is switched off, and encrypted where either side asks; each reply is verified
//!   by the session's key. Guests and nobody are let in only where the caller said so.
//! - A future that is dropped leaks nothing: its credits come back with the reply, a file that it was about to
//!   open is closed again, a range that it was about to lock is unlocked, a wait for changes or for a lock is
//!   cancelled at the server.
//! - No request waits for ever: [`ConnectOptions::request_timeout`] for a lively server, and
//!   [`ConnectOptions::dead_after`] for one that has fallen silent. Only a watch and a lock that is waited for have no
//!   time limit.
//! - Nothing that a server sends makes this crate panic, or allocate more than what was asked for; a listing
//!   taken whole grows with the names that the server has. Errors say whose fault they are: see [`Error`], [`PeerMisbehaved`], [`PeerIncompatible`]. The server's NTSTATUS is kept.
//! - Cryptography is the fastest that the processor allows (graviola, or RustCrypto); the feature `aws-lc-rs` takes
//!   AWS-LC instead, which needs a C compiler.

#![forbid(unsafe_code)]

mod attributes;
pub mod blocking;
mod breaks;
mod change;
mod channel;
mod client;
mod copy;
mod cursor;
mod descriptor;
mod directory;
mod durable;
mod error;
mod extents;
mod file;
mod interfaces;
mod ioctl;
mod lease;
mod link;
mod links;
mod lock;
mod metadata;
mod names;
mod open;
mod pool;
mod posix;
mod probe;
mod query;
mod reparse;
mod resolve;

mod routes;
mod share;
mod shares;
mod snapshots;
mod streams;
mod transfer;
mod watch;
mod whole;
mod window;

pub use breaks::{Break, Breaks};
pub use change::SetAttributes;
pub use client::{Activity, Client, ConnectOptions, SessionInfo};
pub use copy::Copied;
pub use cursor::Cursor;
pub use directory::{Directory, Entry};
pub use durable::{Durable, DurableRequest, Resume};
pub use error::{Error, Result};
pub use file::File;
pub use lease::{Granted, LeaseKey, LeaseRequest, PathLease};
pub use links::{Link, LinkKind, mfsymlink_target, resolve_link};
pub use lock::LockRange;
pub use metadata::{Metadata, Space};
pub use names::{InvalidName, name_from_wire, name_to_wire, path_to_wire};
pub use open::OpenOptions;
pub use pool::BufferPool;
pub use posix::{PosixEntry, PosixMetadata};
pub use reparse::{Special, SpecialKind};
pub use share::{Manner, Share};
pub use smb_proto::auth::{Credentials, Secret};
pub use smb_proto::conn::{ConnectionError, Negotiated, PeerIncompatible, PeerMisbehaved, SessionError};
pub use smb_proto::crypto::{Cipher, SigningAlgorithm};
pub use smb_proto::fscc::{ExtendedAttribute, FileAttributes, FileTime, VolumeFlags, reparse_tag};
pub use smb_proto::fsctl::{InterfaceCapability, NetworkInterface};
pub use smb_proto::rpc::{ServerInfo, ShareInfo, ShareKind};
pub use smb_proto::security;
pub use smb_proto::wire::{
    AccessMask, CreateAction, CreateDisposition, CreateOptions, Dialect, FileId, LeaseState, ShareAccess,
};
pub use smb_proto::{NtStatus, wire};
pub use snapshots::{Snapshot, snapshot_time};
pub use streams::Stream;
pub use transfer::{ReadStream, WriteStream};
pub use watch::{Watch, WatchEvent, WatchFilter};
pub use whole::FileStart;
