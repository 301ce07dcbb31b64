//! The server goes away under a mount.

use std::time::Duration;

use sharefs_tests::{Mount, Samba, sharefs_binary, wait_until};

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

/// Told to end twice, the serving process does not wait for the server any more, and says what is lost.
#[test]
fn told_twice_it_ends_and_names_what_is_not_saved() {
    told_twice(Samba::kill_hard);
    told_twice(|samba| samba.freeze());
}

fn told_twice(lose: impl Fn(&mut Samba)) {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let options = format!("port={},credentials={}", samba.socket().port(), mount.credentials().display());
    let mut serving = mount
        .command(sharefs_binary())
        .args(["mount", "-f", mount.source(), "mnt", "-o", &options])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("sharefs starts");
    wait_until("it is mounted", || mount.is_mounted());
    let mut writer = mount
        .command("bash")
        .args([
            "-c",
            "exec 3> mnt/file; echo saved >&3; sync mnt/file; echo > ready; read; echo lost >&3; sleep 1000",
        ])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("bash starts");
    wait_until("the file is open", || mount.home().join("ready").exists());
    lose(&mut samba);
    drop(writer.stdin.take());
    std::thread::sleep(Duration::from_millis(500));
    let status = mount.sharefs(["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let pid = status[0]["pid"].as_i64().expect("the process that serves");
    mount.shell(&format!("kill -TERM {pid}"));
    std::thread::sleep(Duration::from_millis(500));
    assert!(serving.try_wait().expect("a child").is_none(), "a program has the file open");
    mount.shell(&format!("kill -TERM {pid}"));
    writer.kill().expect("ended");
    writer.wait().expect("its end");
    let output = serving.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/file") && said.contains("lost"), "{said}");
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
    let options = format!("port={},credentials={}", samba.socket().port(), mount.credentials().display());
    wait_until("it is mounted again over the dead one", || mount.mount_again(&options).status.success());
    mount.shell("echo x > mnt/file");
    mount.umount();
    wait_until("the mount is gone", || !mount.is_mounted() || mount.umount().status.success());
    assert!(!mount.is_mounted());
    let again = mount.sharefs(["status"]);
    assert!(again.status.success());
}
