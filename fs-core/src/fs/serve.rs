//! What happens without a request: leases are taken back, opens that nobody uses are closed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Filesystem, Kernel};
use crate::content::{Content, Losing, idle_before};
use crate::error::FsError;
use crate::inode::Ino;
use crate::name::RemotePath;
use crate::remote::{Caching, LeaseAsk, LeaseKey, RemoteEvent, RemoteHandle};

/// How often opens that nobody uses are looked for.
const TIDY_INTERVAL: Duration = Duration::from_millis(500);
/// How long the answer to a break waits for the kernel to forget.
const KERNEL_PATIENCE: Duration = Duration::from_secs(5);

/// Does what may block.
#[cfg(not(test))]
pub(super) fn outside(work: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(work)
}

/// The kernel of this crate's tests never blocks; among the other tasks the same happens each time.
#[cfg(test)]
pub(super) fn outside(work: impl FnOnce() + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async { work() })
}

/// The server takes a lease back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Break {
    to: Caching,
    epoch: Option<u16>,
    acknowledge: bool,
}

/// A key whose file is being created; breaks for it are kept until it is there.
pub(super) struct Creating<'a> {
    fs: &'a Filesystem,
    key: LeaseKey,
}

impl Creating<'_> {
    /// What was taken back meanwhile.
    pub(super) fn broken(self) -> Option<Break> {
        self.fs.created(self.key)
    }
}

impl Drop for Creating<'_> {
    fn drop(&mut self) {
        self.fs.created(self.key);
    }
}

impl Filesystem {
    /// Hear the server take leases back, and close what is open for nobody, for as long as this runs; leases are asked
    /// for from now on.
    pub async fn serve(self: Arc<Self>, kernel: Arc<dyn Kernel>) {
        let kernel = self.kernel.get_or_init(|| kernel).clone();
        let fs = Arc::downgrade(&self);
        let hear_of_loss = move |ino, error: &FsError| {
            if let Some(fs) = fs.upgrade() {
                fs.log_loss(ino, error);
            }
        };
        let _ = self.common.losses.set(Box::new(hear_of_loss));
        let Some(events) = self.remote.events() else { return self.tidy().await };
        self.served.store(true, Ordering::Release);
        tokio::join!(self.clone().hear(events, kernel.clone()), self.tidy());
    }

    fn log_loss(&self, ino: Ino, error: &FsError) {
        let path = self.inodes().path(ino).unwrap_or_else(|_| RemotePath::root());
        let advice = error.advice().unwrap_or("see what is wrong there");
        tracing::error!("what was written to {path} is lost, and its programs are told: {error}: {advice}");
    }

    async fn hear(
        self: Arc<Self>,
        mut events: mpsc::UnboundedReceiver<RemoteEvent>,
        kernel: Arc<dyn Kernel>,
    ) {
        while let Some(event) = events.recv().await {
            let mut losing = None;
            let (key, broken) = match event {
                RemoteEvent::LeaseBreak { key, to, epoch, acknowledge } => {
                    tracing::trace!(?key, ?to, epoch, "the server takes a lease back");
                    (key, Break { to, epoch, acknowledge })
                }
                RemoteEvent::LeaseLost { key } => {
                    if let Some(content) = self.inodes().content_of(Ino(key.0)) {
                        content.lost_lease();
                        losing = Some(content.losing());
                    }
                    (key, Break { to: Caching::NONE, epoch: None, acknowledge: false })
                }
                RemoteEvent::Mark { number } => {
                    self.remote.heard(number);
                    continue;
                }
                RemoteEvent::Lost => {
                    self.inodes().set_offline(true);
                    continue;
                }
                RemoteEvent::Restored => {
                    let posix = self.remote.is_posix();
                    let mut inodes = self.inodes();
                    inodes.set_offline(false);
                    inodes.set_ignores_case(!posix);
                    continue;
                }
            };
            // Before anything else is heard: who waits for a connection goes on after that.
            let content = self.inodes().content_of(Ino(key.0));
            let lost = content.and_then(|content| content.let_go(broken.to, broken.epoch));
            let (fs, kernel) = (self.clone(), kernel.clone());
            // Each for itself: one file's slow server must not keep another's from being told.
            tokio::spawn(async move { fs.lease_broken(key, broken, lost, losing, kernel).await });
        }
        self.served.store(false, Ordering::Release);
    }

    /// Does what a break asks for; `lost` has been let go of already.
    async fn lease_broken(
        &self,
        key: LeaseKey,
        broken: Break,
        lost: Option<Caching>,
        losing: Option<Losing>,
        kernel: Arc<dyn Kernel>,
    ) {
        if let Some(handle) = self.listings.broken(Ino(key.0), broken.to, broken.epoch) {
            return self.directory_broken(key, handle, broken).await;
        }
        let content = self.inodes().content_of(Ino(key.0));
        if let Some(kept) = self.locked_creating().get_mut(&key)
            && content.is_none()
        {
            *kept = Some(broken);
            return;
        }
        let Some(content) = content else {
            // Closed in the meantime; the server may wait all the same.
            return self.acknowledge(key, broken).await;
        };
        let lost = lost.or_else(|| content.let_go(broken.to, broken.epoch));
        if let Some(lost) = lost {
            content.give_up(lost).await;
        }
        if lost.is_some_and(|lost| lost.read) {
            self.inodes().expire(content.ino);
            let ino = content.ino;
            let forget = outside(move || kernel.forget_data(ino));
            if tokio::time::timeout(KERNEL_PATIENCE, forget).await.is_err() {
                tracing::warn!(
                    ino = ino.0,
                    "the kernel does not let go of a file that another client changes"
                );
            }
        }
        drop(losing);
        if let Some(lost) = lost {
            content.close_given_up(lost).await;
        }
        self.inodes().collect(content.ino);
        self.acknowledge(key, broken).await;
    }

    async fn directory_broken(&self, key: LeaseKey, handle: Option<RemoteHandle>, broken: Break) {
        let directory = Ino(key.0);
        self.names.forget(directory);
        self.unlease(directory);
        if let Some(handle) = handle {
            self.close_directory(directory, handle, true).await;
        }
        self.acknowledge(key, broken).await;
    }

    /// The lease of a directory is no longer held, for whatever reason: the kernel is not to believe for an hour what it
    /// was told under it. Nobody waits for that: whoever holds the kernel's lock of the directory may wait for us.
    pub(super) fn unlease(&self, directory: Ino) {
        let Some(children) = self.inodes().unleased(directory) else { return };
        let Some(kernel) = self.kernel.get().cloned() else { return };
        drop(outside(move || {
            kernel.forget_attributes(directory);
            for (name, ino, told) in children {
                // One that asks for them at this moment takes no answer from before, and makes do with what it had.
                if told {
                    kernel.forget_attributes(ino);
                }
                kernel.forget_name(directory, &name);
            }
        }));
    }

    /// Have the kernel forget what it keeps of a file: it has changed by a way that the kernel knows nothing of, as also an
    /// adapter may find. Must be called within the runtime.
    pub fn forget_in_kernel(&self, ino: Ino) {
        if let Some(kernel) = self.kernel.get().cloned() {
            // Nobody waits for it: it waits for readers, who may wait for us.
            drop(outside(move || kernel.forget_data(ino)));
        }
    }

    /// A file that others may have open was renamed here. Samba 4.22 does not break the lease of who renames it for the sake
    /// of those any more, so what it allows to be kept is given up; the next open asks for it again.
    pub(super) async fn distrust_lease(&self, ino: Ino) {
        let Some(content) = self.inodes().content_of(ino) else { return };
        if !self.directory_leases.load(Ordering::Relaxed) || content.caching().write {
            return;
        }
        if let Some(lost) = content.let_go(Caching::NONE, None) {
            content.give_up(lost).await;
            self.inodes().expire(ino);
            self.forget_in_kernel(ino);
            content.close_given_up(lost).await;
        }
    }

    /// A name has been moved into a directory. The kernel believes it for as long as it did where it was: too long, if no
    /// lease is held here.
    pub(super) fn moved_into(&self, directory: Ino, name: &str) {
        // Without such leases the kernel believes nothing for long, and forgetting would give the file a new number.
        if self.listings.holds(directory) || !self.directory_leases.load(Ordering::Relaxed) {
            return;
        }
        if let Some(kernel) = self.kernel.get().cloned() {
            let name = name.to_owned();
            drop(outside(move || kernel.forget_name(directory, &name)));
        }
    }

    /// For a file that was created a moment ago, of which the kernel has nothing yet.
    pub(super) async fn break_lease(&self, content: &Arc<Content>, key: LeaseKey, broken: Break) {
        if key == content.key()
            && let Some(lost) = content.let_go(broken.to, broken.epoch)
        {
            content.give_up(lost).await;
            content.close_given_up(lost).await;
        }
        self.acknowledge(key, broken).await;
    }

    async fn acknowledge(&self, key: LeaseKey, broken: Break) {
        if broken.acknowledge
            && let Err(error) = self.remote.acknowledge(key, broken.to).await
        {
            tracing::debug!(?key, %error, "giving a lease back");
        }
    }

    async fn tidy(self: &Arc<Self>) {
        let mut interval = tokio::time::interval(TIDY_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.look_for_leftovers().await;
        loop {
            interval.tick().await;
            self.close_unused_opens().await;
            self.remove_leftovers().await;
            self.tend_watches().await;
            self.look_for_changes().await;
            self.common.budget.tidy();
            self.remote.tidy();
        }
    }

    async fn close_unused_opens(&self) {
        let since = idle_before(self.options.close_timeout);
        let contents = self.inodes().contents();
        for content in contents.iter().filter(|content| content.has_idle()) {
            if content.close_idle(since).await > 0 {
                self.inodes().collect(content.ino);
            }
        }
    }

    /// The kernel may have something of files whose lease was lost while they are open: asks what has become of them.
    async fn look_for_changes(&self) {
        let contents = self.inodes().contents();
        for content in contents {
            self.look_for_change(&content).await;
        }
    }

    /// The same for one file; false if the kernel has nothing of it that no lease protects.
    pub(super) async fn look_for_change(&self, content: &Content) -> bool {
        let Some(backing) = content.exposed() else { return false };
        let closed = backing.closed.read().await;
        if *closed {
            return false;
        }
        let asked = self.inodes().stamp();
        let Ok(attr) = self.remote.attr(backing.handle).await else { return true };
        drop(closed);
        let ino = content.ino;
        // What was asked before a change of our own tells nothing about others.
        let changed = self.inodes().is_unchanged(ino, asked) && content.compare(&attr);
        if changed {
            self.inodes().learn(ino, attr, asked, Instant::now());
        }
        // By the next look it would be too late.
        let doubtful = content.doubt(self.options.attr_ttl.saturating_sub(TIDY_INTERVAL));
        if changed || doubtful {
            self.forget_in_kernel(ino);
        }
        true
    }

    /// Whether leases may be asked for.
    pub(super) fn leases(&self) -> bool {
        self.served.load(Ordering::Acquire)
    }

    /// What to ask for with an open of the file that has this key.
    pub(super) fn lease_for(&self, key: LeaseKey, parent: Ino) -> Option<LeaseAsk> {
        let want = self.options.cache.wants();
        (self.leases() && want != Caching::NONE).then(|| LeaseAsk { key, want, parent: self.key_of(parent) })
    }

    /// The key of the lease of the directory that an inode is in, if there is one.
    pub(super) fn parent_key(&self, ino: Ino) -> Option<LeaseKey> {
        let (parent, _) = self.inodes().place(ino)?;
        self.key_of(parent)
    }

    /// The key of an inode's lease, if there is one.
    pub(super) fn key_of(&self, ino: Ino) -> Option<LeaseKey> {
        if self.listings.holds(ino) {
            return Some(LeaseKey(ino.0));
        }
        self.inodes().content_of(ino)?.held_key()
    }

    pub(super) fn creating(&self, key: LeaseKey) -> Creating<'_> {
        self.locked_creating().insert(key, None);
        Creating { fs: self, key }
    }

    fn created(&self, key: LeaseKey) -> Option<Break> {
        self.locked_creating().remove(&key).flatten()
    }

    fn locked_creating(&self) -> std::sync::MutexGuard<'_, HashMap<LeaseKey, Option<Break>>> {
        self.creating.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
