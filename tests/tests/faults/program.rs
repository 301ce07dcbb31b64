//! A program that works on a mount, what it says, and whether it still goes on.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};

use sharefs_tests::Mount;

/// The file whose coming ends all programs of a mount.
const STOP: &str = "stop";

/// What a program has said so far.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Operations that were done.
    pub(crate) done: u64,
    /// What it is doing, since when.
    pub(crate) doing: String,
    pub(crate) since: Instant,
    /// The longest operation since somebody looked.
    longest: Duration,
    /// The errors that it could live with since somebody looked.
    saw: Vec<String>,
    pub(crate) failed: Option<String>,
    ended: bool,
}

/// One of `programs.py`, run by the mount's user.
pub(crate) struct Program {
    pub(crate) kind: &'static str,
    child: Child,
    progress: Arc<Mutex<Progress>>,
}

impl Program {
    /// Starts the program on the folder `kind` of the share; its mirror is in the mount's home.
    pub(crate) fn start(mount: &Mount, kind: &'static str, seed: u64) -> Self {
        let mirror = mount.home().join("mirror").join(kind);
        mount.user().make_dir(&mount.home().join("mirror"));
        mount.user().make_dir(&mirror);
        let script = mount.home().join("programs.py");
        if !script.exists() {
            fs::write(&script, include_str!("programs.py")).expect("the programs");
        }
        let errors = fs::File::create(mount.home().join(format!("{kind}.errors"))).expect("a log");
        let mut child = mount
            .command("bash")
            // The shell finds a python3 that this user may run, where another is first.
            .args(["-c", "exec python3 -u \"$0\" \"$@\""])
            .args([script, kind.into(), seed.to_string().into()])
            .args([mount.path().join(kind), mirror, mount.home().join(STOP)])
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .expect("python3 starts");
        let progress = Arc::new(Mutex::new(Progress {
            done: 0,
            doing: "starting".into(),
            since: Instant::now(),
            longest: Duration::ZERO,
            saw: Vec::new(),
            failed: None,
            ended: false,
        }));
        let (lines, noted) = (BufReader::new(child.stdout.take().expect("a pipe")).lines(), progress.clone());
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                noted.lock().unwrap_or_else(PoisonError::into_inner).note(&line);
            }
        });
        Self { kind, child, progress }
    }

    /// Tells all programs of a mount to end.
    pub(crate) fn stop_all(mount: &Mount) {
        fs::write(mount.home().join(STOP), "").expect("the word to stop");
    }

    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it ended by itself, having nothing to complain of.
    pub(crate) fn ended(&mut self) -> bool {
        let over = self.child.try_wait().expect("a child").is_some();
        if over && !self.progress().ended && self.progress().failed.is_none() {
            // What it said last may still be on its way.
            thread::sleep(Duration::from_millis(200));
            let mut progress = self.progress();
            if !progress.ended && progress.failed.is_none() {
                progress.failed = Some("it ended without a word".into());
            }
        }
        over && self.progress().ended
    }

    /// What it does, for whoever wants to know why it does not go on.
    pub(crate) fn describe(&self) -> String {
        let place = format!("/proc/{}", self.child.id());
        let wait = fs::read_to_string(format!("{place}/stack"))
            .or_else(|_| fs::read_to_string(format!("{place}/wchan")))
            .unwrap_or_default();
        let wait = wait.lines().next().unwrap_or_default().to_owned();
        let progress = self.progress();
        let (doing, since) = (&progress.doing, progress.since.elapsed());
        let saw: Vec<_> = progress.saw.iter().rev().take(5).collect();
        format!(
            "{} is at {doing} for {since:.1?} after {} operations; saw {saw:?} last; {wait}",
            self.kind, progress.done
        )
    }
}

impl Progress {
    fn note(&mut self, line: &str) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("doing", what) => (self.doing, self.since) = (what.into(), Instant::now()),
            ("did", _) => {
                self.done += 1;
                self.longest = self.longest.max(self.since.elapsed());
            }
            ("saw", what) => self.saw.push(what.into()),
            ("failed", why) => self.failed = Some(why.into()),
            ("ended", _) => self.ended = true,
            _ => {}
        }
    }

    /// The longest operation and the errors since this was asked last.
    pub(crate) fn take(&mut self) -> (Duration, Vec<String>) {
        (std::mem::take(&mut self.longest), std::mem::take(&mut self.saw))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        // One that hangs in the kernel is not waited for: unmounting ends it.
        let _ = self.child.try_wait();
    }
}
