//! `sharefs`: mount SMB shares without root, and work with them without a mount.

#![forbid(unsafe_code)]

mod cli;
mod connect;
mod credentials;
mod files;
#[cfg(target_os = "linux")]
mod mount;
mod options;
#[cfg(target_os = "linux")]
mod process;
mod source;
#[cfg(target_os = "linux")]
mod status;
mod transfer;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
