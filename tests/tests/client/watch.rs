//! Changes as the server tells them.

use std::fs;

use sharefs_tests::Samba;
use smb_client::{Share, Watch, WatchEvent, WatchFilter};

use crate::help::{connect, data, exercise};

async fn watch(share: &Share, path: &str, recursive: bool) -> Watch {
    let directory = share.open_dir(path).await.expect("the directory");
    directory.watch(WatchFilter::FILES | WatchFilter::DIRECTORIES, recursive).expect("the watch")
}

async fn next(watch: &mut Watch) -> WatchEvent {
    watch.next().await.expect("it goes on").expect("a change")
}

/// The server may say more than once that a file has changed.
async fn until(watch: &mut Watch, event: &WatchEvent) {
    loop {
        let next = next(watch).await;
        if next == *event {
            return;
        }
        assert!(matches!(next, WatchEvent::Modified(_)), "{next:?} and not {event:?}");
    }
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    let mut watch = watch(&share, "", true).await;
    // Another login: a server may not tell its own user of what he does himself.
    let other = data(&samba).await;
    other.write("folder/a: b", "x").await.expect("write");
    until(&mut watch, &WatchEvent::Added("folder/a: b".into())).await;
    other.rename("folder/a: b", "folder/c", false).await.expect("rename");
    until(&mut watch, &WatchEvent::Renamed { from: "folder/a: b".into(), to: "folder/c".into() }).await;
    other.remove_file("folder/c").await.expect("unlink");
    until(&mut watch, &WatchEvent::Removed("folder/c".into())).await;
    // Several while nobody looks.
    for name in ["1", "2", "3"] {
        other.create_dir(name).await.expect("mkdir");
    }
    for name in ["1", "2", "3"] {
        until(&mut watch, &WatchEvent::Added(name.into())).await;
    }
    // The connection is as good as ever, for others and for the watched one.
    drop(watch);
    for name in ["1", "2", "3", "folder"] {
        share.remove_dir(name).await.expect("rmdir");
    }
    exercise(&samba, &share).await;
}

#[tokio::test]
async fn what_lies_deeper_is_told_only_where_it_is_wanted() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    let mut watch = watch(&share, "", false).await;
    share.write("folder/deep", "x").await.expect("write");
    share.write("shallow", "x").await.expect("write");
    until(&mut watch, &WatchEvent::Added("shallow".into())).await;
}

#[tokio::test]
async fn too_many_changes_are_one_of_their_own() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let mut watch = watch(&share, "", false).await;
    let other = data(&samba).await;
    for i in 0..1500 {
        let name = format!("a file with a name of some length, number {i}");
        other.write(&name, "").await.expect("write");
    }
    while next(&mut watch).await != WatchEvent::Overflow {}
    // And it goes on.
    fs::remove_file(samba.share_path().join("a file with a name of some length, number 7")).expect("unlink");
    other.write("afterwards", "x").await.expect("write");
    while next(&mut watch).await != WatchEvent::Added("afterwards".into()) {}
}

#[tokio::test]
async fn a_watch_that_is_dropped_leaves_nothing_behind() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let share = client.share("data").await.expect("the share");
    share.create_dir("watched").await.expect("mkdir");
    // More than the connection has credits for, were each kept.
    for _ in 0..1000 {
        drop(watch(&share, "watched", true).await);
    }
    share.remove_dir("watched").await.expect("rmdir");
    exercise(&samba, &share).await;
}

#[tokio::test]
async fn a_watch_ends_with_its_connection() {
    let mut samba = Samba::start();
    let share = data(&samba).await;
    let mut watch = watch(&share, "", true).await;
    samba.kill_hard();
    assert!(watch.next().await.expect("an error").is_err());
    assert!(watch.next().await.is_none());
}
