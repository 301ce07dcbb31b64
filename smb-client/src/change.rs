//! What is changed by path: names, times, sizes.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::conn::Reply;
use smb_proto::fscc::{
    AllInfo, BasicInfo, FileAttributes, FileTime, RenameInfo, file_class, from_bytes, to_bytes,
};
use smb_proto::wire::{
    AccessMask, CreateDisposition, CreateOptions, CreateResponse, FileId, FileTimes, Request, Response,
    ShareAccess,
};

use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::PathLease;
use crate::metadata::Metadata;
use crate::open::OpenOptions;
use crate::share::{Share, close_related, expect, metadata_of, query_all, set_file_info};

/// What to change of a file; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SetAttributes {
    /// When it was created.
    pub created: Option<FileTime>,
    /// When it was read last.
    pub accessed: Option<FileTime>,
    /// When its content changed last.
    pub written: Option<FileTime>,
    /// Its attributes; empty clears all.
    pub attributes: Option<FileAttributes>,
}

impl SetAttributes {
    /// Sets [`Self::created`].
    #[must_use]
    pub fn created(self, created: impl Into<Option<FileTime>>) -> Self {
        Self { created: created.into(), ..self }
    }

    /// Sets [`Self::accessed`].
    #[must_use]
    pub fn accessed(self, accessed: impl Into<Option<FileTime>>) -> Self {
        Self { accessed: accessed.into(), ..self }
    }

    /// Sets [`Self::written`].
    #[must_use]
    pub fn written(self, written: impl Into<Option<FileTime>>) -> Self {
        Self { written: written.into(), ..self }
    }

    /// Sets [`Self::attributes`].
    #[must_use]
    pub fn attributes(self, attributes: impl Into<Option<FileAttributes>>) -> Self {
        Self { attributes: attributes.into(), ..self }
    }

    fn to_info(self) -> BasicInfo {
        let attributes = match self.attributes {
            // Zero would mean "as it is".
            Some(attributes) if attributes.is_empty() => FileAttributes::NORMAL,
            Some(attributes) => attributes,
            None => FileAttributes::empty(),
        };
        BasicInfo {
            times: FileTimes {
                created: self.created.unwrap_or_default(),
                accessed: self.accessed.unwrap_or_default(),
                written: self.written.unwrap_or_default(),
                changed: FileTime::ZERO,
            },
            attributes,
        }
    }
}

impl Share {
    /// Makes a directory.
    ///
    /// # Errors
    /// It exists, or the server refuses or is lost.
    pub async fn create_dir(&self, path: &str) -> Result<Metadata> {
        self.create_dir_with(path, PathLease::default()).await
    }

    /// The same; these leases are not broken by it.
    ///
    /// # Errors
    /// As [`Self::create_dir`].
    pub async fn create_dir_with(&self, path: &str, lease: PathLease) -> Result<Metadata> {
        self.create_dir_posix(path, None, lease).await
    }

    /// The same; the directory gets these permissions where the server has them: see [`OpenOptions::posix`].
    ///
    /// # Errors
    /// As [`Self::create_dir`].
    pub async fn create_dir_posix(
        &self,
        path: &str,
        mode: Option<u32>,
        lease: PathLease,
    ) -> Result<Metadata> {
        let options = OpenOptions {
            posix: mode,
            disposition: CreateDisposition::Create,
            options: CreateOptions::DIRECTORY_FILE,
            ..OpenOptions::attributes()
        };
        let create = self.create_leased(path, options, lease)?;
        let chain = vec![create, query_all(FileId::RELATED), close_related()];
        let mut replies = self.chain("creating the directory", chain).await?.into_iter();
        let created = replies.next().and_then(created);
        match (created, replies.next().map(|reply| expect("querying", reply))) {
            (_, Some(Ok(body))) => metadata_of(body),
            (Some(created), _) => Ok(Metadata::from(&created)),
            _ => Err(Error::Malformed("no reply")),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// It is a directory, or the server refuses or is lost.
    pub async fn remove_file(&self, path: &str) -> Result<()> {
        self.remove_file_with(path, PathLease::default()).await
    }

    /// The same; these leases are not broken by it.
    ///
    /// # Errors
    /// As [`Self::remove_file`].
    pub async fn remove_file_with(&self, path: &str, lease: PathLease) -> Result<()> {
        self.remove(path, CreateOptions::NON_DIRECTORY_FILE, lease).await
    }

    /// Removes a file that nobody has open. Clients that keep it open under a lease only are told to close it.
    ///
    /// # Errors
    /// Somebody has it open (SHARING_VIOLATION), it is a directory, or the server refuses or is lost.
    pub async fn remove_unused_file(&self, path: &str) -> Result<()> {
        self.remove_unused_file_with(path, PathLease::default()).await
    }

    /// The same; these leases are not broken by it.
    ///
    /// # Errors
    /// As [`Self::remove_unused_file`].
    pub async fn remove_unused_file_with(&self, path: &str, lease: PathLease) -> Result<()> {
        let options = OpenOptions::existing(AccessMask::DELETE | AccessMask::READ_ATTRIBUTES)
            .share_access(ShareAccess::empty())
            .options(CreateOptions::NON_DIRECTORY_FILE | CreateOptions::OPEN_REPARSE_POINT);
        self.dispose(self.create_leased(path, options, lease)?).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// It is no directory or not empty, or the server refuses or is lost.
    pub async fn remove_dir(&self, path: &str) -> Result<()> {
        self.remove_dir_with(path, PathLease::default()).await
    }

    /// The same; these leases are not broken by it.
    ///
    /// # Errors
    /// As [`Self::remove_dir`].
    pub async fn remove_dir_with(&self, path: &str, lease: PathLease) -> Result<()> {
        self.remove(path, CreateOptions::DIRECTORY_FILE, lease).await
    }

    /// Sets the disposition explicitly: with delete-on-close a server may report a directory that is not empty
    /// only at the close, or never.
    async fn remove(&self, path: &str, kind: CreateOptions, lease: PathLease) -> Result<()> {
        let options = OpenOptions {
            options: kind | CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(AccessMask::DELETE | AccessMask::READ_ATTRIBUTES)
        };
        self.dispose(self.create_leased(path, options, lease)?).await
    }

    pub(crate) async fn dispose(&self, create: Request) -> Result<()> {
        self.alter("removing", create, file_class::DISPOSITION, Bytes::from_static(&[1])).await
    }

    /// Opens, changes one thing and closes: in one chain, or one after the other where the server has to wait for somebody's
    /// answer to the break of a lease, which none does in the middle of a chain ([MS-SMB2] 3.3.5.2.7).
    async fn alter(&self, operation: &'static str, create: Request, class: u8, info: Bytes) -> Result<()> {
        let change = |id| set_file_info(id, class, info.clone());
        let chain = vec![create.clone(), change(FileId::RELATED), close_related()];
        let replies = self.chain(operation, chain).await?;
        if replies.get(1).is_none_or(|reply| reply.status != NtStatus::INTERNAL_ERROR) {
            return check_all(operation, replies);
        }
        let Response::Create(created) = self.inner.request_one(operation, create).await? else {
            return Err(Error::Malformed("another command's reply"));
        };
        let open = File::new(self.inner.clone(), &created, &OpenOptions::attributes());
        self.inner.request_one(operation, change(open.id())).await?;
        open.close().await
    }

    /// Renames within the share.
    ///
    /// # Errors
    /// The new name exists and is not to be replaced, or the server refuses or is lost.
    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        self.rename_with(from, to, replace, PathLease::default()).await
    }

    /// The same; these leases, of `from` and its directory, are not broken by it. The lease of what is replaced,
    /// and of another directory that it moves to, may be.
    ///
    /// # Errors
    /// As [`Self::rename`].
    pub async fn rename_with(&self, from: &str, to: &str, replace: bool, lease: PathLease) -> Result<()> {
        let options = OpenOptions {
            options: CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(
                AccessMask::DELETE | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE,
            )
        };
        let create = self.create_leased(from, options, lease)?;
        let info = to_bytes(&RenameInfo { replace, name: self.inner.new_name(to)? });
        self.alter("renaming", create, file_class::RENAME, info).await
    }

    /// Gives a file another name besides: a hard link. A reparse point is linked itself, not what it leads to.
    ///
    /// # Errors
    /// The new name exists ([`smb_proto::NtStatus::OBJECT_NAME_COLLISION`]), it is a directory, the server has no
    /// hard links, or it refuses or is lost.
    pub async fn hard_link(&self, existing: &str, new: &str) -> Result<()> {
        self.hard_link_with(existing, new, PathLease::default()).await
    }

    /// The same; these leases, of `existing` and its directory, are not broken by it.
    ///
    /// # Errors
    /// As [`Self::hard_link`].
    pub async fn hard_link_with(&self, existing: &str, new: &str, lease: PathLease) -> Result<()> {
        let create = self.create_leased(existing, OpenOptions::attributes(), lease)?;
        let info = to_bytes(&RenameInfo { replace: false, name: self.inner.new_name(new)? });
        self.alter("linking", create, file_class::LINK, info).await
    }

    /// Changes times, attributes and, where given, the size; says what the file is like then.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn modify(&self, path: &str, size: Option<u64>, set: &SetAttributes) -> Result<Metadata> {
        self.modify_with(path, size, set, PathLease::default()).await
    }

    /// The same; these leases are not broken by it.
    ///
    /// # Errors
    /// As [`Self::modify`].
    pub async fn modify_with(
        &self,
        path: &str,
        size: Option<u64>,
        set: &SetAttributes,
        lease: PathLease,
    ) -> Result<Metadata> {
        let data = self.modify_and_ask(path, size, set, lease, query_all(FileId::RELATED)).await?;
        Ok(Metadata::from(&from_bytes::<AllInfo>(&data)?))
    }

    /// Makes a change and asks `query` in the same chain.
    pub(crate) async fn modify_and_ask(
        &self,
        path: &str,
        size: Option<u64>,
        set: &SetAttributes,
        lease: PathLease,
        query: Request,
    ) -> Result<Bytes> {
        let mut options = OpenOptions {
            options: CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(
                AccessMask::WRITE_ATTRIBUTES | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE,
            )
        };
        if size.is_some() {
            options.access |= AccessMask::WRITE_DATA;
            // The data of a link is not its target's.
            options.options = CreateOptions::NON_DIRECTORY_FILE;
        }
        let mut chain = vec![self.create_leased(path, options, lease)?];
        chain.extend(changes(FileId::RELATED, size, set));
        chain.extend([query, close_related()]);
        changed(self.chain("changing", chain).await?)
    }

    /// The request that opens `path` without breaking these leases.
    pub(crate) fn create_leased(
        &self,
        path: &str,
        options: OpenOptions,
        lease: PathLease,
    ) -> Result<Request> {
        let lease = lease.request(self.inner.client.lease_key());
        self.inner.create(path, &OpenOptions { lease, ..options })
    }
}

impl File {
    /// Changes times, attributes and, where given, the size; says what the file is like then.
    ///
    /// # Errors
    /// The file is open without the access that this takes, or the server refuses or is lost.
    pub async fn modify(&self, size: Option<u64>, set: &SetAttributes) -> Result<Metadata> {
        let data = self.modify_and_ask(size, set, query_all(self.id())).await?;
        Ok(Metadata::from(&from_bytes::<AllInfo>(&data)?))
    }

    /// Makes a change and asks `query` in the same chain.
    pub(crate) async fn modify_and_ask(
        &self,
        size: Option<u64>,
        set: &SetAttributes,
        query: Request,
    ) -> Result<Bytes> {
        let mut chain = changes(self.id(), size, set);
        chain.push(query);
        changed(self.share().request(chain).await?)
    }
}

/// The requests that make a change.
pub(crate) fn changes(file_id: FileId, size: Option<u64>, set: &SetAttributes) -> Vec<Request> {
    let mut requests = Vec::new();
    if let Some(size) = size {
        let data = Bytes::copy_from_slice(&size.to_le_bytes());
        requests.push(set_file_info(file_id, file_class::END_OF_FILE, data));
    }
    if *set != SetAttributes::default() {
        requests.push(set_basic(file_id, set));
    }
    requests
}

pub(crate) fn set_basic(file_id: FileId, set: &SetAttributes) -> Request {
    set_file_info(file_id, file_class::BASIC, to_bytes(&set.to_info()))
}

/// The answer at the end of a chain in which nothing may fail but the close.
fn changed(replies: Vec<Reply>) -> Result<Bytes> {
    for reply in replies {
        if let Response::QueryInfo(body) = expect("changing", reply)? {
            return Ok(body.data);
        }
    }
    Err(Error::Malformed("another command's reply"))
}

fn created(reply: Reply) -> Option<CreateResponse> {
    match reply.body {
        Ok(Response::Create(created)) => Some(created),
        _ => None,
    }
}

/// The first refusal in a chain. What failed only because something before it did is not the reason.
pub(crate) fn check_all(operation: &'static str, replies: Vec<Reply>) -> Result<()> {
    for reply in replies {
        if reply.body.is_err() || reply.status.is_error() {
            return Err(Error::refused(operation, reply.status));
        }
    }
    Ok(())
}
