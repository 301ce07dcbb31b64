//! A machine that boots and ends: systemd in a container, with what it remembers on a disk of its own.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::getuid;
use tempfile::TempDir;

use crate::lab::find_machine;
use crate::mount::sharefs_binary;
use crate::process::{Group, find_program, wait_until};

/// The tree of `scripts/lab.sh` below, what the machine writes above it. Both mounts and all processes end with the
/// first of them, and that with the test: nothing is left on the machine that runs the test. The groups of processes
/// have its name, so that several do not meet.
const BOOT: &str = r#"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/disk,workdir=$2/work" "$2/root"
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/$3"
    echo 0 >"$hierarchy/$3/cgroup.procs"
done
exec systemd-nspawn --quiet --boot --directory="$2/root" --machine="$3" --register=no --keep-unit \
    --private-network --console=pipe --bind="$2/host:/host" --bind-ro="$4:/usr/local/bin/sharefs" \
    --bind=/dev/fuse --bind=/dev/autofs --system-call-filter=@keyring
"#;
/// Runs the script of the test, and ends the machine as it is to end. A type other than `exec` would keep the boot
/// from being over, for which the script may want to wait.
const UNIT: &str = "\
[Unit]
After=multi-user.target remote-fs.target
ConditionPathExists=/host/script
[Service]
Type=exec
StandardOutput=file:/host/log
StandardError=inherit
Environment=HOME=/root
ExecStart=/bin/bash -eux /host/script
ExecStopPost=/bin/bash /host/end
";
const END: &str = r#"
[ "$SERVICE_RESULT" = success ] || journalctl --boot --no-pager | tail -n 150 >>/host/log
echo "$SERVICE_RESULT" >/host/result.new
mv /host/result.new /host/result
"#;

/// How a machine ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It shuts down in order, as `reboot` has it.
    Reboot,
    /// All that runs is gone in the same moment.
    PowerCut,
}

/// A machine without a network, that has systemd, Samba, and the program under test in `/usr/local/bin`.
#[derive(Debug)]
pub struct Machine {
    dir: TempDir,
    name: String,
    tree: PathBuf,
}

impl Machine {
    /// A machine that has not been started yet.
    ///
    /// Panics where the tests do not run as root, and where something is missing that it is made of.
    pub fn new() -> Self {
        assert!(getuid().is_root(), "this test boots a machine in a container, so it must be run by root");
        find_program("systemd-nspawn", "systemd-container");
        let tree = find_machine();
        let dir =
            tempfile::Builder::new().prefix("sharefs-machine-").tempdir().expect("a temporary directory");
        let name = dir.path().file_name().expect("its name").to_string_lossy().replace('.', "");
        let machine = Self { dir, name, tree };
        for folder in ["disk", "work", "root", "host"] {
            fs::create_dir(machine.path(folder)).expect("the machine's folders");
        }
        // What is laid over the root is the root: others must be able to enter.
        fs::set_permissions(machine.path("disk"), fs::Permissions::from_mode(0o755))
            .expect("its permissions");
        machine.write("etc/systemd/system/script.service", UNIT);
        let wants = machine.path("disk/etc/systemd/system/graphical.target.wants");
        fs::create_dir_all(&wants).expect("a folder of links");
        symlink("/etc/systemd/system/script.service", wants.join("script.service")).expect("a link");
        let sbin = machine.path("disk/usr/sbin");
        fs::create_dir_all(&sbin).expect("a folder of programs");
        for helper in ["mount.sharefs", "mount.fuse.sharefs"] {
            symlink("/usr/local/bin/sharefs", sbin.join(helper)).expect("a link");
        }
        machine
    }

    /// Writes a file of the machine's, which is off.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path("disk").join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the machine's folders");
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Boots, runs a script of bash when that is over, and ends.
    ///
    /// Panics where a command of the script fails, with what it and the journal said.
    pub fn boot(&self, script: &str, end: End) {
        for old in ["log", "result"] {
            match fs::remove_file(self.path("host").join(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{old}: {error}"),
                _ => {}
            }
        }
        let down = if end == End::Reboot { "systemctl --no-block reboot\n" } else { "" };
        fs::write(self.path("host/script"), script).expect("the script");
        fs::write(self.path("host/end"), format!("{END}{down}")).expect("its end");
        File::create(self.path("host/log")).expect("the log");

        let mut machine = Group::spawn(self.command(), &self.path("console"));
        wait_until("the machine boots and runs its script", || {
            self.path("host/result").exists() || !machine.runs()
        });
        if end == End::Reboot {
            wait_until("the machine goes down", || !machine.runs());
        }
        machine.kill();
        self.sweep();
        let result = fs::read_to_string(self.path("host/result")).unwrap_or_else(|error| error.to_string());
        if result.trim() != "success" {
            let said = |name: &str| {
                String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
            };
            panic!("the script ended with {result}{}\n{}", said("host/log"), said("console"));
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(find_program("setpriv", "util-linux"));
        command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "sh", "-euc", BOOT, "sh"]);
        command.arg(&self.tree).arg(self.dir.path()).arg(&self.name).arg(sharefs_binary());
        // Else it follows what the machine that runs the test has, and what that has one need not boot with.
        command.env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1");
        command
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Removes the groups of processes that systemd leaves, which are empty now.
    fn sweep(&self) {
        for hierarchy in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"] {
            let group = Path::new(hierarchy).join(&self.name);
            if group.exists() {
                wait_until("the machine's processes are gone", || remove_groups(&group).is_ok());
            }
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

/// Groups can only be removed from the innermost on; their files go with them.
fn remove_groups(group: &Path) -> io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_groups(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
