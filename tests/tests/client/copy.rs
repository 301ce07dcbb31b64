//! Copies, by the server and through this machine.

use sharefs_tests::{Content, Relay, Samba, sha256, sha256_file};
use smb_client::{ConnectOptions, CreateDisposition, NtStatus};

use crate::help::{connect, data, put, status};

#[tokio::test]
async fn a_server_copies_without_the_data_travelling() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    let options = ConnectOptions::new(samba.address().to_string(), samba.credentials())
        .port(relay.port())
        .address(relay.address());
    let client = connect(&options).await;
    let share = client.share("data").await.expect("the share");
    let open = client.share("open").await.expect("the share");
    for length in [0, 1, (40 << 20) + 7] {
        let content = Content::new(length as u64).bytes(length);
        put(&share, "from", content.clone()).await;
        // Whatever data the server sent would break the connection.
        relay.cut_after(100_000);
        for target in [&share, &open] {
            let mut told = 0;
            let copy =
                share.copy("from", target, "to", CreateDisposition::OverwriteIf, |bytes| told += bytes);
            let (copied, file) = copy.await.expect("the copy");
            file.close().await.expect("close");
            assert!(copied.by_server, "{length}");
            assert_eq!((copied.bytes, told), (length as u64, length as u64));
            assert_eq!(sha256_file(&samba.share_path().join("to")), sha256(&content));
        }
        relay.cut_after(u64::MAX);
    }
}

#[tokio::test]
async fn what_one_server_cannot_copy_goes_through_this_machine() {
    let (one, other) = (Samba::start(), Samba::start());
    let (from, to) = (data(&one).await, data(&other).await);
    let content = Content::new(7).bytes((5 << 20) + 3);
    put(&from, "from", content.clone()).await;
    let copy = from.copy("from", &to, "to", CreateDisposition::Create, |_| {});
    let (copied, file) = copy.await.expect("the copy");
    file.close().await.expect("close");
    assert!(!copied.by_server);
    assert_eq!(sha256_file(&other.share_path().join("to")), sha256(&content));
}

#[tokio::test]
async fn a_copy_replaces_only_what_it_may() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "from", Content::new(1).bytes(1000)).await;
    put(&share, "to", Content::new(2).bytes(2000)).await;
    let refused = status(share.copy("from", &share, "to", CreateDisposition::Create, |_| {}).await);
    assert_eq!(refused, NtStatus::OBJECT_NAME_COLLISION);
    let missing = status(share.copy("none", &share, "new", CreateDisposition::Create, |_| {}).await);
    assert_eq!(missing, NtStatus::OBJECT_NAME_NOT_FOUND);
    assert_eq!(sha256_file(&samba.share_path().join("to")), sha256(&Content::new(2).bytes(2000)));
}
