//! This client beside smbclient, on the same throw-away Samba, in the same run: seconds and the ratio.
//!
//! `make bench`, or `TMPDIR=/dev/shm versus [--mib N] [--rounds N] [--only TEXT] [--report FILE]` beside the
//! release builds of `sharefs` and `library`; needs samba, smbclient and time.

#[cfg(unix)]
mod far;
#[cfg(unix)]
mod measure;
#[cfg(unix)]
mod versus;

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    versus::run()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("versus starts a Samba of its own, which takes a Unix");
}
