//! Several names of one file: they are shown with one number, and what is made up of one holds for all.

use smb_proto::fscc::FileTime;

use super::{Ino, Inodes, Node};
use crate::remote::{FileKind, SetPosix};

/// What a mount makes up of a file, where the server does not keep it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MadeUp {
    pub(crate) set: SetPosix,
    /// When this mount last changed something that is not data.
    pub(crate) changed: Option<FileTime>,
}

impl Inodes {
    /// The inodes that are the same file as this one, by other names, if the server numbers its files.
    pub(crate) fn same_file(&self, ino: Ino) -> Vec<Ino> {
        let file = self.nodes.get(&ino).and_then(|node| node.attr).map_or(0, |attr| attr.file_id);
        if file == 0 {
            return Vec::new();
        }
        let same = self.files.range((file, Ino(0))..=(file, Ino(u64::MAX)));
        same.map(|(_, other)| *other).filter(|other| *other != ino).collect()
    }

    /// What programs set of a file and the server cannot keep; it holds for all of its names.
    pub(crate) fn make_up(&mut self, ino: Ino, change: &SetPosix, at: FileTime) {
        let all = self.same_file(ino).into_iter().chain([ino]);
        for ino in all {
            if let Some(node) = self.nodes.get_mut(&ino) {
                let SetPosix { mode, uid, gid } = &mut node.made_up.set;
                (*mode, *uid, *gid) = (change.mode.or(*mode), change.uid.or(*uid), change.gid.or(*gid));
                node.made_up.changed = Some(at);
            }
        }
    }

    /// The inode may be another name of a file that is known: it is shown as that. A listing does not say how many names a
    /// file has, so the server's number is all there is; of a number that was used again, the time of creation tells.
    pub(super) fn join_names(&mut self, ino: Ino) {
        let file = |node: &Node| node.attr.filter(|_| node.attached && node.kind != FileKind::Directory);
        let Some(attr) = self.nodes.get(&ino).and_then(file) else { return };
        let others = self.same_file(ino);
        let same = |node: &&Node| file(node).is_some_and(|other| other.created == attr.created);
        let first = others.iter().filter_map(|other| self.nodes.get(other)).filter(same);
        let Some((number, made_up)) = first.map(|node| (node.number, node.made_up)).min_by_key(|(n, _)| *n)
        else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(&ino)
            && number < node.number
        {
            (node.number, node.made_up) = (number, made_up);
        }
    }
}
