//! Options of `get` and `put`.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use sharefs_tests::{Content, Relay, Samba, User, sha256, sha256_file, wait_until};

use crate::shell::{Shell, no_part_is_left};

const LARGE: usize = 24_000_000;

fn local_tree(shell: &Shell<'_>, names: &[(&str, &[u8])]) {
    for (name, content) in names {
        User::ordinary().make_dir(shell.path(name).parent().expect("a folder"));
        shell.local_file(name, content);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_download_goes_on_where_it_was_cut() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    let content = Content::new(1).bytes(LARGE);
    shell.remote_file("large", &content);
    let source = format!("//{}/data/large", relay.address());
    let get = |json: &str| {
        let arguments = ["--resume", json, &source, "large"];
        shell.command_by(relay.port(), "get", &arguments).output().expect("sharefs starts")
    };
    relay.cut_after(12_000_000);
    assert!(!get("--quiet").status.success());
    let part = shell.path(".large.sharefs-part");
    let there = fs::metadata(&part).expect("the part stays").len();
    assert!(there > 0 && !shell.path("large").exists());
    let output = get("--json");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{summary}");
    assert_eq!(summary["kept_bytes"].as_u64(), Some(there), "{summary}");
    assert_eq!(summary["bytes"].as_u64(), Some(LARGE as u64 - there), "{summary}");
    assert_eq!(sha256_file(&shell.path("large")), sha256(&content));
    no_part_is_left(shell.home.path());
    // Once more: there is nothing to do.
    let summary: Value = serde_json::from_slice(&get("--json").stdout).expect("JSON");
    assert_eq!((summary["files"].as_u64(), summary["skipped"].as_u64()), (Some(0), Some(1)), "{summary}");
}

#[test]
fn an_upload_goes_on_where_it_was_cut() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    let content = Content::new(2).bytes(LARGE);
    shell.local_file("large", &content);
    let target = format!("//{}/data/large", relay.address());
    let put = |json: &str| {
        let arguments = ["--resume", json, "large", &target];
        shell
            .command_by(relay.port(), "put", &arguments)
            .stderr(Stdio::null())
            .output()
            .expect("sharefs starts")
    };
    // A server says little while it is written to.
    relay.cut_after(2500);
    assert!(!put("--quiet").status.success());
    let part = shell.there(".large.sharefs-part");
    assert!(part.exists() && !shell.there("large").exists(), "{:?}", names(&samba.share_path()));
    let output = put("--json");
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(output.status.success(), "{summary}");
    let (kept, sent) = (summary["kept_bytes"].as_u64(), summary["bytes"].as_u64());
    assert_eq!(kept.zip(sent).map(|(kept, sent)| kept + sent), Some(LARGE as u64), "{summary}");
    assert_eq!(sha256_file(&shell.there("large")), sha256(&content));
    no_part_is_left(&samba.share_path());
}

#[test]
fn a_tree_goes_on_where_it_was_cut() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    User::ordinary().make_dir(&shell.path("tree"));
    let content = |i: u64| Content::new(i).bytes(if i.is_multiple_of(10) { 300_000 } else { 9000 });
    for i in 0..150 {
        shell.local_file(&format!("tree/{i}"), &content(i));
    }
    let target = format!("//{}/data/there", relay.address());
    // The second time it would go into what the first time has made.
    assert!(shell.fails("put", &["-r", "--resume", "tree", &shell.url("there")]).contains("make //"));
    assert_eq!(names(&samba.share_path()), [""; 0]);
    shell.remote_dir("there");
    let put = || {
        let arguments = ["-r", "--resume", "--json", "tree", &target];
        let output = shell.command_by(relay.port(), "put", &arguments).output().expect("sharefs starts");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        (output.status.success(), summary)
    };
    relay.cut_after(40_000);
    let (whole, summary) = put();
    assert!(!whole && summary["files"].as_u64().expect("a number") > 0, "{summary}");
    let before = summary["files"].as_u64();
    let (whole, summary) = put();
    assert!(whole && summary["skipped"].as_u64() >= before, "{summary}");
    for i in 0..150 {
        assert_eq!(sha256_file(&shell.there(&format!("there/tree/{i}"))), sha256(&content(i)), "{i}");
    }
    assert_eq!(names(&shell.there("there/tree")).len(), 150);
}

#[test]
fn of_a_broken_copy_only_what_is_right_is_kept() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    let content = Content::new(3).bytes(LARGE);
    shell.remote_file("large", &content);
    // What is there is another file's from its middle on, and longer.
    let mut broken = content.to_vec();
    broken[9_000_000] ^= 1;
    broken.extend_from_slice(b"and more");
    shell.local_file(".large.sharefs-part", &broken);
    let summary = shell.json("get", &["--resume", "--json", "--checksum", &shell.url("large"), "large"]);
    let kept = summary["kept_bytes"].as_u64().expect("a number");
    assert!((1..=9_000_000).contains(&kept), "{summary}");
    assert_eq!(sha256_file(&shell.path("large")), sha256(&content));
    // The same the other way.
    shell.remote_file(".back.sharefs-part", &broken);
    shell.succeeds("put", &["--resume", "--checksum", "large", &shell.url("back")]);
    assert_eq!(sha256_file(&shell.there("back")), sha256(&content));
    no_part_is_left(&samba.share_path());
    // What lies in wait under the part's name is not written through.
    shell.local_file("victim", b"mine");
    symlink("victim", shell.path(".again.sharefs-part")).expect("a link");
    assert!(shell.fails("get", &["--resume", &shell.url("large"), "again"]).contains("in the way"));
    assert_eq!(fs::read(shell.path("victim")).expect("the file"), b"mine");
}

#[test]
fn a_copy_that_is_not_what_was_sent_gets_no_name() {
    let samba = Samba::start();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let shell = Shell::new(&samba);
    shell.local_file("large", &Content::new(4).bytes(LARGE));
    relay.delay(Duration::from_millis(100));
    let target = format!("//{}/data/large", relay.address());
    let child = shell
        .command_by(relay.port(), "put", &["--checksum", "large", &target])
        .stderr(Stdio::piped())
        .spawn()
        .expect("sharefs starts");
    // Somebody else writes where this program has already written.
    let mut part = None;
    wait_until("the transfer has begun", || {
        let name = names(&samba.share_path()).into_iter().find(|name| name.ends_with(".part"));
        let path = name.map(|name| shell.there(&name));
        part = path.filter(|path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 4_000_000));
        part.is_some()
    });
    let file = fs::OpenOptions::new().write(true).open(part.expect("the part")).expect("the part");
    file.write_all_at(b"somebody else", 1000).expect("write on the server");
    let output = child.wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("not what was sent"), "{said}");
    assert_eq!(names(&samba.share_path()), [""; 0]);
}

#[test]
fn equal_files_are_left_out_with_checksums() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/a", b"equal"), ("tree/b", b"other"), ("tree/c", b"longer")]);
    shell.remote_dir("tree");
    shell.remote_file("tree/a", b"equal");
    shell.remote_file("tree/b", b"OTHER");
    shell.remote_file("tree/c", b"short");
    let summary = shell.json("put", &["-r", "--checksum", "--json", "tree", &shell.url("")]);
    assert_eq!((summary["files"].as_u64(), summary["skipped"].as_u64()), (Some(2), Some(1)), "{summary}");
    assert_eq!(fs::read(shell.there("tree/b")).expect("the file"), b"other");
    let summary = shell.json("get", &["-r", "--checksum", "--json", &shell.url("tree"), "."]);
    assert_eq!((summary["files"].as_u64(), summary["skipped"].as_u64()), (Some(0), Some(3)), "{summary}");
}

#[test]
fn what_is_excluded_is_not_copied() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    let tree: [(&str, &[u8]); 4] =
        [("tree/keep", b"1"), ("tree/x.tmp", b"2"), ("tree/build/out", b"3"), ("tree/deep/build/out", b"4")];
    local_tree(&shell, &tree);
    shell.succeeds("put", &["-r", "--exclude", "*.tmp", "--exclude", "/build", "tree", &shell.url("there")]);
    assert_eq!(names(&shell.there("there")), ["deep", "keep"]);
    assert!(shell.there("there/deep/build/out").exists());
    shell.succeeds("get", &["-r", "--exclude", "build", &shell.url("there"), "back"]);
    assert_eq!(
        (names(&shell.path("back")), names(&shell.path("back/deep")).len()),
        (vec!["deep".into(), "keep".into()], 0)
    );
    assert!(shell.fails("get", &["-r", "--exclude", "[", &shell.url("there"), "no"]).contains("--exclude"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/deep/file", b"12345")]);
    let said = shell.succeeds("put", &["-r", "--dry-run", "tree", &shell.url("new")]);
    assert!(said.contains("tree/deep/file -> ") && said.contains("/data/new/deep/file"), "{said}");
    assert_eq!(names(&samba.share_path()), [""; 0]);
    shell.remote_file("file", b"12345");
    let summary = shell.json("get", &["--dry-run", "--json", &shell.url("file"), "new"]);
    assert_eq!(summary["would_copy"][0]["bytes"], 5, "{summary}");
    assert!(!shell.path("new").exists());
    let summary = shell.json("cp", &["--dry-run", "--json", &shell.url("file"), "copy"]);
    assert_eq!(summary["would_copy"][0]["to"], shell.url("copy"), "{summary}");
    assert_eq!(names(&samba.share_path()), ["file"]);
}

#[test]
fn a_transfer_tells_what_it_came_to() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/a", b"12345"), ("tree/b", b"6789")]);
    let output = shell.run("put", &["-r", "tree", &shell.url("there")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("2 files, 9 B in "), "{said}");
    assert!(shell.run("put", &["-rq", "tree", &shell.url("there")]).stderr.is_empty());
    fs::set_permissions(shell.path("tree/b"), PermissionsExt::from_mode(0o000)).expect("permissions");
    let output = shell.run("put", &["-r", "--json", "tree", &shell.url("there")]);
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((summary["files"].as_u64(), summary["bytes"].as_u64()), (Some(1), Some(5)), "{summary}");
    assert!(summary["errors"][0].as_str().expect("an error").contains("tree/b"), "{summary}");
}

#[test]
fn times_and_read_only_are_kept_both_ways() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/file", b"small"), ("tree/open", b"x")]);
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let set = |path: &str| {
        let times = fs::FileTimes::new().set_accessed(at(1_500_000_000)).set_modified(at(1_400_000_000));
        fs::File::open(shell.path(path)).expect("open").set_times(times).expect("times");
    };
    set("tree/file");
    set("tree");
    fs::set_permissions(shell.path("tree/file"), PermissionsExt::from_mode(0o444)).expect("permissions");
    shell.succeeds("put", &["-r", "--preserve", "tree", &shell.url("there")]);
    let stat = shell.json("stat", &["--json", &shell.url("there/file"), "there", "there/open"]);
    assert_eq!(stat[0]["written"], "2014-05-13T16:53:20Z", "{stat}");
    assert_eq!(stat[0]["accessed"], "2017-07-14T02:40:00Z", "{stat}");
    assert_eq!(stat[1]["written"], "2014-05-13T16:53:20Z", "{stat}");
    let read_only = |i: usize| stat[i]["attributes"].as_u64().expect("a number") & 1;
    assert_eq!((read_only(0), read_only(2)), (1, 0), "{stat}");
    shell.succeeds("get", &["-r", "--preserve", &shell.url("there"), "back"]);
    let back = fs::metadata(shell.path("back/file")).expect("the file");
    assert_eq!(back.modified().expect("a time"), at(1_400_000_000));
    assert!(back.permissions().readonly());
    assert!(!fs::metadata(shell.path("back/open")).expect("the file").permissions().readonly());
    assert_eq!(fs::metadata(shell.path("back")).expect("it").modified().expect("a time"), at(1_400_000_000));
}

#[test]
fn links_are_followed_copied_or_left_out() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/file", b"content"), ("tree/deep/file", b"deep"), ("outside", b"secret")]);
    symlink("file", shell.path("tree/link")).expect("a link");
    symlink("deep", shell.path("tree/folder")).expect("a link");
    // The content of what links lead to, also of directories.
    shell.succeeds("put", &["-r", "tree", &shell.url("followed")]);
    assert_eq!(fs::read(shell.there("followed/link")).expect("the file"), b"content");
    assert_eq!(fs::read(shell.there("followed/folder/file")).expect("the file"), b"deep");
    // This Samba has no links: files stand for them, and become links again.
    shell.succeeds("put", &["-r", "--links", "copy", "tree", &shell.url("copied")]);
    assert_eq!(fs::metadata(shell.there("copied/link")).expect("the file").len(), 1067);
    shell.succeeds("get", &["-r", "--links", "copy", &shell.url("copied"), "back"]);
    assert_eq!(fs::read_link(shell.path("back/link")).expect("a link"), Path::new("file"));
    assert_eq!(fs::read_link(shell.path("back/folder")).expect("a link"), Path::new("deep"));
    shell.succeeds("get", &["-r", "--links", "skip", &shell.url("copied"), "fewer"]);
    assert_eq!(names(&shell.path("fewer")), ["deep", "file"]);
    // Followed, they are what they lead to; a directory cannot be told from a file before it is too late.
    assert!(shell.fails("get", &["-r", &shell.url("copied"), "content"]).contains("copied/folder"));
    assert_eq!(fs::read(shell.path("content/link")).expect("the file"), b"content");
    assert!(!fs::symlink_metadata(shell.path("content/link")).expect("the file").is_symlink());

    // Circles end, and what leads elsewhere is not copied as a link; both are failures.
    symlink("..", shell.path("tree/deep/up")).expect("a link");
    symlink("../outside", shell.path("tree/out")).expect("a link");
    assert!(shell.fails("put", &["-r", "tree", &shell.url("circle")]).contains("circle"));
    assert_eq!(fs::read(shell.there("circle/out")).expect("the file"), b"secret");
    let said = shell.fails("put", &["-r", "--links", "copy", "tree", &shell.url("kept")]);
    assert!(said.contains("tree/out") && !said.contains("tree/deep/up"), "{said}");
    shell.succeeds("put", &["-r", "--links", "skip", "tree", &shell.url("without")]);
    assert_eq!(names(&shell.there("without")), ["deep", "file"]);
}

#[test]
fn a_tree_is_not_written_through_links_that_are_here() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("victim/file", b"mine"), ("precious", b"mine"), ("back/x", b"")]);
    shell.remote_dir("tree/folder");
    shell.remote_file("tree/folder/file", b"theirs");
    shell.remote_file("tree/name", b"theirs");
    symlink("../victim", shell.path("back/folder")).expect("a link");
    symlink("../precious", shell.path("back/name")).expect("a link");
    User::ordinary().own(&shell.path("back"));
    fs::rename(shell.there("tree"), shell.there("back")).expect("rename");
    assert!(shell.fails("get", &["-r", &shell.url("back"), "."]).contains("back/folder"));
    assert_eq!(fs::read(shell.path("victim/file")).expect("the file"), b"mine");
    assert_eq!(fs::read(shell.path("precious")).expect("the file"), b"mine");
    assert_eq!(fs::read(shell.path("back/name")).expect("the file"), b"theirs");
}

#[test]
fn one_connection_is_enough_where_the_server_wants_no_more() {
    // Two of them serve nobody, so two clients are let in.
    let samba = Samba::builder().global("max smbd processes", 4).start();
    let shell = Shell::new(&samba);
    User::ordinary().make_dir(&shell.path("tree"));
    for i in 0..200 {
        shell.local_file(&format!("tree/{i}"), format!("{i}").as_bytes());
    }
    // Those of the command before take a moment to end.
    let succeeds = |name: &str, arguments: &[&str]| {
        wait_until("the server has room", || shell.run(name, arguments).status.success());
    };
    succeeds("put", &["-r", "tree", &shell.url("there")]);
    succeeds("get", &["-r", &shell.url("there"), "back"]);
    for i in 0..200 {
        assert_eq!(fs::read(shell.path(&format!("back/{i}"))).expect("the file"), format!("{i}").as_bytes());
    }
    succeeds("rm", &["-r", &shell.url("there")]);
    assert_eq!(names(&samba.share_path()), [""; 0]);
}

#[test]
fn names_of_the_servers_do_not_control_the_terminal() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/bad \u{1b}[2J", b"x")]);
    shell.succeeds("put", &["-r", "tree", &shell.url("there")]);
    let bad =
        fs::read_dir(shell.there("there")).expect("it").next().expect("an entry").expect("an entry").path();
    fs::set_permissions(bad, PermissionsExt::from_mode(0o000)).expect("permissions");
    for (name, arguments) in [
        ("ls", vec![shell.url("there")]),
        ("stat", vec![shell.url("there/bad \u{1b}[2J")]),
        ("get", vec!["-r".into(), shell.url("there"), "back".into()]),
        ("get", vec!["-r".into(), "--dry-run".into(), shell.url("there"), "back".into()]),
        ("rm", vec![shell.url("there")]),
    ] {
        let output = shell.run(name, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty() && !said.contains(&0x1b), "{name}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn links_that_lead_out_only_together_are_not_made() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    local_tree(&shell, &[("tree/a/b/file", b"content")]);
    symlink("../..", shell.path("tree/a/b/up")).expect("a link");
    // By its names this is a/outside; by the other link it is above the tree.
    symlink("a/b/up/../../outside", shell.path("tree/out")).expect("a link");
    shell.succeeds("put", &["-r", "--links", "copy", "tree", &shell.url("tree")]);
    let said = shell.fails("get", &["-r", "--links", "copy", &shell.url("tree"), "back"]);
    assert!(said.contains("tree/out"), "{said}");
    assert_eq!(fs::read_link(shell.path("back/a/b/up")).expect("a link"), Path::new("../.."));
    assert!(fs::symlink_metadata(shell.path("back/out")).is_err());
    // Of a link that is fetched alone, nothing around it is.
    let said = shell.fails("get", &["--links", "copy", &shell.url("tree/a/b/up"), "alone"]);
    assert!(said.contains("tree/a/b/up"), "{said}");
    assert!(fs::symlink_metadata(shell.path("alone")).is_err());
}

#[test]
fn what_is_left_of_a_broken_copy_is_not_taken_for_the_file() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    let content = Content::new(8).bytes(LARGE);
    shell.remote_dir("tree");
    shell.remote_file("tree/file", &content);
    shell.remote_file("tree/.file.sharefs-part", &content[..6_000_000]);
    let said = shell.fails("get", &["-r", "--resume", &shell.url("tree"), "."]);
    assert!(said.contains(".file.sharefs-part"), "{said}");
    assert_eq!(sha256_file(&shell.path("tree/file")), sha256(&content));
    assert_eq!(names(&shell.path("tree")), ["file"]);
}
