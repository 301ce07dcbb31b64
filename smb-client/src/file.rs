//! An open file.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use smb_proto::NtStatus;
use smb_proto::fscc::file_class;
use smb_proto::wire::{
    CloseRequest, CreateAction, CreateContext, CreateResponse, FileId, FlushRequest, Request, Response,
    WriteRequest,
};

use crate::durable::Durable;
use crate::error::{Error, Result};
use crate::lease::Granted;
use crate::link::{Link, Waiter};
use crate::metadata::Metadata;
use crate::open::OpenOptions;
use crate::share::{ShareInner, expect, metadata_of, query_all, read};
use crate::transfer::{ReadStream, WriteStream};

/// Bytes that one credit pays for.
const ONE_CREDIT: u32 = 65_536;

/// Pieces of a stream that the server's credits should pay for.
const FEWEST_PIECES: u32 = 32;

/// How often and after how long a WRITE is repeated while the server still has one from a connection that is lost.
const AGAIN: u32 = 500;
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// Whether the server still works on what came by a lost connection ([MS-SMB2] 3.3.5.2.10).
const fn is_early(result: &Result<Response>) -> bool {
    matches!(result, Err(Error::Status { status: NtStatus::FILE_NOT_AVAILABLE, .. }))
}

/// A READ or WRITE that is under way.
#[derive(Debug)]
pub(crate) struct Begun {
    /// What the request carries or asks for, in bytes.
    length: u32,
    waiter: Result<Waiter>,
    /// The connection that it goes by, if it is not the first.
    channel: Option<Arc<Link>>,
}

/// The body of the only reply.
async fn only(waiter: Result<Waiter>, operation: &'static str) -> (Result<Response>, Instant) {
    let (result, at) = match waiter {
        Ok(waiter) => waiter.await,
        Err(error) => return (Err(error), Instant::now()),
    };
    let response = result.map_err(Error::from).and_then(|mut replies| match replies.pop() {
        Some(reply) => expect(operation, reply),
        None => Err(Error::Malformed("no reply")),
    });
    (response, at)
}

fn posix_mode(response: &CreateResponse) -> Option<u32> {
    response.contexts.iter().find_map(|context| match context {
        CreateContext::PosixResponse { mode, .. } => Some(*mode),
        _ => None,
    })
}

/// An open file or directory on the server.
///
/// [`File::close`] reports what the server says; dropping closes too, without waiting or telling.
pub struct File {
    share: Arc<ShareInner>,
    id: FileId,
    action: CreateAction,
    metadata: Metadata,
    lease: Granted,
    posix_mode: Option<u32>,
    pub(crate) durable: Option<Durable>,
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
    pub(crate) fn new(share: Arc<ShareInner>, response: &CreateResponse, asked: &OpenOptions) -> Self {
        Self {
            share,
            id: response.file_id,
            action: response.action,
            metadata: Metadata::from(response),
            lease: Granted::of(response, asked.lease),
            posix_mode: posix_mode(response),
            durable: Durable::of(response, asked.durable),
            closed: AtomicBool::new(false),
        }
    }

    pub(crate) fn share(&self) -> &Arc<ShareInner> {
        &self.share
    }

    /// What the server calls this open; a break of its oplock says so as well.
    pub const fn id(&self) -> FileId {
        self.id
    }

    /// What was granted of the lease that opening asked for. What has been broken since is not known here.
    pub const fn lease(&self) -> Granted {
        self.lease
    }

    /// Whether opening created, opened or truncated the file.
    pub const fn action(&self) -> CreateAction {
        self.action
    }

    /// The file's permissions, where it was opened with the semantics of POSIX: see [`OpenOptions::posix`].
    pub const fn posix_mode(&self) -> Option<u32> {
        self.posix_mode
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
        self.finish_read(self.begin_read(offset, length), offset, length, &mut Instant::now()).await
    }

    /// Sends the first READ of a range at once.
    pub(crate) fn begin_read(&self, offset: u64, length: u32) -> Begun {
        let length = self.share.clamp(length, self.share.max_read);
        let (waiter, channel) = self.share.begin(read(self.id, offset, length));
        Begun { length, waiter, channel }
    }

    /// Waits for what was begun, and asks for what it did not bring.
    ///
    /// Leaves in `came` when the first answer came.
    pub(crate) async fn finish_read(
        &self,
        begun: Begun,
        offset: u64,
        length: u32,
        came: &mut Instant,
    ) -> Result<Bytes> {
        let first = self.read_reply(begun, offset, came).await?;
        if first.is_empty() || first.len() >= length as usize {
            return Ok(first);
        }
        let mut whole = BytesMut::from(&first[..]);
        while whole.len() < length as usize {
            let (at, rest) = (offset + whole.len() as u64, length - whole.len() as u32);
            let part = self.read_reply(self.begin_read(at, rest), at, &mut Instant::now()).await?;
            if part.is_empty() {
                break;
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    /// The data of one READ; empty at the end of the file.
    async fn read_reply(&self, begun: Begun, offset: u64, came: &mut Instant) -> Result<Bytes> {
        let Begun { length, waiter, channel } = begun;
        if length == 0 {
            return Ok(Bytes::new());
        }
        let (mut result, mut at) = only(waiter, "reading").await;
        if let (Err(Error::Connection(_)), Some(lost)) = (&result, channel) {
            self.share.client.lost_channel(&lost);
            let again = self.share.begin_again(read(self.id, offset, length));
            (result, at) = only(again, "reading").await;
        }
        *came = at;
        match result {
            // The server has taken credits back since: one credit pays for the smallest size.
            Err(Error::NotEnoughCredits) if length > ONE_CREDIT => {
                Box::pin(self.read_reply(self.begin_read(offset, ONE_CREDIT), offset, came)).await
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
        if data.is_empty() {
            return Ok(());
        }
        self.finish_write(self.begin_write(offset, &data), offset, data, &mut Instant::now()).await
    }

    /// Sends the first WRITE of `data` at once.
    pub(crate) fn begin_write(&self, offset: u64, data: &Bytes) -> Begun {
        let wanted = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let length = self.share.clamp(wanted, self.share.max_write);
        let data = data.slice(..length as usize);
        let (waiter, channel) = self.share.begin(self.write_request(offset, data));
        Begun { length, waiter, channel }
    }

    fn write_request(&self, offset: u64, data: Bytes) -> Request {
        Request::Write(WriteRequest { offset, file_id: self.id, flags: 0, data })
    }

    /// Waits for what was begun, and writes what it did not.
    ///
    /// Leaves in `came` when the first answer came.
    pub(crate) async fn finish_write(
        &self,
        begun: Begun,
        offset: u64,
        data: Bytes,
        came: &mut Instant,
    ) -> Result<()> {
        let mut written = self.write_reply(begun, offset, &data, came).await?;
        while written < data.len() {
            let (at, rest) = (offset + written as u64, data.slice(written..));
            written += self.write_reply(self.begin_write(at, &rest), at, &rest, &mut Instant::now()).await?;
        }
        Ok(())
    }

    /// How many bytes of `data` one WRITE wrote, at least one.
    async fn write_reply(
        &self,
        begun: Begun,
        offset: u64,
        data: &Bytes,
        came: &mut Instant,
    ) -> Result<usize> {
        let Begun { length, waiter, channel } = begun;
        let (mut result, mut at) = only(waiter, "writing").await;
        let lost = channel.filter(|_| matches!(result, Err(Error::Connection(_))));
        if let Some(lost) = &lost {
            self.share.client.lost_channel(lost);
        }
        if lost.is_some() || (is_early(&result) && self.share.client.has_lost_channels()) {
            for _ in 0..AGAIN {
                let data = data.slice(..length as usize);
                (result, at) =
                    only(self.share.begin_again(self.write_request(offset, data)), "writing").await;
                if !is_early(&result) {
                    break;
                }
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        *came = at;
        match result {
            Ok(Response::Write(body)) if (1..=length).contains(&body.count) => Ok(body.count as usize),
            Ok(_) => Err(Error::Malformed("a wrong count of bytes written")),
            Err(Error::NotEnoughCredits) if length > ONE_CREDIT => {
                let data = data.slice(..ONE_CREDIT as usize);
                Box::pin(self.write_reply(self.begin_write(offset, &data), offset, &data, came)).await
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

    /// The pieces of a stream, in bytes: as large as requests may be, and small enough that a server of few
    /// credits has several under way, or its time and the network's would add up.
    pub(crate) fn piece(&self, limit: u32) -> u32 {
        let fair = (self.share.clamp(u32::MAX, u32::MAX) / FEWEST_PIECES).max(ONE_CREDIT);
        self.share.clamp(fair, limit)
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
    /// Closes the file, and says what it is like then: the sizes and times that later writers have not changed yet.
    /// [`Metadata::file_id`] and [`Metadata::links`] are 0. `None` where the server does not say, or the file was
    /// closed before.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub async fn close_with_metadata(&self) -> Result<Option<Metadata>> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(None);
        }
        let request = Request::Close(CloseRequest { query_attributes: true, file_id: self.id });
        match self.share.request_one("closing", request).await? {
            Response::Close(closed) => Ok(closed.has_attributes.then(|| Metadata::from(&closed))),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }
}
