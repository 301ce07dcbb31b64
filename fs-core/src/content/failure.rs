//! Errors of writing that came after the write had been answered: each open of the file is told once.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::FsError;

/// What went wrong with what was written to a file.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    last: Option<FsError>,
    count: u64,
    /// Of how many somebody was told.
    told: u64,
}

/// How many of a file's failures an open of it has been told of.
#[derive(Debug)]
pub(crate) struct Told(AtomicU64);

impl Failures {
    /// Whether it is the first since somebody was told.
    pub(super) fn add(&mut self, error: FsError) -> bool {
        let is_first = self.count == self.told;
        self.count += 1;
        self.last = Some(error);
        is_first
    }

    /// For a new open: it is told of what nobody else was.
    pub(super) const fn begin(&self) -> Told {
        Told(AtomicU64::new(self.told))
    }

    /// Whether there is one that this open has not been told of.
    pub(super) fn is_news(&self, told: &Told) -> bool {
        self.count > told.0.load(Ordering::Acquire)
    }

    /// The last one, unless this open has been told of it.
    pub(super) fn tell(&mut self, told: &Told) -> Result<(), FsError> {
        if told.0.swap(self.count, Ordering::AcqRel) >= self.count {
            return Ok(());
        }
        self.told = self.count;
        self.last.clone().map_or(Ok(()), Err)
    }
}
