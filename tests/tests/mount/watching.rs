//! What others change in directories that are in use, where no lease tells: S108 and S109.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sharefs_tests::{Mount, Relay, Samba, wait_until};

/// Attributes are believed for longer than a test takes.
const LONG: &str = "actimeo=600";

/// A mount in which somebody looks at this directory, which is watched.
fn watching(samba: &Samba, options: &[&'static str], directory: &str) -> Mount {
    let mount = Mount::new(samba).options(options.iter().copied()).start();
    mount.shell(&format!("ls -lR mnt; stat mnt/{directory}"));
    wait_until("the directory is watched", || {
        mount.shell(&format!("ls mnt/{directory}"));
        is_open(samba, directory)
    });
    mount
}

fn is_open(samba: &Samba, directory: &str) -> bool {
    samba.open_files().iter().any(|line| line.contains(directory))
}

/// Another client, by the commands of the program.
fn another(samba: &Samba) -> Mount {
    Mount::new(samba).options(["cache=none", "actimeo=0"]).start()
}

#[test]
fn s108_what_others_change_in_a_directory_in_use_shows_soon() {
    let samba = Samba::start();
    let d = samba.share_path().join("watched");
    fs::create_dir(&d).expect("mkdir on the server");
    fs::set_permissions(&d, fs::Permissions::from_mode(0o777)).expect("chmod on the server");
    let other = another(&samba);
    other.shell(
        "cd mnt/watched; echo 1 > gone; echo 1 > moved; echo 1 > changed; echo 1 > replaced; mkdir sub",
    );
    let mount = watching(&samba, &[LONG], "watched");
    mount.shell("cd mnt/watched; stat * > ../../before; ls -l; stat -c %i changed > ../../number");
    let soon = |what: &str, script: &str| {
        wait_until(what, || mount.shell_output(&format!("cd mnt/watched; {script}")).status.success());
    };
    other.shell("rm mnt/watched/gone");
    soon("one is gone", "! test -e gone");
    other.shell("mv mnt/watched/moved mnt/watched/elsewhere");
    soon("one has another name", "! test -e moved; test -e elsewhere");
    other.shell("truncate -s 1000 mnt/watched/changed; touch -d @1000000000 mnt/watched/changed");
    soon("one is larger and older", "test $(stat -c %s,%Y changed) = 1000,1000000000");
    mount.shell("cd mnt/watched; test $(stat -c %i changed) = $(cat ../../number)");
    other.shell("echo longer > mnt/watched/new; mv mnt/watched/new mnt/watched/replaced");
    soon("one is another", "test $(stat -c %s replaced) = 7; test $(cat replaced) = longer");
    other.shell("rmdir mnt/watched/sub");
    soon("a directory is gone", "! test -e sub");
}

#[test]
fn s109_what_is_watched_can_be_renamed_and_removed() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options([LONG]).start();
    mount.shell("mkdir -p mnt/above/watched; ls mnt/above/watched");
    wait_until("the directory is watched", || {
        mount.shell("ls mnt/above/watched");
        is_open(&samba, "watched")
    });
    mount.shell("mv mnt/above mnt/renamed; ls mnt/renamed/watched; mv mnt/renamed/watched mnt/renamed/other; ls mnt/renamed/other");
    wait_until("it is watched again", || {
        mount.shell("ls mnt/renamed/other");
        is_open(&samba, "other")
    });
    mount.shell("rmdir mnt/renamed/other; mkdir mnt/renamed/other; rm -r mnt/renamed; test ! -e mnt/renamed");
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 0);
    // Another client's removal waits for nothing.
    let other = another(&samba);
    other.shell("mkdir mnt/watched");
    mount.shell("ls mnt/watched");
    wait_until("the directory is watched", || {
        mount.shell("ls mnt/watched");
        is_open(&samba, "watched")
    });
    other.shell("rmdir mnt/watched");
    wait_until("it is gone", || !samba.share_path().join("watched").exists());
}

/// Samba shows the time that was set for as long as the directory is open.
#[test]
fn s109_a_directorys_time_goes_on_after_it_was_set() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    mount.shell("mkdir mnt/watched");
    wait_until("the directory is watched", || {
        mount.shell("ls mnt/watched");
        is_open(&samba, "watched")
    });
    mount.shell(
        "touch -d @1000 mnt/watched; test $(stat -c %Y mnt/watched) = 1000; echo x > mnt/watched/f
         test $(stat -c %Y mnt/watched) != 1000; ls mnt/watched",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s109_a_watch_costs_nothing_while_nothing_happens() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    let mount = Mount::new(&samba).through(&relay).options([LONG]).start();
    mount.shell("mkdir mnt/watched; echo x > mnt/watched/f; ls -l mnt/watched");
    wait_until("the directory is watched", || {
        mount.shell("ls mnt/watched > /dev/null");
        is_open(&samba, "watched")
    });
    mount.shell("stat mnt/watched/f; sleep 1");
    let before = relay.requests();
    mount.shell("for n in 1 2 3 4; do stat mnt/watched/f > /dev/null; sleep 0.5; done");
    let asked = relay.requests() - before;
    assert!(asked <= 1, "{asked} requests");
}

#[test]
fn s109_nothing_is_watched_where_it_would_tell_nothing() {
    for (builder, options, watched) in [
        (Samba::builder(), LONG, true),
        (Samba::builder().directory_leases(), LONG, false),
        (Samba::builder(), "cache=none", false),
        (Samba::builder(), "actimeo=0", false),
    ] {
        let samba = builder.counted().start();
        let mount = Mount::new(&samba).options([options]).start();
        mount.shell("mkdir mnt/d; for n in 1 2 3 4; do ls -l mnt/d; test ! -e mnt/d/none; sleep 0.3; done");
        let count = samba.requests().get("notify").copied().unwrap_or_default();
        assert_eq!(count > 0, watched, "{options}: {:?}", samba.requests());
    }
}
