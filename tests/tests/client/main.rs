//! The client against a real Samba.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod changes;
mod concurrency;
mod content;
mod directories;
mod help;
mod limits;
mod login;
mod matrix;
mod names;
mod shares;
mod trouble;
