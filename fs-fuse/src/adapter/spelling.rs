//! The kernel's nodes for names that are spelled otherwise than their inode's own, on a server that ignores case.
//!
//! To the kernel two names of one node are hard links, and renaming one to the other is done before we hear of it: were
//! both spellings one node, no name's case could be changed. So another spelling, and all that is reached by it, is a
//! node of its own of the same inode. stat(2) shows different numbers, since mv(1) refuses to rename what has one. The
//! kernel keeps nothing of such a node: what there is to keep, the inode itself has.

use std::hash::{DefaultHasher, Hash, Hasher};

use fs_core::{Entry, Filesystem, Ino};
use fuser::INodeNo;

/// Inode numbers count from one and stay below; above it is what tells spellings apart.
const INODE_BITS: u32 = 48;

/// The inode that a node stands for.
pub(super) const fn inode(node: INodeNo) -> Ino {
    Ino(node.0 & ((1 << INODE_BITS) - 1))
}

/// Whether it was reached by another spelling.
pub(super) const fn is_respelled(node: INodeNo) -> bool {
    node.0 >> INODE_BITS != 0
}

/// The node of an entry.
pub(super) fn node(parent: INodeNo, name: &str, entry: &Entry) -> INodeNo {
    let ino = entry.attr.ino.0;
    if !entry.respelled && !is_respelled(parent) {
        return INodeNo(ino);
    }
    let mut hasher = DefaultHasher::new();
    (parent.0 >> INODE_BITS, name).hash(&mut hasher);
    INodeNo((hasher.finish() | 1 << 63) >> INODE_BITS << INODE_BITS | ino)
}

/// What was done through this node changed data: the kernel may keep some under the inode's own.
pub(super) fn changed(fs: &Filesystem, node: INodeNo) {
    if is_respelled(node) {
        fs.forget_in_kernel(inode(node));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn entry(ino: u64, respelled: bool) -> Entry {
        let item = fs_core::DirItem {
            name: "",
            ino: Some(Ino(ino)),
            kind: fs_core::FileKind::File,
            next: 0,
            attr: None,
            respelled,
        };
        let attr = super::super::answer::dot(&item);
        assert_eq!(attr.valid, Duration::ZERO);
        Entry { attr, respelled }
    }

    #[test]
    fn nodes_of_other_spellings_are_others_of_the_same_inode() {
        let root = INodeNo(1);
        let own = node(root, "File", &entry(7, false));
        let (a, b) = (node(root, "FILE", &entry(7, true)), node(root, "file", &entry(7, true)));
        assert!(own == INodeNo(7) && !is_respelled(own));
        assert!(a != b && is_respelled(a) && is_respelled(b));
        assert!([own, a, b].into_iter().all(|node| inode(node) == Ino(7)));
        let below = node(node(root, "DIR", &entry(8, true)), "x", &entry(9, false));
        assert!(is_respelled(below) && inode(below) == Ino(9));
    }
}
