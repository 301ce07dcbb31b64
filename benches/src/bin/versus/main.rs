//! This client beside smbclient, on the same throw-away Samba, in the same run: seconds and the ratio.
//!
//! `cargo run --release -p sharefs-benches --bin versus [MiB] [ROUNDS]`; needs samba and smbclient, and
//! `target/release/sharefs`.

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
