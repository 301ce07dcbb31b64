//! Mounts that only one process and what it starts can see.

use std::{fs, io};

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, UnshareFlags, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, set_capabilities, unshare_unsafe,
};

/// Give this process mounts of its own: what it and those that it starts mount from now on nobody else sees, and it is
/// gone with the last of them. What others mount they see as before.
///
/// An ordinary user's process may mount for that, and so may those that it starts until [`give_no_rights`]; in return it
/// has left for good what `sudo` and the like need. To be called while the process has one thread.
///
/// # Errors
/// The system does not let this user, or there are other threads already. The process may be of no use then: another one
/// should have tried before.
pub fn enter_namespace() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    let user = if uid.is_root() { UnshareFlags::empty() } else { UnshareFlags::NEWUSER };
    // SAFETY: unsafe for the sake of `UnshareFlags::FILES` only, by which threads would lose each other's descriptors.
    #[allow(unsafe_code)]
    unsafe {
        unshare_unsafe(user | UnshareFlags::NEWNS)?;
    }
    if !uid.is_root() {
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1"))?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1"))?;
        let mut sets = capabilities(None)?;
        sets.inheritable |= CapabilitySet::SYS_ADMIN;
        set_capabilities(None, sets)?;
        configure_capability_in_ambient_set(CapabilitySet::SYS_ADMIN, true)?;
    }
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).map_err(io::Error::from)
}

/// Those that this process starts from now on have no rights beyond its user's.
///
/// # Errors
/// The system's.
pub fn give_no_rights() -> io::Result<()> {
    if geteuid().is_root() {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    sets.inheritable = CapabilitySet::empty();
    set_capabilities(None, sets)?;
    Ok(clear_ambient_capability_set()?)
}
