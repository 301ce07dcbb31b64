//! What the tests use and the machine's own release has not: `scripts/lab.sh` puts it into a cache directory.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{getgid, getuid};

use crate::process::find_program;

/// Lays the tree of a newer release over this machine's /usr and becomes the program. Read-only, in a mount
/// namespace that nothing else sees and that ends with the program.
const OVER_USR: &str = r#"mount -t overlay overlay -o "lowerdir=$0:/usr" /usr && exec "$@""#;

/// Where `scripts/lab.sh` puts things; the two must agree.
fn directory() -> PathBuf {
    let cache = || match env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(env::var_os("HOME").expect("a home directory")).join(".cache"),
    };
    env::var_os("SHAREFS_LAB").map_or_else(|| cache().join("sharefs-lab"), PathBuf::from)
}

/// Where a program is that `scripts/setup.sh test` compiles for the tests.
///
/// Panics with what to run where it is missing.
pub fn find_tool(name: &str) -> PathBuf {
    let path = directory().join("tools/bin").join(name);
    assert!(path.is_file(), "{name} is missing ({}): run scripts/setup.sh test", path.display());
    path
}

/// The root file system of a machine to boot, which `scripts/setup.sh test` makes.
///
/// Panics with what to run where it is missing.
pub(crate) fn find_machine() -> PathBuf {
    let tree = directory().join("machine-1");
    assert!(tree.is_dir(), "the machine to boot is missing ({}): run scripts/setup.sh test", tree.display());
    tree
}

/// Which Samba to start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SambaVersion {
    /// The one that is installed on this machine: 4.17 on Debian 12.
    #[default]
    Installed,
    /// 4.22, which has directory leases and POSIX extensions.
    V4_22,
}

impl SambaVersion {
    /// One of this version's programs. With `as_root` it believes to be run by root, which only smbstatus wants:
    /// smbd would use rights that root of a namespace has not.
    ///
    /// Panics with what to run where this version is missing.
    pub(crate) fn command(self, program: &str, as_root: bool) -> Command {
        let (uid, gid) = (getuid(), getgid());
        match self {
            Self::Installed => {
                let program = find_program(program, "samba");
                if !as_root || uid.is_root() {
                    return Command::new(program);
                }
                let mut command = Command::new(find_program("unshare", "util-linux"));
                command.arg("-Ur").arg(program);
                command
            }
            Self::V4_22 => {
                let tree = directory().join("samba-4.22/usr");
                let inside = ["sbin", "bin"]
                    .map(|directory| PathBuf::from(directory).join(program))
                    .into_iter()
                    .find(|path| tree.join(path).is_file())
                    .unwrap_or_else(|| {
                        panic!(
                            "Samba 4.22 with its {program} is missing ({}): run scripts/setup.sh test",
                            tree.display()
                        )
                    });
                let mut command = Command::new(find_program("unshare", "util-linux"));
                // An ordinary user may mount where it is root of a namespace, and only there.
                command.arg(if uid.is_root() { "-m" } else { "-Urm" });
                command.args(["sh", "-c", OVER_USR]).arg(tree);
                if !uid.is_root() && !as_root {
                    command.args(["unshare", "-U"]);
                    command.arg(format!("--map-user={}", uid.as_raw()));
                    command.arg(format!("--map-group={}", gid.as_raw()));
                }
                command.arg(PathBuf::from("/usr").join(inside));
                command
            }
        }
    }
}
