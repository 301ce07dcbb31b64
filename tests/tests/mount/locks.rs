//! Byte-range locks: S70 to S79.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use sharefs_tests::{Mount, Relay, Samba};
use tokio::runtime::Runtime;

/// Two mounts of one server.
fn two(options: &'static str) -> (Samba, Mount, Mount) {
    let samba = Samba::start();
    let mount = |samba| Mount::new(samba).options([options]).start();
    let (one, other) = (mount(&samba), mount(&samba));
    (samba, one, other)
}

/// What both processes of a test run: `other` does something in the second mount and says how it went.
const PRELUDE: &str = r#"
import errno, fcntl, os, signal, struct, subprocess, sys, time
RD, WR, UN = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
OFD_SETLK, OFD_SETLKW = 37, 38
def op(f, kind, start, length, cmd=fcntl.F_SETLK):
    fcntl.fcntl(f, cmd, struct.pack('hhqqi4x', kind, 0, start, length, 0))
def may(f, kind, start, length, cmd=fcntl.F_SETLK):
    try:
        op(f, kind, start, length, cmd)
    except OSError as e:
        assert e.errno in (errno.EAGAIN, errno.EACCES), e
        return False
    return True
def tests(f, kind, start, length):
    """The kind, start, length and process of the lock that is in the way."""
    answer = fcntl.fcntl(f, fcntl.F_GETLK, struct.pack('hhqqi4x', kind, 0, start, length, 0))
    kind, _, start, length, pid = struct.unpack('hhqqi4x', answer)
    return None if kind == UN else (kind, start, length, pid)
class Other:
    def __init__(self, path):
        self.child = subprocess.Popen([sys.executable, __file__, path],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    def send(self, text):
        self.child.stdin.write(text + '\n'); self.child.stdin.flush()
    def get(self):
        return eval(self.child.stdout.readline())
    def __call__(self, text):
        self.send(text)
        return self.get()
    def end(self):
        self.child.kill(); self.child.wait()
if __name__ == '__main__':
    f = os.open(sys.argv[1], os.O_RDWR)
    for line in sys.stdin:
        print(repr(eval(line)), flush=True)
"#;

/// Runs Python as the user of `one`, with `one` and `other` as the paths of a file in both mounts.
fn python(one: &Mount, other: &Mount, script: &str) {
    let file = |mount: &Mount| mount.path().join("file").display().to_string();
    one.shell("test -e mnt/file || head -c 200000 /dev/zero > mnt/file");
    one.shell(&format!(
        "cat > prelude.py <<'END'\n{PRELUDE}\nEND\ncat > s.py <<'END'\nfrom prelude import *\n\
         one, other = {:?}, {:?}\n{script}\nEND\npython3 s.py",
        file(one),
        file(other)
    ));
}

/// Starts Python as the user, as the user's shell finds it.
fn start(mount: &Mount, script: &str) -> Child {
    mount.command("bash").args(["-c", "exec python3 -c \"$0\"", script]).spawn().expect("bash starts")
}

const CONTENTION: &str = "
f = os.open(one, os.O_RDWR)
o = Other(other)
op(f, WR, 10, 10)
assert not o('may(f, WR, 10, 1)') and not o('may(f, RD, 19, 5)') and o('may(f, WR, 20, 10)') and o('may(f, WR, 0, 10)')
assert not may(f, RD, 5, 1) and not may(f, WR, 0, 0)
o('op(f, UN, 0, 0)')
# Parts, and less than before.
op(f, WR, 0, 100)
op(f, UN, 40, 20)
assert o('may(f, WR, 40, 20)') and not o('may(f, RD, 39, 1)') and not o('may(f, RD, 60, 1)')
o('op(f, UN, 0, 0)')
op(f, RD, 0, 10)
assert o('may(f, RD, 0, 10)') and not o('may(f, WR, 0, 10)') and not may(f, WR, 0, 10)
o('op(f, UN, 0, 0)')
op(f, WR, 0, 10)
assert not o('may(f, RD, 0, 10)')
op(f, RD, 0, 10)
assert o('may(f, RD, 0, 10)')
o('op(f, UN, 0, 0)')
# To the end, wherever that is.
op(f, UN, 0, 0)
op(f, WR, 1000000, 0)
assert not o('may(f, RD, 1 << 40, 1)') and o('may(f, WR, 0, 1000000)')
o('op(f, UN, 0, 0)')
# Closing any descriptor ends all of the process's locks.
os.close(os.open(one, os.O_RDONLY))
assert o('may(f, WR, 0, 0)')
o('op(f, UN, 0, 0)')
op(f, WR, 0, 0)
os.close(f)
assert o('may(f, WR, 0, 0)')
o.end()
f = os.open(one, os.O_RDWR)
for _ in range(100):
    if may(f, WR, 0, 0):
        break
    time.sleep(0.05)
else:
    raise AssertionError('a process that has ended holds a lock')
";

#[test]
fn s70_locks_hold_between_mounts() {
    let (_samba, one, other) = two("actimeo=1");
    python(&one, &other, CONTENTION);
}

#[test]
fn s70_and_between_programs_of_one_mount() {
    let (_samba, one, _other) = two("actimeo=1");
    python(&one, &one, CONTENTION);
}

#[test]
fn s71_who_holds_a_lock_is_told() {
    let (_samba, one, other) = two("actimeo=1");
    python(
        &one,
        &other,
        "f = os.open(one, os.O_RDWR)
near, far = Other(one), Other(other)
op(f, WR, 10, 10); op(f, RD, 50, 0)
assert near('tests(f, RD, 0, 0)') == (WR, 10, 10, os.getpid()), near('tests(f, RD, 0, 0)')
assert near('tests(f, RD, 20, 0)') is None and near('tests(f, WR, 60, 1)')[0] == RD
assert far('tests(f, RD, 0, 20)')[0] == WR and far('tests(f, RD, 30, 40)') is None and far('tests(f, WR, 50, 1)')[0] == RD
assert tests(f, WR, 0, 0) is None
near.end(); far.end()",
    );
}

#[test]
fn s72_a_lock_is_waited_for_and_the_wait_can_be_interrupted() {
    let (_samba, one, other) = two("actimeo=1");
    for (one, other) in [(&one, &other), (&one, &one)] {
        python(
            one,
            other,
            "f = os.open(one, os.O_RDWR)
for kind in (WR, RD):
    o = Other(other)
    op(f, WR, 0, 10)
    o.send('op(f, %d, 5, 10, fcntl.F_SETLKW)' % kind)
    time.sleep(0.5)
    op(f, UN, 0, 10)
    start = time.time()
    assert o.get() is None
    assert time.time() - start < 3, time.time() - start
    assert not may(f, WR, 0, 10)
    o.end()
    time.sleep(0.3)
# Making it exclusive waits for the other reader.
o = Other(other)
o('op(f, RD, 0, 10)')
op(f, RD, 0, 10)
o.send('(time.sleep(0.5), op(f, UN, 0, 10))')
op(f, WR, 0, 10, fcntl.F_SETLKW)
o.get()
assert not o('may(f, RD, 0, 10)')
# A signal.
o.send('(signal.signal(signal.SIGALRM, lambda *a: 1 / 0), signal.alarm(1), op(f, WR, 0, 10, fcntl.F_SETLKW))')
o.child.wait(10)
# And the end of the process.
o = Other(other)
o.send('op(f, WR, 0, 10, fcntl.F_SETLKW)')
time.sleep(0.5)
o.child.kill()
o.child.wait(10)
op(f, UN, 0, 10)
o = Other(other)
assert o('may(f, WR, 0, 10)')
o.end()",
        );
    }
}

#[test]
fn s73_flock_and_locks_of_open_files() {
    let (_samba, one, other) = two("actimeo=1");
    for (one, other) in [(&one, &other), (&one, &one)] {
        python(
            one,
            other,
            "f, g = os.open(one, os.O_RDWR), os.open(one, os.O_RDWR)
o = Other(other)
# Of open files: two of one process are strangers to each other.
op(f, WR, 0, 10, OFD_SETLK)
assert not may(g, RD, 0, 1, OFD_SETLK) and not o('may(f, RD, 0, 1, OFD_SETLK)')
d = os.dup(f); os.close(d)
assert not o('may(f, RD, 0, 1, OFD_SETLK)')
os.close(f)
for _ in range(100):
    if o('may(f, WR, 0, 10, OFD_SETLK)'): break
    time.sleep(0.05)
else: raise AssertionError('still locked')
o('op(f, UN, 0, 10, OFD_SETLK)')
# flock.
f = os.open(one, os.O_RDONLY)
fcntl.flock(f, fcntl.LOCK_EX)
def flocks(h, how):
    try: fcntl.flock(h, how | fcntl.LOCK_NB)
    except BlockingIOError: return False
    return True
assert not flocks(g, fcntl.LOCK_SH)
assert subprocess.run(['flock', '-n', other, 'true']).returncode == 1
fcntl.flock(f, fcntl.LOCK_SH)
assert flocks(g, fcntl.LOCK_SH) and subprocess.run(['flock', '-n', '-s', other, 'true']).returncode == 0
assert subprocess.run(['flock', '-n', other, 'true']).returncode == 1
os.close(g); os.close(f)
assert subprocess.run(['flock', '-w', '5', other, 'true']).returncode == 0
o.end()",
        );
    }
}

#[test]
fn s74_what_is_written_under_a_lock_is_there_for_the_next_holder() {
    let (_samba, one, other) = two("actimeo=60");
    let counter = |mount: &Mount| -> Child {
        let script = r#"
import fcntl, os, sys
f = os.open('mnt/counter', os.O_RDWR | os.O_CREAT)
for i in range(100):
    fcntl.lockf(f, fcntl.LOCK_EX)
    n = int(os.pread(f, 100, 0).strip(b'\0') or b'0')
    os.pwrite(f, b'%d' % (n + 1), 0)
    os.pwrite(f, b'%d' % (n + 1), 1000000 + 4096 * n)
    fcntl.lockf(f, fcntl.LOCK_UN)
"#;
        start(mount, script)
    };
    let children: Vec<Child> = [&one, &other, &one, &other].map(counter).into();
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    assert_eq!(one.shell("tr -d '\\0' < mnt/counter | head -c 3"), "400");
    assert_eq!(other.shell("tr -d '\\0' < mnt/counter | head -c 3"), "400");
}

/// Another that reads the file as well may have changed it a moment ago: the word of that may come after the lock.
#[test]
fn s74_who_locks_what_others_read_asks_the_server() {
    let samba = Samba::start();
    let runtime = Runtime::new().expect("a runtime");
    let relay = runtime.block_on(Relay::start(samba.socket()));
    let one = Mount::new(&samba).through(&relay).start();
    let other = Mount::new(&samba).start();
    one.shell("echo 1 > mnt/file");
    let mut reader = other.command("bash");
    let reader = reader.args(["-c", "exec 3< mnt/file; read -u 3; echo ready; cat"]).stdin(Stdio::piped());
    let mut reader = reader.stdout(Stdio::piped()).spawn().expect("bash starts");
    let ready = BufReader::new(reader.stdout.take().expect("a pipe")).lines().next();
    assert_eq!(ready.expect("a line").expect("text"), "ready");
    let script = r"
import fcntl, os, sys
f = os.open('mnt/file', os.O_RDWR)
for line in sys.stdin:
    if line == 'lock\n':
        fcntl.lockf(f, fcntl.LOCK_EX)
    print(os.pread(f, 9, 0), flush=True)
";
    let mut python = one.command("bash");
    let python = python.args(["-c", "exec python3 -c \"$0\"", script]);
    let python = python.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().expect("python3 starts");
    let mut answers = BufReader::new(python.stdout.take().expect("a pipe")).lines();
    let mut read = |line: &str| {
        writeln!(python.stdin.as_mut().expect("a pipe"), "{line}").expect("python3 listens");
        assert_eq!(answers.next().expect("an answer").expect("text"), r"b'1\n'");
    };
    read("");
    let before = relay.requests();
    read("");
    assert_eq!(relay.requests(), before, "it is kept under the lease");
    read("lock");
    assert!(relay.requests() > before + 2, "a lock, the attributes and what is read");
    drop(python.stdin.take());
    python.wait().expect("its end");
    drop(reader.stdin.take());
    reader.wait().expect("its end");
}

#[test]
fn s75_locks_can_stay_on_this_mount() {
    let (_samba, one, other) = two("nobrl");
    python(
        &one,
        &other,
        "f = os.open(one, os.O_RDWR)
near, far = Other(one), Other(other)
op(f, WR, 0, 10)
assert not near('may(f, RD, 0, 1)') and far('may(f, WR, 0, 10)') and near('tests(f, RD, 0, 1)')[0] == WR
near.end(); far.end()",
    );
}

/// Writers of a database on both mounts, in the modes in which SQLite can share it between machines.
fn sqlite(one: &Mount, other: &Mount, pragmas: &str, writers_each: usize) {
    let writer = |mount: &Mount, name: usize| {
        let script = format!(
            r#"
import random, sqlite3, time, sys
db = None
def connect():
    global db
    # Two that both read and both wait for the other to stop wait as long as this, on any file system.
    db = sqlite3.connect('mnt/test.db', timeout=random.uniform(0.5, 2), isolation_level=None)
    {pragmas}
done = 0
deadline = time.time() + 120
while done < 25:
    assert time.time() < deadline, done
    try:
        connect()
        for _ in range(min(5, 25 - done)):
            db.execute('BEGIN IMMEDIATE')
            n, = db.execute('SELECT count(*) FROM t').fetchone()
            db.execute('INSERT INTO t VALUES (NULL, ?, ?, ?)', ({name}, n, 'x' * (n % 3000)))
            db.execute('UPDATE total SET n = n + 1')
            db.execute('COMMIT')
            done += 1
        db.close()
    except sqlite3.OperationalError as e:
        assert 'locked' in str(e) or 'busy' in str(e), e
        db.close()
        time.sleep(random.uniform(0, 0.1))
"#
        );
        start(mount, &script)
    };
    let prepare = format!(
        "python3 -c \"
import sqlite3
db = sqlite3.connect('mnt/test.db', isolation_level=None)
{pragmas}
db.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, who INTEGER, n INTEGER, text TEXT)')
db.execute('CREATE TABLE total (n INTEGER)'); db.execute('INSERT INTO total VALUES (0)'); db.close()\""
    );
    one.shell(&prepare);
    let mut children = Vec::new();
    for i in 0..writers_each {
        children.push(writer(one, 2 * i));
        children.push(writer(other, 2 * i + 1));
    }
    for mut child in children {
        assert!(child.wait().expect("it ends").success());
    }
    let all = writers_each * 50;
    for mount in [one, other] {
        let said = mount.shell(
            "sqlite3 mnt/test.db 'PRAGMA integrity_check; SELECT count(*), count(DISTINCT n) FROM t; SELECT n FROM total'",
        );
        assert_eq!(said, format!("ok\n{all}|{all}\n{all}\n"));
    }
}

#[test]
fn s76_databases_stay_whole_with_writers_on_two_mounts() {
    let (_samba, one, other) = two("actimeo=60");
    sqlite(&one, &other, "db.execute('PRAGMA journal_mode=DELETE')", 2);
}

#[test]
fn s77_also_with_a_log_that_is_held_by_one_at_a_time() {
    let (_samba, one, other) = two("actimeo=60");
    sqlite(
        &one,
        &other,
        "db.execute('PRAGMA locking_mode=EXCLUSIVE'); db.execute('PRAGMA journal_mode=WAL')",
        1,
    );
}

#[test]
fn s77_and_with_a_log_that_programs_of_one_mount_share() {
    let (_samba, one, _other) = two("actimeo=60");
    sqlite(&one, &one, "db.execute('PRAGMA journal_mode=WAL')", 2);
}
