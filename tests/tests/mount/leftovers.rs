//! What a mount that died leaves on the server, and that the next one removes it: S104 and S105.

use std::fs;
use std::path::Path;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use sharefs_tests::{Mount, Samba, overwrite, wait_until};

fn hidden(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("the directory on the server");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(".sharefs-deleted-")).count()
}

/// A process of the user that has these files open, and has deleted them.
fn holder(mount: &Mount, paths: &[&str]) -> Child {
    let open = |(n, path): (usize, &&str)| format!("exec {}<> {path}; echo x >&{0}; rm {path}; ", n + 3);
    let script = paths.iter().enumerate().map(open).collect::<String>() + "touch ready; exec sleep 600";
    let child = mount.command("bash").args(["-c", &script]).spawn().expect("bash starts");
    wait_until("the files are open and deleted", || mount.home().join("ready").exists());
    child
}

/// The serving process is gone at once, with all that it knew.
fn kill(mount: &Mount) {
    let said = mount.sharefs(["status", "--json"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let of_this =
        said.split('{').find(|record| record.contains(mount.path().to_str().expect("a plain path")));
    let pid = of_this
        .and_then(|record| record.split("\"pid\":").nth(1))
        .and_then(|rest| rest.split([',', '}']).next());
    let pid = pid.and_then(|pid| pid.trim().parse().ok()).and_then(Pid::from_raw);
    kill_process(pid.unwrap_or_else(|| panic!("no process in {said}")), Signal::KILL).expect("the signal");
    let unmounted = mount.command("fusermount3").args(["-u", "-z"]).arg(mount.path()).status();
    assert!(unmounted.expect("fusermount3 runs").success());
}

#[test]
fn s104_what_a_mount_that_died_left_is_removed_by_the_next() {
    for builder in [Samba::builder(), Samba::builder().directory_leases(), Samba::builder().posix()] {
        let samba = builder.start();
        let share = samba.share_path().to_owned();
        let died = Mount::new(&samba).start();
        died.shell("mkdir mnt/d");
        let mut child = holder(&died, &["mnt/file", "mnt/d/file"]);
        assert_eq!((hidden(&share), hidden(&share.join("d"))), (1, 1));
        kill(&died);
        child.kill().expect("ending the process that has the files open");
        child.wait().expect("its end");
        wait_until("the server has noticed", || {
            samba.open_files().iter().all(|line| !line.contains("deleted"))
        });
        let next = Mount::new(&samba).start();
        // In the mounted folder at once, elsewhere when somebody looks.
        wait_until("the first is removed", || hidden(&share) == 0);
        assert_eq!(hidden(&share.join("d")), 1);
        assert_eq!(next.shell("ls -A mnt/d"), "");
        // Nor does it keep the directory, once it is known.
        next.shell("rmdir mnt/d");
    }
}

#[test]
fn s105_what_another_mount_has_open_stays() {
    for builder in [Samba::builder(), Samba::builder().directory_leases(), Samba::builder().posix()] {
        let samba = builder.start();
        let share = samba.share_path().to_owned();
        let alive = Mount::new(&samba).start();
        let mut child = holder(&alive, &["mnt/file"]);
        // As one of an earlier mount, to see that this one has looked.
        let other = Mount::new(&samba).start();
        let mut second = holder(&other, &["mnt/other"]);
        let left = fs::read_dir(&share).expect("the share").map(|entry| entry.expect("an entry").file_name());
        let left = left.map(|name| name.to_string_lossy().into_owned()).find(|name| name.starts_with('.'));
        let fake =
            format!("{}0123456789abcdef", &left.expect("a hidden name")[..".sharefs-deleted-".len() + 9]);
        overwrite(&samba, &fake, "x");
        other.shell("ls mnt");
        wait_until("the one is removed", || !share.join(&fake).exists());
        assert_eq!(hidden(&share), 2);
        for child in [&mut child, &mut second] {
            child.kill().expect("ending the process that has the file open");
            child.wait().expect("its end");
        }
        wait_until("the others are removed", || hidden(&share) == 0);
    }
}
