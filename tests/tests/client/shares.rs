//! Shares that do not exist, that may only be read, that are somebody else's.

use sharefs_tests::{Content, Samba};
use smb_client::{NtStatus, OpenOptions, ShareKind};

use crate::help::{connect, exercise, get, put, status};

#[tokio::test]
async fn an_unknown_share_is_refused() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    for name in ["nosuchshare", "da ta", "d\u{e4}ta", "", "data/deeper"] {
        let refused = status(client.share(name).await);
        assert_eq!(refused, NtStatus::BAD_NETWORK_NAME, "{name:?}");
    }
    // The client is none the worse.
    exercise(&samba, &client.share("data").await.expect("the share")).await;
}

#[tokio::test]
async fn another_users_share_is_refused() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    assert_eq!(status(client.share("limited").await), NtStatus::ACCESS_DENIED);
    exercise(&samba, &client.share("data").await.expect("the share")).await;
}

#[tokio::test]
async fn nothing_is_changed_on_a_share_that_is_read_only() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let data = client.share("data").await.expect("the share");
    let content = Content::new(1).bytes(10_000);
    put(&data, "file", content.clone()).await;

    let readonly = client.share("readonly").await.expect("the share");
    assert!(!readonly.maximal_access().contains(smb_client::AccessMask::WRITE_DATA));
    assert!(get(&readonly, "file").await == content);
    let write_protected =
        |status| matches!(status, NtStatus::ACCESS_DENIED | NtStatus::MEDIA_WRITE_PROTECTED);
    assert!(write_protected(status(readonly.open("file", &OpenOptions::write()).await)));
    assert!(write_protected(status(readonly.open("new", &OpenOptions::write()).await)));
    assert!(write_protected(status(readonly.create_dir("folder").await)));
    assert!(write_protected(status(readonly.remove_file("file").await)));
    assert!(write_protected(status(readonly.rename("file", "other", false).await)));
    assert!(get(&data, "file").await == content);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let samba = Samba::start();
    let share = connect(&samba.options()).await.share("data").await.expect("the share");
    assert_eq!(status(share.metadata("none").await), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status(share.metadata("none/none").await), NtStatus::OBJECT_PATH_NOT_FOUND);
    assert_eq!(status(share.open("none", &OpenOptions::read()).await), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status(share.remove_file("none").await), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status(share.rename("none", "other", false).await), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(status(share.open_dir("none").await), NtStatus::OBJECT_NAME_NOT_FOUND);
}

#[tokio::test]
async fn two_shares_of_a_session_are_apart() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let first = client.share("data").await.expect("the share");
    let second = client.share("open").await.expect("the share");
    put(&first, "file", Content::new(2).bytes(100)).await;
    let file = second.open("file", &OpenOptions::read()).await.expect("open");
    drop(first);
    assert!(file.read_at(0, 100).await.expect("read") == Content::new(2).bytes(100));
}

#[tokio::test]
async fn a_server_lists_its_shares() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let shares = client.shares().await.expect("the shares");
    let find =
        |name: &str| shares.iter().find(|share| share.name == name).unwrap_or_else(|| panic!("{name}"));
    for name in ["data", "readonly", "open", "limited"] {
        assert_eq!(find(name).kind.base(), ShareKind::DISK, "{name}");
    }
    assert_eq!(find("IPC$").kind.base(), ShareKind::IPC);
    assert!(find("IPC$").kind.is_special());
    assert_eq!(client.share_info("DATA").await.expect("the share").name, "data");
    assert_eq!(status(client.share_info("none").await), NtStatus::BAD_NETWORK_NAME);
    assert_eq!(client.server_info().await.expect("the server").name, "SHAREFSTEST");
    exercise(&samba, &client.share("data").await.expect("the share")).await;
}

#[tokio::test]
async fn a_long_list_of_shares_comes_in_parts() {
    let remark = "a remark of some length, ".repeat(400);
    let samba = Samba::builder().share("comment", remark.trim()).start();
    let client = connect(&samba.options()).await;
    let shares = client.shares().await.expect("the shares");
    let long: Vec<_> = shares.iter().filter(|share| share.remark == remark.trim()).collect();
    assert_eq!(long.len(), 4, "{:?}", shares.iter().map(|share| share.remark.len()).collect::<Vec<_>>());
}
