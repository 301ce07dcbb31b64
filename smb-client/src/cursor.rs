//! A file with a position: what tokio's `AsyncRead`, `AsyncWrite` and `AsyncSeek` want.

use std::fmt;
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use crate::error::Result;
use crate::file::File;
use crate::transfer::{ReadStream, WriteStream};

/// One write takes this much of a caller's buffer.
const MOST_COPIED: usize = 1 << 20;

/// A position in an open file. Reading runs ahead and writing runs behind, with several requests under way, so
/// whole files go at full speed; for single pieces anywhere [`File::read_at`] and [`File::write_at`] are better.
///
/// What was written is confirmed by `flush` or `shutdown`; dropping the cursor before gives up what is under way.
pub struct Cursor {
    file: Arc<File>,
    position: u64,
    /// Read ahead and not taken yet.
    ahead: Bytes,
    state: State,
}

type Moving<S, T> = BoxFuture<'static, (S, Result<T>)>;

enum State {
    Idle,
    /// Nothing under way, but the stream has requests at the server.
    Reading(ReadStream),
    Writing(WriteStream),
    /// Waiting.
    Read(Moving<ReadStream, Option<Bytes>>),
    Write(Moving<WriteStream, ()>),
    Finish(BoxFuture<'static, Result<u64>>),
    /// Where the end is; and how far from there to go.
    Measure(BoxFuture<'static, Result<u64>>, i64),
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cursor")
            .field("file", &self.file)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl File {
    /// A position in this file, at its start.
    pub fn cursor(self: &Arc<Self>) -> Cursor {
        Cursor { file: self.clone(), position: 0, ahead: Bytes::new(), state: State::Idle }
    }
}

impl Cursor {
    /// The file.
    pub const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// The byte that comes next.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Takes what is under way a step on. Ready when nothing is waited for: the state is `Idle`, `Reading` or
    /// `Writing`. `true` after a piece was read.
    fn step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        // Each arm that waits leaves its state as it is.
        let mut read = false;
        self.state = match &mut self.state {
            State::Read(future) => {
                let (stream, result) = ready!(future.as_mut().poll(cx));
                read = true;
                match result {
                    Ok(piece) => {
                        self.ahead = piece.unwrap_or_default();
                        State::Reading(stream)
                    }
                    Err(error) => return self.fail(error),
                }
            }
            State::Write(future) => {
                let (stream, result) = ready!(future.as_mut().poll(cx));
                match result {
                    Ok(()) => State::Writing(stream),
                    Err(error) => return self.fail(error),
                }
            }
            State::Finish(future) => match ready!(future.as_mut().poll(cx)) {
                Ok(_) => State::Idle,
                Err(error) => return self.fail(error),
            },
            State::Measure(future, by) => match ready!(future.as_mut().poll(cx)) {
                Ok(end) => match end.checked_add_signed(*by) {
                    Some(position) => {
                        self.position = position;
                        State::Idle
                    }
                    None => {
                        self.state = State::Idle;
                        return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
                    }
                },
                Err(error) => return self.fail(error),
            },
            State::Idle | State::Reading(_) | State::Writing(_) => return Poll::Ready(Ok(false)),
        };
        Poll::Ready(Ok(read))
    }

    fn fail<T>(&mut self, error: crate::Error) -> Poll<io::Result<T>> {
        self.state = State::Idle;
        Poll::Ready(Err(error.into()))
    }

    /// Waits until all that was written is confirmed.
    fn settle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.step(cx))?;
            match std::mem::replace(&mut self.state, State::Idle) {
                State::Writing(stream) => self.state = State::Finish(Box::pin(stream.finish())),
                State::Reading(stream) => {
                    self.state = State::Reading(stream);
                    return Poll::Ready(Ok(()));
                }
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Forgets what was read ahead.
    fn stop_reading(&mut self) {
        self.ahead = Bytes::new();
        if matches!(self.state, State::Reading(_) | State::Read(_)) {
            self.state = State::Idle;
        }
    }
}

impl AsyncRead for Cursor {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ahead.is_empty() || buf.remaining() == 0 {
                let taken = this.ahead.len().min(buf.remaining());
                buf.put_slice(&this.ahead[..taken]);
                this.ahead.advance(taken);
                this.position += taken as u64;
                return Poll::Ready(Ok(()));
            }
            let mut stream = match std::mem::replace(&mut this.state, State::Idle) {
                State::Idle => this.file.read_stream(this.position, u64::MAX - this.position),
                State::Reading(stream) => stream,
                waiting => {
                    let reading = matches!(waiting, State::Read(_));
                    this.state = waiting;
                    if !reading {
                        ready!(this.settle(cx))?;
                    } else if ready!(this.step(cx))? && this.ahead.is_empty() {
                        // The end, for now: who reads again asks the server again.
                        this.state = State::Idle;
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
            };
            this.state = State::Read(Box::pin(async move {
                let result = stream.next().await;
                (stream, result)
            }));
        }
    }
}

impl AsyncWrite for Cursor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.stop_reading();
        ready!(this.step(cx))?;
        let taken = buf.len().min(MOST_COPIED);
        // No file reaches so far, but a seek may have led there.
        let behind = this.position.checked_add(taken as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let mut stream = match std::mem::replace(&mut this.state, State::Idle) {
            State::Writing(stream) => stream,
            _ => this.file.write_stream(this.position),
        };
        let piece = Bytes::copy_from_slice(&buf[..taken]);
        this.position = behind;
        this.state = State::Write(Box::pin(async move {
            let result = stream.write(piece).await;
            (stream, result)
        }));
        // An error is told by the next call: these bytes are taken, and the window may be full.
        if let Poll::Ready(Err(error)) = this.step(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.settle(cx)
    }

    /// Confirms what was written. The file stays open: [`File::close`] closes it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for Cursor {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        let this = &mut *self;
        if !matches!(this.state, State::Idle | State::Reading(_) | State::Read(_)) {
            return Err(io::Error::other("flush before seeking: a write is under way"));
        }
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => this.position.checked_add_signed(by),
            SeekFrom::End(by) => {
                this.stop_reading();
                let file = this.file.clone();
                this.state = State::Measure(Box::pin(async move { Ok(file.metadata().await?.size) }), by);
                return Ok(());
            }
        };
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        if position != this.position {
            this.stop_reading();
            this.position = position;
        }
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        if matches!(this.state, State::Measure(..)) {
            ready!(this.step(cx))?;
        }
        // tokio asks before it seeks, so that a seek finds nothing under way.
        ready!(this.settle(cx))?;
        Poll::Ready(Ok(this.position))
    }
}
