//! Commands over several things at once, copies from share to share, and what a server has and tells.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::Value;
use sharefs_tests::{Content, Relay, Samba, sha256, sha256_file};

use crate::shell::{Shell, no_part_is_left, text};

#[test]
fn a_server_copies_by_itself() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    let content = Content::new(1).bytes(30_000_000);
    shell.remote_file("from", &content);
    // Whatever data the server sent would break the connection.
    relay.cut_after(200_000);
    let by_relay = |path: &str| format!("//{}/{path}", relay.address());
    let cp = |from: &str, to: &str| {
        let output =
            shell.command_by(relay.port(), "cp", &[&by_relay(from), to]).output().expect("sharefs starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    cp("data/from", "to");
    assert_eq!(sha256_file(&shell.there("to")), sha256(&content));
    cp("data/from", &by_relay("open/other"));
    assert_eq!(sha256_file(&shell.there("other")), sha256(&content));
    no_part_is_left(&samba.share_path());
    // As get and put, it keeps the time.
    let time = |name: &str| fs::metadata(shell.there(name)).expect("the file").modified().expect("a time");
    assert!(time("to").duration_since(time("from")).unwrap_or_default().as_micros() < 1);
}

#[test]
fn trees_are_copied_within_a_share_and_between_servers() {
    let (samba, other) = (Samba::start(), Samba::start());
    let shell = Shell::new(&samba);
    for folder in ["tree", "tree/deep", "tree/empty"] {
        shell.remote_dir(folder);
    }
    for i in 0..80 {
        shell.remote_file(&format!("tree/deep/{i}"), &Content::new(i).bytes(3000 * i as usize));
    }
    shell.remote_file("tree/left.tmp", b"x");
    shell.fails("cp", &[&shell.url("tree"), "copy"]);
    shell.succeeds("cp", &["-r", "--exclude", "*.tmp", &shell.url("tree"), "copy"]);
    assert!(!shell.there("copy/left.tmp").exists() && shell.there("copy/empty").is_dir());
    // Into a directory that is there; the second server has another port.
    fs::create_dir(other.share_path().join("there")).expect("mkdir");
    fs::set_permissions(other.share_path().join("there"), PermissionsExt::from_mode(0o777)).expect("chmod");
    let url = |samba: &Samba, path: &str| format!("smb://{}:{}/data/{path}", samba.address(), samba.port());
    let arguments = ["-r", "--checksum", &url(&samba, "tree"), &url(&other, "there")];
    let output = shell.command_by(0, "cp", &arguments).output().expect("sharefs starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for i in 0..80 {
        let content = sha256(&Content::new(i).bytes(3000 * i as usize));
        assert_eq!(sha256_file(&shell.there(&format!("copy/deep/{i}"))), content);
        assert_eq!(sha256_file(&other.share_path().join(format!("there/tree/deep/{i}"))), content);
    }
    no_part_is_left(&other.share_path().join("there/tree/deep"));
    // Once more with checksums: all is there already.
    let json = ["-r", "--checksum", "--json", &url(&samba, "tree"), &url(&other, "there")];
    let output = shell.command_by(0, "cp", &json).output().expect("sharefs starts");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((summary["files"].as_u64(), summary["skipped"].as_u64()), (Some(0), Some(81)), "{summary}");
}

#[test]
fn nothing_is_copied_onto_or_into_itself() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.remote_dir("tree");
    shell.remote_file("tree/file", b"kept");
    assert!(shell.fails("cp", &[&shell.url("tree/file"), "TREE/file"]).contains("itself"));
    assert!(shell.fails("cp", &[&shell.url("tree/file"), "tree"]).contains("itself"));
    assert!(shell.fails("cp", &["-r", &shell.url("tree"), "tree/deeper"]).contains("itself"));
    assert!(shell.fails("cp", &["-r", &shell.url(""), "all"]).contains("itself"));
    assert_eq!(fs::read(shell.there("tree/file")).expect("the file"), b"kept");
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 1);
}

#[test]
fn commands_take_several_names() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    for i in 0..300 {
        shell.remote_file(&format!("file {i}"), format!("{i}\n").as_bytes());
    }
    let names: Vec<String> = (1..300).map(|i| format!("file {i}")).collect();
    let with = |first: &str, options: &[&str]| -> Vec<String> {
        let first = [shell.url(first)];
        options.iter().map(|o| (*o).to_owned()).chain(first).chain(names.iter().cloned()).collect()
    };
    let run = |name: &str, arguments: &[String]| {
        shell.succeeds(name, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let stat: Value = serde_json::from_str(&run("stat", &with("file 0", &["--json"]))).expect("JSON");
    let paths: Vec<_> = stat.as_array().expect("an array").iter().map(|file| file["path"].clone()).collect();
    let expected: Vec<_> = (0..300).map(|i| Value::from(shell.url(&format!("file {i}")))).collect();
    assert_eq!(paths, expected, "in the order of the command line");
    let cat = run("cat", &with("file 0", &[]));
    assert_eq!(cat, (0..300).map(|i| format!("{i}\n")).collect::<String>());
    // One that is missing does not stop the others, and is told.
    let partly = shell.run("cat", &[&shell.url("none"), "file 7", &shell.url("file 8")]);
    assert!(!partly.status.success());
    assert_eq!(partly.stdout, b"7\n8\n");
    assert!(shell.fails("stat", &[&shell.url("file 0"), "none"]).contains("data/none"));
    run("rm", &with("file 0", &[]));
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 0);
    shell.succeeds("mkdir", &[&shell.url("a/b"), "a", "a/b/c", "d"]);
    assert!(shell.there("a/b/c").is_dir() && shell.there("d").is_dir());
    assert!(shell.fails("mkdir", &[&shell.url("x"), "../y"]).contains(".."));
    assert!(!shell.there("x").exists(), "what cannot be meant is refused before anything is done");
}

#[test]
fn a_large_tree_is_removed_with_all_in_it() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    for folder in 0..12 {
        shell.remote_dir(&format!("tree/{folder}/deep"));
        for i in 0..70 {
            shell.remote_file(&format!("tree/{folder}/deep/{i}"), b"x");
        }
    }
    shell.remote_dir("kept");
    shell.succeeds("rm", &["-r", &shell.url("tree")]);
    assert!(!shell.there("tree").exists() && shell.there("kept").is_dir());
    assert!(shell.fails("rm", &["-r", &shell.url("")]).contains("root"));
}

#[test]
fn what_cannot_be_removed_is_told_and_the_rest_goes() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.remote_dir("tree/closed");
    shell.remote_file("tree/closed/stays", b"x");
    shell.remote_file("tree/goes", b"x");
    fs::set_permissions(shell.there("tree/closed"), PermissionsExt::from_mode(0o555)).expect("permissions");
    let said = shell.fails("rm", &["-r", &shell.url("tree")]);
    assert!(said.contains("tree/closed/stays"), "{said}");
    assert!(!shell.there("tree/goes").exists() && shell.there("tree/closed/stays").exists());
}

#[test]
fn listings_are_told_to_programs() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.remote_file("twelve", b"twelve bytes");
    shell.remote_dir("folder");
    let entries = shell.json("ls", &["--json", &shell.url("")]);
    let entry =
        |i: usize| (entries[i]["name"].as_str(), entries[i]["kind"].as_str(), entries[i]["size"].as_u64());
    assert_eq!(entry(0).0, Some("folder"));
    assert_eq!(entry(0).1, Some("directory"));
    assert_eq!(entry(1), (Some("twelve"), Some("file"), Some(12)));
    assert_eq!(shell.json("stat", &["--json", &shell.url("twelve")])["size"], 12);
}

#[test]
fn a_server_says_which_shares_it_has() {
    let samba = Samba::builder().share("comment", "all\tthat is here").start();
    let shell = Shell::new(&samba);
    let server = format!("//{}", samba.address());
    let shares = shell.json("shares", &["--json", &server]);
    let names: Vec<_> =
        shares.as_array().expect("an array").iter().filter_map(|s| s["name"].as_str()).collect();
    assert_eq!(names, ["IPC$", "data", "limited", "open", "readonly"]);
    let table = shell.succeeds("shares", &[&server]);
    assert!(table.lines().any(|line| line.starts_with("data ") && line.contains("disk")), "{table}");
    assert!(!table.contains('\t'), "what could control the terminal is not printed");
    assert!(shell.fails("shares", &["server"]).contains("//server"));
}

#[test]
fn changes_are_told_line_by_line() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.remote_dir("folder/deep");
    let mut child = shell
        .command("watch", &["-r", "--json", &shell.url("folder")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("SHAREFS_LOG", "info")
        .spawn()
        .expect("sharefs starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert!(said.any(|line| line.expect("a line").contains("watching")));
    shell.succeeds("mkdir", &[&shell.url("folder/deep/new")]);
    shell.succeeds("mv", &[&shell.url("folder/deep/new"), "folder/deep/moved"]);
    shell.succeeds("rm", &["-r", &shell.url("folder/deep/moved")]);
    let mut events = BufReader::new(child.stdout.take().expect("a pipe"))
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("JSON"))
        .filter(|event| event["event"] != "modified");
    let mut next = || events.next().expect("an event");
    assert_eq!(next(), serde_json::json!({ "event": "added", "path": "deep/new" }));
    assert_eq!(next(), serde_json::json!({ "event": "renamed", "from": "deep/new", "to": "deep/moved" }));
    assert_eq!(next(), serde_json::json!({ "event": "removed", "path": "deep/moved" }));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal");
    assert!(child.wait().expect("its end").success());
}

#[test]
fn a_watch_ends_with_its_server() {
    let mut samba = Samba::start();
    let mut child = {
        let shell = Shell::new(&samba);
        let mut child = shell
            .command("watch", &[&shell.url("")])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env("SHAREFS_LOG", "info")
            .spawn()
            .expect("sharefs starts");
        let mut said = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        assert!(said.any(|line| line.expect("a line").contains("watching")));
        child.stderr = None;
        child
    };
    samba.kill_hard();
    assert_eq!(child.wait().expect("its end").code(), Some(1));
}

#[test]
fn links_of_the_servers_that_lead_in_a_circle_end() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.remote_dir("tree/deep");
    shell.remote_file("tree/file", b"x");
    // Samba shows what a link leads to, and nothing of the link.
    symlink("..", shell.there("tree/deep/up")).expect("a link");
    let said = shell.fails("get", &["-r", &shell.url("tree"), text(&shell.path("back"))]);
    assert!(said.contains("circle"), "{said}");
    assert_eq!(fs::read(shell.path("back/file")).expect("the file"), b"x");
    let said = shell.fails("cp", &["-r", &shell.url("tree"), "copy"]);
    assert!(said.contains("circle"), "{said}");
    assert_eq!(fs::read(shell.there("copy/file")).expect("the file"), b"x");
}
