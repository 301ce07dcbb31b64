//! The control socket of a mount, and the commands that use it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sharefs_tests::{Mount, Relay, Samba, User, find_program, wait_until};
use tokio::runtime::Runtime;

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The only mount's part of `status`.
fn status(mount: &Mount) -> Value {
    let output = mount.sharefs(["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    status[0].clone()
}

/// The socket, as `status` names it.
fn socket(mount: &Mount) -> PathBuf {
    status(mount)["control"].as_str().expect("a path").into()
}

/// The process that serves the mount.
fn serving(mount: &Mount) -> Pid {
    let process = status(mount)["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    process.and_then(Pid::from_raw).expect("a process")
}

/// A connection of root's, who is let in everywhere.
struct Talk(BufReader<UnixStream>);

impl Talk {
    fn to(mount: &Mount) -> Self {
        Self(BufReader::new(UnixStream::connect(socket(mount)).expect("somebody listens")))
    }

    fn say(&mut self, line: &str) {
        self.0.get_mut().write_all(line.as_bytes()).expect("it is heard");
    }

    /// The next line, as JSON; null at the end.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("an answer");
        if line.is_empty() { Value::Null } else { serde_json::from_str(&line).expect("JSON") }
    }

    fn ask(&mut self, request: &Value) -> Value {
        self.say(&format!("{request}\n"));
        self.hear()
    }
}

#[test]
fn s144_a_mount_answers_at_its_socket() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let path = socket(&mount);
    let metadata = fs::symlink_metadata(&path).expect("the socket");
    assert!(metadata.file_type().is_socket() && metadata.uid() == mount.user().uid);
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o600);
    let folder = fs::metadata(path.parent().expect("a folder")).expect("the folder");
    assert_eq!(folder.permissions().mode() & 0o7777, 0o700);
    let mut talk = Talk::to(&mount);
    let status = talk.ask(&json!({ "request": "status" }));
    assert_eq!((&status["ok"]["source"], &status["ok"]["state"]), (&json!(mount.source()), &json!("ok")));
    assert!(!status.to_string().contains(samba.password()));
    // Two at once, on one connection.
    talk.say("{\"request\":\"reload\"}\n{\"request\":\"statistics\"}\n");
    assert_eq!(talk.hear(), json!({ "ok": null }));
    assert_eq!(talk.hear()["ok"]["connected"], json!(true));
    assert_eq!(talk.ask(&json!({ "request": "reboot" }))["code"], json!("failed"));
    talk.say("\n");
    assert!(talk.hear()["error"].is_string());
    let mut holder = mount
        .command("bash")
        .args(["-c", "exec 3> mnt/file; echo open > ready; read line"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash starts");
    wait_until("the file is open", || mount.home().join("ready").exists());
    assert_eq!(talk.ask(&json!({ "request": "unmount" }))["code"], json!("mount-in-use"));
    drop(holder.stdin.take());
    holder.wait().expect("its end");
    wait_until("it is unmounted", || talk.ask(&json!({ "request": "unmount" })) == json!({ "ok": null }));
    assert!(!mount.is_mounted());
    wait_until("the socket is gone", || !path.exists());
}

#[test]
fn s144_too_much_is_refused() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let mut talk = Talk::to(&mount);
    talk.say(&"x".repeat(4097));
    assert!(talk.hear()["error"].as_str().is_some_and(|error| error.contains("4096")));
    assert_eq!(talk.hear(), Value::Null, "it is over");
    drop(talk);
    let mut talks: Vec<_> = (0..16).map(|_| Talk::to(&mount)).collect();
    // The last of them is heard: so all are.
    wait_until("all sixteen are heard", || {
        let last = talks.last_mut().expect("sixteen");
        if last.ask(&json!({ "request": "status" }))["ok"].is_object() {
            return true;
        }
        *last = Talk::to(&mount);
        false
    });
    assert!(Talk::to(&mount).hear()["error"].is_string());
    talks.pop();
    wait_until("there is room again", || {
        let mut talk = Talk::to(&mount);
        talk.say("{\"request\":\"status\"}\n");
        talk.hear()["ok"].is_object()
    });
    mount.shell("echo x > mnt/file; test $(cat mnt/file) = x");
}

/// The folder's mode keeps others out; without it the socket's does, and without that the process looks.
#[test]
fn s144_another_user_is_not_heard() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let path = socket(&mount);
    let stranger = User::root().command(find_program("setpriv", "util-linux"), mount.home());
    let ask = |mut stranger: std::process::Command| {
        let script = "import socket, sys
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
    s.sendall(b'{\"request\":\"status\"}\\n')
    print('heard', s.recv(9999))
except OSError as error:
    print('refused', error)";
        let user = [
            "--reuid",
            "1",
            "--regid",
            "1",
            "--clear-groups",
            "bash",
            "-c",
            "python3 -c \"$0\" \"$1\"",
            script,
        ];
        said(&stranger.args(user).arg(&path).output().expect("python3 starts"))
    };
    for open in [mount.home(), path.parent().expect("a folder")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    let said = ask(stranger);
    assert!(said.starts_with("refused"), "the mode of the socket is in the way: {said}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("chmod");
    let said = ask(User::root().command(find_program("setpriv", "util-linux"), mount.home()));
    assert!(said.starts_with("refused") || said.contains("heard b''"), "{said}");
}

#[test]
fn s145_flush_has_all_that_was_written_saved() {
    let samba = Samba::start();
    let runtime = Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let mount = Mount::new(&samba).through(&relay).start();
    let mut writer = mount
        .command("bash")
        .args([
            "-c",
            "exec 3> mnt/file; printf written >&3; echo > ready; read a; printf ' later' >&3; read a || true",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash starts");
    wait_until("it is written", || mount.home().join("ready").exists());
    let flush = |dir: &str| mount.sharefs(["flush", dir]);
    let output = flush("mnt");
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"written");
    let mut talk = Talk::to(&mount);
    assert_eq!(talk.ask(&json!({ "request": "statistics" }))["ok"]["cache_dirty_bytes"], json!(0));
    assert!(said(&flush(".")).contains("[not-mounted]"));
    // It waits for a server that is away.
    relay.refuse(true);
    relay.cut();
    wait_until("the loss is told", || {
        talk.ask(&json!({ "request": "statistics" }))["ok"]["connected"] == json!(false)
    });
    writeln!(writer.stdin.as_mut().expect("a pipe")).expect("bash listens");
    wait_until("more is written", || {
        talk.ask(&json!({ "request": "statistics" }))["ok"]["cache_dirty_bytes"] == json!(6)
    });
    talk.say("{\"request\":\"flush\"}\n");
    relay.refuse(false);
    assert_eq!(talk.hear(), json!({ "ok": null }));
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"written later");
    drop(writer.stdin.take());
    assert!(writer.wait().expect("its end").success());
}

#[test]
fn s145_flush_says_what_could_not_be_saved() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).options(["soft", "timeo=3"]).start();
    let mut writer = mount
        .command("bash")
        .args([
            "-c",
            "exec 3> mnt/file; echo open > ready; read line; echo y >&3; echo z > written; read line",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash starts");
    wait_until("the file is open", || mount.home().join("ready").exists());
    samba.kill_hard();
    writer.stdin.as_mut().expect("a pipe").write_all(b"go\n").expect("bash listens");
    wait_until("it is written", || mount.home().join("written").exists());
    let output = mount.sharefs(["flush", "mnt"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("file: ") && said(&output).contains("[not-saved]"), "{}", said(&output));
    drop(writer.stdin.take());
    writer.wait().expect("its end");
}

#[test]
fn s146_what_is_logged_changes_at_once() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    mount.shell("ls mnt/none 2> /dev/null || true");
    assert_eq!(mount.log(), "");
    let change = |filter: &str| mount.sharefs(["log", "mnt", filter]);
    assert!(change("debug").status.success());
    mount.shell("ls mnt/none-either 2> /dev/null || true");
    wait_until("it is logged", || mount.log().contains("DEBUG"));
    assert!(!mount.log().contains(samba.password()));
    for wrong in ["", "fs_core=loud", "=,="] {
        assert!(said(&change(wrong)).contains("filter"), "{wrong:?}");
    }
    assert!(change("off").status.success());
}

#[test]
fn s144_a_process_that_does_not_answer_is_not_waited_for() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let process = serving(&mount);
    kill_process(process, Signal::STOP).expect("the signal");
    let output = mount.sharefs(["reload", "mnt"]);
    kill_process(process, Signal::CONT).expect("the signal");
    assert!(said(&output).contains("[serving-silent]"), "{}", said(&output));
    assert!(mount.sharefs(["reload", "mnt"]).status.success());
}

#[test]
fn s147_mounts_tell_their_statistics() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    mount.shell("printf 12345 > mnt/file; cat mnt/file");
    let stats = |arguments: &[&str]| {
        let output = mount.sharefs([&["stats"], arguments].concat());
        (output.status.success(), said(&output))
    };
    let (well, text) = stats(&["--json"]);
    let all: Value = serde_json::from_str(&text).expect("JSON");
    assert!(
        well && all[0]["written_bytes"] == json!(5) && all[0]["source"] == json!(mount.source()),
        "{text}"
    );
    let (well, text) = stats(&["mnt"]);
    assert!(well && text.contains("written 5 B") && text.contains(mount.source()), "{text}");
    let (well, text) = stats(&["--prometheus"]);
    let written = text.lines().find(|line| line.starts_with("sharefs_written_bytes_total{"));
    assert!(well && written.is_some_and(|line| line.ends_with(" 5")), "{text}");
    assert!(text.contains("# TYPE sharefs_written_bytes_total counter"));
    assert!(stats(&["."]).1.contains("[not-mounted]"));
    // Who does not answer keeps nobody from the rest.
    let process = serving(&mount);
    kill_process(process, Signal::STOP).expect("the signal");
    let (silent, scraped) = (stats(&[]), stats(&["--prometheus"]));
    kill_process(process, Signal::CONT).expect("the signal");
    assert!(!silent.0 && silent.1.contains("[serving-silent]"), "{}", silent.1);
    assert!(
        scraped.0 && scraped.1.lines().any(|line| line.starts_with("sharefs_up{") && line.ends_with(" 0"))
    );
}
