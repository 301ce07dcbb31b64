use smb_proto::NtStatus;

use super::*;
use crate::memory::Op;
use crate::{RenameFlags, SetAttrs, errno as e};

const ANY: RenameFlags = RenameFlags { no_replace: false, other: false };
const NO_REPLACE: RenameFlags = RenameFlags { no_replace: true, other: false };

#[tokio::test]
async fn directories_come_and_go() {
    let (remote, fs) = mount();
    let dir = fs.mkdir(Ino::ROOT, "Dir", 0o755).await.unwrap().attr.ino;
    assert_eq!(errno(fs.mkdir(Ino::ROOT, "Dir", 0o755).await), e::EEXIST);
    assert_eq!(errno(fs.mkdir(Ino::ROOT, "dir", 0o755).await), e::EEXIST, "the server ignores case");
    let (_, fh) = fs.create(dir, "f", &NEW).await.unwrap();
    fs.release(fh).await.unwrap();
    assert_eq!(remote.paths(), ["Dir", "Dir/f"]);
    assert_eq!(errno(fs.rmdir(Ino::ROOT, "Dir").await), e::ENOTEMPTY);
    assert_eq!(errno(fs.unlink(Ino::ROOT, "Dir").await), e::EISDIR);
    assert_eq!(errno(fs.rmdir(dir, "f").await), e::ENOTDIR);
    fs.unlink(dir, "f").await.unwrap();
    fs.rmdir(Ino::ROOT, "Dir").await.unwrap();
    assert!(remote.paths().is_empty());
    assert_eq!(errno(fs.getattr(dir, None).await), e::ESTALE);
}

#[tokio::test]
async fn a_directory_being_listed_can_be_removed_and_made_again() {
    let (remote, fs) = mount();
    let dir = fs.mkdir(Ino::ROOT, "d", 0o755).await.unwrap().attr.ino;
    let fh = fs.opendir(dir).await.unwrap();
    fs.rmdir(Ino::ROOT, "d").await.unwrap();
    fs.mkdir(Ino::ROOT, "d", 0o755).await.unwrap();
    fs.releasedir(fh).await.unwrap();
    assert_eq!(remote.open_handles(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn directories_wait_for_closes_on_their_way() {
    let (remote, fs) = mount();
    let fs = Arc::new(fs);
    let dir = fs.mkdir(Ino::ROOT, "d", 0o755).await.unwrap().attr.ino;
    let (_, file) = fs.create(dir, "f", &NEW).await.unwrap();
    let listing = fs.opendir(dir).await.unwrap();
    remote.set_latency(Duration::from_millis(20));
    let closing = fs.clone();
    let closes =
        tokio::spawn(async move { (closing.release(file).await, closing.releasedir(listing).await) });
    tokio::task::yield_now().await;
    fs.rename(Ino::ROOT, "d", Ino::ROOT, "e", ANY).await.unwrap();
    fs.unlink(dir, "f").await.unwrap();
    fs.rmdir(Ino::ROOT, "e").await.unwrap();
    let (file, listing) = closes.await.unwrap();
    file.and(listing).unwrap();
    assert!(remote.paths().is_empty() && remote.open_handles() == 0);
}

#[tokio::test]
async fn a_file_deleted_while_open_stays_usable_and_goes_with_the_last_handle() {
    let (remote, fs) = mount();
    let (entry, fh) = fs.create(Ino::ROOT, "db", &NEW).await.unwrap();
    let second = fs.open(entry.attr.ino, READ).await.unwrap();
    put(&fs, fh, 0, "before").await;
    fs.unlink(Ino::ROOT, "db").await.unwrap();
    assert_eq!(errno(fs.lookup(Ino::ROOT, "db").await), e::ENOENT);
    assert_eq!(list(&fs, Ino::ROOT).await, [".", ".."]);
    let hidden = remote.paths().remove(0);
    assert!(hidden.starts_with(".sharefs-deleted-"));
    assert_eq!(errno(fs.lookup(Ino::ROOT, &hidden).await), e::ENOENT);
    assert_eq!(errno(fs.unlink(Ino::ROOT, &hidden).await), e::ENOENT);
    put(&fs, fh, 6, " and after").await;
    assert_eq!(&fs.read(second, 0, 100).await.unwrap()[..], b"before and after");
    let attr = fs.getattr(entry.attr.ino, None).await.unwrap();
    assert_eq!((attr.size, attr.links), (16, 0));
    file(&fs, "db", "another").await;
    assert_eq!(content(&fs, "db").await.unwrap(), "another");
    fs.release(fh).await.unwrap();
    assert_eq!(remote.paths().len(), 2);
    fs.release(second).await.unwrap();
    assert_eq!(remote.paths(), ["db"]);
}

#[tokio::test]
async fn the_name_of_a_deleted_file_is_free_while_another_client_has_it_open() {
    let (remote, fs) = mount();
    let other = another(&remote, LONG);
    file(&fs, "f", "x").await;
    let theirs = other.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let fh = other.open(theirs, READ).await.unwrap();
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    assert_eq!(errno(fs.lookup(Ino::ROOT, "f").await), e::ENOENT);
    file(&fs, "f", "y").await;
    assert_eq!(other.read(fh, 0, 10).await.unwrap(), "x");
    assert_eq!(remote.paths().len(), 2, "it has a hidden name");
    other.release(fh).await.unwrap();
    other.shutdown().await;
    assert_eq!(remote.paths(), ["f"]);
}

/// Where the server does not let it be moved aside.
#[tokio::test]
async fn a_file_that_cannot_be_hidden_keeps_its_name_until_it_is_closed() {
    let (remote, fs) = mount();
    let other = another(&remote, LONG);
    file(&fs, "f", "x").await;
    let theirs = other.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let fh = other.open(theirs, READ).await.unwrap();
    remote.fail_next(Op::Rename, NtStatus::SHARING_VIOLATION);
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    assert_eq!(errno(fs.lookup(Ino::ROOT, "f").await), e::ENOENT);
    assert_eq!(errno(fs.create(Ino::ROOT, "f", &NEW).await), e::EBUSY);
    assert_eq!(errno(fs.mkdir(Ino::ROOT, "f", 0o755).await), e::EBUSY);
    other.release(fh).await.unwrap();
    file(&fs, "f", "y").await;
}

#[tokio::test]
async fn readonly_files_are_deleted_and_replaced_as_posix_does() {
    let (remote, fs) = mount();
    let protect = SetAttrs { mode: Some(0o444), ..SetAttrs::default() };
    for name in ["a", "b"] {
        let ino = file(&fs, name, name).await.attr.ino;
        fs.setattr(ino, None, &protect).await.unwrap();
    }
    fs.rename(Ino::ROOT, "a", Ino::ROOT, "b", ANY).await.unwrap();
    assert_eq!(content(&fs, "b").await.unwrap(), "a");
    fs.unlink(Ino::ROOT, "b").await.unwrap();
    assert!(remote.paths().is_empty());
}

#[tokio::test]
async fn a_refused_deletion_leaves_the_readonly_attribute() {
    let (remote, fs) = mount();
    let ino = file(&fs, "f", "").await.attr.ino;
    fs.setattr(ino, None, &SetAttrs { mode: Some(0o444), ..SetAttrs::default() }).await.unwrap();
    for _ in 0..3 {
        remote.fail_next(Op::Remove, NtStatus::ACCESS_DENIED);
    }
    assert_eq!(errno(fs.unlink(Ino::ROOT, "f").await), e::EACCES);
    let perm = another(&remote, LONG).lookup(Ino::ROOT, "f").await.unwrap().attr.perm;
    assert_eq!(perm, 0o555);
}

#[tokio::test]
async fn renaming_replaces_unless_told_not_to() {
    let (_, fs) = mount();
    let a = file(&fs, "a", "A").await.attr.ino;
    file(&fs, "b", "B").await;
    assert_eq!(errno(fs.rename(Ino::ROOT, "a", Ino::ROOT, "b", NO_REPLACE).await), e::EEXIST);
    let exchange = RenameFlags { other: true, ..ANY };
    assert_eq!(errno(fs.rename(Ino::ROOT, "a", Ino::ROOT, "b", exchange).await), e::EINVAL);
    fs.rename(Ino::ROOT, "a", Ino::ROOT, "b", ANY).await.unwrap();
    assert_eq!(fs.lookup(Ino::ROOT, "b").await.unwrap().attr.ino, a);
    assert_eq!(content(&fs, "b").await.unwrap(), "A");
    assert_eq!(errno(fs.lookup(Ino::ROOT, "a").await), e::ENOENT);
    fs.rename(Ino::ROOT, "b", Ino::ROOT, "c", NO_REPLACE).await.unwrap();
    assert_eq!(errno(fs.rename(Ino::ROOT, "gone", Ino::ROOT, "c", ANY).await), e::ENOENT);
}

#[tokio::test]
async fn an_open_file_can_be_renamed_and_replaced() {
    let (remote, fs) = mount();
    let (old, old_fh) = fs.create(Ino::ROOT, "config", &NEW).await.unwrap();
    put(&fs, old_fh, 0, "old").await;
    let (_, new_fh) = fs.create(Ino::ROOT, "config.lock", &NEW).await.unwrap();
    put(&fs, new_fh, 0, "new").await;
    fs.rename(Ino::ROOT, "config.lock", Ino::ROOT, "config", ANY).await.unwrap();
    assert_eq!(content(&fs, "config").await.unwrap(), "new");
    put(&fs, new_fh, 3, "er").await;
    assert_eq!(content(&fs, "config").await.unwrap(), "newer");
    assert_eq!(&fs.read(old_fh, 0, 10).await.unwrap()[..], b"old");
    assert_eq!(fs.getattr(old.attr.ino, None).await.unwrap().links, 0);
    fs.release(old_fh).await.unwrap();
    fs.release(new_fh).await.unwrap();
    assert_eq!(remote.paths(), ["config"]);
}

#[tokio::test]
async fn a_refused_rename_puts_the_target_back() {
    let (remote, fs) = mount();
    let (_, fh) = fs.create(Ino::ROOT, "target", &NEW).await.unwrap();
    file(&fs, "source", "").await;
    let real = remote.calls(Op::Rename);
    // The first rename moves the target aside; the second, the rename proper, fails.
    remote.skip_then_fail(Op::Rename, 1, NtStatus::DISK_FULL);
    let rename = fs.rename(Ino::ROOT, "source", Ino::ROOT, "target", ANY);
    assert_eq!(errno(rename.await), e::ENOSPC);
    assert_eq!(remote.calls(Op::Rename), real + 3);
    assert_eq!(remote.paths(), ["source", "target"]);
    fs.release(fh).await.unwrap();
    assert_eq!(remote.paths(), ["source", "target"]);
}

#[tokio::test]
async fn only_the_case_of_a_name_can_be_changed() {
    let (remote, fs) = mount();
    let (entry, fh) = fs.create(Ino::ROOT, "readme", &NEW).await.unwrap();
    let other = fs.lookup(Ino::ROOT, "README").await.unwrap();
    assert_eq!((other.attr.ino, other.respelled), (entry.attr.ino, true));
    fs.rename(Ino::ROOT, "readme", Ino::ROOT, "README", ANY).await.unwrap();
    assert_eq!(remote.paths(), ["README"]);
    let found = fs.lookup(Ino::ROOT, "README").await.unwrap();
    assert_eq!((found.attr.ino, found.respelled), (entry.attr.ino, false));
    fs.release(fh).await.unwrap();
    assert_eq!(remote.paths(), ["README"]);
}

#[tokio::test]
async fn directories_replace_empty_directories_only() {
    let (remote, fs) = mount();
    for name in ["a", "b", "c"] {
        fs.mkdir(Ino::ROOT, name, 0o755).await.unwrap();
    }
    let c = fs.lookup(Ino::ROOT, "c").await.unwrap().attr.ino;
    let (inner, fh) = fs.create(c, "inner", &NEW).await.unwrap();
    fs.release(fh).await.unwrap();
    file(&fs, "f", "").await;
    assert_eq!(errno(fs.rename(Ino::ROOT, "a", Ino::ROOT, "c", ANY).await), e::ENOTEMPTY);
    assert_eq!(errno(fs.rename(Ino::ROOT, "a", Ino::ROOT, "f", ANY).await), e::ENOTDIR);
    assert_eq!(errno(fs.rename(Ino::ROOT, "f", Ino::ROOT, "a", ANY).await), e::EISDIR);
    fs.rename(Ino::ROOT, "c", Ino::ROOT, "a", ANY).await.unwrap();
    assert_eq!(remote.paths(), ["a", "a/inner", "b", "f"]);
    fs.open(inner.attr.ino, WRITE).await.unwrap();
    assert_eq!(errno(fs.rename(Ino::ROOT, "a", Ino::ROOT, "z", ANY).await), e::EACCES, "as Windows does");
}

#[tokio::test]
async fn links_and_special_files_are_refused() {
    let (_, fs) = mount();
    let file = file(&fs, "file", "").await.attr.ino;
    assert_eq!(errno(fs.link(file, Ino::ROOT, "other").await), e::EPERM);
    assert_eq!(errno(fs.symlink(Ino::ROOT, "link", "file").await), e::EPERM);
    assert_eq!(errno(fs.make_node(Ino::ROOT, "pipe", crate::Node::Fifo, 0o644).await), e::EPERM);
    assert_eq!(errno(fs.readlink(file).await), e::EINVAL);
}

#[tokio::test]
async fn names_that_cannot_be_are_refused_without_asking() {
    let (remote, fs) = mount();
    let before = remote.calls(Op::Lookup) + remote.calls(Op::Open) + remote.calls(Op::Mkdir);
    for name in ["", ".", "..", "a/b", "a\0"] {
        assert_eq!(errno(fs.lookup(Ino::ROOT, name).await), e::EINVAL);
        assert_eq!(errno(fs.create(Ino::ROOT, name, &NEW).await), e::EINVAL);
        assert_eq!(errno(fs.mkdir(Ino::ROOT, name, 0o755).await), e::EINVAL);
    }
    assert_eq!(errno(fs.lookup(Ino::ROOT, &"x".repeat(300)).await), e::ENAMETOOLONG);
    assert_eq!(remote.calls(Op::Lookup) + remote.calls(Op::Open) + remote.calls(Op::Mkdir), before);
}
