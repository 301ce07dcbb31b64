//! Large reads and writes: a window of requests under way, pieces in order.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};

use crate::error::Result;
use crate::file::File;

/// Bytes under way at once: enough for 10 Gbit/s at 6 ms, or 1 Gbit/s at 60 ms.
const WINDOW_BYTES: u64 = 8 << 20;

fn window(piece: u32) -> usize {
    usize::try_from(WINDOW_BYTES / u64::from(piece.max(1))).unwrap_or(1).clamp(2, 64)
}

/// A range of a file, read with several requests under way.
pub struct ReadStream {
    file: Arc<File>,
    next: u64,
    end: u64,
    piece: u32,
    window: usize,
    under_way: FuturesOrdered<BoxFuture<'static, Result<(Bytes, u32)>>>,
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
            window: window(piece),
            under_way: FuturesOrdered::new(),
        }
    }

    /// The next piece; `None` at the end of the range or of the file.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.next < self.end && self.under_way.len() < self.window {
            let length = u32::try_from(self.end - self.next).unwrap_or(u32::MAX).min(self.piece);
            let (file, offset) = (self.file.clone(), self.next);
            self.under_way.push_back(Box::pin(async move {
                file.read_at(offset, length).await.map(|data| (data, length))
            }));
            self.next += u64::from(length);
        }
        match self.under_way.next().await {
            None => Ok(None),
            Some(Ok((data, asked))) => {
                // A short piece is the end of the file; what was asked behind it has nothing to say.
                if data.len() < asked as usize {
                    self.end = self.next;
                    self.under_way = FuturesOrdered::new();
                }
                Ok((!data.is_empty()).then_some(data))
            }
            Some(Err(error)) => Err(error),
        }
    }
}

/// Pieces written to a file in order, with several requests under way.
pub struct WriteStream {
    file: Arc<File>,
    offset: u64,
    piece: usize,
    window: usize,
    gathered: BytesMut,
    under_way: FuturesOrdered<BoxFuture<'static, Result<()>>>,
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
            window: window(piece),
            gathered: BytesMut::new(),
            under_way: FuturesOrdered::new(),
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
        while let Some(result) = self.under_way.next().await {
            result?;
        }
        Ok(self.offset)
    }

    async fn send(&mut self, piece: Bytes) -> Result<()> {
        while self.under_way.len() >= self.window {
            if let Some(result) = self.under_way.next().await {
                result?;
            }
        }
        let (file, offset) = (self.file.clone(), self.offset);
        self.offset += piece.len() as u64;
        self.under_way.push_back(Box::pin(async move { file.write_at(offset, piece).await }));
        Ok(())
    }
}
