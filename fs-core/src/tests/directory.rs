use super::*;
use crate::memory::Op;
use crate::{FileKind, errno as e};
use smb_proto::NtStatus;

async fn full(count: usize) -> (Arc<MemoryRemote>, Filesystem) {
    let (remote, fs) = mount();
    for i in 0..count {
        let (_, fh) = fs.create(Ino::ROOT, &format!("file{i:04}"), &NEW).await.unwrap();
        fs.release(fh).await.unwrap();
    }
    (remote, fs)
}

#[tokio::test]
async fn a_listing_has_dot_dotdot_and_every_entry_once() {
    let (remote, fs) = full(250).await;
    let names = list(&fs, Ino::ROOT).await;
    assert_eq!(names.len(), 252);
    assert_eq!((&*names[0], &*names[1], &*names[2]), (".", "..", "file0000"));
    assert_eq!(remote.open_handles(), 0);
}

#[tokio::test]
async fn the_cursor_goes_back_anywhere() {
    let (_, fs) = full(250).await;
    let fh = fs.opendir(Ino::ROOT).await.unwrap();
    let all = names_from(&fs, fh, 0).await;
    assert_eq!(names_from(&fs, fh, 120).await, all[120..]);
    assert_eq!(names_from(&fs, fh, 1).await, all[1..]);
    assert!(names_from(&fs, fh, 252).await.is_empty());
    assert!(names_from(&fs, fh, u64::MAX).await.is_empty());
}

#[tokio::test]
async fn rewinding_lists_afresh() {
    let (_, fs) = full(3).await;
    let fh = fs.opendir(Ino::ROOT).await.unwrap();
    assert_eq!(names_from(&fs, fh, 0).await.len(), 5);
    file(&fs, "new", "").await;
    assert_eq!(names_from(&fs, fh, 0).await.len(), 6);
}

#[tokio::test]
async fn hostile_names_do_not_get_out() {
    let (remote, fs) = full(1).await;
    remote.list_also(&["", ".", "..", "a/b", "a\u{F022}b", "nul\0", "../../etc/passwd", "file0000", "good"]);
    assert_eq!(list(&fs, Ino::ROOT).await, [".", "..", "file0000", "good"]);
}

#[tokio::test]
async fn names_that_windows_forbids_are_listed_as_they_were_made() {
    let (_, fs) = mount();
    for name in ["a:b", "what?", "back\\slash", "end.", "end ", "..."] {
        file(&fs, name, name).await;
        assert_eq!(content(&fs, name).await.unwrap(), name);
    }
    let mut names = list(&fs, Ino::ROOT).await;
    names.sort();
    assert_eq!(names, [".", "..", "...", "a:b", "back\\slash", "end ", "end.", "what?"]);
}

#[tokio::test]
async fn plus_gives_attributes_and_counts_lookups() {
    let (remote, _) = full(3).await;
    let fs = another(&remote, LONG);
    let fh = fs.opendir(Ino::ROOT).await.unwrap();
    let mut seen = Vec::new();
    fs.readdir(fh, 0, true, |item| {
        if seen.len() == 4 {
            return false;
        }
        assert_eq!(item.attr.is_some(), item.name.starts_with("file"));
        seen.push((item.ino.unwrap(), item.next));
        true
    })
    .await
    .unwrap();
    let lookups = remote.calls(Op::Lookup);
    assert_eq!(fs.getattr(seen[2].0, None).await.unwrap().kind, FileKind::File);
    assert_eq!(remote.calls(Op::Lookup), lookups, "known from the listing");
    fs.forget(seen[2].0, 1);
    assert_eq!(errno(fs.getattr(seen[2].0, None).await), e::ESTALE);
    assert_eq!(errno(fs.getattr(Ino(seen[3].0.0 + 1), None).await), e::ESTALE, "not taken, not counted");
}

#[tokio::test]
async fn a_listing_does_not_bring_back_old_attributes() {
    let (_, fs) = full(3).await;
    let fh = fs.opendir(Ino::ROOT).await.unwrap();
    let first = |_: crate::DirItem<'_>| true;
    fs.readdir(fh, 0, false, first).await.unwrap();
    let written = fs.lookup(Ino::ROOT, "file0001").await.unwrap().attr.ino;
    let handle = fs.open(written, WRITE).await.unwrap();
    put(&fs, handle, 0, "longer").await;
    fs.release(handle).await.unwrap();
    fs.unlink(Ino::ROOT, "file0002").await.unwrap();
    let mut sizes = Vec::new();
    let take = |item: crate::DirItem<'_>| {
        sizes.push((item.name.to_owned(), item.attr.unwrap().size));
        true
    };
    fs.readdir(fh, 2, true, take).await.unwrap();
    assert_eq!(sizes, [("file0000".to_owned(), 0), ("file0001".to_owned(), 6)]);
}

#[tokio::test]
async fn an_error_in_the_middle_comes_after_what_was_listed() {
    let (remote, fs) = full(250).await;
    let fh = fs.opendir(Ino::ROOT).await.unwrap();
    remote.skip_then_fail(Op::NextEntries, 1, NtStatus::ACCESS_DENIED);
    let mut next = 0;
    let count = |item: crate::DirItem<'_>| {
        next = item.next;
        true
    };
    fs.readdir(fh, 0, false, count).await.unwrap();
    assert_eq!(next, 100, "the first answer has . and .. besides");
    remote.fail_next(Op::NextEntries, NtStatus::ACCESS_DENIED);
    assert_eq!(errno(fs.readdir(fh, next, false, |_| true).await), e::EACCES);
    assert_eq!(names_from(&fs, fh, next).await.last().unwrap(), "file0249");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_not_opened() {
    let (_, fs) = mount();
    assert_eq!(errno(fs.opendir(Ino(999)).await), e::ESTALE);
}
