//! Renaming, removing, times and attributes.

use std::fs;
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{
    AccessMask, CreateAction, CreateDisposition, FileAttributes, FileTime, NtStatus, OpenOptions,
    SetAttributes, ShareAccess,
};

use crate::help::{data, get, list, put, status};

#[tokio::test]
async fn renaming() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let (one, two) = (Content::new(1).bytes(100), Content::new(2).bytes(200));
    put(&share, "one", one.clone()).await;
    put(&share, "two", two.clone()).await;
    share.create_dir("folder").await.expect("mkdir");

    assert_eq!(status(share.rename("one", "two", false).await), NtStatus::OBJECT_NAME_COLLISION);
    assert!(get(&share, "one").await == one && get(&share, "two").await == two);
    share.rename("one", "two", true).await.expect("replace");
    assert!(get(&share, "two").await == one);
    share.rename("two", "folder/three", false).await.expect("into another directory");
    assert!(get(&share, "folder/three").await == one);
    share.rename("folder", "other", false).await.expect("a directory");
    assert!(get(&share, "other/three").await == one);
    share.rename("other/three", "other/THREE", false).await.expect("only the case");
    assert_eq!(list(&share, "other").await, ["THREE".to_string()].into());
    assert_eq!(list(&share, "").await, ["other".to_string()].into());
    share.rename("other", "other/inner", false).await.expect_err("into itself");
    status(share.rename("other/THREE", "none/x", false).await);
}

#[tokio::test]
async fn a_file_that_is_open_is_renamed_and_replaced() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "one", Content::new(1).bytes(100)).await;
    put(&share, "two", Content::new(2).bytes(100)).await;
    let file = share.open("one", &OpenOptions::read()).await.expect("open");
    share.rename("one", "three", false).await.expect("rename");
    assert!(file.read_at(0, 100).await.expect("read") == Content::new(1).bytes(100));
    share.rename("two", "four", true).await.expect("rename");
    assert_eq!(list(&share, "").await, ["four", "three"].map(String::from).into());
}

#[tokio::test]
async fn removing() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    assert_eq!(status(share.create_dir("folder").await), NtStatus::OBJECT_NAME_COLLISION);
    put(&share, "folder/file", Bytes::new()).await;
    assert_eq!(status(share.remove_dir("folder").await), NtStatus::DIRECTORY_NOT_EMPTY);
    assert_eq!(status(share.remove_file("folder").await), NtStatus::FILE_IS_A_DIRECTORY);
    assert_eq!(status(share.remove_dir("folder/file").await), NtStatus::NOT_A_DIRECTORY);
    assert_eq!(list(&share, "folder").await.len(), 1);
    share.remove_file("folder/file").await.expect("unlink");
    share.remove_dir("folder").await.expect("rmdir");
    assert!(list(&share, "").await.is_empty());
}

#[tokio::test]
async fn a_file_that_is_read_only_is_not_removed() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Bytes::new()).await;
    let set = |attributes| SetAttributes::default().attributes(attributes);
    share.modify("file", None, &set(FileAttributes::READONLY)).await.expect("set");
    let metadata = share.metadata("file").await.expect("metadata");
    assert!(metadata.attributes.contains(FileAttributes::READONLY), "{metadata:?}");
    assert_eq!(status(share.remove_file("file").await), NtStatus::CANNOT_DELETE);
    share.modify("file", None, &set(FileAttributes::empty())).await.expect("set");
    let metadata = share.metadata("file").await.expect("metadata");
    assert!(!metadata.attributes.contains(FileAttributes::READONLY), "{metadata:?}");
    share.remove_file("file").await.expect("unlink");
}

#[tokio::test]
async fn creating_exclusively() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let exclusively = OpenOptions::write().disposition(CreateDisposition::Create);
    let file = share.open("file", &exclusively).await.expect("create");
    assert_eq!(file.action(), CreateAction::Created);
    assert_eq!(status(share.open("file", &exclusively).await), NtStatus::OBJECT_NAME_COLLISION);
    let again = share.open("file", &OpenOptions::write()).await.expect("open");
    assert_eq!(again.action(), CreateAction::Opened);
}

#[tokio::test]
async fn who_shares_nothing_is_alone() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let alone = OpenOptions::write().share_access(ShareAccess::empty());
    let file = share.open("file", &alone).await.expect("open");
    assert_eq!(status(share.open("file", &OpenOptions::read()).await), NtStatus::SHARING_VIOLATION);
    assert_eq!(status(share.remove_file("file").await), NtStatus::SHARING_VIOLATION);
    file.close().await.expect("close");
    share.remove_file("file").await.expect("unlink");
}

#[tokio::test]
async fn times_are_set_and_read_back() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Content::new(1).bytes(100)).await;
    share.create_dir("folder").await.expect("mkdir");
    let time = |seconds| FileTime::from_unix(seconds, 123_456_700);
    for (i, path) in ["file", "folder"].into_iter().enumerate() {
        for seconds in [1, 1_000_000_000 + i as i64, 4_000_000_000] {
            let set = SetAttributes::default().accessed(time(seconds + 1)).written(time(seconds + 2));
            share.modify(path, None, &set).await.expect("set");
            let metadata = share.metadata(path).await.expect("metadata");
            assert_eq!(
                (metadata.accessed, metadata.written),
                (time(seconds + 1), time(seconds + 2)),
                "{path}"
            );
            let on_disk = fs::metadata(samba.share_path().join(path)).expect("metadata on the server");
            assert_eq!((on_disk.mtime(), on_disk.mtime_nsec()), (seconds + 2, 123_456_700), "{path}");
            assert_eq!(on_disk.atime(), seconds + 1, "{path}");
        }
        // One alone leaves the other as it is.
        let before = share.metadata(path).await.expect("metadata");
        let set = SetAttributes::default().accessed(time(77));
        share.modify(path, None, &set).await.expect("set");
        let after = share.metadata(path).await.expect("metadata");
        assert_eq!((after.accessed, after.written), (time(77), before.written), "{path}");
    }
}

#[tokio::test]
async fn times_are_set_on_an_open_file() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    file.write_at(0, Content::new(1).bytes(100)).await.expect("write");
    let set = SetAttributes::default().written(FileTime::from_unix(1_000_000, 0));
    file.modify(None, &set).await.expect("set");
    file.close().await.expect("close");
    let metadata = share.metadata("file").await.expect("metadata");
    assert_eq!(metadata.written, FileTime::from_unix(1_000_000, 0));
}

#[tokio::test]
async fn size_and_times_are_changed_together() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Content::new(1).bytes(100)).await;
    let set = SetAttributes::default().written(FileTime::from_unix(1_000_000, 0));
    let metadata = share.modify("file", Some(50), &set).await.expect("modify");
    assert_eq!((metadata.size, metadata.written), (50, FileTime::from_unix(1_000_000, 0)));
    assert_eq!(share.metadata("file").await.expect("metadata"), metadata);
    assert!(get(&share, "file").await == Content::new(1).bytes(50));
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    let metadata = file.modify(Some(10), &SetAttributes::default()).await.expect("modify");
    assert_eq!(metadata.size, 10);
    assert_eq!(status(share.modify("none", Some(0), &set).await), NtStatus::OBJECT_NAME_NOT_FOUND);
    share.create_dir("folder").await.expect("mkdir");
    assert_eq!(status(share.modify("folder", Some(0), &set).await), NtStatus::FILE_IS_A_DIRECTORY);
}

#[tokio::test]
async fn links_are_counted() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Bytes::new()).await;
    assert_eq!(share.metadata("file").await.expect("metadata").links, 1);
    let path = samba.share_path();
    fs::hard_link(path.join("file"), path.join("link")).expect("link on the server");
    let (file, link) = (share.metadata("file").await, share.metadata("link").await);
    let (file, link) = (file.expect("metadata"), link.expect("metadata"));
    assert_eq!((file.links, link.links), (2, 2));
    assert_eq!(file.file_id, link.file_id);
}

#[tokio::test]
async fn opening_with_metadata_is_opening_and_asking() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Content::new(1).bytes(1234)).await;
    let (file, metadata) =
        share.open_with_metadata("file", &OpenOptions::read()).await.expect("open and metadata");
    assert_eq!(metadata, share.metadata("file").await.expect("metadata"));
    assert_eq!(metadata, file.metadata().await.expect("metadata"));
    let refused = share.open_with_metadata("none", &OpenOptions::read()).await;
    assert_eq!(status(refused), NtStatus::OBJECT_NAME_NOT_FOUND);
    // Somebody who may only delete may not ask, and is let in all the same.
    let options = OpenOptions::existing(AccessMask::DELETE);
    let (_, metadata) = share.open_with_metadata("file", &options).await.expect("open");
    assert_eq!(metadata.size, 1234);
}
