//! A mount while it is served: what it can tell and be told.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use fs_core::{Filesystem, Lasting, LineState, SmbDial};
use fs_fuse::Mounted;
use serde::{Deserialize, Serialize};

use crate::codes;
use crate::status::{MountRecord, now};

/// So many files that could not be saved are named; of the rest there is the number.
const NAMED: usize = 16;

/// The state of a mount that has its connection.
const WELL: &str = "ok";

/// A mount that is served by this process.
pub(crate) struct Serving {
    pub(crate) mounted: Arc<Mounted>,
    pub(crate) filesystem: Arc<Filesystem>,
    pub(crate) remote: Arc<Lasting>,
    dial: Arc<SmbDial>,
    record: Mutex<MountRecord>,
    /// Since when the connection is as it is.
    line_since: Mutex<String>,
    /// One at a time has all files saved.
    saving: Arc<tokio::sync::Mutex<()>>,
}

/// What a mount does and what it holds, at one moment.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Statistics {
    /// As in the record: `ok`, or what is wrong.
    pub(crate) state: String,
    pub(crate) connected: bool,
    /// Since when it is connected or not; RFC 3339.
    pub(crate) line_since: String,
    /// Connections made after the first.
    pub(crate) reconnects: u64,
    /// Requests of programs that have no answer yet.
    pub(crate) requests_in_flight: u64,
    /// Since the start; what the kernel has kept it does not ask for.
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    /// Held, and the server has it as well.
    pub(crate) cache_clean_bytes: u64,
    /// Held, and the server does not have it yet.
    pub(crate) cache_dirty_bytes: u64,
    pub(crate) cache_limit_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) open_directories: u64,
}

impl Serving {
    pub(crate) fn new(
        mounted: Mounted,
        filesystem: Arc<Filesystem>,
        remote: Arc<Lasting>,
        dial: Arc<SmbDial>,
        record: MountRecord,
    ) -> Self {
        Self {
            mounted: Arc::new(mounted),
            filesystem,
            remote,
            dial,
            record: Mutex::new(record),
            line_since: Mutex::new(now()),
            saving: Arc::default(),
        }
    }

    /// The mount's record as it is now.
    pub(crate) fn record(&self) -> MountRecord {
        self.record.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let of_files = self.filesystem.statistics();
        let connected = matches!(*self.remote.state().borrow(), LineState::Up);
        Statistics {
            state: self.record().state,
            connected,
            line_since: self.line_since.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            reconnects: self.dial.made().saturating_sub(1),
            requests_in_flight: self.mounted.requests_under_way() as u64,
            read_bytes: of_files.read,
            written_bytes: of_files.written,
            cache_clean_bytes: of_files.clean,
            cache_dirty_bytes: of_files.dirty,
            cache_limit_bytes: of_files.limit,
            open_files: of_files.open_files,
            open_directories: of_files.open_directories,
        }
    }

    /// Has the server save all that programs have written. Goes on to its end when nobody waits for it any more.
    ///
    /// # Errors
    /// Names the files that are not saved.
    pub(crate) async fn save(&self) -> Result<()> {
        let turn = self.saving.clone().lock_owned().await;
        let filesystem = self.filesystem.clone();
        let failed = tokio::spawn(async move {
            let _turn = turn;
            filesystem.sync().await
        });
        let failed = failed.await?;
        if failed.is_empty() {
            return Ok(());
        }
        let mut text: Vec<_> =
            failed.iter().take(NAMED).map(|(path, error)| format!("{path}: {error}")).collect();
        let more = failed.len().saturating_sub(NAMED);
        text.extend((more > 0).then(|| format!("and {more} more")));
        Err(codes::NOT_SAVED.says(format!("not everything is saved: {}", text.join("; "))))
    }

    /// Unmounts; what is in use only where it is to be `lazy`.
    ///
    /// # Errors
    /// As [`fs_fuse::unmount`].
    pub(crate) async fn unmount(&self, lazy: bool) -> Result<()> {
        let mounted = self.mounted.clone();
        // It waits for the kernel, which may wait for answers of this process.
        Ok(tokio::task::spawn_blocking(move || mounted.unmount(lazy)).await??)
    }

    /// Says in the record how the connection is.
    pub(crate) async fn watch(&self) {
        let mut line = self.remote.state();
        // It may have changed since the record was made.
        line.mark_changed();
        while line.changed().await.is_ok() {
            let record = {
                let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
                let was_well = record.state == WELL;
                told(&mut record, &line.borrow_and_update(), &self.dial);
                if was_well != (record.state == WELL) {
                    *self.line_since.lock().unwrap_or_else(PoisonError::into_inner) = now();
                }
                record.clone()
            };
            // Detached, and another process has the folder now: the record is that one's.
            let ours = MountRecord::load(&record.dir).is_some_and(|saved| saved.pid == record.pid);
            if ours && let Err(error) = record.save() {
                tracing::warn!("{error:#}");
            }
        }
    }
}

/// Puts into the record how the line is, and what was agreed on when it was up last.
pub(crate) fn told(record: &mut MountRecord, line: &LineState, dial: &SmbDial) {
    record.state = match line {
        LineState::Up => WELL.into(),
        LineState::Down { reason, refused: true, .. } => {
            format!("failed: {reason}; programs wait, and it is tried again")
        }
        LineState::Down { reason, .. } => format!("reconnecting: {reason}; programs wait"),
        _ => "unmounting".into(),
    };
    let Some(last) = dial.last() else { return };
    let (info, encrypted) = (last.client().info(), last.share().is_encrypted());
    let none = || "none".to_owned();
    record.dialect = info.dialect.to_string();
    record.encryption = info.cipher.filter(|_| encrypted).map_or_else(none, |cipher| cipher.to_string());
    record.signing = match info.signing {
        // What is encrypted is authenticated by the cipher.
        Some(_) if encrypted => "by encryption".into(),
        Some(signing) => signing.to_string(),
        None => none(),
    };
}
