//! Options that trade news, or safety, for requests: S106 and S107.

use sharefs_tests::{Mount, Relay, Samba, wait_until};

/// How many requests more it takes to run a Python statement a hundred times than to run it once.
fn requests_of(relay: &Relay, mount: &Mount, statement: &str) -> u64 {
    let run = |times: u32| {
        let before = relay.requests();
        mount.shell(&format!(
            "cd mnt; python3 -c \"
import os
f, d = os.open('f', os.O_RDWR | os.O_CREAT), os.open('d', os.O_RDONLY)
for n in range({times}): {statement}\""
        ));
        relay.requests() - before
    };
    mount.shell("mkdir -p mnt/d");
    let once = run(1);
    run(100).saturating_sub(once)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s106_attributes_of_files_and_directories_have_times_of_their_own() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    for (options, of_file, of_directory) in [
        ("actimeo=60,acdirmax=0", false, true),
        ("acregmax=0,acdirmax=60", true, false),
        ("actimeo=60", false, false),
    ] {
        // Without a lease, only time protects what is known of a file.
        let mount = Mount::new(&samba).through(&relay).options(["cache=none", options]).start();
        for (statement, asks) in [("os.fstat(f)", of_file), ("os.fstat(d)", of_directory)] {
            let requests = requests_of(&relay, &mount, statement);
            assert!(if asks { requests > 90 } else { requests < 10 }, "{options}: {statement}: {requests}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s107_fsync_flushes_unless_told_otherwise() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    for (options, flushes) in [("strictsync", true), ("nostrictsync", false)] {
        let mount = Mount::new(&samba).through(&relay).options([options]).start();
        let requests = requests_of(&relay, &mount, "os.fsync(f)");
        assert!(if flushes { requests > 90 } else { requests < 10 }, "{options}: {requests}");
        // It is sent all the same.
        mount.shell("python3 -c \"import os; f = os.open('mnt/f', os.O_RDWR); os.write(f, b'sent'); os.fsync(f); open('done', 'w'); os._exit(0)\"");
        assert_eq!(std::fs::read(samba.share_path().join("f")).expect("the file"), b"sent");
    }
}

/// How many connections to a server there are on this machine.
fn connections_to(samba: &Samba) -> usize {
    let socket = samba.socket();
    let std::net::IpAddr::V4(address) = socket.ip() else { panic!("the lab has IPv4 addresses") };
    let remote = format!("{:08X}:{:04X}", u32::from(address).swap_bytes(), socket.port());
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
    let fields = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    fields.filter(|fields| fields[2] == remote && fields[3] == "01").count()
}

#[test]
fn s118_several_connections_serve_one_mount() {
    let samba = Samba::builder().global("server multi channel support", "yes").start();
    let mount = Mount::new(&samba).options(["max_channels=3"]).start();
    wait_until("there are three connections", || connections_to(&samba) == 3);
    mount.shell("head -c 50000000 /dev/urandom > local; cp local mnt/file; cmp local mnt/file");
    assert!(mount.umount().status.success());
    wait_until("all are closed", || connections_to(&samba) == 0);
}
