//! What several tests do.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use sharefs_tests::{Content, Samba, sha256, sha256_file};
use smb_client::{
    Client, ConnectOptions, CreateDisposition, Error, File, NtStatus, OpenOptions, Share, ShareAccess,
};

/// Logs in.
pub(crate) async fn connect(options: &ConnectOptions) -> Client {
    Client::connect(options).await.unwrap_or_else(|error| panic!("cannot connect: {error} ({error:?})"))
}

/// Logs in as the server's user and connects to `data`.
pub(crate) async fn data(samba: &Samba) -> Share {
    connect(&samba.options()).await.share("data").await.expect("the share data")
}

/// Writes a new file with a window of requests.
pub(crate) async fn put(share: &Share, path: &str, content: Bytes) {
    let options = OpenOptions::write().disposition(CreateDisposition::OverwriteIf);
    let file = Arc::new(share.open(path, &options).await.unwrap_or_else(|e| panic!("create {path:?}: {e}")));
    let length = content.len() as u64;
    let mut stream = file.write_stream(0);
    stream.write(content).await.expect("write");
    assert_eq!(stream.finish().await.expect("finish"), length);
    file.close().await.expect("close");
}

/// Reads a file with a window of requests.
pub(crate) async fn get(share: &Share, path: &str) -> Bytes {
    let file = share.open(path, &OpenOptions::read()).await;
    let file = Arc::new(file.unwrap_or_else(|error| panic!("open {path:?}: {error}")));
    let content = read_all(&file).await;
    file.close().await.expect("close");
    content
}

/// All of an open file.
pub(crate) async fn read_all(file: &Arc<File>) -> Bytes {
    let size = file.metadata().await.expect("metadata").size;
    let mut stream = file.read_stream(0, size);
    let mut content = BytesMut::new();
    while let Some(piece) = stream.next().await.expect("read") {
        content.extend_from_slice(&piece);
    }
    content.freeze()
}

/// The names in a directory.
pub(crate) async fn list(share: &Share, path: &str) -> BTreeSet<String> {
    let directory = share.open_dir(path).await.unwrap_or_else(|error| panic!("list {path:?}: {error}"));
    let entries = directory.all_entries().await.expect("entries");
    directory.close().await.expect("close");
    let names: BTreeSet<String> = entries.iter().map(|entry| entry.name.clone()).collect();
    assert_eq!(names.len(), entries.len(), "a name was listed twice");
    names
}

/// What every session must be able to do, whatever it agreed on.
pub(crate) async fn exercise(samba: &Samba, share: &Share) {
    share.create_dir("folder").await.expect("mkdir");
    for (name, length) in [("empty", 0), ("small", 5000), ("large", (3 << 20) + 7)] {
        let content = Content::new(length as u64).bytes(length);
        let path = format!("folder/{name}");
        put(share, &path, content.clone()).await;
        assert!(get(share, &path).await == content, "{path} came back otherwise");
        assert_eq!(sha256_file(&samba.share_path().join(&path)), sha256(&content), "{path} on the server");
        let metadata = share.metadata(&path).await.expect("metadata");
        assert_eq!((metadata.size, metadata.is_dir()), (length as u64, false));
    }
    assert_eq!(list(share, "folder").await, ["empty", "large", "small"].map(String::from).into());
    share.rename("folder/small", "folder/renamed", false).await.expect("rename");
    share.remove_file("folder/empty").await.expect("unlink");
    share.remove_file("folder/large").await.expect("unlink");
    assert_eq!(list(share, "folder").await, ["renamed"].map(String::from).into());
    share.remove_file("folder/renamed").await.expect("unlink");
    share.remove_dir("folder").await.expect("rmdir");
    assert_eq!(list(share, "").await, BTreeSet::new());
    let space = share.space().await.expect("space");
    assert!(space.total >= space.free && space.free >= space.available && space.unit > 0, "{space:?}");
}

/// The status of what must have been refused.
pub(crate) fn status<T: std::fmt::Debug>(result: Result<T, Error>) -> NtStatus {
    let error = result.expect_err("this must be refused");
    error.status().unwrap_or_else(|| panic!("the server did not refuse this: {error} ({error:?})"))
}

/// Whether nobody has the file open: an open that shares nothing is let in only then.
pub(crate) async fn nobody_has_open(share: &Share, path: &str) -> bool {
    let alone = OpenOptions::write().disposition(CreateDisposition::Open).share_access(ShareAccess::empty());
    match share.open(path, &alone).await {
        Ok(file) => {
            file.close().await.expect("close");
            true
        }
        Err(error) if error.status() == Some(NtStatus::SHARING_VIOLATION) => false,
        Err(error) => panic!("{path}: {error}"),
    }
}

/// Waits until it is so. Only what never happens fails: no time is asserted.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    for _ in 0..3000 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}
