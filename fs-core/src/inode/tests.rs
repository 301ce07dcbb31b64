//! The table of inodes by itself.

use super::*;
use crate::remote::RemoteAttr;
use crate::tests::attr;

const TTL: Duration = Duration::from_secs(1);
const TTLS: Ttl = Ttl { files: TTL, directories: TTL };

fn add(t: &mut Inodes, parent: Ino, name: &str, id: u64, kind: FileKind, now: Instant) -> Ino {
    let asked = t.stamp();
    t.looked_up(parent, name, attr(id, kind, 10), asked, now).unwrap()
}

#[test]
fn a_renamed_directory_takes_its_children_along() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let a = add(&mut t, Ino::ROOT, "a", 1, FileKind::Directory, now);
    let b = add(&mut t, a, "B", 2, FileKind::Directory, now);
    let c = add(&mut t, b, "c", 3, FileKind::File, now);
    assert_eq!(t.path(c).unwrap().as_str(), "a/B/c");
    t.moved(b, (a, "B"), (Ino::ROOT, "z"));
    assert_eq!(t.path(c).unwrap().as_str(), "z/c");
    assert_eq!(t.child(a, "B"), None);
    assert_eq!(t.child(Ino::ROOT, "z"), Some(b));
}

#[test]
fn an_inode_lives_while_looked_up_open_or_a_parent() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let d = add(&mut t, Ino::ROOT, "d", 1, FileKind::Directory, now);
    let f = add(&mut t, d, "f", 2, FileKind::File, now);
    assert_eq!(add(&mut t, d, "f", 2, FileKind::File, now), f);
    t.opened(f).unwrap();
    t.forget(d, 1);
    t.forget(f, 2);
    assert_eq!(t.path(f).unwrap().as_str(), "d/f");
    assert!(t.closed(f).is_empty());
    assert!(t.path(f).is_err() && t.node(d).is_err());
    assert_eq!(t.nodes.len(), 1);
}

#[test]
fn another_file_under_the_same_name_is_another_inode() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let old = add(&mut t, Ino::ROOT, "f", 7, FileKind::File, now);
    let new = add(&mut t, Ino::ROOT, "f", 8, FileKind::File, now);
    assert_ne!(old, new);
    assert!(t.path(old).is_err(), "the old one is stale");
    let dir = add(&mut t, Ino::ROOT, "f", 0, FileKind::Directory, now);
    assert_ne!(dir, new, "a change of kind shows even without file numbers");
}

#[test]
fn attributes_are_fresh_for_the_ttl_and_no_longer() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
    assert_eq!(t.known(f, now).unwrap().1, TTL);
    assert_eq!(t.known(f, now + TTL / 4).unwrap().1, TTL * 3 / 4);
    assert_eq!(t.known(f, now + TTL).unwrap().1, Duration::ZERO);
}

#[test]
fn an_answer_overtaken_by_a_write_is_not_believed() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
    let asked = t.stamp();
    t.written(f, 100, now);
    assert_eq!(t.known(f, now).unwrap(), (attr(1, FileKind::File, 100), Duration::ZERO).with_allocated(10));
    t.learn(f, attr(1, FileKind::File, 10), asked, now);
    assert_eq!(t.known(f, now).unwrap().0.size, 100);
    let asked = t.stamp();
    t.learn(f, attr(1, FileKind::File, 120), asked, now);
    assert_eq!(t.known(f, now).unwrap().0.size, 120);
}

trait WithAllocated {
    fn with_allocated(self, allocated: u64) -> Self;
}

impl WithAllocated for (RemoteAttr, Duration) {
    fn with_allocated(mut self, allocated: u64) -> Self {
        self.0.allocated = allocated;
        self
    }
}

#[test]
fn a_doomed_inode_is_removed_with_its_last_handle() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
    t.opened(f).unwrap();
    t.opened(f).unwrap();
    assert!(!t.doom(f, (Ino::ROOT, "f"), ".hidden"));
    assert!(t.is_doomed(Ino::ROOT, ".hidden"));
    assert!(t.closed(f).is_empty());
    assert_eq!(t.closed(f)[0].as_str(), ".hidden");
    assert!(!t.is_doomed(Ino::ROOT, ".hidden"));
}

#[test]
fn a_handle_closed_before_the_hidden_name_was_given_leaves_nothing_behind() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "f", 1, FileKind::File, now);
    t.opened(f).unwrap();
    assert!(t.closed(f).is_empty());
    assert!(t.doom(f, (Ino::ROOT, "f"), ".hidden"));
    assert!(!t.is_doomed(Ino::ROOT, ".hidden"));
}

/// As a file of which the server says that it has two names.
fn linked(file_id: u64) -> RemoteAttr {
    RemoteAttr { links: 2, ..attr(file_id, FileKind::File, 10) }
}

#[test]
fn hard_links_are_one_inode_until_a_name_leads_elsewhere() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let d = add(&mut t, Ino::ROOT, "d", 1, FileKind::Directory, now);
    let f = t.looked_up(Ino::ROOT, "f", linked(2), Stamp::default(), now).unwrap();
    assert_eq!(t.looked_up(d, "g", linked(2), Stamp::default(), now).unwrap(), f);
    assert_eq!(t.path(f).unwrap().as_str(), "d/g", "the name that was shown last");
    t.moved(f, (d, "g"), (d, "h"));
    assert_eq!(t.places(f).len(), 2);
    t.lose(d, "h");
    assert_eq!(t.path(f).unwrap().as_str(), "f");
    t.forget(f, 2);
    t.forget(d, 1);
    assert_eq!(t.nodes.len(), 1);
    assert!(t.numbers.is_empty());
}

#[test]
fn a_listing_that_does_not_count_names_has_the_server_asked() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "f", 2, FileKind::File, now);
    let uncounted = RemoteAttr { links: 0, ..linked(2) };
    assert_eq!(t.listed(Ino::ROOT, "g", uncounted, Stamp::default(), now).unwrap(), None);
    let another = RemoteAttr { created: FileTime(7), ..uncounted };
    assert!(t.listed(Ino::ROOT, "h", another, Stamp::default(), now).unwrap().is_some_and(|ino| ino != f));
}

#[test]
fn a_deleted_name_of_an_open_file_leaves_the_others() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = t.looked_up(Ino::ROOT, "f", linked(2), Stamp::default(), now).unwrap();
    t.looked_up(Ino::ROOT, "g", linked(2), Stamp::default(), now).unwrap();
    t.opened(f).unwrap();
    assert!(!t.doom(f, (Ino::ROOT, "g"), ".hidden"));
    assert!(!t.node(f).unwrap().doomed && t.is_doomed(Ino::ROOT, ".hidden"));
    assert_eq!(t.path(f).unwrap().as_str(), "f");
    t.lose(Ino::ROOT, "f");
    assert!(t.node(f).unwrap().doomed);
    assert_eq!(t.closed(f)[0].as_str(), ".hidden");
}

#[test]
fn a_spelling_is_no_name_of_its_own() {
    let now = Instant::now();
    let mut t = Inodes::new(TTLS, true, now);
    let f = add(&mut t, Ino::ROOT, "File", 2, FileKind::File, now);
    assert_eq!(add(&mut t, Ino::ROOT, "FILE", 2, FileKind::File, now), f);
    assert!(t.is_respelled(Ino::ROOT, "FILE") && !t.is_respelled(Ino::ROOT, "File"));
    assert_eq!(t.path(f).unwrap().as_str(), "File");
    t.moved(f, (Ino::ROOT, "FILE"), (Ino::ROOT, "fILe"));
    assert_eq!(t.path(f).unwrap().as_str(), "fILe");
    assert_eq!((t.child(Ino::ROOT, "File"), t.child(Ino::ROOT, "FILE")), (None, None));
    add(&mut t, Ino::ROOT, "FILE", 2, FileKind::File, now);
    t.lose(Ino::ROOT, "FILE");
    assert!(t.path(f).is_err());
    let mut t = Inodes::new(TTLS, false, now);
    let f = add(&mut t, Ino::ROOT, "File", 2, FileKind::File, now);
    assert_ne!(add(&mut t, Ino::ROOT, "FILE", 2, FileKind::File, now), f);
}
