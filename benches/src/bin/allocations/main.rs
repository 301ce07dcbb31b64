//! What requests cost in allocations, against a throw-away Samba: `make bench`.

#[cfg(unix)]
mod allocations;

#[cfg(unix)]
fn main() -> anyhow::Result<()> {
    allocations::run()
}

#[cfg(not(unix))]
fn main() {
    eprintln!("allocations starts a Samba of its own, which takes a Unix");
}
