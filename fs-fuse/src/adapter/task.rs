//! A request as a task, and what becomes of its outcome when nobody waits for that any more.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fs_core::{Fh, Filesystem, FsResult};
use fuser::{Errno, Request};

use super::answer::Named;
use super::interrupts::{Call, Patience, Refusal};
use super::{Adapter, inode};

impl Adapter {
    /// A request has come.
    pub(super) fn begin(&self, request: &Request, patience: Patience) -> Call {
        self.interrupts.begin(request, patience)
    }

    /// Run a request whose outcome is of no use to anybody but who waits for it.
    pub(super) fn run<R, T, F>(
        &self,
        call: Call,
        reply: R,
        work: impl FnOnce(Arc<Filesystem>) -> F,
        answer: impl FnOnce(R, T) + Send + 'static,
    ) where
        R: Refusal,
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.spawn(call, reply, work, answer, |_, _| std::future::ready(()));
    }

    /// Run a request. If it is answered early, its work goes on, and what comes of that is handed to `undo`.
    ///
    /// What needs nothing of the server is done here and now: to wake another thread takes longer. The rest becomes a task.
    /// A panic in the work drops the reply, which answers EIO.
    pub(super) fn spawn<R, T, F, U>(
        &self,
        call: Call,
        reply: R,
        work: impl FnOnce(Arc<Filesystem>) -> F,
        answer: impl FnOnce(R, T) + Send + 'static,
        undo: impl FnOnce(Arc<Filesystem>, T) -> U + Send + 'static,
    ) where
        R: Refusal,
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
        U: Future<Output = ()> + Send,
    {
        let fs = self.fs.clone();
        let mut work = Box::pin(work(fs.clone()));
        let _runtime = self.runtime.enter();
        // Nobody is woken by this waker; the task asks again at once.
        let mut begin = || work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match catch_unwind(AssertUnwindSafe(&mut begin)) {
            Ok(Poll::Ready(outcome)) => return answer(reply, outcome),
            Ok(Poll::Pending) => {}
            // Said already where panics are said.
            Err(_) => return,
        }
        self.runtime.spawn(async move {
            tokio::select! {
                biased;
                outcome = &mut work => return answer(reply, outcome),
                () = call.given_up() => {}
            }
            let goes_on = !call.is_dropped();
            drop(call);
            reply.refuse(Errno::EINTR);
            if goes_on {
                undo(fs, work.await).await;
            }
        });
    }
}

/// The kernel was not told of an entry.
pub(super) async fn forget(fs: Arc<Filesystem>, found: FsResult<Named>) {
    if let Ok(found) = found {
        fs.forget(inode(found.node), 1);
    }
}

/// The kernel was not told of an open file.
pub(super) async fn release(fs: &Filesystem, fh: Fh) {
    if let Err(error) = fs.release(fh).await {
        tracing::debug!(%error, "closing a file that nobody waited for");
    }
}

/// Nobody was told what went wrong with written data: whoever closes or syncs the file next is to be.
pub(super) async fn report<T>(fs: Arc<Filesystem>, fh: Fh, outcome: FsResult<T>) {
    if let Err(error) = outcome {
        fs.report_later(fh, &error);
    }
}
