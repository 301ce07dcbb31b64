//! Servers that die, hang or are cut off.

use std::sync::Arc;
use std::time::Duration;

use sharefs_tests::{Content, Relay, Samba};
use smb_client::{Client, ConnectOptions, ConnectionError, Error, OpenOptions, Share};
use tokio::time::timeout;

use crate::help::{connect, data, exercise, get, put, read_all};

/// Long enough for the slowest machine; only what hangs for ever takes it.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Reads and writes in many tasks until the first error of each.
async fn load_until_error(share: &Share) -> Vec<Error> {
    let task = |i: u64| {
        let share = share.clone();
        async move {
            loop {
                let path = format!("file {i}");
                let file = share.open(&path, &OpenOptions::write()).await?;
                file.write_at(0, Content::new(i).bytes(300_000)).await?;
                file.read_at(0, 300_000).await?;
                share.metadata(&path).await?;
                file.close().await?;
            }
        }
    };
    let tasks: Vec<_> = (0..16).map(|i| tokio::spawn(task(i))).collect();
    let mut errors = Vec::new();
    for task in tasks {
        let result: Result<(), Error> = timeout(FOR_EVER, task).await.expect("no hanging").expect("no panic");
        errors.push(result.expect_err("the server is gone"));
    }
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_under_load_is_an_error_of_the_connection() {
    let mut samba = Samba::start();
    let share = data(&samba).await;
    let load = tokio::spawn({
        let share = share.clone();
        async move { load_until_error(&share).await }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!load.is_finished(), "{load:?}");
    samba.kill_hard();
    for error in load.await.expect("no panic") {
        assert!(error.is_connection(), "{error} ({error:?})");
    }
    // Nor does anything begin any more.
    let error = share.metadata("file 0").await.expect_err("the server is gone");
    assert!(error.is_connection(), "{error} ({error:?})");
    assert!(share.closed().is_some());
}

#[tokio::test]
async fn a_server_that_ends_in_an_orderly_way_is_an_error_of_the_connection() {
    let mut samba = Samba::start();
    let share = data(&samba).await;
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    samba.terminate();
    let error = timeout(FOR_EVER, file.read_at(0, 100)).await.expect("no hanging").expect_err("gone");
    assert!(error.is_connection(), "{error} ({error:?})");
    samba.launch();
    exercise_after_restart(&samba).await;
}

async fn exercise_after_restart(samba: &Samba) {
    let share = data(samba).await;
    share.remove_file("file").await.expect("the file of before");
    exercise(samba, &share).await;
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let samba = Samba::start();
    let options = samba.options().dead_after(Duration::from_millis(1500));
    let client = connect(&options).await;
    let share = client.share("data").await.expect("the share");
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    samba.freeze();
    let error = timeout(FOR_EVER, file.read_at(0, 100)).await.expect("no hanging").expect_err("given up");
    assert!(
        matches!(error, Error::TimedOut | Error::Connection(ConnectionError::TimedOut))
            && error.is_connection(),
        "{error} ({error:?})"
    );
    // Who comes now is told as well, in time.
    let error = timeout(FOR_EVER, Client::connect(&options)).await.expect("no hanging").expect_err("hangs");
    assert!(error.is_connection(), "{error} ({error:?})");
    samba.thaw();
    connect(&options).await.share("data").await.expect("the share");
}

/// A server that is slow but lives is waited for.
#[tokio::test]
async fn a_server_that_hangs_for_a_while_is_waited_for() {
    let samba = Samba::start();
    let share = data(&samba).await;
    put(&share, "file", Content::new(1).bytes(100_000)).await;
    samba.freeze();
    let reading = tokio::spawn({
        let share = share.clone();
        async move { get(&share, "file").await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!reading.is_finished());
    samba.thaw();
    assert!(reading.await.expect("no panic") == Content::new(1).bytes(100_000));
}

async fn through(samba: &Samba, relay: &Relay) -> ConnectOptions {
    samba.options().host(relay.address().to_string()).port(relay.port()).dead_after(Duration::from_secs(2))
}

#[tokio::test]
async fn a_slow_line_changes_nothing() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    relay.delay(Duration::from_millis(10));
    let share = connect(&through(&samba, &relay).await).await.share("data").await.expect("the share");
    exercise(&samba, &share).await;
}

/// Wherever the line is cut, in the middle of a message or of its length, the error is the connection's.
#[tokio::test]
async fn a_line_cut_anywhere_is_an_error_of_the_connection() {
    let samba = Samba::start();
    let content = Content::new(1).bytes(1 << 20);
    put(&data(&samba).await, "file", content).await;
    let relay = Relay::start(samba.socket()).await;
    let options = through(&samba, &relay).await;
    for bytes in (0..200).step_by(13).chain([1000, 66_000, 500_000]) {
        relay.cut_after(bytes);
        let attempt = async {
            let share = Client::connect(&options).await?.share("data").await?;
            let file = Arc::new(share.open("file", &OpenOptions::read()).await?);
            let mut stream = file.read_stream(0, 1 << 20);
            while stream.next().await?.is_some() {}
            Ok::<(), Error>(())
        };
        let error = timeout(FOR_EVER, attempt).await.expect("no hanging").expect_err("the line is cut");
        assert!(error.is_connection(), "cut after {bytes}: {error} ({error:?})");
    }
}

#[tokio::test]
async fn a_line_that_falls_silent_is_given_up() {
    let samba = Samba::start();
    let relay = Relay::start(samba.socket()).await;
    let share = connect(&through(&samba, &relay).await).await.share("data").await.expect("the share");
    put(&share, "file", Content::new(1).bytes(1000)).await;
    relay.stall(true);
    let error = timeout(FOR_EVER, share.metadata("file")).await.expect("no hanging").expect_err("silent");
    assert!(error.is_connection(), "{error} ({error:?})");
    relay.stall(false);
    let share = connect(&through(&samba, &relay).await).await.share("data").await.expect("the share");
    let file = Arc::new(share.open("file", &OpenOptions::read()).await.expect("open"));
    assert!(read_all(&file).await == Content::new(1).bytes(1000));
    relay.cut();
}
