//! Several machines, each with a kernel that keeps what it may, over one server: what the programs on them see of each
//! other's work, whatever overtakes whatever.
//!
//! A failure prints its seed and the shortest script that still fails. `SHAREFS_MODEL_SEEDS` asks for more seeds,
//! `SHAREFS_MODEL_FROM` says which is the first, `SHAREFS_MODEL_TRACE` prints what the shortest script does.

mod history;
mod kernel;
mod machine;
mod regressions;
mod script;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::memory::{MemoryServer, Random};
use crate::{Filesystem, MountOptions, errno as e};
use history::{History, Seen, Span};
use kernel::WATCHDOG;
use machine::{Answer, Fd, How, Machine};
use script::{Act, DIRECTORY, FILES, SLOTS, Script, Step};

/// Long enough for all that is unused to be closed and all that was cached by time to be forgotten.
const QUIET: Duration = Duration::from_secs(12);

/// The object of an open that has not been answered.
const UNKNOWN: u64 = 0;

type Verdict = Result<(), String>;

struct Run {
    server: Arc<MemoryServer>,
    machines: Vec<Machine>,
    history: Mutex<History>,
    /// What is open, and on which machine.
    open: Mutex<Vec<(usize, u64)>>,
    /// When something was closed last.
    closed: Mutex<Option<Instant>>,
}

/// A descriptor, what it leads to, and when it was asked for.
struct Slot {
    fd: Fd,
    object: u64,
    opened: u64,
    how: How,
    writer: Option<usize>,
}

/// One program.
struct Program {
    run: Arc<Run>,
    machine: usize,
    slots: [Option<Slot>; SLOTS],
    written: u8,
}

impl Run {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Vec<(usize, u64)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_open(&self, of: (usize, u64)) {
        let mut open = self.open();
        if let Some(at) = open.iter().position(|other| *other == of) {
            open.swap_remove(at);
        }
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    async fn play(script: &Script, trace: bool) -> Verdict {
        let server = Arc::new(MemoryServer::new(script.world.server()));
        if trace {
            server.set_trace();
        }
        let mount = script.world.mount();
        let machines = (0..script.world.machines)
            .map(|client| {
                let client = u32::try_from(client).unwrap();
                let options = MountOptions { client, ..mount.clone() };
                Machine::new(Filesystem::new(Arc::new(server.connect()), options))
            })
            .collect();
        let history = History::new(mount.attr_ttl);
        let run = Arc::new(Self {
            server,
            machines,
            history: Mutex::new(history),
            open: Mutex::default(),
            closed: Mutex::default(),
        });
        tokio::task::yield_now().await;
        let count = script.steps.iter().map(|step| step.program + 1).max().unwrap_or_default();
        let mut programs = Vec::new();
        for number in 0..count {
            let steps: Vec<Step> =
                script.steps.iter().filter(|step| step.program == number).copied().collect();
            let machine = number % script.world.machines;
            let program =
                Program { run: run.clone(), machine, slots: Default::default(), written: number as u8 };
            programs.push(tokio::task::spawn_local(program.play(steps)));
        }
        for program in programs {
            program.await.map_err(|panic| panic.to_string())??;
        }
        tokio::time::sleep(QUIET).await;
        run.compare().await?;
        for machine in &run.machines {
            watched("the end of the mount", machine.end()).await?;
        }
        tokio::time::sleep(QUIET).await;
        run.judge()
    }

    /// All is quiet: each machine shows what the server has.
    async fn compare(&self) -> Verdict {
        let stored = self.server.stored();
        for (number, machine) in self.machines.iter().enumerate() {
            for directory in ["", DIRECTORY] {
                if !directory.is_empty() && !stored.contains_key(directory) {
                    continue;
                }
                let listed = watched("list", machine.list(directory)).await?;
                let listed: BTreeSet<String> =
                    listed.map_err(|error| format!("list: {error}"))?.into_iter().collect();
                let below = |path: &String| match path.rsplit_once('/') {
                    Some((above, name)) => (above == directory).then(|| name.to_owned()),
                    None => directory.is_empty().then(|| path.clone()),
                };
                let expected: BTreeSet<String> = stored.keys().filter_map(below).collect();
                if listed != expected {
                    return Err(format!("machine {number} lists {listed:?}, the server has {expected:?}"));
                }
            }
            for path in FILES {
                let expected = stored.get(path).and_then(|stored| stored.data.clone());
                let stat = watched("stat", machine.stat(path)).await?.map(|(_, size)| size);
                let size = expected.as_ref().map(|data| data.len() as u64).ok_or(e::ENOENT);
                if stat != size {
                    return Err(format!("machine {number} says of {path} {stat:?}, the server has {size:?}"));
                }
                let Some(expected) = expected else { continue };
                let fd = watched("open", machine.open(path, How::default())).await?;
                let fd = fd.map_err(|error| format!("open of {path}: {error}"))?;
                let data = watched("read", machine.pread(fd, 0, expected.len() as u32 + 10)).await?;
                if data.as_ref() != Ok(&expected) {
                    let (data, expected) = (data.map(|data| runs(&data)), runs(&expected));
                    return Err(format!(
                        "machine {number} reads of {path} {data:?}, the server has {expected:?}"
                    ));
                }
                let (closed, released) = watched("close", machine.close(fd)).await?;
                closed.map_err(|error| format!("close of {path}: {error}"))?;
                watched("release", released).await?.map_err(|panic| panic.to_string())?;
            }
        }
        Ok(())
    }

    fn judge(&self) -> Verdict {
        let server = &self.server;
        let left = [
            ("handles", server.open_handles()),
            ("leases", server.leases()),
            ("waiting requests", server.waiting()),
            ("breaks unanswered in time", server.timeouts() as usize),
        ];
        let dirty = self.machines.iter().map(|machine| ("dirty bytes", machine.fs.held().dirty as usize));
        if let Some((what, count)) = left.into_iter().chain(dirty).find(|(_, count)| *count > 0) {
            return Err(format!("in the end there are {count} {what}"));
        }
        let mut history = self.history();
        history.judge(&server.changes())?;
        for (path, stored) in server.stored() {
            if let Some(data) = stored.data {
                history.judge_stored(stored.id, &data).map_err(|error| format!("{path}: {error}"))?;
            }
        }
        Ok(())
    }
}

/// The same, short: each byte with how often it comes.
fn runs(data: &[u8]) -> Vec<(u8, usize)> {
    data.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect()
}

async fn watched<T>(what: &str, work: impl Future<Output = T>) -> Result<T, String> {
    tokio::time::timeout(WATCHDOG, work).await.map_err(|_| format!("{what} hangs"))
}

impl Program {
    async fn play(mut self, steps: Vec<Step>) -> Verdict {
        for step in steps {
            if step.after > 0 {
                tokio::time::sleep(Duration::from_millis(step.after)).await;
            }
            let what = format!("{:?} on machine {}", step.act, self.machine);
            self.run.server.trace(format_args!("begins: {what}"));
            let calls = |machine: &Machine, one: usize| machine.calls.fetch_add(one, Ordering::Relaxed);
            calls(self.machine(), 1);
            watched(&what, self.act(step.act)).await??;
            calls(self.machine(), usize::MAX);
            self.run.server.trace(format_args!("ends:   {what}"));
        }
        for slot in 0..SLOTS {
            watched("close", self.close(slot)).await??;
        }
        Ok(())
    }

    fn begin(&self) -> Span {
        self.run.history().begin(self.machine, self.run.server.change_count())
    }

    fn end(&self, span: Span) -> Span {
        self.run.history().end(span, self.run.server.change_count())
    }

    fn machine(&self) -> &Machine {
        &self.run.machines[self.machine]
    }

    /// An error of something that names a file.
    fn refused(&self, path: &str, span: Span, error: i32) -> Verdict {
        let mut history = self.run.history();
        match error {
            // A name being deleted is taken and leads nowhere.
            e::ENOENT | e::EBUSY => history.saw(path, span, Seen::Nothing),
            e::EEXIST => history.saw(path, span, Seen::Something),
            e::ESTALE if path.contains('/') => {}
            e::ESTALE => history.saw(path, span, Seen::Change),
            _ => return Err(format!("{path}: errno {error}; {span:?}")),
        }
        Ok(())
    }

    /// Whether anybody has had something open meanwhile.
    fn busy(&self, span: Span) -> bool {
        let closed = *self.run.closed.lock().unwrap_or_else(PoisonError::into_inner);
        !self.run.open().is_empty() || closed.is_some_and(|at| at >= span.began())
    }

    async fn close(&mut self, slot: usize) -> Verdict {
        let Some(slot) = self.slots[slot].take() else { return Ok(()) };
        let (result, released) = self.machine().close(slot.fd).await;
        result.map_err(|error| format!("close: {error}"))?;
        if let Some(writer) = slot.writer {
            self.run.history().writes_no_more(writer);
        }
        let (run, of) = (self.run.clone(), (self.machine, slot.object));
        tokio::spawn(async move {
            let _ = released.await;
            run.not_open(of);
        });
        Ok(())
    }

    async fn open(&mut self, path: &'static str, slot: usize, how: How) -> Verdict {
        self.close(slot).await?;
        // An exclusive open truncates nothing, a read-only one neither appends nor truncates.
        let how = How {
            truncate: how.truncate && how.write && !how.exclusive,
            append: how.append && how.write,
            exclusive: how.exclusive && how.create,
            ..how
        };
        let span = self.begin();
        self.run.open().push((self.machine, UNKNOWN));
        let result = self.machine().open(path, how).await;
        let span = self.end(span);
        self.run.not_open((self.machine, UNKNOWN));
        let fd = match result {
            Ok(fd) => fd,
            Err(error) => return self.refused(path, span, error),
        };
        let object = self.machine().fs.file_id(fd.ino).ok_or("an open file has no inode")?;
        self.run.open().push((self.machine, object));
        let mut history = self.run.history();
        if how.exclusive {
            history.made(path, span, Seen::Object(object));
        } else {
            history.saw(path, span, Seen::Object(object));
        }
        if how.truncate {
            history.resized(object, span.through(fd.ino), 0, false);
        }
        let writer = how.write.then(|| history.may_write(object, self.machine));
        drop(history);
        self.slots[slot] = Some(Slot { fd, object, opened: span.start(), how, writer });
        Ok(())
    }

    async fn write(&mut self, slot: usize, at: u64, len: usize) -> Verdict {
        let Some(Slot { fd, object, how, .. }) = &self.slots[slot] else { return Ok(()) };
        let (fd, object, how) = (*fd, *object, *how);
        if !how.write {
            return Ok(());
        }
        self.written = self.written.wrapping_add(7).max(1);
        let byte = self.written;
        let span = self.begin();
        let result = self.machine().pwrite(fd, at, &vec![byte; len]).await;
        let span = self.end(span);
        if how.append {
            self.run.history().appended(object, span.through(fd.ino));
        } else {
            self.run.history().wrote(object, span.through(fd.ino), at, len as u64, byte, result != Ok(len));
        }
        if result == Ok(len) { Ok(()) } else { Err(format!("a write of {len} bytes: {result:?}")) }
    }

    async fn act(&mut self, act: Act) -> Verdict {
        match act {
            Act::Open { path, slot, how } => self.open(path, slot, how).await,
            Act::Read { slot, at, len } => {
                let Some(Slot { fd, object, opened, .. }) = &self.slots[slot] else { return Ok(()) };
                let (fd, object, opened) = (*fd, *object, *opened);
                let span = self.begin();
                let data = self.machine().pread(fd, at, len).await;
                let span = self.end(span);
                let data = data.map_err(|error| format!("read: {error}"))?;
                self.run.history().read(object, span.through(fd.ino), opened, at, len.into(), data);
                Ok(())
            }
            Act::Write { slot, at, len } => self.write(slot, at, len).await,
            Act::Truncate { path, size } => {
                let span = self.begin();
                let stat = self.machine().stat(path).await;
                let ino = match stat {
                    Ok((ino, _)) => ino,
                    Err(error) => return self.refused(path, self.end(span), error),
                };
                let object = self.machine().fs.file_id(ino);
                let result = self.machine().truncate(ino, None, size).await;
                let span = self.end(span);
                match (result, object) {
                    (Ok(()), Some(object)) => {
                        // It goes by the path: another machine may have put another file there meanwhile, and then nobody
                        // knows which it was.
                        let named = self.run.server.changes();
                        let named = named.iter().rev().filter(|change| change.path == path);
                        let recent: BTreeSet<u64> = named.filter_map(|change| change.id).collect();
                        let sure = recent.iter().eq([&object]);
                        let mut history = self.run.history();
                        history.resized(object, span.through(ino), size, !sure);
                        let others = recent.iter().filter(|other| **other != object);
                        others.for_each(|other| history.resized(*other, span, size, true));
                        Ok(())
                    }
                    (Err(e::ENOENT), _) => self.refused(path, span, e::ENOENT),
                    (Err(e::ESTALE), _) => Ok(()),
                    (result, _) => Err(format!("truncation of {path}: {result:?}")),
                }
            }
            Act::TruncateOpen { slot, size } => {
                let Some(Slot { fd, object, how, .. }) = &self.slots[slot] else { return Ok(()) };
                let (fd, object, how) = (*fd, *object, *how);
                if !how.write {
                    return Ok(());
                }
                let span = self.begin();
                let result = self.machine().truncate(fd.ino, Some(fd), size).await;
                let span = self.end(span);
                self.run.history().resized(object, span.through(fd.ino), size, result.is_err());
                result.map_err(|error| format!("ftruncate: {error}"))
            }
            Act::Sync { slot } => {
                let Some(Slot { fd, .. }) = &self.slots[slot] else { return Ok(()) };
                self.machine().fsync(*fd).await.map_err(|error| format!("fsync: {error}"))
            }
            Act::Close { slot } => self.close(slot).await,
            Act::Unlink { path } => self.named(path, Seen::Nothing, self.machine().unlink(path, false)).await,
            Act::MakeDirectory => {
                let made = async { self.machine().mkdir(DIRECTORY).await.map(drop) };
                self.named(DIRECTORY, Seen::Something, made).await
            }
            Act::RemoveDirectory => {
                let span = self.begin();
                let result = self.machine().unlink(DIRECTORY, true).await;
                let span = self.end(span);
                match result {
                    Ok(()) => self.run.history().made(DIRECTORY, span, Seen::Nothing),
                    Err(e::ENOTEMPTY) if self.busy(span) => {}
                    Err(e::ENOTEMPTY) => self.run.history().saw(DIRECTORY, span, Seen::Something),
                    Err(error) => return self.refused(DIRECTORY, span, error),
                }
                Ok(())
            }
            Act::Rename { from, to, no_replace } => self.rename(from, to, no_replace).await,
            Act::List { path } => self.list(path).await,
            Act::Stat { path } => {
                let span = self.begin();
                let result = self.machine().stat(path).await;
                let span = self.end(span);
                match result {
                    Ok((ino, size)) => {
                        let object = self.machine().fs.file_id(ino).ok_or("a file has no inode")?;
                        let mut history = self.run.history();
                        history.saw(path, span, Seen::Object(object));
                        // A name that another machine has moved leads for its time to an inode of its own, which
                        // knows nothing of what is done through the new name.
                        let changes = self.run.server.changes();
                        let last = changes.iter().rev().find(|change| change.path == path);
                        if last.is_some_and(|change| change.id == Some(object)) {
                            history.sized(object, span.through(ino), size);
                        }
                        Ok(())
                    }
                    Err(error) => self.refused(path, span, error),
                }
            }
            Act::Shrink => {
                // Those under way hold what they use.
                if self.machine().calls.load(Ordering::Relaxed) == 1 {
                    self.machine().shrink();
                }
                Ok(())
            }
        }
    }

    async fn named(&self, path: &str, seen: Seen, work: impl Future<Output = Answer<()>>) -> Verdict {
        let span = self.begin();
        let result = work.await;
        let span = self.end(span);
        match result {
            Ok(()) => {
                self.run.history().made(path, span, seen);
                Ok(())
            }
            Err(error) => self.refused(path, span, error),
        }
    }

    async fn rename(&self, from: &'static str, to: &'static str, no_replace: bool) -> Verdict {
        if from == to {
            return Ok(());
        }
        let span = self.begin();
        let result = self.machine().rename(from, to, no_replace).await;
        let span = self.end(span);
        match result {
            Ok(()) => {
                let mut history = self.run.history();
                history.made(from, span, Seen::Nothing);
                history.made(to, span, Seen::Something);
                Ok(())
            }
            // Windows replaces no file that is open.
            Err(e::EACCES) if self.busy(span) => Ok(()),
            Err(e::ENOENT | e::ESTALE | e::EBUSY) if to.contains('/') || from.contains('/') => Ok(()),
            Err(e::EBUSY) => self.refused(to, span, e::EBUSY),
            Err(e::ESTALE) => Ok(()),
            Err(e::EEXIST) => self.refused(to, span, e::EEXIST),
            Err(error) => self.refused(from, span, error),
        }
    }

    async fn list(&self, path: &'static str) -> Verdict {
        let span = self.begin();
        let result = self.machine().list(path).await;
        let span = self.end(span);
        let names = match result {
            Ok(names) => names,
            Err(error) => return self.refused(path, span, error),
        };
        let mut history = self.run.history();
        for file in FILES {
            let (above, name) = file.rsplit_once('/').unwrap_or(("", file));
            if above == path {
                let there = names.iter().any(|listed| listed == name);
                history.saw(file, span, if there { Seen::Something } else { Seen::Nothing });
            }
        }
        Ok(())
    }
}

fn play(script: &Script) -> Verdict {
    play_traced(script, false)
}

/// Plays a script in a time of its own.
fn play_traced(script: &Script, trace: bool) -> Verdict {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().map_err(|error| error.to_string())?;
    tokio::task::LocalSet::new().block_on(&runtime, Run::play(script, trace))
}

/// Leaves out of a failing script what it fails without.
fn shrink(mut script: Script, error: &str) -> Script {
    let fails = |script: &Script| {
        // With other operations the same delays meet others: give chance some chances.
        (0..12).find_map(|more| {
            let mut script = script.clone();
            script.world.seed += more;
            play(&script).is_err_and(|other| kind(&other) == kind(error)).then_some(script)
        })
    };
    let mut size = script.steps.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut shorter = false;
        while at < script.steps.len() {
            let mut steps = script.steps.clone();
            steps.drain(at..(at + size).min(script.steps.len()));
            match fails(&Script { steps, ..script.clone() }) {
                Some(found) => (script, shorter) = (found, true),
                None => at += size,
            }
        }
        if size == 1 && !shorter {
            return script;
        }
        size = if shorter { size } else { size.div_ceil(2) };
    }
}

/// What two failures have in common that have the same reason.
fn kind(error: &str) -> &str {
    error.split(|c: char| !c.is_alphabetic() && c != ' ').next().unwrap_or_default()
}

fn number(name: &str, or: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
}

fn play_seeds(part: u64, of: u64) {
    let (from, count) = (number("SHAREFS_MODEL_FROM", 0), number("SHAREFS_MODEL_SEEDS", 8000));
    for seed in (from..from + count).filter(|seed| seed % of == part) {
        let script = Script::drawn(Random::new(seed).number());
        if let Err(error) = play(&script) {
            let Script { world, steps } = shrink(script, &error);
            let trace = std::env::var_os("SHAREFS_MODEL_TRACE").is_some();
            let again = play_traced(&Script { world, steps: steps.clone() }, trace).unwrap_err();
            let steps: Vec<String> = steps.iter().map(|step| format!("    {step:?},\n")).collect();
            panic!("seed {seed}: {error}\n\nshortest: {again}\n{world:?}\n{}", steps.concat());
        }
    }
}

#[test]
fn machines_see_each_others_work() {
    play_seeds(0, 2);
}

#[test]
fn machines_see_each_others_work_too() {
    play_seeds(1, 2);
}
