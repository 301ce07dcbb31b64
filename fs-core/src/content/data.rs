//! Reading and writing one file's content, kept or not.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;

use super::behind::PIECE;
use super::opens::Backing;
use super::pattern::Pattern;
use super::{Content, Fetch, State, Told, Touched};
use crate::error::{FsError, FsResult, errno};

/// Requests under way at once for one read larger than the server's limit.
const READS_AT_ONCE: usize = 8;
/// Reads ahead under way at once for one file.
const FETCHES_AT_ONCE: usize = 16;
/// How often a read is begun anew because others write where it reads.
const ATTEMPTS: u32 = 8;
/// The largest size a file can have.
const MAX_SIZE: u64 = i64::MAX as u64;

/// What a locked look at the content says about a read.
enum Look {
    Whole(Bytes),
    /// To be asked of the server, each noted as a fetch.
    Missing(Vec<(u64, Range<u64>)>),
    /// Somebody else is asking for it.
    Wait,
    /// Nothing may be kept.
    Direct,
}

impl Content {
    /// Reads what is held; `None` if the server has to be asked. `pattern` is the open file's.
    pub(crate) fn read_held(
        self: &Arc<Self>,
        pattern: &Mutex<Pattern>,
        backing: &Arc<Backing>,
        offset: u64,
        len: u32,
    ) -> Option<Bytes> {
        let mut state = self.state();
        if !self.caching_of(&state).read || !self.has_its_locks(&state) {
            return None;
        }
        let size = state.size?;
        let range = offset.min(size)..offset.saturating_add(len.into()).min(size);
        let data = state.extents.read(&range)?;
        self.read_ahead(&mut state, pattern, backing, &range);
        Some(data)
    }

    /// Reads. Shorter than asked only at the end of the file.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn read(
        self: &Arc<Self>,
        pattern: &Mutex<Pattern>,
        backing: &Arc<Backing>,
        offset: u64,
        len: u32,
    ) -> FsResult<Bytes> {
        self.have_its_locks().await?;
        for _ in 0..ATTEMPTS {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.look(pattern, backing, offset, len) {
                Look::Whole(data) => return Ok(data),
                Look::Direct => break,
                Look::Wait => changed.await,
                Look::Missing(fetches) => {
                    if let Some(data) = self.fetch(backing, offset, len, fetches).await? {
                        return Ok(data);
                    }
                }
            }
        }
        self.read_direct(backing, offset, len).await
    }

    fn look(
        self: &Arc<Self>,
        pattern: &Mutex<Pattern>,
        backing: &Arc<Backing>,
        offset: u64,
        len: u32,
    ) -> Look {
        let mut state = self.state();
        let Some(size) = state.size.filter(|_| self.caching_of(&state).read) else { return Look::Direct };
        let range = offset.min(size)..offset.saturating_add(len.into()).min(size);
        if let Some(data) = state.extents.read(&range) {
            self.read_ahead(&mut state, pattern, backing, &range);
            return Look::Whole(data);
        }
        let gaps = state.extents.gaps(&range);
        let missing: Vec<Range<u64>> = gaps.iter().flat_map(|gap| state.not_fetched(gap)).collect();
        if missing.is_empty() {
            return Look::Wait;
        }
        let limit = u64::from(self.common.remote.limits().max_read.max(1));
        let pieces = missing.iter().flat_map(|range| split(range, limit)).collect::<Vec<_>>();
        let fetches = pieces.into_iter().map(|range| (state.begin_fetch(range.clone()), range)).collect();
        self.read_ahead(&mut state, pattern, backing, &range);
        Look::Missing(fetches)
    }

    /// Asks the server for what is missing, keeps it, and answers with the whole; `None` if it has changed meanwhile.
    async fn fetch(
        self: &Arc<Self>,
        backing: &Arc<Backing>,
        offset: u64,
        len: u32,
        fetches: Vec<(u64, Range<u64>)>,
    ) -> FsResult<Option<Bytes>> {
        let mut under_way = Fetching { content: self, ids: fetches.iter().map(|(id, _)| *id).collect() };
        let answers: Vec<_> = stream::iter(fetches)
            .map(|(id, range)| async move {
                let answer = self.ask_for(backing, &range).await;
                (id, range, answer)
            })
            .buffered(READS_AT_ONCE)
            .collect()
            .await;
        let mut kept = Vec::new();
        let mut failed = None;
        let data = {
            let mut state = self.state();
            let mut whole = true;
            for (id, range, answer) in answers {
                under_way.ids.retain(|other| *other != id);
                let fetch = state.end_fetch(id).filter(|fetch| !fetch.overtaken);
                match answer {
                    Ok(data) if let Some(fetch) = fetch => {
                        kept.extend(self.keep_answer(&mut state, &range, data, fetch.unsent));
                    }
                    Ok(_) => whole = false,
                    Err(error) => {
                        failed.get_or_insert(error);
                    }
                }
            }
            self.account(&mut state);
            let size = state.size.unwrap_or_default();
            let range = offset.min(size)..offset.saturating_add(len.into()).min(size);
            (whole && failed.is_none() && state.size.is_some()).then(|| state.extents.read(&range)).flatten()
        };
        drop(under_way);
        self.changed.notify_waiters();
        self.common.budget.keep(self, &kept);
        match failed {
            Some(error) => Err(error),
            None => Ok(data),
        }
    }

    /// Keeps an answer that nothing has overtaken. Where the parts begin.
    fn keep_answer(&self, state: &mut State, range: &Range<u64>, data: Bytes, unsent: bool) -> Vec<u64> {
        let missing = (range.end - range.start).saturating_sub(data.len() as u64);
        let mut kept = state.extents.fill(range.start, &data);
        if missing > 0 {
            if self.caching_of(state).write && state.size.is_some_and(|size| size >= range.end) {
                // What lies before bytes that the server has not yet is a hole.
                let zeros = Bytes::from(vec![0; missing as usize]);
                kept.extend(state.extents.fill(range.start + data.len() as u64, &zeros));
            } else if !unsent && state.extents.held().dirty == 0 {
                // The file is shorter than it was said to be.
                let end = range.start + data.len() as u64;
                state.size = state.size.map(|size| size.min(end));
            }
        }
        kept
    }

    /// One read of the server; shorter at the end of the file.
    async fn ask_for(&self, backing: &Backing, range: &Range<u64>) -> FsResult<Bytes> {
        let len = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
        let route = self.route(backing, false);
        let open = match &route {
            Some(route) => Some(route.closed.read().await),
            None => None,
        };
        let backing = route.as_deref().filter(|_| open.as_deref() == Some(&false)).unwrap_or(backing);
        match self.common.remote.read(backing.handle, range.start, len).await {
            Ok(mut data) => {
                data.truncate(len as usize);
                Ok(data)
            }
            Err(error) if error.is(NtStatus::END_OF_FILE) => Ok(Bytes::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads past all that is held, after what is held has been written.
    ///
    /// # Errors
    /// What the server says.
    pub(crate) async fn read_direct(
        self: &Arc<Self>,
        backing: &Backing,
        offset: u64,
        len: u32,
    ) -> FsResult<Bytes> {
        if self.is_dirty() {
            self.drain().await;
        }
        let chunk = self.common.remote.limits().max_read.max(1);
        let whole = offset..offset.saturating_add(len.into());
        if len <= chunk {
            return self.ask_for(backing, &whole).await;
        }
        let mut chunks = stream::iter(split(&whole, chunk.into()))
            .map(|range| async move { (range.end - range.start, self.ask_for(backing, &range).await) })
            .buffered(READS_AT_ONCE);
        let mut data = BytesMut::with_capacity(len as usize);
        while let Some((want, chunk)) = chunks.next().await {
            let chunk = chunk?;
            data.extend_from_slice(&chunk);
            if (chunk.len() as u64) < want {
                break;
            }
        }
        Ok(data.freeze())
    }

    /// Asks for what the reader will want next.
    fn read_ahead(
        self: &Arc<Self>,
        state: &mut State,
        pattern: &Mutex<Pattern>,
        backing: &Arc<Backing>,
        range: &Range<u64>,
    ) {
        let ahead = pattern.lock().unwrap_or_else(PoisonError::into_inner).read(range);
        let size = state.size.unwrap_or_default();
        if ahead.is_empty() || ahead.start >= size || state.fetches.len() >= FETCHES_AT_ONCE {
            return;
        }
        let limit = u64::from(self.common.remote.limits().max_read.max(1)).min(PIECE as u64);
        // Whole pieces, so that a reader of small steps does not cause small requests.
        let wanted = ahead.start..ahead.end.next_multiple_of(limit).min(size);
        let gaps = state.extents.gaps(&wanted);
        let missing: Vec<Range<u64>> = gaps.iter().flat_map(|gap| state.not_fetched(gap)).collect();
        let pieces = missing.iter().flat_map(|range| split(range, limit));
        for range in pieces.take(FETCHES_AT_ONCE.saturating_sub(state.fetches.len())).collect::<Vec<_>>() {
            let id = state.begin_fetch(range.clone());
            let (content, backing) = (self.clone(), backing.clone());
            tokio::spawn(async move { content.prefetch(&backing, id, range).await });
        }
    }

    async fn prefetch(self: Arc<Self>, backing: &Backing, id: u64, range: Range<u64>) {
        let mut under_way = Fetching { content: &self, ids: vec![id] };
        let closed = backing.closed.read().await;
        if *closed {
            return;
        }
        let answer = self.ask_for(backing, &range).await;
        drop(closed);
        let kept = {
            let mut state = self.state();
            under_way.ids.clear();
            let fetch = state.end_fetch(id).filter(|fetch| !fetch.overtaken);
            let kept = match answer {
                Ok(data) if let Some(fetch) = fetch => {
                    self.keep_answer(&mut state, &range, data, fetch.unsent)
                }
                // Whoever needs it asks again, and is told.
                _ => Vec::new(),
            };
            self.account(&mut state);
            kept
        };
        drop(under_way);
        self.changed.notify_waiters();
        self.common.budget.keep(&self, &kept);
    }

    /// Takes a write if it may be kept and there is room; `None` if it must go the long way. An offset of `None` is the
    /// end of the file. True with it if this is the first since all was written.
    pub(crate) fn write_held(
        self: &Arc<Self>,
        offset: Option<u64>,
        bytes: &[u8],
        told: &Told,
    ) -> Option<(u64, bool)> {
        let _shared = self.ordering.try_read().ok()?;
        let len = bytes.len() as u64;
        let mut state = self.state();
        let fails = state.failures.is_news(told) || !self.has_its_locks(&state);
        if !self.caching_of(&state).write || fails || !self.common.budget.admits(len) {
            return None;
        }
        let size = state.size?;
        let offset = offset.unwrap_or(size);
        let end = offset.checked_add(len).filter(|end| *end <= MAX_SIZE)?;
        if !state.opens.can_write() {
            return None;
        }
        let first = state.extents.held().dirty == 0;
        state.overtake(&(offset..end));
        state.fetches.iter_mut().for_each(|fetch| fetch.unsent = true);
        let piece = self.piece();
        state.extents.write(offset, bytes, piece, || self.common.budget.buffer(piece));
        state.size = Some(size.max(end));
        state.delayed = true;
        state.touched = Some(Touched { at: now(), shown: false, settled: false });
        self.account(&mut state);
        let short = self.common.budget.is_short();
        self.pump(&mut state, short);
        if state.extents.unsent() > 0 && !state.timer {
            state.timer = true;
            let content = self.clone();
            tokio::spawn(async move { content.write_later().await });
        }
        Some((end, first))
    }

    /// Writes: into memory if that may be kept, waiting for room, else to the server. Answers with the end of what was
    /// written, and how much that was: less than given only if an error came in between.
    ///
    /// # Errors
    /// EFBIG; an error that an earlier write was not told; what the server says.
    pub(crate) async fn write(
        self: &Arc<Self>,
        backing: &Arc<Backing>,
        offset: Option<u64>,
        data: Bytes,
        through: bool,
        told: &Told,
    ) -> FsResult<(u64, u32)> {
        self.take_error(told)?;
        let len = u32::try_from(data.len()).map_err(|_| FsError::local(errno::EINVAL, "too much at once"))?;
        if offset.is_some_and(|at| at.checked_add(len.into()).is_none_or(|end| end > MAX_SIZE)) {
            return Err(FsError::local(errno::EFBIG, "past the largest size a file can have"));
        }
        self.have_its_locks().await?;
        let mut unlucky = 0;
        while !through && self.caching().write && unlucky < ATTEMPTS {
            let freed = self.common.budget.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            drop(self.ordering.read().await);
            if let Some((end, _)) = self.write_held(offset, &data, told) {
                return Ok((end, len));
            }
            self.take_error(told)?;
            if self.common.budget.admits(len.into()) {
                // Not for want of room: there is no open to write through, or truncation was quicker.
                unlucky += 1;
                continue;
            }
            self.push_all();
            // Others may have all the room: they are pushed by their own timers.
            let _ = tokio::time::timeout(self.common.flush_after, freed).await;
        }
        if self.is_dirty() {
            self.drain().await;
            self.take_error(told)?;
        }
        match offset {
            Some(offset) => {
                let _shared = self.ordering.read().await;
                self.write_direct(backing, offset, data).await
            }
            None => {
                let _alone = self.ordering.write().await;
                let end = self.common.remote.attr(backing.handle).await?.size;
                self.write_direct(backing, end, data).await
            }
        }
    }

    /// In order, so that what is written before an error is a prefix.
    async fn write_direct(&self, backing: &Backing, offset: u64, data: Bytes) -> FsResult<(u64, u32)> {
        let len = data.len() as u64;
        let Some(end) = offset.checked_add(len).filter(|end| *end <= MAX_SIZE) else {
            return Err(FsError::local(errno::EFBIG, "past the largest size a file can have"));
        };
        let chunk = self.common.remote.limits().max_write.max(1) as usize;
        let _note = Overwrite { content: self, range: offset..end };
        let route = self.route(backing, true);
        let open = match &route {
            Some(route) => Some(route.closed.read().await),
            None => None,
        };
        let through = backing.write_through;
        let backing = route.as_deref().filter(|_| open.as_deref() == Some(&false)).unwrap_or(backing);
        let mut rest = data;
        let mut written = 0u32;
        while !rest.is_empty() {
            let part = rest.split_to(chunk.min(rest.len()));
            let (at, count) = (offset + u64::from(written), part.len() as u32);
            match self.common.remote.write(backing.handle, at, part).await {
                Ok(()) => written += count,
                Err(error) if written == 0 => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(ino = self.ino.0, %error, written, "a write was cut short");
                    break;
                }
            }
        }
        if through && !backing.write_through {
            self.common.remote.flush(backing.handle).await?;
        }
        let end = offset + u64::from(written);
        let mut state = self.state();
        if let Some(size) = &mut state.size {
            *size = (*size).max(end);
        }
        Ok((end, written))
    }

    /// Before the size is changed to `size` on the server: what lies behind it is forgotten, the rest is written. The
    /// caller holds `ordering` alone.
    pub(crate) async fn before_resize(self: &Arc<Self>, size: u64) {
        {
            let mut state = self.state();
            state.overtake(&(size..u64::MAX));
            state.extents.remove(size..u64::MAX);
            self.account(&mut state);
        }
        self.drain().await;
    }

    /// After the size was changed to `size` on the server.
    pub(crate) fn resized(&self, size: u64) {
        let mut state = self.state();
        state.overtake(&(0..u64::MAX));
        state.extents.remove(size..u64::MAX);
        self.account(&mut state);
        if state.size.is_some() {
            state.size = Some(size);
        }
        if let Some(touched) = &mut state.touched {
            *touched = Touched { at: now(), ..*touched };
            touched.settled = false;
        }
    }

    /// The server has written, so that the file is at least as long as this.
    pub(crate) fn grown(&self, size: u64) {
        let mut state = self.state();
        state.size = state.size.map(|known| known.max(size));
        if let Some(touched) = &mut state.touched {
            *touched = Touched { at: now(), settled: false, ..*touched };
        }
    }

    /// Something other than a write has changed the range on the server.
    pub(crate) fn overwritten(&self, range: Range<u64>) {
        let mut state = self.state();
        state.overtake(&range);
        state.extents.remove(range);
        self.account(&mut state);
    }
}

impl State {
    fn begin_fetch(&mut self, range: Range<u64>) -> u64 {
        self.last_fetch += 1;
        let unsent = self.extents.held().dirty > 0;
        self.fetches.push(Fetch { id: self.last_fetch, range, overtaken: false, unsent });
        self.last_fetch
    }

    /// What became of a read since it was sent; `None` if that was noted before.
    fn end_fetch(&mut self, id: u64) -> Option<Fetch> {
        let at = self.fetches.iter().position(|fetch| fetch.id == id)?;
        Some(self.fetches.swap_remove(at))
    }

    /// The parts of a range that nobody has asked for.
    fn not_fetched(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut rest = vec![range.clone()];
        for fetch in self.fetches.iter().filter(|fetch| !fetch.overtaken) {
            rest = rest
                .into_iter()
                .flat_map(|part| {
                    let before = part.start..part.end.min(fetch.range.start);
                    let after = part.start.max(fetch.range.end)..part.end;
                    [before, after]
                })
                .filter(|part| !part.is_empty())
                .collect();
        }
        rest
    }
}

/// Fetches that end with this, however it ends.
struct Fetching<'a> {
    content: &'a Content,
    ids: Vec<u64>,
}

impl Drop for Fetching<'_> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let mut state = self.content.state();
        for id in &self.ids {
            state.end_fetch(*id);
        }
        drop(state);
        self.content.changed.notify_waiters();
    }
}

/// A range that the server is told to change: what is held of it is forgotten before and after, also if the answer
/// never comes.
struct Overwrite<'a> {
    content: &'a Content,
    range: Range<u64>,
}

impl Drop for Overwrite<'_> {
    fn drop(&mut self) {
        self.content.overwritten(self.range.clone());
    }
}

fn split(range: &Range<u64>, limit: u64) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let mut at = range.start;
    std::iter::from_fn(move || {
        // Cut at multiples of the limit, so that neighbours meet.
        let next = (at / limit + 1).saturating_mul(limit).min(end);
        let part = at..next;
        at = next;
        (!part.is_empty()).then_some(part)
    })
}

fn now() -> FileTime {
    crate::clock::now()
}
