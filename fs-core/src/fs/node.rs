//! Pipes, sockets and devices.

use smb_proto::NtStatus;

use super::{Create, Entry, Filesystem, OpenFlags, name_taken};
use crate::error::{FsError, FsResult, errno};
use crate::inode::{Ino, Stamp};
use crate::name;
use crate::remote::{Node, RemoteAttr, RemoteError};

impl Filesystem {
    /// Make an empty file, and leave it closed.
    ///
    /// # Errors
    /// EEXIST; EROFS; what the server says.
    pub async fn make_file(&self, parent: Ino, name: &str, mode: u32) -> FsResult<Entry> {
        let open = OpenFlags { write: true, ..OpenFlags::default() };
        let (entry, fh) =
            self.create(parent, name, &Create { open, exclusive: true, mode, owner: None }).await?;
        self.release(fh).await?;
        Ok(entry)
    }

    /// Make a pipe, a socket or a device.
    ///
    /// # Errors
    /// EPERM if the server keeps none; EEXIST; EROFS; what the server says.
    pub async fn make_node(&self, parent: Ino, name: &str, node: Node, mode: u32) -> FsResult<Entry> {
        self.writable()?;
        let name = name::checked(name)?;
        let (path, asked) = {
            let inodes = self.inodes();
            (inodes.path(parent)?.child(name), inodes.stamp())
        };
        let attr = self.remote.make_node(&path, node, mode).await.map_err(|error| match error {
            RemoteError::Status(NtStatus::NOT_SUPPORTED) => {
                FsError::local(errno::EPERM, "the server keeps no pipes, sockets or devices")
            }
            error => name_taken(error),
        })?;
        let made = self.made(parent, name, attr, asked)?;
        Ok(Entry { attr: self.make_up(made.attr, Some(mode)), ..made })
    }

    /// The entry of what was just made by name.
    pub(super) fn made(&self, parent: Ino, name: &str, attr: RemoteAttr, asked: Stamp) -> FsResult<Entry> {
        let entry = self.enter(parent, name, attr, asked)?;
        let mut inodes = self.inodes();
        inodes.note_clock(attr.created);
        inodes.changed_entry(parent, attr.kind);
        drop(inodes);
        self.watches.changed(parent);
        self.overtake(parent, name);
        Ok(entry)
    }
}
