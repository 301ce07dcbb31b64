//! A home directory, and what is done there.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use sharefs_tests::{Samba, User, find_program, sharefs_binary};
use tempfile::TempDir;

/// An ordinary user's home. What is mounted in it is unmounted when this is dropped.
pub(crate) struct Home {
    dir: TempDir,
    pub(crate) user: User,
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("sharefs-home-").tempdir().expect("a temporary directory");
        let user = User::ordinary();
        user.own(dir.path());
        Self { dir, user }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The user's file with this content, which nobody else may read.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("a file of the user's");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
        self.user.own(&path);
        path
    }

    /// A folder to mount in.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.user.make_dir(&path);
        path
    }

    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        self.user.command(program, self.dir.path())
    }

    pub(crate) fn sharefs(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(sharefs_binary());
        command.args(arguments);
        command
    }

    /// Runs the program with this on its standard input.
    pub(crate) fn tell(&self, arguments: &[&str], input: &str) -> Output {
        output_of(self.sharefs(arguments), input)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.tell(arguments, "")
    }

    /// All that it says, where it succeeds.
    pub(crate) fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        said(&output)
    }

    /// All that it says, where it fails.
    pub(crate) fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?} must fail: {}", said(&output));
        said(&output)
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
    }

    /// Saves the password of the server's user, with what reaches the server.
    pub(crate) fn save(&self, samba: &Samba) -> String {
        let output = self.add(samba, &place(samba), samba.user(), samba.password());
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    }

    pub(crate) fn add(&self, samba: &Samba, place: &str, user: &str, password: &str) -> Output {
        let port = samba.port().to_string();
        let arguments = ["cred", "add", place, "--user", user, "--password-stdin", "--port", &port];
        self.tell(&arguments, &format!("{password}\n"))
    }

    /// The folders below the home on which anything is mounted.
    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel's table of mounts");
        let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        points.filter(|point| point.starts_with(self.dir.path())).collect()
    }

    pub(crate) fn is_mounted(&self, dir: &Path) -> bool {
        self.mounts().iter().any(|point| point == dir)
    }

    /// What the user's shell says to a script; it must succeed.
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = output_of(
            {
                let mut command = self.command(find_program("bash", "bash"));
                command.args(["-eu", "-c", script]);
                command
            },
            "",
        );
        assert!(output.status.success(), "{script}: {}", said(&output));
        said(&output)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for dir in self.mounts().iter().rev() {
            let _ = self.sharefs(&["umount"]).arg(dir).output();
            if self.is_mounted(dir) {
                let _ = self.command("fusermount3").args(["-u", "-z"]).arg(dir).output();
            }
        }
    }
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn output_of(mut command: Command, input: &str) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // What does not read its input ends before this is written.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

/// The server, as credentials are saved for it.
pub(crate) fn place(samba: &Samba) -> String {
    samba.address().to_string()
}

/// A share of the server's.
pub(crate) fn share(samba: &Samba, name: &str) -> String {
    format!("//{}/{name}", samba.address())
}
