//! What became of a request whose answer was lost with the connection, read from the answer to its repetition.
//!
//! Nothing is guessed: what the repetition finds done is ours if it bears what ours would bear. A name that was to be
//! removed and is not there was removed; two names of one file were linked; a link leads where it was to lead. What
//! was to be created is ours if the server's own clock says that it was created since, and nothing is in it: only what
//! somebody else makes in the very same hundredths of a second, and leaves empty, is taken for ours by mistake.

use smb_proto::NtStatus;
use smb_proto::fscc::FileTime;
use tokio::time::Instant;

use super::is_loss;
use crate::name::RemotePath;
use crate::remote::{FileKind, Node, Place, Remote, RemoteAttr, RemoteError, RemoteResult};

/// How much later a server's clock may seem than the time that a file got from it, in ticks of 100 ns: the clocks of
/// file systems are coarse.
const COARSE: u64 = 200_000;

/// When something was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(Instant);

impl Asked {
    pub(super) fn now() -> Self {
        Self(Instant::now())
    }

    /// Whether something was created since then, by the server's clock.
    fn is_before(self, remote: &dyn Remote, created: FileTime) -> bool {
        let Some(now) = remote.server_time() else { return false };
        let elapsed = u64::try_from(self.0.elapsed().as_nanos() / 100).unwrap_or(u64::MAX);
        let asked = now.0.saturating_sub(elapsed).saturating_sub(COARSE);
        (asked..=now.0.saturating_add(COARSE)).contains(&created.0)
    }
}

pub(super) fn is_missing(error: &RemoteError) -> bool {
    matches!(
        error.status(),
        Some(NtStatus::OBJECT_NAME_NOT_FOUND | NtStatus::OBJECT_PATH_NOT_FOUND | NtStatus::NO_SUCH_FILE)
    )
}

/// What was to be removed is not there.
pub(super) fn removed(result: RemoteResult<()>) -> RemoteResult<()> {
    match result {
        Err(error) if is_missing(&error) || error.is(NtStatus::DELETE_PENDING) => Ok(()),
        result => result,
    }
}

/// What was to be made is there, and was made since.
pub(super) async fn made(
    remote: &dyn Remote,
    path: &RemotePath,
    asked: Asked,
    kind: FileKind,
    result: RemoteResult<RemoteAttr>,
) -> RemoteResult<RemoteAttr> {
    match result {
        Err(error) if error.is(NtStatus::OBJECT_NAME_COLLISION) => {
            let attr = remote.lookup(path).await?;
            let empty = kind == FileKind::Directory || attr.size == 0;
            if attr.kind == kind && empty && asked.is_before(remote, attr.created) {
                Ok(attr)
            } else {
                Err(error)
            }
        }
        result => result,
    }
}

/// The link is there and leads where it was to lead. What was only begun is begun anew: a link is made in two steps.
pub(super) async fn linked_to(
    remote: &dyn Remote,
    target: &str,
    path: &RemotePath,
    asked: Asked,
    result: RemoteResult<RemoteAttr>,
) -> RemoteResult<RemoteAttr> {
    match result {
        Err(error) if error.is(NtStatus::OBJECT_NAME_COLLISION) => match remote.read_link(path).await {
            Ok(found) if found == target => remote.lookup(path).await,
            Err(lost) if is_loss(&lost) => Err(lost),
            Ok(_) => Err(error),
            Err(_) => {
                discard(remote, path, asked, error).await?;
                remote.symlink(target, path).await
            }
        },
        result => result,
    }
}

/// The pipe, socket or device is there; what was only begun is begun anew.
pub(super) async fn node_made(
    remote: &dyn Remote,
    path: &RemotePath,
    node: Node,
    mode: u32,
    asked: Asked,
    result: RemoteResult<RemoteAttr>,
) -> RemoteResult<RemoteAttr> {
    let kind = match node {
        Node::Fifo => FileKind::Fifo,
        Node::Socket => FileKind::Socket,
        Node::CharDevice(_) => FileKind::CharDevice,
        Node::BlockDevice(_) => FileKind::BlockDevice,
    };
    match made(remote, path, asked, kind, result).await {
        Err(error) if error.is(NtStatus::OBJECT_NAME_COLLISION) => {
            discard(remote, path, asked, error).await?;
            remote.make_node(path, node, mode).await
        }
        result => result,
    }
}

/// Removes an empty file that has come to be since; `error` if it is anything else.
async fn discard(
    remote: &dyn Remote,
    path: &RemotePath,
    asked: Asked,
    error: RemoteError,
) -> RemoteResult<()> {
    match made(remote, path, asked, FileKind::File, Err(error)).await {
        Ok(_) => remote.remove(Place::from(path), FileKind::File).await,
        Err(error) => Err(error),
    }
}

/// Both names are one file's.
pub(super) async fn hard_linked(
    remote: &dyn Remote,
    existing: &RemotePath,
    new: &RemotePath,
    result: RemoteResult<()>,
) -> RemoteResult<()> {
    match result {
        Err(error) if error.is(NtStatus::OBJECT_NAME_COLLISION) => {
            let (old, linked) = (remote.lookup(existing).await?, remote.lookup(new).await?);
            if old.file_id != 0 && old.file_id == linked.file_id { Ok(()) } else { Err(error) }
        }
        result => result,
    }
}

/// The old name is not there any more, and the new one is that of the file that had it.
pub(super) async fn renamed(
    remote: &dyn Remote,
    to: &RemotePath,
    file_id: u64,
    result: RemoteResult<()>,
) -> RemoteResult<()> {
    match result {
        Err(error) if is_missing(&error) => {
            let now = match remote.lookup(to).await {
                Ok(now) => now,
                Err(lost) if is_loss(&lost) => return Err(lost),
                Err(_) => return Err(error),
            };
            if file_id != 0 && file_id == now.file_id { Ok(()) } else { Err(error) }
        }
        result => result,
    }
}
