//! Opens that the server keeps when their connection breaks.

use bytes::Bytes;
use sharefs_tests::{Relay, Samba, SambaBuilder};
use smb_client::{
    Break, Client, DurableRequest, Error, File, LeaseRequest, LeaseState, LockRange, NtStatus, OpenOptions,
    Share,
};

/// Samba keeps opens only of files that nobody else on its machine uses.
fn server(builder: SambaBuilder) -> Samba {
    let builder = builder.share("kernel share modes", "no").share("kernel oplocks", "no");
    builder.share("posix locking", "no").start()
}

fn options(client: &Client) -> OpenOptions {
    let state = LeaseState::READ | LeaseState::WRITE | LeaseState::HANDLE;
    let lease = LeaseRequest { key: client.lease_key(), state, parent: None };
    OpenOptions::write().lease(lease).durable(DurableRequest { guid: client.lease_key().0, timeout: 60_000 })
}

struct Broken {
    samba: Samba,
    relay: Relay,
    client: Client,
    file: File,
    options: OpenOptions,
    /// To the share on another connection.
    share: Share,
    again: Client,
}

/// A file is open with a lock on it, and the connection breaks.
async fn broken(builder: SambaBuilder) -> Broken {
    let samba = server(builder);
    let relay = Relay::start(samba.socket()).await;
    let connect = samba.options().address(relay.address()).port(relay.port());
    let client = Client::connect(&connect).await.expect("a connection");
    let options = options(&client);
    let file = client.share("data").await.expect("the share").open("file", &options).await.expect("open");
    file.write_at(0, Bytes::from_static(b"before")).await.expect("written");
    file.lock(&[LockRange { offset: 0, length: 10, exclusive: true }], false).await.expect("locked");
    relay.cut();
    let resumed = connect.resuming(client.resume());
    let again = Client::connect(&resumed).await.expect("another connection");
    let share = again.share("data").await.expect("the share");
    Broken { samba, relay, client, file, options, share, again }
}

#[tokio::test]
async fn an_open_is_had_again_with_all_that_it_held() {
    for builder in [Samba::builder(), Samba::builder().newer()] {
        let broken = broken(builder).await;
        let durable = broken.file.durable().expect("the server keeps it");
        assert!(!durable.is_persistent());
        let file = broken.share.reclaim("file", &broken.options, &durable).await.expect("reclaimed");
        assert_eq!(file.lease().state, broken.file.lease().state, "the lease");
        assert_eq!(&file.read_at(0, 100).await.expect("read")[..], b"before");
        let (mut breaks, share) = (broken.again.breaks().expect("the first reader"), broken.share.clone());
        tokio::spawn(async move {
            while let Some(Break::Lease { key, new, .. }) = breaks.next().await {
                share.acknowledge_lease(key, new).await.expect("acknowledged");
            }
        });
        let other = Client::connect(&broken.samba.options()).await.expect("another client");
        let other = other.share("data").await.expect("the share");
        let rival = other.open("file", &OpenOptions::write()).await.expect("opened");
        let lock = [LockRange { offset: 0, length: 1, exclusive: true }];
        let refused = rival.lock(&lock, false).await.expect_err("the lock is held");
        assert_eq!(refused.status(), Some(NtStatus::LOCK_NOT_GRANTED));
        // It may be had a second time.
        let durable = file.durable().expect("the server goes on keeping it");
        assert!(durable.timeout() > 0 && broken.client.activity().waiting == 0);
    }
}

#[tokio::test]
async fn what_the_server_does_not_keep_is_refused() {
    let broken = broken(Samba::builder()).await;
    let durable = broken.file.durable().expect("the server keeps it");
    let file = broken.share.reclaim("file", &broken.options, &durable).await.expect("reclaimed");
    file.close().await.expect("closed");
    let error = broken.share.reclaim("file", &broken.options, &durable).await.expect_err("closed is closed");
    assert_eq!(error.status(), Some(NtStatus::OBJECT_NAME_NOT_FOUND));
    assert!(broken.again.activity().is_quiet());
}

/// Whoever answers in the server's place cannot talk the client down.
#[tokio::test]
async fn less_protection_than_before_is_refused() {
    let broken = broken(Samba::builder()).await;
    let connect = broken.samba.options().address(broken.relay.address()).port(broken.relay.port());
    let older = connect.max_dialect(smb_client::Dialect::Smb302).resuming(broken.again.resume());
    let error = Client::connect(&older).await.expect_err("an older dialect");
    assert!(matches!(error, Error::Downgrade), "{error}");
}
