//! The commands that need no mount.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sharefs_tests::{Content, Relay, Samba, User, sha256, sha256_file, sharefs_binary, wait_until};

use crate::shell::{Shell, no_part_is_left, text};

#[test]
fn files_go_there_and_back() {
    let samba = Samba::builder().azure().start();
    let shell = Shell::new(&samba);
    for size in [0, 1, 65_537, 20_000_000] {
        let content = Content::new(size as u64).bytes(size);
        shell.local_file("local", &content);
        shell.succeeds("put", &["local", &shell.url("remote")]);
        assert_eq!(sha256_file(&samba.share_path().join("remote")), sha256(&content));
        shell.succeeds("get", &[&shell.url("remote"), text(&shell.path("back"))]);
        assert_eq!(sha256_file(&shell.path("back")), sha256(&content));
        let output = shell.run("cat", &[&shell.url("remote")]);
        assert_eq!(sha256(&output.stdout), sha256(&content));
    }
}

#[test]
fn trees_go_there_and_back() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    let user = User::ordinary();
    user.make_dir(&shell.path("tree"));
    user.make_dir(&shell.path("tree/deep"));
    user.make_dir(&shell.path("tree/empty"));
    for i in 0..50 {
        shell.local_file(&format!("tree/deep/file {i}: odd?"), &Content::new(i).bytes(1000 * i as usize));
    }
    shell.succeeds("put", &["-r", "tree", &shell.url("tree")]);
    shell.succeeds("get", &["-r", &shell.url("tree"), "back"]);
    let compared =
        user.command("diff", shell.home.path()).args(["-r", "tree", "back"]).output().expect("diff");
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
    shell.succeeds("rm", &["-r", &shell.url("tree")]);
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 0);
}

#[test]
fn small_commands() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.succeeds("mkdir", &[&shell.url("folder")]);
    assert!(samba.share_path().join("folder").is_dir());
    fs::write(samba.share_path().join("folder/file"), "twelve bytes").expect("write on the server");
    assert!(shell.succeeds("ls", &[&shell.url("folder")]).lines().any(|line| line == "file"));
    assert!(shell.succeeds("stat", &[&shell.url("folder/file")]).contains("12"));
    shell.succeeds("mv", &[&shell.url("folder/file"), &shell.url("moved")]);
    assert_eq!(fs::read(samba.share_path().join("moved")).expect("the file"), b"twelve bytes");
    assert!(!shell.succeeds("df", &[&shell.url("")]).is_empty());
    shell.succeeds("rm", &[&shell.url("moved")]);
    assert!(!samba.share_path().join("moved").exists());
    shell.fails("rm", &[&shell.url("folder")]);
    assert!(samba.share_path().join("folder").is_dir());
    shell.succeeds("rm", &["-r", &shell.url("folder")]);
    assert!(shell.fails("cat", &[&shell.url("none")]).contains("none"));
    assert!(shell.fails("ls", &[&shell.url("none")]).contains("none"));
}

#[test]
fn sources_are_written_in_three_ways() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "x").expect("write on the server");
    let shell = Shell::new(&samba);
    let (address, port) = (samba.address(), samba.port());
    for source in [
        format!("//{address}/data/file"),
        format!("\\\\{address}\\data\\file"),
        format!("smb://LAB;tester@{address}:{port}/data/file"),
        format!("smb://{address}:{port}/data/file"),
    ] {
        assert_eq!(shell.succeeds("cat", &[&source]), "x", "{source}");
    }
}

/// As an ordinary user runs the tests, what nobody may read is what its owner took the permissions from.
fn closed(path: &Path) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o000)).expect("permissions");
}

#[test]
fn one_file_that_cannot_be_copied_does_not_stop_the_others() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    User::ordinary().make_dir(&shell.path("tree"));
    for name in ["a", "b", "c"] {
        shell.local_file(&format!("tree/{name}"), name.as_bytes());
    }
    closed(&shell.path("tree/b"));
    assert!(shell.fails("put", &["-r", "tree", &shell.url("tree")]).contains("tree/b"));
    let there = samba.share_path().join("tree");
    assert_eq!(
        (fs::read(there.join("a")).unwrap(), fs::read(there.join("c")).unwrap()),
        (vec![b'a'], vec![b'c'])
    );
    no_part_is_left(&there);
    fs::write(there.join("b"), "b").expect("write on the server");
    closed(&there.join("b"));
    assert!(shell.fails("get", &["-r", &shell.url("tree"), "back"]).contains("tree/b"));
    assert_eq!(fs::read(shell.path("back/c")).unwrap(), b"c");
    no_part_is_left(&shell.path("back"));
}

#[test]
fn an_interrupted_transfer_leaves_what_was_there() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    fs::write(samba.share_path().join("kept"), "kept").expect("write on the server");
    fs::set_permissions(samba.share_path().join("kept"), PermissionsExt::from_mode(0o666))
        .expect("permissions");
    fs::write(samba.share_path().join("large"), vec![7; 30_000_000]).expect("write on the server");
    shell.local_file("large", &vec![8; 30_000_000]);
    shell.local_file("mine", b"mine");
    relay.delay(Duration::from_millis(200));
    let interrupted = |arguments: [&str; 3]| {
        let options = format!("port={},username={}", relay.port(), samba.user());
        let mut child = User::ordinary()
            .command(sharefs_binary(), shell.home.path())
            .arg(arguments[0])
            .args(["-o", &options])
            .args(&arguments[1..])
            .env("PASSWD", samba.password())
            .spawn()
            .expect("sharefs starts");
        let folder = if arguments[0] == "put" { samba.share_path() } else { shell.home.path().to_owned() };
        wait_until("the transfer has begun", || {
            fs::read_dir(&folder).expect("the folder").any(|entry| {
                let entry = entry.expect("an entry");
                entry.file_name().to_string_lossy().ends_with(".part")
                    && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
            })
        });
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal");
        assert_eq!(child.wait().expect("its end").code(), Some(1));
        no_part_is_left(&folder);
    };
    let remote = |name: &str| format!("//{}/data/{name}", relay.address());
    interrupted(["put", "large", &remote("kept")]);
    assert_eq!(fs::read(samba.share_path().join("kept")).unwrap(), b"kept");
    interrupted(["get", &remote("large"), "mine"]);
    assert_eq!(fs::read(shell.path("mine")).unwrap(), b"mine");
}

#[test]
fn getting_keeps_modes_and_follows_links() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "new").expect("write on the server");
    let shell = Shell::new(&samba);
    shell.local_file("private", b"old");
    fs::set_permissions(shell.path("private"), PermissionsExt::from_mode(0o600)).expect("permissions");
    std::os::unix::fs::symlink("private", shell.path("link")).expect("a link");
    shell.succeeds("get", &[&shell.url("file"), "link"]);
    let metadata = fs::metadata(shell.path("private")).expect("the file");
    assert_eq!(fs::read(shell.path("private")).unwrap(), b"new");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert!(fs::symlink_metadata(shell.path("link")).expect("the link").is_symlink());
}

#[test]
fn a_slash_at_the_end_means_a_directory() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.local_file("file", b"x");
    shell.fails("put", &["file", &shell.url("none/")]);
    assert!(!samba.share_path().join("none").exists());
}
