//! The one task that writes to a connection's socket.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use smb_proto::conn::{ConnectionError, Outbound, SealedFrame};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::task::JoinHandle;

use super::Shared;

/// Frames that are signed or encrypted ahead of the one being written.
const AHEAD: usize = 8;
/// Small frames that one call writes together, and how many bytes of them.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 256 << 10;

/// A frame on its way through the cryptography.
enum Job {
    Here(Outbound),
    Elsewhere(JoinHandle<Result<SealedFrame, ConnectionError>>),
}

impl Job {
    async fn sealed(self) -> Result<SealedFrame, ConnectionError> {
        match self {
            Self::Here(outbound) => outbound.seal(),
            Self::Elsewhere(task) => task.await.unwrap_or(Err(ConnectionError::Closed)),
        }
    }
}

/// Writes until the connection is over.
pub(super) async fn run(shared: Arc<Shared>, mut socket: OwnedWriteHalf) {
    let mut jobs = VecDeque::new();
    let mut frames = Vec::new();
    loop {
        let closed = next_jobs(&shared, &mut jobs);
        if closed {
            let _ = socket.shutdown().await;
            return;
        }
        if jobs.is_empty() {
            shared.transmit.notified().await;
            continue;
        }
        if let Err(error) = next_frames(&mut jobs, &mut frames).await {
            return shared.close(error);
        }
        if let Err(error) = write(&shared, &mut socket, &frames).await {
            tracing::debug!(%error, "sending failed");
            return shared.close(ConnectionError::Lost);
        }
        let mut state = shared.lock();
        for frame in frames.drain(..) {
            state.machine.recycle(frame.head);
        }
    }
}

/// Takes what the machine wants sent. Whether there will never be anything again.
fn next_jobs(shared: &Shared, jobs: &mut VecDeque<Job>) -> bool {
    let mut elsewhere = jobs.iter().filter(|job| matches!(job, Job::Elsewhere(_))).count();
    let mut state = shared.lock();
    while jobs.len() < BATCH && elsewhere < AHEAD {
        let Some(outbound) = state.machine.poll_transmit() else { break };
        // The first in line is sealed here and now; another core may meanwhile see to the next.
        jobs.push_back(if outbound.is_heavy() && !jobs.is_empty() {
            elsewhere += 1;
            Job::Elsewhere(tokio::spawn(async move { outbound.seal() }))
        } else {
            Job::Here(outbound)
        });
    }
    jobs.is_empty() && state.machine.closed().is_some()
}

/// What goes out with the next call: one large frame, or as many small ones as there are.
async fn next_frames(jobs: &mut VecDeque<Job>, frames: &mut Vec<SealedFrame>) -> Result<(), ConnectionError> {
    let mut bytes = 0;
    while let Some(job) = jobs.pop_front() {
        let frame = job.sealed().await?;
        bytes += frame.head.len() + frame.payload.len();
        frames.push(frame);
        if bytes >= BATCH_BYTES || matches!(jobs.front(), Some(Job::Elsewhere(_))) {
            break;
        }
    }
    Ok(())
}

async fn write(shared: &Shared, socket: &mut OwnedWriteHalf, frames: &[SealedFrame]) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 2 * BATCH];
    let mut count = 0;
    for part in frames.iter().flat_map(|frame| [&frame.head[..], &frame.payload[..]]) {
        if !part.is_empty() {
            slices[count] = IoSlice::new(part);
            count += 1;
        }
    }
    let mut rest = &mut slices[..count];
    while !rest.is_empty() {
        match socket.write_vectored(rest).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            sent => IoSlice::advance_slices(&mut rest, sent),
        }
        if !rest.is_empty() {
            shared.lock().machine.note_progress(Instant::now());
        }
    }
    Ok(())
}
