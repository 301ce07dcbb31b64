//! A real mount, over the server in memory. Needs /dev/fuse, and fusermount3 unless root.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fs_core::memory::{MemoryRemote, Op};
use fs_core::{Filesystem, MountOptions};
use fs_fuse::{FuseOptions, MountError, Mounted, mount, unmount};
use smb_proto::NtStatus;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Mount {
    remote: Arc<MemoryRemote>,
    // In the order of dropping: the mount before its directory and the runtime that serves it.
    mounted: Mounted,
    runtime: Runtime,
    dir: TempDir,
}

impl Mount {
    fn new() -> Self {
        Self::with(Duration::from_secs(1))
    }

    fn with(attr_ttl: Duration) -> Self {
        Self::of(Arc::new(MemoryRemote::default()), attr_ttl)
    }

    fn of(remote: Arc<MemoryRemote>, attr_ttl: Duration) -> Self {
        let options = MountOptions {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            attr_ttl,
            dir_attr_ttl: attr_ttl,
            ..MountOptions::default()
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fs = Arc::new(Filesystem::new(remote.clone(), options));
        let fuse = FuseOptions { fsname: "//memory/share".into(), ..FuseOptions::default() };
        let mounted = mount(fs, dir.path(), &fuse, runtime.handle().clone())
            .unwrap_or_else(|error| panic!("this test needs a working FUSE: {error}"));
        Self { remote, mounted, runtime, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn end(&self) {
        unless_busy(|| self.mounted.unmount(false));
        let ended = async { tokio::time::timeout(Duration::from_secs(10), self.mounted.ended()).await };
        self.runtime.block_on(ended).expect("the session ends").unwrap();
    }
}

/// A process that another test has just forked has our files open until it is another program: try again.
fn unless_busy(unmount: impl Fn() -> Result<(), MountError>) {
    for _ in 0..100 {
        match unmount() {
            Err(MountError::Busy { .. }) => std::thread::sleep(Duration::from_millis(20)),
            result => return result.unwrap(),
        }
    }
    panic!("still busy");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn run(dir: &Path, command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).current_dir(dir).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[test]
fn files_and_directories() {
    let m = Mount::new();
    fs::create_dir_all(m.path("a/b/c")).unwrap();
    fs::write(m.path("a/b/file.txt"), "hello").unwrap();
    assert_eq!(fs::read_to_string(m.path("a/b/file.txt")).unwrap(), "hello");
    let meta = fs::metadata(m.path("a/b/file.txt")).unwrap();
    assert_eq!((meta.len(), meta.mode(), meta.nlink()), (5, 0o100_755, 1));
    assert_eq!(names(&m.path("a/b")), ["c", "file.txt"]);
    assert_eq!(fs::create_dir(m.path("a")).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::remove_dir(m.path("a")).unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    assert_eq!(fs::read(m.path("none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read(m.path("a")).unwrap_err().kind(), ErrorKind::IsADirectory);
    fs::remove_dir_all(m.path("a")).unwrap();
    assert!(names(m.dir.path()).is_empty());
    m.end();
    assert_eq!((m.remote.open_handles(), m.remote.paths().len()), (0, 0));
}

#[test]
fn five_thousand_entries() {
    let m = Mount::new();
    for i in 0..5000 {
        File::create(m.path(&format!("entry-{i:05}"))).unwrap();
    }
    let listed = names(m.dir.path());
    assert_eq!(listed.len(), 5000);
    assert!(listed.iter().enumerate().all(|(i, name)| *name == format!("entry-{i:05}")));
    assert_eq!(run(m.dir.path(), "ls -l | wc -l").trim(), "5001");
    run(m.dir.path(), "rm -rf entry-*");
    assert!(names(m.dir.path()).is_empty());
}

#[test]
fn large_files_through_tools_that_read_and_map() {
    let m = Mount::new();
    let data = pattern(5 * (1 << 20) + 12_345);
    let local = tempfile::NamedTempFile::new().unwrap();
    fs::write(local.path(), &data).unwrap();
    let local = local.path().display();
    run(m.dir.path(), &format!("dd if={local} of=big bs=300k status=none && cmp {local} big"));
    assert_eq!(fs::read(m.path("big")).unwrap(), data);
    let file = File::open(m.path("big")).unwrap();
    let mut middle = vec![0; 70_000];
    file.read_exact_at(&mut middle, 3_000_001).unwrap();
    assert_eq!(middle, data[3_000_001..][..70_000]);
    let script = "import mmap\n\
        f = open('big', 'r+b')\n\
        m = mmap.mmap(f.fileno(), 0)\n\
        assert m[4000000:4000010] == open('LOCAL', 'rb').read()[4000000:4000010]\n\
        m[4096:4100] = b'maps'\n\
        m.flush()\n\
        m.close()\n\
        f.close()\n\
        assert open('big', 'rb').read()[4094:4102][2:6] == b'maps'\n";
    let script = script.replace("LOCAL", &local.to_string());
    if Command::new("python3").arg("-c").arg("").status().is_ok() {
        let status =
            Command::new("python3").args(["-c", &script]).current_dir(m.dir.path()).status().unwrap();
        assert!(status.success());
        assert_eq!(&fs::read(m.path("big")).unwrap()[4096..4100], b"maps");
    }
}

#[test]
fn renaming_over_a_file_that_is_open() {
    let m = Mount::new();
    fs::write(m.path("config"), "old").unwrap();
    let mut reader = File::open(m.path("config")).unwrap();
    fs::write(m.path("config.new"), "new!").unwrap();
    fs::rename(m.path("config.new"), m.path("config")).unwrap();
    assert_eq!(fs::read_to_string(m.path("config")).unwrap(), "new!");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "old");
    drop(reader);
    assert_eq!(names(m.dir.path()), ["config"]);
    m.end();
    assert_eq!(m.remote.paths(), ["config"]);
}

#[test]
fn a_directory_is_renamed_right_after_a_file_in_it_was_closed() {
    let m = Mount::new();
    for i in 0..20 {
        fs::create_dir(m.path("dir")).unwrap();
        fs::write(m.path("dir/file"), "x").unwrap();
        fs::rename(m.path("dir"), m.path(&format!("moved{i}"))).unwrap();
    }
    assert_eq!(names(m.dir.path()).len(), 20);
    assert_eq!(fs::read_to_string(m.path("moved7/file")).unwrap(), "x");
}

#[test]
fn a_file_deleted_while_open() {
    let m = Mount::new();
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(m.path("temp")).unwrap();
    file.write_all(b"before").unwrap();
    fs::remove_file(m.path("temp")).unwrap();
    assert!(names(m.dir.path()).is_empty());
    file.write_all(b" after").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "before after");
    let meta = file.metadata().unwrap();
    assert_eq!((meta.len(), meta.nlink()), (12, 0));
    drop(file);
    m.end();
    assert!(m.remote.paths().is_empty());
}

#[test]
fn appending_truncating_and_growing() {
    let m = Mount::new();
    let mut one = OpenOptions::new().append(true).create(true).open(m.path("log")).unwrap();
    let mut two = OpenOptions::new().append(true).open(m.path("log")).unwrap();
    for i in 0..10 {
        writeln!(if i % 2 == 0 { &mut one } else { &mut two }, "line {i}").unwrap();
    }
    let text: String = (0..10).map(|i| format!("line {i}\n")).collect();
    assert_eq!(fs::read_to_string(m.path("log")).unwrap(), text);
    one.set_len(6).unwrap();
    assert_eq!(fs::metadata(m.path("log")).unwrap().len(), 6);
    two.write_all(b"!").unwrap();
    assert_eq!(fs::read_to_string(m.path("log")).unwrap(), "line 0!");
    File::create(m.path("log")).unwrap();
    assert_eq!(fs::metadata(m.path("log")).unwrap().len(), 0);
    one.set_len(1 << 20).unwrap();
    assert_eq!(fs::read(m.path("log")).unwrap(), vec![0; 1 << 20]);
    one.sync_all().unwrap();
    assert!(m.remote.calls(Op::Flush) >= 1);
}

#[test]
fn modes_times_and_space() {
    let m = Mount::new();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o444).open(m.path("f")).unwrap();
    (&file).write_all(b"read-only").unwrap();
    drop(file);
    assert_eq!(fs::metadata(m.path("f")).unwrap().permissions().mode() & 0o777, 0o555);
    fs::set_permissions(m.path("f"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(fs::metadata(m.path("f")).unwrap().permissions().mode() & 0o777, 0o755);
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_700);
    let file = OpenOptions::new().write(true).open(m.path("f")).unwrap();
    file.set_modified(then).unwrap();
    drop(file);
    assert_eq!(fs::metadata(m.path("f")).unwrap().modified().unwrap(), then);
    let space = rustix::fs::statvfs(m.dir.path()).unwrap();
    assert_eq!((space.f_blocks * space.f_frsize, space.f_namemax), (1 << 40, 255));
}

#[test]
fn what_smb_has_not_is_refused_cleanly() {
    let m = Mount::new();
    fs::write(m.path("f"), "").unwrap();
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error().unwrap();
    assert_eq!(errno(std::os::unix::fs::symlink("f", m.path("link"))), 1);
    assert_eq!(errno(fs::hard_link(m.path("f"), m.path("link"))), 1);
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"not\xfftext");
    assert_eq!(errno(File::create(m.dir.path().join(bytes)).map(drop)), 84);
    assert_eq!(errno(File::create(m.path(&"x".repeat(256))).map(drop)), 36);
    fs::write(m.path("what: *now*?"), "odd").unwrap();
    assert_eq!(fs::read_to_string(m.path("what: *now*?")).unwrap(), "odd");
    let exchange = rustix::fs::renameat_with(
        rustix::fs::CWD,
        m.path("f"),
        rustix::fs::CWD,
        m.path("what: *now*?"),
        rustix::fs::RenameFlags::EXCHANGE,
    );
    assert_eq!(exchange.unwrap_err(), rustix::io::Errno::INVAL);
}

#[test]
fn errors_of_the_server_reach_the_program() {
    let m = Mount::with(Duration::ZERO);
    let mut file = File::create(m.path("f")).unwrap();
    m.remote.fail_next(Op::Write, NtStatus::DISK_FULL);
    assert_eq!(file.write_all(b"x").unwrap_err().kind(), ErrorKind::StorageFull);
    m.remote.fail_next(Op::Flush, NtStatus::QUOTA_EXCEEDED);
    assert_eq!(file.sync_all().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    file.write_all(b"y").unwrap();
}

#[test]
fn a_panic_in_one_request_is_eio_for_that_one() {
    let m = Mount::new();
    fs::write(m.path("f"), "fine").unwrap();
    m.remote.panic_next(Op::Open);
    assert_eq!(fs::read(m.path("f")).unwrap_err().raw_os_error(), Some(5));
    assert_eq!(fs::read(m.path("f")).unwrap(), b"fine");
    m.remote.panic_next(Op::Mkdir);
    assert_eq!(fs::create_dir(m.path("d")).unwrap_err().raw_os_error(), Some(5));
    fs::create_dir(m.path("d")).unwrap();
}

#[test]
fn another_client_s_changes_show_at_the_next_open() {
    let remote = Arc::new(MemoryRemote::default());
    let (here, there) = (Mount::of(remote.clone(), Duration::ZERO), Mount::of(remote, Duration::ZERO));
    fs::write(here.path("f"), "first").unwrap();
    assert_eq!(fs::read_to_string(there.path("f")).unwrap(), "first");
    let early = File::open(here.path("f")).unwrap();
    let mut text = [0; 5];
    early.read_exact_at(&mut text, 0).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    overwrite(&there.path("f"), b"FIRST");
    early.read_exact_at(&mut text, 0).unwrap();
    assert_eq!(&text, b"FIRST");
    fs::write(there.path("f"), "second, and longer").unwrap();
    assert_eq!(fs::read_to_string(here.path("f")).unwrap(), "second, and longer");
    fs::rename(there.path("f"), there.path("g")).unwrap();
    assert_eq!(fs::read(here.path("f")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(names(here.dir.path()), ["g"]);
}

fn overwrite(path: &Path, data: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(data, 0).unwrap();
}

#[test]
fn two_threads_at_once() {
    let m = Mount::new();
    let stress = |who: &str| {
        for round in 0..40 {
            let dir = m.path(&format!("{who}-{round}"));
            fs::create_dir(&dir).unwrap();
            let data = pattern(1000 * round + who.len());
            fs::write(dir.join("a"), &data).unwrap();
            fs::rename(dir.join("a"), dir.join("b")).unwrap();
            assert_eq!(fs::read(dir.join("b")).unwrap(), data);
            fs::write(m.path("shared"), who).unwrap();
            if let Ok(text) = fs::read_to_string(m.path("shared")) {
                assert!(["", "one", "two", "twoo"].contains(&text.as_str()), "{text}");
            }
            fs::remove_dir_all(&dir).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| stress("one"));
        scope.spawn(|| stress("two"));
    });
    assert_eq!(names(m.dir.path()), ["shared"]);
    m.end();
    assert_eq!((m.remote.open_handles(), m.remote.paths()), (0, vec!["shared".to_owned()]));
}

#[test]
fn git_keeps_a_repository() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("skipped: there is no git");
        return;
    }
    let m = Mount::new();
    // Maintenance would go on in the background and make files while we remove them.
    let git =
        "git -c maintenance.auto=false -c user.name=t -c user.email=t@example.org -c safe.directory='*'";
    let script = format!(
        "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; mkdir repo; cd repo; {git} init -q .; echo one > file; \
         {git} add file; {git} commit -qm first; echo two > file; {git} commit -qam second; {git} gc -q; \
         {git} fsck --strict; {git} checkout -q HEAD~1; cat file; {git} status --porcelain; cd ..; rm -rf repo"
    );
    assert_eq!(run(m.dir.path(), &script).trim(), "one");
    assert!(names(m.dir.path()).is_empty());
}

#[test]
fn mounts_end_and_errors_say_why() {
    let m = Mount::new();
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let line = table.lines().find(|line| line.contains(&*m.dir.path().to_string_lossy())).unwrap();
    assert!(line.contains("fuse.sharefs //memory/share"), "{line}");
    let fs_again = Arc::new(Filesystem::new(m.remote.clone(), MountOptions::default()));
    let again =
        mount(fs_again, m.dir.path(), &FuseOptions::default(), m.runtime.handle().clone()).unwrap_err();
    assert!(
        matches!(&again, MountError::AlreadyMounted { source_name, .. } if source_name == "//memory/share")
    );
    let open = File::create(m.path("open")).unwrap();
    let busy = m.mounted.unmount(false).unwrap_err();
    assert!(busy.to_string().contains(&format!("({})", std::process::id())), "{busy}");
    drop(open);
    assert!(!m.mounted.has_ended());
    unless_busy(|| unmount(m.dir.path(), false));
    m.runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), m.mounted.ended()).await })
        .unwrap()
        .unwrap();
    assert!(m.mounted.has_ended());
    m.mounted.unmount(false).unwrap();
    assert!(matches!(unmount(m.dir.path(), false).unwrap_err(), MountError::NotMounted(_)));
}

#[test]
fn a_lazy_unmount_ends_with_its_last_user() {
    let m = Mount::new();
    let mut open = File::create(m.path("open")).unwrap();
    m.mounted.unmount(true).unwrap();
    open.write_all(b"still here").unwrap();
    assert!(!m.mounted.has_ended());
    drop(open);
    m.runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), m.mounted.ended()).await })
        .unwrap()
        .unwrap();
    assert_eq!((m.remote.paths().len(), m.remote.open_handles()), (1, 0));
}
