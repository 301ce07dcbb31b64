//! Locked ranges, and what closing says.

use std::time::Duration;

use sharefs_tests::Samba;
use smb_client::{File, LockRange, NtStatus, OpenOptions};
use tokio::time::{sleep, timeout};

use crate::help::{connect, data, eventually, status};

const FIRST: LockRange = LockRange::exclusive(0, 10);
const SECOND: LockRange = LockRange::exclusive(100, 10);

async fn two(samba: &Samba) -> (File, File) {
    let (one, other) = (data(samba).await, data(samba).await);
    one.write("file", vec![7; 200]).await.expect("write");
    let options = OpenOptions::write();
    (one.open("file", &options).await.expect("open"), other.open("file", &options).await.expect("open"))
}

#[tokio::test]
async fn what_one_locks_another_cannot() {
    let samba = Samba::start();
    let (one, other) = two(&samba).await;
    one.lock(&[FIRST, SECOND], false).await.expect("lock");
    assert_eq!(status(other.lock(&[SECOND], false).await), NtStatus::LOCK_NOT_GRANTED);
    assert_eq!(status(other.read_at(5, 1).await), NtStatus::FILE_LOCK_CONFLICT);
    assert_eq!(status(other.write_at(105, "x".into()).await), NtStatus::FILE_LOCK_CONFLICT);
    assert_eq!(other.read_at(50, 1).await.expect("read").len(), 1);
    // All or nothing.
    let free = LockRange::exclusive(50, 10);
    assert_eq!(status(other.lock(&[free, SECOND], false).await), NtStatus::LOCK_NOT_GRANTED);
    one.lock(&[free], false).await.expect("lock");

    one.unlock(&[FIRST, SECOND, free]).await.expect("unlock");
    assert_eq!(status(one.unlock(&[FIRST]).await), NtStatus::RANGE_NOT_LOCKED);
    other.lock(&[FIRST, SECOND], true).await.expect("lock");
    other.close().await.expect("close");
    one.lock(&[FIRST], false).await.expect("closing unlocks");
    one.lock(&[], false).await.expect("nothing to lock");
}

#[tokio::test]
async fn shared_locks_let_others_read() {
    let samba = Samba::start();
    let (one, other) = two(&samba).await;
    let shared = LockRange::shared(0, 10);
    one.lock(&[shared], false).await.expect("lock");
    other.lock(&[shared], false).await.expect("lock");
    assert_eq!(status(other.lock(&[FIRST], false).await), NtStatus::LOCK_NOT_GRANTED);
    assert_eq!(other.read_at(0, 10).await.expect("read").len(), 10);
    assert_eq!(status(other.write_at(0, "x".into()).await), NtStatus::FILE_LOCK_CONFLICT);
}

// Longer than any other request may take.
#[tokio::test]
async fn a_lock_is_waited_for() {
    let samba = Samba::start();
    let (one, _) = two(&samba).await;
    let impatient = connect(&samba.options().request_timeout(Duration::from_millis(500))).await;
    let share = impatient.share("data").await.expect("the share");
    let other = share.open("file", &OpenOptions::write()).await.expect("open");
    one.lock(&[FIRST, SECOND], false).await.expect("lock");
    let waiting = tokio::spawn(async move {
        other.lock(&[FIRST, SECOND], true).await.expect("lock");
        other
    });
    sleep(Duration::from_secs(1)).await;
    one.unlock(&[FIRST]).await.expect("unlock");
    sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    one.unlock(&[SECOND]).await.expect("unlock");
    let other = waiting.await.expect("the other has both");
    assert_eq!(status(one.lock(&[FIRST], false).await), NtStatus::LOCK_NOT_GRANTED);
    assert_eq!(status(one.lock(&[SECOND], false).await), NtStatus::LOCK_NOT_GRANTED);
    drop(other);
}

#[tokio::test]
async fn who_no_longer_waits_has_locked_nothing() {
    let samba = Samba::start();
    let (one, other) = two(&samba).await;
    one.lock(&[SECOND], false).await.expect("lock");
    for i in 0..20 {
        // The first is granted and the second waited for; given up at different moments.
        let both = timeout(Duration::from_micros(i * 500), other.lock(&[FIRST, SECOND], true)).await;
        assert!(both.is_err(), "{both:?}");
        let free = LockRange::exclusive(1000 + i, 1);
        if let Ok(Ok(())) = timeout(Duration::from_micros(i * 50), other.lock(&[free], false)).await {
            other.unlock(&[free]).await.expect("unlock");
        }
    }
    one.unlock(&[SECOND]).await.expect("unlock");
    let one = &one;
    eventually("nothing is locked", || async move {
        let all = LockRange::exclusive(0, 2000);
        let locked = one.lock(&[all], false).await.is_ok();
        if locked {
            one.unlock(&[all]).await.expect("unlock");
        }
        locked
    })
    .await;
}

#[tokio::test]
async fn closing_says_what_is_left() {
    let samba = Samba::start();
    let (one, other) = two(&samba).await;
    one.set_len(12345).await.expect("set_len");
    let before = one.metadata().await.expect("metadata");
    let closed = one.close_with_metadata().await.expect("close").expect("Samba says it");
    assert_eq!((closed.size, closed.attributes, closed.created), (12345, before.attributes, before.created));
    assert_eq!((closed.file_id, closed.links), (0, 0));
    assert_eq!(one.close_with_metadata().await.expect("it is closed"), None);
    other.close().await.expect("close");
    assert_eq!(other.close_with_metadata().await.expect("it is closed"), None);
}
