//! What embedders use: positions in files, whole files, streams of entries, calls that block.

use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use sharefs_tests::{Content, Samba};
use smb_client::{CreateDisposition, NtStatus, OpenOptions, SetAttributes, blocking};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use crate::help::{data, get, list, put, status};

#[tokio::test]
async fn a_cursor_copies_a_file() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(1).bytes((5 << 20) + 77);
    put(&share, "from", content.clone()).await;
    let from = Arc::new(share.open("from", &OpenOptions::read()).await.unwrap());
    let to = Arc::new(share.open("to", &OpenOptions::write()).await.unwrap());
    let mut target = to.cursor();
    let copied = tokio::io::copy(&mut from.cursor(), &mut target).await.unwrap();
    target.shutdown().await.unwrap();
    assert_eq!(copied, content.len() as u64);
    assert!(get(&share, "to").await == content);
}

#[tokio::test]
async fn a_cursor_is_where_it_was_put() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let mut expected = Content::new(1).bytes(300_000).to_vec();
    put(&share, "file", expected.clone().into()).await;
    let file = Arc::new(share.open("file", &OpenOptions::write()).await.unwrap());
    let mut cursor = file.cursor();
    let mut piece = [0; 1000];
    for (to, at) in [
        (SeekFrom::Start(5000), 5000),
        (SeekFrom::Current(-1000), 5000),
        (SeekFrom::End(-1000), 299_000),
        (SeekFrom::Start(0), 0),
    ] {
        assert_eq!(cursor.seek(to).await.unwrap(), at);
        cursor.read_exact(&mut piece).await.unwrap();
        assert_eq!(piece[..], expected[at as usize..at as usize + 1000]);
        assert_eq!(cursor.position(), at + 1000);
    }
    // Reading, writing and reading again, in one file, at one position.
    cursor.write_all(&[7; 500]).await.unwrap();
    expected[1000..1500].fill(7);
    cursor.read_exact(&mut piece).await.unwrap();
    assert_eq!(piece[..], expected[1500..2500]);
    cursor.seek(SeekFrom::End(10)).await.unwrap();
    cursor.write_all(b"behind the end").await.unwrap();
    cursor.flush().await.unwrap();
    expected.extend_from_slice(&[0; 10]);
    expected.extend_from_slice(b"behind the end");
    assert_eq!(cursor.read(&mut piece).await.unwrap(), 0);
    assert!(cursor.seek(SeekFrom::Current(i64::MIN)).await.is_err());
    assert!(get(&share, "file").await == expected);
}

#[tokio::test]
async fn a_cursor_tells_what_the_server_refuses() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Bytes::from_static(b"x")).await;
    let file = Arc::new(share.open("file", &OpenOptions::read()).await.unwrap());
    let mut cursor = file.cursor();
    let written = async {
        cursor.write_all(b"no").await?;
        cursor.flush().await
    };
    assert_eq!(written.await.unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn small_files_go_in_one_request() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for size in [0, 1, 4096, share.small() - 1, share.small(), share.small() + 1, 3 << 20] {
        let content = Content::new(size as u64).bytes(size);
        share.write("file", content.clone()).await.unwrap();
        assert!(share.read("file").await.unwrap() == content, "{size}");
        let start = share.read_start("file", 1000).await.unwrap();
        assert_eq!(start.metadata.size, size as u64);
        assert!(start.data == content[..size.min(1000)] && start.more == (size >= 1000), "{size}");
    }
    share.write("file", "shorter").await.unwrap();
    assert_eq!(share.read("file").await.unwrap(), "shorter");

    let set = SetAttributes::default().written(smb_client::FileTime::from_unix(1_000_000, 0));
    share.create_whole("new", "content".into(), &set).await.unwrap();
    assert_eq!(share.metadata("new").await.unwrap().written.to_unix().0, 1_000_000);
    let again = share.create_whole("new", "other".into(), &set).await;
    assert_eq!(status(again), NtStatus::OBJECT_NAME_COLLISION);
    share.replace_whole("new", "part", "other".into(), &set).await.unwrap();
    assert_eq!(share.read("new").await.unwrap(), "other");
    let large = Content::new(1).bytes(share.small() + 1);
    assert!(share.create_whole("large", large, &set).await.is_err());
    assert_eq!(list(&share, "").await, ["file", "new"].map(String::from).into());
}

#[tokio::test]
async fn what_cannot_be_replaced_leaves_nothing_behind() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.unwrap();
    let replaced = share.replace_whole("folder", "part", "content".into(), &SetAttributes::default()).await;
    assert!(replaced.is_err());
    assert_eq!(list(&share, "").await, ["folder"].map(String::from).into());
}

#[tokio::test]
async fn entries_come_whole_or_one_by_one() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for (folder, count) in [("none", 0), ("few", 3), ("many", 3000)] {
        std::fs::create_dir(samba.share_path().join(folder)).unwrap();
        let names: BTreeSet<String> = (0..count).map(|i| format!("a file of number {i}")).collect();
        for name in &names {
            std::fs::write(samba.share_path().join(folder).join(name), "").unwrap();
        }
        let whole = share.read_dir(folder).await.unwrap();
        let streamed: Vec<_> = share.open_dir(folder).await.unwrap().entries().try_collect().await.unwrap();
        for entries in [whole, streamed] {
            assert_eq!(entries.len(), count);
            assert_eq!(entries.into_iter().map(|entry| entry.name).collect::<BTreeSet<_>>(), names);
        }
    }
    assert_eq!(status(share.read_dir("missing").await), NtStatus::OBJECT_NAME_NOT_FOUND);
}

#[test]
fn without_async() {
    let samba = Samba::start();
    let client = blocking::Client::connect(&samba.options()).unwrap();
    let share = client.share("data").unwrap();
    let content = Content::new(1).bytes(2_500_000);
    let options = OpenOptions::write().disposition(CreateDisposition::Create);
    let mut file = share.open("file", &options).unwrap();
    for piece in content.chunks(10_000) {
        file.write_all(piece).unwrap();
    }
    file.sync().unwrap();
    file.seek(SeekFrom::Start(1_000_000)).unwrap();
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).unwrap();
    assert!(rest == content[1_000_000..]);
    file.write_at(3, "xyz").unwrap();
    assert_eq!(file.read_at(3, 3).unwrap(), "xyz");
    file.set_len(10).unwrap();
    assert_eq!(file.metadata().unwrap().size, 10);
    file.close().unwrap();
    assert_eq!(share.read("file").unwrap()[3..6], *b"xyz");
    share.create_dir("folder").unwrap();
    share.rename("file", "folder/file", false).unwrap();
    assert_eq!(share.read_dir("folder").unwrap().len(), 1);
    share.remove_file("folder/file").unwrap();
    share.remove_dir("folder").unwrap();
    assert!(share.metadata("folder").is_err() && share.space().unwrap().total > 0);
    let inner = share.inner().clone();
    assert!(share.wait(async move { inner.read_dir("").await }).unwrap().is_empty());
    client.logoff().unwrap();
}
