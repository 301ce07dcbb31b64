//! Extended attributes, streams and security descriptors.

use rustix::fs::{XattrFlags, getxattr, setxattr};
use sharefs_tests::Samba;
use smb_client::security::{Ace, AceFlags, Acl, SecurityDescriptor, SecurityInformation, Sid};
use smb_client::{
    AccessMask, CreateDisposition, Error, LeaseRequest, LeaseState, NtStatus, OpenOptions, PathLease,
    VolumeFlags,
};

use crate::help::{connect, data, status};

const NO_LEASE: PathLease = PathLease { key: None, parent: None };

#[tokio::test]
async fn extended_attributes_come_and_go() {
    let samba = Samba::start();
    let client = connect(&samba.options()).await;
    let share = client.share("data").await.expect("the share");
    let mut breaks = client.breaks().expect("breaks");
    let key = client.lease_key();
    let state = LeaseState::READ | LeaseState::HANDLE | LeaseState::WRITE;
    let access = AccessMask::READ_EA | AccessMask::WRITE_EA;
    let options = OpenOptions::write().access(access).lease(LeaseRequest { key, state, parent: None });
    let file = share.open("file", &options).await.expect("open");
    let own = PathLease { key: Some(key), parent: None };

    assert!(share.extended_attributes("file", own).await.expect("list").is_empty());
    assert_eq!(share.extended_attribute("file", b"none", own).await.expect("get"), None);
    let long = vec![b'v'; 2000];
    share.set_extended_attribute("file", b"one", b"\x00value\xFF", own).await.expect("set");
    file.set_extended_attribute(b"Two", &long).await.expect("set");
    let one = share.extended_attribute("file", b"one", own).await.expect("get").expect("it is there");
    assert_eq!(&one[..], b"\x00value\xFF");
    assert_eq!(file.extended_attribute(b"Two").await.expect("get").expect("it is there"), long);
    let mut names: Vec<_> =
        file.extended_attributes().await.expect("list").into_iter().map(|ea| ea.name).collect();
    names.sort_by_key(|name| name.to_ascii_lowercase());
    assert!(names.len() == 2 && names[0].eq_ignore_ascii_case(b"one"), "{names:?}");
    assert!(names[1].eq_ignore_ascii_case(b"two"), "{names:?}");
    let mut local = [0; 100];
    let length = getxattr(samba.share_path().join("file"), "user.one", &mut local).expect("the attribute");
    assert!(local[..length].starts_with(b"\x00value\xFF"));

    share.set_extended_attribute("file", b"one", b"", own).await.expect("remove");
    assert_eq!(share.extended_attribute("file", b"one", own).await.expect("get"), None);
    assert_eq!(share.extended_attributes("file", own).await.expect("list").len(), 1);
    let none = share.set_extended_attribute("none", b"one", b"x", NO_LEASE).await;
    assert_eq!(status(none), NtStatus::OBJECT_NAME_NOT_FOUND);
    assert!(share.set_extended_attribute("file", b"", b"x", own).await.is_err());
    drop((client, share, file));
    assert_eq!(breaks.next().await, None, "nothing was broken");
}

#[tokio::test]
async fn many_attributes_are_listed() {
    let samba = Samba::start();
    let share = data(&samba).await;
    share.create_dir("folder").await.expect("mkdir");
    // As many as one file of this machine's file system holds.
    let mut set = 0;
    for i in 0..60 {
        let (name, value) = (format!("attribute {i}"), vec![b'v'; 60]);
        if share.set_extended_attribute("folder", name.as_bytes(), &value, NO_LEASE).await.is_err() {
            break;
        }
        set += 1;
    }
    assert!(set > 10, "{set}");
    assert_eq!(share.extended_attributes("folder", NO_LEASE).await.expect("list").len(), set);
}

#[tokio::test]
async fn streams_are_listed() {
    let samba = Samba::builder().newer().share("vfs objects", "streams_xattr").start();
    let share = data(&samba).await;
    share.write("file", "content").await.expect("write");
    assert!(share.streams("file").await.expect("streams").is_empty());
    let path = samba.share_path().join("file");
    // As that module keeps them: with a byte behind.
    setxattr(&path, "user.DosStream.some name:$DATA", b"12345\0", XattrFlags::empty()).expect("setxattr");
    let streams = share.streams("file").await.expect("streams");
    let [stream] = &streams[..] else { panic!("{streams:?}") };
    assert_eq!((stream.name.as_str(), stream.size), ("some name", 5));
}

#[tokio::test]
async fn streams_are_written_read_and_removed() {
    let samba = Samba::builder().newer().share("vfs objects", "streams_xattr").start();
    let share = data(&samba).await;
    assert!(share.volume_flags().await.expect("flags").contains(VolumeFlags::NAMED_STREAMS));
    share.write("file", "content").await.expect("write");
    share.create_dir("folder").await.expect("mkdir");
    for path in ["file", "folder"] {
        assert_eq!(share.stream(path, "one", 9).await.expect("none"), None);
        for value in ["a longer value", "", "short"] {
            share.set_stream(path, "one", value.into()).await.expect("set");
            assert_eq!(share.stream(path, "one", 99).await.expect("read").as_deref(), Some(value.as_bytes()));
        }
        assert!(matches!(share.stream(path, "one", 4).await, Err(Error::TooLarge)));
        let names: Vec<_> = share.streams(path).await.expect("list").into_iter().map(|s| s.name).collect();
        assert_eq!(names, ["one"]);
        share.remove_stream(path, "one").await.expect("remove");
        assert!(share.remove_stream(path, "one").await.is_err());
        assert!(share.streams(path).await.expect("list").is_empty());
    }
    assert_eq!(share.read("file").await.expect("read"), "content");

    // A large one as a file of its own.
    let options = OpenOptions::write().disposition(CreateDisposition::Create);
    let stream = share.open_stream("file", "large", &options).await.expect("open");
    stream.write_at(0, vec![7; 2_000].into()).await.expect("write");
    stream.close().await.expect("close");
    let all = share.stream("file", "large", 65_536).await.expect("read").expect("the stream");
    assert_eq!((all.len(), share.metadata("file").await.expect("metadata").size), (2_000, 7));

    // Nothing is made of a file that is not there, and no name gets out of its place.
    assert!(share.set_stream("none", "one", "x".into()).await.is_err());
    assert!(share.metadata("none").await.is_err());
    for name in ["", "..", "a/b", "a\0b"] {
        assert!(matches!(share.stream("file", name, 9).await, Err(Error::InvalidName(_))), "{name:?}");
    }
}

#[tokio::test]
async fn security_descriptors_are_read_and_set() {
    let samba = Samba::builder()
        .newer()
        .share("vfs objects", "acl_xattr")
        .share("acl_xattr:security_acl_name", "user.NTACL")
        .start();
    let share = data(&samba).await;
    share.write("file", "x").await.expect("write");
    let parts = SecurityInformation::OWNER | SecurityInformation::GROUP | SecurityInformation::DACL;
    let before = share.security("file", parts, NO_LEASE).await.expect("the descriptor");
    let owner = before.owner.expect("an owner");
    assert!(before.group.is_some() && before.dacl.is_some());

    let full = AccessMask::from_bits_retain(0x1F_01FF);
    let everyone = Ace::allow(Sid::EVERYONE, AccessMask::READ_DATA, AceFlags::empty());
    let dacl = Acl::new(vec![Ace::allow(owner, full, AceFlags::empty()), everyone]);
    let descriptor = SecurityDescriptor { dacl: Some(dacl), ..SecurityDescriptor::default() };
    let descriptor =
        SecurityDescriptor { control: smb_client::security::Control::DACL_PRESENT, ..descriptor };
    share.set_security("file", SecurityInformation::DACL, &descriptor, NO_LEASE).await.expect("set");
    let options = OpenOptions::existing(AccessMask::READ_CONTROL | AccessMask::WRITE_DAC);
    let file = share.open("file", &options).await.expect("open");
    let after = file.security(parts).await.expect("the descriptor");
    assert_eq!(after.owner, Some(owner));
    let kept = after.dacl.clone().expect("a list").aces;
    assert!(kept.iter().any(|ace| ace.sid() == Some(Sid::EVERYONE)), "{kept:?}");
    file.set_security(SecurityInformation::DACL, &after).await.expect("set");
    let only = share.security("file", SecurityInformation::OWNER, NO_LEASE).await.expect("the descriptor");
    assert_eq!((only.owner, only.dacl), (Some(owner), None));
}
