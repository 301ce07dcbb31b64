//! The server goes away under a mount.

use std::time::Duration;

use sharefs_tests::{Mount, Samba, wait_until};

/// What is asked of a lost server fails instead of hanging, and the mount can be unmounted.
#[test]
fn a_lost_server_is_an_error_and_the_mount_goes() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).options(["actimeo=0", "soft", "timeo=3"]).start();
    mount.shell("echo x > mnt/file");
    samba.kill_hard();
    // What is known is shown all the same: what is not is an error.
    for script in ["ls mnt", "cat mnt/file", "echo y > mnt/new", "stat mnt/none", "df mnt"] {
        let output = mount.shell_output(&format!("timeout 100 bash -c '{script}'"));
        assert!(!output.status.success(), "{script} must fail");
        assert_ne!(output.status.code(), Some(124), "{script} hangs");
    }
    let output = mount.umount();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!mount.is_mounted());
}

/// A program in the middle of writing hears that its data is not on the server.
#[test]
fn writing_to_a_lost_server_is_an_error_at_the_latest_when_closing() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).options(["soft", "timeo=3"]).start();
    let mut writer = mount
        .command("dd")
        .args(["if=/dev/zero", "of=mnt/file", "bs=1M", "count=100000", "status=none"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("dd starts");
    let path = samba.share_path().join("file");
    wait_until("something is written", || std::fs::metadata(&path).is_ok_and(|m| m.len() > 0));
    samba.kill_hard();
    assert!(!writer.wait().expect("dd ends").success());
    assert!(mount.umount().status.success());
}

/// A server that only pauses is waited for, and nothing is lost.
#[test]
fn a_server_that_pauses_is_waited_for() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["actimeo=0"]).start();
    mount.shell("head -c 3000000 /dev/urandom > local");
    let mut copy = mount.command("cp").args(["local", "mnt/file"]).spawn().expect("cp starts");
    samba.freeze();
    std::thread::sleep(Duration::from_millis(500));
    samba.thaw();
    assert!(copy.wait().expect("cp ends").success());
    mount.shell("cmp local mnt/file");
}

/// Where the serving process is killed, the mount point is not stuck.
#[test]
fn a_killed_process_leaves_nothing_that_cannot_be_unmounted() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let status = mount.sharefs(["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let pid = status[0]["pid"].as_i64().expect("the process that serves");
    mount.shell(&format!("kill -KILL {pid}"));
    mount.umount();
    wait_until("the mount is gone", || !mount.is_mounted() || mount.umount().status.success());
    assert!(!mount.is_mounted());
    let again = mount.sharefs(["status"]);
    assert!(again.status.success());
}
