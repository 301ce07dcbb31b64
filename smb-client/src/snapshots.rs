//! Snapshots: earlier states of a share.

use bytes::Bytes;
use smb_proto::fscc::{FileTime, from_bytes};
use smb_proto::fsctl::SnapshotList;
use smb_proto::wire::{AccessMask, CreateOptions, fsctl};

use crate::error::{Error, Result};
use crate::file::File;
use crate::open::OpenOptions;
use crate::share::Share;

/// Bytes of a list to ask for at first: some 1200 snapshots, one credit.
const USUAL_BYTES: u32 = 65_536;
/// What a list has besides its names.
const HEAD_BYTES: u32 = 12;
/// The first second that a file time can name.
const YEAR_1601: i64 = -11_644_473_600;

/// An earlier state of a file or directory and all below it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// When it was taken: what [`OpenOptions::snapshot`] wants.
    pub time: FileTime,
    /// What the server calls it: `@GMT-2026.01.02-03.04.05`.
    pub token: String,
}

impl Share {
    /// The snapshots that there are of what is at `path`, as the server lists them, mostly the latest first.
    ///
    /// # Errors
    /// The server has no snapshots ([`smb_proto::NtStatus::NOT_SUPPORTED`], `INVALID_DEVICE_REQUEST`), their list
    /// is too long for one answer, or the server refuses or is lost.
    pub async fn snapshots(&self, path: &str) -> Result<Vec<Snapshot>> {
        let access = AccessMask::READ_DATA | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE;
        let options = OpenOptions { options: CreateOptions::empty(), ..OpenOptions::existing(access) };
        let file = self.open(path, &options).await?;
        let snapshots = file.snapshots().await?;
        file.close().await?;
        Ok(snapshots)
    }
}

impl File {
    /// The snapshots that there are of this file: see [`Share::snapshots`].
    ///
    /// # Errors
    /// As [`Share::snapshots`].
    pub async fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let mut list = self.snapshot_list(USUAL_BYTES).await?;
        if (list.names.len() as u64) < u64::from(list.total) {
            list = self.snapshot_list(list.needed.saturating_add(HEAD_BYTES).max(USUAL_BYTES)).await?;
        }
        if (list.names.len() as u64) < u64::from(list.total) {
            return Err(Error::TooLarge);
        }
        let known = list.names.into_iter().filter_map(|token| {
            let Some(time) = snapshot_time(&token) else {
                tracing::warn!(?token, "the server lists a snapshot of no time; left out");
                return None;
            };
            Some(Snapshot { time, token })
        });
        Ok(known.collect())
    }

    async fn snapshot_list(&self, max_output: u32) -> Result<SnapshotList> {
        let request = (self.id(), fsctl::SRV_ENUMERATE_SNAPSHOTS, Bytes::new());
        let (_, data) = self.share().ioctl("listing the snapshots", request, max_output).await?;
        Ok(from_bytes(&data)?)
    }
}

/// The time that `@GMT-YYYY.MM.DD-HH.MM.SS` names ([MS-SMB2] 2.2.32.2): a [`Snapshot::time`].
pub fn snapshot_time(token: &str) -> Option<FileTime> {
    let (date, time) = token.strip_prefix("@GMT-")?.split_once('-')?;
    let numbers = |text: &str, widths: [usize; 3], most: [i64; 3]| {
        let mut parts = text.split('.');
        let mut next = |width: usize, most: i64| {
            let part = parts.next().filter(|part| part.len() == width)?;
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<i64>().ok().filter(|number| digits && *number <= most)
        };
        let [a, b, c] = widths;
        let all = [next(a, most[0])?, next(b, most[1])?, next(c, most[2])?];
        parts.next().is_none().then_some(all)
    };
    let [year, month, day] = numbers(date, [4, 2, 2], [9999, 12, 31])?;
    let [hour, minute, second] = numbers(time, [2, 2, 2], [23, 59, 60])?;
    if month == 0 || day == 0 {
        return None;
    }
    let seconds = ((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    (seconds >= YEAR_1601).then(|| FileTime::from_unix(seconds, 0))
}

/// Years begin in March here, so that the day which some years lack is the last one. An era of 400 years is always as
/// long.
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_name_times() {
        let unix = |token| snapshot_time(token).map(|time| time.to_unix().0);
        assert_eq!(unix("@GMT-1970.01.01-00.00.00"), Some(0));
        assert_eq!(unix("@GMT-2000.02.29-12.34.56"), Some(951_827_696));
        assert_eq!(unix("@GMT-2026.11.22-19.26.19"), Some(1_795_375_579));
        assert_eq!(snapshot_time("@GMT-1601.01.01-00.00.00"), Some(FileTime(0)));
    }

    #[test]
    fn other_names_name_none() {
        for token in [
            "",
            "@GMT-",
            "@GMT-2026.01.02",
            "@GMT-2026.1.2-3.4.5",
            "@GMT-2026.13.02-03.04.05",
            "@GMT-2026.00.02-03.04.05",
            "@GMT-2026.01.02-24.04.05",
            "@GMT-2026.01.02-03.04.05.06",
            "@GMT-2026.01.02-03.04.05x",
            "@GMT-+026.01.02-03.04.05",
            "@GMT-1600.12.31-23.59.59",
            "2026.01.02-03.04.05",
        ] {
            assert_eq!(snapshot_time(token), None, "{token}");
        }
    }
}
