//! The time of day.
//!
//! In this crate's own tests it goes with the runtime's clock, which they may stop: else nothing that depends on both
//! could be played again.

use smb_proto::fscc::FileTime;

/// Now, by this machine's clock.
#[cfg(not(test))]
pub(crate) fn now() -> FileTime {
    FileTime::from(std::time::SystemTime::now())
}

/// Now, by the runtime's clock.
#[cfg(test)]
pub(crate) fn now() -> FileTime {
    use std::sync::OnceLock;
    use std::time::SystemTime;
    use tokio::time::Instant;

    static ANCHOR: OnceLock<(SystemTime, Instant)> = OnceLock::new();
    let (day, then) = ANCHOR.get_or_init(|| (SystemTime::now(), Instant::now()));
    let now = Instant::now();
    FileTime::from(*day + now.saturating_duration_since(*then) - then.saturating_duration_since(now))
}
