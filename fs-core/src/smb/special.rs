//! Links, pipes, sockets and devices, as the servers keep them.

use std::sync::atomic::{AtomicU8, Ordering};

use futures::{StreamExt, stream};
use smb_client::{Error, LinkKind, SetAttributes, Special, SpecialKind, mfsymlink_target, reparse_tag};
use smb_proto::NtStatus;
use smb_proto::fscc::{FileAttributes, MFSYMLINK_LEN, NfsNode, SFU_MAX_LEN, decode_sfu, encode_sfu};

use super::SmbRemote;
use crate::name::RemotePath;
use crate::remote::{Device, FileKind, Node, RemoteAttr, RemoteEntry, RemoteResult};

/// The ways to keep a link, in the order in which a server is asked for them: what Samba and the newer Windows have
/// first. Windows' own comes last since it wants to know whether the target is a directory.
const LINK_KINDS: [LinkKind; 3] = [LinkKind::Nfs, LinkKind::Wsl, LinkKind::File];
/// The same with the POSIX extensions: Samba says nothing more of a link that is one of the NFS server's.
const POSIX_LINK_KINDS: [LinkKind; 3] = [LinkKind::File, LinkKind::Wsl, LinkKind::Nfs];
/// The same for pipes, sockets and devices.
const NODE_KINDS: [SpecialKind; 2] = [SpecialKind::Nfs, SpecialKind::Wsl];
/// Names of one answer to a listing that are looked at at once.
const AT_ONCE: usize = 8;

/// Which of the ways a server took last.
#[derive(Debug, Default)]
pub(super) struct Ways {
    links: AtomicU8,
    nodes: AtomicU8,
}

/// The kind that a reparse tag tells by itself; `None` for what the server resolves, which is a plain file.
pub(super) fn kind_of_tag(tag: u32) -> Option<FileKind> {
    Some(match tag {
        reparse_tag::MOUNT_POINT | reparse_tag::SYMLINK | reparse_tag::LX_SYMLINK => FileKind::Symlink,
        reparse_tag::AF_UNIX => FileKind::Socket,
        reparse_tag::LX_FIFO => FileKind::Fifo,
        reparse_tag::LX_CHR => FileKind::CharDevice,
        reparse_tag::LX_BLK => FileKind::BlockDevice,
        reparse_tag::NFS => FileKind::Other,
        _ => return None,
    })
}

/// Whether only its content tells what it is, or how long a link's target is.
fn wants_a_look(kind: FileKind) -> bool {
    matches!(kind, FileKind::Symlink | FileKind::CharDevice | FileKind::BlockDevice | FileKind::Other)
}

/// What says that another way may be taken.
fn is_unknown(error: &Error) -> bool {
    matches!(
        error.status(),
        Some(
            NtStatus::NOT_SUPPORTED
                | NtStatus::EAS_NOT_SUPPORTED
                | NtStatus::INVALID_DEVICE_REQUEST
                | NtStatus::PRIVILEGE_NOT_HELD
                | NtStatus::INVALID_PARAMETER
        )
    )
}

/// The attributes of a link as POSIX has them: its size is its target's length.
fn as_link(attr: RemoteAttr, target: &str) -> RemoteAttr {
    RemoteAttr { kind: FileKind::Symlink, size: target.len() as u64, allocated: 0, ..attr }
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.into() } else { format!("{directory}/{name}") }
}

/// The attributes of a pipe, a socket or a device, which have no size.
fn as_node(attr: RemoteAttr, node: Node) -> RemoteAttr {
    let (kind, device) = match node {
        Node::Fifo => (FileKind::Fifo, None),
        Node::Socket => (FileKind::Socket, None),
        Node::CharDevice(device) => (FileKind::CharDevice, Some(device)),
        Node::BlockDevice(device) => (FileKind::BlockDevice, Some(device)),
    };
    RemoteAttr { kind, device, size: 0, ..attr }
}

impl SmbRemote {
    /// Adds what the metadata of a special file does not say.
    pub(super) async fn complete(&self, path: &str, attr: RemoteAttr) -> RemoteAttr {
        if attr.kind == FileKind::File && self.mfsymlinks && attr.size == MFSYMLINK_LEN as u64 {
            return match self.share.read_start(path, MFSYMLINK_LEN as u32 + 1).await {
                Ok(start) => mfsymlink_target(&start.data).map_or(attr, |target| as_link(attr, &target)),
                Err(error) => {
                    tracing::debug!(%error, "a file that may stand for a link cannot be read");
                    attr
                }
            };
        }
        if attr.kind == FileKind::File
            && self.sfu
            && attr.attributes.contains(FileAttributes::SYSTEM)
            && attr.size <= SFU_MAX_LEN as u64
        {
            return self.as_sfu(path, attr).await;
        }
        if !wants_a_look(attr.kind) || !attr.attributes.contains(FileAttributes::REPARSE_POINT) {
            return attr;
        }
        let special = match self.share.read_special(path).await {
            Ok(special) => special,
            Err(error) => {
                tracing::debug!(%error, "a reparse point cannot be read");
                return attr;
            }
        };
        match special {
            Special::Symlink { target, .. } => as_link(attr, &target),
            Special::Fifo => as_node(attr, Node::Fifo),
            Special::Socket => as_node(attr, Node::Socket),
            Special::CharDevice { major, minor } => as_node(attr, Node::CharDevice(Device { major, minor })),
            Special::BlockDevice { major, minor } => {
                as_node(attr, Node::BlockDevice(Device { major, minor }))
            }
            _ => attr,
        }
    }

    /// What a small file with the attribute SYSTEM stands for.
    async fn as_sfu(&self, path: &str, attr: RemoteAttr) -> RemoteAttr {
        if attr.size == 0 {
            return as_node(attr, Node::Fifo);
        }
        let start = match self.share.read_start(path, SFU_MAX_LEN as u32).await {
            Ok(start) => start.data,
            Err(error) => {
                tracing::debug!(%error, "a file that may stand for a device cannot be read");
                return attr;
            }
        };
        match decode_sfu(&start) {
            Some(NfsNode::Fifo) => as_node(attr, Node::Fifo),
            Some(NfsNode::Socket) => as_node(attr, Node::Socket),
            Some(NfsNode::CharDevice { major, minor }) => {
                as_node(attr, Node::CharDevice(Device { major, minor }))
            }
            Some(NfsNode::BlockDevice { major, minor }) => {
                as_node(attr, Node::BlockDevice(Device { major, minor }))
            }
            Some(NfsNode::Symlink(_)) | None => attr,
        }
    }

    /// The same for the names of a listing.
    pub(super) async fn complete_all(&self, directory: &str, entries: Vec<RemoteEntry>) -> Vec<RemoteEntry> {
        let looked_at = |entry: RemoteEntry| async move {
            let path = join(directory, &entry.name);
            RemoteEntry { attr: self.complete(&path, entry.attr).await, ..entry }
        };
        stream::iter(entries).map(looked_at).buffered(AT_ONCE).collect().await
    }

    /// Adds what the descriptors of the names of a listing say.
    pub(super) async fn with_all_sids(&self, directory: &str, entries: Vec<RemoteEntry>) -> Vec<RemoteEntry> {
        if !self.from_sid.any() {
            return entries;
        }
        let looked_at = |entry: RemoteEntry| async move {
            let path = join(directory, &entry.name);
            RemoteEntry { attr: self.with_sids(&path, entry.attr).await, ..entry }
        };
        stream::iter(entries).map(looked_at).buffered(AT_ONCE).collect().await
    }

    pub(super) async fn link_target(&self, path: &RemotePath) -> RemoteResult<String> {
        let link = self.share.read_link(&self.path(path)).await?;
        if link.kind == LinkKind::MfSymlink && !self.mfsymlinks {
            return Err(NtStatus::NOT_A_REPARSE_POINT.into());
        }
        Ok(link.target)
    }

    pub(super) async fn make_link(&self, target: &str, path: &RemotePath) -> RemoteResult<RemoteAttr> {
        let path = self.path(path);
        if self.mfsymlinks {
            self.share.symlink(target, &path, LinkKind::MfSymlink).await?;
        } else {
            let kinds = if self.posix { POSIX_LINK_KINDS } else { LINK_KINDS };
            let mut ways = Attempts::new(&self.ways.links, kinds.len());
            while let Some(at) = ways.next()? {
                ways.answered(at, self.share.symlink(target, &path, kinds[at]).await)?;
            }
        }
        self.look(&path).await
    }

    pub(super) async fn make_special(
        &self,
        path: &RemotePath,
        node: Node,
        mode: u32,
    ) -> RemoteResult<RemoteAttr> {
        let path = self.path(path);
        if self.sfu {
            return self.make_sfu(&path, node).await;
        }
        let permissions = self.posix.then_some(mode);
        let special = match node {
            Node::Fifo => Special::Fifo,
            Node::Socket => Special::Socket,
            Node::CharDevice(Device { major, minor }) => Special::CharDevice { major, minor },
            Node::BlockDevice(Device { major, minor }) => Special::BlockDevice { major, minor },
        };
        let mut ways = Attempts::new(&self.ways.nodes, NODE_KINDS.len());
        while let Some(at) = ways.next()? {
            let made = self.share.make_special_posix(&path, &special, NODE_KINDS[at], permissions).await;
            ways.answered(at, made)?;
        }
        self.look(&path).await
    }

    async fn make_sfu(&self, path: &str, node: Node) -> RemoteResult<RemoteAttr> {
        let content = encode_sfu(&match node {
            Node::Fifo => NfsNode::Fifo,
            Node::Socket => NfsNode::Socket,
            Node::CharDevice(Device { major, minor }) => NfsNode::CharDevice { major, minor },
            Node::BlockDevice(Device { major, minor }) => NfsNode::BlockDevice { major, minor },
        });
        let content = content.ok_or(NtStatus::NOT_SUPPORTED)?;
        let set = SetAttributes::default().attributes(FileAttributes::SYSTEM);
        self.share.create_whole(path, content.into(), &set).await?;
        self.look(path).await
    }
}

/// Tries one way after the other, first that which went well last.
struct Attempts<'a> {
    last: &'a AtomicU8,
    /// In the order from the last to the first.
    left: Vec<usize>,
    done: bool,
}

impl<'a> Attempts<'a> {
    fn new(last: &'a AtomicU8, ways: usize) -> Self {
        let known = usize::from(last.load(Ordering::Relaxed)).min(ways.saturating_sub(1));
        let left = (0..ways).rev().filter(|at| *at != known).chain([known]).collect();
        Self { last, left, done: false }
    }

    /// The way to try next; `None` once one went well.
    fn next(&mut self) -> RemoteResult<Option<usize>> {
        if self.done {
            return Ok(None);
        }
        Ok(Some(self.left.pop().ok_or(NtStatus::NOT_SUPPORTED)?))
    }

    fn answered(&mut self, at: usize, result: Result<(), Error>) -> RemoteResult<()> {
        match result {
            Ok(()) => {
                self.last.store(at as u8, Ordering::Relaxed);
                self.done = true;
                Ok(())
            }
            Err(error) if is_unknown(&error) => {
                tracing::debug!(%error, at, "not this way");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
