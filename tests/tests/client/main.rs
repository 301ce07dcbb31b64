//! The client against real servers.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod changes;
mod concurrency;
mod content;
mod copy;
mod directories;
mod dropping;
mod embedding;
mod examples;
mod help;
mod hostile;
mod leases;
mod limits;
mod links;
mod locks;
mod login;
mod matrix;
mod names;
mod second;
mod shares;
mod trouble;
mod watch;
