//! `sharefs`: mount SMB shares without root, and work with them without a mount.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod bring;
mod cli;
// The doctor, who alone uses some of them, is Linux's.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod codes;
mod connect;
#[cfg(target_os = "linux")]
mod control;
#[cfg(target_os = "linux")]
mod cred;
mod credentials;
#[cfg(target_os = "linux")]
mod doctor;
mod examples;
#[cfg(target_os = "linux")]
mod exec;
mod files;
#[cfg(target_os = "linux")]
mod fstab;
mod generate;
#[cfg(target_os = "linux")]
mod helper;
mod lanes;
#[cfg(target_os = "linux")]
mod list;
// A mount, which alone changes its filter, is Linux's.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod log;
#[cfg(target_os = "linux")]
mod mount;
mod options;
#[cfg(target_os = "linux")]
mod private;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod remembered;
mod remove;
#[cfg(target_os = "linux")]
mod serving;
mod shares;
mod show;
mod signals;
mod snapshots;
mod source;
#[cfg(target_os = "linux")]
mod startup;
#[cfg(target_os = "linux")]
mod stats;
#[cfg(target_os = "linux")]
mod status;
#[cfg(target_os = "linux")]
mod store;
mod transfer;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
