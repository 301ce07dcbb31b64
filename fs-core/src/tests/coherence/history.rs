//! What was done and seen, and whether it fits together.
//!
//! Everything is noted while it happens and judged when it is over. Names are judged by the server's own record of them;
//! bytes by all writes: a read may have seen what any write left there that was not certainly overwritten. "Certainly"
//! means that another write had returned before the read began, and on another machine a while before it:
//!
//! - `SETTLE`: a lease of READ is taken back without waiting, as servers do, so that for the length of the message's
//!   way its holder still reads what it has.
//! - `EXPOSED`: a file that several machines have open, one of them writing, has no leases; what the kernel has of it
//!   from before is dropped when the change is seen in the file's times, which is looked for twice a second.
//!   This is for descriptors that were open before the write returned (S5); a later open sees all of it (S4).
//! - the attribute TTL, for a file's end: the kernel reads up to the size that it believes in (S4, S20).

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::Ino;
use crate::memory::Change;

pub(super) const SETTLE: Duration = Duration::from_millis(12);
const EXPOSED: Duration = Duration::from_millis(1000);

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { machine, start, end, .. } = self;
        let took = (self.ended - self.began).as_millis();
        write!(f, "machine {machine} {start}..{end} ({took} ms, {:?})", self.changes)
    }
}

/// When something happened: by the clock, by the order of all that was done, and by the server's record of names.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) machine: usize,
    /// The inode on that machine, if there is one: a file that another machine has renamed has a second one by its new
    /// name, and the two know of each other what two machines do.
    through: u64,
    start: u64,
    end: u64,
    began: Instant,
    ended: Instant,
    changes: (usize, usize),
}

#[derive(Clone, Copy, Debug)]
enum Edit {
    Write {
        at: u64,
        len: u64,
        byte: u8,
    },
    /// At the end, wherever that was.
    Append,
    Size(u64),
}

#[derive(Debug)]
struct Event {
    object: u64,
    span: Span,
    edit: Edit,
    /// It answered with an error: nobody knows.
    failed: bool,
}

#[derive(Debug)]
struct Read {
    object: u64,
    span: Span,
    /// When its descriptor was asked for.
    opened: u64,
    at: u64,
    len: u64,
    data: Vec<u8>,
}

#[derive(Debug)]
struct Sized {
    object: u64,
    span: Span,
    size: u64,
}

/// What was seen of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It leads to this.
    Object(u64),
    Something,
    Nothing,
    /// It did not stay what it was.
    Change,
}

#[derive(Debug)]
struct Sight {
    path: String,
    span: Span,
    seen: Seen,
    /// This was made so, and not only seen.
    done: bool,
}

#[derive(Debug, Default)]
pub(super) struct History {
    now: u64,
    events: Vec<Event>,
    reads: Vec<Read>,
    sizes: Vec<Sized>,
    sights: Vec<Sight>,
    /// By object: from when to when a machine could write it.
    writers: Vec<(u64, usize, Instant, Option<Instant>)>,
    ttl: Duration,
}

impl History {
    pub(super) fn new(ttl: Duration) -> Self {
        Self { ttl, ..Self::default() }
    }

    pub(super) fn begin(&mut self, machine: usize, changes: usize) -> Span {
        self.now += 1;
        let now = Instant::now();
        let (start, end) = (self.now, u64::MAX);
        Span { machine, through: 0, start, end, began: now, ended: now, changes: (changes, changes) }
    }

    pub(super) fn end(&mut self, span: Span, changes: usize) -> Span {
        self.now += 1;
        Span { end: self.now, ended: Instant::now(), changes: (span.changes.0, changes), ..span }
    }

    pub(super) fn wrote(&mut self, object: u64, span: Span, at: u64, len: u64, byte: u8, failed: bool) {
        let edit = Edit::Write { at, len, byte };
        self.events.push(Event { object, span, edit, failed });
    }

    pub(super) fn appended(&mut self, object: u64, span: Span) {
        self.events.push(Event { object, span, edit: Edit::Append, failed: false });
    }

    pub(super) fn resized(&mut self, object: u64, span: Span, size: u64, failed: bool) {
        self.events.push(Event { object, span, edit: Edit::Size(size), failed });
    }

    pub(super) fn read(&mut self, object: u64, span: Span, opened: u64, at: u64, len: u64, data: Vec<u8>) {
        self.reads.push(Read { object, span, opened, at, len, data });
    }

    pub(super) fn sized(&mut self, object: u64, span: Span, size: u64) {
        self.sizes.push(Sized { object, span, size });
    }

    pub(super) fn saw(&mut self, path: &str, span: Span, seen: Seen) {
        self.sights.push(Sight { path: path.into(), span, seen, done: false });
    }

    pub(super) fn made(&mut self, path: &str, span: Span, seen: Seen) {
        self.sights.push(Sight { path: path.into(), span, seen, done: true });
    }

    pub(super) fn may_write(&mut self, object: u64, machine: usize) -> usize {
        self.writers.push((object, machine, Instant::now(), None));
        self.writers.len() - 1
    }

    pub(super) fn writes_no_more(&mut self, which: usize) {
        self.writers[which].3 = Some(Instant::now());
    }

    /// # Errors
    /// What does not fit.
    pub(super) fn judge(&self, changes: &[Change]) -> Result<(), String> {
        self.sights.iter().try_for_each(|sight| self.judge_sight(sight, changes))?;
        self.reads.iter().try_for_each(|read| self.judge_read(read))?;
        self.sizes.iter().try_for_each(|sized| self.judge_size(sized))
    }

    /// What is on the server in the end.
    pub(super) fn judge_stored(&mut self, object: u64, data: &[u8]) -> Result<(), String> {
        let span = self.begin(usize::MAX, 0);
        let span = Span { began: span.began + Duration::from_secs(3600), ..self.end(span, 0) };
        let len = data.len() as u64 + 1;
        self.judge_read(&Read { object, span, opened: span.start, at: 0, len, data: data.to_vec() })
    }

    /// What a name led to, each time that it is in question.
    fn judge_sight(&self, sight: &Sight, changes: &[Change]) -> Result<(), String> {
        let of_path = |until: usize| {
            let path = &sight.path;
            changes[..until].iter().enumerate().rev().find(move |(_, change)| change.path == *path)
        };
        let span = &sight.span;
        let first = if sight.done {
            span.changes.0
        } else {
            let lag = SETTLE + self.ttl;
            let old = changes.partition_point(|change| change.at + lag < span.began);
            let own = self
                .sights
                .iter()
                .filter(|other| other.done && other.path == sight.path && other.span.machine == span.machine);
            let own = own.filter(|other| other.span.end < span.start).map(|other| {
                // From when it was as this machine has made it.
                let (from, to) = other.span.changes;
                let made = changes[from..to]
                    .iter()
                    .position(|change| change.path == other.path && fits(other.seen, change.id));
                made.map_or(from, |at| from + at + 1)
            });
            own.fold(old.min(span.changes.0), usize::max)
        };
        let before = of_path(first).and_then(|(_, change)| change.id);
        let during = changes[first..span.changes.1].iter().filter(|change| change.path == sight.path);
        let during: Vec<_> = during.map(|change| change.id).collect();
        let fits = match sight.seen {
            Seen::Change => !during.is_empty(),
            seen => {
                during.iter().chain([&before].into_iter().filter(|_| !sight.done)).any(|id| fits(seen, *id))
            }
        };
        if fits {
            return Ok(());
        }
        let of_path = changes.iter().enumerate().filter(|(_, change)| change.path == sight.path);
        let of_path: Vec<_> = of_path.map(|(at, change)| (at, change.id)).collect();
        Err(format!("sight of a name: {sight:?} does not fit {of_path:?}"))
    }

    fn judge_read(&self, read: &Read) -> Result<(), String> {
        let all: Vec<&Event> = self.events.iter().filter(|event| event.object == read.object).collect();
        if all.iter().any(|event| matches!(event.edit, Edit::Append)) {
            // Where it went, nobody knows for certain.
            return Ok(());
        }
        for at in read.at..read.at + read.len {
            let seen = read.data.get((at - read.at) as usize).copied();
            let mut possible = self.possible(&all, at, read);
            // The kernel asked with the size from before, and fills with zeros what is missing of its page.
            let concurrent = |cut: &&&Event| cut.span.start < read.span.end && read.span.start < cut.span.end;
            if all.iter().filter(concurrent).any(|cut| hard_cut(cut, at)) {
                possible.push(Some(0));
            }
            if !possible.contains(&seen) {
                return Err(format!(
                    "byte {at} was read as {seen:?}, which was written by nobody or overwritten; possible: \
                     {possible:?}; {:?} of object {}\n{all:?}",
                    read.span, read.object
                ));
            }
        }
        Ok(())
    }

    fn judge_size(&self, sized: &Sized) -> Result<(), String> {
        let Sized { object, span, size } = sized;
        // Who has it open for writing may keep what was written, and the attributes of others tell nothing of it.
        let lag = SETTLE + self.ttl + Duration::from_millis(500);
        let kept = self.writers.iter().any(|(of, machine, since, until)| {
            of == object
                && *machine != span.machine
                && *since <= span.ended
                && until.is_none_or(|until| until + lag >= span.began)
        });
        if kept {
            return Ok(());
        }
        let all: Vec<&Event> = self.events.iter().filter(|event| event.object == *object).collect();
        if all.iter().any(|event| matches!(event.edit, Edit::Append)) {
            return Ok(());
        }
        let at =
            |at: u64, len: u64| Read { object: *object, span: *span, opened: 0, at, len, data: Vec::new() };
        let last = *size == 0 || self.possible(&all, size - 1, &at(size - 1, 1)).iter().any(Option::is_some);
        let end = self.possible(&all, *size, &at(*size, 1)).contains(&None);
        if last && end {
            return Ok(());
        }
        Err(format!("a size of {size} cannot have been; {span:?} of object {object}\n{all:?}"))
    }

    /// What may be seen of a byte; `None` is the end of the file.
    fn possible(&self, all: &[&Event], at: u64, read: &Read) -> Vec<Option<u8>> {
        let hard = |event: &Event| match event.edit {
            Edit::Write { at: from, len, byte } if (from..from + len).contains(&at) => Some(Some(byte)),
            Edit::Size(size) if at >= size => Some(None),
            _ => None,
        };
        // Fills a hole, if there is one.
        let soft = |event: &Event| match event.edit {
            Edit::Write { at: from, len, .. } if at >= from && at < from + len => {
                // It may take several requests (S7), and the file may be cut between them.
                all.iter().any(|cut| {
                    hard_cut(cut, at) && cut.span.start < event.span.end && event.span.start < cut.span.end
                })
            }
            Edit::Write { at: from, .. } => at < from,
            Edit::Size(size) => at < size,
            Edit::Append => false,
        };
        let over = |value: Option<u8>, since: u64| {
            all.iter().any(|event| {
                let counts = hard(event).is_some() || (value.is_none() && soft(event));
                counts && !event.failed && since < event.span.start && self.visible(event, value, read)
            })
        };
        // Certain before the event: nothing of it is a hole.
        let full = |event: &Event| {
            all.iter().any(|full| {
                matches!(hard(full), Some(Some(_))) && !full.failed && full.span.end < event.span.start && {
                    let mut cuts = all.iter().filter(|cut| hard(cut) == Some(None));
                    cuts.all(|cut| !cut.failed && cut.span.end < full.span.start)
                }
            })
        };
        let begun = |event: &&&Event| event.span.start < read.span.end;
        let mut possible = Vec::new();
        if !over(None, 0) {
            possible.push(None);
        }
        for event in all.iter().filter(begun) {
            let end = if event.failed { u64::MAX } else { event.span.end };
            possible.extend(hard(event).filter(|value| !over(*value, end)));
            if soft(event) && !full(event) && !over(Some(0), end) {
                possible.push(Some(0));
            }
        }
        possible
    }

    /// Whether the read must have seen the event, where it would otherwise see `value`.
    fn visible(&self, event: &Event, value: Option<u8>, read: &Read) -> bool {
        if event.span.end >= read.span.start {
            return false;
        }
        if (event.span.machine, event.span.through) == (read.span.machine, read.span.through) {
            return true;
        }
        let mut lag = if event.span.end < read.opened { SETTLE } else { EXPOSED };
        if value.is_none() {
            lag += self.ttl;
        }
        event.span.ended + lag < read.span.began
    }
}

impl Span {
    /// Of an inode of the machine.
    pub(super) fn through(self, ino: Ino) -> Self {
        Self { through: ino.0, ..self }
    }

    pub(super) fn began(&self) -> Instant {
        self.began
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }
}

fn hard_cut(event: &Event, at: u64) -> bool {
    matches!(event.edit, Edit::Size(size) if at >= size)
}

fn fits(seen: Seen, id: Option<u64>) -> bool {
    match seen {
        Seen::Object(object) => id == Some(object),
        Seen::Something => id.is_some(),
        Seen::Nothing => id.is_none(),
        Seen::Change => false,
    }
}
