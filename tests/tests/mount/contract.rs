//! `docs/SEMANTICS.md`, sentence by sentence: a test's number is the promise's.
//!
//! What is not here is tested elsewhere (S60 and on in `links`, `locks` and `posix`, S100 and on in `identity`, `leftovers`, `tuning` and `watching`, S17, S34, S43 and the errors of S40 by the unit tests of `fs-core`, the life of a
//! mount in `lifecycle`, a lost server in `trouble` and `reconnect`, signals in `interrupts`) or promises nothing that a test can see (S7, S26, S32, S51).

use std::fs;
use std::path::PathBuf;

use sharefs_tests::{Mount, Samba, overwrite, wait_until};

use crate::help::REFUSED;

/// A server, a mount of it, and the user's Python to look through.
struct Contract {
    samba: Samba,
    mount: Mount,
}

impl Contract {
    fn new() -> Self {
        Self::with(["actimeo=0"])
    }

    fn with<const N: usize>(options: [&'static str; N]) -> Self {
        let samba = Samba::start();
        let mount = Mount::new(&samba).options(options).start();
        Self { samba, mount }
    }

    /// Runs Python in the mount, as the user.
    fn python(&self, script: &str) -> String {
        self.mount.shell(&format!("cd mnt && python3 - <<'END'\n{REFUSED}{PRELUDE}\n{script}\nEND\n"))
    }

    /// A file on the server's disk.
    fn server(&self, name: &str) -> PathBuf {
        self.samba.share_path().join(name)
    }

    fn server_has(&self, name: &str, content: &str) {
        assert_eq!(fs::read_to_string(self.server(name)).expect("the file on the server"), content);
    }

    /// Another client writes, into the file that is there if there is one.
    fn another_writes(&self, name: &str, content: &str) {
        overwrite(&self.samba, name, content.to_owned());
    }
}

const PRELUDE: &str = r"
import ctypes, errno, fcntl, mmap, os, stat, sys
def put(name, text):
    with open(name, 'w') as f:
        f.write(text)
def get(name):
    with open(name) as f:
        return f.read()
R, W, RW, CREATE, EXCL, TRUNC, APPEND = (
    os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_EXCL, os.O_TRUNC, os.O_APPEND)
";

#[test]
fn s1_what_write_counted_is_on_the_server() {
    let c = Contract::new();
    c.mount.shell("exec 3> mnt/f; printf one >&3; exec 3>&-");
    c.server_has("f", "one");
    // Without a close, too.
    let script = "f = os.open('g', W|CREATE)
assert os.write(f, b'two') == 3
import subprocess
print('written', flush=True)
os.close(f)";
    assert_eq!(c.python(script).trim(), "written");
    c.server_has("g", "two");
}

#[test]
fn s3_a_write_shows_at_once_through_any_descriptor() {
    Contract::with(["actimeo=60"]).python(
        "f, g = os.open('f', RW|CREATE), os.open('f', R)
for n in range(1, 50):
    os.pwrite(f, b'%03d' % n, 3 * n)
    assert os.fstat(g).st_size == os.stat('f').st_size == 3 * n + 3
    assert os.pread(g, 3, 3 * n) == b'%03d' % n
os.ftruncate(f, 5)
assert os.fstat(g).st_size == 5 and os.pread(g, 100, 0) == b'\\0' * 3 + b'00'",
    );
}

#[test]
fn s4_an_open_shows_what_another_client_wrote() {
    let c = Contract::new();
    for text in ["one", "three", "x"] {
        c.another_writes("f", text);
        assert_eq!(c.python("print(get('f'), end='')"), text);
    }
}

#[test]
fn s5_an_open_descriptor_shows_what_another_client_wrote() {
    let c = Contract::new();
    c.another_writes("f", "old");
    let (ready, go) = (c.mount.home().join("ready"), c.mount.home().join("go"));
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            c.python(
                "import time
f = os.open('f', R); assert os.pread(f, 9, 0) == b'old'
os.close(os.open('../ready', W|CREATE))
while not os.path.exists('../go'): time.sleep(0.01)
os.fstat(f); print(os.pread(f, 9, 0).decode(), end='')",
            )
        });
        wait_until("the reader is ready", || ready.exists());
        c.another_writes("f", "newer");
        fs::write(&go, "").expect("telling the reader");
        reader.join().expect("the reader")
    });
    assert_eq!(seen, "newer");
}

#[test]
fn s6_appends_of_one_mount_do_not_overwrite_each_other() {
    let c = Contract::new();
    c.mount.shell(
        "for i in 1 2 3 4; do (for n in $(seq 50); do echo line $i $n >> mnt/f; done) & done; wait
         test $(wc -l < mnt/f) = 200; test $(sort -u mnt/f | wc -l) = 200",
    );
}

/// Each program that has the file open is told, whoever was told first, and nobody twice.
#[test]
fn s9_a_write_that_the_server_had_no_room_for_is_told_to_each_open() {
    let samba = Samba::builder().small_disk(8).start();
    let mount = Mount::new(&samba).options(["actimeo=0"]).start();
    let contract = Contract { samba, mount };
    contract.samba.fill_disk();
    contract.python(
        r"
f, g = (os.open('f', os.O_RDWR | os.O_CREAT) for _ in '12')
os.write(f, b'x' * 100_000)
refused(errno.ENOSPC, os.fsync, g)
refused(errno.ENOSPC, os.fsync, f)
os.fsync(f); os.fsync(g)
h = os.open('f', os.O_RDWR)
os.fsync(h)
",
    );
    contract.samba.empty_disk();
    contract.python("open('f', 'w').write('there is room again')");
    contract.server_has("f", "there is room again");
}

#[test]
fn s165_the_log_says_what_to_do() {
    let samba = Samba::builder().small_disk(8).start();
    let mount = Mount::new(&samba).start();
    samba.fill_disk();
    let contract = Contract { samba, mount };
    contract.python(
        r"
f = os.open('f', os.O_RDWR | os.O_CREAT)
for _ in range(3):
    os.write(f, b'x' * 100_000)
    refused(errno.ENOSPC, os.fsync, f)
",
    );
    let log = contract.mount.log();
    assert!(
        log.contains("what was written to /f is lost") && log.contains("make room on the share"),
        "{log}"
    );
    assert_eq!(log.matches("WARN").count(), 1, "once in a minute: {log}");
}

#[test]
fn s10_fsync_and_s11_osync_succeed_on_what_is_on_the_server() {
    let c = Contract::new();
    c.python(
        "f = os.open('f', W|CREATE); os.write(f, b'x'); os.fsync(f); os.fdatasync(f)
d = os.open('.', R); os.fsync(d)
g = os.open('g', W|CREATE|os.O_SYNC); assert os.write(g, b'y') == 1",
    );
    c.server_has("f", "x");
    c.server_has("g", "y");
}

#[test]
fn s12_mappings_work_and_are_written_back() {
    let c = Contract::new();
    c.python(
        "put('f', 'a' * 10000)
with open('f', 'r+b') as f:
    shared = mmap.mmap(f.fileno(), 0)
    private = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)
    shared[5000:5004] = b'WORD'
    private[0:4] = b'mine'
    shared.flush()
    os.fsync(f.fileno())",
    );
    c.server_has("f", &format!("{}WORD{}", "a".repeat(5000), "a".repeat(4996)));
}

#[test]
fn s13_holes_read_as_zeros() {
    Contract::new().python(
        "f = os.open('f', RW|CREATE)
os.pwrite(f, b'x', 1 << 20)
assert os.pread(f, 1 << 20, 0) == b'\\0' * (1 << 20)
os.ftruncate(f, 5); os.ftruncate(f, 9000)
assert os.pread(f, 9000, 0) == b'\\0' * 9000",
    );
}

#[test]
fn s14_truncating_by_open_keeps_the_file() {
    let c = Contract::new();
    c.python(
        "put('f', 'long'); before = os.stat('f').st_ino
os.close(os.open('f', W|TRUNC))
assert os.stat('f').st_size == 0 and os.stat('f').st_ino == before",
    );
    c.server_has("f", "");
}

#[test]
fn s15_names_that_windows_forbids_are_mapped() {
    let c = Contract::new();
    c.python(
        "names = ['a:b', 'q?', 's*r', 'b\\\\s', 'q\"', '<>', '|', 'end.', 'end ', 'tab\\t', '...']
for n in names: put(n, n)
assert sorted(names) == sorted(os.listdir('.'))
for n in names: assert get(n) == n",
    );
    c.server_has("a\u{F022}b", "a:b");
    c.server_has("end\u{F029}", "end.");
}

#[test]
fn s16_names_that_would_come_back_as_others_are_refused() {
    Contract::new().python(
        "refused(errno.EINVAL, put, 'a\\uF022b', '')
refused(errno.EILSEQ, os.mkdir, b'a\\xff')
refused(errno.ENAMETOOLONG, put, 'x' * 256, '')
put('x' * 255, '')",
    );
}

#[test]
fn s18_case_is_preserved_and_can_be_changed() {
    Contract::new().python(
        "put('Name', 'x'); assert os.listdir('.') == ['Name'] and get('nAME') == 'x'
os.rename('Name', 'nAmE'); assert os.listdir('.') == ['nAmE']",
    );
}

#[test]
fn s19_listings_are_complete_and_positions_found_again() {
    Contract::new().python(
        "for n in range(1500): os.close(os.open('%04d' % n, W|CREATE))
libc = ctypes.CDLL(None, use_errno=True)
class Dirent(ctypes.Structure):
    _fields_ = [('ino', ctypes.c_uint64), ('off', ctypes.c_int64), ('len', ctypes.c_uint16),
                ('type', ctypes.c_uint8), ('name', ctypes.c_char * 256)]
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.POINTER(Dirent); libc.readdir.argtypes = [ctypes.c_void_p]
libc.telldir.restype = ctypes.c_long; libc.telldir.argtypes = [ctypes.c_void_p]
libc.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
libc.rewinddir.argtypes = [ctypes.c_void_p]
d = libc.opendir(b'.')
def rest():
    names = []
    while (e := libc.readdir(d)): names.append(e.contents.name)
    return names
first = [libc.readdir(d).contents.name for _ in range(700)]
place = libc.telldir(d)
second = rest()
assert {b'.', b'..'} <= set(first) and len(first + second) == len(set(first + second)) == 1502
libc.seekdir(d, place); assert rest() == second
put('new', ''); libc.rewinddir(d); assert b'new' in rest()",
    );
}

#[test]
fn s20_own_changes_show_at_once_whatever_the_time() {
    Contract::with(["actimeo=60"]).python(
        "put('f', 'one'); assert os.stat('f').st_size == 3
os.rename('f', 'g'); refused(errno.ENOENT, os.stat, 'f'); assert get('g') == 'one'
os.truncate('g', 1); assert os.stat('g').st_size == 1
os.utime('g', (5, 6)); assert os.stat('g').st_mtime == 6
os.unlink('g'); refused(errno.ENOENT, os.stat, 'g')
os.mkdir('d'); os.rmdir('d'); refused(errno.ENOENT, os.stat, 'd')",
    );
}

#[test]
fn s21_a_missing_name_is_asked_for_again() {
    let c = Contract::with(["actimeo=60"]);
    c.python("refused(errno.ENOENT, os.stat, 'f')");
    c.another_writes("f", "there");
    assert_eq!(c.python("print(get('f'), end='')"), "there");
}

#[test]
fn s22_s23_owner_and_mode_are_the_mounts() {
    let c = Contract::with(["actimeo=0", "file_mode=0640", "dir_mode=0750"]);
    c.python(
        "put('f', ''); os.mkdir('d')
s = os.stat('f')
assert (s.st_uid, s.st_gid) == (os.getuid(), os.getgid())
os.chown('f', os.getuid(), os.getgid())
assert stat.S_IMODE(s.st_mode) == 0o640 and stat.S_IMODE(os.stat('d').st_mode) == 0o750",
    );
}

#[test]
fn s24_chmod_is_the_readonly_attribute() {
    Contract::new().python(
        "put('f', '')
os.chmod('f', 0o444); assert stat.S_IMODE(os.stat('f').st_mode) == 0o555
refused(errno.EACCES, os.open, 'f', W)
os.chmod('f', 0o600); assert stat.S_IMODE(os.stat('f').st_mode) == 0o755
os.mkdir('d'); os.chmod('d', 0o500); assert stat.S_IMODE(os.stat('d').st_mode) == 0o755",
    );
}

#[test]
fn s25_a_file_made_without_write_bit_can_be_written_by_its_maker() {
    let c = Contract::new();
    c.python("f = os.open('f', W|CREATE, 0o444); os.write(f, b'x'); os.close(f); refused(errno.EACCES, os.open, 'f', W)");
    c.server_has("f", "x");
}

#[test]
fn s27_times_are_kept_to_100_ns_and_survive_the_close() {
    Contract::new().python(
        "put('f', '')
os.utime('f', ns=(1234567890123456700, 1000000000987654300))
s = os.stat('f'); assert (s.st_atime_ns, s.st_mtime_ns) == (1234567890123456700, 1000000000987654300)
f = os.open('f', W); os.write(f, b'x'); os.utime(f, (7, 8)); os.close(f)
assert os.stat('f').st_mtime == 8",
    );
}

#[test]
fn s28_a_replaced_file_is_another() {
    let c = Contract::new();
    c.another_writes("f", "one");
    c.python("a = os.stat('f').st_ino; assert os.stat('f').st_ino == a; os.rename('f', 'g'); assert os.stat('g').st_ino == a");
    c.python("put('n', 'x'); a = os.stat('n').st_ino; put('m', 'y'); os.rename('m', 'n'); assert os.stat('n').st_ino != a");
}

#[test]
fn s29_statfs_tells_the_room() {
    Contract::new().python(
        "s = os.statvfs('.'); assert s.f_blocks >= s.f_bavail > 0 and s.f_files == 0 and s.f_namemax >= 255",
    );
}

#[test]
fn s30_exclusive_creation_is_exclusive() {
    let c = Contract::with(["actimeo=60"]);
    c.python("refused(errno.ENOENT, os.stat, 'f')");
    c.another_writes("f", "another's");
    c.python("refused(errno.EEXIST, os.open, 'f', W|CREATE|EXCL)");
    c.server_has("f", "another's");
}

#[test]
fn s31_s33_a_deleted_open_file_lives_until_its_last_close() {
    let c = Contract::new();
    c.python(
        "os.mkdir('d'); f = os.open('d/f', RW|CREATE); os.write(f, b'one')
os.unlink('d/f')
refused(errno.ENOENT, os.stat, 'd/f'); assert os.listdir('d') == []
os.write(f, b'two'); assert os.pread(f, 9, 0) == b'onetwo' and os.fstat(f).st_nlink == 0
refused(errno.ENOTEMPTY, os.rmdir, 'd')
put('d/f', 'new'); assert get('d/f') == 'new' and os.pread(f, 9, 0) == b'onetwo'
os.unlink('d/f'); os.close(f); os.rmdir('d')",
    );
    assert_eq!(fs::read_dir(c.samba.share_path()).expect("the share").count(), 0);
}

#[test]
fn s35_readonly_does_not_protect_a_name() {
    Contract::new().python(
        "for n in 'abc': put(n, n); os.chmod(n, 0o444)
os.unlink('a'); os.rename('b', 'c'); assert os.listdir('.') == ['c'] and get('c') == 'b'",
    );
}

#[test]
fn s36_renaming_over_an_open_file_leaves_it_to_its_reader() {
    let c = Contract::new();
    c.python(
        "put('old', 'old'); put('new', 'new'); f = os.open('old', R)
os.rename('new', 'old')
assert get('old') == 'new' and os.pread(f, 9, 0) == b'old' and os.listdir('.') == ['old']; os.close(f)",
    );
    c.server_has("old", "new");
}

#[test]
fn s37_renaming_over_directories() {
    Contract::new().python(
        "for n in 'abc': os.mkdir(n)
put('c/x', ''); os.rename('a', 'b'); refused(errno.ENOTEMPTY, os.rename, 'b', 'c')
put('f', ''); refused(errno.EISDIR, os.rename, 'f', 'b'); refused(errno.ENOTDIR, os.rename, 'b', 'f')",
    );
}

#[test]
fn s38_an_open_file_can_be_renamed() {
    Contract::new().python(
        "f = os.open('f', RW|CREATE); os.write(f, b'one'); os.rename('f', 'g'); os.write(f, b'two')
assert get('g') == 'onetwo' and os.fstat(f).st_nlink == 1",
    );
}

#[test]
fn s39_flags_of_rename() {
    Contract::new().python(
        "libc = ctypes.CDLL(None, use_errno=True)
def rename(flags):
    if libc.renameat2(-100, b'a', -100, b'b', flags): raise OSError(ctypes.get_errno(), '')
put('a', 'a'); put('b', 'b')
refused(errno.EEXIST, rename, 1); refused(errno.EINVAL, rename, 2)
os.unlink('b'); rename(1); assert get('b') == 'a'",
    );
}

#[test]
fn s44_a_read_only_mount_refuses_changes() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("f"), "x").expect("writing on the server");
    let mount = Mount::new(&samba).options(["ro"]).start();
    let c = Contract { samba, mount };
    c.python(
        "assert get('f') == 'x'
for call in [lambda: put('f', 'y'), lambda: os.unlink('f'), lambda: os.mkdir('d'), lambda: os.rename('f', 'g'),
             lambda: os.truncate('f', 0), lambda: os.utime('f'), lambda: os.chmod('f', 0o400)]:
    refused(errno.EROFS, call)",
    );
    c.server_has("f", "x");
}
