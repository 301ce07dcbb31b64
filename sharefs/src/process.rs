//! What this process shows of itself.

use std::fs;
use std::os::unix::fs::FileExt;

use rustix::process::{Resource, Rlimit, setrlimit};
use smb_client::Secret;

/// Has the kernel leave no core file behind, for this process and those that it starts: their memory has secrets.
pub(crate) fn leave_no_core() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::debug!(%error, "core files");
    }
}

/// Overwrites a secret among this process's arguments, where every user of the machine can read them.
///
/// Linux shows a process's own memory as a file, so this takes no unsafe code. Where it fails there is only a
/// warning: the secret was visible before in any case.
pub(crate) fn hide_argument(secret: &Secret) {
    if secret.expose().is_empty() {
        return;
    }
    if try_hide(secret.expose().as_bytes()).is_none() {
        tracing::warn!(
            "cannot remove the password from the process list: anyone on this machine can see it there"
        );
    }
}

fn try_hide(secret: &[u8]) -> Option<()> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name, in parentheses, may contain anything; arg_start is field 48.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let start: u64 = fields.get(48 - 3)?.parse().ok().filter(|start| *start != 0)?;
    let arguments = fs::read("/proc/self/cmdline").ok()?;
    let memory = fs::OpenOptions::new().write(true).open("/proc/self/mem").ok()?;
    let blank = vec![b'*'; secret.len()];
    let mut at = 0;
    while let Some(found) = arguments.get(at..)?.windows(secret.len()).position(|window| window == secret) {
        memory.write_all_at(&blank, start + (at + found) as u64).ok()?;
        at += found + secret.len();
    }
    Some(())
}
