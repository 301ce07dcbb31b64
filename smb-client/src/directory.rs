//! An open directory.

use smb_proto::NtStatus;
use smb_proto::fscc::{decode_directory, file_class};
use smb_proto::wire::{QueryDirectoryFlags, QueryDirectoryRequest, Request, Response};

use crate::error::{Error, Result};
use crate::file::File;
use crate::metadata::Metadata;
use crate::names::name_from_wire;

/// Bytes of entries to ask for at once: some 500 entries, two credits.
const BATCH_BYTES: u32 = 128 * 1024;

/// So many batches in a row may hold no name at all.
const MOST_EMPTY_BATCHES: u32 = 64;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name; one component, whatever the server sent.
    pub name: String,
    /// What the server says of it; without the count of links.
    pub metadata: Metadata,
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    file: File,
}

impl Directory {
    pub(crate) const fn new(file: File) -> Self {
        Self { file }
    }

    /// The next entries, some hundred at a time; none at the end. `.` and `..` are left out, and so is, with a
    /// warning in the log, whatever no directory can honestly hold: see [`name_from_wire`].
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn next_entries(&self) -> Result<Vec<Entry>> {
        for _ in 0..MOST_EMPTY_BATCHES {
            let share = self.file.share();
            let max_output = share.clamp(BATCH_BYTES, share.max_transact);
            let request = Request::QueryDirectory(QueryDirectoryRequest {
                info_class: file_class::ID_BOTH_DIRECTORY,
                flags: QueryDirectoryFlags::empty(),
                file_index: 0,
                file_id: self.file.id(),
                pattern: "*".into(),
                max_output,
            });
            let data = match share.request_one("listing", request).await {
                Ok(Response::QueryDirectory(body)) => body.data,
                Ok(_) => return Err(Error::Malformed("another command's reply")),
                Err(Error::Status { status: NtStatus::NO_MORE_FILES | NtStatus::NO_SUCH_FILE, .. }) => {
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            };
            if data.len() > max_output as usize {
                return Err(Error::Malformed("a longer listing than was asked for"));
            }
            let entries = decode_directory(&data)?;
            if entries.is_empty() {
                return Ok(Vec::new());
            }
            let entries: Vec<Entry> = entries
                .iter()
                .filter(|entry| !matches!(entry.name.as_str(), "." | ".."))
                .filter_map(|entry| {
                    let Some(name) = name_from_wire(&entry.name) else {
                        tracing::warn!(name = ?entry.name, "the server lists a name that cannot be; left out");
                        return None;
                    };
                    Some(Entry { name, metadata: Metadata::from(entry) })
                })
                .collect();
            // A batch of nothing but dots is not the end.
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Err(Error::Malformed("a listing of nothing without an end"))
    }

    /// All entries that are left.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn all_entries(&self) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        loop {
            let batch = self.next_entries().await?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch);
        }
    }

    /// Closes the directory.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn close(&self) -> Result<()> {
        self.file.close().await
    }
}
