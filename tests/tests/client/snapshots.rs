//! Earlier states of a share.

use std::fs;

use sharefs_tests::{Samba, Snapshots};
use smb_client::{AccessMask, FileTime, NtStatus, OpenOptions};

use crate::help::{data, status};

const TOKENS: [&str; 2] = ["@GMT-2026.02.03-04.05.06", "@GMT-2025.12.31-23.59.59"];

fn with_snapshots() -> Snapshots {
    let snapshots = Snapshots::start();
    for token in TOKENS {
        let root = snapshots.root(token);
        fs::create_dir_all(root.join("folder")).expect("a snapshot");
        fs::write(root.join("file"), token).expect("a file");
        fs::write(root.join("folder/gone"), token).expect("a file");
    }
    snapshots
}

#[tokio::test]
async fn earlier_states_are_listed_and_read() {
    let server = with_snapshots();
    let samba = &server.samba;
    let share = data(samba).await;
    share.write("file", "the present").await.expect("write");
    let snapshots = share.snapshots("").await.expect("the list");
    assert_eq!(snapshots.iter().map(|snapshot| snapshot.token.as_str()).collect::<Vec<_>>(), TOKENS);
    assert!(snapshots[0].time > snapshots[1].time);
    assert_eq!(share.snapshots("file").await.expect("the list"), snapshots);
    for snapshot in &snapshots {
        let options = OpenOptions::read().snapshot(snapshot.time);
        let file = share.open("file", &options).await.expect("open");
        assert_eq!(&file.read_at(0, 100).await.expect("read")[..], snapshot.token.as_bytes());
        let options = OpenOptions::list().snapshot(snapshot.time);
        let folder = share.open_dir_with("folder", &options).await.expect("open");
        let names: Vec<_> =
            folder.all_entries().await.expect("entries").into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["gone"]);
    }
    assert_eq!(&share.read("file").await.expect("read")[..], b"the present");

    let options = OpenOptions::read().snapshot(FileTime(snapshots[1].time.0 - 10_000_000));
    assert!(status(share.open("file", &options).await).is_error());
    let writing = OpenOptions::read().access(AccessMask::WRITE_DATA).snapshot(snapshots[0].time);
    assert!(status(share.open("file", &writing).await).is_error());
}

#[tokio::test]
async fn a_server_without_snapshots_says_so() {
    let samba = Samba::start();
    let share = data(&samba).await;
    match share.snapshots("").await {
        Ok(snapshots) => assert!(snapshots.is_empty()),
        Err(error) => {
            let expected = [NtStatus::NOT_SUPPORTED, NtStatus::INVALID_DEVICE_REQUEST];
            assert!(expected.contains(&error.status().expect("a refusal")), "{error}");
        }
    }
}
