//! Names with everything that Linux lets a name have.

use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use sharefs_tests::{Content, Samba};
use smb_client::{Error, Share};

use crate::help::{data, get, list, put};

/// Makes, lists, reads, renames and removes a file and a directory of each name.
async fn round_trip(share: &Share, names: &BTreeSet<String>) {
    for (i, name) in names.iter().enumerate() {
        let content = Content::new(i as u64).bytes(10 + i);
        put(share, name, content.clone()).await;
        assert!(get(share, name).await == content, "{name:?}");
        assert_eq!(share.metadata(name).await.expect("metadata").size, 10 + i as u64, "{name:?}");
    }
    let listed = list(share, "").await;
    let lost: Vec<_> = names.difference(&listed).collect();
    let invented: Vec<_> = listed.difference(names).collect();
    assert!(lost.is_empty() && invented.is_empty(), "not listed: {lost:?}; listed instead: {invented:?}");
    for name in names {
        share.rename(name, "in between", false).await.unwrap_or_else(|e| panic!("rename {name:?}: {e}"));
        share.rename("in between", name, false).await.unwrap_or_else(|e| panic!("rename to {name:?}: {e}"));
        share.remove_file(name).await.unwrap_or_else(|e| panic!("remove {name:?}: {e}"));
        share.create_dir(name).await.unwrap_or_else(|e| panic!("mkdir {name:?}: {e}"));
        let inner = format!("{name}/{name}");
        put(share, &inner, Bytes::new()).await;
        assert_eq!(list(share, name).await, BTreeSet::from([name.clone()]));
        share.remove_file(&inner).await.unwrap_or_else(|e| panic!("remove {inner:?}: {e}"));
        share.remove_dir(name).await.unwrap_or_else(|e| panic!("rmdir {name:?}: {e}"));
    }
    assert!(list(share, "").await.is_empty());
}

fn ascii() -> impl Iterator<Item = char> {
    (1..128).map(char::from).filter(|c| *c != '/')
}

// The number keeps names apart that differ only in case: the server does not tell those apart.

#[tokio::test]
async fn every_ascii_character_within_a_name() {
    let samba = Samba::start();
    let names = ascii().map(|c| format!("{:03}{c}x", c as u32)).collect();
    round_trip(&data(&samba).await, &names).await;
}

#[tokio::test]
async fn every_ascii_character_at_a_names_start() {
    let samba = Samba::start();
    let names = ascii().map(|c| format!("{c}{:03}", c as u32)).collect();
    round_trip(&data(&samba).await, &names).await;
}

#[tokio::test]
async fn every_ascii_character_at_a_names_end() {
    let samba = Samba::start();
    let names = ascii().map(|c| format!("{:03}{c}", c as u32)).collect();
    round_trip(&data(&samba).await, &names).await;
}

#[tokio::test]
async fn every_ascii_character_alone() {
    let samba = Samba::start();
    // A dot alone is the directory itself, and upper case is lower case's.
    let names = ascii().filter(|c| *c != '.' && !c.is_ascii_uppercase()).map(String::from).collect();
    round_trip(&data(&samba).await, &names).await;
}

#[tokio::test]
async fn names_from_everywhere() {
    // By default Samba lists CON, AUX and their like under other names, for the sake of Windows.
    let samba = Samba::builder().share("mangled names", "no").start();
    let names = [
        "\u{fc}ml\u{e4}ut",
        "\u{65e5}\u{672c}\u{8a9e}",
        "\u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}",
        "\u{1f600}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "e\u{301}",
        "\u{e9}",
        "...",
        "..a",
        "a..",
        "a b  ",
        "  a",
        ". .",
        "CON",
        "nul.txt",
        "aux",
        "COM1",
        "a:b",
        "a::$DATA",
        "~",
        "-rf",
        "$(id)",
        "%PATH%",
        "*.*",
        "a\u{a0}b",
        "\u{feff}bom",
        "tab\there",
        "line\nbreak",
        "\\\\server\\share",
        "\"quoted\"",
        "FILE~1.TXT",
    ]
    .map(String::from)
    .into();
    round_trip(&data(&samba).await, &names).await;
}

#[tokio::test]
async fn the_longest_names() {
    let samba = Samba::start();
    // Samba's disk here takes 255 bytes, of which a forbidden character's stand-in needs three.
    let names: BTreeSet<String> =
        ["x".repeat(255), "\u{1f600}".repeat(63), "?".repeat(85), "\u{e9}".repeat(127), " ".repeat(85)]
            .into();
    let share = data(&samba).await;
    for name in &names {
        put(&share, name, Bytes::new()).await;
    }
    assert_eq!(list(&share, "").await, names);
    let error = share.create_dir(&"x".repeat(256)).await.expect_err("too long");
    assert!(error.status().is_some_and(|status| status.is_error()), "{error}");
}

#[tokio::test]
async fn the_longest_paths() {
    let samba = Samba::start();
    let share = data(&samba).await;
    let mut path = String::new();
    for depth in 0..15 {
        path.push_str(&format!("{depth:03}{}", "d".repeat(200)));
        share.create_dir(&path).await.unwrap_or_else(|error| panic!("depth {depth}: {error}"));
        path.push('/');
    }
    path.push_str("file");
    put(&share, &path, Content::new(1).bytes(100)).await;
    assert!(get(&share, &path).await == Content::new(1).bytes(100));
}

/// What is on the server's disk is what its owner called it, but for what SMB forbids.
#[tokio::test]
async fn names_made_on_the_server() {
    let samba = Samba::start();
    let names = ["plain", "\u{fc}ml\u{e4}ut", "\u{1f600}", "with space", ".hidden", "a.b.c", "~", "%41"];
    for name in names {
        fs::write(samba.share_path().join(name), name).expect("write on the server");
    }
    let share = data(&samba).await;
    assert_eq!(list(&share, "").await, names.map(String::from).into());
    for name in names {
        assert_eq!(get(&share, name).await, name.as_bytes());
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_never_leave_the_client() {
    let samba = Samba::start();
    let share = data(&samba).await;
    for path in ["..", ".", "a/../b", "a/.", "nul\0"] {
        let error = share.metadata(path).await.expect_err("no such name");
        assert!(matches!(error, Error::InvalidName(_)), "{path:?}: {error}");
    }
}
