//! Symbolic links on a server that keeps none of its own.

use sharefs_tests::Samba;
use smb_client::{Link, LinkKind, NtStatus};

use crate::help::{data, list, status};

#[tokio::test]
async fn a_file_stands_for_a_link() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for target in ["file", "../a/b", "/etc/passwd", &"x".repeat(1024)] {
        share.symlink(target, "link", LinkKind::MfSymlink).await.expect("the link");
        let link = share.read_link("link").await.expect("the link");
        assert_eq!(link, Link { target: target.into(), kind: LinkKind::MfSymlink });
        assert_eq!(std::fs::metadata(samba.share_path().join("link")).expect("the file").len(), 1067);
        let again = share.symlink("other", "link", LinkKind::MfSymlink).await;
        assert_eq!(status(again), NtStatus::OBJECT_NAME_COLLISION);
        share.remove_file("link").await.expect("unlink");
    }
    assert!(share.symlink(&"x".repeat(1025), "link", LinkKind::MfSymlink).await.is_err());
}

#[tokio::test]
async fn other_files_are_no_links() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    for (name, length) in [("empty", 0), ("same size", 1067), ("longer", 5000)] {
        share.write(name, vec![b'x'; length]).await.expect("write");
        assert_eq!(status(share.read_link(name).await), NtStatus::NOT_A_REPARSE_POINT, "{name}");
    }
    assert_eq!(status(share.read_link("folder").await), NtStatus::NOT_A_REPARSE_POINT);
    assert_eq!(status(share.read_link("none").await), NtStatus::OBJECT_NAME_NOT_FOUND);
}

#[tokio::test]
async fn nothing_is_left_of_a_link_that_the_server_cannot_make() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for kind in [LinkKind::File, LinkKind::Directory, LinkKind::Junction] {
        assert_eq!(status(share.symlink("target", "link", kind).await), NtStatus::NOT_SUPPORTED, "{kind:?}");
        assert_eq!(list(&share, "").await.len(), 0, "{kind:?}");
    }
}
