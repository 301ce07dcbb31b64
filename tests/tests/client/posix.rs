//! The SMB3 POSIX extensions, against a Samba that has them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use sharefs_tests::Samba;
use smb_client::security::UnixId;
use smb_client::{CreateDisposition, CreateOptions, OpenOptions, Share};

use crate::help::{connect, exercise, status};

async fn posix(samba: &Samba) -> Share {
    let client = connect(&samba.options().posix(true)).await;
    assert!(client.info().posix);
    client.share("data").await.expect("the share")
}

#[tokio::test]
async fn new_files_get_their_permissions() {
    let samba = Samba::builder().posix().start();
    let share = posix(&samba).await;
    let new = OpenOptions::write().disposition(CreateDisposition::Create).posix(0o640);
    let file = share.open("file", &new).await.expect("create");
    assert_eq!(file.posix_mode().map(|mode| mode & 0o7777), Some(0o640));
    let disk = fs::metadata(samba.share_path().join("file")).expect("the file");
    assert_eq!(disk.mode() & 0o7777, 0o640);

    let said = file.posix_metadata().await.expect("metadata");
    assert_eq!((said.mode & 0o7777, said.metadata.links, said.metadata.size), (0o640, 1, 0));
    assert_eq!(said.metadata.file_id, disk.ino());
    fs::set_permissions(samba.share_path().join("file"), Permissions::from_mode(0o4711)).expect("chmod");
    let said = share.posix_metadata("file").await.expect("metadata");
    assert_eq!(said.mode & 0o7777, 0o4711);
    for (who, id) in [(said.owner, disk.uid()), (said.group, disk.gid())] {
        match who.to_unix() {
            Some(UnixId::User(number) | UnixId::Group(number)) => assert_eq!(number, id),
            // The user has an identifier of the server's domain.
            other => assert!(other.is_none() && who.domain().is_some(), "{who}"),
        }
    }
    let options = OpenOptions::attributes().options(CreateOptions::DIRECTORY_FILE);
    let new = options.disposition(CreateDisposition::Create).posix(0o750);
    let folder = share.open("folder", &new).await.expect("mkdir");
    assert_eq!(folder.posix_mode().map(|mode| mode & 0o7777), Some(0o750));
}

#[tokio::test]
async fn names_differ_by_case() {
    let samba = Samba::builder().posix().start();
    let share = posix(&samba).await;
    for name in ["name", "NAME"] {
        let new = OpenOptions::write().disposition(CreateDisposition::Create).posix(0o600);
        let file = share.open(name, &new).await.expect("create");
        file.write_at(0, name.into()).await.expect("write");
    }
    for name in ["name", "NAME"] {
        let file = share.open(name, &OpenOptions::read().posix(0)).await.expect("open");
        assert_eq!(&file.read_at(0, 10).await.expect("read")[..], name.as_bytes());
    }
    assert!(status(share.posix_metadata("Name").await).is_error());
}

#[tokio::test]
async fn listings_say_what_posix_knows() {
    const FILES: usize = 1500;
    let samba = Samba::builder().posix().start();
    let share = posix(&samba).await;
    for i in 0..FILES {
        let path = samba.share_path().join(format!("file {i}"));
        fs::write(&path, vec![b'x'; i]).expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o600 + (i as u32 % 8))).expect("chmod");
    }
    let directory = share.open_dir_with("", &OpenOptions::list().posix(0)).await.expect("open");
    let mut seen = 0;
    loop {
        let entries = directory.next_posix_entries().await.expect("entries");
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let i: usize = entry.name.strip_prefix("file ").expect("a file").parse().expect("a number");
            let said = (entry.metadata.mode & 0o7777, entry.metadata.metadata.size);
            assert_eq!(said, (0o600 + (i as u32 % 8), i as u64), "{}", entry.name);
            seen += 1;
        }
    }
    assert_eq!(seen, FILES);
}

#[tokio::test]
async fn a_server_without_the_extensions_is_as_ever() {
    for samba in [Samba::start(), Samba::builder().newer().start()] {
        let client = connect(&samba.options().posix(true)).await;
        assert!(!client.info().posix);
        let share = client.share("data").await.expect("the share");
        let file = share.open("file", &OpenOptions::write().posix(0o600)).await.expect("open");
        assert_eq!(file.posix_mode(), None);
        drop(file);
        assert!(share.posix_metadata("file").await.is_err());
        share.remove_file("file").await.expect("unlink");
        exercise(&samba, &share).await;
    }
}
