//! Directories that are watched, where no lease tells what others change in them.
//!
//! Those that somebody looked at of late are watched, few at a time: each is open on the server meanwhile, which keeps
//! directories above it from being renamed. What the server tells of is asked for again; so is what it tells of our own
//! changes, since nobody can tell them apart.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use smb_proto::NtStatus;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Filesystem;
use super::serve::outside;
use crate::content::CacheMode;
use crate::inode::Ino;
use crate::remote::RemoteChange;

/// Directories that are watched at once.
const MOST_WATCHED: usize = 64;
/// Directories of which it is known when they were used.
const MOST_USED: usize = 256;
/// Watches that are begun in one go: who walks through a tree is not to pay for each directory.
const BEGUN_AT_ONCE: usize = 8;
/// A directory in which this mount changes more than so many entries between two looks is not watched meanwhile: nearly all
/// that the server told would be no news.
const MANY_OWN: u32 = 16;
/// A directory is watched for so long after its last use, or for as long as what is known of it is believed.
const IDLE: Duration = Duration::from_secs(10);
/// How long a name is not asked for because this mount is renaming or removing, and how often that is looked at.
const SETTLE_TIME: Duration = Duration::from_millis(250);
const SETTLE_STEP: Duration = Duration::from_millis(2);

/// All watched directories of a mount.
#[derive(Debug, Default)]
pub(super) struct Watches {
    used: Mutex<HashMap<Ino, Used>>,
    /// The server cannot, or need not, or the mount has ended.
    off: AtomicBool,
    changing: AtomicUsize,
    changes: AtomicU64,
}

#[derive(Debug)]
struct Used {
    at: Instant,
    /// Entries that this mount has changed since it was last looked at.
    own: u32,
    watch: State,
}

#[derive(Debug)]
enum State {
    Wanted,
    On(Arc<Notify>, JoinHandle<()>),
    /// The server has ended it, or refused it.
    Over,
}

impl Watches {
    /// A directory has been looked at.
    pub(super) fn used(&self, directory: Ino) {
        let now = Instant::now();
        let mut all = self.lock();
        if let Some(used) = all.get_mut(&directory) {
            used.at = now;
            return;
        }
        if all.len() >= MOST_USED {
            let unwatched = all.iter().filter(|(_, used)| !used.is_on());
            let oldest = unwatched.min_by_key(|(_, used)| used.at).map(|(ino, _)| *ino);
            all.retain(|ino, _| Some(*ino) != oldest);
        }
        all.insert(directory, Used { at: now, own: 0, watch: State::Wanted });
    }

    /// This mount has changed an entry of a directory.
    pub(super) fn changed(&self, directory: Ino) {
        if let Some(used) = self.lock().get_mut(&directory) {
            used.own = used.own.saturating_add(1);
        }
    }

    /// The watches of directories in which this mount changes much, to be ended.
    fn take_busy(&self) -> Vec<(Arc<Notify>, JoinHandle<()>)> {
        let mut all = self.lock();
        let busy = all.values_mut().filter(|used| used.own > MANY_OWN && used.is_on());
        let ending = busy.map(|used| {
            let calm = Used { at: used.at, own: used.own, watch: State::Wanted };
            std::mem::replace(used, calm).ending()
        });
        ending.flatten().collect()
    }

    /// A name is being removed or renamed by this mount, until what this answers with is dropped.
    pub(super) fn changing(&self) -> Changing<'_> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.changing.fetch_add(1, Ordering::SeqCst);
        Changing(self)
    }

    /// The number of changes by this mount so far, once none is under way; `None` if that takes long.
    async fn calm(&self) -> Option<u64> {
        let mut waited = Duration::ZERO;
        while self.changing.load(Ordering::SeqCst) > 0 {
            if waited >= SETTLE_TIME {
                return None;
            }
            tokio::time::sleep(SETTLE_STEP).await;
            waited += SETTLE_STEP;
        }
        Some(self.changes.load(Ordering::SeqCst))
    }

    fn is_on(&self) -> bool {
        !self.off.load(Ordering::Relaxed)
    }

    /// The watch that is stopped by this is over.
    fn over(&self, directory: Ino, stop: &Arc<Notify>) {
        if let Some(used) = self.lock().get_mut(&directory)
            && matches!(&used.watch, State::On(end, _) if Arc::ptr_eq(end, stop))
        {
            used.watch = State::Over;
        }
    }

    /// Takes out what has not been used since, and what was used longest ago of too many; the watches to end.
    fn take_unused(&self, since: Instant) -> Vec<(Arc<Notify>, JoinHandle<()>)> {
        let mut all = self.lock();
        let mut on: Vec<_> =
            all.iter().filter(|(_, used)| used.is_on()).map(|(ino, used)| (used.at, *ino)).collect();
        on.sort_unstable();
        let excess = on.len().saturating_sub(MOST_WATCHED);
        let unused: HashSet<_> = on.into_iter().take(excess).map(|(_, ino)| ino).collect();
        let gone = all.extract_if(|ino, used| used.at < since || unused.contains(ino));
        gone.filter_map(|(_, used)| used.ending()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Ino, Used>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    const fn is_on(&self) -> bool {
        matches!(self.watch, State::On(..))
    }

    fn ending(self) -> Option<(Arc<Notify>, JoinHandle<()>)> {
        match self.watch {
            State::On(end, task) => Some((end, task)),
            State::Wanted | State::Over => None,
        }
    }
}

/// A change by this mount under way.
pub(super) struct Changing<'a>(&'a Watches);

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.changing.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Filesystem {
    /// Somebody looks at a directory, of which no lease tells.
    pub(super) fn note_use(&self, directory: Ino) {
        let believes = !self.options.attr_ttl.is_zero() || !self.options.dir_attr_ttl.is_zero();
        if believes && self.options.cache == CacheMode::Strict && self.watches.is_on() {
            self.watches.used(directory);
        }
    }

    /// Begins to watch what has come into use, and ends what has fallen out of it.
    pub(super) async fn tend_watches(self: &Arc<Self>) {
        if !self.watches.is_on() {
            return;
        }
        let idle = IDLE.max(self.options.attr_ttl).max(self.options.dir_attr_ttl);
        if let Some(since) = Instant::now().checked_sub(idle) {
            end(self.watches.take_unused(since)).await;
        }
        end(self.watches.take_busy()).await;
        let mut all = self.watches.lock();
        let calm = |used: &mut Used| std::mem::take(&mut used.own) <= MANY_OWN;
        let mut wanted: Vec<_> = all
            .iter_mut()
            .filter_map(|(ino, used)| {
                (calm(used) && matches!(used.watch, State::Wanted)).then_some((ino, used))
            })
            .collect();
        wanted.sort_unstable_by_key(|(ino, used)| (std::cmp::Reverse(used.at), **ino));
        for (ino, used) in wanted.into_iter().take(BEGUN_AT_ONCE) {
            let stop = Arc::new(Notify::new());
            let task = tokio::spawn(self.clone().watch(*ino, stop.clone()));
            used.watch = State::On(stop, task);
        }
    }

    /// Ends the watches at and below a directory: they would keep it from being removed or renamed.
    pub(super) async fn unwatch_below(&self, directory: Ino) {
        let mut below = Vec::new();
        {
            let inodes = self.inodes();
            let mut all = self.watches.lock();
            let inside: Vec<_> =
                all.keys().copied().filter(|ino| inodes.is_within(*ino, directory)).collect();
            below.extend(inside.iter().filter_map(|ino| all.remove(ino)?.ending()));
        }
        end(below).await;
    }

    /// Does not watch a directory until it has been out of use for a while. Samba shows the time that a directory was
    /// given, whatever changes in it afterwards, for as long as anybody has it open.
    pub(super) async fn leave_unwatched(&self, directory: Ino) {
        let watch = {
            let mut all = self.watches.lock();
            let Some(used) = all.get_mut(&directory) else { return };
            let over = Used { at: used.at, own: 0, watch: State::Over };
            std::mem::replace(used, over).ending()
        };
        end(watch.into_iter().collect()).await;
    }

    /// Ends all watches; no more are begun.
    pub(super) async fn end_watches(&self) {
        self.watches.off.store(true, Ordering::Relaxed);
        let all: Vec<_> = self.watches.lock().drain().filter_map(|(_, used)| used.ending()).collect();
        end(all).await;
    }

    async fn watch(self: Arc<Self>, directory: Ino, stop: Arc<Notify>) {
        let path = self.inodes().path(directory);
        let Ok(path) = path else { return self.watches.over(directory, &stop) };
        let mut watch = match self.remote.watch(&path).await {
            Ok(watch) => watch,
            Err(error) => {
                if error.is(NtStatus::NOT_SUPPORTED) {
                    self.watches.off.store(true, Ordering::Relaxed);
                }
                tracing::debug!(%path, %error, "not watched");
                return self.watches.over(directory, &stop);
            }
        };
        loop {
            let changes = tokio::select! {
                () = stop.notified() => break,
                changes = watch.next() => changes,
            };
            match changes {
                // Whoever stops it may be who it waits for.
                Some(changes) => tokio::select! {
                    () = stop.notified() => break,
                    () = self.changed_in(directory, changes) => {}
                },
                None => {
                    self.watches.over(directory, &stop);
                    break;
                }
            }
        }
        watch.close().await;
    }

    /// Somebody, perhaps this mount, has changed a directory.
    async fn changed_in(&self, directory: Ino, changes: Vec<RemoteChange>) {
        let (mut entries, mut names) = (HashSet::new(), HashSet::new());
        for change in changes {
            match change {
                RemoteChange::Entry(name) => entries.insert(name),
                RemoteChange::Name(name) => names.insert(name),
                RemoteChange::Everything => {
                    names.extend(self.inodes().names_in(directory));
                    continue;
                }
            };
        }
        let mut outdated = vec![directory];
        self.inodes().expire(directory);
        for name in &entries {
            let Some(ino) = self.inodes().child(directory, name) else { continue };
            if !self.is_seen_to(ino).await {
                self.inodes().expire(ino);
                outdated.push(ino);
            }
        }
        for name in entries.iter().chain(&names) {
            self.overtake(directory, name);
        }
        self.names.forget(directory);
        self.tell_outdated(outdated);
        for name in names {
            self.verify(directory, &name).await;
        }
    }

    /// Whether the attributes of a file are no concern of a watch, or no longer: nobody else changes a file that only this
    /// mount may write, and what the kernel has of a file's data it must forget before it learns of the new size.
    async fn is_seen_to(&self, ino: Ino) -> bool {
        let content = self.inodes().content_of(ino).filter(|_| self.kernel.get().is_some());
        let Some(content) = content else { return false };
        content.caching().write || self.look_for_change(&content).await
    }

    /// Asks whether a name still leads where it did.
    async fn verify(&self, directory: Ino, name: &str) {
        // What this mount has just done to the name, the inodes may not show yet.
        let Some(before) = self.watches.calm().await else { return };
        let (path, ino, asked) = {
            let inodes = self.inodes();
            let Some(ino) = inodes.child(directory, name).filter(|_| !inodes.is_doomed(directory, name))
            else {
                return;
            };
            let Ok(path) = inodes.path(directory) else { return };
            (path.child(name), ino, inodes.stamp())
        };
        let answer = self.remote.lookup(&path).await;
        if self.watches.calm().await != Some(before) {
            return;
        }
        let mut inodes = self.inodes();
        let same = match &answer {
            Ok(attr) => inodes.node(ino).is_ok_and(|node| node.is(attr)),
            Err(error) => !error.is_missing(),
        };
        if inodes.child(directory, name) != Some(ino) {
            return;
        }
        if same {
            if let Ok(attr) = answer {
                inodes.learn(ino, attr, asked, Instant::now());
            }
            drop(inodes);
            return self.tell_outdated(vec![ino]);
        }
        inodes.lose(directory, name);
        drop(inodes);
        if let Some(kernel) = self.kernel.get().cloned() {
            let name = name.to_owned();
            drop(outside(move || {
                kernel.forget_attributes(ino);
                kernel.forget_name(directory, &name);
            }));
        }
    }

    /// The kernel is to ask for these attributes again.
    fn tell_outdated(&self, inodes: Vec<Ino>) {
        if let Some(kernel) = self.kernel.get().cloned() {
            drop(outside(move || inodes.into_iter().for_each(|ino| kernel.forget_attributes(ino))));
        }
    }
}

/// Ends watches, and waits until the server no longer has their directories open.
async fn end(watches: Vec<(Arc<Notify>, JoinHandle<()>)>) {
    watches.iter().for_each(|(stop, _)| stop.notify_one());
    for (_, task) in watches {
        // Whatever became of it, it has ended.
        let _ = task.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_directories_are_forgotten() {
        let watches = Watches::default();
        let most = MOST_USED as u64;
        (1..=most + 5).for_each(|n| watches.used(Ino(n)));
        assert_eq!(watches.lock().len(), MOST_USED);
        assert!(watches.lock().contains_key(&Ino(most + 5)));
        assert!(watches.take_unused(Instant::now() + IDLE).is_empty(), "none was watched");
        assert!(watches.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_not_asked_for_while_this_mount_changes_some() {
        let watches = Watches::default();
        let before = watches.calm().await;
        let changing = watches.changing();
        assert_eq!(watches.calm().await, None, "it gives up");
        drop(changing);
        let after = watches.calm().await;
        assert!(after.is_some() && after != before);
    }
}
