//! Copies that the server makes itself, so that no data travels; and, where it cannot, through this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::stream::{FuturesUnordered, StreamExt};
use smb_proto::NtStatus;
use smb_proto::fscc::{from_bytes, to_bytes};
use smb_proto::fsctl::{CopyChunk, CopyChunkRequest, CopyChunkResponse, ResumeKey};
use smb_proto::wire::{CreateDisposition, fsctl};

use crate::error::{Error, Result};
use crate::file::File;
use crate::ioctl::is_unsupported;
use crate::open::OpenOptions;
use crate::share::Share;

/// What every server takes in one request unless it says otherwise: chunks, bytes of a chunk ([MS-SMB2] 3.3.3).
const USUAL: Limits = Limits { chunks: 16, chunk: 1 << 20 };
/// What a server that refused without saying its limits is asked for next.
const CAREFUL: Limits = Limits { chunks: 1, chunk: 64 << 10 };
/// Requests under way at once: while the server works on one the next is there.
const UNDER_WAY: usize = 4;
/// Bytes of an answer: of a resume key, and of the count of what was copied.
const KEY_BYTES: u32 = 32;
const COUNT_BYTES: u32 = 12;

/// What a copy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes copied.
    pub bytes: u64,
    /// The server copied; no data came here.
    pub by_server: bool,
}

/// What one request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    chunks: u32,
    chunk: u32,
}

impl Limits {
    /// What a server said in its refusal, if it makes sense and asks for less.
    fn said(self, said: CopyChunkResponse) -> Option<Self> {
        let chunk = said.chunk_bytes_written.min(self.chunk);
        let total = said.total_bytes_written;
        if chunk == 0 || total < chunk {
            return None;
        }
        let chunks = said.chunks_written.min(self.chunks).min(total / chunk);
        let limits = Self { chunks, chunk };
        (chunks > 0 && limits != self).then_some(limits)
    }

    /// No more than [`CAREFUL`]; the same where it is no more already.
    fn careful(self) -> Self {
        Self { chunks: self.chunks.min(CAREFUL.chunks), chunk: self.chunk.min(CAREFUL.chunk) }
    }

    const fn bytes(self) -> u64 {
        self.chunks as u64 * self.chunk as u64
    }
}

/// The limits that requests of one copy share; another request may have learnt them meanwhile.
#[derive(Debug)]
struct Learnt {
    chunks: AtomicU32,
    chunk: AtomicU32,
}

impl Learnt {
    const fn new(limits: Limits) -> Self {
        Self { chunks: AtomicU32::new(limits.chunks), chunk: AtomicU32::new(limits.chunk) }
    }

    fn get(&self) -> Limits {
        Limits { chunks: self.chunks.load(Ordering::Relaxed), chunk: self.chunk.load(Ordering::Relaxed) }
    }

    /// Learns only to ask for less, so that this comes to an end.
    fn lower(&self, limits: Limits) {
        self.chunks.fetch_min(limits.chunks, Ordering::Relaxed);
        self.chunk.fetch_min(limits.chunk, Ordering::Relaxed);
    }
}

/// What a request to copy came to.
enum Outcome {
    Copied(u64),
    /// The server wants smaller requests.
    TooMuch(Limits),
    /// It cannot copy these two.
    Unsupported,
}

impl Share {
    /// Copies a file of this share to `to` on `target`, which may be this share, another one or another server's.
    /// The server copies by itself where both are reached over one login and it knows how; else the data comes
    /// through this machine. `each` is told the bytes as they are copied.
    ///
    /// What is at `to` is treated as `disposition` says; whoever wants nobody to see a part of the copy chooses a
    /// name of its own for it, and renames it.
    ///
    /// # Errors
    /// A server refuses or is lost, or the copy is not as long as the file was; a part of the copy may be left.
    pub async fn copy(
        &self,
        from: &str,
        target: &Self,
        to: &str,
        disposition: CreateDisposition,
        each: impl FnMut(u64) + Send,
    ) -> Result<(Copied, File)> {
        let (read, write) = (OpenOptions::read(), OpenOptions::write().disposition(disposition));
        let (source, file) = match disposition {
            CreateDisposition::Create | CreateDisposition::Open | CreateDisposition::OpenIf => {
                let (source, file) = futures::join!(self.open(from, &read), target.open(to, &write));
                (source?, file?)
            }
            // What is at the target would be gone, although there may be nothing to take its place.
            _ => (self.open(from, &read).await?, target.open(to, &write).await?),
        };
        let (source, file) = (Arc::new(source), Arc::new(file));
        let length = source.opened_metadata().size;
        let copied = source.copy_range(0, &file, 0, length, each).await?;
        let size = file.metadata().await?.size;
        if size != length {
            return Err(Error::Malformed("the copy is not as long as the file"));
        }
        source.close().await?;
        // Nothing else holds it: all streams are done.
        let file = Arc::try_unwrap(file).map_err(|_| Error::Malformed("the copy is still in use"))?;
        Ok((copied, file))
    }
}

impl File {
    /// Copies `length` bytes of this file from `offset` on to `at` in `target`: by the server, where it can, or by
    /// reading and writing. `each` is told the bytes as they are copied.
    ///
    /// # Errors
    /// The file is shorter, or a server refuses or is lost; a part may have been copied.
    pub async fn copy_range(
        self: &Arc<Self>,
        offset: u64,
        target: &Arc<Self>,
        at: u64,
        length: u64,
        mut each: impl FnMut(u64) + Send,
    ) -> Result<Copied> {
        if length == 0 {
            return Ok(Copied { bytes: 0, by_server: true });
        }
        let one_login = Arc::ptr_eq(&self.share().client, &target.share().client);
        let key = if one_login { self.resume_key().await? } else { None };
        let mut done = 0;
        if let Some(key) = key {
            done = self.copy_by_server(&key, offset, target, at, length, &mut each).await?;
            if done == length {
                return Ok(Copied { bytes: length, by_server: true });
            }
        }
        self.copy_through(offset + done, target, at + done, length - done, each).await?;
        Ok(Copied { bytes: length, by_server: false })
    }

    /// Has the server copy `length` bytes of `source` from `source_offset` on to `offset` in this file: how many it
    /// copied from the start of the range on, fewer where it cannot, and none where the two are not of one login.
    ///
    /// # Errors
    /// The source is shorter, or the server refuses or is lost; a part may have been copied.
    pub async fn copy_from(
        &self,
        source: &Self,
        source_offset: u64,
        offset: u64,
        length: u64,
    ) -> Result<u64> {
        if length == 0 || !Arc::ptr_eq(&self.share().client, &source.share().client) {
            return Ok(0);
        }
        match source.resume_key().await? {
            Some(key) => source.copy_by_server(&key, source_offset, self, offset, length, &mut |_| {}).await,
            None => Ok(0),
        }
    }

    /// What names this file to the server as the source of a copy; none where the server has no such thing.
    async fn resume_key(&self) -> Result<Option<[u8; 24]>> {
        let request = (self.id(), fsctl::SRV_REQUEST_RESUME_KEY, bytes::Bytes::new());
        match self.share().ioctl("preparing the copy", request, KEY_BYTES).await {
            Ok((_, data)) => Ok(Some(from_bytes::<ResumeKey>(&data)?.0)),
            Err(Error::Status { status, .. })
                if is_unsupported(status) || status == NtStatus::INVALID_PARAMETER =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many bytes from the start of the range on the server has copied; fewer where it cannot.
    async fn copy_by_server(
        &self,
        key: &[u8; 24],
        offset: u64,
        target: &Self,
        at: u64,
        length: u64,
        each: &mut (impl FnMut(u64) + Send),
    ) -> Result<u64> {
        let limits = Learnt::new(USUAL);
        // The first request alone finds out whether the server can, and how much of it at once.
        let first = length.min(USUAL.bytes());
        let can = target.copy_piece(key, offset, at, first, &limits).await?;
        each(can);
        if can < first {
            return Ok(can);
        }
        let mut next = first;
        let mut under_way = FuturesUnordered::new();
        loop {
            while next < length && under_way.len() < UNDER_WAY {
                let piece = (length - next).min(limits.get().bytes());
                let (from, to) = (offset + next, at + next);
                let limits = &limits;
                under_way.push(async move { (piece, target.copy_piece(key, from, to, piece, limits).await) });
                next += piece;
            }
            match under_way.next().await {
                None => return Ok(length),
                Some((piece, copied)) => {
                    let copied = copied?;
                    each(copied);
                    if copied < piece {
                        return Err(Error::refused("copying", NtStatus::NOT_SUPPORTED));
                    }
                }
            }
        }
    }

    /// Copies one piece, in as many requests as the server wants; fewer bytes where the server cannot.
    async fn copy_piece(
        &self,
        key: &[u8; 24],
        from: u64,
        to: u64,
        length: u64,
        limits: &Learnt,
    ) -> Result<u64> {
        let mut done = 0;
        while done < length {
            let now = limits.get();
            match self.copy_chunks(key, from + done, to + done, length - done, now).await? {
                Outcome::Copied(bytes) => done += bytes,
                Outcome::TooMuch(less) => limits.lower(less),
                Outcome::Unsupported => break,
            }
        }
        Ok(done)
    }

    async fn copy_chunks(
        &self,
        key: &[u8; 24],
        from: u64,
        to: u64,
        length: u64,
        limits: Limits,
    ) -> Result<Outcome> {
        let mut chunks = Vec::new();
        let mut asked = 0;
        while asked < length && (chunks.len() as u64) < u64::from(limits.chunks) {
            let bytes = (length - asked).min(limits.chunk.into());
            chunks.push(CopyChunk { source: from + asked, target: to + asked, length: bytes as u32 });
            asked += bytes;
        }
        let input = to_bytes(&CopyChunkRequest { key: *key, chunks });
        let request = (self.id(), fsctl::SRV_COPYCHUNK_WRITE, input);
        match self.share().ioctl("copying", request, COUNT_BYTES).await {
            Ok((status, data)) => {
                let said: CopyChunkResponse = from_bytes(&data)?;
                if status == NtStatus::INVALID_PARAMETER {
                    return Ok(limits.said(said).map_or(Outcome::Unsupported, Outcome::TooMuch));
                }
                match u64::from(said.total_bytes_written) {
                    0 => Err(Error::Malformed("a copy of nothing")),
                    bytes if bytes <= asked => Ok(Outcome::Copied(bytes)),
                    _ => Err(Error::Malformed("a longer copy than was asked for")),
                }
            }
            // The refusal carries the limits, in a form that is not an error's: it may be all that is known.
            Err(Error::Malformed(_) | Error::Status { status: NtStatus::INVALID_PARAMETER, .. })
                if limits.careful() != limits =>
            {
                Ok(Outcome::TooMuch(limits.careful()))
            }
            Err(Error::Status { status, .. })
                if is_unsupported(status)
                    || matches!(status, NtStatus::INVALID_PARAMETER | NtStatus::OBJECT_NAME_NOT_FOUND) =>
            {
                Ok(Outcome::Unsupported)
            }
            Err(error) => Err(error),
        }
    }

    async fn copy_through(
        self: &Arc<Self>,
        offset: u64,
        target: &Arc<Self>,
        at: u64,
        length: u64,
        mut each: impl FnMut(u64) + Send,
    ) -> Result<()> {
        let mut reading = self.read_stream(offset, length);
        let mut writing = target.write_stream(at);
        let mut left = length;
        while let Some(piece) = reading.next().await? {
            let bytes = piece.len() as u64;
            left = left.saturating_sub(bytes);
            writing.write(piece).await?;
            each(bytes);
        }
        writing.finish().await?;
        if left == 0 { Ok(()) } else { Err(Error::refused("copying", NtStatus::END_OF_FILE)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(chunks: u32, chunk: u32, total: u32) -> CopyChunkResponse {
        CopyChunkResponse { chunks_written: chunks, chunk_bytes_written: chunk, total_bytes_written: total }
    }

    #[test]
    fn a_server_is_asked_for_what_it_takes() {
        assert_eq!(USUAL.said(response(256, 1 << 20, 16 << 20)), None, "it takes all that was asked for");
        assert_eq!(USUAL.said(response(4, 1 << 16, 1 << 20)), Some(Limits { chunks: 4, chunk: 1 << 16 }));
        assert_eq!(
            USUAL.said(response(256, 1 << 20, 2 << 20)),
            Some(Limits { chunks: 2, chunk: 1 << 20 }),
            "the sum counts as well"
        );
        for nonsense in [response(0, 1, 1), response(1, 0, 1), response(1, 100, 99)] {
            assert_eq!(USUAL.said(nonsense), None);
        }
    }

    #[test]
    fn what_is_little_already_is_not_asked_for_again() {
        assert_eq!(USUAL.careful(), CAREFUL);
        for little in [CAREFUL, Limits { chunks: 1, chunk: 1 << 15 }] {
            assert_eq!(little.careful(), little);
        }
        assert_ne!(Limits { chunks: 2, chunk: 1 << 15 }.careful(), CAREFUL, "it only goes down");
    }

    #[test]
    fn limits_only_go_down() {
        let learnt = Learnt::new(USUAL);
        learnt.lower(CAREFUL);
        learnt.lower(USUAL);
        assert_eq!(learnt.get(), CAREFUL);
    }
}
