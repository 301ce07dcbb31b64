//! An open directory.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use futures::stream::{self, Stream, TryStreamExt};
use smb_proto::NtStatus;
use smb_proto::fscc::{decode_directory, file_class};
use smb_proto::wire::{FileId, QueryDirectoryFlags, QueryDirectoryRequest, Request, Response};

use crate::error::{Error, Result};
use crate::file::File;
use crate::metadata::Metadata;
use crate::names::name_from_wire;
use crate::open::OpenOptions;
use crate::share::{Share, ShareInner, expect};

/// Bytes of entries to ask for at once: some 500 entries, two credits.
const BATCH_BYTES: u32 = 128 * 1024;

/// So many batches in a row may hold no name at all.
pub(crate) const MOST_EMPTY_BATCHES: u32 = 64;

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name; one component, whatever the server sent.
    pub name: String,
    /// What the server says of it; without the count of links.
    pub metadata: Metadata,
}

/// A request for the next batch, and how long its answer may be.
pub(crate) fn query(share: &ShareInner, file_id: FileId, info_class: u8) -> (Request, u32) {
    let max_output = share.clamp(BATCH_BYTES, share.max_transact);
    let request = QueryDirectoryRequest {
        info_class,
        flags: QueryDirectoryFlags::empty(),
        file_index: 0,
        file_id,
        pattern: "*".into(),
        max_output,
    };
    (Request::QueryDirectory(request), max_output)
}

/// The entries of an answer, and the answer; `None` at the end.
fn batch(response: Result<Response>, max_output: u32) -> Result<Option<(Vec<Entry>, Bytes)>> {
    let data = match response {
        Ok(Response::QueryDirectory(body)) => body.data,
        Ok(_) => return Err(Error::Malformed("another command's reply")),
        Err(Error::Status { status: NtStatus::NO_MORE_FILES | NtStatus::NO_SUCH_FILE, .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    if data.len() > max_output as usize {
        return Err(Error::Malformed("a longer listing than was asked for"));
    }
    let entries = decode_directory(&data)?;
    if entries.is_empty() {
        return Ok(None);
    }
    let honest =
        entries.iter().filter(|entry| !matches!(entry.name.as_str(), "." | "..")).filter_map(|entry| {
            let Some(name) = name_from_wire(&entry.name) else {
                tracing::warn!(name = ?entry.name, "the server lists a name that cannot be; left out");
                return None;
            };
            Some(Entry { name, metadata: Metadata::from(entry) })
        });
    Ok(Some((honest.collect(), data)))
}

impl Share {
    /// All entries of a directory; of one with some hundred entries in a single round trip.
    ///
    /// # Errors
    /// There is no such directory, or the server refuses or is lost.
    pub async fn read_dir(&self, path: &str) -> Result<Vec<Entry>> {
        let (first, max_output) = query(&self.inner, FileId::RELATED, file_class::ID_BOTH_DIRECTORY);
        let options = OpenOptions::list();
        let chain = vec![self.inner.create(path, &options)?, first.clone(), first];
        let mut replies = self.inner.request(chain).await?.into_iter();
        let directory = match replies.next().map(|reply| expect("opening", reply)) {
            Some(Ok(Response::Create(response))) => {
                Directory::new(File::new(self.inner.clone(), &response, &options))
            }
            Some(Err(error)) => return Err(error),
            _ => return Err(Error::Malformed("another command's reply")),
        };
        let mut all = Vec::new();
        for reply in replies {
            match batch(expect("listing", reply), max_output)? {
                Some((entries, data)) => {
                    directory.admit(&data)?;
                    all.extend(entries);
                }
                // Closed by being dropped: there is nothing to learn from the answer.
                None => return Ok(all),
            }
        }
        all.extend(directory.all_entries().await?);
        Ok(all)
    }
}

/// An open directory.
#[derive(Debug)]
pub struct Directory {
    file: File,
    /// What batches were received: a cursor that comes back to one would go round for ever.
    seen: Mutex<HashSet<u64>>,
    hasher: RandomState,
}

impl Directory {
    /// The listing of a directory that was opened with [`OpenOptions::list`](crate::OpenOptions::list).
    pub fn new(file: File) -> Self {
        Self { file, seen: Mutex::default(), hasher: RandomState::new() }
    }

    /// The open directory: for its lease, and what else there is to ask of it.
    pub const fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn into_file(self) -> File {
        self.file
    }

    /// Refuses what was received before.
    pub(crate) fn admit(&self, data: &Bytes) -> Result<()> {
        let hash = self.hasher.hash_one(data);
        if self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(hash) {
            return Ok(());
        }
        Err(Error::Malformed("a listing that repeats itself"))
    }

    /// The next entries, some hundred at a time; none at the end. `.` and `..` are left out, and so is, with a
    /// warning in the log, whatever no directory can honestly hold: see [`name_from_wire`].
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn next_entries(&self) -> Result<Vec<Entry>> {
        let share = self.file.share();
        for _ in 0..MOST_EMPTY_BATCHES {
            let (request, max_output) = query(share, self.file.id(), file_class::ID_BOTH_DIRECTORY);
            let response = share.request_one("listing", request).await;
            let Some((entries, data)) = batch(response, max_output)? else { return Ok(Vec::new()) };
            self.admit(&data)?;
            // A batch of nothing but dots is not the end.
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Err(Error::Malformed("a listing of nothing without an end"))
    }

    /// The entries one by one, as a stream that ends after the first error.
    pub fn entries(self) -> impl Stream<Item = Result<Entry>> + Send + Unpin {
        let batches = stream::try_unfold(self, |directory| async move {
            let batch = directory.next_entries().await?;
            Ok::<_, Error>(if batch.is_empty() { None } else { Some((batch, directory)) })
        });
        let entries = batches.map_ok(|batch| stream::iter(batch.into_iter().map(Ok))).try_flatten();
        Box::pin(entries)
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
