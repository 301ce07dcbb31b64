//! Processes that end with the test.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// How long anything in a test may take that is not itself under test. Generous: it only ends what hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a program is that the tests need.
///
/// Panics with what to install where it is missing: a test must not pass because it could not run.
pub fn find_program(name: &str, package: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers are in sbin, which an ordinary user's PATH may lack.
    let system = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(system)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| {
            panic!("{name} is missing: run scripts/setup.sh, or install the package {package}")
        })
}

/// Waits until `done` says so.
///
/// Panics with `what` where it never does.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A program in a process group of its own, with whatever it forks.
#[derive(Debug)]
pub struct Group {
    leader: Child,
    id: Pid,
}

impl Group {
    /// Starts a program. Its output goes to `log`.
    pub fn start(program: &Path, arguments: &[&OsStr], variables: &[(&str, &OsStr)], log: &Path) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).envs(variables.iter().copied());
        Self::spawn(command, log)
    }

    /// Starts a command in the same way. Its standard input is a pipe that nobody writes to: smbd ends when that
    /// ends, and so when the test is killed and nothing is dropped.
    pub fn spawn(mut command: Command, log: &Path) -> Self {
        let output = File::create(log).expect("the log of a server");
        let errors = output.try_clone().expect("the log of a server");
        command.stdin(Stdio::piped()).stdout(output).stderr(errors).process_group(0);
        let leader = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let id = Pid::from_child(&leader);
        Self { leader, id }
    }

    /// Sends a signal to all of the group's processes.
    pub fn signal(&self, signal: Signal) {
        // It may have ended already.
        let _ = kill_process_group(self.id, signal);
    }

    /// Whether the program itself still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.leader.try_wait(), Ok(None))
    }

    /// Ends the program with all that it forked, without giving it a chance to say goodbye.
    pub fn kill(&mut self) {
        // Not after the leader was waited for: its number may belong to somebody else by then.
        if self.runs() {
            self.signal(Signal::KILL);
            let _ = self.leader.wait();
        }
    }

    /// Asks the program to end, and waits until it did.
    pub fn terminate(&mut self) {
        if self.runs() {
            self.signal(Signal::TERM);
            wait_until("a server that was told to end ends", || !self.runs());
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
