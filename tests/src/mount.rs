//! A mount of a share, made by the program `sharefs` for an ordinary user.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::relay::Relay;
use crate::samba::Samba;
use crate::user::User;

/// The program under test: `$SHAREFS_BIN`, or what cargo built beside this test.
///
/// Panics where there is none; cargo does not build another package's program by itself.
pub fn sharefs_binary() -> PathBuf {
    if let Some(path) = env::var_os("SHAREFS_BIN") {
        return path.into();
    }
    // target/debug/deps/test-0123 → target/debug/sharefs
    let test = env::current_exe().expect("the test's own path");
    let binary = test.parent().and_then(Path::parent).map(|directory| directory.join("sharefs"));
    binary
        .filter(|path| path.is_file())
        .expect("there is no program to test: run `cargo build -p sharefs` first (`make test` does)")
}

/// How to mount.
#[derive(Debug)]
pub struct MountBuilder<'a> {
    samba: &'a Samba,
    server: SocketAddr,
    share: String,
    user: User,
    options: Vec<String>,
}

impl MountBuilder<'_> {
    /// Another share than `data`, or a directory in a share.
    pub fn share(mut self, share: &str) -> Self {
        self.share = share.into();
        self
    }

    /// Mounts through a relay that stands before the server.
    pub fn through(mut self, relay: &Relay) -> Self {
        self.server = SocketAddr::new(relay.address(), relay.port());
        self
    }

    /// Root mounts, and lets everybody in.
    ///
    /// Panics where the tests do not run as root.
    pub fn by_root(mut self) -> Self {
        self.user = User::root();
        self.options(["allow_other"])
    }

    /// Further mount options.
    pub fn options<'o>(mut self, options: impl IntoIterator<Item = &'o str>) -> Self {
        self.options.extend(options.into_iter().map(str::to_owned));
        self
    }

    /// Mounts, and panics with what the program said where that fails.
    pub fn start(self) -> Mount {
        let (mount, output) = self.attempt();
        assert!(output.status.success(), "mounting failed:\n{}", describe(&output));
        assert!(mount.is_mounted(), "mount said that it succeeded, but nothing is mounted");
        mount
    }

    /// Tries to mount.
    pub fn attempt(self) -> (Mount, Output) {
        let user = self.user;
        let home = tempfile::Builder::new().prefix("sharefs-home-").tempdir().expect("a temporary directory");
        user.own(home.path());
        if user.is_root() {
            // The others who are let in come this way.
            fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).expect("chmod");
        }
        let point = home.path().join("mnt");
        user.make_dir(&point);
        let credentials = home.path().join("credentials");
        let text = format!(
            "username={}\npassword={}\ndomain={}\n",
            self.samba.user(),
            self.samba.password(),
            self.samba.domain()
        );
        fs::write(&credentials, text).expect("the credentials file");
        fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).expect("chmod");
        user.own(&credentials);
        let source = format!("//{}/{}", self.server.ip(), self.share);
        let mut options = vec![format!("port={}", self.server.port())];
        options.push(format!("credentials={}", credentials.display()));
        options.extend(self.options);
        let mount = Mount { home, point, source, user };
        let output = mount.mount_again(&options.join(","));
        (mount, output)
    }
}

/// A share mounted by an ordinary user in a directory of its own. It is unmounted when this is dropped.
#[derive(Debug)]
pub struct Mount {
    home: TempDir,
    point: PathBuf,
    source: String,
    user: User,
}

impl Mount {
    /// A mount of the server's share `data`.
    #[expect(clippy::new_ret_no_self, reason = "a mount is configured before it is made")]
    pub fn new(samba: &Samba) -> MountBuilder<'_> {
        MountBuilder {
            samba,
            server: samba.socket(),
            share: "data".into(),
            user: User::ordinary(),
            options: Vec::new(),
        }
    }

    /// Where the share is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// The user's home directory, for what a test wants on the local disk. The mount is in it, as `mnt`.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The credentials file of the mount.
    pub fn credentials(&self) -> PathBuf {
        self.home.path().join("credentials")
    }

    /// What is mounted.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The user that mounted.
    pub const fn user(&self) -> User {
        self.user
    }

    /// Whether anything is mounted there. Asks the kernel's table, not the file system, which may hang.
    pub fn is_mounted(&self) -> bool {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel's table of mounts");
        let point = self.point.to_str().expect("a plain path");
        table.lines().any(|line| line.split(' ').nth(4) == Some(point))
    }

    /// A command as the user, in the home directory.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.user.command(program, self.home.path())
    }

    /// Runs the program under test as the user.
    pub fn sharefs<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Output {
        self.command(sharefs_binary()).args(arguments).output().expect("sharefs starts")
    }

    /// Mounts the same source in the same place with these options.
    pub fn mount_again(&self, options: &str) -> Output {
        let point = self.point.as_os_str();
        self.sharefs(["mount".as_ref(), self.source.as_ref(), point, "-o".as_ref(), options.as_ref()])
    }

    /// What the serving process has said so far.
    pub fn log(&self) -> String {
        let folder =
            fs::read_dir(self.home.path().join("sharefs")).expect("the user's folder for such files");
        let paths = folder.map(|entry| entry.expect("an entry").path());
        let logs = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
        logs.map(|path| fs::read_to_string(path).expect("text")).collect()
    }

    /// Brings a program of this machine to where the user can run it, which need not be so where it was found.
    pub fn bring(&self, program: &Path) -> PathBuf {
        let here = self.home.path().join(program.file_name().expect("a program's path has a name"));
        fs::copy(program, &here).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.user.own(&here);
        here
    }

    /// Unmounts.
    pub fn umount(&self) -> Output {
        self.sharefs(["umount".as_ref(), self.point.as_os_str()])
    }

    /// Runs a shell script as the user in the home directory, and panics with what it said where it fails.
    pub fn shell(&self, script: &str) -> String {
        let output = self.shell_output(script);
        assert!(output.status.success(), "{script}\n{}", describe(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs a shell script as the user in the home directory.
    pub fn shell_output(&self, script: &str) -> Output {
        // The line that fails is named: a script has many.
        let script = format!("trap 'echo \"failed: $BASH_COMMAND\" >&2' ERR\n{script}");
        self.command("bash").args(["-Eeuo", "pipefail", "-c", &script]).output().expect("bash starts")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.is_mounted() {
            return;
        }
        let output = self.umount();
        if self.is_mounted() {
            // Whatever is wrong, the next test is not to find it.
            let _ = self.command("fusermount3").args(["-u", "-z"]).arg(&self.point).status();
            if !std::thread::panicking() {
                panic!("unmounting failed:\n{}", describe(&output));
            }
        }
    }
}

fn describe(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
