//! Files of every awkward size come back as they went, and are on the server's disk what they should be.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use bytes::Bytes;
use sharefs_tests::{Content, Samba, sha256, sha256_file};
use smb_client::{Cipher, ConnectOptions, CreateDisposition, NtStatus, OpenOptions};

use crate::help::{connect, data, get, put, read_all, status};

const SIZES: [usize; 13] = [
    0,
    1,
    4095,
    4096,
    4097,
    65_535,
    65_536,
    65_537,
    (1 << 20) - 1,
    1 << 20,
    (1 << 20) + 1,
    8 << 20,
    (20 << 20) + 12_345,
];

async fn sizes(samba: &Samba, options: &ConnectOptions) {
    let share = connect(options).await.share("data").await.expect("the share");
    for size in SIZES {
        let content = Content::new(size as u64).bytes(size);
        let path = format!("file of {size}");
        put(&share, &path, content.clone()).await;
        assert_eq!(sha256_file(&samba.share_path().join(&path)), sha256(&content), "{size} on the server");
        assert_eq!(sha256(&get(&share, &path).await), sha256(&content), "{size} read back");
    }
}

#[tokio::test]
async fn files_of_awkward_sizes_signed() {
    let samba = Samba::start();
    sizes(&samba, &samba.options()).await;
}

#[tokio::test]
async fn files_of_awkward_sizes_sealed() {
    let samba = Samba::builder().encryption(Cipher::Aes128Gcm).start();
    sizes(&samba, &samba.options()).await;
}

#[tokio::test]
async fn files_of_awkward_sizes_in_requests_of_odd_sizes() {
    let samba = Samba::start();
    sizes(&samba, &samba.options().max_io(99_999)).await;
}

#[tokio::test]
async fn files_of_awkward_sizes_in_requests_as_large_as_the_server_takes() {
    let samba = Samba::start();
    sizes(&samba, &samba.options().max_io(u32::MAX)).await;
}

#[tokio::test]
async fn files_made_on_the_server_are_read() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for size in SIZES {
        let content = Content::new(size as u64 + 1).bytes(size);
        let path = format!("file of {size}");
        fs::write(samba.share_path().join(&path), &content).expect("write on the server");
        assert_eq!(sha256(&get(&share, &path).await), sha256(&content), "{size}");
    }
}

#[tokio::test]
async fn reads_end_where_the_file_ends() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(3).bytes(100_000);
    put(&share, "file", content.clone()).await;
    let file = share.open("file", &OpenOptions::read()).await.expect("open");
    assert!(file.read_at(0, 0).await.expect("nothing").is_empty());
    for (offset, length) in [(0, 1), (4095, 2), (99_999, 1), (99_999, 2), (50_000, 1 << 20), (0, 1 << 20)] {
        let end = content.len().min(offset + length);
        let read = file.read_at(offset as u64, length as u32).await.expect("read");
        assert!(read == content.slice(offset..end), "{length} bytes from {offset}: {} came", read.len());
    }
    for offset in [100_000, 100_001, 1 << 40] {
        assert!(file.read_at(offset, 4096).await.expect("behind the end").is_empty(), "from {offset}");
    }
}

#[tokio::test]
async fn writes_land_where_they_should() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let mut expected = Content::new(4).bytes(300_000).to_vec();
    put(&share, "file", expected.clone().into()).await;
    let file = share.open("file", &OpenOptions::write()).await.expect("open");
    for (i, (offset, length)) in
        [(0, 1), (4095, 2), (65_530, 100_000), (299_999, 1), (299_990, 50_000)].into_iter().enumerate()
    {
        let piece = Content::new(100 + i as u64).bytes(length);
        file.write_at(offset as u64, piece.clone()).await.expect("write");
        expected.resize(expected.len().max(offset + length), 0);
        expected[offset..offset + length].copy_from_slice(&piece);
    }
    file.write_at(7, Bytes::new()).await.expect("write nothing");
    file.flush().await.expect("flush");
    file.close().await.expect("close");
    assert_eq!(sha256_file(&samba.share_path().join("file")), sha256(&expected));
}

#[tokio::test]
async fn cutting_and_extending() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(5).bytes(10_000);
    put(&share, "file", content.clone()).await;
    let file = Arc::new(share.open("file", &OpenOptions::write()).await.expect("open"));
    file.set_len(5000).await.expect("cut");
    assert!(read_all(&file).await == content.slice(..5000));
    file.set_len(6000).await.expect("extend");
    let extended = read_all(&file).await;
    assert!(extended[..5000] == content[..5000] && extended[5000..] == [0; 1000]);
    file.set_len(0).await.expect("empty");
    assert!(read_all(&file).await.is_empty());
    let emptied = share.open("file", &OpenOptions::write().disposition(CreateDisposition::Overwrite)).await;
    assert_eq!(emptied.expect("open").opened_metadata().size, 0);
}

/// What five gigabytes need that four do not: offsets of more than 32 bits. The file is all hole.
#[tokio::test]
async fn a_sparse_file_of_five_gigabytes() {
    const SIZE: u64 = 5 << 30;
    let samba = Samba::start();
    let share = data(&samba).await;
    let file = share.open("large", &OpenOptions::write()).await.expect("open");
    let middle = SIZE / 2 - 1000;
    let pieces = [(SIZE - 300_000, 300_000), (middle, 70_000), ((4 << 30) - 1, 3)];
    for (i, (offset, length)) in pieces.into_iter().enumerate() {
        file.write_at(offset, Content::new(i as u64).bytes(length)).await.expect("write");
    }
    file.flush().await.expect("flush");
    assert_eq!(file.metadata().await.expect("metadata").size, SIZE);

    let on_disk = fs::File::open(samba.share_path().join("large")).expect("the file on the server");
    let metadata = on_disk.metadata().expect("metadata");
    assert_eq!(metadata.len(), SIZE);
    assert!(metadata.blocks() * 512 < 64 << 20, "{} blocks: not sparse", metadata.blocks());
    for (i, (offset, length)) in pieces.into_iter().enumerate() {
        let content = Content::new(i as u64).bytes(length);
        assert!(file.read_at(offset, length as u32).await.expect("read") == content, "at {offset}");
        let mut buffer = vec![1; length];
        on_disk.read_exact_at(&mut buffer, offset).expect("read on the server");
        assert!(buffer == content, "at {offset} on the server");
        let before = file.read_at(offset - 100, 100).await.expect("read");
        assert!(before == vec![0; 100], "before {offset}");
    }
    assert!(file.read_at(SIZE, 4096).await.expect("read").is_empty());
    file.close().await.expect("close");
}

#[tokio::test]
async fn a_directory_is_not_read_as_a_file() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    put(&share, "file", Bytes::new()).await;
    assert_eq!(status(share.open("folder", &OpenOptions::read()).await), NtStatus::FILE_IS_A_DIRECTORY);
    assert_eq!(status(share.open_dir("file").await), NtStatus::NOT_A_DIRECTORY);
}
