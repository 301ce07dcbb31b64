//! The mount beside another userspace mount (smbnetfs) and beside smbclient, in the same run, turn and turn about.
//!
//! `mounts [--mib N] [--rounds N] [--report FILE]`, as root, with `TMPDIR=/dev/shm`.

#[cfg(unix)]
mod contest;
#[cfg(unix)]
mod rivals;

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    contest::run()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("mounts: for Unix");
}
