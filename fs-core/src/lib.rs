//! The filesystem over a remote share: inodes, handles, attributes and semantics.
//!
//! This crate knows neither FUSE nor WinFsp, and it knows SMB only by two small vocabularies, `NtStatus` and
//! the [MS-FSCC] times and attributes. An adapter calls [`Filesystem`], which reaches the server through one
//! trait, [`Remote`]; tests put an in-memory server behind the same trait. What the filesystem promises its
//! users is written down, sentence by sentence, in `docs/SEMANTICS.md`.
//!
//! # What is cached, and where caching will grow
//!
//! Attributes are cached per inode for a fixed time ([`MountOptions::attr_ttl`]). Data is not cached here at
//! all: every read and write is a request to the server. Coherent caching needs three things that already
//! have their place: leases taken with [`Remote::open`] and broken through [`Remote::events`]; a per-inode
//! record that says how long what we know is true (the inode table); and per-inode ordering of requests that
//! change the size (`Node::ordering`), which is where write-behind data would be drained.

#![forbid(unsafe_code)]

mod dir;
mod error;
mod fs;
mod handle;
mod inode;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod name;
mod remote;
mod smb;
#[cfg(test)]
mod tests;

pub use error::{FsError, FsResult, errno};
pub use fs::{
    Attr, Create, DirItem, Entry, Filesystem, MountOptions, OpenFlags, RenameFlags, SetAttrs, Space,
    TimeChange, WriteAt,
};
pub use handle::Fh;
pub use inode::Ino;
pub use name::RemotePath;
pub use remote::{
    Access, Cause, Disposition, FileKind, OpenHow, Opened, Remote, RemoteAttr, RemoteEntry, RemoteError,
    RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace, SetAttr,
};
pub use smb::SmbRemote;
