//! Extended attributes.

use std::ffi::OsStr;
use std::sync::Arc;

use bytes::Bytes;
use fs_core::{Filesystem, FsResult, Ino, XattrMode};
use fuser::{Errno, ReplyEmpty, ReplyXattr, Request};

use super::{Adapter, Patience, empty, refuse};

/// `XATTR_CREATE` and `XATTR_REPLACE`
const CREATE: i32 = 1;
const REPLACE: i32 = 2;

/// Names that are not text are nobody's.
fn text(name: &OsStr) -> Option<String> {
    name.to_str().map(str::to_owned)
}

/// An answer of a length that is asked first, and then for.
fn sized(operation: &'static str, result: FsResult<Bytes>, size: u32, reply: ReplyXattr) {
    match result {
        Ok(data) if size == 0 => reply.size(u32::try_from(data.len()).unwrap_or(u32::MAX)),
        Ok(data) if data.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(data) => reply.data(&data),
        Err(error) => reply.error(refuse(operation, &error)),
    }
}

impl Adapter {
    pub(super) fn set_xattr(
        &self,
        req: &Request,
        ino: Ino,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        reply: ReplyEmpty,
    ) {
        let Some(name) = text(name) else { return reply.error(Errno::EOPNOTSUPP) };
        let mode = match flags & (CREATE | REPLACE) {
            0 => XattrMode::Any,
            CREATE => XattrMode::Create,
            REPLACE => XattrMode::Replace,
            _ => return reply.error(Errno::EINVAL),
        };
        let value = Bytes::copy_from_slice(value);
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.set_xattr(ino, &name, value, mode).await };
        self.run(call, reply, work, |reply, done| empty("setxattr", done, reply));
    }

    pub(super) fn get_xattr(&self, req: &Request, ino: Ino, name: &OsStr, size: u32, reply: ReplyXattr) {
        let Some(name) = text(name) else { return reply.error(Errno::EOPNOTSUPP) };
        // The kernel asks for it before each write; SMB has no place for it.
        if name.starts_with("security.") || name.starts_with("trusted.") {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move { fs.xattr(ino, &name).await };
        self.run(call, reply, work, move |reply, value| sized("getxattr", value, size, reply));
    }

    pub(super) fn list_xattrs(&self, req: &Request, ino: Ino, size: u32, reply: ReplyXattr) {
        let call = self.begin(req, Patience::Asks);
        let work = |fs: Arc<Filesystem>| async move {
            fs.xattrs(ino).await.map(|names| {
                let parts = names.into_iter().flat_map(|name| name.into_bytes().into_iter().chain([0]));
                Bytes::from(parts.collect::<Vec<u8>>())
            })
        };
        self.run(call, reply, work, move |reply, joined| sized("listxattr", joined, size, reply));
    }

    pub(super) fn remove_xattr(&self, req: &Request, ino: Ino, name: &OsStr, reply: ReplyEmpty) {
        let Some(name) = text(name) else { return reply.error(Errno::EOPNOTSUPP) };
        let call = self.begin(req, Patience::Changes);
        let work = |fs: Arc<Filesystem>| async move { fs.remove_xattr(ino, &name).await };
        self.run(call, reply, work, |reply, done| empty("removexattr", done, reply));
    }
}
