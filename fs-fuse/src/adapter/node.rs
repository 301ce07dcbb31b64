//! Names of what is neither a file of data nor a directory.

use std::sync::Arc;

use fs_core::{Device, Entry, Filesystem, FsResult, Node, Owner};
use fuser::{Errno, INodeNo, ReplyEntry, Request};
use rustix::fs::FileType;

use super::{Adapter, Patience, entry, forget, inode, named};

/// The permissions in a mode.
const PERMISSIONS: u32 = 0o7777;

/// A device's numbers in the 32 bits that the kernel has for them here.
pub(crate) fn device(number: u32) -> Device {
    Device { major: (number >> 8) & 0xFFF, minor: (number & 0xFF) | ((number >> 12) & 0xF_FF00) }
}

/// The other way; what does not fit is cut.
pub(crate) fn number(device: Device) -> u32 {
    let Device { major, minor } = device;
    (minor & 0xFF) | ((major & 0xFFF) << 8) | ((minor & 0xF_FF00) << 12)
}

/// Whom what a request makes is for.
pub(super) fn owner(request: &Request) -> Owner {
    Owner { uid: request.uid(), gid: request.gid() }
}

/// What was made, given to its owner.
pub(super) async fn given(
    fs: &Filesystem,
    parent: INodeNo,
    made: FsResult<Entry>,
    owner: Owner,
) -> FsResult<Entry> {
    Ok(fs.give(inode(parent), made?, owner).await)
}

impl Adapter {
    pub(super) fn make_node(
        &self,
        req: &Request,
        parent: INodeNo,
        name: Box<str>,
        mode: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let node = match FileType::from_raw_mode(mode) {
            FileType::RegularFile | FileType::Unknown => None,
            FileType::Fifo => Some(Node::Fifo),
            FileType::Socket => Some(Node::Socket),
            FileType::CharacterDevice => Some(Node::CharDevice(device(rdev))),
            FileType::BlockDevice => Some(Node::BlockDevice(device(rdev))),
            _ => return reply.error(Errno::EINVAL),
        };
        let owner = owner(req);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move {
            let made = match node {
                Some(node) => fs.make_node(inode(parent), &name, node, mode & PERMISSIONS).await,
                None => fs.make_file(inode(parent), &name, mode & PERMISSIONS).await,
            };
            named(parent, &name, given(&fs, parent, made, owner).await)
        };
        self.spawn(call, reply, work, |reply, made| entry("mknod", made, reply), forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::makedev;

    #[test]
    fn a_devices_numbers_come_back() {
        for (major, minor) in [(1, 3), (8, 0x1_0000), (0xFFF, 0xF_FFFF)] {
            let device = Device { major, minor };
            assert_eq!(super::device(number(device)), device);
        }
        assert_eq!(u64::from(number(Device { major: 8, minor: 1 })), makedev(8, 1));
    }
}
