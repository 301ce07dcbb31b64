//! FILETIME: 100-nanosecond ticks since 1601 ([MS-DTYP] 2.3.3).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Ticks between 1601-01-01 and 1970-01-01.
const UNIX_EPOCH_TICKS: u64 = 116_444_736_000_000_000;
const TICKS_PER_SECOND: u64 = 10_000_000;

/// A point in time as Windows counts it: 100 ns ticks since 1601-01-01 UTC ([MS-DTYP] 2.3.3).
///
/// Zero means "not given"; in a set request ([MS-FSCC] 2.4.7) it means "leave as it is".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

impl FileTime {
    /// "Not given", or in a set request "do not change".
    pub const ZERO: Self = Self(0);

    /// The time as seconds and nanoseconds relative to 1970-01-01 UTC; the nanoseconds are never negative.
    pub const fn to_unix(self) -> (i64, u32) {
        let ticks = self.0 as i128 - UNIX_EPOCH_TICKS as i128;
        let per_second = TICKS_PER_SECOND as i128;
        (ticks.div_euclid(per_second) as i64, ticks.rem_euclid(per_second) as u32 * 100)
    }

    /// The tick at or before a Unix time, clamped to what a FILETIME can hold.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let ticks = i128::from(seconds) * i128::from(TICKS_PER_SECOND)
            + i128::from(nanoseconds / 100)
            + i128::from(UNIX_EPOCH_TICKS);
        Self(ticks.clamp(0, i128::from(i64::MAX)) as u64)
    }

    /// The same moment on the system's clock, clamped to what [`SystemTime`] can hold.
    pub fn to_system_time(self) -> SystemTime {
        let (seconds, nanoseconds) = self.to_unix();
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let base = if seconds >= 0 { UNIX_EPOCH.checked_add(whole) } else { UNIX_EPOCH.checked_sub(whole) };
        base.and_then(|t| t.checked_add(Duration::from_nanos(u64::from(nanoseconds)))).unwrap_or(UNIX_EPOCH)
    }
}

impl From<SystemTime> for FileTime {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => {
                Self::from_unix(i64::try_from(after.as_secs()).unwrap_or(i64::MAX), after.subsec_nanos())
            }
            Err(before) => {
                let ticks = before.duration().as_nanos().div_ceil(100);
                Self(u64::try_from(u128::from(UNIX_EPOCH_TICKS).saturating_sub(ticks)).unwrap_or(0))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_unix_epoch_is_where_the_specification_puts_it() {
        assert_eq!(FileTime::from(UNIX_EPOCH), FileTime(UNIX_EPOCH_TICKS));
        assert_eq!(FileTime(UNIX_EPOCH_TICKS).to_unix(), (0, 0));
        assert_eq!(FileTime(UNIX_EPOCH_TICKS - 1).to_unix(), (-1, 999_999_900));
    }

    proptest! {
        #[test]
        fn every_tick_survives_a_round_trip(ticks in 0..=i64::MAX as u64) {
            let (seconds, nanoseconds) = FileTime(ticks).to_unix();
            prop_assert_eq!(FileTime::from_unix(seconds, nanoseconds), FileTime(ticks));
            prop_assert_eq!(FileTime::from(FileTime(ticks).to_system_time()), FileTime(ticks));
        }

        #[test]
        fn no_value_panics(ticks: u64, seconds: i64, nanoseconds: u32) {
            let _ = FileTime(ticks).to_system_time();
            let _ = FileTime::from_unix(seconds, nanoseconds);
        }
    }
}
