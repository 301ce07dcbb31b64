//! What to do about what a server refuses: for who reads a log, and has not asked for what failed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use smb_proto::NtStatus;

use crate::error::FsError;
use crate::remote::RemoteError;

/// How long the same advice is not given again.
const ONCE_IN: Duration = Duration::from_secs(60);

impl FsError {
    /// What a person can do about it; none where the error says enough, or belongs to what programs do all day.
    pub fn advice(&self) -> Option<&'static str> {
        let status = match self {
            Self::Remote(RemoteError::Stale) => {
                return Some("have the program open the file again: what it had open is no more");
            }
            Self::Remote(RemoteError::TimedOut) => {
                return Some("see why the server does not answer; mounted with `hard`, programs wait for it");
            }
            error => error.status()?,
        };
        Some(match status {
            NtStatus::DISK_FULL => "make room on the share",
            NtStatus::QUOTA_EXCEEDED => {
                "the user's quota on the share is used up: remove files, or have it raised"
            }
            NtStatus::ACCESS_DENIED | NtStatus::NETWORK_ACCESS_DENIED => {
                "the user may not do that there: see the permissions of the file and of the share on the server"
            }
            NtStatus::MEDIA_WRITE_PROTECTED => "the share is read-only on the server",
            NtStatus::SHARING_VIOLATION => {
                "another client has the file open and shares it with nobody: close it there"
            }
            NtStatus::DELETE_PENDING => {
                "the file is deleted, and gone when the last client that has it open closes it"
            }
            NtStatus::FILE_LOCK_CONFLICT => "another client has locked that part of the file",
            NtStatus::TOO_MANY_OPENED_FILES => {
                "the server lets no more files be open: close some, mount with closetimeo=0, or raise its limit"
            }
            NtStatus::INSUFFICIENT_RESOURCES
            | NtStatus::INSUFF_SERVER_RESOURCES
            | NtStatus::NO_MEMORY
            | NtStatus::NETWORK_BUSY => {
                "the server has no room for more requests: it has been asked again for a while; see what else it does"
            }
            _ => return None,
        })
    }
}

/// Gives each piece of advice once in a while: a full disk refuses thousands of writes.
#[derive(Debug, Default)]
pub struct Adviser(Mutex<BTreeMap<&'static str, Instant>>);

impl Adviser {
    /// What to say about an error now.
    pub fn advise(&self, error: &FsError) -> Option<&'static str> {
        let advice = error.advice()?;
        let now = Instant::now();
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if given.get(advice).is_some_and(|last| now.duration_since(*last) < ONCE_IN) {
            return None;
        }
        given.insert(advice, now);
        Some(advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_is_given_once_in_a_while() {
        let adviser = Adviser::default();
        let full = FsError::from(NtStatus::DISK_FULL);
        assert!(adviser.advise(&full).is_some());
        assert!(adviser.advise(&full).is_none());
        assert!(adviser.advise(&FsError::from(NtStatus::QUOTA_EXCEEDED)).is_some());
        assert!(adviser.advise(&FsError::from(NtStatus::OBJECT_NAME_NOT_FOUND)).is_none());
    }
}
