//! Programs that wait for the server, and are sent signals: S120 to S124.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sharefs_tests::{Mount, Samba, sha256, wait_until};

/// Far below the time after which a request to a server that is silent fails by itself.
const SOON: Duration = Duration::from_secs(20);
/// How often a person presses ^C.
const INSISTS: Duration = Duration::from_secs(4);
/// Long enough that whatever was started waits for the server.
const WHILE: Duration = Duration::from_millis(1500);

/// What a program does before and after the server is stopped. All of it waits for the server.
const WAITING: [(&str, &str, &str); 14] = [
    ("look up", "", "os.stat('mnt/seen/unseen')"),
    ("attributes", "f = os.open('mnt/seen/a', os.O_RDONLY); time.sleep(1.1)", "os.fstat(f)"),
    ("list", "", "os.listdir('mnt/listed')"),
    ("open", "", "os.open('mnt/seen/b', os.O_RDONLY)"),
    ("read", "f = os.open('mnt/read', os.O_RDONLY)", "os.pread(f, 4096, 50 << 20)"),
    ("read past the cache", "f = os.open('mnt/direct', os.O_RDWR | os.O_DIRECT)", "os.pread(f, 4096, 0)"),
    (
        "write past the cache",
        "f = os.open('mnt/direct2', os.O_RDWR | os.O_DIRECT)",
        "os.pwrite(f, b'x' * 4096, 0)",
    ),
    ("create", "", "os.open('mnt/new', os.O_WRONLY | os.O_CREAT)"),
    ("rename", "", "os.rename('mnt/seen/c', 'mnt/seen/d')"),
    ("make", "", "os.mkdir('mnt/seen/made')"),
    (
        "sync",
        "f = os.open('mnt/synced', os.O_WRONLY | os.O_CREAT); os.fsync(f)",
        "os.write(f, b'kept'); os.fsync(f)",
    ),
    (
        "close",
        "f = os.open('mnt/closed', os.O_WRONLY | os.O_CREAT); os.fsync(f)",
        "os.write(f, b'kept'); os.close(f)",
    ),
    ("space", "", "os.statvfs('mnt')"),
    ("lock", "f = os.open('mnt/locked', os.O_RDWR)", "fcntl.lockf(f, fcntl.LOCK_EX)"),
];

/// Starts Python as the user, as the user's shell finds it.
fn python(mount: &Mount, script: &str) -> Child {
    let script = format!("import fcntl, os, signal, sys, time\n{script}");
    mount.command("bash").args(["-c", "exec python3 -c \"$0\"", &script]).spawn().expect("bash starts")
}

fn send(child: &Child, signal: Signal) {
    let _ = kill_process(Pid::from_child(child), signal);
}

/// Waits for the end of programs; what is left after a while is named.
fn end_soon(mut children: Vec<(String, Child)>, signal: Signal) {
    let start = Instant::now();
    let mut sent = start;
    while !children.is_empty() && start.elapsed() < SOON {
        children.retain_mut(|(_, child)| child.try_wait().expect("its state").is_none());
        // Some catch the first, clean up, and wait for that: a person insists.
        if sent.elapsed() > INSISTS {
            children.iter().for_each(|(_, child)| send(child, signal));
            sent = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let left: Vec<&str> = children.iter().map(|(name, _)| &**name).collect();
    assert!(left.is_empty(), "these wait on: {left:?}");
}

/// Whether a line of smbstatus is of a directory: those in use are watched.
fn is_directory(line: &str) -> bool {
    let names = ["w", "r", "seen", "listed", "."];
    line.split_whitespace().any(|word| names.contains(&word))
}

fn lay_out(samba: &Samba, mount: &Mount) {
    mount.shell(
        "mkdir mnt/seen mnt/listed; for name in a b c; do echo $name > mnt/seen/$name; done
         truncate -s 60M mnt/read; head -c 8192 /dev/zero > mnt/direct; cp mnt/direct mnt/direct2
         touch mnt/locked mnt/listed/x mnt/other; sync mnt/other",
    );
    wait_until("all is there", || samba.share_path().join("other").exists());
}

/// Programs that wait, each for something else, end with the signal; what they were about may be done later, or not,
/// but nothing is lost that was there, and the mount goes on.
fn all_end(signal: Signal) {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["closetimeo=0"]).start();
    lay_out(&samba, &mount);
    let children: Vec<(String, Child)> = WAITING
        .iter()
        .map(|(name, before, after)| {
            let ready = name.replace(' ', "-");
            let script = format!(
                "signal.signal(signal.SIGINT, signal.SIG_DFL)\n{before}\nopen('{ready}', 'w')\n\
                 while not os.path.exists('go'): time.sleep(0.01)\n{after}\nopen('{ready}.done', 'w')\ntime.sleep(1000)"
            );
            ((*name).to_owned(), python(&mount, &script))
        })
        .collect();
    let exists = |name: &str| mount.home().join(name).exists();
    wait_until("all are ready", || WAITING.iter().all(|(name, ..)| exists(&name.replace(' ', "-"))));
    samba.freeze();
    mount.shell("touch go");
    std::thread::sleep(WHILE);
    let done: Vec<&str> = WAITING
        .iter()
        .map(|(name, ..)| *name)
        .filter(|name| exists(&format!("{}.done", name.replace(' ', "-"))))
        .collect();
    children.iter().for_each(|(_, child)| send(child, signal));
    end_soon(children, signal);
    samba.thaw();
    assert!(done.is_empty(), "these did not wait, and test nothing: {done:?}");
    mount.shell(
        "ls mnt/seen mnt/listed; echo y > mnt/after; test $(cat mnt/after) = y; test $(cat mnt/seen/a) = a",
    );
    mount.shell("test $(cat mnt/seen/c mnt/seen/d 2> /dev/null) = c");
    for name in ["synced", "closed"] {
        wait_until("what was written arrives", || {
            fs::read(samba.share_path().join(name)).is_ok_and(|data| data == b"kept")
        });
    }
    // Who was waiting for a lock does not have it now.
    mount.shell(
        "timeout 20 python3 -c \"import fcntl; fcntl.lockf(open('mnt/locked', 'r+'), fcntl.LOCK_EX)\"",
    );
    wait_until("what was abandoned is closed", || samba.open_files().iter().all(|line| is_directory(line)));
    assert!(mount.umount().status.success());
}

#[test]
fn s120_who_waits_for_the_server_is_interrupted() {
    all_end(Signal::INT);
}

#[test]
fn s120_who_waits_for_the_server_is_terminated() {
    all_end(Signal::TERM);
}

/// The tools that people use, waiting for all that they do.
#[test]
fn s120_tools_that_wait_end() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["actimeo=0"]).start();
    lay_out(&samba, &mount);
    let dd = ["if=/dev/zero", "of=mnt/big", "bs=1M", "count=10000", "status=none"];
    let mut children = vec![("dd".to_owned(), mount.command("dd").args(dd).spawn().expect("dd starts"))];
    let big = samba.share_path().join("big");
    wait_until("something is written", || fs::metadata(&big).is_ok_and(|data| data.len() > 10 << 20));
    samba.freeze();
    for (program, argument) in
        [("cat", "mnt/read"), ("ls", "mnt/listed"), ("stat", "mnt/other"), ("df", "mnt")]
    {
        children.push((program.into(), mount.command(program).arg(argument).spawn().expect(program)));
    }
    std::thread::sleep(WHILE);
    for (at, (_, child)) in children.iter().enumerate() {
        send(child, if at % 2 == 0 { Signal::INT } else { Signal::TERM });
    }
    end_soon(children, Signal::INT);
    samba.thaw();
    mount.shell(
        "echo y > mnt/after; test $(cat mnt/after) = y; cmp -n $((5 << 20)) mnt/big /dev/zero; rm mnt/big",
    );
    assert!(mount.umount().status.success());
}

/// Not every signal is the end: one that is caught ends what only asks, with EINTR, and does not have a change be
/// made twice.
#[test]
fn s121_caught_signals_end_what_asks_and_not_what_changes() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    lay_out(&samba, &mount);
    let asks = python(
        &mount,
        "class Caught(Exception): pass
def caught(*_): raise Caught
signal.signal(signal.SIGUSR1, caught)
open('asks', 'w')
while not os.path.exists('go'): time.sleep(0.01)
try:
    os.stat('mnt/seen/unseen')
except Caught:
    sys.exit(0)
sys.exit(1)",
    );
    let mut changes = python(
        &mount,
        "signal.signal(signal.SIGUSR1, lambda *_: None)
import ctypes
f = os.open('mnt/synced', os.O_WRONLY | os.O_CREAT)
open('changes', 'w')
while not os.path.exists('go'): time.sleep(0.01)
# Python would do it again.
os.write(f, b'kept')
assert ctypes.CDLL(None).fsync(f) == 0",
    );
    wait_until("both are ready", || ["asks", "changes"].iter().all(|name| mount.home().join(name).exists()));
    samba.freeze();
    mount.shell("touch go");
    std::thread::sleep(WHILE);
    send(&asks, Signal::USR1);
    send(&changes, Signal::USR1);
    end_soon(vec![("asks".into(), asks)], Signal::USR1);
    assert!(changes.try_wait().expect("its state").is_none(), "what is to last was given up");
    samba.thaw();
    assert!(changes.wait().expect("its end").success(), "what is to last was interrupted");
}

/// Many requests are interrupted while others' data is verified; whatever a program was told is written, is.
#[test]
fn s122_interrupted_at_random_nothing_is_lost() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["closetimeo=0", "actimeo=0"]).start();
    mount.shell("mkdir mnt/w mnt/r; for i in $(seq 20); do head -c 100000 /dev/urandom > mnt/r/$i; done; (cd mnt/r; sha256sum *) > sums");
    let writer = "import hashlib, os, random, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
me, n = sys.argv[1], 0
while True:
    n += 1
    data = os.urandom(random.choice([10, 5000, 300000]))
    name = '%s-%d-%d' % (me, os.getpid(), n)
    f = os.open('mnt/w/.' + name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    assert os.write(f, data) == len(data)
    if n % 2: os.fsync(f)
    os.close(f)
    os.rename('mnt/w/.' + name, 'mnt/w/' + name)
    with open('journal-' + me, 'a') as journal:
        journal.write('%s %s\\n' % (hashlib.sha256(data).hexdigest(), name))
";
    let reader = "import hashlib, os, random, signal, sys, time
sums = dict(line.split()[::-1] for line in open('sums'))
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.003, 0.003)
while not os.path.exists('stop'):
    name = random.choice(list(sums))
    assert hashlib.sha256(open('mnt/r/' + name, 'rb').read()).hexdigest() == sums[name], name
    assert len(os.listdir('mnt/r')) == 20
    os.stat('mnt/w')
# Python forgets the handler before it ends.
signal.setitimer(signal.ITIMER_REAL, 0)
";
    fs::write(mount.home().join("writer.py"), writer).expect("a script");
    fs::write(mount.home().join("reader.py"), reader).expect("a script");
    let run = |script: &str, me: &str| {
        let command = "exec python3 \"$0\" \"$1\"";
        mount.command("bash").args(["-c", command, script, me]).spawn().expect("bash starts")
    };
    let readers = [run("reader.py", ""), run("reader.py", "")];
    let mut writers = [0, 1, 2].map(|me| run("writer.py", &me.to_string()));
    for round in 0..60u32 {
        if round % 6 == 0 {
            samba.freeze();
            std::thread::sleep(Duration::from_millis(u64::from(round) * 7 % 150));
        }
        let victim = (round % 3) as usize;
        send(&writers[victim], [Signal::INT, Signal::TERM, Signal::KILL][(round / 3 % 3) as usize]);
        // It may wait in the kernel, for another's change of the directory.
        samba.thaw();
        writers[victim].wait().expect("its end");
        writers[victim] = run("writer.py", &victim.to_string());
        std::thread::sleep(Duration::from_millis(u64::from(round) * 37 % 200));
    }
    for mut writer in writers {
        send(&writer, Signal::TERM);
        writer.wait().expect("its end");
    }
    fs::write(mount.home().join("stop"), "").expect("a file");
    for mut reader in readers {
        assert!(reader.wait().expect("its end").success(), "what was read is wrong");
    }
    let mut written = 0;
    for me in 0..3 {
        let journal = fs::read_to_string(mount.home().join(format!("journal-{me}"))).unwrap_or_default();
        for line in journal.lines() {
            let (sum, name) = line.split_once(' ').expect("a sum and a name");
            let data =
                fs::read(samba.share_path().join("w").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(sha256(&data), sum, "{name}");
            written += 1;
        }
    }
    assert!(written > 3, "only {written} files were written");
    wait_until("what was abandoned is closed", || samba.open_files().iter().all(|line| is_directory(line)));
    assert!(mount.umount().status.success());
}
