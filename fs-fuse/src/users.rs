//! Who uses a mount: /proc's links, which are read without asking the mount, so that a dead server does not matter.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::mountinfo;

/// So many are named.
const NAMED: usize = 8;

/// The programs that have something below a directory open, mapped, or for their working directory, as `name (process)`,
/// and what else is mounted there. Those of other users are known to root only.
pub(crate) fn users_of(point: &Path) -> Vec<String> {
    let mounts = mountinfo::all().unwrap_or_default().into_iter().map(|mount| mount.point);
    let below = mounts.filter(|other| other != point && other.starts_with(point));
    let below = below.map(|other| format!("the mount on {}", other.display()));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        uses(&entry.path(), point).then(|| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            format!("{} ({process})", name.trim())
        })
    });
    below.chain(processes).take(NAMED).collect()
}

fn uses(process: &Path, point: &Path) -> bool {
    let is_below = |link: PathBuf| fs::read_link(link).is_ok_and(|target| target.starts_with(point));
    let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    ["cwd", "root", "exe"].iter().any(|link| is_below(process.join(link)))
        || open.map(|entry| entry.path()).any(is_below)
        || maps(process, point)
}

/// Whether a file below the directory is mapped: proc_pid_maps(5), where the path is the last of six columns.
fn maps(process: &Path, point: &Path) -> bool {
    let table = fs::read(process.join("maps")).unwrap_or_default();
    let point = [point.as_os_str().as_bytes(), b"/"].concat();
    table.split(|byte| *byte == b'\n').any(|line| {
        let path = line.iter().position(|byte| *byte == b'/').map(|at| &line[at..]);
        path.is_some_and(|path| path.starts_with(&point))
    })
}
