//! Which ranges of a file take space, and copies of ranges.

use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{File, NtStatus, OpenOptions, Share};

use crate::help::{data, status};

const PIECE: u64 = 64 << 10;

async fn file(share: &Share, path: &str) -> File {
    share.open(path, &OpenOptions::write()).await.expect("open")
}

/// A sparse file with a piece of data at every other place.
async fn comb(share: &Share, path: &str, teeth: u64) -> File {
    let file = file(share, path).await;
    file.set_sparse(true).await.expect("sparse");
    file.set_len(2 * teeth * PIECE).await.expect("set_len");
    for tooth in 0..teeth {
        file.write_at(2 * tooth * PIECE, vec![1; PIECE as usize].into()).await.expect("write");
    }
    file
}

#[tokio::test]
async fn holes_are_told_from_data() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let file = comb(&share, "file", 3).await;
    let all = [0..PIECE, 2 * PIECE..3 * PIECE, 4 * PIECE..5 * PIECE];
    assert_eq!(file.allocated_ranges(0, u64::MAX >> 1).await.expect("ranges"), all);
    let inner = [PIECE / 2..PIECE, 2 * PIECE..2 * PIECE + 1];
    assert_eq!(file.allocated_ranges(PIECE / 2, 3 * PIECE / 2 + 1).await.expect("ranges"), inner);
    assert!(file.allocated_ranges(PIECE, PIECE).await.expect("ranges").is_empty());
    assert!(file.allocated_ranges(100 * PIECE, PIECE).await.expect("ranges").is_empty());
    assert!(file.allocated_ranges(0, 0).await.expect("ranges").is_empty());
}

// More than one answer holds.
#[tokio::test]
async fn many_holes_are_told_too() {
    const TEETH: u64 = 5000;
    let samba = Samba::start();
    let share = data(&samba).await;
    file(&share, "file").await.set_sparse(true).await.expect("sparse");
    let local = std::fs::OpenOptions::new().write(true).open(samba.share_path().join("file")).expect("open");
    for tooth in 0..TEETH {
        std::os::unix::fs::FileExt::write_at(&local, &[1; 4096], 8192 * tooth).expect("write");
    }
    let ranges = file(&share, "file").await.allocated_ranges(0, u64::MAX >> 1).await.expect("ranges");
    assert_eq!(ranges, Vec::from_iter((0..TEETH).map(|tooth| 8192 * tooth..8192 * tooth + 4096)));
}

#[tokio::test]
async fn zeroed_ranges_take_no_space() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let file = file(&share, "file").await;
    let content = Content::new(1).bytes(4 * PIECE as usize);
    file.write_at(0, content.clone()).await.expect("write");
    file.set_sparse(true).await.expect("sparse");
    file.zero_range(PIECE..2 * PIECE).await.expect("zero");
    assert_eq!(file.allocated_ranges(0, 4 * PIECE).await.expect("ranges"), [0..PIECE, 2 * PIECE..4 * PIECE]);
    let read = file.read_at(0, 4 * PIECE as u32).await.expect("read");
    let (first, second) = (PIECE as usize, 2 * PIECE as usize);
    assert!(read[..first] == content[..first] && read[second..] == content[second..]);
    assert!(read[first..second].iter().all(|byte| *byte == 0));
    file.zero_range(5..5).await.expect("nothing");
    assert_eq!(file.metadata().await.expect("metadata").size, 4 * PIECE);
    let disk = std::fs::metadata(samba.share_path().join("file")).expect("the file");
    assert!(disk.blocks() * 512 <= 3 * PIECE);
}

#[tokio::test]
async fn space_is_set_aside() {
    let samba = Samba::builder().share("strict allocate", "yes").start();
    let share = data(&samba).await;
    let file = file(&share, "file").await;
    file.write_at(0, Bytes::from_static(b"x")).await.expect("write");
    file.allocate(8 << 20).await.expect("allocate");
    let metadata = file.metadata().await.expect("metadata");
    assert_eq!(metadata.size, 1);
    let disk = std::fs::metadata(samba.share_path().join("file")).expect("the file");
    assert!(disk.blocks() * 512 >= 8 << 20, "{}", disk.blocks());
}

#[tokio::test]
async fn extents_are_shared_only_where_the_volume_can() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let (source, target) = (file(&share, "source").await, file(&share, "target").await);
    source.set_len(4 * PIECE).await.expect("set_len");
    target.set_len(4 * PIECE).await.expect("set_len");
    let shared = target.duplicate_extents(&source, 0, PIECE, PIECE).await;
    let refused = [NtStatus::NOT_SUPPORTED, NtStatus::INVALID_DEVICE_REQUEST];
    assert!(refused.contains(&status(shared)));
    assert_eq!(status(target.duplicate_extents(&source, u64::MAX, 0, 2).await), NtStatus::INVALID_PARAMETER);
    let elsewhere = file(&data(&samba).await, "source").await;
    assert_eq!(status(target.duplicate_extents(&elsewhere, 0, 0, PIECE).await), NtStatus::NOT_SAME_DEVICE);
}

#[tokio::test]
async fn the_server_copies_ranges() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let content = Content::new(2).bytes(20 << 20);
    share.write("source", content.clone()).await.expect("write");
    let (source, target) = (file(&share, "source").await, file(&share, "target").await);
    let length = 18 << 20;
    assert_eq!(target.copy_from(&source, 12345, 77, length).await.expect("copy"), length);
    let copy = share.read("target").await.expect("read");
    assert!(copy.len() == 77 + length as usize && copy[77..] == content[12345..12345 + length as usize]);
    assert_eq!(target.copy_from(&source, 0, 0, 0).await.expect("copy"), 0);
    // Within one file.
    assert_eq!(target.copy_from(&target, 77, 0, 50).await.expect("copy"), 50);
    assert_eq!(&share.read("target").await.expect("read")[..50], &content[12345..12395]);
    assert!(target.copy_from(&source, 19 << 20, 0, 2 << 20).await.is_err(), "the source is shorter");
    let elsewhere = file(&data(&samba).await, "source").await;
    assert_eq!(target.copy_from(&elsewhere, 0, 0, 5).await.expect("another login"), 0);
}
