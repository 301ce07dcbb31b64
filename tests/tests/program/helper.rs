//! The program as mount(8) and mount.fuse(8) call it.

use std::os::unix::fs::symlink;
use std::process::Output;

use sharefs_tests::{Samba, User, find_program, sharefs_binary};

use crate::home::{Home, output_of, said, share};

/// What systemd and mount(8) leave of a line's options, and what they pass on.
const GENERIC: &str =
    "rw,_netdev,nofail,noauto,users,noexec,nosuid,nodev,x-systemd.automount,x-systemd.idle-timeout=60";

/// Calls `mount.sharefs` with nothing in its environment.
fn call(home: &Home, arguments: &[&str]) -> Output {
    let helper = home.path("mount.sharefs");
    if !helper.exists() {
        symlink(sharefs_binary(), &helper).expect("a link");
    }
    let mut command = home.command(helper);
    // setpriv is a program of the test's; what it starts has the same bare environment.
    command.args(arguments).env_clear();
    output_of(command, "")
}

fn credentials(home: &Home, samba: &Samba) -> String {
    let file = home.file("credentials", &format!("username=tester\npassword={}\n", samba.password()));
    format!("port={},credentials={}", samba.port(), file.display())
}

#[test]
fn mount_calls_it_by_another_name() {
    let samba = Samba::start();
    let home = Home::new();
    let mnt = home.folder("mnt");
    let (source, login) = (share(&samba, "data"), credentials(&home, &samba));
    let options = format!("{GENERIC},file_mode=0640,{login}");
    let dir = mnt.to_str().expect("a plain path");
    // -f is mount(8)'s word for doing nothing.
    assert!(call(&home, &[&source, dir, "-f", "-o", &options]).status.success());
    assert!(!home.is_mounted(&mnt));
    let output = call(&home, &[&source, dir, "-n", "-o", &options]);
    assert!(output.status.success(), "{}", said(&output));
    home.shell("echo x > mnt/file; test $(stat -c %a mnt/file) = 640");
    home.succeeds(&["umount", dir]);
    let unknown = format!("{options},nonsense=1");
    let output = call(&home, &[&source, dir, "-o", &unknown]);
    assert!(output.status.code() == Some(1) && said(&output).contains("nonsense"), "{}", said(&output));
    let output = call(&home, &[&source, dir, "-s", "-o", &unknown]);
    assert!(output.status.success(), "{}", said(&output));
    home.succeeds(&["umount", dir]);
    let wrong = format!("port={},username=tester,password=wrong", samba.port());
    let output = call(&home, &[&source, dir, "-o", &wrong]);
    assert!(output.status.code() == Some(32) && said(&output).contains("password"), "{}", said(&output));
    let output = call(&home, &[&source, dir, "-o", &format!("{login},remount,ro")]);
    assert!(said(&output).contains("[not-mounted]"), "{}", said(&output));
    assert_eq!(call(&home, &[&source]).status.code(), Some(1));
}

#[test]
fn mount_fuse_calls_it_without_a_subcommand() {
    let samba = Samba::start();
    let home = Home::new();
    let mnt = home.folder("mnt");
    let options = format!("rw,dev,suid,{}", credentials(&home, &samba));
    home.succeeds(&[&share(&samba, "data"), mnt.to_str().expect("a plain path"), "-o", &options]);
    home.shell("echo x > mnt/file");
}

/// In a namespace of its own, where `/sbin` has the helper.
#[test]
fn a_line_of_fstab_is_mounted_by_root_for_all() {
    let samba = Samba::start();
    assert!(User::root().is_root());
    let home = Home::new();
    let mnt = home.folder("mnt");
    let (helpers, fstab) = (home.folder("helpers"), home.path("fstab"));
    symlink(sharefs_binary(), helpers.join("mount.sharefs")).expect("a link");
    let login = credentials(&home, &samba);
    let line = format!(
        "{}/ {} sharefs {GENERIC},uid=nobody,dir_mode=0700,{login} 0 0\n",
        share(&samba, "data"),
        mnt.display()
    );
    std::fs::write(&fstab, line).expect("fstab");
    let script = format!(
        "mount -t overlay overlay -o lowerdir={helpers}:/usr/sbin /usr/sbin
         trap 'umount {mnt}' EXIT
         env -i /usr/bin/mount -T {fstab} {mnt}
         findmnt -n -o FSTYPE {mnt} | grep -q sharefs
         setpriv --reuid={uid} --regid={uid} --clear-groups sh -c 'echo x > {mnt}/file; cat {mnt}/file'
         test $(stat -c %u {mnt}/file) = {uid}",
        helpers = helpers.display(),
        fstab = fstab.display(),
        mnt = mnt.display(),
        uid = home.user.uid,
    );
    let mut command = User::root().command(find_program("unshare", "util-linux"), &home.path(""));
    command.args(["--mount", "bash", "-eu", "-c", &script]);
    let output = output_of(command, "");
    assert!(output.status.success() && said(&output).contains('x'), "{}", said(&output));
}

/// The program, run by root.
fn root_runs(home: &Home, arguments: &[&str]) -> Output {
    let mut command = User::root().command(sharefs_binary(), &home.path(""));
    command.args(arguments);
    output_of(command, "")
}

/// Root's `mount -o remount,ro` and back, as `mount.sharefs` is called for it; and what was mounted read-only stays so.
#[test]
fn a_mount_can_be_made_read_only_and_writable_again() {
    let samba = Samba::start();
    let home = Home::new();
    let mnt = home.folder("mnt");
    let (source, login) = (share(&samba, "data"), credentials(&home, &samba));
    let dir = mnt.to_str().expect("a plain path");
    let by_root = |options: &str| root_runs(&home, &[&source, dir, "-o", options]);
    for (first, back) in [("rw", true), ("ro", false)] {
        let output = by_root(&format!("{first},nodev,dir_mode=0777,{login}"));
        assert!(output.status.success(), "{}", said(&output));
        assert!(by_root("nodev,remount,ro").status.success());
        home.shell(
            "! sh -c 'echo x > mnt/file' 2> said; grep -q Read-only said; findmnt -n -o OPTIONS mnt | grep -q nodev",
        );
        let output = by_root("rw,remount");
        assert_eq!(output.status.success(), back, "{}", said(&output));
        if back {
            home.shell("echo x > mnt/file; findmnt -n -o OPTIONS mnt | grep -q nodev");
        } else {
            assert!(said(&output).contains("[mounted-read-only]"), "{}", said(&output));
        }
        assert!(root_runs(&home, &["umount", dir]).status.success());
    }
}

/// A line that root mounts as somebody else, who then has the mount: `setuid=`.
#[test]
fn root_mounts_as_somebody_else() {
    let samba = Samba::start();
    let home = Home::new();
    let mnt = home.folder("mnt");
    let (source, login) = (share(&samba, "data"), credentials(&home, &samba));
    let dir = mnt.to_str().expect("a plain path");
    let by_root = |options: &str| root_runs(&home, &[&source, dir, "-o", options]);
    let uid = home.user.uid;
    let output = by_root(&format!("rw,setuid={uid},{login}"));
    assert!(output.status.success(), "{}", said(&output));
    home.shell(&format!("echo x > mnt/file; findmnt -n -o OPTIONS mnt | grep -q user_id={uid}"));
    home.shell("fusermount3 -u mnt");
    assert!(said(&by_root("setuid=nobody-of-that-name")).contains("[unknown-user]"));
    let output = by_root(&format!("setuid={uid},username=tester,password=secret"));
    assert!(output.status.code() == Some(1) && said(&output).contains("credentials="), "{}", said(&output));
}
