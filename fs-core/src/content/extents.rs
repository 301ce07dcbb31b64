//! The bytes of one file that this mount holds: what it has read, what it has yet to write.
//!
//! Parts never overlap. Writing replaces what was there, reading fills gaps only: whatever is here is newer than an
//! answer of the server. A part being sent keeps its data until the server has confirmed it, so that a reader
//! finds it; what is overwritten meanwhile is a new dirty part, which must not be sent before the older one has
//! arrived (see [`Extents::take`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Writes of so many bytes are worth a buffer of the largest size: more will follow.
const LARGE: usize = 32 << 10;

/// Names a request that writes a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
enum Part {
    /// As the server has it. `used` since it was last considered for eviction.
    Clean { data: Bytes, used: bool },
    /// Not yet sent.
    Dirty(BytesMut),
    /// Sent, not yet confirmed.
    Sending { data: Bytes, ticket: Ticket },
}

impl Part {
    fn len(&self) -> u64 {
        match self {
            Self::Clean { data, .. } | Self::Sending { data, .. } => data.len() as u64,
            Self::Dirty(data) => data.len() as u64,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Clean { data, .. } | Self::Sending { data, .. } => data,
            Self::Dirty(data) => data,
        }
    }

    /// Cuts off what begins at `at`, which is inside.
    fn split_off(&mut self, at: u64) -> Self {
        let at = at as usize;
        match self {
            Self::Clean { data, used } => Self::Clean { data: data.split_off(at), used: *used },
            Self::Sending { data, ticket } => Self::Sending { data: data.split_off(at), ticket: *ticket },
            Self::Dirty(data) => Self::Dirty(data.split_off(at)),
        }
    }
}

/// A part that is to be written to the server now.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) ticket: Ticket,
    pub(crate) offset: u64,
    pub(crate) data: Bytes,
}

/// How many bytes are held, and as what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) clean: u64,
    /// Not confirmed by the server, sent or not.
    pub(crate) dirty: u64,
}

/// What has become of a part that was to go.
#[derive(Debug)]
pub(crate) enum Evicted {
    /// It was used, and stays this time.
    Spared,
    /// It is not there any more; its memory, if it was there till now.
    Gone(Option<Bytes>),
}

/// The parts by where they begin.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    parts: BTreeMap<u64, Part>,
    held: Held,
    /// Of `held.dirty`, what is not being sent.
    unsent: u64,
    /// Where the parts begin that are to be sent.
    dirty: BTreeSet<u64>,
    under_way: BTreeMap<Ticket, Range<u64>>,
    last: u64,
}

impl Extents {
    pub(crate) fn held(&self) -> Held {
        self.held
    }

    /// Bytes that nobody has begun to send.
    pub(crate) fn unsent(&self) -> u64 {
        self.unsent
    }

    /// Requests that the server has not confirmed.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Takes what a program wrote. Small writes one after the other become one part of at most `piece` bytes; `buffer`
    /// gives an empty one for a large write.
    pub(crate) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        piece: usize,
        buffer: impl FnOnce() -> BytesMut,
    ) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        if self.overwrite(offset, bytes) {
            return;
        }
        self.remove(offset..end);
        if let Some((_, Part::Dirty(data))) =
            self.parts.range_mut(..offset).next_back().filter(|(at, part)| *at + part.len() == offset)
            && data.len() + bytes.len() <= piece
        {
            if data.capacity() < data.len() + bytes.len() {
                // They come one after the other: more will follow.
                data.reserve(piece - data.len());
            }
            data.extend_from_slice(bytes);
            self.held.dirty += bytes.len() as u64;
            self.unsent += bytes.len() as u64;
        } else {
            let mut data = if bytes.len() >= LARGE { buffer() } else { BytesMut::new() };
            data.extend_from_slice(bytes);
            self.put(offset, Part::Dirty(data));
        }
    }

    /// Writes into a dirty part that has all of the range.
    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> bool {
        if let Some((at, Part::Dirty(data))) = self.parts.range_mut(..=offset).next_back() {
            let start = usize::try_from(offset - *at).unwrap_or(usize::MAX);
            if start < data.len() && data.len() - start >= bytes.len() {
                data[start..start + bytes.len()].copy_from_slice(bytes);
                return true;
            }
        }
        false
    }

    /// Keeps what the server answered, where nothing is held yet. Where the parts kept begin.
    pub(crate) fn fill(&mut self, offset: u64, data: &Bytes) -> Vec<u64> {
        let gaps = self.gaps(&(offset..offset + data.len() as u64));
        gaps.into_iter()
            .map(|gap| {
                let data = data.slice((gap.start - offset) as usize..(gap.end - offset) as usize);
                self.put(gap.start, Part::Clean { data, used: false });
                gap.start
            })
            .collect()
    }

    /// The ranges that are not held.
    pub(crate) fn gaps(&self, range: &Range<u64>) -> Vec<Range<u64>> {
        let mut gaps = Vec::new();
        let mut at = range.start;
        for (start, part) in self.over(range) {
            if start > at {
                gaps.push(at..start);
            }
            at = at.max(start + part.len());
        }
        if at < range.end {
            gaps.push(at..range.end);
        }
        gaps
    }

    /// All of the range, if it is held; shared where one part has it, else copied together.
    pub(crate) fn read(&mut self, range: &Range<u64>) -> Option<Bytes> {
        if range.is_empty() {
            return Some(Bytes::new());
        }
        let first = self.parts.range_mut(..=range.start).next_back();
        if let Some((at, Part::Clean { data, used })) = first
            && at + data.len() as u64 >= range.end
        {
            *used = true;
            return Some(data.slice((range.start - at) as usize..(range.end - at) as usize));
        }
        if !self.gaps(range).is_empty() {
            return None;
        }
        let mut whole = BytesMut::with_capacity((range.end - range.start) as usize);
        for (start, part) in self.over(range) {
            let from = range.start.saturating_sub(start) as usize;
            let to = (range.end - start).min(part.len()) as usize;
            whole.extend_from_slice(&part.bytes()[from..to]);
        }
        self.mark_used(range);
        Some(whole.freeze())
    }

    /// Takes dirty bytes to send, at most `piece` of them; only whole pieces unless `all`. What overlaps a request that
    /// is under way stays until that has been confirmed: the server may do requests in any order.
    pub(crate) fn take(&mut self, piece: usize, all: bool) -> Option<Outgoing> {
        if !all && self.unsent < piece as u64 {
            return None;
        }
        let offset = self.dirty.iter().copied().find(|at| {
            let len = self.parts.get(at).map_or(0, Part::len);
            (all || len >= piece as u64) && !self.is_under_way(&(*at..*at + len))
        })?;
        let Some(Part::Dirty(mut data)) = self.pull(offset) else { return None };
        if data.len() > piece {
            let rest = data.split_off(piece);
            self.put(offset + piece as u64, Part::Dirty(rest));
        }
        self.join(offset, &mut data, piece);
        let data = data.freeze();
        self.last += 1;
        let ticket = Ticket(self.last);
        self.under_way.insert(ticket, offset..offset + data.len() as u64);
        self.put(offset, Part::Sending { data: data.clone(), ticket });
        Some(Outgoing { ticket, offset, data })
    }

    fn is_under_way(&self, range: &Range<u64>) -> bool {
        self.under_way.values().any(|sent| overlap(sent, range))
    }

    /// Appends the dirty parts that follow without a gap, as far as they fit.
    fn join(&mut self, offset: u64, data: &mut BytesMut, piece: usize) {
        loop {
            let next = offset + data.len() as u64;
            let Some(Part::Dirty(follower)) = self.parts.get(&next) else { return };
            let range = next..next + follower.len() as u64;
            if data.len() + follower.len() > piece || self.is_under_way(&range) {
                return;
            }
            if let Some(follower) = self.pull(next) {
                data.extend_from_slice(follower.bytes());
            }
        }
    }

    /// A request has been answered: its bytes are the server's now, or lost if it was refused. Where the parts that
    /// are now clean begin.
    pub(crate) fn answered(&mut self, ticket: Ticket, accepted: bool) -> Vec<u64> {
        let Some(range) = self.under_way.remove(&ticket) else { return Vec::new() };
        let mine: Vec<u64> = self
            .over(&range)
            .filter(|(_, part)| matches!(part, Part::Sending { ticket: of, .. } if *of == ticket))
            .map(|(at, _)| at)
            .collect();
        for at in &mine {
            if let Some(Part::Sending { data, .. }) = self.pull(*at)
                && accepted
            {
                self.put(*at, Part::Clean { data, used: false });
            }
        }
        if accepted { mine } else { Vec::new() }
    }

    /// Forgets a range, whatever it is.
    pub(crate) fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let before = self.parts.range(..range.start).next_back().map(|(at, part)| (*at, part.len()));
        if let Some((at, len)) = before
            && at + len > range.start
            && let Some(mut part) = self.pull(at)
        {
            let tail = part.split_off(range.start - at);
            self.put(at, part);
            self.put(range.start, tail);
        }
        let inside: Vec<u64> = self.parts.range(range.clone()).map(|(at, _)| *at).collect();
        for at in inside {
            if let Some(mut part) = self.pull(at)
                && at + part.len() > range.end
            {
                self.put(range.end, part.split_off(range.end - at));
            }
        }
    }

    /// Forgets all that the server has.
    pub(crate) fn drop_clean(&mut self) {
        self.parts.retain(|_, part| !matches!(part, Part::Clean { .. }));
        self.held.clean = 0;
    }

    /// Forgets the clean part that begins at `at`, unless it was used since this was last asked.
    pub(crate) fn evict(&mut self, at: u64) -> Evicted {
        match self.parts.get_mut(&at) {
            Some(Part::Clean { used, .. }) if *used => {
                *used = false;
                Evicted::Spared
            }
            Some(Part::Clean { .. }) => match self.pull(at) {
                Some(Part::Clean { data, .. }) => Evicted::Gone(Some(data)),
                _ => Evicted::Gone(None),
            },
            _ => Evicted::Gone(None),
        }
    }

    /// Whether a clean part begins there.
    pub(crate) fn has_clean(&self, at: u64) -> bool {
        matches!(self.parts.get(&at), Some(Part::Clean { .. }))
    }

    fn put(&mut self, at: u64, part: Part) {
        let len = part.len();
        match part {
            Part::Clean { .. } => self.held.clean += len,
            Part::Sending { .. } => self.held.dirty += len,
            Part::Dirty(_) => {
                self.held.dirty += len;
                self.unsent += len;
                self.dirty.insert(at);
            }
        }
        self.parts.insert(at, part);
    }

    fn pull(&mut self, at: u64) -> Option<Part> {
        let part = self.parts.remove(&at)?;
        let len = part.len();
        match part {
            Part::Clean { .. } => self.held.clean -= len,
            Part::Sending { .. } => self.held.dirty -= len,
            Part::Dirty(_) => {
                self.held.dirty -= len;
                self.unsent -= len;
                self.dirty.remove(&at);
            }
        }
        Some(part)
    }

    /// The parts that have something of the range.
    fn over(&self, range: &Range<u64>) -> impl Iterator<Item = (u64, &Part)> {
        let first = self.parts.range(..=range.start).next_back().map_or(range.start, |(at, _)| *at);
        let range = range.clone();
        self.parts
            .range(first..range.end.max(first))
            .map(|(at, part)| (*at, part))
            .filter(move |(at, part)| overlap(&(*at..*at + part.len()), &range))
    }

    fn mark_used(&mut self, range: &Range<u64>) {
        let starts: Vec<u64> = self.over(range).map(|(at, _)| at).collect();
        for at in starts {
            if let Some(Part::Clean { used, .. }) = self.parts.get_mut(&at) {
                *used = true;
            }
        }
    }
}

/// Whether two ranges have something in common.
pub(crate) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PIECE: usize = 64;

    #[derive(Clone, Debug)]
    enum Step {
        Write { at: u64, len: usize, byte: u8 },
        Fill { at: u64, len: usize },
        Take { all: bool },
        Answer { which: usize, accepted: bool },
        Remove { at: u64, len: u64 },
        Evict { at: u64 },
        DropClean,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..400u64, 1..100usize, any::<u8>()).prop_map(|(at, len, byte)| Step::Write { at, len, byte }),
            2 => (0..400u64, 1..200usize).prop_map(|(at, len)| Step::Fill { at, len }),
            3 => any::<bool>().prop_map(|all| Step::Take { all }),
            3 => (any::<usize>(), prop::bool::weighted(0.9)).prop_map(|(which, accepted)| Step::Answer { which, accepted }),
            1 => (0..400u64, 1..100u64).prop_map(|(at, len)| Step::Remove { at, len }),
            1 => (0..400u64).prop_map(|at| Step::Evict { at }),
            1 => Just(Step::DropClean),
        ]
    }

    /// Against a byte array: what is held is what was written last, and the server ends with it.
    #[derive(Default)]
    struct Model {
        extents: Extents,
        /// What the file should be for this mount.
        now: Vec<u8>,
        server: Vec<u8>,
        sent: Vec<Outgoing>,
        /// Bytes that were given up, by a refusal or on purpose: nothing is said of them.
        lost: Vec<bool>,
    }

    impl Model {
        fn run(&mut self, step: &Step) {
            match *step {
                Step::Write { at, len, byte } => {
                    self.extents.write(at, &vec![byte; len], PIECE, BytesMut::new);
                    let range = at as usize..at as usize + len;
                    self.now[range.clone()].fill(byte);
                    self.lost[range].fill(false);
                }
                Step::Fill { at, len } => {
                    let range = at as usize..at as usize + len;
                    // A cache that lost a write has what the server has.
                    let data = Bytes::copy_from_slice(&self.server[range]);
                    self.extents.fill(at, &data);
                }
                Step::Take { all } => {
                    if let Some(out) = self.extents.take(PIECE, all) {
                        assert!(out.data.len() <= PIECE && (all || out.data.len() == PIECE));
                        let range = out.offset..out.offset + out.data.len() as u64;
                        let others = self.sent.iter().map(|o| o.offset..o.offset + o.data.len() as u64);
                        assert!(!others.into_iter().any(|other| overlap(&other, &range)), "overtaking");
                        self.sent.push(out);
                    }
                }
                Step::Answer { which, accepted } => {
                    if self.sent.is_empty() {
                        return;
                    }
                    let out = self.sent.swap_remove(which % self.sent.len());
                    let range = out.offset as usize..out.offset as usize + out.data.len();
                    if accepted {
                        self.server[range.clone()].copy_from_slice(&out.data);
                    } else {
                        for at in range {
                            self.lost[at] |= self.now[at] == out.data[at - out.offset as usize];
                        }
                    }
                    self.extents.answered(out.ticket, accepted);
                }
                Step::Remove { at, len } => {
                    self.extents.remove(at..at + len);
                    self.lost[at as usize..(at + len) as usize].fill(true);
                }
                Step::Evict { at } => drop(self.extents.evict(at)),
                Step::DropClean => self.extents.drop_clean(),
            }
            self.check();
        }

        fn check(&mut self) {
            let whole = 0..self.now.len() as u64;
            let gaps = self.extents.gaps(&whole);
            let held = self.extents.held();
            let missing: u64 = gaps.iter().map(|gap| gap.end - gap.start).sum();
            assert_eq!(held.clean + held.dirty, whole.end - missing);
            let unsent: u64 = self
                .extents
                .parts
                .values()
                .map(|p| if let Part::Dirty(d) = p { d.len() as u64 } else { 0 })
                .sum();
            assert_eq!(unsent, self.extents.unsent());
            for at in 0..self.now.len() {
                let got = self.extents.read(&(at as u64..at as u64 + 1));
                if let Some(got) = got
                    && !self.lost[at]
                {
                    assert_eq!(got[0], self.now[at], "byte {at}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_held_is_what_was_written_last(steps in prop::collection::vec(step(), 1..60)) {
            let mut model = Model {
                now: vec![0; 700],
                server: vec![0; 700],
                lost: vec![false; 700],
                ..Model::default()
            };
            for step in &steps {
                model.run(step);
            }
            // All that is left goes, and then the server has it all.
            loop {
                model.run(&Step::Take { all: true });
                if model.sent.is_empty() {
                    break;
                }
                model.run(&Step::Answer { which: 0, accepted: true });
            }
            assert_eq!((model.extents.held().dirty, model.extents.under_way()), (0, 0));
            for at in 0..model.now.len() {
                assert!(model.lost[at] || model.server[at] == model.now[at], "byte {at} is not on the server");
            }
        }
    }

    #[test]
    fn small_writes_in_a_row_are_one_request() {
        let mut extents = Extents::default();
        for at in 0..10 {
            extents.write(at * 10, &[at as u8; 10], PIECE, BytesMut::new);
        }
        assert!(extents.take(PIECE, false).is_none(), "60 bytes in the first part: no whole piece");
        let first = extents.take(PIECE, true).unwrap();
        assert_eq!((first.offset, first.data.len()), (0, 60));
        let second = extents.take(PIECE, true).unwrap();
        assert_eq!((second.offset, second.data.len()), (60, 40));
    }

    #[test]
    fn what_one_part_has_is_shared_not_copied() {
        let mut extents = Extents::default();
        let data = Bytes::from(vec![7; 100]);
        extents.fill(0, &data);
        let part = extents.read(&(10..20)).unwrap();
        assert_eq!(part.as_ptr(), data[10..].as_ptr());
    }
}
