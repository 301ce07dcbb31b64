//! More programs that are not ours, at greater length: two at once on one database, trees of thousands of files, a
//! file that another client writes while it is followed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use sharefs_tests::{Mount, Samba};
use smb_client::{OpenOptions, blocking};

/// Makes a tree of so many small files from what every machine has, in the user's home as `tree` and `tree.tar`. No
/// two names differ in case only: the server would take them for one.
fn make_tree(mount: &Mount, files: usize) {
    mount.shell(&format!(
        r#"mkdir tree
           # Who has read enough lets the others write into the void.
           set +o pipefail
           find /usr/include /usr/share -type f -readable -size -64k 2>/dev/null | sort |
               awk '!seen[tolower($0)]++' | head -n {files} > list
           set -o pipefail
           test "$(wc -l < list)" = {files} || {{ echo "too few files in /usr/include and /usr/share" >&2; exit 1; }}
           tar -C / --hard-dereference -cf tree.tar -T <(sed 's|^/||' list)
           tar -C tree -xf tree.tar"#
    ));
}

fn mounted() -> (Samba, Mount) {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    (samba, mount)
}

/// A process of the user that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn git_lives_in_a_repository_on_the_mount() {
    let (_samba, mount) = mounted();
    mount.shell(
        r#"git config --global user.name tester; git config --global user.email tester@example.org
           git config --global init.defaultBranch main; git config --global gc.auto 0
           git init -q mnt/work; cd mnt/work
           for i in $(seq 100); do mkdir -p d$((i % 7)); head -c 2000 /dev/urandom | base64 > d$((i % 7))/f$i; done
           git add .; git commit -qm first
           git checkout -qb side; for i in 1 2 3 4 5; do echo $i >> d1/f1; git commit -qam "side $i"; done
           git checkout -q main; git mv d2 moved; git commit -qm moved; git merge -q --no-edit side
           git tag v1; git stash list; echo x >> d3/f3; git stash -q; test -z "$(git status --porcelain)"; git stash pop -q
           test "$(git status --porcelain)" = ' M d3/f3'; git checkout -q d3/f3
           git rebase -q HEAD~1; git worktree add -q ../other v1; test -f ../other/moved/f2
           git repack -qadf; git gc -q --prune=now; git fsck --strict --full
           cd; git clone -q --no-hardlinks mnt/work mnt/copy; git -C mnt/copy fsck --strict
           git clone -q mnt/work local; diff -r --exclude .git local mnt/copy
           rm -rf mnt/copy; test ! -e mnt/copy"#,
    );
}

#[test]
fn three_thousand_files_are_unpacked_and_compared() {
    let (_samba, mount) = mounted();
    make_tree(&mount, 3000);
    mount.shell(
        "mkdir mnt/tree; tar -C mnt/tree -xf tree.tar
         diff -r tree mnt/tree
         test $(find mnt/tree -type f | wc -l) = 3000
         diff <(cd tree; find . -type d | sort) <(cd mnt/tree; find . -type d | sort)
         times() { (cd $1; find . -type f -printf '%p %Ts\\n' | sort); }; diff <(times tree) <(times mnt/tree)
         du -s --apparent-size mnt/tree > /dev/null
         rm -r mnt/tree; test -z \"$(ls -A mnt)\"",
    );
}

#[test]
fn rsync_of_the_same_again_transfers_nothing() {
    let (_samba, mount) = mounted();
    make_tree(&mount, 1000);
    let said = mount.shell(
        "rsync -rt tree/ mnt/tree/
         echo again; rsync -rt --stats --itemize-changes tree/ mnt/tree/
         echo checked; rsync -rtc --stats --itemize-changes tree/ mnt/tree/
         echo back; rsync -rt --stats --itemize-changes mnt/tree/ tree/",
    );
    assert_eq!(said.matches("Number of regular files transferred: 0").count(), 3, "{said}");
    for pass in ["again", "checked", "back"] {
        assert!(said.contains(&format!("{pass}\n\nNumber of files")), "{pass} did something: {said}");
    }
}

/// Two processes write to one database, each in transactions of its own; the journal's mode is theirs.
fn two_writers(mode: &str) {
    let (_samba, mount) = mounted();
    let said = mount.shell(&format!(
        r#"db=mnt/test.db
           test "$(sqlite3 $db 'PRAGMA journal_mode={mode}')" = {mode}
           sqlite3 $db 'CREATE TABLE t (writer INTEGER, n INTEGER, UNIQUE (writer, n)); CREATE TABLE c (total INTEGER);
               INSERT INTO c VALUES (0);'
           writer() {{
               {{ echo '.timeout 100000'; for n in $(seq 100); do
                   echo "BEGIN IMMEDIATE; INSERT INTO t VALUES ($1, $n); UPDATE c SET total = total + 1; COMMIT;"
               done; }} | sqlite3 -bail $db
           }}
           writer 1 & first=$!; writer 2 & second=$!
           for i in $(seq 20); do sqlite3 -cmd '.timeout 100000' $db 'SELECT count(*) = (SELECT total FROM c) FROM t'; done |
               sort -u > consistent
           wait $first; wait $second
           test "$(cat consistent)" = 1
           sqlite3 $db 'PRAGMA integrity_check; SELECT writer, count(*) FROM t GROUP BY writer; SELECT total FROM c'"#
    ));
    assert_eq!(said, "ok\n1|100\n2|100\n200\n");
}

#[test]
fn sqlite_with_two_writers_and_a_rollback_journal() {
    two_writers("delete");
}

#[test]
fn sqlite_with_two_writers_and_a_write_ahead_log() {
    two_writers("wal");
}

/// As editors save: a new file, written, synced and renamed over the old one; or the old one moved away first.
#[test]
fn editors_save() {
    let samba = Samba::start();
    let (mount, other) = (Mount::new(&samba).start(), Mount::new(&samba).start());
    mount.shell(
        r"cd mnt; python3 - <<'END'
import os
def sync(path, flags, text):
    f = os.open(path, flags, 0o644); os.write(f, text); os.fsync(f); os.close(f)
def sync_directory():
    d = os.open('.', os.O_RDONLY | os.O_DIRECTORY); os.fsync(d); os.close(d)
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL
sync('file', NEW, b'version 0')
for n in range(1, 30):
    text = b'version %d' % n
    if n % 3 == 0:
        # emacs, gedit
        sync('.file.tmp', NEW, text); os.rename('.file.tmp', 'file')
    elif n % 3 == 1:
        # vim: 4913 tells whether it may create files here
        os.close(os.open('4913', NEW)); os.unlink('4913')
        os.rename('file', 'file~'); sync('file', NEW, text); os.unlink('file~')
    else:
        # nano
        with open('file', 'rb') as old: sync('file~', os.O_WRONLY | os.O_CREAT | os.O_TRUNC, old.read())
        sync('file', os.O_WRONLY | os.O_TRUNC, text); os.unlink('file~')
    sync_directory()
    with open('file', 'rb') as f: assert f.read() == text, n
    assert os.stat('file').st_size == len(text)
    assert os.listdir('.') == ['file'], os.listdir('.')
END",
    );
    assert_eq!(other.shell("cat mnt/file; ls -A mnt"), "version 29file\n");
}

/// Who follows a file sees what another client appends to it.
#[test]
fn tail_follows_what_another_client_appends() {
    let (samba, mount) = mounted();
    let client = blocking::Client::connect(&samba.options()).expect("logging in");
    let share = client.share("data").expect("the share data");
    share.write("log", "line 0\n").expect("writing");
    let mut tail = mount.command("tail");
    tail.args(["-n", "+1", "-s", "0.1", "-f", "mnt/log"]).stdout(Stdio::piped());
    let mut tail = Running(tail.spawn().expect("tail starts"));
    let mut lines = BufReader::new(tail.0.stdout.take().expect("a pipe")).lines();
    // It ends only where nextest ends it if a line never comes.
    let mut next = || lines.next().expect("tail goes on").expect("text");
    assert_eq!(next(), "line 0");
    let file = share.open("log", &OpenOptions::write()).expect("opening");
    for n in 1..=9_u64 {
        // While the file stays open, and at a distance that leaves its time as it was.
        file.write_at(7 * n, format!("line {n}\n")).expect("appending");
        assert_eq!(next(), format!("line {n}"));
    }
    file.close().expect("closing");
}
