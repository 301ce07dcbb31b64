//! Hard links, and what is neither a file of data nor a directory.

use std::os::unix::fs::MetadataExt;

use sharefs_tests::Samba;
use smb_client::{
    LeaseRequest, LeaseState, Link, LinkKind, NtStatus, OpenOptions, PathLease, Special, SpecialKind,
};

use crate::help::{connect, data, list, status};

#[tokio::test]
async fn a_file_has_two_names() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let share = client.share("data").await.expect("the share");
    let mut breaks = client.breaks().expect("breaks");
    share.create_dir("folder").await.expect("mkdir");
    let key = client.lease_key();
    let state = LeaseState::READ | LeaseState::HANDLE | LeaseState::WRITE;
    let lease = LeaseRequest { key, state, parent: None };
    let file = share.open("one", &OpenOptions::write().lease(lease)).await.expect("open");
    let own = PathLease { key: Some(key), parent: None };
    share.hard_link_with("one", "folder/two: x", own).await.expect("link");
    file.write_at(0, "content".into()).await.expect("write");
    assert_eq!(file.metadata().await.expect("metadata").links, 2);
    file.close().await.expect("close");
    assert_eq!(&share.read("folder/two: x").await.expect("read")[..], b"content");
    assert_eq!(std::fs::metadata(samba.share_path().join("one")).expect("the file").nlink(), 2);
    assert_eq!(status(share.hard_link("one", "folder/two: x").await), NtStatus::OBJECT_NAME_COLLISION);
    assert_eq!(status(share.hard_link("none", "three").await), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert!(share.hard_link("folder", "directory").await.is_err());
    share.remove_file("one").await.expect("unlink");
    assert_eq!(&share.read("folder/two: x").await.expect("read")[..], b"content");
    drop((client, share, file));
    assert_eq!(breaks.next().await, None, "nothing was broken");
}

fn every() -> Vec<Special> {
    vec![
        Special::Symlink { target: "../a/b".into(), relative: true },
        Special::Symlink { target: "/etc/passwd".into(), relative: false },
        Special::Fifo,
        Special::CharDevice { major: 1, minor: 3 },
        Special::BlockDevice { major: 8, minor: 0x1_0000 },
        Special::Socket,
    ]
}

#[tokio::test]
async fn special_files_are_kept_where_the_server_can() {
    let samba = Samba::builder().newer().start();
    let share = data(&samba).await;
    for kind in [SpecialKind::Nfs, SpecialKind::Wsl] {
        for special in every() {
            share
                .make_special("special", &special, kind)
                .await
                .unwrap_or_else(|e| panic!("{special:?}: {e}"));
            assert_eq!(share.read_special("special").await.expect("what it is"), special, "{kind:?}");
            let again = share.make_special("special", &special, kind).await;
            assert_eq!(status(again), NtStatus::OBJECT_NAME_COLLISION);
            share.remove_file("special").await.expect("unlink");
        }
    }
    for kind in [LinkKind::File, LinkKind::Nfs, LinkKind::Wsl] {
        share.symlink("../a/b", "link", kind).await.expect("the link");
        let link = share.read_link("link").await.expect("the link");
        assert_eq!(link, Link { target: "../a/b".into(), kind });
        let relative = Special::Symlink { target: "../a/b".into(), relative: true };
        assert_eq!(share.read_special("link").await.expect("the link"), relative);
        share.remove_file("link").await.expect("unlink");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_special_file_that_the_server_cannot_make() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for kind in [SpecialKind::Nfs, SpecialKind::Wsl] {
        for special in every() {
            let made = status(share.make_special("special", &special, kind).await);
            assert!([NtStatus::NOT_SUPPORTED, NtStatus::EAS_NOT_SUPPORTED].contains(&made), "{made}");
            assert_eq!(list(&share, "").await.len(), 0, "{special:?}");
        }
    }
}
