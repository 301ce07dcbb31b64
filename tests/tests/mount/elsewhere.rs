//! Files that programs on two mounts have open, and that one of them deletes, renames, replaces or appends to.

use std::fs;

use sharefs_tests::{Mount, Samba, wait_until};

use crate::agent::Agent;

/// Does one line after the other in the mount, and prints what it leaves in `_`.
const AGENT: &str = r"
import errno, os, sys
os.chdir('mnt')
R, RW, CREATE, APPEND = os.O_RDONLY, os.O_RDWR, os.O_CREAT, os.O_APPEND
names = dict(globals())
for line in sys.stdin:
    names['_'] = ''
    try:
        exec(line, names)
        answer = names['_']
    except OSError as error: answer = errno.errorcode[error.errno]
    print(answer, flush=True)
";

/// Plays with two mounts of each server.
fn on_each(play: impl Fn(&Samba, &mut Agent, &mut Agent)) {
    for samba in [Samba::start(), Samba::builder().directory_leases().start()] {
        let mounts = [(); 2].map(|()| Mount::new(&samba).start());
        let [mut one, mut other] = mounts.each_ref().map(|mount| Agent::start(mount, AGENT));
        play(&samba, &mut one, &mut other);
    }
}

/// What the server has, when all is closed.
fn names(samba: &Samba) -> Vec<String> {
    let entries = fs::read_dir(samba.share_path()).expect("the share");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn s34_a_deleted_file_that_another_client_has_open_frees_its_name() {
    on_each(|samba, one, other| {
        assert_eq!(one.ask("f = os.open('f', RW|CREATE); _ = os.write(f, b'old')"), "3");
        assert_eq!(
            other.ask("os.unlink('f'); g = os.open('f', RW|CREATE|os.O_EXCL); _ = os.write(g, b'new')"),
            "3"
        );
        assert_eq!(one.ask("os.write(f, b'er'); os.fsync(f); _ = os.pread(f, 9, 0)"), "b'older'");
        assert_eq!(other.ask("os.close(g); _ = open('f').read()"), "new");
        assert_eq!(one.ask("os.close(f)"), "");
        wait_until("the deleted file is gone", || names(samba) == ["f"]);
    });
}

/// The idle open of the first mount would keep the file on the server, and its directory with it.
#[test]
fn s34_what_another_client_only_keeps_open_is_closed_there() {
    on_each(|samba, one, other| {
        assert_eq!(one.ask("os.mkdir('d'); open('d/f', 'w').write('x'); _ = open('d/f').read()"), "x");
        assert_eq!(other.ask("os.unlink('d/f'); os.rmdir('d')"), "");
        assert!(names(samba).is_empty(), "{:?}", names(samba));
    });
}

/// The server has to wait for the other client in the middle of what it was asked for at once.
#[test]
fn s38_what_is_open_here_and_there_can_be_renamed_and_deleted() {
    on_each(|samba, one, other| {
        assert_eq!(one.ask("f = os.open('f', RW|CREATE)"), "");
        assert_eq!(other.ask("f = os.open('f', RW); os.rename('f', 'g')"), "");
        assert_eq!(one.ask("g = os.open('g', R)"), "");
        assert_eq!(other.ask("os.unlink('g')"), "");
        assert_eq!(one.ask("_ = os.write(f, b'x')"), "1");
        // The other mount renamed it, so that this one takes both names for files of their own (S5).
        wait_until("it is seen", || one.ask("_ = os.pread(g, 9, 0)") == "b'x'");
        assert_eq!(one.ask("os.close(f); os.close(g)"), "");
        assert_eq!(other.ask("os.close(f)"), "");
        wait_until("the deleted file is gone", || names(samba).is_empty());
    });
}

#[test]
fn s36_what_another_client_has_open_is_replaced() {
    on_each(|samba, one, other| {
        assert_eq!(one.ask("f = os.open('f', RW|CREATE); _ = os.write(f, b'old')"), "3");
        assert_eq!(
            other.ask("open('new', 'w').write('new'); os.rename('new', 'f'); _ = open('f').read()"),
            "new"
        );
        assert_eq!(one.ask("_ = os.pread(f, 9, 0)"), "b'old'");
        // By the name that it had before, this mount still keeps it open.
        assert_eq!(one.ask("g = os.open('g', RW|CREATE)"), "");
        assert_eq!(other.ask("os.rename('g', 'h')"), "");
        assert_eq!(
            one.ask("os.close(g); open('i', 'w').write('i'); os.rename('i', 'h'); _ = open('h').read()"),
            "i"
        );
        assert_eq!(one.ask("os.close(f)"), "");
        wait_until("what was replaced is gone", || {
            let mut names = names(samba);
            names.sort();
            names == ["f", "h"]
        });
    });
}

#[test]
fn s5_a_renamed_file_shows_what_others_write_who_had_it_open_before() {
    on_each(|_, one, other| {
        assert_eq!(one.ask("open('f', 'w').write('old'); f = os.open('f', R)"), "");
        assert_eq!(other.ask("f = os.open('f', RW)"), "");
        assert_eq!(one.ask("_ = os.pread(f, 9, 0)"), "b'old'");
        assert_eq!(one.ask("os.rename('f', 'g'); _ = os.pread(f, 9, 0)"), "b'old'");
        assert_eq!(other.ask("os.pwrite(f, b'newer', 0); os.fsync(f)"), "");
        wait_until("it is seen", || one.ask("_ = os.pread(f, 9, 0)") == "b'newer'");
    });
}

/// The kernel puts what is appended where it takes the end to be.
#[test]
fn s6_what_two_clients_append_in_turn_is_read_where_it_is() {
    on_each(|_, one, other| {
        assert_eq!(one.ask("f = os.open('f', RW|CREATE|APPEND)"), "");
        assert_eq!(other.ask("f = os.open('f', RW|APPEND)"), "");
        for _ in 0..3 {
            assert_eq!(one.ask("_ = os.write(f, b'one,')"), "4");
            assert_eq!(other.ask("_ = os.write(f, b'other,')"), "6");
        }
        for agent in [one, other] {
            wait_until("all is seen", || {
                agent.ask("_ = os.pread(f, 99, 0)") == "b'one,other,one,other,one,other,'"
            });
        }
    });
}
