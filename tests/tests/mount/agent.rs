//! A process of the user that works in a mount: one command in each line, one line for the answer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use sharefs_tests::Mount;

/// It ends with this.
pub(super) struct Agent {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts it: a program in Python.
    pub(super) fn start(mount: &Mount, source: &str) -> Self {
        // The shell finds the first python3 that the user may run.
        let mut command = mount.command("bash");
        command
            .args(["-c", "exec python3 -c \"$1\"", "agent", source])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 starts");
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        Self { process, commands, answers }
    }

    /// What it answers to a line.
    pub(super) fn ask(&mut self, line: &str) -> String {
        let commands = self.commands.as_mut().expect("it runs");
        writeln!(commands, "{line}").expect("the program reads its commands");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("the program answers");
        assert!(answer.ends_with('\n'), "the program ended at {line}");
        answer.truncate(answer.len() - 1);
        answer
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It ends where its commands end.
        self.commands = None;
        let _ = self.process.wait();
    }
}
