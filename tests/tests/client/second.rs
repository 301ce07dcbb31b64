//! Servers that are not Samba, each with its own idea of the protocol: the crate `smb-server`, which speaks all
//! dialects, and impacket's, which speaks the oldest one and little of that.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sharefs_tests::{Content, Impacket, free_address, sha256, sha256_file};
use smb_client::{
    Cipher, ConnectOptions, ConnectionError, CreateDisposition, Credentials, Dialect, Error, FileTime,
    NtStatus, PeerMisbehaved, SetAttributes, Share, SigningAlgorithm, Watch, WatchEvent, WatchFilter,
};
use smb_server::{Access, LocalFsBackend, SmbServer};
use tempfile::TempDir;

use crate::help::{connect, get, list, put, status};

const LARGE: usize = (20 << 20) + 7;

/// The crate's server, in this process; it ends with the test's runtime.
struct Second {
    root: TempDir,
    address: SocketAddr,
}

impl Second {
    async fn start(encrypt: bool) -> Self {
        let root = tempfile::tempdir().expect("a directory for the server");
        let address = free_address();
        let backend = LocalFsBackend::new(root.path()).expect("the backend");
        let share = smb_server::Share::new("data", backend).user("tester", Access::ReadWrite);
        let builder = SmbServer::builder().listen(address).user("tester", "secret").encrypt_data(encrypt);
        let server = builder.share(share).build().expect("the server");
        server.bind().await.expect("the server listens");
        tokio::spawn(server.serve());
        Self { root, address }
    }

    fn path(&self) -> PathBuf {
        self.root.path().into()
    }

    fn options(&self) -> ConnectOptions {
        let credentials = Credentials::Password {
            user: "tester".into(),
            domain: String::new(),
            password: "secret".to_string().into(),
        };
        ConnectOptions::new(self.address.ip().to_string(), credentials).port(self.address.port())
    }

    async fn data(&self) -> Share {
        connect(&self.options()).await.share("data").await.expect("the share")
    }
}

/// Content there and back, names, and what they are renamed to and removed.
async fn exercise(share: &Share, disk: &Path) {
    share.create_dir("folder").await.expect("mkdir");
    for (name, length) in [("empty", 0), ("small", 5000), ("large", LARGE)] {
        let content = Content::new(length as u64).bytes(length);
        let path = format!("folder/{name}");
        put(share, &path, content.clone()).await;
        assert_eq!(sha256_file(&disk.join(&path)), sha256(&content), "{path} on the server");
        assert!(get(share, &path).await == content, "{path} came back otherwise");
        let metadata = share.metadata(&path).await.expect("metadata");
        assert_eq!((metadata.size, metadata.is_dir()), (length as u64, false));
    }
    share.write("folder/whole", "all at once").await.expect("write");
    assert_eq!(&share.read("folder/whole").await.expect("read")[..], b"all at once");
    let names = ["empty", "large", "small", "whole"].map(String::from).into();
    assert_eq!(list(share, "folder").await, names);
    assert_eq!(share.read_dir("folder").await.expect("read_dir").len(), 4);
    let refused = status(share.metadata("folder/none").await);
    assert_eq!(refused, NtStatus::OBJECT_NAME_NOT_FOUND);
    share.rename("folder/small", "folder/renamed: ü", false).await.expect("rename");
    assert_eq!(share.metadata("folder/renamed: ü").await.expect("metadata").size, 5000);
    for name in ["empty", "large", "whole", "renamed: ü"] {
        share.remove_file(&format!("folder/{name}")).await.expect("unlink");
    }
    share.remove_dir("folder").await.expect("rmdir");
    assert!(list(share, "").await.is_empty());
}

macro_rules! dialects {
    ($($name:ident: $dialect:ident $algorithm:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let server = Second::start(false).await;
            let client = connect(&server.options().dialects(Dialect::$dialect, Dialect::$dialect)).await;
            let info = client.info();
            let agreed = (info.dialect, info.signing, info.encrypted);
            assert_eq!(agreed, (Dialect::$dialect, Some(SigningAlgorithm::$algorithm), false));
            exercise(&client.share("data").await.expect("the share"), &server.path()).await;
            client.logoff().await.expect("logoff");
        }
    )*};
}

dialects! {
    another_202: Smb202 HmacSha256;
    another_210: Smb210 HmacSha256;
    another_300: Smb300 AesCmac;
    another_302: Smb302 AesCmac;
    another_311: Smb311 AesCmac;
}

macro_rules! encrypted {
    ($($name:ident: $dialect:ident $cipher:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            for by_server in [true, false] {
                let server = Second::start(by_server).await;
                let options = server.options().dialects(Dialect::$dialect, Dialect::$dialect);
                let client = connect(&options.ciphers([Cipher::$cipher]).encrypt(!by_server)).await;
                let info = client.info();
                assert_eq!((info.encrypted, info.cipher), (true, Some(Cipher::$cipher)));
                exercise(&client.share("data").await.expect("the share"), &server.path()).await;
            }
        }
    )*};
}

encrypted! {
    another_encrypts_300: Smb300 Aes128Ccm;
    another_encrypts_302: Smb302 Aes128Ccm;
    another_encrypts_ccm128: Smb311 Aes128Ccm;
    another_encrypts_gcm128: Smb311 Aes128Gcm;
    another_encrypts_ccm256: Smb311 Aes256Ccm;
    another_encrypts_gcm256: Smb311 Aes256Gcm;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_lists_500_entries() {
    let server = Second::start(false).await;
    let share = server.data().await;
    for i in 0..500 {
        share.write(&format!("file {i}"), "x").await.expect("write");
    }
    assert_eq!(list(&share, "").await.len(), 500);
    assert_eq!(share.read_dir("").await.expect("read_dir").len(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_changes_metadata() {
    let server = Second::start(false).await;
    let share = server.data().await;
    share.write("file", "some content").await.expect("write");
    let written = FileTime(133_000_000_000_000_000);
    let set = SetAttributes::default().written(written);
    let metadata = share.modify("file", Some(4), &set).await.expect("modify");
    assert_eq!((metadata.size, metadata.written), (4, written));
    assert_eq!(&share.read("file").await.expect("read")[..], b"some");
    let space = share.space().await.expect("space");
    assert!(space.total >= space.free && space.unit > 0, "{space:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_does_not_copy_so_the_data_travels() {
    let server = Second::start(false).await;
    let share = server.data().await;
    let content = Content::new(7).bytes((5 << 20) + 3);
    put(&share, "from", content.clone()).await;
    let copy = share.copy("from", &share, "to", CreateDisposition::Create, |_| {});
    let (copied, file) = copy.await.expect("the copy");
    file.close().await.expect("close");
    assert!(!copied.by_server);
    assert_eq!(sha256_file(&server.path().join("to")), sha256(&content));
}

async fn next(watch: &mut Watch) -> WatchEvent {
    watch.next().await.expect("it goes on").expect("a change")
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tells_of_changes() {
    let server = Second::start(false).await;
    let (share, other) = (server.data().await, server.data().await);
    let root = share.open_dir("").await.expect("the root");
    let mut watch = root.watch(WatchFilter::FILES | WatchFilter::DIRECTORIES, true).expect("the watch");
    other.write("a", "x").await.expect("write");
    while next(&mut watch).await != WatchEvent::Added("a".into()) {}
    other.rename("a", "b", false).await.expect("rename");
    while next(&mut watch).await != (WatchEvent::Renamed { from: "a".into(), to: "b".into() }) {}
    other.remove_file("b").await.expect("unlink");
    while next(&mut watch).await != WatchEvent::Removed("b".into()) {}
}

/// The share of impacket's server, unsigned: its signatures of chains are wrong.
async fn unsigned(server: &Impacket) -> Share {
    let client = connect(&server.options().sign(false)).await;
    let info = client.info();
    assert_eq!((info.dialect, info.signing, info.max_read), (Dialect::Smb202, None, 65_536));
    client.share("data").await.expect("the share")
}

// It signs each message of a chain, and then writes into it where the next one begins.
#[tokio::test]
async fn impacket_signs_single_requests_only() {
    let server = Impacket::start();
    let client = connect(&server.options()).await;
    assert_eq!(client.info().signing, Some(SigningAlgorithm::HmacSha256));
    let share = client.share("data").await.expect("the share");
    let content = Content::new(3).bytes(200_000);
    put(&share, "file", content.clone()).await;
    assert_eq!(sha256_file(&server.share_path().join("file")), sha256(&content));
    assert!(get(&share, "file").await == content);
    assert_eq!(list(&share, "").await, ["file".to_string()].into());
    let forged = share.metadata("file").await;
    let bad = ConnectionError::PeerMisbehaved(PeerMisbehaved::BadSignature);
    assert!(matches!(&forged, Err(Error::Connection(error)) if *error == bad), "{forged:?}");
}

#[tokio::test]
async fn impacket_keeps_files() {
    let server = Impacket::start();
    let (share, disk) = (unsigned(&server).await, server.share_path());
    share.create_dir("folder").await.expect("mkdir");
    for (name, length) in [("small", 5000), ("large", LARGE)] {
        let content = Content::new(length as u64).bytes(length);
        let path = format!("folder/{name}");
        put(&share, &path, content.clone()).await;
        assert_eq!(sha256_file(&disk.join(&path)), sha256(&content), "{path} on the server");
        assert!(get(&share, &path).await == content, "{path} came back otherwise");
        let metadata = share.metadata(&path).await.expect("metadata");
        assert_eq!((metadata.size, metadata.is_dir()), (length as u64, false));
    }
    share.write("folder/whole", "all at once").await.expect("write");
    assert_eq!(&share.read("folder/whole").await.expect("read")[..], b"all at once");
    assert_eq!(list(&share, "folder").await, ["large", "small", "whole"].map(String::from).into());
    // It refuses the open with the body of a success, and has a status of its own for that.
    assert_eq!(status(share.metadata("folder/none").await), NtStatus::NO_SUCH_FILE);

    let onto = status(share.rename("folder/whole", "folder/small", false).await);
    assert_eq!(onto, NtStatus::OBJECT_NAME_COLLISION);
    share.rename("folder/whole", "folder/small", true).await.expect("rename");
    let copy = share.copy("folder/small", &share, "folder/copy", CreateDisposition::Create, |_| {});
    let (copied, file) = copy.await.expect("the copy");
    file.close().await.expect("close");
    assert!(!copied.by_server);
    assert_eq!(&share.read("folder/copy").await.expect("read")[..], b"all at once");

    for name in ["copy", "large", "small"] {
        share.remove_file(&format!("folder/{name}")).await.expect("unlink");
    }
    share.remove_dir("folder").await.expect("rmdir");
    assert!(list(&share, "").await.is_empty());
}

#[tokio::test]
async fn impacket_lists_500_entries() {
    let server = Impacket::start();
    for i in 0..500 {
        std::fs::write(server.share_path().join(format!("file {i}")), "x").expect("a file");
    }
    let share = unsigned(&server).await;
    assert_eq!(list(&share, "").await.len(), 500);
    assert_eq!(share.read_dir("").await.expect("read_dir").len(), 500);
}

// What it says it did, and what it cannot do.
#[tokio::test]
async fn impacket_cannot_do_everything() {
    let server = Impacket::start();
    let share = unsigned(&server).await;
    share.write("file", "some content").await.expect("write");
    // It sets times only where the time of the change is given, which is the server's own business.
    let before = share.metadata("file").await.expect("metadata").written;
    let written = FileTime(133_000_000_000_000_000);
    let set = SetAttributes::default().written(written);
    assert_eq!(share.modify("file", None, &set).await.expect("modify").written, before);
    // It lets files grow only; what it answers says so.
    assert_eq!(share.modify("file", Some(4), &SetAttributes::default()).await.expect("modify").size, 12);
    assert_eq!(share.modify("file", Some(40), &SetAttributes::default()).await.expect("modify").size, 40);
    // Opening truncates as it should.
    share.write("file", "x").await.expect("write");
    assert_eq!(&share.read("file").await.expect("read")[..], b"x");
    let space = share.space().await;
    assert!(matches!(space, Err(Error::Malformed(_))), "{space:?}");
    // A directory goes with all that is in it.
    share.create_dir("folder").await.expect("mkdir");
    share.write("folder/file", "x").await.expect("write");
    share.remove_dir("folder").await.expect("rmdir");
    assert!(!server.share_path().join("folder").exists());
    let root = share.open_dir("").await.expect("the root");
    let mut watch = root.watch(WatchFilter::FILES, true).expect("the watch");
    assert_eq!(status(watch.next().await.expect("an answer")), NtStatus::NOT_SUPPORTED);
    // And the connection is as good as ever.
    assert_eq!(list(&share, "").await, ["file".to_string()].into());
}
