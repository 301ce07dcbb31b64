//! Large reads and writes: a window of requests under way, pieces in order.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};

use crate::error::{Error, Result};
use crate::file::File;
use crate::window::Window;

/// A piece that was read: when it was asked for, when it came, how much was asked for.
type ReadPiece = (Instant, Instant, u32, Result<Bytes>);
/// A piece that was written: when it went, when it was confirmed, its length.
type WrittenPiece = (Instant, Instant, u64, Result<()>);

/// A range of a file, read with several requests under way.
pub struct ReadStream {
    file: Arc<File>,
    next: u64,
    end: u64,
    piece: u32,
    window: Window,
    under_way: FuturesOrdered<BoxFuture<'static, ReadPiece>>,
}

impl std::fmt::Debug for ReadStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadStream").field("next", &self.next).field("end", &self.end).finish_non_exhaustive()
    }
}

impl ReadStream {
    pub(crate) fn new(file: Arc<File>, offset: u64, length: u64) -> Self {
        let piece = file.piece(file.share().max_read);
        Self {
            file,
            next: offset,
            end: offset.saturating_add(length),
            piece,
            window: Window::new(piece.into()),
            under_way: FuturesOrdered::new(),
        }
    }

    /// The next piece; `None` at the end of the range or of the file, and after an error.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.next < self.end && self.under_way.len() < self.window.pieces() {
            let length = u32::try_from(self.end - self.next).unwrap_or(u32::MAX).min(self.piece);
            let (file, offset) = (self.file.clone(), self.next);
            let departure = Instant::now();
            let begun = file.begin_read(offset, length);
            self.under_way.push_back(Box::pin(async move {
                let mut came = Instant::now();
                let result = file.finish_read(begun, offset, length, &mut came).await;
                (departure, came, length, result)
            }));
            self.next += u64::from(length);
        }
        match self.under_way.next().await {
            None => Ok(None),
            Some((departure, at, asked, Ok(data))) => {
                self.window.arrive(departure, at, data.len() as u64);
                // A short piece is the end of the file; what was asked behind it has nothing to say.
                if data.len() < asked as usize {
                    self.end_here();
                }
                Ok((!data.is_empty()).then_some(data))
            }
            Some((.., Err(error))) => {
                // What comes behind would look as if it followed what came before.
                self.end_here();
                Err(error)
            }
        }
    }

    fn end_here(&mut self) {
        self.end = self.next;
        self.under_way = FuturesOrdered::new();
    }
}

/// Pieces written to a file in order, with several requests under way.
pub struct WriteStream {
    file: Arc<File>,
    offset: u64,
    piece: usize,
    window: Window,
    gathered: BytesMut,
    under_way: FuturesOrdered<BoxFuture<'static, WrittenPiece>>,
    /// Why a piece is missing: told again by whatever comes after.
    failed: Option<Error>,
}

impl std::fmt::Debug for WriteStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteStream").field("offset", &self.offset).finish_non_exhaustive()
    }
}

impl WriteStream {
    pub(crate) fn new(file: Arc<File>, offset: u64) -> Self {
        let piece = file.piece(file.share().max_write);
        Self {
            file,
            offset,
            piece: piece as usize,
            window: Window::new(piece.into()),
            gathered: BytesMut::new(),
            under_way: FuturesOrdered::new(),
            failed: None,
        }
    }

    /// Takes the next bytes. Small pieces are gathered to requests of the largest size; waits while the window
    /// is full.
    ///
    /// # Errors
    /// An earlier piece could not be written.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        if !self.gathered.is_empty() || data.len() < self.piece {
            self.gathered.extend_from_slice(&data);
            data = Bytes::new();
        }
        while self.gathered.len() >= self.piece {
            let piece = self.gathered.split_to(self.piece).freeze();
            self.send(piece).await?;
        }
        while data.len() >= self.piece {
            self.send(data.split_to(self.piece)).await?;
        }
        self.gathered.extend_from_slice(&data);
        Ok(())
    }

    /// Waits until everything is written; how far the file was written.
    ///
    /// # Errors
    /// A piece could not be written.
    pub async fn finish(mut self) -> Result<u64> {
        let rest = std::mem::take(&mut self.gathered).freeze();
        if !rest.is_empty() {
            self.send(rest).await?;
        }
        while self.confirm().await? {}
        Ok(self.offset)
    }

    /// Waits for the oldest piece; whether there was one.
    async fn confirm(&mut self) -> Result<bool> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let Some((departure, at, length, result)) = self.under_way.next().await else { return Ok(false) };
        if let Err(error) = result {
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.window.arrive(departure, at, length);
        Ok(true)
    }

    async fn send(&mut self, piece: Bytes) -> Result<()> {
        while self.under_way.len() >= self.window.pieces() {
            self.confirm().await?;
        }
        let (file, offset, length) = (self.file.clone(), self.offset, piece.len() as u64);
        self.offset += length;
        let departure = Instant::now();
        let begun = file.begin_write(offset, &piece);
        self.under_way.push_back(Box::pin(async move {
            let mut came = Instant::now();
            let result = file.finish_write(begun, offset, piece, &mut came).await;
            (departure, came, length, result)
        }));
        Ok(())
    }
}
