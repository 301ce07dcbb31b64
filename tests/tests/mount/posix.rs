//! Extended attributes, ranges, owners and modes, snapshots: S80 and on.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sharefs_tests::{Mount, Samba, SambaBuilder, Snapshots, wait_until};

use crate::help::REFUSED;

const PRELUDE: &str = "
import ctypes, errno, os, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
def fallocate(f, mode, offset, length):
    libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if libc.fallocate(f, mode, offset, length) != 0:
        raise OSError(ctypes.get_errno(), 'fallocate')
";

fn python(mount: &Mount, script: &str) -> String {
    mount.shell(&format!("cd mnt && python3 - <<'END'\n{REFUSED}{PRELUDE}\n{script}\nEND\n"))
}

fn servers() -> [Samba; 2] {
    [
        Samba::builder().share("ea support", "yes").start(),
        Samba::builder().directory_leases().share("ea support", "yes").start(),
    ]
}

#[test]
fn s80_programs_keep_attributes_of_their_own() {
    for samba in servers() {
        let mount = Mount::new(&samba).start();
        python(
            &mount,
            "open('f', 'w').close(); os.mkdir('d')
for p in 'f', 'd':
    assert os.listxattr(p) == []
    os.setxattr(p, 'user.one', b'1'); os.setxattr(p, 'user.two', b'x' * 1000)
    assert os.getxattr(p, 'user.one') == b'1' and os.getxattr(p, 'user.two') == b'x' * 1000
    assert sorted(n.lower() for n in os.listxattr(p)) == ['user.one', 'user.two'], os.listxattr(p)
    refused(errno.EEXIST, os.setxattr, p, 'user.one', b'2', os.XATTR_CREATE)
    refused(errno.ENODATA, os.setxattr, p, 'user.none', b'2', os.XATTR_REPLACE)
    os.setxattr(p, 'user.one', b'2', os.XATTR_REPLACE)
    assert os.getxattr(p, 'user.one') == b'2' and os.getxattr(p, 'user.ONE') == b'2'
    refused(errno.EINVAL, os.setxattr, p, 'user.one', b'')
    os.removexattr(p, 'user.one')
    refused(errno.ENODATA, os.getxattr, p, 'user.one')
    refused(errno.ENODATA, os.removexattr, p, 'user.one')
    for n in 'security.x', 'system.x':
        refused(errno.EOPNOTSUPP, os.getxattr, p, n)
    libc.getxattr.restype = ctypes.c_ssize_t
    b = ctypes.create_string_buffer(10)
    assert libc.getxattr(p.encode(), b'user.two', b, 10) == -1 and ctypes.get_errno() == errno.ERANGE",
        );
    }
}

#[test]
fn s81_what_windows_knows_of_a_file_is_shown_as_attributes() {
    for samba in servers() {
        let mount = Mount::new(&samba).start();
        python(
            &mount,
            "open('f', 'w').close()
dos = int.from_bytes(os.getxattr('f', 'user.cifs.dosattrib'), 'little')
os.setxattr('f', 'user.cifs.dosattrib', (dos | 2).to_bytes(4, 'little'))
assert int.from_bytes(os.getxattr('f', 'user.cifs.dosattrib'), 'little') & 2
created = 130000000000000000
os.setxattr('f', 'user.cifs.creationtime', created.to_bytes(8, 'little'))
assert int.from_bytes(os.getxattr('f', 'user.cifs.creationtime'), 'little') == created
raw = os.getxattr('f', 'system.cifs_acl')
assert raw[0] == 1 and raw == os.getxattr('f', 'system.smb3_acl')
os.setxattr('f', 'system.cifs_acl', raw)
text = os.getxattr('f', 'system.smb3_sddl').decode()
assert text.startswith('O:S-1-') and 'D:' in text, text
assert os.listxattr('f') == []
refused(errno.EINVAL, os.setxattr, 'f', 'system.cifs_acl', b'nonsense')
refused(errno.EINVAL, os.setxattr, 'f', 'user.cifs.dosattrib', b'x')",
        );
    }
}

#[test]
fn s166_streams_are_attributes() {
    let with = |samba: SambaBuilder, module| samba.share("vfs objects", module).start();
    // Only the second has room for large ones.
    let few = with(Samba::builder().newer(), "streams_xattr");
    let much = with(Samba::builder().directory_leases(), "streams_depot");
    for (samba, big) in [(few, 2_000), (much, 65_536)] {
        let mount = Mount::new(&samba).start();
        python(
            &mount,
            &format!(
                "S = 'user.smb.stream.'
zone = S + 'Zone.Identifier'
open('f', 'w').write('content'); os.mkdir('d')
for p in 'f', 'd':
    assert os.listxattr(p) == []
    refused(errno.ENODATA, os.getxattr, p, zone); refused(errno.ENODATA, os.removexattr, p, zone)
    refused(errno.ENODATA, os.setxattr, p, zone, b'x', os.XATTR_REPLACE)
    os.setxattr(p, zone, b'a longer value'); os.setxattr(p, zone, b'[ZoneTransfer]')
    os.setxattr(p, S + 'empty: 1', b'')
    refused(errno.EEXIST, os.setxattr, p, zone, b'x', os.XATTR_CREATE)
    assert sorted(os.listxattr(p)) == [zone, S + 'empty: 1'], os.listxattr(p)
    assert os.getxattr(p, zone) == b'[ZoneTransfer]' and os.getxattr(p, S + 'empty: 1') == b''
    os.removexattr(p, S + 'empty: 1'); assert os.listxattr(p) == [zone]
    for n in S, S + '..', S + 'a/b':
        refused(errno.EINVAL, os.setxattr, p, n, b'x')
os.setxattr('f', S + 'big', b'x' * {big}); assert os.getxattr('f', S + 'big') == b'x' * {big}
assert open('f').read() == 'content' and os.stat('f').st_size == 7"
            ),
        );
        mount.shell("cp -a mnt/f mnt/g");
        python(&mount, "assert os.getxattr('g', 'user.smb.stream.Zone.Identifier') == b'[ZoneTransfer]'");
    }
    let without = Samba::start();
    let mount = Mount::new(&without).start();
    python(
        &mount,
        "open('f', 'w').close()
assert os.listxattr('f') == []
refused(errno.EOPNOTSUPP, os.setxattr, 'f', 'user.smb.stream.x', b'x')
refused(errno.EOPNOTSUPP, os.getxattr, 'f', 'user.smb.stream.x')
assert os.listdir('.') == ['f']",
    );
}

#[test]
fn s82_holes_are_found_and_made() {
    for samba in servers() {
        let mount = Mount::new(&samba).start();
        python(
            &mount,
            "M = 1 << 20
f = os.open('f', os.O_RDWR | os.O_CREAT)
os.pwrite(f, b'a' * M, 0); os.pwrite(f, b'b' * M, 8 * M)
assert os.lseek(f, 0, os.SEEK_DATA) == 0
# A server tells of holes in files that it was told may have some.
fallocate(f, 2 | 1, M, 7 * M)
hole = os.lseek(f, 0, os.SEEK_HOLE)
assert M <= hole <= 8 * M, hole
data = os.lseek(f, hole, os.SEEK_DATA)
assert hole <= data <= 8 * M
assert os.lseek(f, 8 * M, os.SEEK_HOLE) == 9 * M
refused(errno.ENXIO, os.lseek, f, 9 * M, os.SEEK_DATA); refused(errno.ENXIO, os.lseek, f, 9 * M, os.SEEK_HOLE)
KEEP, PUNCH, ZERO = 1, 2, 16
fallocate(f, PUNCH | KEEP, 8 * M, M // 2)
assert os.pread(f, M, 8 * M) == b'\\0' * (M // 2) + b'b' * (M // 2)
assert os.fstat(f).st_size == 9 * M
fallocate(f, ZERO | KEEP, 0, 4096)
assert os.pread(f, 5000, 0) == b'\\0' * 4096 + b'a' * 904
fallocate(f, ZERO, 9 * M - 10, 4096)
assert os.fstat(f).st_size == 9 * M + 4086 and os.pread(f, 20, 9 * M - 15)[5:] == b'\\0' * 15
fallocate(f, KEEP, 0, 12 * M); assert os.fstat(f).st_size == 9 * M + 4086
fallocate(f, 0, 0, 12 * M); assert os.fstat(f).st_size == 12 * M
assert os.pread(f, 1, M - 1) == b'a'
refused(errno.EOPNOTSUPP, fallocate, f, 8, 0, 4096)
r = os.open('f', os.O_RDONLY); refused(errno.EBADF, fallocate, r, 0, 0, 1)
assert os.pread(r, 5, 4094) == b'\\0\\0aaa'",
        );
        let file = samba.share_path().join("f");
        assert_eq!(fs::metadata(file).expect("the file").len(), 12 << 20);
    }
}

#[test]
fn s83_the_server_copies_ranges() {
    let samba = Samba::builder().counted().start();
    let mount = Mount::new(&samba).start();
    python(
        &mount,
        "open('a', 'wb').write(os.urandom(5000000)); open('b', 'wb').write(b'x' * 100); os.sync()",
    );
    let before = samba.requests();
    python(
        &mount,
        "a, b = os.open('a', os.O_RDONLY), os.open('b', os.O_RDWR)
os.pread(b, 100, 0)
done = 0
while done < 4000000:
    n = os.copy_file_range(a, b, 4000000 - done, 500 + done, 50 + done)
    assert n > 0
    done += n
assert os.fstat(b).st_size == 4000050
assert os.copy_file_range(a, b, 100, 5000000, 0) == 0",
    );
    let after = samba.requests();
    let count = |kind: &str| after[kind] - before[kind];
    assert!(count("ioctl") >= 2 && count("read") < 10 && count("write") == 0, "{before:?} {after:?}");
    mount.shell(
        "cd mnt; cmp <(tail -c +501 a | head -c 4000000) <(tail -c +51 b); test $(head -c 50 b) = $(printf 'x%.0s' $(seq 50))
         cp a c; cmp a c",
    );
}

#[test]
fn s84_modes_and_owners_are_the_servers_where_it_has_them() {
    let samba = Samba::builder().posix().start();
    let mount = Mount::new(&samba).start();
    mount.shell(
        "umask 022; touch mnt/f; mkdir -p mnt/d/e; echo inner > mnt/d/e/f; test $(stat -c %a mnt/f) = 644; test $(stat -c %a mnt/d) = 755
         chmod 750 mnt/f; test $(stat -c %a mnt/f) = 750; chmod 700 mnt/d; test $(stat -c %a mnt/d) = 700
         ls -l mnt | grep -q '^-rwxr-x---'; touch mnt/F; test $(ls mnt | wc -l) = 3; chmod 444 mnt/F; rm -f mnt/F; ln mnt/f mnt/g
         test $(stat -c %h mnt/f) = 2; mv mnt/d/e mnt/e; test $(cat mnt/e/f) = inner; touch 'mnt/a:b?c'; ls mnt > listed; grep -q 'a:b?c' listed || { cat -A listed; ls -la mnt; false; }
         umask 077; echo x > mnt/private; test $(stat -c %a mnt/private) = 600; sleep 1.1; test $(stat -c %a mnt/private) = 600",
    );
    let of = |name: &str| fs::metadata(samba.share_path().join(name)).expect("the file");
    assert_eq!(
        (of("f").mode() & 0o7777, of("d").mode() & 0o7777, of("private").mode() & 0o777),
        (0o750, 0o700, 0o600)
    );
    let plain = Mount::new(&samba).options(["nounix"]).start();
    plain.shell("test $(stat -c %a mnt/f) = 755");
}

#[test]
fn s84_a_mode_that_another_client_sets_is_seen() {
    let samba = Samba::builder().posix().directory_leases().start();
    let (one, other) = (Mount::new(&samba).start(), Mount::new(&samba).start());
    one.shell("echo x > mnt/f; chmod 640 mnt/f; cat mnt/f; ls -l mnt; test $(stat -c %a mnt/f) = 640");
    // What opens and closes the file says nothing of its mode.
    one.shell("for i in 1 2 3; do cat mnt/f; echo x >> mnt/f; done");
    other.shell("test $(stat -c %a mnt/f) = 640; chmod 604 mnt/f");
    let seen = || one.shell("cat mnt/f > /dev/null; stat -c %a mnt/f").trim() == "604";
    wait_until("the mode of the other mount shows", seen);
}

#[test]
fn s85_a_mount_can_remember_modes() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["dynperm"]).start();
    mount.shell(
        "umask 022; touch mnt/f; mkdir mnt/d; test $(stat -c %a mnt/f) = 644; chmod 600 mnt/f; chmod 700 mnt/d
         test $(stat -c %a,%a mnt/f) = 600,600; test $(stat -c %a mnt/d) = 700",
    );
    let noperm = Mount::new(&samba).options(["noperm", "file_mode=0000"]).start();
    noperm.shell("cat mnt/f; echo x > mnt/f");
}

/// What a mount remembers holds for all names of a file, and its time of change goes on.
#[test]
fn s93_what_a_mount_remembers_has_a_time_of_change() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["dynperm", "file_mode=0755"]).start();
    python(
        &mount,
        "import time
open('f', 'w').close(); os.link('f', 'g')
def later(call):
    before = os.stat('f').st_ctime_ns
    time.sleep(0.02)
    call()
    assert os.stat('f').st_ctime_ns > before, call
later(lambda: os.chmod('f', 0o640))
assert stat.S_IMODE(os.stat('g').st_mode) == 0o640
later(lambda: os.chmod('g', 0o4750))
assert stat.S_IMODE(os.stat('f').st_mode) == 0o4750
later(lambda: os.link('f', 'h'))
later(lambda: os.unlink('h'))
later(lambda: (os.rename('f', 'x'), os.rename('x', 'f')))",
    );
}

#[test]
fn s92_what_is_made_belongs_to_who_makes_it() {
    let samba = Samba::builder().posix().share("admin users", "tester").start();
    let plain = Samba::start();
    if !rustix::process::getuid().is_root() {
        // One user only, who owns all as ever.
        let mount = Mount::new(&plain).options(["dynperm", "setuids"]).start();
        mount.shell("touch mnt/f; test $(stat -c %u mnt/f) = $(id -u)");
        return;
    }
    for (samba, options) in [(&samba, "setuids"), (&plain, "setuids,dynperm")] {
        let mount = Mount::new(samba).by_root().options([options]).start();
        mount.shell("chmod 777 mnt; mkdir mnt/group; chown 0:4444 mnt/group; chmod 2777 mnt/group");
        mount.shell(
            "cat > s.py <<'END'
import os, socket, sys
os.setgroups([]); os.setgid(65533); os.setuid(65534)
open('mnt/f', 'w').close(); os.mkdir('mnt/d'); os.mkfifo('mnt/p') if sys.argv[1] == 'all' else None
for n in 'f', 'd', 'p':
    if os.path.lexists('mnt/' + n):
        s = os.stat('mnt/' + n)
        assert (s.st_uid, s.st_gid) == (65534, 65533), (n, s)
END",
        );
        mount.shell(if options == "setuids" { "python3 s.py all" } else { "python3 s.py some" });
        mount.shell(
            "sleep 1.1; test $(stat -c %u,%g mnt/f) = 65534,65533; test $(stat -c %u,%g mnt/d) = 65534,65533",
        );
    }
    let file = fs::metadata(samba.share_path().join("f")).expect("the file");
    assert_eq!((file.uid(), file.gid()), (65534, 65533));
    // Without it, what is made is the mount's.
    let mount = Mount::new(&plain).by_root().options(["dynperm"]).start();
    mount.shell("touch mnt/x; test $(stat -c %u mnt/x) = 0");
}

#[test]
fn s94_the_number_of_files_is_the_servers_where_it_counts_them() {
    let samba = Samba::builder().posix().start();
    let mount = Mount::new(&samba).start();
    let share = samba.share_path();
    let counted = mount
        .shell(&format!("test $(stat -f -c %c mnt) = $(stat -f -c %c '{}'); df -i mnt", share.display()));
    assert!(counted.contains("mnt"), "{counted}");
    let plain = Mount::new(&samba).options(["nounix"]).start();
    plain.shell("test $(stat -f -c %c mnt) = 0");
}

#[test]
fn s95_modes_and_owners_are_kept_in_access_lists() {
    let samba = Samba::builder().newer().share("vfs objects", "fruit streams_xattr").start();
    let mount = Mount::new(&samba).options(["modefromsid"]).start();
    mount.shell(
        "umask 027; touch mnt/f; mkdir mnt/d; test $(stat -c %a mnt/f) = 640; test $(stat -c %a mnt/d) = 750
         chmod 751 mnt/f; test $(stat -c %a mnt/f) = 751; echo x > mnt/f; echo inner > mnt/d/inner; test $(cat mnt/f) = x
         umask 0; mkdir mnt/e; touch mnt/e/g; test $(stat -c %a mnt/e/g) = 666; chmod 444 mnt/e/g; exec 3> mnt/e/new; chmod 600 mnt/e/new
         echo new >&3; test $(stat -c %a mnt/e/new) = 600",
    );
    let of = |name: &str| fs::metadata(samba.share_path().join(name)).expect("the file");
    let modes = ["f", "d", "e/g", "e/new"].map(|name| of(name).mode() & 0o777);
    assert_eq!(modes, [0o751, 0o750, 0o444, 0o600]);
    let second = Mount::new(&samba).options(["modefromsid", "idsfromsid"]).start();
    second.shell(&format!(
        "ls -l mnt > list; grep -q '^-rwxr-x--x.* f$' list; grep -q '^drwxr-x---.* d$' list
         test $(stat -c %a,%u,%g mnt/f) = 751,{},{}",
        of("f").uid(),
        of("f").gid()
    ));
    // A server that takes such entries for nothing keeps nothing, and nothing else is shown.
    let ignorant = Samba::start();
    let mount = Mount::new(&ignorant).options(["modefromsid"]).start();
    mount.shell(
        "umask 077; echo x > mnt/f; chmod 640 mnt/f; sleep 1.1; test $(stat -c %a mnt/f) = 755; cat mnt/f",
    );
}

#[test]
fn s86_what_there_is_not() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    python(
        &mount,
        "refused(errno.EOPNOTSUPP, os.open, '.', os.O_TMPFILE | os.O_RDWR, 0o600)
d = os.open('.', os.O_RDONLY | os.O_DIRECTORY); os.fsync(d)
open('a', 'w').close(); open('b', 'w').close()
assert libc.renameat2(-100, b'a', -100, b'b', 2) == -1 and ctypes.get_errno() == errno.EINVAL",
    );
}

#[test]
fn s87_an_earlier_state_can_be_mounted() {
    const TOKEN: &str = "@GMT-2026.02.03-04.05.06";
    let server = Snapshots::start();
    let (samba, root) = (&server.samba, server.root(TOKEN));
    fs::create_dir_all(root.join("d")).expect("mkdir");
    fs::write(root.join("d/gone"), "as it was").expect("write");
    fs::write(samba.share_path().join("new"), "new").expect("write");
    let options = format!("snapshot={TOKEN}");
    let mount = Mount::new(samba).options([options.as_str()]).start();
    mount.shell("test $(ls mnt) = d; test \"$(cat mnt/d/gone)\" = 'as it was'; ! touch mnt/x");
    let credentials = mount.credentials();
    let login = format!("port={},credentials={}", samba.port(), credentials.display());
    let listed = mount.sharefs(["snapshots", "-o", &login, mount.source()]);
    assert_eq!(String::from_utf8_lossy(&listed.stdout).trim(), TOKEN, "{listed:?}");
    let json = mount.sharefs(["snapshots", "--json", "-o", &login, mount.source()]);
    assert!(String::from_utf8_lossy(&json.stdout).contains(TOKEN), "{json:?}");
    let from = format!("{}/d/gone", mount.source());
    let got = mount.sharefs(["get", "--snapshot", TOKEN, "-o", &login, &from, "got"]);
    assert!(got.status.success(), "{got:?}");
    assert_eq!(fs::read_to_string(mount.home().join("got")).expect("the file"), "as it was");
}
