//! The examples of `smb-client`, each run as its own head says.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sharefs_tests::{Content, Samba};

/// The examples that cargo built beside this test.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test's path");
    let target = test.parent().and_then(|deps| deps.parent()).expect("the target directory");
    let program = target.join("examples").join(name);
    assert!(program.exists(), "{} is missing: cargo build -p smb-client --examples", program.display());
    program
}

fn start(samba: &Samba, name: &str, args: &[&str]) -> Child {
    Command::new(program(name))
        .args(args)
        .env("SMB_HOST", format!("{}:{}", samba.options().host, samba.options().port))
        .env("SMB_SHARE", "data")
        .env("SMB_USER", samba.user())
        .env("SMB_PASSWORD", samba.password())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start")
}

fn run(samba: &Samba, name: &str, args: &[&str], input: &str) -> String {
    let mut child = start(samba, name, args);
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("write");
    let output = child.wait_with_output().expect("wait");
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn reading_and_writing() {
    let samba = Samba::start();
    let big = Content::new(1).bytes(3 << 20);
    fs::write(samba.share_path().join("big"), &big).expect("write");
    let output = start(&samba, "read", &["big"]).wait_with_output().expect("wait");
    assert!(output.stdout == big, "{} bytes", output.stdout.len());

    run(&samba, "write", &["small"], "hello\n");
    assert_eq!(fs::read(samba.share_path().join("small")).expect("read"), b"hello\n");
    assert!(run(&samba, "list", &[], "").contains("6 small"));
    assert!(run(&samba, "positional", &["small"], "").contains("here"));
    assert!(run(&samba, "errors", &["small"], "").contains("bytes"));
    assert_eq!(run(&samba, "errors", &["none"], ""), "no such file\n");

    run(&samba, "write", &["lines"], "one\ntwo\n");
    assert_eq!(run(&samba, "cursor", &["lines"], ""), "2 lines\n");
    assert_eq!(
        fs::read_to_string(samba.share_path().join("lines")).expect("read"),
        "one\ntwo\n2 lines above\n"
    );
    assert_eq!(run(&samba, "blocking", &["text"], "some text"), "9 bytes written, 9 read\n");
}

#[test]
fn trees_and_attributes() {
    let samba = Samba::start();
    assert_eq!(run(&samba, "concurrent", &["many", "300"], ""), "300 files\n");
    assert!(run(&samba, "walk", &[], "").starts_with("300 files"));
    run(&samba, "copy", &["many/7", "copied"], "");
    assert_eq!(fs::read(samba.share_path().join("copied")).expect("read"), b"file 7\n");
    assert!(run(&samba, "attributes", &["copied"], "").contains("978307200"));
}

#[test]
fn servers() {
    let samba = Samba::start();
    assert!(run(&samba, "shares", &[], "").contains("data"));
    assert!(run(&samba, "protection", &[], "").contains("Aes256Gcm"));
}

#[test]
fn watching() {
    let samba = Samba::start();
    let mut child = start(&samba, "watch", &["", "1"]);
    let mut first = [0; 9];
    std::io::Read::read_exact(child.stdout.as_mut().expect("its output"), &mut first).expect("read");
    assert_eq!(&first, b"watching\n");
    // The request may be a moment behind the word.
    let mut number = 0;
    while child.try_wait().expect("wait").is_none() {
        fs::write(samba.share_path().join(format!("new {number}")), "").expect("write");
        number += 1;
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let output = child.wait_with_output().expect("wait");
    assert!(output.status.success() && !output.stdout.is_empty());
}
