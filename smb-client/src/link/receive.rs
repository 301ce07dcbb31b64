//! The one task that reads from a connection's socket.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use smb_proto::conn::{ConnectionError, Inbound, PREFIX_LEN, PeerMisbehaved};
use smb_proto::wire::frame_length;
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::Semaphore;

use super::Shared;

/// One read takes in this much at most before it is known what follows: several small frames, or the start of a
/// large one, which is all of it that is copied twice.
const STAGE: usize = 16 << 10;

/// Reads until the connection is over.
pub(super) async fn run(shared: Arc<Shared>, socket: OwnedReadHalf) {
    let helpers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut receiver = Receiver {
        shared: shared.clone(),
        socket,
        staged: BytesMut::new(),
        helpers: Arc::new(Semaphore::new(helpers)),
    };
    let reason = loop {
        if let Err(reason) = receiver.receive().await {
            break reason;
        }
    };
    shared.close(reason);
}

struct Receiver {
    shared: Arc<Shared>,
    socket: OwnedReadHalf,
    /// What is received and not yet part of a frame.
    staged: BytesMut,
    /// Large frames that may be verified beside this task at a time.
    helpers: Arc<Semaphore>,
}

impl Receiver {
    /// One frame, from the socket to whoever waits for it.
    async fn receive(&mut self) -> Result<(), ConnectionError> {
        let frame = self.frame().await?;
        let inbound = self.shared.lock().machine.accept(frame)?;
        if inbound.is_heavy()
            && let Ok(permit) = self.helpers.clone().try_acquire_owned()
        {
            let shared = self.shared.clone();
            tokio::spawn(async move {
                if let Err(error) = shared.take(inbound) {
                    shared.close(error);
                }
                drop(permit);
            });
            return Ok(());
        }
        self.shared.take(inbound)
    }

    async fn frame(&mut self) -> Result<BytesMut, ConnectionError> {
        self.stage(PREFIX_LEN).await?;
        let length = frame_length([self.staged[0], self.staged[1], self.staged[2], self.staged[3]])?;
        if length > self.shared.lock().machine.max_frame() {
            return Err(PeerMisbehaved::FrameTooLarge(length).into());
        }
        self.staged.advance(PREFIX_LEN);
        if length <= STAGE {
            self.stage(length).await?;
            return Ok(self.staged.split_to(length));
        }
        let mut frame = self.shared.pool.take(length);
        let early = self.staged.len().min(length);
        frame.extend_from_slice(&self.staged[..early]);
        self.staged.advance(early);
        while frame.len() < length {
            let missing = length - frame.len();
            self.read(&mut (&mut frame).limit(missing)).await?;
            if frame.len() < length {
                self.shared.lock().machine.note_progress(Instant::now());
            }
        }
        Ok(frame)
    }

    /// Waits until `length` bytes are staged, at most [`STAGE`].
    async fn stage(&mut self, length: usize) -> Result<(), ConnectionError> {
        while self.staged.len() < length {
            // Frames that were cut off may still be in use: then this takes other memory. Mostly they are not any
            // more when something comes again.
            if let Err(error) = self.socket.readable().await {
                return Err(lost(&error));
            }
            self.staged.reserve(STAGE - self.staged.len().min(STAGE));
            let mut staged = std::mem::take(&mut self.staged);
            let result = self.read(&mut (&mut staged).limit(STAGE)).await;
            self.staged = staged;
            result?;
            if self.staged.len() < length {
                self.shared.lock().machine.note_progress(Instant::now());
            }
        }
        Ok(())
    }

    async fn read(&mut self, into: &mut impl BufMut) -> Result<(), ConnectionError> {
        match self.socket.read_buf(into).await {
            Ok(0) => Err(ConnectionError::Lost),
            Ok(_) => Ok(()),
            Err(error) => Err(lost(&error)),
        }
    }
}

impl Shared {
    /// Does the cryptography of a frame and gives it to the machine.
    fn take(&self, inbound: Inbound) -> Result<(), ConnectionError> {
        let opened = inbound.open()?;
        let memory: Bytes = opened.memory();
        let mut state = self.lock();
        state.machine.handle(Instant::now(), opened);
        let closed = state.machine.closed().cloned();
        self.after(state);
        self.pool.lend(memory);
        closed.map_or(Ok(()), Err)
    }
}

fn lost(error: &io::Error) -> ConnectionError {
    tracing::debug!(%error, "receiving failed");
    ConnectionError::Lost
}
