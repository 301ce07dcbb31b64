//! Hard links, symbolic links, and what is neither a file of data nor a directory: S60 to S68, S90, S91.

use std::fs;
use std::os::unix::fs::MetadataExt;

use sharefs_tests::{Mount, Samba};

use crate::help::fails;

#[test]
fn s60_a_file_has_several_names() {
    for builder in [Samba::builder(), Samba::builder().directory_leases()] {
        let samba = builder.start();
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        mount.shell(
            "mkdir mnt/d; echo one > mnt/a; test $(stat -c %h mnt/a) = 1; ln mnt/a mnt/d/b
             test $(stat -c %h mnt/a) = 2; test $(stat -c %h mnt/d/b) = 2; test $(stat -c %i mnt/a) = $(stat -c %i mnt/d/b)
             touch -d @1900000000 mnt/a; test $(stat -c %Y mnt/d/b) = 1900000000; test $(cat mnt/d/b) = one
             echo two >> mnt/d/b; test \"$(cat mnt/a)\" = \"$(printf 'one\\ntwo')\"
             echo three >> mnt/a; test $(wc -l < mnt/d/b) = 3
             test $(stat -c %s mnt/a) = $(stat -c %s mnt/d/b)
             python3 -c \"import os; os.rename('mnt/a', 'mnt/d/b')\"; test -e mnt/a; test -e mnt/d/b
             rm mnt/a; test $(stat -c %h mnt/d/b) = 1; test $(wc -l < mnt/d/b) = 3",
        );
        fails(&mount, "ln mnt/d/b mnt/d/b", "File exists");
        fails(&mount, "echo x > mnt/x; ln mnt/x mnt/d/b", "File exists");
        let path = samba.share_path().join("d/b");
        assert_eq!(fs::metadata(path).expect("the file").nlink(), 1);
    }
}

/// Both are open through this mount, each by its own name.
#[test]
fn s61_names_of_one_file_do_not_hide_each_others_writes() {
    for builder in [Samba::builder(), Samba::builder().directory_leases()] {
        let samba = builder.start();
        let mount = Mount::new(&samba).start();
        mount.shell(
            "cat > s.py <<'END'
import os
a = os.open('mnt/a', os.O_RDWR | os.O_CREAT)
os.write(a, b'0' * 100000)
os.close(a)
os.link('mnt/a', 'mnt/b')
a, b = os.open('mnt/a', os.O_RDWR), os.open('mnt/b', os.O_RDWR)
for i in range(1, 20):
    w, r = (a, b) if i % 2 else (b, a)
    os.pwrite(w, b'%d' % (i % 10), 5000 * i)
    assert os.pread(r, 1, 5000 * i) == b'%d' % (i % 10), i
os.unlink('mnt/a')
os.pwrite(a, b'end', 0)
os.close(a)
assert os.pread(b, 3, 0) == b'end'
END
             python3 s.py; test $(ls -A mnt) = b",
        );
    }
}

#[test]
fn s62_links_are_kept_as_the_server_can() {
    // As macOS has it, and as Windows' NFS server.
    let samba = Samba::start();
    let small_files = Mount::new(&samba).options(["mfsymlinks"]).start();
    let newer = Samba::builder().newer().start();
    let reparse_points = Mount::new(&newer).start();
    let posix = Samba::builder().posix().start();
    let extensions = Mount::new(&posix).start();
    for mount in [&small_files, &reparse_points, &extensions] {
        mount.shell(
            "mkdir mnt/d; echo content > mnt/file; ln -s file mnt/link; ln -s ../file mnt/d/up; ln -s d mnt/dir
             test $(readlink mnt/link) = file; test $(readlink mnt/d/up) = ../file; test -L mnt/link
             test $(cat mnt/link) = content; test $(cat mnt/d/up) = content; test $(cat mnt/dir/up) = content
             ls -l mnt | grep -q 'link -> file'; test $(stat -c %s mnt/link) = 4; test $(stat -c %F mnt/dir) = 'symbolic link' || true
             find mnt -type l | sort > found; test $(wc -l < found) = 3
             rm mnt/link mnt/dir; test -d mnt/d
             ln -s none mnt/dangling; test ! -e mnt/dangling; test -L mnt/dangling; rm mnt/dangling
             cp -a mnt/d copy; test $(readlink copy/up) = ../file
             ln -s file mnt/link; touch -h -d @1900000000 mnt/link; test $(stat -c %Y mnt/link) = 1900000000
             mv mnt/link mnt/d/link; test $(readlink mnt/d/link) = file; rm mnt/d/link",
        );
        fails(mount, "ln -sT x mnt/d", "File exists");
        fails(mount, "ln -sT x mnt/file", "File exists");
        fails(mount, "readlink -v mnt/file", "Invalid argument");
    }
    assert_eq!(fs::metadata(samba.share_path().join("d/up")).expect("the file").len(), 1067);
    // Another mount that was not told sees the file that it is.
    let plain = Mount::new(&samba).start();
    plain.shell("test -f mnt/d/up; test ! -L mnt/d/up; test $(stat -c %s mnt/d/up) = 1067");
}

/// The same names and numbers lead to the same files, by listing and by name.
#[test]
fn s90_names_of_one_file_have_one_number() {
    for builder in [Samba::builder(), Samba::builder().directory_leases(), Samba::builder().posix()] {
        let samba = builder.start();
        let mount = Mount::new(&samba).start();
        mount.shell(
            "mkdir mnt/d; echo one > mnt/a; ln mnt/a mnt/d/b; ln mnt/d/b mnt/c; touch mnt/other
             i=$(stat -c %i mnt/a); for name in mnt/a mnt/d/b mnt/c; do test $(stat -c %i $name) = $i; done
             test $(stat -c %i mnt/other) != $i; test \"$(find mnt -samefile mnt/a | sort)\" = \"$(printf 'mnt/a\\nmnt/c\\nmnt/d/b')\"
             rm mnt/a; test $(stat -c %i mnt/c) = $(stat -c %i mnt/d/b)",
        );
        // Another mount finds them as they are.
        let second = Mount::new(&samba).start();
        second.shell("ls -l mnt mnt/d; test $(stat -c %i mnt/c) = $(stat -c %i mnt/d/b)");
    }
}

#[test]
fn s91_special_files_are_kept_as_small_system_files() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["sfu"]).start();
    mount.shell(
        "mkfifo mnt/pipe; test -p mnt/pipe; (echo through > mnt/pipe &); test $(cat mnt/pipe) = through
         python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.bind('mnt/socket')\"; test -S mnt/socket
         mv mnt/pipe mnt/moved; test -p mnt/moved; touch -d @1900000000 mnt/moved; test -p mnt/moved; echo x > mnt/x
         find mnt -type p | grep -q moved; find mnt -type s | grep -q socket; find mnt -type f | grep -q x",
    );
    let content = |name: &str| fs::read(samba.share_path().join(name)).expect("the file");
    assert_eq!((content("moved"), content("socket")), (Vec::new(), vec![0]));
    let plain = Mount::new(&samba).start();
    plain.shell("test -f mnt/moved; test $(stat -c %s mnt/socket) = 1");
    if rustix::process::getuid().is_root() {
        let root = Mount::new(&samba).options(["sfu"]).by_root().start();
        root.shell(
            "mknod mnt/null c 1 3; mknod mnt/disk b 8 17; test -c mnt/null; test -b mnt/disk
             test $(stat -c %t,%T mnt/null) = 1,3; test $(stat -c %t,%T mnt/disk) = 8,11",
        );
        assert_eq!(&content("null")[..8], b"IntxCHR\0");
    }
    mount.shell("rm mnt/moved mnt/socket");
}

#[test]
fn s63_a_server_without_links_makes_none() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    fails(&mount, "ln -s x mnt/link", "Operation not permitted");
    fails(&mount, "mkfifo mnt/pipe", "Operation not permitted");
    mount.shell("test -z \"$(ls -A mnt)\"");
}

#[test]
fn s64_links_lead_nowhere_outside_of_the_share() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["mfsymlinks"]).start();
    mount.shell(
        "mkdir mnt/d; ln -s /etc/passwd mnt/absolute; ln -s ../../x mnt/d/up; ln -s ../x mnt/d/within",
    );
    fails(&mount, "readlink -v mnt/absolute", "Operation not permitted");
    fails(&mount, "readlink -v mnt/d/up", "Operation not permitted");
    fails(&mount, "cat mnt/absolute", "Operation not permitted");
    mount.shell(
        "test $(readlink mnt/d/within) = ../x; test -L mnt/absolute; rm mnt/absolute mnt/d/up; ls -l mnt/d",
    );
    let follow = Mount::new(&samba).options(["mfsymlinks", "symlinks=follow"]).start();
    follow.shell("ln -s /etc/passwd mnt/absolute; cmp mnt/absolute /etc/passwd; test $(readlink mnt/absolute) = /etc/passwd");
}

#[test]
fn s65_pipes_and_sockets_are_kept_where_the_server_can() {
    let samba = Samba::builder().newer().start();
    let mount = Mount::new(&samba).start();
    mount.shell(
        "mkfifo mnt/pipe; test -p mnt/pipe; ls -l mnt | grep -q '^p.*pipe'; (echo through > mnt/pipe &); test $(cat mnt/pipe) = through
         python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.bind('mnt/socket')\"; test -S mnt/socket
         find mnt -type p | grep -q pipe; find mnt -type s | grep -q socket
         rm mnt/pipe mnt/socket; test -z \"$(ls -A mnt)\"",
    );
    if rustix::process::getuid().is_root() {
        let root = Mount::new(&samba).by_root().start();
        root.shell(
            "mknod mnt/null c 1 3; mknod mnt/disk b 8 17; test -c mnt/null; test -b mnt/disk
             test $(stat -c %t,%T mnt/null) = 1,3; test $(stat -c %t,%T mnt/disk) = 8,11; ls -l mnt | grep -q '^b.* 8, *17'",
        );
    }
    // An empty file can be made the same way.
    mount.shell(
        "python3 -c \"import os, stat; os.mknod('mnt/file', 0o600 | stat.S_IFREG)\"; test -f mnt/file",
    );
}
