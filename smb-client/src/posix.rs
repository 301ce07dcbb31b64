//! What the SMB3 POSIX extensions say of files: permissions and owners besides the rest.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{PosixFsInfo, PosixInfo, decode_posix_listing, file_class, from_bytes, volume_class};
use smb_proto::security::Sid;
use smb_proto::wire::{FileId, InfoType, Request, Response};

use crate::change::SetAttributes;
use crate::directory::{Directory, MOST_EMPTY_BATCHES, query};
use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::PathLease;
use crate::metadata::Metadata;
use crate::names::name_from_wire;
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::{Share, query_info};

/// What a server with POSIX extensions says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PosixMetadata {
    /// What every server says.
    pub metadata: Metadata,
    /// The volume's number.
    pub device: u32,
    /// Permissions, the lowest twelve bits; some servers say the type above them too.
    pub mode: u32,
    /// The owner. Samba says `S-1-22-1-` and the number for whom it has no other name: see [`Sid::to_unix`].
    pub owner: Sid,
    /// The group, `S-1-22-2-` and the number.
    pub group: Sid,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PosixEntry {
    /// The name; one component, whatever the server sent.
    pub name: String,
    /// What the server says of it.
    pub metadata: PosixMetadata,
}

impl From<&PosixInfo> for PosixMetadata {
    fn from(info: &PosixInfo) -> Self {
        Self {
            metadata: Metadata {
                file_id: info.inode,
                size: info.end_of_file,
                allocated: info.allocation_size,
                created: info.times.created,
                accessed: info.times.accessed,
                written: info.times.written,
                changed: info.times.changed,
                attributes: info.attributes,
                links: info.links,
                reparse_tag: info.reparse_tag,
            },
            device: info.device,
            mode: info.mode,
            owner: info.owner,
            group: info.group,
        }
    }
}

fn question() -> Question {
    Question::file(file_class::POSIX, Bytes::new())
}

fn query_posix(file_id: FileId) -> Request {
    query_info(file_id, InfoType::File, file_class::POSIX)
}

impl Share {
    /// What the server says of a path in the terms of POSIX. Links are not followed, and names differ by case.
    ///
    /// # Errors
    /// There is no such file, the server has no POSIX extensions or they were not asked for
    /// ([`NtStatus::INVALID_INFO_CLASS`] and its like), or the server is lost.
    pub async fn posix_metadata(&self, path: &str) -> Result<PosixMetadata> {
        let (options, none) = (OpenOptions::attributes().posix(0), PathLease::default());
        let data = self.ask("querying", path, options, none, &question()).await?;
        Ok(PosixMetadata::from(&from_bytes::<PosixInfo>(&data)?))
    }

    /// Changes times, attributes and, where given, the size, as [`Share::modify_with`]; says what the file is like then
    /// in the terms of POSIX. For a share whose [`crate::Manner`] is POSIX.
    ///
    /// # Errors
    /// As [`Share::posix_metadata`].
    pub async fn modify_posix(
        &self,
        path: &str,
        size: Option<u64>,
        set: &SetAttributes,
        lease: PathLease,
    ) -> Result<PosixMetadata> {
        let query = query_posix(FileId::RELATED);
        let data = self.modify_and_ask(path, size, set, lease, query).await?;
        Ok(PosixMetadata::from(&from_bytes::<PosixInfo>(&data)?))
    }

    /// How full the volume is in the terms of POSIX: blocks, and files that there can be. For a share whose
    /// [`crate::Manner`] is POSIX.
    ///
    /// # Errors
    /// As [`Share::posix_metadata`].
    pub async fn posix_space(&self) -> Result<PosixFsInfo> {
        let query = query_info(FileId::RELATED, InfoType::FileSystem, volume_class::POSIX);
        self.query("querying the volume", "", query).await
    }
}

impl File {
    /// What the server says of the file now in the terms of POSIX; it is open with [`OpenOptions::posix`].
    ///
    /// # Errors
    /// As [`Share::posix_metadata`].
    pub async fn posix_metadata(&self) -> Result<PosixMetadata> {
        let data = self.ask("querying", &question()).await?;
        Ok(PosixMetadata::from(&from_bytes::<PosixInfo>(&data)?))
    }

    /// Changes times, attributes and, where given, the size, as [`File::modify`]; says what the file is like then in
    /// the terms of POSIX.
    ///
    /// # Errors
    /// As [`Share::posix_metadata`].
    pub async fn modify_posix(&self, size: Option<u64>, set: &SetAttributes) -> Result<PosixMetadata> {
        let data = self.modify_and_ask(size, set, query_posix(self.id())).await?;
        Ok(PosixMetadata::from(&from_bytes::<PosixInfo>(&data)?))
    }
}

impl Directory {
    /// The next entries in the terms of POSIX, as [`Directory::next_entries`] otherwise; the directory is open with
    /// [`OpenOptions::posix`]. Whoever began with one of the two goes on with it.
    ///
    /// # Errors
    /// As [`Share::posix_metadata`].
    pub async fn next_posix_entries(&self) -> Result<Vec<PosixEntry>> {
        let share = self.file().share();
        for _ in 0..MOST_EMPTY_BATCHES {
            let (request, max_output) = query(share, self.file().id(), file_class::POSIX);
            let data = match share.request_one("listing", request).await {
                Ok(Response::QueryDirectory(body)) if body.data.len() <= max_output as usize => body.data,
                Ok(_) => return Err(Error::Malformed("a longer listing than was asked for")),
                Err(Error::Status { status: NtStatus::NO_MORE_FILES | NtStatus::NO_SUCH_FILE, .. }) => {
                    return Ok(Vec::new());
                }
                Err(error) => return Err(error),
            };
            let all = decode_posix_listing(&data)?;
            if all.is_empty() {
                return Ok(Vec::new());
            }
            self.admit(&data)?;
            let entries: Vec<_> = all
                .iter()
                .filter(|entry| !matches!(entry.name.as_str(), "." | ".."))
                .filter_map(|entry| {
                    let Some(name) = name_from_wire(&entry.name) else {
                        tracing::warn!(name = ?entry.name, "the server lists a name that cannot be; left out");
                        return None;
                    };
                    Some(PosixEntry { name, metadata: PosixMetadata::from(&entry.info) })
                })
                .collect();
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
        Err(Error::Malformed("a listing of nothing without an end"))
    }
}
