//! Each request, and how it goes on when the connection does not.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use smb_proto::NtStatus;
use tokio::sync::mpsc;

use super::line::Connected;
use super::outcome::{self, Asked};
use super::slot::Slot;
use super::{Attempts, Lasting, LineState, Work, is_loss};
use crate::name::RemotePath;
use crate::remote::{
    Caching, Disposition, FileKind, Granted, LeaseAsk, LeaseKey, LockedRange, Node, OpenHow, Opened, Place,
    Remote, RemoteAttr, RemoteEntry, RemoteEvent, RemoteHandle, RemoteLimits, RemoteResult, RemoteSpace,
    RemoteWatch, SetAttr, SetPosix,
};
use Work::{Change, Look};

type Up = Arc<Connected>;

impl Lasting {
    async fn open_as(
        &self,
        path: &RemotePath,
        how: &OpenHow,
        early: u32,
    ) -> RemoteResult<(Opened, Option<Bytes>)> {
        let asked = Asked::now();
        let mut attempts = Attempts::default();
        let mut how = *how;
        // What an attempt made whose answer was lost.
        let mut ours = false;
        loop {
            let connected = self.shared.up(Change).await?;
            let remote = &*connected.remote;
            let answer = match early {
                0 => remote.open(path, &how).await.map(|opened| (opened, None)),
                early => remote.open_and_read(path, &how, early).await,
            };
            match answer {
                Ok((mut opened, data)) => {
                    opened.created |= ours;
                    let slot = Slot::file(path, &how, &opened, &connected);
                    return Ok((Opened { handle: self.shared.keep(slot), ..opened }, data));
                }
                Err(error)
                    if attempts.uncertain
                        && how.disposition == Disposition::Create
                        && error.is(NtStatus::OBJECT_NAME_COLLISION) =>
                {
                    match outcome::made(remote, path, asked, FileKind::File, Err(error)).await {
                        Ok(_) => (how.disposition, ours) = (Disposition::Open, true),
                        Err(error) if is_loss(&error) => self.shared.lost(&connected, &error),
                        Err(error) => return Err(error),
                    }
                }
                Err(error) if self.shared.tries_again(&mut attempts, &connected, &error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Does what may be repeated and changes an open file.
    async fn change<T, F>(
        &self,
        handle: RemoteHandle,
        work: impl Fn(Up, RemoteHandle) -> F,
    ) -> RemoteResult<T>
    where
        F: Future<Output = RemoteResult<T>>,
    {
        let slot = self.shared.slot(handle)?;
        let _changing = slot.change();
        self.shared.with_open(handle, Change, work).await
    }

    /// Looks at a file that is locked, where that is needed to have it locked again.
    async fn see(&self, handle: RemoteHandle) -> RemoteResult<()> {
        if self.shared.slot(handle)?.is_to_be_seen()
            && let Err(error) = self.attr(handle).await
        {
            tracing::debug!(%error, "a locked file could not be looked at");
        }
        Ok(())
    }

    /// Renames, and what is open keeps its handle under the new name.
    async fn rename_as<F>(&self, from: Place<'_>, to: Place<'_>, work: impl Fn(Up) -> F) -> RemoteResult<()>
    where
        F: Future<Output = RemoteResult<()>>,
    {
        let mut attempts = Attempts::default();
        loop {
            let connected = self.shared.up(Change).await?;
            let remote = &*connected.remote;
            let result = work(connected.clone()).await;
            let result = match result {
                Err(error) if attempts.uncertain && outcome::is_missing(&error) => {
                    outcome::renamed(remote, to.path, from.file_id, Err(error)).await
                }
                result => result,
            };
            match result {
                Ok(()) => {
                    self.shared.locked_slots(|slots| {
                        slots.values().for_each(|slot| slot.renamed(from.path, to.path));
                    });
                    return Ok(());
                }
                Err(error) if self.shared.tries_again(&mut attempts, &connected, &error).await => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Remote for Lasting {
    async fn lookup(&self, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        self.shared.again(Look, |up| async move { up.remote.lookup(path).await }).await
    }

    async fn open(&self, path: &RemotePath, how: &OpenHow) -> RemoteResult<Opened> {
        Ok(self.open_as(path, how, 0).await?.0)
    }

    async fn open_and_read(
        &self,
        path: &RemotePath,
        how: &OpenHow,
        len: u32,
    ) -> RemoteResult<(Opened, Option<Bytes>)> {
        self.open_as(path, how, len).await
    }

    async fn close(&self, handle: RemoteHandle) -> RemoteResult<Option<RemoteAttr>> {
        let Some(slot) = self.shared.take(handle) else { return Err(NtStatus::FILE_CLOSED.into()) };
        // Before the look at where it is open: else it might be opened just then, and stay so.
        slot.end();
        let connected = self.shared.line.connected();
        if let Some(connected) = &connected
            && let Some(inner) = slot.there(connected)
        {
            let Ok(inner) = inner else { return Ok(None) };
            let mut closed = connected.remote.close(inner).await;
            if closed.as_ref().is_err_and(|error| Attempts::default().doubts(error)) {
                closed = connected.remote.close(inner).await;
            }
            match closed {
                Err(error) if is_loss(&error) => self.shared.lost(connected, &error),
                Err(error) if error.is(NtStatus::FILE_CLOSED) => return Ok(None),
                result => return result,
            }
        }
        if slot.is_kept() {
            // Else the server would keep it for its time, and others from the file.
            self.shared.close_later(slot);
        }
        Ok(None)
    }

    async fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> RemoteResult<Bytes> {
        let read = |up: Up, open| async move {
            let _turn = self.shared.pace.turn().await;
            let data = up.remote.read(open, offset, len).await?;
            self.shared.pace.succeeded();
            Ok(data)
        };
        self.shared.with_open(handle, Change, read).await
    }

    async fn write(&self, handle: RemoteHandle, offset: u64, data: Bytes) -> RemoteResult<()> {
        let write = |up: Up, open| {
            let data = data.clone();
            async move {
                let _turn = self.shared.pace.turn().await;
                up.remote.write(open, offset, data).await?;
                self.shared.pace.succeeded();
                Ok(())
            }
        };
        self.change(handle, write).await
    }

    async fn flush(&self, handle: RemoteHandle) -> RemoteResult<()> {
        self.shared.with_open(handle, Change, |up, open| async move { up.remote.flush(open).await }).await?;
        self.see(handle).await
    }

    async fn attr(&self, handle: RemoteHandle) -> RemoteResult<RemoteAttr> {
        let slot = self.shared.slot(handle)?;
        let changes = slot.changes();
        let ask = |up: Up, open| async move { up.remote.attr(open).await };
        let attr = self.shared.with_open(handle, Look, ask).await?;
        slot.saw(&attr, changes);
        Ok(attr)
    }

    async fn set_attr_handle(&self, handle: RemoteHandle, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        let set = |up: Up, open| async move { up.remote.set_attr_handle(open, change).await };
        self.change(handle, set).await
    }

    async fn set_attr(&self, place: Place<'_>, change: &SetAttr) -> RemoteResult<RemoteAttr> {
        self.shared.again(Change, |up| async move { up.remote.set_attr(place, change).await }).await
    }

    async fn mkdir(&self, place: Place<'_>, mode: u32) -> RemoteResult<RemoteAttr> {
        let asked = Asked::now();
        let judge = |up: Up, result| async move {
            outcome::made(&*up.remote, place.path, asked, FileKind::Directory, result).await
        };
        self.shared.settled(Change, |up| async move { up.remote.mkdir(place, mode).await }, judge).await
    }

    async fn remove(&self, place: Place<'_>, kind: FileKind) -> RemoteResult<()> {
        let judge = |_, result| async { outcome::removed(result) };
        self.shared.settled(Change, |up| async move { up.remote.remove(place, kind).await }, judge).await
    }

    async fn remove_unused(&self, place: Place<'_>) -> RemoteResult<()> {
        let judge = |_, result| async { outcome::removed(result) };
        self.shared.settled(Change, |up| async move { up.remote.remove_unused(place).await }, judge).await
    }

    async fn rename(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        self.rename_as(from, to, |up| async move { up.remote.rename(from, to, replace).await }).await
    }

    async fn rename_special(&self, from: Place<'_>, to: Place<'_>, replace: bool) -> RemoteResult<()> {
        self.rename_as(from, to, |up| async move { up.remote.rename_special(from, to, replace).await }).await
    }

    async fn open_dir(
        &self,
        path: &RemotePath,
        lease: Option<LeaseAsk>,
    ) -> RemoteResult<(RemoteHandle, Granted)> {
        let mut attempts = Attempts::default();
        loop {
            let connected = self.shared.up(Look).await?;
            match connected.remote.open_dir(path, lease).await {
                Ok((handle, granted)) => {
                    let slot = Slot::directory(path, lease, handle, &connected);
                    return Ok((self.shared.keep(slot), granted));
                }
                Err(error) if self.shared.tries_again(&mut attempts, &connected, &error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn next_entries(&self, handle: RemoteHandle) -> RemoteResult<Vec<RemoteEntry>> {
        let slot = self.shared.slot(handle)?;
        loop {
            let next = |up: Up, open| async move { up.remote.next_entries(open).await };
            let entries = self.shared.with_open(handle, Look, next).await?;
            if let Some(fresh) = slot.fresh(entries) {
                return Ok(fresh);
            }
        }
    }

    async fn statfs(&self) -> RemoteResult<RemoteSpace> {
        self.shared.again(Look, |up| async move { up.remote.statfs().await }).await
    }

    fn limits(&self) -> RemoteLimits {
        *self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_sound(&self, handle: RemoteHandle) -> bool {
        let now = self.shared.line.connected().map(|connected| connected.generation);
        self.shared.slot(handle).is_ok_and(|slot| slot.is_sound(now))
    }

    async fn make_sound(&self, handle: RemoteHandle) -> RemoteResult<()> {
        if self.is_sound(handle) {
            return Ok(());
        }
        self.shared.with_open(handle, Change, |_, _| async { Ok(()) }).await
    }

    fn is_online(&self) -> bool {
        self.shared.line.state() == LineState::Up
    }

    async fn acknowledge(&self, key: LeaseKey, keep: Caching) -> RemoteResult<()> {
        // Whoever broke it waits no longer for a connection that is gone.
        let Some(connected) = self.shared.line.connected() else { return Ok(()) };
        match connected.remote.acknowledge(key, keep).await {
            Err(error) if is_loss(&error) => {
                self.shared.lost(&connected, &error);
                Ok(())
            }
            result => result,
        }
    }

    fn tidy(&self) {
        if let Some(connected) = self.shared.line.connected() {
            connected.remote.tidy();
        }
    }

    fn events(&self) -> Option<mpsc::UnboundedReceiver<RemoteEvent>> {
        self.shared.events.take()
    }

    fn heard(&self, number: u64) {
        self.shared.events.heard(number);
    }

    fn is_posix(&self) -> bool {
        self.shared.is_posix.get().copied().unwrap_or(false)
    }

    async fn set_posix(&self, place: Place<'_>, change: &SetPosix) -> RemoteResult<RemoteAttr> {
        self.shared.again(Change, |up| async move { up.remote.set_posix(place, change).await }).await
    }

    async fn watch(&self, path: &RemotePath) -> RemoteResult<Box<dyn RemoteWatch>> {
        self.shared.again(Look, |up| async move { up.remote.watch(path).await }).await
    }

    async fn link(&self, existing: Place<'_>, new: &RemotePath) -> RemoteResult<()> {
        let judge = |up: Up, result| async move {
            outcome::hard_linked(&*up.remote, existing.path, new, result).await
        };
        self.shared.settled(Change, |up| async move { up.remote.link(existing, new).await }, judge).await
    }

    async fn read_link(&self, path: &RemotePath) -> RemoteResult<String> {
        self.shared.again(Look, |up| async move { up.remote.read_link(path).await }).await
    }

    async fn symlink(&self, target: &str, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        let asked = Asked::now();
        let judge = |up: Up, result| async move {
            outcome::linked_to(&*up.remote, target, path, asked, result).await
        };
        self.shared.settled(Change, |up| async move { up.remote.symlink(target, path).await }, judge).await
    }

    async fn make_node(&self, path: &RemotePath, node: Node, mode: u32) -> RemoteResult<RemoteAttr> {
        let asked = Asked::now();
        let judge = |up: Up, result| async move {
            outcome::node_made(&*up.remote, path, node, mode, asked, result).await
        };
        let make = |up: Up| async move { up.remote.make_node(path, node, mode).await };
        self.shared.settled(Change, make, judge).await
    }

    async fn lock(&self, handle: RemoteHandle, ranges: &[LockedRange], wait: bool) -> RemoteResult<()> {
        let slot = self.shared.slot(handle)?;
        let (slot_of, uncertain, generation) = (&slot, AtomicBool::new(false), AtomicU64::new(0));
        let lock = |up: Up, open| {
            let again = uncertain.swap(true, Ordering::Relaxed);
            generation.store(up.generation, Ordering::Relaxed);
            async move {
                if again && slot_of.is_kept() {
                    // The attempt before may have locked them, for this very open.
                    let _ = up.remote.unlock(open, ranges).await;
                }
                match up.remote.lock(open, ranges, wait).await {
                    // So a server ends what waits for a lock where it closes the file by itself.
                    Err(error) if error.is(NtStatus::RANGE_NOT_LOCKED) => Err(NtStatus::FILE_CLOSED.into()),
                    result => result,
                }
            }
        };
        loop {
            self.shared.with_open(handle, Change, &lock).await?;
            if slot.locked(ranges, generation.load(Ordering::Relaxed)).await {
                return self.see(handle).await;
            }
        }
    }

    async fn unlock(&self, handle: RemoteHandle, ranges: &[LockedRange]) -> RemoteResult<()> {
        let slot = self.shared.slot(handle)?;
        // Not to be locked again, whatever comes.
        slot.unlocked(ranges);
        let uncertain = AtomicBool::new(false);
        let unlock = |up: Up, open| {
            let again = uncertain.swap(true, Ordering::Relaxed);
            async move {
                match up.remote.unlock(open, ranges).await {
                    Err(error) if again && error.is(NtStatus::RANGE_NOT_LOCKED) => Ok(()),
                    result => result,
                }
            }
        };
        self.shared.with_open(handle, Change, unlock).await
    }

    async fn allocated(&self, handle: RemoteHandle, range: Range<u64>) -> RemoteResult<Vec<Range<u64>>> {
        let ask = |up: Up, open| {
            let range = range.clone();
            async move { up.remote.allocated(open, range).await }
        };
        self.shared.with_open(handle, Look, ask).await
    }

    async fn zero(&self, handle: RemoteHandle, range: Range<u64>, hole: bool) -> RemoteResult<()> {
        let zero = |up: Up, open| {
            let range = range.clone();
            async move { up.remote.zero(open, range, hole).await }
        };
        self.change(handle, zero).await
    }

    async fn allocate(&self, handle: RemoteHandle, size: u64) -> RemoteResult<()> {
        let allocate = |up: Up, open| async move { up.remote.allocate(open, size).await };
        self.change(handle, allocate).await
    }

    async fn copy(
        &self,
        source: RemoteHandle,
        from: u64,
        target: RemoteHandle,
        to: u64,
        length: u64,
    ) -> RemoteResult<u64> {
        let copy = |up: Up, target| async move {
            let source = self.shared.slot(source)?.on(&up, &self.shared.events).await?;
            up.remote.copy(source, from, target, to, length).await
        };
        self.change(target, copy).await
    }

    async fn attributes(&self, place: Place<'_>) -> RemoteResult<Vec<(Bytes, Bytes)>> {
        self.shared.again(Look, |up| async move { up.remote.attributes(place).await }).await
    }

    async fn attribute(&self, place: Place<'_>, name: &[u8]) -> RemoteResult<Option<Bytes>> {
        self.shared.again(Look, |up| async move { up.remote.attribute(place, name).await }).await
    }

    async fn set_attribute(&self, place: Place<'_>, name: &[u8], value: &[u8]) -> RemoteResult<()> {
        self.shared.again(Change, |up| async move { up.remote.set_attribute(place, name, value).await }).await
    }

    async fn streams(&self, path: &RemotePath) -> RemoteResult<Vec<(String, u64)>> {
        self.shared.again(Look, |up| async move { up.remote.streams(path).await }).await
    }

    async fn stream(&self, path: &RemotePath, name: &str, most: u32) -> RemoteResult<Option<Bytes>> {
        self.shared.again(Look, |up| async move { up.remote.stream(path, name, most).await }).await
    }

    async fn set_stream(&self, path: &RemotePath, name: &str, content: Option<Bytes>) -> RemoteResult<()> {
        let set = |up: Up| {
            let content = content.clone();
            async move { up.remote.set_stream(path, name, content).await }
        };
        self.shared.again(Change, set).await
    }

    async fn descriptor(&self, place: Place<'_>, audit: bool) -> RemoteResult<Bytes> {
        self.shared.again(Look, |up| async move { up.remote.descriptor(place, audit).await }).await
    }

    async fn set_descriptor(&self, place: Place<'_>, descriptor: Bytes, owner: bool) -> RemoteResult<()> {
        let set = |up: Up| {
            let descriptor = descriptor.clone();
            async move { up.remote.set_descriptor(place, descriptor, owner).await }
        };
        self.shared.again(Change, set).await
    }
}
