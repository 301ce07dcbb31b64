//! An open file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Bytes, BytesMut};
use smb_proto::NtStatus;
use smb_proto::fscc::file_class;
use smb_proto::wire::{
    CloseRequest, CreateAction, CreateResponse, FileId, FlushRequest, ReadRequest, Request, Response,
    WriteRequest,
};

use crate::error::{Error, Result};
use crate::metadata::Metadata;
use crate::share::{ShareInner, metadata_of, query_all};
use crate::transfer::{ReadStream, WriteStream};

/// Bytes that one credit pays for.
const ONE_CREDIT: u32 = 65_536;

/// An open file or directory on the server.
///
/// [`File::close`] reports what the server says; dropping closes too, without waiting or telling.
pub struct File {
    share: Arc<ShareInner>,
    id: FileId,
    action: CreateAction,
    metadata: Metadata,
    closed: AtomicBool,
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Acquire) {
            self.share.post_close(self.id);
        }
    }
}

impl File {
    pub(crate) fn new(share: Arc<ShareInner>, response: &CreateResponse) -> Self {
        Self {
            share,
            id: response.file_id,
            action: response.action,
            metadata: Metadata::from(response),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn share(&self) -> &Arc<ShareInner> {
        &self.share
    }

    pub(crate) const fn id(&self) -> FileId {
        self.id
    }

    /// Whether opening created, opened or truncated the file.
    pub const fn action(&self) -> CreateAction {
        self.action
    }

    /// What the server said of the file when it was opened.
    pub const fn opened_metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What the server says of the file now.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn metadata(&self) -> Result<Metadata> {
        metadata_of(self.share.request_one("querying", query_all(self.id)).await?)
    }

    /// Reads up to `length` bytes; fewer only at the end of the file. What the server does not give in one
    /// request is asked for in several.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn read_at(&self, offset: u64, length: u32) -> Result<Bytes> {
        let first = self.read_once(offset, length).await?;
        if first.is_empty() || first.len() >= length as usize {
            return Ok(first);
        }
        let mut whole = BytesMut::from(&first[..]);
        while whole.len() < length as usize {
            let rest = length - whole.len() as u32;
            let part = self.read_once(offset + whole.len() as u64, rest).await?;
            if part.is_empty() {
                break;
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    /// One READ; empty at the end of the file.
    pub(crate) async fn read_once(&self, offset: u64, length: u32) -> Result<Bytes> {
        let length = self.share.clamp(length, self.share.max_read);
        if length == 0 {
            return Ok(Bytes::new());
        }
        let request =
            Request::Read(ReadRequest { flags: 0, length, offset, file_id: self.id, minimum_count: 0 });
        match self.share.request_one("reading", request).await {
            // The server has taken credits back since: one credit pays for the smallest size.
            Err(Error::NotEnoughCredits) if length > ONE_CREDIT => {
                return Box::pin(self.read_once(offset, ONE_CREDIT)).await;
            }
            Ok(Response::Read(body)) if body.data.len() <= length as usize => Ok(body.data),
            Ok(_) => Err(Error::Malformed("more data than was asked for")),
            Err(Error::Status { status: NtStatus::END_OF_FILE, .. }) => Ok(Bytes::new()),
            Err(error) => Err(error),
        }
    }

    /// Writes all of `data`, in as many requests as the server wants.
    ///
    /// # Errors
    /// The server refuses, or is lost; a part may have been written.
    pub async fn write_at(&self, offset: u64, data: Bytes) -> Result<()> {
        let mut rest = data;
        let mut offset = offset;
        while !rest.is_empty() {
            let written = self.write_once(offset, &rest).await?;
            let _ = rest.split_to(written);
            offset += written as u64;
        }
        Ok(())
    }

    /// One WRITE; how many bytes it wrote, at least one.
    pub(crate) async fn write_once(&self, offset: u64, data: &Bytes) -> Result<usize> {
        let wanted = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let length = self.share.clamp(wanted, self.share.max_write) as usize;
        let data = data.slice(..length);
        let request = Request::Write(WriteRequest { offset, file_id: self.id, flags: 0, data: data.clone() });
        match self.share.request_one("writing", request).await {
            Ok(Response::Write(body)) if body.count >= 1 && body.count as usize <= length => {
                Ok(body.count as usize)
            }
            Ok(_) => Err(Error::Malformed("a wrong count of bytes written")),
            Err(Error::NotEnoughCredits) if data.len() > ONE_CREDIT as usize => {
                Box::pin(self.write_once(offset, &data.slice(..ONE_CREDIT as usize))).await
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a range as a stream of pieces in order, with several requests under way.
    pub fn read_stream(self: &Arc<Self>, offset: u64, length: u64) -> ReadStream {
        ReadStream::new(self.clone(), offset, length)
    }

    /// Writes pieces in order from `offset` on, with several requests under way.
    pub fn write_stream(self: &Arc<Self>, offset: u64) -> WriteStream {
        WriteStream::new(self.clone(), offset)
    }

    /// The largest piece of a stream, in bytes.
    pub(crate) fn piece(&self, limit: u32) -> u32 {
        self.share.clamp(u32::MAX, limit)
    }

    /// Asks the server to put on disk what was written.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn flush(&self) -> Result<()> {
        self.share.request_one("flushing", Request::Flush(FlushRequest { file_id: self.id })).await.map(drop)
    }

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn set_len(&self, size: u64) -> Result<()> {
        let data = Bytes::copy_from_slice(&size.to_le_bytes());
        self.share.set_info(self.id, file_class::END_OF_FILE, data).await
    }

    /// Closes the file. What the server could not keep of earlier writes it may say here.
    ///
    /// # Errors
    /// The server refuses, or is lost; the handle is gone in any case.
    pub async fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let request = Request::Close(CloseRequest { query_attributes: false, file_id: self.id });
        self.share.request_one("closing", request).await.map(drop)
    }
}
