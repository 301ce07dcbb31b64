//! Samba 4.22, whose directory leases and POSIX extensions the installed one has not, and what a mount asks of it.

use sharefs_tests::{Mount, Relay, Samba, wait_until};

/// A tree that goes in and comes out again as it was.
const THERE_AND_BACK: &str = "mkdir tree; head -c 3000000 /dev/urandom > tree/large; echo small > tree/small
     cp -r tree mnt/tree; diff -r tree mnt/tree; cp -r mnt/tree back; diff -r tree back";

#[test]
fn files_go_in_and_out() {
    let samba = Samba::builder().newer().start();
    let mount = Mount::new(&samba).start();
    mount.shell(THERE_AND_BACK);
}

#[test]
fn files_go_in_and_out_with_all_that_it_has() {
    let samba = Samba::builder().directory_leases().posix().start();
    let mount = Mount::new(&samba).options(["seal"]).start();
    mount.shell(THERE_AND_BACK);
}

/// Also smbd's own processes, which live in namespaces of their own.
#[test]
fn it_ends_with_its_test() {
    let samba = Samba::builder().newer().start();
    let marker = samba.share_path().parent().expect("the server's directory").display().to_string();
    let running = || {
        let mut ps = std::process::Command::new("ps");
        let output = ps.args(["-eo", "args"]).output().expect("ps runs");
        String::from_utf8_lossy(&output.stdout).matches(&format!("{marker}/smb.conf")).count()
    };
    assert!(running() > 0);
    drop(samba);
    wait_until("none of smbd's processes is left", || running() == 0);
}

#[test]
fn it_restarts() {
    let mut samba = Samba::builder().newer().start();
    Mount::new(&samba).start().shell("echo x > mnt/file");
    samba.restart();
    Mount::new(&samba).start().shell("test $(cat mnt/file) = x");
}

#[test]
fn it_counts_what_it_is_asked() {
    for builder in [Samba::builder(), Samba::builder().newer()] {
        let samba = builder.counted().start();
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        mount.shell("head -c 100000 /dev/zero > mnt/file");
        let before = samba.requests();
        assert!(before["write"] >= 1 && before["create"] >= 1, "{before:?}");
        mount.shell("stat mnt/file");
        let after = samba.requests();
        assert_eq!(before["write"], after["write"]);
        mount.shell("echo x > mnt/file");
        assert!(samba.requests()["write"] > after["write"]);
    }
}

/// The relay counts round trips of an encrypted mount, of which nobody else can tell anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_counts_what_a_mount_sends() {
    let samba = Samba::builder().azure().start();
    let relay = Relay::start(samba.socket()).await;
    let mount = Mount::new(&samba).through(&relay).options(["actimeo=60", "seal"]).start();
    let mounted = relay.requests();
    assert!(mounted >= 4, "negotiation, login in two steps, the tree: {mounted}");
    mount.shell("echo x > mnt/file; test $(cat mnt/file) = x");
    let used = relay.requests();
    assert!(used >= mounted + 3, "creating, writing, reading: {mounted}, {used}");
    mount.shell("ls -l mnt/file");
    assert!(relay.requests() <= used + 2, "what was just asked is not asked again");
}
