//! A script on two mounts and on the model.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sharefs_tests::Mount;

use super::LAG;
use super::script::{Act, FILES, How, SLOTS, Script, Step};
use super::state::{Sight, State};
use crate::agent::Agent;

/// What a mount does: one system call a command.
const AGENT: &str = r"
import errno, os, sys, time
slots = {}
def do(command, *a):
    if command == 'open':
        fd = os.open(a[0], int(a[2]) | os.O_CLOEXEC, 0o644)
        slots[a[1]] = fd
        return os.fstat(fd).st_ino
    if command == 'read': return os.pread(slots[a[0]], int(a[2]), int(a[1])).hex()
    if command == 'write': return os.pwrite(slots[a[0]], bytes([int(a[3])]) * int(a[2]), int(a[1]))
    if command == 'truncate': return os.truncate(a[0], int(a[1]))
    if command == 'truncateopen': return os.ftruncate(slots[a[0]], int(a[1]))
    if command == 'sync': return os.fsync(slots[a[0]])
    if command == 'close': return os.close(slots.pop(a[0]))
    if command == 'mkdir': return os.mkdir(a[0], 0o777)
    if command == 'unlink': return os.unlink(a[0])
    if command == 'rename': return os.rename(a[0], a[1])
    if command == 'stat':
        s = os.stat(a[0])
        return '%d %d' % (s.st_size, s.st_ino)
    if command == 'list': return ' '.join(os.listdir(a[0]))
    raise ValueError(command)
for line in sys.stdin:
    try: answer = 'done %s' % do(*line.split())
    except OSError as e: answer = errno.errorcode[e.errno]
    print(answer, flush=True)
";

/// As Linux has them on this architecture, and as `os` of Python takes them.
const O_RDWR: u32 = 2;
const O_CREAT: u32 = 0o100;
const O_EXCL: u32 = 0o200;
const O_TRUNC: u32 = 0o1000;
const O_APPEND: u32 = 0o2000;

/// What may be answered while a name is not what this mount takes it for.
const LATE: [&str; 5] = ["ENOENT", "EEXIST", "EBUSY", "ESTALE", "EACCES"];
const PAUSE: Duration = Duration::from_millis(10);

/// An errno's name, or what was answered.
type Answer = Result<String, String>;

#[derive(Clone, Copy)]
struct Slot {
    file: usize,
    how: How,
}

pub(super) struct Run<'a> {
    agents: [Agent; 2],
    directory: String,
    /// The same on the server's disk.
    stored: &'a Path,
    state: State,
    slots: [[Option<Slot>; SLOTS]; 2],
    /// Names are believed for a while, and the server does not tell of changes in time.
    names_are_late: bool,
    /// Numbers that a mount has shown, and whose they are.
    inodes: HashMap<(usize, String), usize>,
    written: u8,
}

/// How an act ended.
enum End {
    Done,
    /// To be tried again: this mount may be late.
    Again,
    Wrong,
}

impl<'a> Run<'a> {
    pub(super) fn new(mounts: &[Mount; 2], directory: &str, stored: &'a Path, names_are_late: bool) -> Self {
        Self {
            agents: mounts.each_ref().map(|mount| Agent::start(mount, AGENT)),
            directory: format!("mnt/{directory}"),
            stored,
            state: State::new(),
            slots: Default::default(),
            names_are_late,
            inodes: HashMap::new(),
            written: 0,
        }
    }

    /// # Errors
    /// What was wrong.
    pub(super) fn play(mut self, script: &Script) -> Result<(), String> {
        // Through a mount: nobody is told of what is made on the server's disk.
        let directory = self.directory.clone();
        self.certainly(0, &format!("mkdir {directory}"))?;
        self.until(1, &format!("list {directory}"), |_, answer| match answer {
            Ok(_) => End::Done,
            Err(_) => End::Again,
        })?;
        for (number, step) in script.steps.iter().enumerate() {
            self.step(*step).map_err(|error| format!("{number}, {step:?}: {error}"))?;
        }
        for mount in 0..2 {
            for slot in 0..SLOTS {
                self.close(mount, slot)?;
            }
        }
        for mount in 0..2 {
            let at_end = |error| format!("in the end, mount {mount}: {error}");
            self.list(mount).map_err(at_end)?;
            for path in 0..FILES.len() {
                self.stat(mount, path).map_err(at_end)?;
                let how =
                    How { write: false, create: false, exclusive: false, truncate: false, append: false };
                self.open(mount, path, 0, how).map_err(at_end)?;
                self.read(mount, 0, 0, 1 << 16).map_err(at_end)?;
                self.close(mount, 0).map_err(at_end)?;
            }
        }
        self.compare()
    }

    fn ask(&mut self, mount: usize, line: &str) -> Answer {
        let answer = self.agents[mount].ask(line);
        answer.strip_prefix("done ").map(str::to_owned).ok_or(answer)
    }

    fn path(&self, path: usize) -> String {
        format!("{}/{}", self.directory, FILES[path])
    }

    /// Does something until it ends as it must; for a while it may not.
    fn until(
        &mut self,
        mount: usize,
        line: &str,
        mut judge: impl FnMut(&mut Self, &Answer) -> End,
    ) -> Result<(), String> {
        self.look(mount, line, |run, answer| match judge(run, answer) {
            End::Done => Sight::Right,
            End::Again => Sight::Late,
            End::Wrong => Sight::Wrong(format!("{answer:?}")),
        })
    }

    /// Looks until it sees what is there.
    fn look(
        &mut self,
        mount: usize,
        line: &str,
        mut judge: impl FnMut(&mut Self, &Answer) -> Sight,
    ) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            let late = begun.elapsed() > LAG;
            let answer = self.ask(mount, line);
            match judge(self, &answer) {
                Sight::Right => return Ok(()),
                Sight::Late if !late => thread::sleep(PAUSE),
                Sight::Late => return Err(format!("still after {LAG:?}: {line}: {answer:?}")),
                Sight::Wrong(error) => return Err(format!("{error}: {line}")),
            }
        }
    }

    fn step(&mut self, Step { mount, act }: Step) -> Result<(), String> {
        match act {
            Act::Open { path, slot, how } => self.open(mount, path, slot, how),
            Act::Read { slot, at, len } => self.read(mount, slot, at, len),
            Act::Write { slot, at, len } => self.write(mount, slot, at, len),
            Act::Truncate { path, size } => self.truncate(mount, path, size),
            Act::TruncateOpen { slot, size } => {
                let Some(Slot { file, how }) = self.slots[mount][slot] else { return Ok(()) };
                if !how.write {
                    return Ok(());
                }
                let result = self.certainly(mount, &format!("truncateopen {slot} {size}"));
                // Samba does that by the name, which is another's.
                if result.is_err() && self.state.files[file].replaced == Some(1 - mount) {
                    return Ok(());
                }
                result?;
                self.state.files[file].change(mount, |data| data.resize(size, 0));
                Ok(())
            }
            Act::Sync { slot } => {
                let Some(Slot { file, .. }) = self.slots[mount][slot] else { return Ok(()) };
                self.certainly(mount, &format!("sync {slot}"))?;
                self.state.files[file].sent(mount);
                Ok(())
            }
            Act::Close { slot } => self.close(mount, slot),
            Act::Unlink { path } => self.unlink(mount, path),
            Act::Rename { from, to } => self.rename(mount, from, to),
            Act::Stat { path } => self.stat(mount, path),
            Act::List => self.list(mount),
            Act::Wait(millis) => {
                thread::sleep(Duration::from_millis(millis));
                Ok(())
            }
        }
    }

    fn certainly(&mut self, mount: usize, line: &str) -> Result<String, String> {
        self.ask(mount, line).map_err(|error| format!("{line}: {error}"))
    }

    /// Whether the other mount's programs have a file open.
    fn is_open(&self, mount: usize, file: usize) -> bool {
        self.slots[mount].iter().flatten().any(|slot| slot.file == file)
    }

    fn open(&mut self, mount: usize, path: usize, slot: usize, how: How) -> Result<(), String> {
        self.close(mount, slot)?;
        // It may be what had the name a moment ago; that is not to be truncated, and hides whether another one is made.
        let how = match self.names_are_late && !self.state.is_certain(path, mount) {
            true => How { create: false, exclusive: false, truncate: false, ..how },
            false => how,
        };
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        let flags = flag(how.write, O_RDWR)
            | flag(how.create, O_CREAT)
            | flag(how.exclusive, O_EXCL)
            | flag(how.truncate, O_TRUNC)
            | flag(how.append, O_APPEND);
        let line = format!("open {} {slot} {flags}", self.path(path));
        self.until(mount, &line, |run, answer| {
            let file = run.state.file(path);
            let inode = match answer {
                Ok(inode) => (mount, inode.clone()),
                Err(error) => {
                    let expected = match file {
                        Some(_) => how.exclusive && error == "EEXIST",
                        None => !how.create && error == "ENOENT",
                    };
                    return match expected {
                        true => End::Done,
                        false if LATE.contains(&&**error) => End::Again,
                        false => End::Wrong,
                    };
                }
            };
            // What this mount has open already it may open again by a name of a moment ago. Of others the server decides; it
            // may have given the number of a deleted file to another one.
            let known = run.inodes.get(&inode).copied();
            if run.names_are_late && known != file && known.is_some_and(|known| !run.is_open(mount, known)) {
                // One or the other: nobody can tell.
                let _ = run.ask(mount, &format!("close {slot}"));
                return End::Done;
            }
            let known = known.filter(|known| run.is_open(mount, *known));
            let opened = match known {
                Some(known) if !run.state.may_be(path, mount, known) => return End::Wrong,
                Some(known) => known,
                None if file.is_none() && !how.create => return End::Wrong,
                None => file.unwrap_or_else(|| run.state.create(path, mount)),
            };
            if how.exclusive && file == Some(opened) {
                return End::Wrong;
            }
            run.inodes.insert(inode, opened);
            if how.truncate {
                run.state.files[opened].change(mount, Vec::clear);
            }
            run.slots[mount][slot] = Some(Slot { file: opened, how });
            End::Done
        })
    }

    fn read(&mut self, mount: usize, slot: usize, at: usize, len: usize) -> Result<(), String> {
        let Some(Slot { file, .. }) = self.slots[mount][slot] else { return Ok(()) };
        self.look(mount, &format!("read {slot} {at} {len}"), |run, answer| {
            let answer = match answer {
                Ok(answer) => answer,
                Err(error) => return Sight::Wrong(error.clone()),
            };
            let digits = |pair| u8::from_str_radix(answer.get(pair)?, 16).ok();
            let seen: Vec<u8> =
                (0..answer.len() / 2).filter_map(|byte| digits(2 * byte..2 * byte + 2)).collect();
            run.state.files[file].judge_read(mount, at, len, &seen)
        })
    }

    fn write(&mut self, mount: usize, slot: usize, at: usize, len: usize) -> Result<(), String> {
        let Some(Slot { file, how }) = self.slots[mount][slot] else { return Ok(()) };
        if !how.write {
            return Ok(());
        }
        self.written = self.written.wrapping_add(7).max(1);
        let byte = self.written;
        let line = format!("write {slot} {at} {len} {byte}");
        let written = self.certainly(mount, &line)?;
        self.state.files[file].change(mount, |data| {
            let at = if how.append { data.len() } else { at };
            data.resize(data.len().max(at + len), 0);
            data[at..at + len].fill(byte);
        });
        if written == len.to_string() { Ok(()) } else { Err(format!("{line}: {written}")) }
    }

    fn truncate(&mut self, mount: usize, path: usize, size: usize) -> Result<(), String> {
        // It goes by the name, and may hit what has taken it.
        if !self.state.is_certain(path, mount) {
            return Ok(());
        }
        let line = format!("truncate {} {size}", self.path(path));
        self.until(mount, &line, |run, answer| match (run.state.file(path), answer) {
            (Some(file), Ok(_)) => {
                run.state.files[file].change(mount, |data| data.resize(size, 0));
                if !run.is_open(mount, file) {
                    run.state.files[file].sent(mount);
                }
                End::Done
            }
            (None, Err(error)) if error == "ENOENT" => End::Done,
            (_, Err(error)) if LATE.contains(&&**error) => End::Again,
            _ => End::Wrong,
        })
    }

    fn close(&mut self, mount: usize, slot: usize) -> Result<(), String> {
        let Some(Slot { file, how }) = self.slots[mount][slot].take() else { return Ok(()) };
        self.certainly(mount, &format!("close {slot}"))?;
        if how.write {
            self.state.files[file].sent(mount);
        }
        Ok(())
    }

    fn unlink(&mut self, mount: usize, path: usize) -> Result<(), String> {
        let line = format!("unlink {}", self.path(path));
        self.until(mount, &line, |run, answer| match (run.state.file(path), answer) {
            (Some(_), Ok(_)) => {
                run.state.name(path, mount, None);
                End::Done
            }
            (None, Err(error)) if error == "ENOENT" => End::Done,
            (_, Err(error)) if LATE.contains(&&**error) => End::Again,
            _ => End::Wrong,
        })
    }

    fn rename(&mut self, mount: usize, from: usize, to: usize) -> Result<(), String> {
        let line = format!("rename {} {}", self.path(from), self.path(to));
        self.until(mount, &line, |run, answer| {
            let (file, target) = (run.state.file(from), run.state.file(to));
            match (file, answer) {
                (Some(_), Ok(_)) if from == to => End::Done,
                (Some(file), Ok(_)) => {
                    if let Some(target) = target {
                        run.state.files[target].replaced = Some(mount);
                    }
                    run.state.name(from, mount, None);
                    run.state.name(to, mount, Some(file));
                    End::Done
                }
                // The kernel asks nobody.
                (None, Ok(_)) if from == to && !run.state.is_certain(from, mount) => End::Done,
                (None, Err(error)) if error == "ENOENT" => End::Done,
                (_, Err(error)) if LATE.contains(&&**error) => {
                    let mut either = [file, target].into_iter().flatten();
                    let refused = either.any(|file| run.is_open(1 - mount, file));
                    if refused && error != "ESTALE" { End::Done } else { End::Again }
                }
                _ => End::Wrong,
            }
        })
    }

    fn stat(&mut self, mount: usize, path: usize) -> Result<(), String> {
        let line = format!("stat {}", self.path(path));
        self.look(mount, &line, |run, answer| {
            let (size, inode) = match answer {
                Ok(answer) => {
                    let (size, inode) = answer.split_once(' ').unwrap_or_default();
                    (size.parse().ok(), Some(inode))
                }
                Err(error) if ["ENOENT", "EBUSY"].contains(&&**error) => (None, None),
                Err(error) => return Sight::Wrong(error.clone()),
            };
            let sight = run.state.judge_stat(path, mount, size);
            if let (Some(inode), Some(file), Sight::Right) = (inode, run.state.file(path), &sight)
                && run.state.is_certain(path, mount)
            {
                run.inodes.insert((mount, inode.to_owned()), file);
            }
            sight
        })
    }

    fn list(&mut self, mount: usize) -> Result<(), String> {
        let line = format!("list {}", self.directory);
        self.look(mount, &line, |run, answer| match answer {
            Ok(names) => {
                // What is deleted on one mount and still open there the other one shows.
                let names = names.split_whitespace().filter(|name| !name.starts_with(".sharefs-"));
                run.state.judge_list(mount, &names.collect())
            }
            Err(error) => Sight::Wrong(error.clone()),
        })
    }

    /// The server's disk has what the model has, and nothing else.
    fn compare(&self) -> Result<(), String> {
        let expected: Vec<(String, Vec<u8>)> = FILES
            .iter()
            .enumerate()
            .filter_map(|(path, name)| Some((name, self.state.file(path)?)))
            .map(|(name, file)| ((*name).to_owned(), self.state.files[file].data().to_vec()))
            .collect();
        let begun = Instant::now();
        loop {
            let late = begun.elapsed() > LAG;
            let entries = fs::read_dir(self.stored).expect("the server's directory").flatten();
            let names: BTreeSet<String> =
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            let data = |name: &String| fs::read(self.stored.join(name)).unwrap_or_default();
            let there: Vec<_> = names.into_iter().map(|name| (name.clone(), data(&name))).collect();
            if there == expected {
                return Ok(());
            }
            if late {
                let sizes = |files: &[(String, Vec<u8>)]| -> Vec<_> {
                    files.iter().map(|(name, data)| (name.clone(), data.len())).collect()
                };
                let (there, expected) = (sizes(&there), sizes(&expected));
                return Err(format!("the server has {there:?} instead of {expected:?} (with sizes)"));
            }
            thread::sleep(PAUSE);
        }
    }
}
