//! What leases save, and that they are given back.

use std::collections::BTreeMap;

use sharefs_tests::{Mount, Samba, overwrite, wait_until};

/// Requests that were made between two counts, but for those that keep the connection alive.
fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let new = after.iter().map(|(kind, count)| (kind.clone(), count - before.get(kind).unwrap_or(&0)));
    new.filter(|(kind, count)| *count > 0 && kind != "keepalive").collect()
}

#[test]
fn what_is_leased_is_not_asked_for_again() {
    let samba = Samba::builder().directory_leases().counted().start();
    let mount = Mount::new(&samba).options(["closetimeo=60"]).start();
    mount.shell(
        "mkdir -p mnt/tree/a/b; for n in 1 2 3 4 5 6 7 8 9; do echo $n > mnt/tree/a/$n; echo $n > mnt/tree/a/b/$n; done
         head -c 3000000 /dev/urandom > mnt/tree/large",
    );
    let look = "ls -lR mnt/tree > list; stat mnt/tree/a/* mnt/tree/a/b/* > stats; test ! -e mnt/tree/a/none
                sha256sum mnt/tree/large mnt/tree/a/[1-9] > sums";
    // Leases of directories are taken when what was known of them without has expired.
    mount.shell(look);
    mount.shell("sleep 2");
    mount.shell(look);
    let first = samba.requests();
    mount.shell(look);
    // Longer than attributes are believed without a lease.
    mount.shell("sleep 2");
    mount.shell(look);
    assert_eq!(between(&first, &samba.requests()), BTreeMap::new());
}

#[test]
fn a_git_status_of_an_unchanged_tree_asks_nothing() {
    let samba = Samba::builder().directory_leases().counted().start();
    let mount = Mount::new(&samba).options(["closetimeo=60"]).start();
    mount.shell(
        "cd mnt; git init -q tree; cd tree; git config user.name x; git config user.email x@example.org
         mkdir -p a/b; for n in $(seq 30); do echo $n > a/$n; echo $n > a/b/$n; done
         git add .; git commit -qm first; git status -s; sleep 2; git status -s; sleep 2; git --no-optional-locks status -s",
    );
    let first = samba.requests();
    mount.shell("sleep 2; cd mnt/tree; test -z \"$(git --no-optional-locks status -s)\"");
    assert_eq!(between(&first, &samba.requests()), BTreeMap::new());
}

#[test]
fn another_client_gets_what_was_written_and_not_sent() {
    for builder in [Samba::builder(), Samba::builder().directory_leases()] {
        let samba = builder.start();
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        let program = mount.shell(
            "exec 3<> mnt/file; echo from the mount >&3
             smbget() { cat mnt/file; }; smbget",
        );
        assert_eq!(program, "from the mount\n");
        overwrite(&samba, "file", "from elsewhere\n");
        assert_eq!(mount.shell("cat mnt/file"), "from elsewhere\n");
    }
}

#[test]
fn what_another_client_makes_is_seen_at_once() {
    let samba = Samba::builder().directory_leases().start();
    let mount = Mount::new(&samba).options(["actimeo=60"]).start();
    mount.shell("mkdir mnt/d; echo x > mnt/d/x; ls -l mnt/d; test ! -e mnt/d/new");
    overwrite(&samba, "d/new", "new");
    wait_until("the break has arrived", || mount.shell("ls mnt/d").contains("new"));
    assert_eq!(mount.shell("cat mnt/d/new"), "new");
}

/// Nothing stays open on the server for longer than it is wanted.
#[test]
fn unused_opens_are_closed_in_time() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["closetimeo=1"]).start();
    mount.shell("echo x > mnt/file; cat mnt/file");
    assert_eq!(samba.open_files().iter().filter(|line| line.contains("file")).count(), 1);
    wait_until("the open is closed", || !samba.open_files().iter().any(|line| line.contains("file")));
}
