//! What a transfer came to.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Error, Result};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::options::TransferOptions;
use crate::codes;
use crate::show::{complaint, printable, tell, unless_broken_pipe};

/// Counts while the transfer goes on, and tells at its end.
#[derive(Debug)]
pub(super) struct Summary {
    begin: Instant,
    files: AtomicU64,
    links: AtomicU64,
    bytes: AtomicU64,
    skipped: AtomicU64,
    kept: AtomicU64,
    /// From where to where, for a dry run.
    would: Mutex<Vec<(String, String, u64)>>,
    failures: Mutex<Vec<Error>>,
}

impl Default for Summary {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            files: AtomicU64::default(),
            links: AtomicU64::default(),
            bytes: AtomicU64::default(),
            skipped: AtomicU64::default(),
            kept: AtomicU64::default(),
            would: Mutex::default(),
            failures: Mutex::default(),
        }
    }
}

impl Summary {
    /// A file is copied.
    pub(super) fn copied(&self) {
        self.files.fetch_add(1, Ordering::Relaxed);
    }

    /// A link is copied as a link.
    pub(super) fn linked(&self) {
        self.links.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes on their way.
    pub(super) fn moved(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Something is left out because the user said so, or because it is there already.
    pub(super) fn skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes of a broken copy that were right.
    pub(super) fn kept(&self, bytes: u64) {
        self.kept.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Goes on with the rest, and tells at the end.
    pub(super) fn failed(&self, error: Error) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(error);
    }

    /// What a dry run does not do.
    pub(super) fn would(&self, from: String, to: String, bytes: u64) {
        self.would.lock().unwrap_or_else(PoisonError::into_inner).push((from, to, bytes));
    }

    /// Tells, and fails where anything did. `alone` if it was about a single file.
    pub(super) fn tell(&self, options: &TransferOptions, alone: bool) -> Result<()> {
        let mut failures = std::mem::take(&mut *self.failures.lock().unwrap_or_else(PoisonError::into_inner));
        let would = std::mem::take(&mut *self.would.lock().unwrap_or_else(PoisonError::into_inner));
        if options.json {
            let value = self.json(options, &would, &failures);
            writeln!(std::io::stdout().lock(), "{value:#}").or_else(unless_broken_pipe)?;
        } else if options.dry_run {
            let mut out = std::io::stdout().lock();
            for (from, to, _) in &would {
                if let Err(error) = writeln!(out, "{} -> {}", printable(from), printable(to)) {
                    return unless_broken_pipe(error);
                }
            }
        }
        if !options.quiet && !options.json {
            tell(&self.line(options, &would, failures.len()));
        }
        match (failures.len(), alone) {
            (0, _) => Ok(()),
            (1, true) => Err(failures.remove(0)),
            (failed, _) => {
                for error in &failures {
                    tell(&format!("sharefs: {}", complaint(error)));
                }
                Err(codes::INCOMPLETE.says(format!("{failed} could not be copied, everything else was")))
            }
        }
    }

    fn line(&self, options: &TransferOptions, would: &[(String, String, u64)], failed: usize) -> String {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        if options.dry_run {
            let bytes = would.iter().map(|(_, _, bytes)| bytes).sum();
            return format!("would copy {}, {}", counted(would.len() as u64, "file"), HumanBytes(bytes));
        }
        let (bytes, seconds) = (load(&self.bytes), self.begin.elapsed().as_secs_f64());
        let rate = (bytes as f64 / seconds.max(0.001)) as u64;
        let mut line = format!(
            "{}, {} in {seconds:.2} s ({}/s)",
            counted(load(&self.files), "file"),
            HumanBytes(bytes),
            HumanBytes(rate)
        );
        let more =
            [(load(&self.links), "as links"), (load(&self.skipped), "left out"), (failed as u64, "failed")];
        for (count, what) in more {
            if count > 0 {
                line.push_str(&format!(", {count} {what}"));
            }
        }
        if load(&self.kept) > 0 {
            line.push_str(&format!(", {} were there already", HumanBytes(load(&self.kept))));
        }
        line
    }

    fn json(&self, options: &TransferOptions, would: &[(String, String, u64)], failures: &[Error]) -> Value {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let seconds = self.begin.elapsed().as_secs_f64();
        let mut value = json!({
            "files": load(&self.files),
            "links": load(&self.links),
            "bytes": load(&self.bytes),
            "kept_bytes": load(&self.kept),
            "skipped": load(&self.skipped),
            "seconds": seconds,
            "bytes_per_second": load(&self.bytes) as f64 / seconds.max(0.001),
            "errors": failures.iter().map(complaint).collect::<Vec<_>>(),
        });
        if options.dry_run {
            let would =
                would.iter().map(|(from, to, bytes)| json!({ "from": from, "to": to, "bytes": bytes }));
            value["would_copy"] = would.collect();
        }
        value
    }
}
