//! Many at once, and who changes their mind.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{Cipher, CreateDisposition, NtStatus, OpenOptions};

use crate::help::{connect, data, eventually, get, list, nobody_has_open, put, read_all, status};

async fn many_tasks(samba: &Samba) {
    let share = connect(&samba.options()).await.share("data").await.expect("the share");
    let tasks = (0..64_u64).map(|i| {
        let share = share.clone();
        tokio::spawn(async move {
            let folder = format!("folder {i}");
            share.create_dir(&folder).await.expect("mkdir");
            for j in 0..4 {
                let path = format!("{folder}/{j}");
                let content = Content::new(i * 4 + j).bytes(50_000 * j as usize + i as usize);
                put(&share, &path, content.clone()).await;
                assert!(get(&share, &path).await == content, "{path}");
            }
            assert_eq!(list(&share, &folder).await.len(), 4);
            share.rename(&format!("{folder}/0"), &format!("{folder}/x"), false).await.expect("rename");
            share.remove_file(&format!("{folder}/1")).await.expect("unlink");
            assert_eq!(list(&share, &folder).await, ["2", "3", "x"].map(String::from).into());
        })
    });
    for task in futures::future::join_all(tasks).await {
        task.expect("the task");
    }
    assert_eq!(list(&share, "").await.len(), 64);
}

#[tokio::test]
async fn sixty_four_tasks_in_one_thread() {
    many_tasks(&Samba::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_in_four_threads() {
    many_tasks(&Samba::start()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_sealed() {
    many_tasks(&Samba::builder().encryption(Cipher::Aes128Gcm).start()).await;
}

/// Two clients of one server see each other's changes at once: this layer caches nothing.
#[tokio::test]
async fn two_clients() {
    let samba = Samba::start();
    let (one, two) = (data(&samba).await, data(&samba).await);
    put(&one, "file", Content::new(1).bytes(1000)).await;
    assert!(get(&two, "file").await == Content::new(1).bytes(1000));
    two.remove_file("file").await.expect("unlink");
    assert_eq!(status(one.metadata("file").await), NtStatus::OBJECT_NAME_NOT_FOUND);
}

/// Polls a future a few times and drops it unfinished, wherever it stands then.
async fn give_up_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let done =
            std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_open_that_nobody_waits_for_is_closed_again() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for i in 0..50 {
        put(&share, &format!("file {i}"), Bytes::new()).await;
    }
    for i in 0..50 {
        give_up_after(1 + i % 5, share.open(&format!("file {i}"), &OpenOptions::write())).await;
    }
    for i in 0..50 {
        let path = format!("file {i}");
        eventually("the file is closed", || nobody_has_open(&share, &path)).await;
    }
}

/// The answer is there, but whoever asked is dropped before hearing it.
#[tokio::test]
async fn an_open_whose_answer_nobody_takes_is_closed_again() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Bytes::new()).await;
    {
        let options = OpenOptions::write();
        let mut opening = pin!(share.open("file", &options));
        let begun = std::future::poll_fn(|context| Poll::Ready(opening.as_mut().poll(context).is_pending()));
        assert!(begun.await, "no server answers that fast");
        eventually("the server has opened the file", || async { !nobody_has_open(&share, "file").await })
            .await;
    }
    eventually("the file is closed", || nobody_has_open(&share, "file")).await;
}

#[tokio::test]
async fn requests_that_nobody_waits_for_leave_nothing_open() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(1).bytes(3 << 20);
    put(&share, "file", content.clone()).await;
    share.create_dir("folder").await.expect("mkdir");
    for i in 0..30 {
        give_up_after(1 + i % 7, share.metadata("file")).await;
        give_up_after(1 + i % 7, get(&share, "file")).await;
        give_up_after(1 + i % 7, list(&share, "folder")).await;
        give_up_after(1 + i % 7, share.open_with_metadata("file", &OpenOptions::write())).await;
    }
    eventually("the file is closed", || nobody_has_open(&share, "file")).await;
    share.remove_dir("folder").await.expect("the directory is closed");
    eventually("the directory is gone", || async { list(&share, "").await.len() == 1 }).await;
    // And the credits are all there.
    assert!(get(&share, "file").await == content);
}

#[tokio::test]
async fn a_dropped_file_is_closed() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    assert!(!nobody_has_open(&share, "file").await);
    drop(file);
    eventually("the file is closed", || nobody_has_open(&share, "file")).await;
}

#[tokio::test]
async fn a_stream_that_is_dropped_in_the_middle_harms_nobody() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(1).bytes(20 << 20);
    put(&share, "file", content.clone()).await;
    for _ in 0..5 {
        let file = Arc::new(share.open("file", &OpenOptions::read()).await.expect("open"));
        let mut stream = file.read_stream(0, 20 << 20);
        assert!(stream.next().await.expect("read").is_some());
        drop(stream);
        let options = OpenOptions::write().disposition(CreateDisposition::OpenIf);
        let other = Arc::new(share.open("other", &options).await.expect("open"));
        let mut stream = other.write_stream(0);
        stream.write(content.slice(..10 << 20)).await.expect("write");
        drop(stream);
        assert!(read_all(&file).await == content);
    }
    eventually("the files are closed", || nobody_has_open(&share, "file")).await;
    eventually("the files are closed", || nobody_has_open(&share, "other")).await;
}

#[tokio::test]
async fn a_client_without_users_is_gone() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let share = client.share("data").await.expect("the share");
    drop(client);
    // The share holds the connection.
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    drop(share);
    // And so does the file.
    file.write_at(0, Bytes::from_static(b"content")).await.expect("write");
    drop(file);
    let share = data(&samba).await;
    eventually("the file is closed", || nobody_has_open(&share, "file")).await;
    assert_eq!(get(&share, "file").await, "content");
}
