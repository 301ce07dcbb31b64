//! The filesystem over a remote share: inodes, handles, attributes and semantics.
//!
//! This crate knows neither FUSE nor WinFsp, and it knows SMB only by two small vocabularies, `NtStatus` and
//! the [MS-FSCC] times and attributes. An adapter calls [`Filesystem`], which reaches the server through one
//! trait, [`Remote`]; tests put an in-memory server behind the same trait. What the filesystem promises its
//! users is written down, sentence by sentence, in `docs/SEMANTICS.md`.
//!
//! # What is cached
//!
//! Attributes are cached per inode for a fixed time ([`MountOptions::attr_ttl`]). Data is cached as far as the server's
//! leases allow, within one budget of memory for the whole mount: see `content`. What the kernel keeps on top of that
//! is dropped through [`Kernel`] when a lease is broken.

#![forbid(unsafe_code)]

mod advice;
mod clock;
mod content;
mod dir;
mod error;
mod fs;
mod handle;
mod inode;
mod lasting;
mod listing;
mod lock;
#[cfg(any(test, feature = "memory"))]
pub mod memory;
mod name;
mod names;
mod remote;
mod smb;
#[cfg(test)]
mod tests;

pub use advice::Adviser;
pub use content::CacheMode;
pub use error::{FsError, FsResult, errno};
pub use fs::{
    Allocation, Attr, Create, DirItem, Entry, Filesystem, Kernel, LockAsk, LockOwner, Locked, MountOptions,
    OpenFlags, OpenHints, Owner, RenameFlags, Seek, SetAttrs, Space, Statistics, Symlinks, TimeChange,
    WriteAt, XattrMode,
};
pub use handle::Fh;
pub use inode::Ino;
pub use lasting::{Dial, DialError, Lasting, LineState, Patience};
pub use name::RemotePath;
pub use remote::{
    Access, Caching, Cause, Device, Disposition, FileKind, Granted, Keepsake, LeaseAsk, LeaseKey,
    LockedRange, Node, OpenHow, Opened, Place, Posix, Remote, RemoteAttr, RemoteChange, RemoteEntry,
    RemoteError, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace, RemoteWatch, SetAttr,
    SetPosix,
};
pub use smb::{HowToConnect, SmbDial, SmbOptions, SmbRemote};
