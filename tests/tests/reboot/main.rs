//! What comes back after a machine was restarted, by systemd in a container: as root only.

#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]

mod documents;
mod lines;
mod server;
mod user;
