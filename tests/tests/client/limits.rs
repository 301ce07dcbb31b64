//! Servers that take little at a time.

use sharefs_tests::{Content, Samba};
use smb_client::{Cipher, Dialect};

use crate::help::{connect, exercise, get, put};

#[tokio::test]
async fn at_most_64_kib_in_a_request() {
    let samba = Samba::builder().small_io().start();
    let client = connect(&samba.options()).await;
    let info = client.info();
    assert_eq!((info.max_read, info.max_write), (65_536, 65_536));
    let share = client.share("data").await.expect("the share");
    assert_eq!(share.limits(), (65_536, 65_536));
    exercise(&samba, &share).await;
}

#[tokio::test]
async fn at_most_64_kib_in_a_request_sealed() {
    let samba = Samba::builder().small_io().encryption(Cipher::Aes256Gcm).start();
    exercise(&samba, &connect(&samba.options()).await.share("data").await.expect("the share")).await;
}

/// 2.0.2 knows no larger requests at all, whatever the server says.
#[tokio::test]
async fn at_most_64_kib_in_a_request_of_202() {
    let samba = Samba::builder().dialects(Dialect::Smb202, Dialect::Smb202).start();
    let client = connect(&samba.options()).await;
    assert_eq!((client.info().max_read, client.info().max_write), (65_536, 65_536));
    exercise(&samba, &client.share("data").await.expect("the share")).await;
}

/// One and two are less than what the client's longest chain takes: it sends its requests one by one.
#[tokio::test]
async fn few_credits() {
    for credits in [1, 2, 3, 5, 8] {
        let samba = Samba::builder().global("smb2 max credits", credits).start();
        let share = connect(&samba.options()).await.share("data").await.expect("the share");
        exercise(&samba, &share).await;
    }
}

#[tokio::test]
async fn few_credits_sealed() {
    let samba = Samba::builder().global("smb2 max credits", 3).encryption(Cipher::Aes128Gcm).start();
    exercise(&samba, &connect(&samba.options()).await.share("data").await.expect("the share")).await;
}

#[tokio::test]
async fn few_credits_for_many_tasks() {
    let samba = Samba::builder().global("smb2 max credits", 8).start();
    let share = connect(&samba.options()).await.share("data").await.expect("the share");
    let tasks = (0..32).map(|i| {
        let share = share.clone();
        tokio::spawn(async move {
            let (path, content) = (format!("file {i}"), Content::new(i).bytes(700_000 + i as usize));
            put(&share, &path, content.clone()).await;
            assert!(get(&share, &path).await == content, "{path}");
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.expect("the task");
    }
}

#[tokio::test]
async fn tiny_requests() {
    let samba = Samba::start();
    let options = samba.options().max_io(1000);
    let share = connect(&options).await.share("data").await.expect("the share");
    let content = Content::new(9).bytes(123_456);
    put(&share, "file", content.clone()).await;
    assert!(get(&share, "file").await == content);
}
