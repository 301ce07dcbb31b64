//! The filesystem over the server in memory.

mod attr;
mod cache;
mod coherence;
mod directory;
mod file;
mod model;
mod namespace;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smb_proto::fscc::{FileAttributes, FileTime};

use crate::memory::MemoryRemote;
use crate::remote::{FileKind, RemoteAttr};
use crate::{Create, Entry, Fh, Filesystem, FsResult, Ino, MountOptions, OpenFlags, WriteAt};

const READ: OpenFlags = OpenFlags { read: true, write: false, truncate: false, sync: false, direct: false };
const WRITE: OpenFlags = OpenFlags { read: true, write: true, truncate: false, sync: false, direct: false };
const NEW: Create = Create { open: WRITE, exclusive: true, mode: 0o644, owner: None };

/// Long enough that nothing expires by itself during a test.
const LONG: Duration = Duration::from_secs(3600);

fn options(attr_ttl: Duration) -> MountOptions {
    MountOptions { uid: 1000, gid: 100, attr_ttl, dir_attr_ttl: attr_ttl, ..MountOptions::default() }
}

fn mount() -> (Arc<MemoryRemote>, Filesystem) {
    let remote = Arc::new(MemoryRemote::default());
    let fs = another(&remote, LONG);
    (remote, fs)
}

/// Another client of the same share.
fn another(remote: &Arc<MemoryRemote>, attr_ttl: Duration) -> Filesystem {
    Filesystem::new(remote.clone(), options(attr_ttl))
}

async fn file(fs: &Filesystem, name: &str, content: &str) -> Entry {
    let (entry, fh) = fs.create(Ino::ROOT, name, &NEW).await.unwrap();
    put(fs, fh, 0, content).await;
    fs.release(fh).await.unwrap();
    entry
}

async fn put(fs: &Filesystem, fh: Fh, offset: u64, content: &str) {
    let data = Bytes::copy_from_slice(content.as_bytes());
    let written = fs.write(fh, WriteAt::Offset(offset), data).await.unwrap();
    assert_eq!(written as usize, content.len());
}

async fn content(fs: &Filesystem, name: &str) -> FsResult<String> {
    let entry = fs.lookup(Ino::ROOT, name).await?;
    let fh = fs.open(entry.attr.ino, READ).await?;
    let data = fs.read(fh, 0, 1 << 20).await?;
    fs.release(fh).await?;
    fs.forget(entry.attr.ino, 1);
    Ok(String::from_utf8_lossy(&data).into_owned())
}

async fn list(fs: &Filesystem, ino: Ino) -> Vec<String> {
    let fh = fs.opendir(ino).await.unwrap();
    let names = names_from(fs, fh, 0).await;
    fs.releasedir(fh).await.unwrap();
    names
}

async fn names_from(fs: &Filesystem, fh: Fh, offset: u64) -> Vec<String> {
    let mut names = Vec::new();
    let mut at = offset;
    loop {
        let before = at;
        let taken = |item: crate::DirItem<'_>| {
            at = item.next;
            names.push(item.name.to_owned());
            true
        };
        fs.readdir(fh, before, false, taken).await.unwrap();
        if at == before {
            return names;
        }
    }
}

/// What a server could say of a file.
pub(crate) fn attr(file_id: u64, kind: FileKind, size: u64) -> RemoteAttr {
    RemoteAttr {
        file_id,
        kind,
        size,
        allocated: size,
        created: FileTime(1),
        accessed: FileTime(1),
        written: FileTime(1),
        changed: FileTime(1),
        attributes: FileAttributes::NORMAL,
        links: 1,
        device: None,
        posix: None,
    }
}

fn errno<T: std::fmt::Debug>(result: FsResult<T>) -> i32 {
    result.unwrap_err().errno()
}
