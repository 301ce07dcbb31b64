//! What a program may expect of a file system.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sharefs_tests::{Mount, Samba};

use crate::help::fails;

fn mounted() -> (Samba, Mount) {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["actimeo=0"]).start();
    (samba, mount)
}

#[test]
fn errors_are_those_that_programs_know() {
    let (_samba, mount) = mounted();
    mount.shell("mkdir mnt/folder; echo x > mnt/folder/file");
    fails(&mount, "cat mnt/none", "No such file or directory");
    fails(&mount, "cat mnt/none/none", "No such file or directory");
    fails(&mount, "cat mnt/folder", "Is a directory");
    fails(&mount, "ls mnt/folder/file/x", "Not a directory");
    fails(&mount, "rmdir mnt/folder", "Directory not empty");
    fails(&mount, "mkdir mnt/folder", "File exists");
    fails(&mount, "rmdir mnt/folder/file", "Not a directory");
    fails(&mount, "mv -T mnt/folder/file mnt/folder2/file", "No such file or directory");
    fails(&mount, &format!("touch mnt/{}", "x".repeat(256)), "File name too long");
}

#[test]
fn renaming_replaces_files_and_empty_directories() {
    let (_samba, mount) = mounted();
    mount.shell(
        "echo one > mnt/one; echo two > mnt/two; mv mnt/one mnt/two; test $(cat mnt/two) = one; test ! -e mnt/one
         mkdir mnt/a mnt/b mnt/c; touch mnt/c/x; mv -T mnt/a mnt/b; test ! -e mnt/a; test -d mnt/b
         mv mnt/two mnt/c/two; test $(cat mnt/c/two) = one; mv mnt/c mnt/d; test $(cat mnt/d/two) = one",
    );
    fails(&mount, "mv -T mnt/b mnt/d", "Directory not empty");
    mount.shell("mv -n mnt/d/two mnt/d/x; test -e mnt/d/two");
}

/// As an editor saves: a new file beside the old one is renamed over it while somebody reads the old one.
#[test]
fn a_file_that_is_open_can_be_replaced() {
    let (_samba, mount) = mounted();
    mount.shell(
        "echo old > mnt/file; exec 3< mnt/file; echo new > mnt/file.tmp; mv mnt/file.tmp mnt/file
         test $(cat mnt/file) = new",
    );
}

#[test]
fn truncating_and_appending() {
    let (samba, mount) = mounted();
    mount.shell(
        "head -c 100000 /dev/urandom > local; cp local mnt/file
         truncate -s 5000 mnt/file local; cmp local mnt/file
         truncate -s 200000 mnt/file local; cmp local mnt/file
         for i in 1 2 3; do echo line $i >> local; echo line $i >> mnt/file; done; cmp local mnt/file
         : > mnt/file; test ! -s mnt/file",
    );
    assert_eq!(fs::metadata(samba.share_path().join("file")).expect("metadata").len(), 0);
}

#[test]
fn times_are_kept() {
    let (samba, mount) = mounted();
    mount.shell(
        "echo x > mnt/file; mkdir mnt/folder
         for path in mnt/file mnt/folder; do
           touch -d '2001-02-03 04:05:06.789 UTC' $path; test $(stat -c %Y $path) = 981173106
           touch -a -d @1000 $path; test $(stat -c %X,%Y $path) = 1000,981173106
         done
         before=$(date +%s); touch mnt/file; test $(stat -c %Y mnt/file) -ge $before",
    );
    let metadata = fs::metadata(samba.share_path().join("folder")).expect("metadata");
    assert_eq!((metadata.mtime(), metadata.mtime_nsec()), (981_173_106, 789_000_000));
}

#[test]
fn owner_and_modes_are_the_mounts() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["file_mode=0640", "dir_mode=0750"]).start();
    let said = mount.shell("echo x > mnt/file; mkdir mnt/folder; stat -c '%a %u %g' mnt/file mnt/folder");
    let (uid, gid) = (mount.user().uid, mount.user().gid);
    assert_eq!(said, format!("640 {uid} {gid}\n750 {uid} {gid}\n"));
}

#[test]
fn a_read_only_mount_changes_nothing() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "x").expect("write on the server");
    let mount = Mount::new(&samba).options(["ro"]).start();
    mount.shell("test $(cat mnt/file) = x");
    for script in
        ["touch mnt/new", "rm -f mnt/file", "mkdir mnt/folder", "mv mnt/file mnt/b", "echo y > mnt/file"]
    {
        fails(&mount, script, "Read-only file system");
    }
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"x");
}

#[test]
fn a_share_that_is_read_only_refuses() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "x").expect("write on the server");
    let mount = Mount::new(&samba).share("readonly").start();
    mount.shell("test $(cat mnt/file) = x");
    for script in ["touch mnt/new", "rm -f mnt/file", "mkdir mnt/folder", "echo y > mnt/file"] {
        let output = mount.shell_output(script);
        assert!(!output.status.success(), "{script} must fail");
    }
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"x");
}

#[test]
fn a_directory_of_a_share_is_mounted() {
    let samba = Samba::start();
    let inner = samba.share_path().join("some/where deep");
    fs::create_dir_all(&inner).expect("mkdir on the server");
    fs::write(inner.join("file"), "x").expect("write on the server");
    let mount = Mount::new(&samba).share("data/some/where deep").start();
    assert_eq!(mount.shell("ls mnt; cat mnt/file"), "file\nx");
    // Its parent is the local directory, not the share's.
    mount.shell("test \"$(cd mnt/.. && pwd)\" = \"$HOME\"");
}

#[test]
fn how_full_the_volume_is() {
    let (_samba, mount) = mounted();
    let said = mount.shell("df --output=size,avail mnt | tail -1");
    let numbers: Vec<u64> = said.split_whitespace().map(|n| n.parse().expect("a number")).collect();
    assert!(numbers.len() == 2 && numbers[0] >= numbers[1] && numbers[1] > 0, "{said}");
}

#[test]
fn only_the_user_sees_the_mount() {
    let (_samba, mount) = mounted();
    mount.shell("echo x > mnt/file");
    if rustix::process::getuid().is_root() {
        // Not even root, where the user does not say so.
        let error = fs::read_dir(mount.path()).expect_err("the mount is the user's own");
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}
