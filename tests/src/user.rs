//! Whom the tests run programs as: an ordinary user, also where the tests themselves run as root.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use rustix::process::{getgid, getuid};

use crate::process::find_program;

/// Debian's nobody. fusermount3 wants a user with a line in passwd, and every system has this one: nothing needs
/// to be created.
const NOBODY: u32 = 65534;

/// An ordinary user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's number.
    pub uid: u32,
    /// The number of the user's group.
    pub gid: u32,
    switch: bool,
}

impl User {
    /// The user that runs the tests, or nobody where that is root.
    pub fn ordinary() -> Self {
        if getuid().is_root() {
            Self { uid: NOBODY, gid: NOBODY, switch: true }
        } else {
            Self { uid: getuid().as_raw(), gid: getgid().as_raw(), switch: false }
        }
    }

    /// Root.
    ///
    /// Panics where the tests do not run as root.
    pub fn root() -> Self {
        assert!(getuid().is_root(), "this test mounts for all users, so it must be run by root");
        Self { uid: 0, gid: 0, switch: false }
    }

    /// Whether this is root.
    pub const fn is_root(&self) -> bool {
        self.uid == 0
    }

    /// A command that runs as this user with `home` as its home directory, and with nothing in its environment
    /// that would let the machine's owner's settings change the outcome.
    pub fn command(&self, program: impl AsRef<OsStr>, home: &Path) -> Command {
        let mut command = if self.switch {
            let mut command = Command::new(find_program("setpriv", "util-linux"));
            command.args(["--reuid", &self.uid.to_string(), "--regid", &self.gid.to_string()]);
            // The bounding set stays: fusermount3 gets its rights from it.
            command.args(["--clear-groups", "--inh-caps=-all"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        for name in ["USER", "LOGNAME", "PASSWD", "PASSWD_FILE", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(name);
        }
        for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        // What is mounted is looked for in all of these.
        for name in ["HOME", "XDG_RUNTIME_DIR", "TMPDIR"] {
            command.env(name, home);
        }
        command.env("LC_ALL", "C.UTF-8").current_dir(home);
        command
    }

    /// Makes a directory that belongs to this user.
    pub fn make_dir(&self, path: &Path) {
        std::fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        self.own(path);
    }

    /// Gives a file or directory to this user.
    pub fn own(&self, path: &Path) {
        if self.switch {
            chown(path, Some(self.uid), Some(self.gid))
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}
