use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smb_proto::NtStatus;

use super::*;
use crate::memory::Op;
use crate::{RemoteLimits, SetAttrs, errno as e};

#[tokio::test]
async fn what_was_written_is_read_and_the_size_is_right_at_once() {
    let (_, fs) = mount();
    let (entry, fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    put(&fs, fh, 0, "hello").await;
    put(&fs, fh, 10, "world").await;
    assert_eq!(fs.getattr(entry.attr.ino, None).await.unwrap().size, 15);
    assert_eq!(&fs.read(fh, 0, 100).await.unwrap()[..], b"hello\0\0\0\0\0world");
    assert_eq!(&fs.read(fh, 12, 2).await.unwrap()[..], b"rl");
    assert!(fs.read(fh, 15, 10).await.unwrap().is_empty());
    assert!(fs.read(fh, u64::MAX - 5, 10).await.unwrap().is_empty());
    fs.fsync(fh).await.unwrap();
    fs.flush(fh).await.unwrap();
    fs.release(fh).await.unwrap();
    assert_eq!(errno(fs.read(fh, 0, 1).await), e::EBADF);
}

#[tokio::test]
async fn a_write_is_visible_to_another_client_before_it_is_answered() {
    let (remote, fs) = mount();
    let (_, fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    put(&fs, fh, 0, "shared").await;
    assert_eq!(content(&another(&remote, LONG), "f").await.unwrap(), "shared");
}

#[tokio::test]
async fn requests_larger_than_the_servers_limits_are_cut() {
    let remote = Arc::new(MemoryRemote::new(RemoteLimits { max_read: 7, max_write: 5 }));
    let fs = another(&remote, LONG);
    let text: String = ('a'..='z').cycle().take(100).collect();
    file(&fs, "f", &text).await;
    assert_eq!(remote.calls(Op::Write), 20);
    assert_eq!(content(&fs, "f").await.unwrap(), text);
}

#[tokio::test]
async fn a_write_cut_short_says_how_much_is_there() {
    let remote = Arc::new(MemoryRemote::new(RemoteLimits { max_read: 4, max_write: 4 }));
    let fs = another(&remote, LONG);
    let (entry, fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    let write = |text: &'static str| fs.write(fh, WriteAt::Offset(0), Bytes::from_static(text.as_bytes()));
    remote.fail_next(Op::Write, NtStatus::DISK_FULL);
    assert_eq!(errno(write("12345678").await), e::ENOSPC);
    put(&fs, fh, 0, "1234").await;
    remote.fail_next(Op::Read, NtStatus::FILE_LOCK_CONFLICT);
    assert_eq!(errno(fs.read(fh, 0, 4).await), e::EAGAIN);
    assert_eq!(fs.getattr(entry.attr.ino, Some(fh)).await.unwrap().size, 4);
    let huge = fs.write(fh, WriteAt::Offset(i64::MAX as u64), Bytes::from_static(b"x"));
    assert_eq!(errno(huge.await), e::EFBIG);
}

#[tokio::test]
async fn appending_goes_to_the_end_as_the_server_has_it() {
    let (remote, fs) = mount();
    let other = another(&remote, LONG);
    let ino = file(&fs, "log", "one,").await.attr.ino;
    let fh = fs.open(ino, WRITE).await.unwrap();
    let theirs = other.lookup(Ino::ROOT, "log").await.unwrap().attr.ino;
    let their_fh = other.open(theirs, WRITE).await.unwrap();
    other.write(their_fh, WriteAt::End { believed: 0 }, Bytes::from_static(b"two,")).await.unwrap();
    fs.write(fh, WriteAt::End { believed: 0 }, Bytes::from_static(b"three")).await.unwrap();
    assert_eq!(content(&fs, "log").await.unwrap(), "one,two,three");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_at_once_do_not_overwrite_each_other() {
    let (remote, fs) = mount();
    let fs = Arc::new(fs);
    let (_, fh) = fs.create(Ino::ROOT, "log", &NEW).await.unwrap();
    remote.set_latency(Duration::from_millis(1));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let fs = fs.clone();
            tokio::spawn(async move {
                fs.write(fh, WriteAt::End { believed: 0 }, Bytes::from_static(b"12345")).await
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), 5);
    }
    remote.set_latency(Duration::ZERO);
    assert_eq!(content(&fs, "log").await.unwrap(), "12345".repeat(20));
}

#[tokio::test]
async fn exclusive_creation_and_truncating_opens() {
    let (_, fs) = mount();
    let ino = file(&fs, "f", "hello").await.attr.ino;
    assert_eq!(errno(fs.create(Ino::ROOT, "f", &NEW).await), e::EEXIST);
    let open = Create { exclusive: false, ..NEW };
    let (entry, fh) = fs.create(Ino::ROOT, "f", &open).await.unwrap();
    assert_eq!((entry.attr.ino, entry.attr.size), (ino, 5));
    fs.release(fh).await.unwrap();
    let fh = fs.open(ino, OpenFlags { truncate: true, ..WRITE }).await.unwrap();
    assert_eq!(fs.getattr(ino, None).await.unwrap().size, 0);
    put(&fs, fh, 0, "again").await;
    let truncating = Create { open: OpenFlags { truncate: true, ..WRITE }, ..open };
    let (entry, other) = fs.create(Ino::ROOT, "f", &truncating).await.unwrap();
    assert_eq!(entry.attr.size, 0);
    fs.release(fh).await.unwrap();
    fs.release(other).await.unwrap();
    assert_eq!(content(&fs, "f").await.unwrap(), "");
}

#[tokio::test]
async fn a_file_created_without_the_write_bit_can_be_written_by_its_creator_only() {
    let (_, fs) = mount();
    let (entry, fh) = fs.create(Ino::ROOT, "object", &Create { mode: 0o444, ..NEW }).await.unwrap();
    assert_eq!(entry.attr.perm, 0o555);
    put(&fs, fh, 0, "packed").await;
    fs.setattr(entry.attr.ino, Some(fh), &SetAttrs { size: Some(4), ..SetAttrs::default() }).await.unwrap();
    fs.release(fh).await.unwrap();
    assert_eq!(errno(fs.open(entry.attr.ino, WRITE).await), e::EACCES);
    assert_eq!(content(&fs, "object").await.unwrap(), "pack");
}

#[tokio::test]
async fn an_error_nobody_saw_is_told_at_close_once() {
    let (remote, fs) = mount();
    let (_, fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    remote.fail_next(Op::Write, NtStatus::DISK_FULL);
    let cached = fs.write(fh, WriteAt::Cached(0), Bytes::from_static(b"page"));
    assert_eq!(errno(cached.await), e::ENOSPC);
    assert_eq!(errno(fs.flush(fh).await), e::ENOSPC);
    fs.flush(fh).await.unwrap();
    remote.fail_next(Op::Close, NtStatus::DISK_FULL);
    assert_eq!(errno(fs.release(fh).await), e::ENOSPC);
    assert_eq!(remote.open_handles(), 0);
}

#[tokio::test]
async fn fsync_flushes_through_a_handle_that_may_write() {
    let (remote, fs) = mount();
    let (entry, writer) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    let reader = fs.open(entry.attr.ino, READ).await.unwrap();
    fs.fsync(reader).await.unwrap();
    assert_eq!(remote.calls(Op::Flush), 1);
    remote.fail_next(Op::Flush, NtStatus::DISK_FULL);
    assert_eq!(errno(fs.fsync(writer).await), e::ENOSPC);
    fs.release(writer).await.unwrap();
    fs.fsync(reader).await.unwrap();
    assert_eq!(remote.calls(Op::Flush), 2);
    assert_eq!(errno(fs.write(reader, WriteAt::Offset(0), Bytes::from_static(b"x")).await), e::EBADF);
}

#[tokio::test]
async fn directories_are_not_files() {
    let (_, fs) = mount();
    let dir = fs.mkdir(Ino::ROOT, "d", 0o755).await.unwrap().attr.ino;
    assert_eq!(errno(fs.open(dir, READ).await), e::EISDIR);
    assert_eq!(errno(fs.create(Ino::ROOT, "d", &Create { exclusive: false, ..NEW }).await), e::EISDIR);
    let f = file(&fs, "f", "").await.attr.ino;
    assert_eq!(errno(fs.opendir(f).await), e::ENOTDIR);
}

#[tokio::test]
async fn a_request_given_up_leaves_no_count_behind() {
    let (remote, fs) = mount();
    let ino = file(&fs, "f", "").await.attr.ino;
    remote.set_latency(Duration::from_secs(60));
    let given_up = tokio::time::timeout(Duration::from_millis(5), fs.open(ino, READ)).await;
    assert!(given_up.is_err());
    remote.set_latency(Duration::ZERO);
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    assert!(remote.paths().is_empty(), "not taken for open, so not kept under a hidden name");
}

#[tokio::test]
async fn shutdown_closes_everything_and_removes_what_was_deleted() {
    let (remote, fs) = mount();
    let (_, _fh) = fs.create(Ino::ROOT, "f", &NEW).await.unwrap();
    fs.opendir(Ino::ROOT).await.unwrap();
    fs.unlink(Ino::ROOT, "f").await.unwrap();
    assert_eq!(remote.paths().len(), 1);
    fs.shutdown().await;
    assert_eq!((remote.open_handles(), remote.paths().len()), (0, 0));
}
