//! The connection breaks under a mount, or the server is started anew (S110 and on).

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use sharefs_tests::{Attack, Mount, Relay, Samba, SambaBuilder, wait_until};
use tokio::runtime::Runtime;

use crate::help::REFUSED;

/// A server that keeps opens for clients whose connection broke, which Samba does only where nobody else uses the files.
fn durable() -> SambaBuilder {
    Samba::builder()
        .share("kernel share modes", "no")
        .share("kernel oplocks", "no")
        .share("posix locking", "no")
        .share("durable handles", "yes")
}

/// A relay to a server, and the threads that it runs on.
struct Line {
    _runtime: Runtime,
    relay: Relay,
}

impl Line {
    fn to(samba: &Samba) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let relay = runtime.block_on(Relay::start(samba.socket()));
        Self { _runtime: runtime, relay }
    }
}

/// A Python of the user that does one line after the other, and says when each is done.
struct Python {
    child: Child,
    input: ChildStdin,
    lines: std::io::Lines<std::io::BufReader<std::process::ChildStdout>>,
}

impl Python {
    fn start(mount: &Mount) -> Self {
        use std::io::BufRead;
        let mut child = mount
            .command("bash")
            .args(["-c", "python3 -u -c \"$0\"", LOOP])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let input = child.stdin.take().expect("a pipe");
        let lines = std::io::BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut python = Self { child, input, lines };
        python.run(&format!("exec({:?})", format!("import os, fcntl\nos.chdir('mnt')\n{REFUSED}")));
        python
    }

    /// What a line of Python leaves in `_`, or its error.
    fn run(&mut self, line: &str) -> String {
        self.begin(line);
        self.end()
    }

    fn begin(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("python3 listens");
    }

    fn end(&mut self) -> String {
        self.lines.next().expect("python3 answers").expect("text")
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOOP: &str = r"
import sys
names = {}
for line in sys.stdin:
    names['_'] = ''
    try:
        exec(line, names)
        print(repr(names['_']))
    except OSError as error:
        import errno
        print(errno.errorcode[error.errno])
";

fn state(mount: &Mount) -> String {
    let output = mount.sharefs(["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    status[0]["state"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn s110_a_restarted_server_is_found_again() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let mut python = Python::start(&mount);
    python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'before ')");
    samba.restart();
    assert_eq!(python.run("_ = os.write(f, b'after ')"), "6");
    samba.kill_hard();
    python.begin("os.write(f, b'waited'); os.fsync(f); _ = os.pread(f, 100, 0)");
    std::thread::sleep(Duration::from_millis(300));
    samba.launch();
    assert_eq!(python.end(), "b'before after waited'");
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"before after waited");
    mount.shell("echo new > mnt/new; ls mnt | grep -q new; mv mnt/new mnt/newer; rm mnt/newer");
    assert_eq!(state(&mount), "ok");
}

/// Mounted before its server is there, and well as soon as that is.
#[test]
fn s128_a_mount_can_come_before_its_server() {
    for builder in [Samba::builder(), Samba::builder().newer().posix()] {
        let samba = builder.start();
        let line = Line::to(&samba);
        line.relay.refuse(true);
        let attempt =
            |options: [&'static str; 3]| Mount::new(&samba).through(&line.relay).options(options).attempt();
        let (mount, output) = attempt(["soft", "timeo=2", "rw"]);
        assert!(!output.status.success() && !mount.is_mounted(), "{output:?}");
        let (mount, output) = attempt(["soft", "timeo=2", "delay_connect"]);
        assert!(output.status.success() && mount.is_mounted(), "{output:?}");
        let note = String::from_utf8_lossy(&output.stderr);
        assert!(note.contains("there is no connection yet"), "{note}");
        assert!(state(&mount).starts_with("reconnecting: "), "{}", state(&mount));
        let listing = mount.shell_output("ls mnt");
        assert!(!listing.status.success() && listing.stdout.is_empty(), "{listing:?}");
        line.relay.refuse(false);
        wait_until("the mount is well", || state(&mount) == "ok");
        mount.shell("echo here > mnt/file && echo Here > mnt/other && ls mnt | grep -q file");
        assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"here\n");
        let status = mount.sharefs(["status"]);
        assert!(String::from_utf8_lossy(&status.stdout).contains("SMB 3.1.1"), "{status:?}");
        let output = mount.umount();
        assert!(output.status.success(), "{output:?}");
    }
    // Where the server is there it is a mount as any.
    let samba = Samba::start();
    let (mount, output) = Mount::new(&samba).options(["delay_connect"]).attempt();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(state(&mount), "ok");
}

/// Neither what another open has had since, nor the open once its lock is given back, makes up for a lock that is lost.
#[test]
fn s112_a_lost_lock_keeps_memory_away() {
    let samba = Samba::start();
    let line = Line::to(&samba);
    let mount = Mount::new(&samba).through(&line.relay).start();
    let rivals = Mount::new(&samba).start();
    let (mut holder, mut other) = (Python::start(&mount), Python::start(&mount));
    holder
        .run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'1'); fcntl.lockf(f, fcntl.LOCK_EX)");
    assert_eq!(holder.run("os.fsync(f); _ = os.pread(f, 9, 0)"), "b'1'");
    line.relay.refuse(true);
    line.relay.cut();
    let mut rival = Python::start(&rivals);
    assert_eq!(
        rival.run("g = os.open('file', os.O_RDWR); fcntl.lockf(g, fcntl.LOCK_EX); _ = os.write(g, b'22')"),
        "2"
    );
    assert_eq!(rival.run("os.close(g)"), "''");
    line.relay.refuse(false);
    other.run("g = os.open('file', os.O_RDWR)");
    wait_until("it is noticed", || other.run("_ = os.pread(g, 9, 0)") == "ESTALE");
    assert_eq!(holder.run("_ = os.pwrite(f, b'2', 0)"), "ESTALE");
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"22");
    holder.run("fcntl.lockf(f, fcntl.LOCK_UN)");
    assert_eq!(other.run("os.close(g); g = os.open('file', os.O_RDWR); _ = os.pread(g, 9, 0)"), "b'22'");
    assert_eq!(other.run("os.pwrite(g, b'3', 1); os.fsync(g); _ = os.pread(g, 9, 0)"), "b'23'");
    holder.run("os.close(f)");
    assert_eq!(holder.run("f = os.open('file', os.O_RDWR); _ = os.pread(f, 9, 0)"), "b'23'");
    holder.run("fcntl.lockf(f, fcntl.LOCK_EX)");
    assert_eq!(holder.run("_ = os.pwrite(f, b'4', 0)"), "1");
    holder.run("os.close(f)");
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"43");
}

#[test]
fn s111_an_open_that_the_server_keeps_is_had_again() {
    for builder in [durable(), durable().newer()] {
        let samba = builder.start();
        let line = Line::to(&samba);
        let mount = Mount::new(&samba).through(&line.relay).start();
        let mut python = Python::start(&mount);
        python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'one')");
        python.run("os.fsync(f)");
        let share = samba.share_path();
        line.relay.cut();
        assert_eq!(python.run("_ = os.write(f, b' two')"), "4");
        assert_eq!(python.run("os.fsync(f); _ = os.pread(f, 100, 0)"), "b'one two'");
        assert_eq!(fs::read(share.join("file")).expect("the file"), b"one two");
    }
}

#[test]
fn s111_another_file_of_the_name_is_not_taken_for_the_open_one() {
    let samba = Samba::start();
    let line = Line::to(&samba);
    let mount = Mount::new(&samba).through(&line.relay).start();
    let mut python = Python::start(&mount);
    python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'mine'); os.fsync(f)");
    python.run("g = os.open('other', os.O_RDWR | os.O_CREAT); os.write(g, b'also')");
    let share = samba.share_path();
    // The mount is not to be back before it is done.
    line.relay.refuse(true);
    line.relay.cut();
    fs::remove_file(share.join("file")).expect("removed on the server's disk");
    fs::write(share.join("file"), "another's").expect("made on the server's disk");
    fs::set_permissions(share.join("file"), fs::Permissions::from_mode(0o666)).expect("chmod");
    line.relay.refuse(false);
    assert_eq!(python.run("os.write(f, b'X'); os.fsync(f)"), "ESTALE");
    assert_eq!(python.run("os.fsync(g); _ = os.pread(g, 10, 0)"), "b'also'", "only that one is lost");
    assert_eq!(fs::read(share.join("file")).expect("the file"), b"another's");
}

#[test]
fn s112_locks_are_taken_again() {
    for builder in [Samba::builder(), durable()] {
        let samba = builder.start();
        let line = Line::to(&samba);
        let mount = Mount::new(&samba).through(&line.relay).start();
        let other = Mount::new(&samba).start();
        let mut python = Python::start(&mount);
        python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); fcntl.lockf(f, fcntl.LOCK_EX)");
        line.relay.cut();
        assert_eq!(python.run("os.write(f, b'x'); os.fsync(f)"), "''");
        let mut rival = Python::start(&other);
        let take = "g = os.open('file', os.O_RDWR); fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB)";
        assert_eq!(rival.run(take), "EAGAIN");
        python.run("fcntl.lockf(f, fcntl.LOCK_UN)");
        assert_eq!(rival.run("fcntl.lockf(g, fcntl.LOCK_EX | fcntl.LOCK_NB)"), "''");
    }
}

#[test]
fn s112_a_lock_that_another_used_meanwhile_is_lost() {
    let samba = Samba::start();
    let other = Mount::new(&samba).start();
    for (changes, outcome) in [("os.write(g, b'2'); os.fsync(g)", "ESTALE"), ("os.read(g, 1)", "''")] {
        let line = Line::to(&samba);
        let mount = Mount::new(&samba).through(&line.relay).start();
        mount.shell("echo 1 > mnt/file");
        let mut python = Python::start(&mount);
        python.run("f = os.open('file', os.O_RDWR); fcntl.lockf(f, fcntl.LOCK_EX)");
        line.relay.refuse(true);
        line.relay.cut();
        let mut rival = Python::start(&other);
        assert_eq!(rival.run("g = os.open('file', os.O_RDWR); fcntl.lockf(g, fcntl.LOCK_EX)"), "''");
        assert_eq!(rival.run(&format!("{changes}; _ = ''")), "''");
        assert_eq!(rival.run("os.close(g)"), "''");
        line.relay.refuse(false);
        assert_eq!(python.run("os.pwrite(f, b'x', 0); os.fsync(f)"), outcome, "after {changes}");
    }
}

/// Every command succeeds, and nothing is done twice, while the connection is cut all the time.
#[test]
fn s113_what_was_under_way_is_done_once() {
    under_cuts(Samba::builder(), &["mfsymlinks"]);
    under_cuts(durable().newer(), &[]);
}

fn under_cuts(builder: SambaBuilder, options: &[&str]) {
    let samba = builder.start();
    let line = Line::to(&samba);
    let mount = Mount::new(&samba).through(&line.relay).options(options.iter().copied()).start();
    let mut work = mount
        .command("bash")
        .arg("-ec")
        .arg(
            r#"cd mnt
            for i in $(seq 12); do
                mkdir d$i; set -C; echo $i > d$i/a; set +C; echo more >> d$i/a
                ln d$i/a d$i/b; ln -s a d$i/s; mv d$i/a d$i/c; rm d$i/b; chmod 444 d$i/c
                [ "$(ls d$i | tr '\n' ' ')" = "c s " ]
                [ "$(cat d$i/c)" = "$i"$'\n'more ]
                chmod 644 d$i/c; rm d$i/c d$i/s; rmdir d$i
            done"#,
        )
        .spawn()
        .expect("bash starts");
    let mut cuts = 0;
    while work.try_wait().expect("a child").is_none() {
        // Somewhere within the server's answers: at another byte each time.
        line.relay.cut_after(600 + cuts % 37 * 97);
        std::thread::sleep(Duration::from_millis(60));
        cuts += 1;
    }
    line.relay.cut_after(u64::MAX);
    assert!(work.wait().expect("bash ends").success(), "after {cuts} cuts");
    assert!(cuts > 10, "the connection was cut {cuts} times");
    // What an old session of the server's still holds goes with that.
    wait_until("nothing is left", || fs::read_dir(samba.share_path()).expect("the share").count() == 0);
}

#[test]
fn s114_what_is_known_is_shown_while_the_server_is_away() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).options(["soft", "timeo=2"]).start();
    mount.shell("echo known > mnt/file; stat mnt/file > /dev/null");
    samba.kill_hard();
    wait_until("the loss is noticed", || state(&mount).starts_with("reconnecting"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(mount.shell("stat -c %s mnt/file"), "6\n");
    let output = mount.shell_output("stat mnt/unknown");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("Host is down"), "{said}");
    let output = mount.shell_output("echo x >> mnt/file");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("timed out"), "{said}");
    samba.launch();
    wait_until("the server is back", || state(&mount) == "ok");
    mount.shell("echo x > mnt/new; cat mnt/file");
}

/// Dirty data of a leased file is written after the connection came back.
#[test]
fn s115_what_was_written_is_not_lost() {
    for builder in [Samba::builder(), durable(), Samba::builder().newer()] {
        let samba = builder.start();
        let line = Line::to(&samba);
        let mount = Mount::new(&samba).through(&line.relay).start();
        mount.shell("head -c 40000000 /dev/urandom > local");
        let mut copy = mount.command("cp").args(["local", "mnt/file"]).spawn().expect("cp starts");
        let mut cuts = 0;
        while copy.try_wait().expect("a child").is_none() {
            line.relay.cut();
            cuts += 1;
            std::thread::sleep(Duration::from_millis(150));
        }
        assert!(copy.wait().expect("cp ends").success(), "after {cuts} cuts");
        mount.shell("cmp local mnt/file");
        assert_eq!(
            fs::read(mount.home().join("local")).expect("the copy"),
            fs::read(samba.share_path().join("file")).expect("the file"),
        );
    }
}

#[test]
fn s116_status_says_why_a_mount_waits() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).start();
    samba.kill_hard();
    wait_until("the loss is noticed", || state(&mount).starts_with("reconnecting"));
    let began = Instant::now();
    assert!(mount.umount().status.success());
    assert!(began.elapsed() < Duration::from_secs(20), "unmounting does not wait for the server");
    assert!(!mount.is_mounted());
}

/// A share that goes away while its server stays is found again like a server.
#[test]
fn a_share_that_is_closed_by_the_administrator_is_found_again() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let mut python = Python::start(&mount);
    python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'before ')");
    samba.close_share("data");
    assert_eq!(python.run("os.write(f, b'after'); os.fsync(f)"), "''");
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"before after");
}

/// A password that was changed on the server is looked for in the credentials file, which may be changed later.
#[test]
fn s117_a_changed_password_is_picked_up() {
    let samba = Samba::start();
    let line = Line::to(&samba);
    let mount = Mount::new(&samba).through(&line.relay).start();
    let mut python = Python::start(&mount);
    python.run("f = os.open('file', os.O_RDWR | os.O_CREAT); os.write(f, b'before ')");
    samba.set_password("Another-word-4711");
    line.relay.cut();
    wait_until("the refusal is told", || state(&mount).starts_with("failed"));
    python.begin("_ = os.write(f, b'after'); os.fsync(f)");
    let login = fs::read_to_string(mount.credentials()).expect("the credentials file");
    let changed = login.replace(samba.password(), "Another-word-4711");
    assert_ne!(changed, login);
    fs::write(mount.credentials(), changed).expect("the credentials file");
    let reload = |path: &Path| mount.sharefs([OsStr::new("reload"), path.as_os_str()]);
    assert!(!reload(mount.home()).status.success(), "nothing is mounted there");
    assert!(reload(mount.path()).status.success());
    assert_eq!(python.end(), "5");
    wait_until("it is well again", || state(&mount) == "ok");
    assert_eq!(fs::read(samba.share_path().join("file")).expect("the file"), b"before after");
}

#[test]
fn s119_nobody_in_the_middle_gets_in_with_a_new_connection() {
    let samba = Samba::start();
    for attack in Attack::ALL {
        let line = Line::to(&samba);
        if attack == Attack::Recorded {
            line.relay.meddle(Some(attack.meddler()));
        }
        let mount = Mount::new(&samba).through(&line.relay).start();
        let mut python = Python::start(&mount);
        python.run(
            "f = os.open('file', os.O_RDWR | os.O_CREAT | os.O_TRUNC); os.write(f, b'before '); os.fsync(f)",
        );
        if attack != Attack::Recorded {
            line.relay.meddle(Some(attack.meddler()));
        }
        line.relay.cut();
        python.begin("os.write(f, b'after'); os.fsync(f); _ = os.pread(f, 100, 0)");
        let says = match attack {
            Attack::OlderDialect => "less protection than before",
            Attack::OlderDialectAnswered | Attack::WeakerCipher | Attack::WeakerSigning | Attack::Forged => {
                "signature"
            }
            Attack::Recorded => "mechListMIC",
            Attack::Unsigned | Attack::Answered => "must be signed",
            Attack::Replayed => "not asked",
        };
        wait_until(&format!("{attack:?} is noticed"), || state(&mount).contains(says));
        line.relay.meddle(None);
        assert_eq!(python.end(), "b'before after'", "{attack:?}");
    }
}
