//! The client against real servers.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod attributes;
mod changes;
mod channels;
mod concurrency;
mod content;
mod copy;
mod directories;
mod dropping;
mod durable;
mod embedding;
mod examples;
mod extents;
mod help;
mod hostile;
mod leases;
mod lies;
mod limits;
mod links;
mod locks;
mod login;
mod matrix;
mod middle;
mod names;
mod posix;
mod second;
mod shares;
mod snapshots;
mod special;
mod trouble;
mod watch;
