//! Listings, large and small.

use std::collections::BTreeMap;
use std::fs;

use sharefs_tests::{Content, Samba};
use smb_client::ConnectOptions;

use crate::help::{connect, data, list, put};

const MANY: usize = 10_000;

async fn ten_thousand(samba: &Samba, options: &ConnectOptions) {
    let path = samba.share_path().join("many");
    fs::create_dir(&path).expect("mkdir on the server");
    let expected: BTreeMap<String, u64> =
        (0..MANY).map(|i| (format!("entry {i} {}", "x".repeat(1 + i % 60)), (i % 7) as u64)).collect();
    for (name, size) in &expected {
        fs::write(path.join(name), vec![0; *size as usize]).expect("write on the server");
    }
    let share = connect(options).await.share("data").await.expect("the share");
    let directory = share.open_dir("many").await.expect("open");
    let entries = directory.all_entries().await.expect("entries");
    assert_eq!(entries.len(), MANY);
    let listed: BTreeMap<String, u64> =
        entries.into_iter().map(|entry| (entry.name, entry.metadata.size)).collect();
    assert!(listed == expected);
    // The end stays the end.
    assert!(directory.next_entries().await.expect("entries").is_empty());
    directory.close().await.expect("close");
}

#[tokio::test]
async fn ten_thousand_entries() {
    let samba = Samba::start();
    ten_thousand(&samba, &samba.options()).await;
}

#[tokio::test]
async fn ten_thousand_entries_in_small_answers() {
    let samba = Samba::builder().small_io().start();
    ten_thousand(&samba, &samba.options()).await;
}

#[tokio::test]
async fn an_empty_directory_has_no_entries() {
    let samba = Samba::start();
    let share = data(&samba).await;
    assert!(list(&share, "").await.is_empty());
    share.create_dir("a").await.expect("mkdir");
    share.create_dir("a/b").await.expect("mkdir");
    assert!(list(&share, "a/b").await.is_empty());
    assert_eq!(list(&share, "a").await.len(), 1);
}

/// What a listing says of an entry is what one hears who asks for it.
#[tokio::test]
async fn entries_carry_their_metadata() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    put(&share, "file", Content::new(1).bytes(12_345)).await;
    let directory = share.open_dir("").await.expect("open");
    let entries = directory.all_entries().await.expect("entries");
    assert_eq!(entries.len(), 2);
    for entry in entries {
        let mut metadata = share.metadata(&entry.name).await.expect("metadata");
        assert_eq!(entry.metadata.is_dir(), entry.name == "folder");
        assert_ne!(entry.metadata.file_id, 0);
        // A listing does not say how many links there are.
        metadata.links = 0;
        assert_eq!(entry.metadata, metadata, "{}", entry.name);
        assert_eq!(entry.metadata.reparse_tag, 0);
    }
}

/// A listing that has begun goes on although the directory changes.
#[tokio::test]
async fn a_listing_survives_changes() {
    let samba = Samba::start();
    let path = samba.share_path().join("many");
    fs::create_dir(&path).expect("mkdir on the server");
    let name = |i: usize| format!("entry {i} {}", "x".repeat(100));
    for i in 0..3000 {
        fs::write(path.join(name(i)), "").expect("write on the server");
    }
    let share = data(&samba).await;
    let directory = share.open_dir("many").await.expect("open");
    let first = directory.next_entries().await.expect("entries");
    assert!(!first.is_empty() && first.len() < 3000);
    let gone: Vec<_> = (0..3000).filter(|i| i % 2 == 0).map(name).collect();
    for name in &gone {
        fs::remove_file(path.join(name)).expect("unlink on the server");
    }
    let rest = directory.all_entries().await.expect("entries");
    let seen: Vec<_> = first.iter().chain(&rest).map(|entry| entry.name.as_str()).collect();
    for i in (0..3000).filter(|i| i % 2 == 1) {
        let name = name(i);
        assert_eq!(seen.iter().filter(|seen| **seen == name).count(), 1, "{name}");
    }
}
