//! `sharefs exec`: a mount for a command (S148 and S149).

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sharefs_tests::{Mount, Samba, sharefs_binary, wait_until};

/// How a command ended, and what was said.
fn outcome(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat();
    (output.status.code().expect("an exit code"), text)
}

/// `exec` of a user who has no mount but those that it makes.
struct Job {
    mount: Mount,
    options: String,
}

impl Job {
    fn new(samba: &Samba) -> Self {
        Self::of(samba, Mount::new(samba).start())
    }

    fn of(samba: &Samba, mount: Mount) -> Self {
        assert!(mount.umount().status.success());
        let options = format!("port={},credentials={}", samba.socket().port(), mount.credentials().display());
        Self { mount, options }
    }

    fn command(&self, before: &[&str], command: &[&str]) -> Command {
        let mut exec = self.mount.command(sharefs_binary());
        exec.args(["exec", "--with-mount", self.mount.source(), "-o", &self.options]);
        exec.args(before).arg("--").args(command);
        exec
    }

    fn run(&self, before: &[&str], command: &[&str]) -> (i32, String) {
        outcome(&self.command(before, command).output().expect("sharefs starts"))
    }

    /// No process serves a mount for this user, and no folder is left of one.
    fn nothing_is_left(&self) -> bool {
        let status = outcome(&self.mount.sharefs(["status"])).1;
        let runtime = self.mount.home().join("sharefs");
        let folder = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("exec-");
        let folders = fs::read_dir(runtime).into_iter().flatten().flatten().any(folder);
        status.contains("Nothing is mounted") && !folders
    }
}

#[test]
fn s148_a_command_has_a_share_mounted_for_it() {
    let samba = Samba::start();
    let job = Job::new(&samba);
    let mount = &job.mount;
    for how in [&[][..], &["--shared"]] {
        let write = "cat > {}/file; test $PWD = $0; ls $SHAREFS_DIR; grep -c \" $SHAREFS_DIR .*fuse.sharefs\" /proc/self/mountinfo; exit 7";
        let mut command = job.command(
            how,
            &["bash", "-c", &write.replace("{}", "$1"), &mount.home().display().to_string(), "{}"],
        );
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sharefs starts");
        child.stdin.take().expect("a pipe").write_all(b"written").expect("it is read");
        let (code, said) = outcome(&child.wait_with_output().expect("its end"));
        assert_eq!((code, &*said), (7, "file\n1\n"), "{how:?}");
        assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"written");
        fs::remove_file(samba.share_path().join("file")).expect("removed");
        assert!(job.nothing_is_left());
    }
    let at = mount.home().join("mnt").display().to_string();
    assert_eq!(job.run(&["--at", &at], &["bash", "-c", "echo x > mnt/file; cat {}/file", "-"]).0, 1);
    assert_eq!(job.run(&["--at", &at], &["cat", "{}/file"]), (0, "x\n".into()));
    assert_eq!(job.run(&[], &["bash", "-c", "kill -KILL $$"]).0, 128 + 9);
    assert_eq!(job.run(&[], &["./no-such-command"]).0, 127);
    assert_eq!(job.run(&[], &["/"]).0, 126);
    let right = fs::read_to_string(mount.credentials()).expect("the credentials");
    fs::write(mount.credentials(), right.replace("password=", "password=not")).expect("written");
    let (code, said) = job.run(&[], &["touch", "ran"]);
    assert!(code == 125 && said.contains("[logon-refused]") && !mount.home().join("ran").exists(), "{said}");
    assert!(job.nothing_is_left());
}

/// Others of the same user see it only if that is wanted.
#[test]
fn s148_the_mount_is_the_commands_own() {
    let samba = Samba::start();
    for builder in [Mount::new(&samba), Mount::new(&samba).by_root()] {
        let job = Job::of(&samba, builder.start());
        let mount = &job.mount;
        for (how, seen) in [(&[][..], "no\n"), (&["--shared"], "yes\n")] {
            let mut command = job.command(how, &["bash", "-c", "echo $SHAREFS_DIR; read line"]);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("sharefs starts");
            let mut dir = String::new();
            let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
            out.read_line(&mut dir).expect("a line");
            let look = format!("mountpoint -q {} && echo yes || echo no", dir.trim());
            assert_eq!(mount.shell(&look), seen);
            let status = outcome(&mount.sharefs(["status"])).1;
            assert!(status.contains(&format!("on {}\n  state       ok", dir.trim())), "{status}");
            drop(child.stdin.take());
            child.wait().expect("its end");
        }
    }
}

#[test]
fn s149_the_mount_ends_with_the_command() {
    let samba = Samba::start();
    let job = Job::new(&samba);
    let mount = &job.mount;
    let ways = [&["--shared"][..], &[]].map(|how| [Signal::TERM, Signal::KILL].map(|signal| (how, signal)));
    for (how, signal) in ways.into_iter().flatten() {
        let script = "trap 'echo told > told; exit 3' TERM; echo x > $SHAREFS_DIR/file; echo $$ > pid; mv pid ready; while :; do sleep 0.05; done";
        let mut child = job.command(how, &["bash", "-c", script]).spawn().expect("sharefs starts");
        wait_until("the command runs", || mount.home().join("ready").exists());
        kill_process(Pid::from_child(&child), signal).expect("the signal");
        let status = child.wait().expect("its end");
        if signal == Signal::TERM {
            assert_eq!(status.code(), Some(3), "the command's own");
            assert!(mount.home().join("told").exists());
            assert!(job.nothing_is_left());
        } else {
            mount.shell("kill -KILL $(cat ready)");
            wait_until("the mount is gone", || {
                outcome(&mount.sharefs(["status"])).1.contains("Nothing is mounted")
            });
        }
        assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"x\n");
        for name in ["ready", "told"] {
            let _ = fs::remove_file(mount.home().join(name));
        }
    }
}
