//! Leases and oplocks: what is granted, what is taken back, and what is not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{
    Break, Breaks, Client, ConnectOptions, CreateDisposition, Dialect, File, LeaseKey, LeaseRequest,
    LeaseState, NtStatus, OpenOptions, PathLease, SetAttributes, Share,
};
use tokio::time::timeout;

use crate::help::{connect, get, put, status};

const R: LeaseState = LeaseState::READ;
const RH: LeaseState = R.union(LeaseState::HANDLE);
const RWH: LeaseState = RH.union(LeaseState::WRITE);
const NONE: LeaseState = LeaseState::empty();
/// So long nothing must come. What comes later than this was not caused by what the test did.
const QUIET: Duration = Duration::from_millis(300);

/// A client that is told of breaks.
struct Holder {
    client: Client,
    share: Share,
    breaks: Breaks,
}

impl Holder {
    async fn new(options: &ConnectOptions) -> Self {
        let client = connect(options).await;
        let breaks = client.breaks().expect("nobody has taken them");
        assert!(client.breaks().is_none(), "they are there once");
        let share = client.share("data").await.expect("the share");
        Self { client, share, breaks }
    }

    async fn open(&self, path: &str, key: LeaseKey, state: LeaseState) -> File {
        let lease = LeaseRequest { key, state, parent: None };
        self.share.open(path, &OpenOptions::write().lease(lease)).await.expect("open")
    }

    async fn next(&mut self) -> Break {
        timeout(Duration::from_secs(30), self.breaks.next()).await.expect("a break").expect("it goes on")
    }

    async fn is_left_alone(&mut self) {
        if let Ok(next) = timeout(QUIET, self.breaks.next()).await {
            panic!("nothing was to be broken: {next:?}");
        }
    }

    /// The next break is of this lease and leaves this; says whether it waits for an acknowledgement.
    async fn broken(&mut self, whose: LeaseKey, from: LeaseState, to: LeaseState) -> bool {
        match self.next().await {
            Break::Lease { key, current, new, acknowledge, .. } => {
                assert_eq!((key, current, new), (whose, from, to));
                acknowledge
            }
            other => panic!("{other:?}"),
        }
    }
}

fn only(samba: &Samba, dialect: Dialect) -> ConnectOptions {
    samba.options().dialects(dialect, dialect)
}

/// Another's open waits until the first has given back what it kept of writing, and what was kept of reading goes
/// when another writes.
async fn two_share_a_file(dialect: Dialect) {
    let samba = Samba::start();
    let mut first = Holder::new(&only(&samba, dialect)).await;
    let mut second = Holder::new(&only(&samba, dialect)).await;
    let (a, b) = (first.client.lease_key(), second.client.lease_key());
    let kept = first.open("file", a, RWH).await;
    assert_eq!(kept.lease().state, RWH);
    assert_eq!(kept.lease().epoch.is_some(), dialect >= Dialect::Smb300);

    let open = second.open("file", b, RWH);
    let give_back = async {
        assert!(first.broken(a, RWH, RH).await, "the server waits");
        kept.write_at(0, "what was kept".into()).await.expect("write");
        first.share.acknowledge_lease(a, RH).await.expect("the acknowledgement");
    };
    let (other, ()) = tokio::join!(open, give_back);
    assert_eq!(other.lease().state, RH);
    assert_eq!(&other.read_at(0, 100).await.expect("read")[..], b"what was kept");

    other.write_at(0, "another's".into()).await.expect("write");
    if first.broken(a, RH, NONE).await {
        first.share.acknowledge_lease(a, NONE).await.expect("the acknowledgement");
    }
    second.is_left_alone().await;
    let again = first.share.acknowledge_lease(a, NONE).await;
    assert!(again.as_ref().is_err_and(|error| error.status().is_some()), "{again:?}");
}

#[tokio::test]
async fn two_share_a_file_311() {
    two_share_a_file(Dialect::Smb311).await;
}

#[tokio::test]
async fn two_share_a_file_300() {
    two_share_a_file(Dialect::Smb300).await;
}

#[tokio::test]
async fn two_share_a_file_210() {
    two_share_a_file(Dialect::Smb210).await;
}

#[tokio::test]
async fn two_share_a_file_by_oplocks() {
    let samba = Samba::start();
    let mut first = Holder::new(&only(&samba, Dialect::Smb202)).await;
    let second = Holder::new(&samba.options()).await;
    let key = first.client.lease_key();
    let kept = first.open("file", key, RWH).await;
    assert_eq!((kept.lease().state, kept.lease().epoch), (RWH, None));
    let reading = OpenOptions::read();
    let open = second.share.open("file", &reading);
    let give_back = async {
        assert_eq!(first.next().await, Break::Oplock { file: kept.id(), new: R });
        kept.acknowledge_oplock(R).await.expect("the acknowledgement");
    };
    let (other, ()) = tokio::join!(open, give_back);
    drop(other.expect("open"));
    second.share.write("file", "x").await.expect("write");
    assert_eq!(first.next().await, Break::Oplock { file: kept.id(), new: NONE });
    let again = kept.acknowledge_oplock(NONE).await;
    assert!(again.as_ref().is_err_and(|error| error.status().is_some()), "{again:?}");
}

#[tokio::test]
async fn oplocks_stand_for_less() {
    let samba = Samba::start();
    let holder = Holder::new(&only(&samba, Dialect::Smb202)).await;
    for (asked, granted) in [(RWH, RWH), (R | LeaseState::WRITE, R | LeaseState::WRITE), (RH, R), (R, R)] {
        let file = holder.open("file", holder.client.lease_key(), asked).await;
        assert_eq!(file.lease().state, granted, "{asked:?}");
        file.close().await.expect("close");
    }
}

#[tokio::test]
async fn opens_of_one_lease_do_not_break_it() {
    let samba = Samba::start();
    for dialect in [Dialect::Smb210, Dialect::Smb302, Dialect::Smb311] {
        let mut holder = Holder::new(&only(&samba, dialect)).await;
        let key = holder.client.lease_key();
        let first = holder.open("file", key, RH).await;
        let second = holder.open("file", key, RWH).await;
        assert_eq!((first.lease().state, second.lease().state), (RH, RWH));
        let third = holder.open("file", key, NONE).await;
        assert_eq!(third.lease().state, NONE);
        third.write_at(0, "x".into()).await.expect("write");
        holder.is_left_alone().await;
        // The same without the key does.
        let reading = OpenOptions::read();
        let stranger = holder.share.open("file", &reading);
        let (share, breaks) = (&holder.share, &mut holder.breaks);
        let give_back = async {
            let next = breaks.next().await;
            assert!(matches!(next, Some(Break::Lease { new: RH, .. })), "{next:?}");
            share.acknowledge_lease(key, RH).await.expect("the acknowledgement");
        };
        tokio::join!(stranger, give_back).0.expect("open");
    }
}

#[tokio::test]
async fn operations_by_path_leave_their_own_lease_alone() {
    let samba = Samba::start();
    for dialect in [Dialect::Smb210, Dialect::Smb300, Dialect::Smb311] {
        let mut holder = Holder::new(&only(&samba, dialect)).await;
        let key = holder.client.lease_key();
        let share = holder.share.clone();
        let lease = PathLease { key: Some(key), parent: Some(holder.client.lease_key()) };
        let below = PathLease { key: None, ..lease };

        share.create_dir_with("folder", below).await.expect("mkdir");
        let file = holder.open("folder/file", key, RWH).await;
        assert_eq!(file.lease().state, RWH);
        let none = SetAttributes::default();
        let metadata = share.modify_with("folder/file", Some(5), &none, lease).await.expect("modify");
        assert_eq!(metadata.size, 5);
        share.rename_with("folder/file", "folder/other", false, lease).await.expect("rename");
        share.remove_file_with("folder/other", lease).await.expect("unlink");
        holder.is_left_alone().await;
        drop(file);
        share.remove_dir_with("folder", below).await.expect("rmdir");
        holder.is_left_alone().await;
    }
}

#[tokio::test]
async fn operations_by_path_without_the_lease_break_it() {
    let samba = Samba::start();
    let mut holder = Holder::new(&samba.options()).await;
    let key = holder.client.lease_key();
    let file = holder.open("file", key, RWH).await;
    let share = holder.share.clone();
    let rename = share.rename("file", "other", false);
    let give_back = async {
        assert!(holder.broken(key, RWH, RH).await, "the server waits");
        share.acknowledge_lease(key, RH).await.expect("the acknowledgement");
    };
    tokio::join!(rename, give_back).0.expect("rename");
    holder.is_left_alone().await;
    drop(file);
}

#[tokio::test]
async fn what_the_holder_changes_in_a_directory_does_not_break_its_lease() {
    let samba = Samba::builder().directory_leases().start();
    let mut holder = Holder::new(&samba.options()).await;
    let other = Holder::new(&samba.options()).await;
    let share = holder.share.clone();
    share.create_dir("folder").await.expect("mkdir");
    let lease = LeaseRequest { key: holder.client.lease_key(), state: RH, parent: None };
    let directory = share.open("folder", &OpenOptions::list().lease(lease)).await.expect("open");
    assert_eq!(directory.lease().state, RH);

    let own = LeaseRequest { key: holder.client.lease_key(), state: RWH, parent: Some(lease.key) };
    let within = PathLease { key: Some(own.key), parent: own.parent };
    let below = PathLease { key: None, ..within };
    let create = OpenOptions::write().disposition(CreateDisposition::Create).lease(own);
    let file = share.open("folder/file", &create).await.expect("create");
    assert_eq!(file.lease().state, RWH);
    let none = SetAttributes::default();
    share.modify_with("folder/file", Some(5), &none, within).await.expect("modify");
    share.hard_link_with("folder/file", "folder/linked", within).await.expect("link");
    share.rename_with("folder/file", "folder/other", false, within).await.expect("rename");
    share.create_dir_with("folder/deeper", below).await.expect("mkdir");
    share.remove_dir_with("folder/deeper", below).await.expect("rmdir");
    // A lease is that of a name: the file's other name is none of its own.
    let another = share.remove_file_with("folder/linked", within).await;
    assert_eq!(status(another), NtStatus::INVALID_PARAMETER);
    file.close().await.expect("close");
    share.remove_file_with("folder/linked", below).await.expect("unlink");
    holder.is_left_alone().await;

    let stranger = other.share.write("folder/stranger", "x");
    let give_back = async {
        if holder.broken(lease.key, RH, NONE).await {
            share.acknowledge_lease(lease.key, NONE).await.expect("the acknowledgement");
        }
    };
    tokio::join!(stranger, give_back).0.expect("write");
}

#[tokio::test]
async fn a_server_without_directory_leases_is_not_asked_for_them() {
    let samba = Samba::start();
    let holder = Holder::new(&samba.options()).await;
    holder.share.create_dir("folder").await.expect("mkdir");
    let lease = LeaseRequest { key: holder.client.lease_key(), state: RH, parent: None };
    let directory = holder.share.open("folder", &OpenOptions::list().lease(lease)).await.expect("open");
    assert_eq!(directory.lease().state, NONE);
    let own = LeaseRequest { key: holder.client.lease_key(), state: RWH, parent: Some(lease.key) };
    let create = OpenOptions::write().disposition(CreateDisposition::Create).lease(own);
    let file = holder.share.open("folder/file", &create).await.expect("create");
    assert_eq!(file.lease().state, RWH);
}

#[tokio::test]
async fn nobody_need_look_at_breaks() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let share = client.share("data").await.expect("the share");
    let lease = LeaseRequest { key: client.lease_key(), state: RH, parent: None };
    let kept = share.open("file", &OpenOptions::write().lease(lease)).await.expect("open");
    assert_eq!(kept.lease().state, RH);
    let other = Holder::new(&samba.options()).await;
    other.share.write("file", "x").await.expect("write");
    assert_eq!(&kept.read_at(0, 10).await.expect("read")[..], b"x");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_break_is_lost_in_heavy_traffic() {
    const FILES: usize = 200;
    let samba = Samba::start();
    let mut holder = Holder::new(&samba.options()).await;
    let other = Holder::new(&samba.options()).await;
    let mut files = Vec::new();
    for i in 0..FILES {
        let key = holder.client.lease_key();
        let file = holder.open(&format!("file {i}"), key, RH).await;
        assert_eq!(file.lease().state, RH);
        files.push((key, file));
    }
    let share = holder.share.clone();
    let content = Content::new(1).bytes(32 << 20);
    let expected = content.clone();
    let traffic = tokio::spawn(async move {
        for _ in 0..3 {
            put(&share, "large", content.clone()).await;
            assert!(get(&share, "large").await == expected);
        }
    });
    let writing = tokio::spawn(async move {
        for i in 0..FILES {
            other.share.write(&format!("file {i}"), "x").await.expect("write");
        }
    });
    let mut broken = std::collections::BTreeSet::new();
    while broken.len() < FILES {
        let Break::Lease { key, new, acknowledge, .. } = holder.next().await else { panic!("no oplock") };
        if acknowledge {
            holder.share.acknowledge_lease(key, new).await.expect("the acknowledgement");
        }
        if !new.contains(R) {
            broken.insert(key);
        }
    }
    assert_eq!(broken, files.iter().map(|(key, _)| *key).collect());
    traffic.await.expect("the traffic");
    writing.await.expect("the other");
}

#[tokio::test]
async fn breaks_end_with_the_connection() {
    let mut samba = Samba::start();
    let mut holder = Holder::new(&samba.options()).await;
    let file = holder.open("file", holder.client.lease_key(), RWH).await;
    let file = Arc::new(file);
    samba.kill_hard();
    assert_eq!(holder.breaks.next().await, None);
    assert!(file.write_at(0, Bytes::from_static(b"x")).await.is_err());

    let samba = Samba::start();
    let Holder { client, share, mut breaks } = Holder::new(&samba.options()).await;
    drop((client, share));
    assert_eq!(breaks.next().await, None);
}
