//! `sharefs`: mount SMB shares without root, and work with them without a mount.

#![forbid(unsafe_code)]

mod cli;
mod connect;
mod credentials;
mod files;
mod lanes;
#[cfg(target_os = "linux")]
mod mount;
mod options;
#[cfg(target_os = "linux")]
mod process;
mod remove;
mod shares;
mod show;
mod signals;
mod snapshots;
mod source;
#[cfg(target_os = "linux")]
mod status;
mod transfer;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
