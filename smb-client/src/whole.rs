//! Whole files: small ones in one round trip, others as streams.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smb_proto::NtStatus;
use smb_proto::conn::Reply;
use smb_proto::wire::{CreateDisposition, FileId, Request, Response, WriteRequest};

use crate::change::{SetAttributes, set_basic};
use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::open::OpenOptions;
use crate::share::{Share, close_related, expect, read};

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
        self.start(self.inner.create(path, &OpenOptions::read())?, length).await
    }

    /// The same with the request that opens.
    pub(crate) async fn start(&self, create: Request, length: u32) -> Result<FileStart> {
        let length = self.inner.clamp(length.max(1), self.inner.max_read);
        let chain = vec![create, read(FileId::RELATED, 0, length), close_related()];
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
            let length = data.len();
            let mut chain = vec![self.inner.create(path, &options)?];
            chain.extend(write_related(data)?);
            chain.push(close_related());
            return all_written(&self.chain("writing", chain).await?, length);
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
        let length = data.len();
        let options = OpenOptions::write().disposition(CreateDisposition::Create);
        let mut chain = vec![self.inner.create(path, &options)?];
        chain.extend(write_related(data)?);
        if *set != SetAttributes::default() {
            chain.push(set_basic(FileId::RELATED, set));
        }
        chain.push(close_related());
        let replies = self.chain("creating", chain).await?;
        let written = all_written(&replies, length);
        if written.is_err() {
            // The open succeeded, or there would be an error already.
            self.discard(path).await;
        }
        written
    }

    /// Replaces a file, or creates it, in two round trips and so that nobody ever sees a part of it: the content
    /// is written as `part`, in the same folder, and takes the name once it is known to be whole. At most
    /// [`Share::small`] bytes. What cannot be written or renamed leaves the old file as it was.
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
        // Not in one chain: a server goes on in it after a WRITE that failed or fell short, and would put what is
        // left of the new file in the place of the old one.
        self.create_whole(part, data, set).await?;
        let renamed = self.rename(part, path, true).await;
        if renamed.is_err() {
            self.discard(part).await;
        }
        renamed
    }

    /// What could not be finished is of no use to anybody.
    async fn discard(&self, path: &str) {
        if let Err(error) = self.remove_file(path).await {
            tracing::debug!(%error, "removing what could not be written");
        }
    }
}

/// Whether nothing failed in a chain that writes so many bytes, and all of them were written: a server whose disk is
/// full may write some and tell so.
pub(crate) fn all_written(replies: &[Reply], length: usize) -> Result<()> {
    for reply in replies {
        match &reply.body {
            Err(_) => return Err(Error::refused("writing", reply.status)),
            Ok(Response::Write(body)) if (body.count as usize) < length => {
                return Err(Error::refused("writing", NtStatus::DISK_FULL));
            }
            Ok(Response::Write(body)) if body.count as usize > length => {
                return Err(Error::Malformed("a wrong count of bytes written"));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// The WRITE that fills a file just opened; none for nothing.
pub(crate) fn write_related(data: Bytes) -> Result<Option<Request>> {
    if data.len() > SMALL {
        return Err(Error::TooLarge);
    }
    let write = WriteRequest { offset: 0, file_id: FileId::RELATED, flags: 0, data };
    Ok((!write.data.is_empty()).then_some(Request::Write(write)))
}
