//! A server, a line, two mounts, the programs on them, and faults one after the other.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::getuid;
use sharefs_tests::{Mount, Random, Relay, Samba, SambaBuilder};
use tokio::runtime::Runtime;

use crate::fault::{FAULTS, Fault};
use crate::program::Program;
use crate::report::Report;

/// What does not go on for so long after a fault hangs. Above the longest that a single lost answer may take.
const HANGS: Duration = Duration::from_secs(150);
/// How long the server may keep opens whose client is gone: a little more than it was asked to.
const KEPT: Duration = Duration::from_secs(200);
/// What both mounts may have more in memory, in KiB, than when a third of the time was over: the allocator's own.
const GROWTH: u64 = 32 << 10;
/// Of each log that is shown where something fails.
const LINES: usize = 300;
/// Of the server's disk, in MiB.
const DISK: u32 = 64;

/// A server, and what the report calls it.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) heading: &'static str,
    pub(crate) samba: fn() -> SambaBuilder,
    /// Connections of each mount.
    pub(crate) channels: u32,
}

pub(crate) struct Campaign {
    // In this order they end.
    programs: Vec<Program>,
    mounts: [Mount; 2],
    relay: Relay,
    _runtime: Runtime,
    samba: Samba,
    setup: Setup,
    seed: u64,
    a_while: Duration,
    faults: Vec<Fault>,
}

/// What of a serving process must not be more at the end than at the start.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
}

impl Held {
    /// Threads of a pool may have ended meanwhile.
    const fn within(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors && self.threads <= before.threads
    }
}

impl Campaign {
    /// Everything of this campaign is chosen by the seed; no fault lasts longer than `a_while`.
    pub(crate) fn new(setup: &Setup, seed: u64, a_while: Duration) -> Self {
        let mut builder = (setup.samba)();
        let mut faults = FAULTS.to_vec();
        if setup.channels > 1 {
            faults.extend([Fault::CutOne; 8]);
        }
        if getuid().is_root() {
            builder = builder.small_disk(DISK);
        } else {
            // Only root has a disk that can be filled.
            faults.retain(|fault| *fault != Fault::Full);
        }
        let samba = builder.start();
        let runtime = Runtime::new().expect("a runtime");
        let relay = runtime.block_on(Relay::start(samba.socket()));
        // Noticed soon: the faults are shorter than in life, and so is this.
        let options = ["echo_interval=6".to_owned(), format!("max_channels={}", setup.channels)];
        let options = options.each_ref().map(String::as_str);
        let mount = || Mount::new(&samba).through(&relay).options(options).start();
        let mounts = [mount(), mount()];
        Self {
            programs: Vec::new(),
            mounts,
            relay,
            _runtime: runtime,
            samba,
            setup: *setup,
            seed,
            a_while,
            faults,
        }
    }

    /// Breaks things for so long. Panics with the seed where anything was lost, done twice, hung or leaked.
    pub(crate) fn run(mut self, duration: Duration) -> Report {
        let mut chance = Random::new(self.seed);
        println!("{}: the seed is {}", self.setup.heading, self.seed);
        // What a mount holds once it was used is what it may hold at the end.
        for mount in &self.mounts {
            mount.shell("mkdir mnt/warm; echo x > mnt/warm/x; cat mnt/warm/x; ls mnt/warm; rm -r mnt/warm");
        }
        let before = self.held();
        for kind in ["image", "records", "names", "locks", "sqlite"] {
            self.mounts[0].shell(&format!("mkdir mnt/{kind}"));
            self.programs.push(Program::start(&self.mounts[0], kind, self.seed));
        }
        self.programs.push(Program::start(&self.mounts[1], "locks", self.seed));
        let mut report = Report::new(self.seed, duration);
        let began = Instant::now();
        self.settle(None);
        while began.elapsed() < duration {
            let fault = chance.one_of(&self.faults);
            println!("{:6.1} s: {fault:?}", began.elapsed().as_secs_f64());
            fault.strike(&mut self.samba, &self.relay, &mut chance, self.a_while);
            let over = Instant::now();
            self.settle(Some(fault));
            let back = over.elapsed();
            sleep(Duration::from_millis(chance.below(700)));
            let mut saw = Vec::new();
            let mut longest = Duration::ZERO;
            for program in &self.programs {
                let (took, errors) = program.progress().take();
                longest = longest.max(took);
                for error in errors {
                    let (name, what) = error.split_once(' ').unwrap_or((&error, ""));
                    if !fault.excuses(name, what) {
                        self.fail(&format!("{} saw {name} at {what} after {fault:?}", program.kind));
                    }
                    saw.push(name.to_owned());
                }
            }
            report.struck(fault, &saw, longest, back);
            if began.elapsed() > duration / 3 && report.resident_early == 0 {
                report.resident_early = self.resident();
            }
        }
        Program::stop_all(&self.mounts[0]);
        Program::stop_all(&self.mounts[1]);
        self.wait("the programs end", HANGS, |this| this.programs.iter_mut().all(Program::ended));
        report.done = self.programs.iter().map(|program| (program.kind, program.progress().done)).collect();
        self.compare(&mut report);
        self.programs.clear();
        report.resident_late = self.resident();
        if report.resident_late > report.resident_early + GROWTH {
            let (early, late) = (report.resident_early, report.resident_late);
            self.fail(&format!("the mounts had {early} KiB resident, and have {late}"));
        }
        self.wait("the server has no file open", KEPT, |this| !this.has_files_open());
        let what = format!("the mounts hold no more than before: {before:?}");
        self.wait(&what, KEPT, |this| {
            this.held().iter().zip(&before).all(|(now, before)| now.within(before))
        });
        report
    }

    /// Waits until each program has gone on.
    fn settle(&mut self, fault: Option<Fault>) {
        let before: Vec<_> = self.programs.iter().map(|program| program.progress().done).collect();
        let what = format!("all programs go on after {fault:?}");
        self.wait(&what, HANGS, |this| {
            let now = this.programs.iter().map(|program| program.progress().done);
            now.zip(&before).all(|(now, before)| now > *before + 1)
        });
    }

    fn wait(&mut self, what: &str, patience: Duration, mut done: impl FnMut(&mut Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            let failed = self.programs.iter_mut().find_map(|program| {
                program.ended();
                program.progress().failed.clone().map(|why| format!("{}: {why}", program.kind))
            });
            if let Some(why) = failed {
                self.fail(&why);
            }
            if began.elapsed() > patience {
                self.fail(&format!("waited in vain: {what}"));
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// Panics with all that may tell why.
    fn fail(&self, why: &str) -> ! {
        eprintln!("--- seed {}: {why}", self.seed);
        for program in &self.programs {
            eprintln!("{}", program.describe());
        }
        for mount in &self.mounts {
            let status = mount.sharefs(["status", "--json"]).stdout;
            eprintln!("{}", String::from_utf8_lossy(&status));
            let homes = [mount.home().to_owned(), mount.home().join("sharefs")];
            for entry in homes.iter().filter_map(|home| fs::read_dir(home).ok()).flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".errors") || name.ends_with(".log") {
                    let text = fs::read_to_string(entry.path()).unwrap_or_default();
                    let skipped = text.lines().count().saturating_sub(LINES);
                    eprintln!("--- the end of {name}");
                    text.lines().skip(skipped).for_each(|line| eprintln!("{line}"));
                }
            }
        }
        let (open, connected) = (self.samba.open_files(), self.samba.connected_shares());
        eprintln!("held {:?}; on the server {open:#?}, {connected:#?}", self.held());
        panic!("seed {}: {why}", self.seed);
    }

    /// Directories stay open as long as their listings are kept under a lease.
    fn has_files_open(&self) -> bool {
        let share = self.samba.share_path();
        let is_file = |line: &String| line.split_whitespace().any(|word| share.join(word).is_file());
        self.samba.open_files().iter().any(is_file)
    }

    /// The memory of both serving processes, in KiB.
    fn resident(&self) -> u64 {
        let resident = |mount: &Mount| {
            let status = fs::read_to_string(format!("{}/status", process_of(mount))).expect("it lives");
            let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the kernel counts");
            let number = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
            number.expect("a number")
        };
        self.mounts.iter().map(resident).sum()
    }

    fn held(&self) -> Vec<Held> {
        let held = |mount: &Mount| {
            let place = process_of(mount);
            let count = |name: &str| fs::read_dir(format!("{place}/{name}")).map_or(0, Iterator::count);
            Held { descriptors: count("fd"), threads: count("task") }
        };
        self.mounts.iter().map(held).collect()
    }

    /// What was acknowledged must be on the server's disk, and nothing else.
    fn compare(&self, report: &mut Report) {
        let (share, mirror) = (self.samba.share_path(), self.mounts[0].home().join("mirror"));
        for kind in ["image", "records", "names"] {
            let output = Command::new("diff").arg("-r").arg(mirror.join(kind)).arg(share.join(kind)).output();
            let output = output.expect("diff runs");
            if !output.status.success() {
                let differ: Vec<_> =
                    fs::read_dir(mirror.join(kind)).into_iter().flatten().flatten().collect();
                let differ = differ
                    .iter()
                    .filter_map(|entry| difference(&entry.path(), &share.join(kind).join(entry.file_name())));
                self.fail(&format!(
                    "{kind}: {:?}\n{}",
                    differ.collect::<Vec<_>>(),
                    shortened(&output.stdout)
                ));
            }
            report.bytes += size_of(&mirror.join(kind));
        }
        let mut numbers = (0, 0);
        for mount in &self.mounts {
            let text = read(&mount.home().join("mirror/locks/done"));
            let (done, uncertain) = text.split_once(' ').expect("two numbers");
            numbers.0 += done.parse::<u64>().expect("a number");
            numbers.1 += uncertain.parse::<u64>().expect("a number");
        }
        let number: u64 = read(&share.join("locks/number")).trim().parse().expect("a number");
        if !(numbers.0..=numbers.0 + numbers.1).contains(&number) {
            self.fail(&format!("locks: {number} after {numbers:?}"));
        }
        let rows = read(&mirror.join("sqlite/rows"));
        let look = "import sqlite3, sys; db = sqlite3.connect('file:' + sys.argv[1] + '?immutable=1', uri=True)
print(db.execute('select count(*) from t').fetchone()[0], db.execute('pragma integrity_check').fetchone()[0])";
        let output = Command::new("python3").args(["-c", look]).arg(share.join("sqlite/db")).output();
        let output = output.expect("python3 runs");
        let found = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        if found != format!("{rows} ok") {
            self.fail(&format!("sqlite: {found} and not {rows} rows"));
        }
        report.checked = BTreeMap::from([("locks", number), ("sqlite", rows.parse().expect("a number"))]);
    }
}

/// What the kernel says of the serving process is in this folder.
fn process_of(mount: &Mount) -> String {
    let output = mount.sharefs(["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    format!("/proc/{}", status[0]["pid"])
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where two files differ, for whoever looks for the cause.
fn difference(mirror: &Path, share: &Path) -> Option<String> {
    let (ours, theirs) = (fs::read(mirror).ok()?, fs::read(share).ok()?);
    if ours == theirs {
        return None;
    }
    let from = ours.iter().zip(&theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let equal = |pair: &(&u8, &u8)| pair.0 == pair.1;
    let tail = ours[from..].iter().rev().zip(theirs[from..].iter().rev()).take_while(equal).count();
    let other = &theirs[from..theirs.len() - tail];
    let zeros = other.iter().filter(|byte| **byte == 0).count();
    Some(format!(
        "{}: {} bytes, on the server {}; the same up to {from} and the last {tail}; {zeros} zeros in between",
        mirror.display(),
        ours.len(),
        theirs.len()
    ))
}

fn shortened(text: &[u8]) -> String {
    let lines = text.split(|byte| *byte == b'\n').take(20);
    lines.map(|line| String::from_utf8_lossy(&line[..line.len().min(150)]).into_owned() + "\n").collect()
}

fn size_of(path: &Path) -> u64 {
    let entries = fs::read_dir(path).expect("a directory").flatten();
    let size = |entry: fs::DirEntry| match entry.metadata().expect("an entry") {
        meta if meta.is_dir() => size_of(&entry.path()),
        meta => meta.len(),
    };
    entries.map(size).sum()
}
