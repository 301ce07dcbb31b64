//! Whole files: small ones in one round trip, others as streams.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smb_proto::NtStatus;
use smb_proto::fscc::{RenameInfo, file_class, to_bytes};
use smb_proto::wire::{AccessMask, CreateDisposition, FileId, ReadRequest, Request, Response, WriteRequest};

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::names::path_to_wire;
use crate::open::OpenOptions;
use crate::share::{SetAttributes, Share, close_related, expect, set_basic, set_file_info};

/// What goes through one credit, and with open and close in one frame.
const SMALL: usize = 64 << 10;

/// The start of a file, and what the server said of the file when it was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FileStart {
    /// Times, size, attributes.
    pub metadata: Metadata,
    /// The first bytes.
    pub data: Bytes,
    /// There may be more than `data`.
    pub more: bool,
}

impl Share {
    /// The most bytes that [`Share::read_start`] and [`Share::create_whole`] move in one round trip.
    pub fn small(&self) -> usize {
        SMALL.min(self.inner.max_read as usize).min(self.inner.max_write as usize)
    }

    /// Opens a file, reads up to `length` bytes from its start and closes it, in one round trip.
    ///
    /// # Errors
    /// There is no such file, or the server refuses or is lost.
    pub async fn read_start(&self, path: &str, length: u32) -> Result<FileStart> {
        let length = self.inner.clamp(length.max(1), self.inner.max_read);
        let read = ReadRequest { flags: 0, length, offset: 0, file_id: FileId::RELATED, minimum_count: 0 };
        let chain = vec![OpenOptions::read().create(path)?, Request::Read(read), close_related()];
        let mut replies = self.chain("opening", chain).await?.into_iter();
        let metadata = match replies.next().map(|reply| expect("opening", reply)) {
            Some(Ok(Response::Create(created))) => Metadata::from(&created),
            Some(Err(error)) => return Err(error),
            _ => return Err(Error::Malformed("another command's reply")),
        };
        let data = match replies.next().map(|reply| expect("reading", reply)) {
            Some(Ok(Response::Read(body))) if body.data.len() <= length as usize => body.data,
            Some(Err(Error::Status { status: NtStatus::END_OF_FILE, .. })) => Bytes::new(),
            Some(Err(error)) => return Err(error),
            _ => return Err(Error::Malformed("more data than was asked for")),
        };
        let more = data.len() == length as usize;
        Ok(FileStart { metadata, data, more })
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// There is no such file, or the server refuses or is lost.
    pub async fn read(&self, path: &str) -> Result<Bytes> {
        let start = self.read_start(path, SMALL as u32).await?;
        if !start.more {
            return Ok(start.data);
        }
        let file = Arc::new(self.open(path, &OpenOptions::read()).await?);
        let mut whole = BytesMut::new();
        let mut pieces = file.read_stream(0, u64::MAX);
        while let Some(piece) = pieces.next().await? {
            whole.extend_from_slice(&piece);
        }
        file.close().await?;
        Ok(whole.freeze())
    }

    /// Makes a file's content `data`, whether it existed or not. Who reads meanwhile may see a part.
    ///
    /// # Errors
    /// The server refuses, or is lost; a part may have been written.
    pub async fn write(&self, path: &str, data: impl Into<Bytes>) -> Result<()> {
        let data = data.into();
        let options = OpenOptions::write().disposition(CreateDisposition::OverwriteIf);
        if data.len() <= self.small() {
            let mut chain = vec![options.create(path)?];
            chain.extend(write_related(data)?);
            chain.push(close_related());
            return self.all("writing", chain).await;
        }
        let file = Arc::new(self.open(path, &options).await?);
        let mut pieces = file.write_stream(0);
        pieces.write(data).await?;
        pieces.finish().await?;
        file.close().await
    }

    /// Creates a file that must not exist yet, with all its content and what `set` says, in one round trip; at
    /// most [`Share::small`] bytes. Nothing is left of a file that could not be written.
    ///
    /// # Errors
    /// It exists ([`NtStatus::OBJECT_NAME_COLLISION`]), it is too large, or the server refuses or is lost.
    pub async fn create_whole(&self, path: &str, data: Bytes, set: &SetAttributes) -> Result<()> {
        self.store(path, data, set, None).await
    }

    /// Replaces a file, or creates it, in one round trip and so that nobody ever sees a part of it: the content
    /// is written as `part`, in the same folder, and then takes the name. At most [`Share::small`] bytes.
    ///
    /// # Errors
    /// `part` exists, the content is too large, or the server refuses or is lost.
    pub async fn replace_whole(
        &self,
        path: &str,
        part: &str,
        data: Bytes,
        set: &SetAttributes,
    ) -> Result<()> {
        self.store(part, data, set, Some(path)).await
    }

    async fn store(&self, path: &str, data: Bytes, set: &SetAttributes, name: Option<&str>) -> Result<()> {
        let mut options = OpenOptions::write().disposition(CreateDisposition::Create);
        if name.is_some() {
            options.access |= AccessMask::DELETE;
        }
        let mut chain = vec![options.create(path)?];
        chain.extend(write_related(data)?);
        if *set != SetAttributes::default() {
            chain.push(set_basic(FileId::RELATED, set));
        }
        if let Some(name) = name {
            let info = to_bytes(&RenameInfo { replace: true, name: path_to_wire(name)? });
            chain.push(set_file_info(FileId::RELATED, file_class::RENAME, info));
        }
        chain.push(close_related());
        let replies = self.chain("creating", chain).await?;
        let failed = replies.iter().find(|reply| reply.body.is_err()).map(|reply| reply.status);
        let Some(status) = failed else { return Ok(()) };
        // The open succeeded, or there would be an error already: what it made is no use to anybody.
        if let Err(error) = self.remove_file(path).await {
            tracing::debug!(%error, "removing what could not be written");
        }
        Err(Error::refused("writing", status))
    }

    /// A chain in which nothing may fail.
    async fn all(&self, operation: &'static str, chain: Vec<Request>) -> Result<()> {
        let replies = self.chain(operation, chain).await?;
        match replies.iter().find(|reply| reply.body.is_err()) {
            Some(reply) => Err(Error::refused(operation, reply.status)),
            None => Ok(()),
        }
    }
}

/// The WRITE that fills a file just opened; none for nothing.
fn write_related(data: Bytes) -> Result<Option<Request>> {
    if data.len() > SMALL {
        return Err(Error::TooLarge);
    }
    let write = WriteRequest { offset: 0, file_id: FileId::RELATED, flags: 0, data };
    Ok((!write.data.is_empty()).then_some(Request::Write(write)))
}
