//! Futures that are dropped wherever they can be: nothing of them is left, neither here nor on the server.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures::future::BoxFuture;
use sharefs_tests::{Content, Samba};
use smb_client::{
    Cipher, Client, CreateDisposition, Dialect, File, FileAttributes, OpenOptions, SetAttributes, Share,
};

use crate::help::{connect, eventually, put};

/// Polls a future as often as said, each time once something has happened, and drops it. Whether it was done.
async fn dropped_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

struct Bench {
    samba: Samba,
    client: Client,
    share: Share,
}

impl Bench {
    async fn new(samba: Samba) -> Self {
        let client = connect(&samba.options()).await;
        let share = client.share("data").await.expect("the share");
        let bench = Self { samba, client, share };
        put(&bench.share, "file", Content::new(1).bytes(3 << 20)).await;
        for i in 0..12 {
            put(&bench.share, &format!("remove {i}"), Bytes::new()).await;
            put(&bench.share, &format!("rename {i}"), Bytes::new()).await;
            bench.share.create_dir(&format!("dir {i}")).await.expect("mkdir");
        }
        bench.quiet().await;
        bench
    }

    async fn quiet(&self) {
        eventually("the connection is quiet", || async { self.client.activity().is_quiet() }).await;
    }

    async fn file(&self) -> Arc<File> {
        Arc::new(self.share.open("file", &OpenOptions::write()).await.expect("open"))
    }

    /// Drops what `begin` makes after 0, 1, 2... polls until it is done by itself.
    async fn check<F: Future>(&self, what: &str, mut begin: impl FnMut(usize) -> F) {
        self.quiet().await;
        let credits = self.client.activity().credits;
        let (open, shares) = (self.samba.open_files().len(), self.samba.connected_shares().len());
        let mut polls = 0;
        loop {
            let done = dropped_after(polls, begin(polls)).await;
            self.quiet().await;
            let left = self.client.activity().credits;
            assert!(left >= credits, "{what} dropped after {polls} polls: {left} credits of {credits}");
            let files = self.samba.open_files();
            assert_eq!(files.len(), open, "{what} dropped after {polls} polls: {files:?}");
            let trees = self.samba.connected_shares();
            assert_eq!(trees.len(), shares, "{what} dropped after {polls} polls: {trees:?}");
            if done {
                return;
            }
            polls += 1;
        }
    }
}

type Operation = Box<dyn Fn(Share, usize) -> BoxFuture<'static, ()>>;

/// An operation whose result, error or handle, is dropped as well.
macro_rules! operation {
    (|$share:ident, $i:ident| $body:expr) => {
        Box::new(|$share: Share, $i: usize| {
            let _ = $i;
            Box::pin(async move { drop($body.await) }) as BoxFuture<'static, ()>
        }) as Operation
    };
}

fn by_path() -> Vec<(&'static str, Operation)> {
    vec![
        ("open", operation!(|share, i| share.open("file", &OpenOptions::write()))),
        (
            "open, creating",
            operation!(|share, i| {
                let options = OpenOptions::write().disposition(CreateDisposition::Create);
                async move { share.open(&format!("new {i}"), &options).await }
            }),
        ),
        ("open_with_metadata", operation!(|share, i| share.open_with_metadata("file", &OpenOptions::read()))),
        ("metadata", operation!(|share, i| share.metadata("file"))),
        ("create_dir", operation!(|share, i| async move { share.create_dir(&format!("new dir {i}")).await })),
        (
            "remove_file",
            operation!(|share, i| async move { share.remove_file(&format!("remove {i}")).await }),
        ),
        ("remove_dir", operation!(|share, i| async move { share.remove_dir(&format!("dir {i}")).await })),
        (
            "rename",
            operation!(|share, i| async move {
                share.rename(&format!("rename {i}"), &format!("renamed {i}"), false).await
            }),
        ),
        (
            "modify",
            operation!(|share, i| async move {
                let set = SetAttributes::default().attributes(FileAttributes::ARCHIVE);
                share.modify("file", Some(3 << 20), &set).await
            }),
        ),
        (
            "open_dir and all_entries",
            operation!(|share, i| async move { share.open_dir("").await?.all_entries().await }),
        ),
        ("space", operation!(|share, i| share.space())),
    ]
}

async fn paths(samba: Samba) {
    let bench = Bench::new(samba).await;
    for (what, begin) in by_path() {
        bench.check(what, |i| begin(bench.share.clone(), i)).await;
    }
}

#[tokio::test]
async fn operations_by_path() {
    paths(Samba::start()).await;
}

#[tokio::test]
async fn operations_by_path_sealed() {
    paths(Samba::builder().encryption(Cipher::Aes128Gcm).start()).await;
}

/// With so few credits chains are not sent as such, and requests wait in the queue.
#[tokio::test]
async fn operations_by_path_with_two_credits() {
    paths(Samba::builder().global("smb2 max credits", 2).start()).await;
}

#[tokio::test]
async fn operations_of_an_open_file() {
    let bench = Bench::new(Samba::start()).await;
    let file = bench.file().await;
    assert_eq!(bench.samba.open_files().len(), 1, "the server's list shows what is open");
    bench.check("read_at", |_| file.read_at(0, 3 << 20)).await;
    bench.check("write_at", |_| file.write_at(0, Content::new(1).bytes(3 << 20))).await;
    bench.check("metadata", |_| file.metadata()).await;
    bench.check("flush", |_| file.flush()).await;
    bench.check("set_len", |_| file.set_len(3 << 20)).await;
    let set = SetAttributes::default().attributes(FileAttributes::ARCHIVE);
    bench.check("modify", |_| file.modify(Some(3 << 20), &set)).await;
}

#[tokio::test]
async fn streams() {
    let bench = Bench::new(Samba::start()).await;
    let file = bench.file().await;
    bench
        .check("read_stream", |_| {
            let mut stream = file.read_stream(0, 3 << 20);
            async move { while let Ok(Some(_)) = stream.next().await {} }
        })
        .await;
    bench
        .check("write_stream", |_| {
            let mut stream = file.write_stream(0);
            async move {
                stream.write(Content::new(1).bytes(3 << 20)).await.expect("write");
                stream.finish().await.expect("finish")
            }
        })
        .await;
}

/// The file goes with the future: whichever of the two closes it, it is closed once.
#[tokio::test]
async fn closing() {
    for samba in [Samba::start(), Samba::builder().global("smb2 max credits", 1).start()] {
        let bench = Bench::new(samba).await;
        for polls in 0..3 {
            let file = bench.file().await;
            let other = bench.file().await;
            // With one credit this one is in the way, and the CLOSE has to wait.
            let reading = file.clone();
            let _ = dropped_after(1, reading.read_at(0, 1000)).await;
            let _ = dropped_after(polls, file.close()).await;
            drop((file, reading, other));
            bench.quiet().await;
            assert_eq!(bench.samba.open_files(), [""; 0], "dropped after {polls} polls");
        }
    }
}

/// Before 3.1.1 the first one is followed by the validation of the negotiation.
#[tokio::test]
async fn connecting_to_a_share() {
    for dialect in [Dialect::Smb311, Dialect::Smb302] {
        let samba = Samba::builder().dialects(dialect, dialect).start();
        for polls in 0.. {
            let client = connect(&samba.options()).await;
            let done = dropped_after(polls, client.share("data")).await;
            eventually("the connection is quiet", || async { client.activity().is_quiet() }).await;
            assert_eq!(samba.connected_shares(), [""; 0], "{dialect} dropped after {polls} polls");
            let share = client.share("data").await.expect("the connection still works");
            assert_eq!(samba.connected_shares().len(), 1, "the server's list shows who is connected");
            drop(share);
            if done {
                break;
            }
        }
    }
}

#[tokio::test]
async fn logging_in() {
    let samba = Samba::start();
    let bench = Bench::new(samba).await;
    let options = bench.samba.options();
    assert_eq!(bench.samba.connections(), 1, "the server's list shows who is logged in");
    let mut polls = 0;
    while !dropped_after(polls, Client::connect(&options)).await {
        polls += 1;
    }
    // Each has closed its socket, whereupon the server ends its process.
    eventually("no connection is left", || async { bench.samba.connections() <= 1 }).await;
    bench.share.metadata("file").await.expect("the other one still works");
}
