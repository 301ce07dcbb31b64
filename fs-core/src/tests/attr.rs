use std::time::Duration;

use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;

use super::*;
use crate::memory::Op;
use crate::{FileKind, SetAttrs, TimeChange, errno as e};

#[tokio::test]
async fn the_root_and_what_is_in_it_have_the_mounts_owner_and_modes() {
    let (_, fs) = mount();
    let root = fs.getattr(Ino::ROOT, None).await.unwrap();
    assert_eq!((root.kind, root.perm, root.uid, root.gid), (FileKind::Directory, 0o755, 1000, 100));
    let made = file(&fs, "Read Me.txt", "hello").await.attr;
    let found = fs.lookup(Ino::ROOT, "Read Me.txt").await.unwrap().attr;
    assert_eq!((found.ino, found.size, found.perm, found.links), (made.ino, 5, 0o755, 1));
    assert_eq!(errno(fs.lookup(Ino::ROOT, "nothing").await), e::ENOENT);
}

#[tokio::test]
async fn attributes_are_asked_for_once_per_ttl() {
    let (remote, fs) = mount();
    let ino = file(&fs, "f", "x").await.attr.ino;
    fs.getattr(ino, None).await.unwrap();
    let before = remote.calls(Op::Lookup);
    for _ in 0..5 {
        assert!(fs.getattr(ino, None).await.unwrap().valid > Duration::ZERO);
    }
    assert_eq!(remote.calls(Op::Lookup), before);

    let hasty = another(&remote, Duration::ZERO);
    let ino = hasty.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let before = remote.calls(Op::Lookup);
    for _ in 0..5 {
        assert!(hasty.getattr(ino, None).await.unwrap().valid.is_zero());
    }
    assert_eq!(remote.calls(Op::Lookup), before + 5);
}

#[tokio::test]
async fn a_change_by_another_client_shows_after_the_ttl() {
    let (remote, fs) = mount();
    let now = another(&remote, Duration::ZERO);
    file(&fs, "f", "x").await;
    let ino = now.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    let theirs = fs.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    fs.setattr(theirs, None, &SetAttrs { size: Some(77), ..SetAttrs::default() }).await.unwrap();
    assert_eq!(now.getattr(ino, None).await.unwrap().size, 77);
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    assert_eq!(errno(now.getattr(ino, None).await), e::ENOENT);
    assert_eq!(errno(now.getattr(ino, None).await), e::ESTALE);
}

#[tokio::test]
async fn another_file_of_the_same_name_is_not_taken_for_the_old_one() {
    let (remote, fs) = mount();
    let now = another(&remote, Duration::ZERO);
    file(&fs, "f", "old").await;
    let old = now.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    file(&fs, "f", "new").await;
    assert_eq!(errno(now.open(old, READ).await), e::ESTALE);
    assert_eq!(errno(now.getattr(old, None).await), e::ESTALE);
    assert_ne!(now.lookup(Ino::ROOT, "f").await.unwrap().attr.ino, old);
    assert_eq!(content(&now, "f").await.unwrap(), "new");
    assert_eq!(remote.open_handles(), 0);
}

#[tokio::test]
async fn size_and_times_are_set_and_answered() {
    let (_, fs) = mount();
    let ino = file(&fs, "f", "hello").await.attr.ino;
    let grown = fs.setattr(ino, None, &SetAttrs { size: Some(9), ..SetAttrs::default() }).await.unwrap();
    assert_eq!(grown.size, 9);
    assert_eq!(content(&fs, "f").await.unwrap(), "hello\0\0\0\0");
    let then = FileTime::from_unix(1_000_000_000, 500);
    let change = SetAttrs {
        modified: Some(TimeChange::At(then)),
        accessed: Some(TimeChange::Now),
        ..SetAttrs::default()
    };
    let set = fs.setattr(ino, None, &change).await.unwrap();
    assert_eq!(set.modified, then);
    assert!(set.accessed > then);
    assert_eq!(fs.getattr(ino, None).await.unwrap().modified, then);
}

#[tokio::test]
async fn the_owners_write_bit_is_the_readonly_attribute_and_the_rest_is_accepted() {
    let (_, fs) = mount();
    let ino = file(&fs, "f", "").await.attr.ino;
    let mode = |mode| SetAttrs { mode: Some(mode), ..SetAttrs::default() };
    assert_eq!(fs.setattr(ino, None, &mode(0o444)).await.unwrap().perm, 0o555);
    assert_eq!(errno(fs.open(ino, WRITE).await), e::EACCES);
    assert_eq!(fs.setattr(ino, None, &mode(0o600)).await.unwrap().perm, 0o755);
    assert_eq!(fs.setattr(ino, None, &mode(0o7777)).await.unwrap().perm, 0o755);
    let owner = SetAttrs { uid: Some(0), gid: Some(0), ..SetAttrs::default() };
    assert_eq!(fs.setattr(ino, None, &owner).await.unwrap().uid, 1000);
    let dir = fs.mkdir(Ino::ROOT, "d", 0o755).await.unwrap().attr.ino;
    assert_eq!(fs.setattr(dir, None, &mode(0o555)).await.unwrap().perm, 0o755);
}

#[tokio::test]
async fn times_are_set_through_the_handle_that_wrote() {
    let (remote, fs) = mount();
    let (entry, fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    let change = SetAttrs { modified: Some(TimeChange::Now), ..SetAttrs::default() };
    fs.setattr(entry.attr.ino, None, &change).await.unwrap();
    assert_eq!((remote.calls(Op::SetAttrHandle), remote.calls(Op::SetAttr)), (1, 0));
    fs.release(fh).await.unwrap();
    fs.setattr(entry.attr.ino, None, &change).await.unwrap();
    assert_eq!(remote.calls(Op::SetAttr), 1);
}

#[tokio::test]
async fn a_read_only_mount_changes_nothing() {
    let (remote, fs) = mount();
    let ino = file(&fs, "f", "x").await.attr.ino;
    let ro = Filesystem::new(remote, MountOptions { read_only: true, ..options(LONG) });
    let found = ro.lookup(Ino::ROOT, "f").await.unwrap().attr.ino;
    assert_eq!(errno(ro.open(found, WRITE).await), e::EROFS);
    assert_eq!(errno(ro.create(Ino::ROOT, "g", &NEW).await), e::EROFS);
    assert_eq!(errno(ro.mkdir(Ino::ROOT, "g", 0o755).await), e::EROFS);
    assert_eq!(errno(ro.unlink(Ino::ROOT, "f").await), e::EROFS);
    assert_eq!(errno(ro.rename(Ino::ROOT, "f", Ino::ROOT, "g", Default::default()).await), e::EROFS);
    assert_eq!(
        errno(ro.setattr(found, None, &SetAttrs { size: Some(0), ..SetAttrs::default() }).await),
        e::EROFS
    );
    assert_eq!(content(&ro, "f").await.unwrap(), "x");
    assert_eq!(fs.getattr(ino, None).await.unwrap().size, 1);
}

#[tokio::test]
async fn errors_of_the_server_come_through() {
    let (remote, fs) = mount();
    remote.fail_next(Op::Lookup, NtStatus::NETWORK_ACCESS_DENIED);
    let error = fs.lookup(Ino::ROOT, "f").await.unwrap_err();
    assert_eq!((error.errno(), error.status()), (e::EACCES, Some(NtStatus::NETWORK_ACCESS_DENIED)));
    assert!(error.to_string().contains("STATUS_NETWORK_ACCESS_DENIED"));
    remote.fail_next(Op::Statfs, NtStatus::IO_TIMEOUT);
    assert_eq!(errno(fs.statfs().await), e::ETIMEDOUT);
    assert_eq!(fs.statfs().await.unwrap().blocks, (1 << 40) / 4096);
}
