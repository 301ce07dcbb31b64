//! Commands that need no mount, as an ordinary user gives them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use sharefs_tests::{Samba, User, sharefs_binary};
use tempfile::TempDir;

/// A home directory, and commands that an ordinary user gives there.
pub(crate) struct Shell<'a> {
    pub(crate) samba: &'a Samba,
    pub(crate) home: TempDir,
}

impl<'a> Shell<'a> {
    pub(crate) fn new(samba: &'a Samba) -> Self {
        let home = tempfile::Builder::new().prefix("sharefs-home-").tempdir().expect("a temporary directory");
        User::ordinary().own(home.path());
        Self { samba, home }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("//{}/data/{path}", self.samba.address())
    }

    /// A command on the server, as its user.
    pub(crate) fn command(&self, name: &str, arguments: &[&str]) -> Command {
        self.command_by(self.samba.port(), name, arguments)
    }

    /// The same with the port given in the source where it is 0, and else this one: a relay's.
    pub(crate) fn command_by(&self, port: u16, name: &str, arguments: &[&str]) -> Command {
        let mut options = format!("username={}", self.samba.user());
        if port != 0 {
            options.push_str(&format!(",port={port}"));
        }
        let mut command = User::ordinary().command(sharefs_binary(), self.home.path());
        command.arg(name).args(["-o", &options]).args(arguments).env("PASSWD", self.samba.password());
        command
    }

    pub(crate) fn run(&self, name: &str, arguments: &[&str]) -> Output {
        self.command(name, arguments).output().expect("sharefs starts")
    }

    /// What a command printed as JSON.
    pub(crate) fn json(&self, name: &str, arguments: &[&str]) -> Value {
        let said = self.succeeds(name, arguments);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// What the server has under this name.
    pub(crate) fn there(&self, path: &str) -> PathBuf {
        self.samba.share_path().join(path)
    }

    /// A file that is on the server already.
    pub(crate) fn remote_file(&self, path: &str, content: &[u8]) {
        let path = self.there(path);
        fs::write(&path, content).expect("write on the server");
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).expect("permissions");
    }

    /// A directory that is on the server already, and that its user can write to.
    pub(crate) fn remote_dir(&self, path: &str) {
        let mut at = self.samba.share_path();
        for name in path.split('/') {
            at.push(name);
            if fs::create_dir(&at).is_ok() {
                fs::set_permissions(&at, PermissionsExt::from_mode(0o777)).expect("permissions");
            }
        }
        assert!(at.is_dir(), "{}", at.display());
    }

    pub(crate) fn succeeds(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub(crate) fn fails(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        assert!(!output.status.success(), "{name} {arguments:?} must fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    pub(crate) fn local_file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a local file");
        User::ordinary().own(&self.path(name));
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

pub(crate) fn no_part_is_left(folder: &Path) {
    let names = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let parts: Vec<_> = names.filter(|name| name.to_string_lossy().contains("part")).collect();
    assert!(parts.is_empty(), "{parts:?}");
}
