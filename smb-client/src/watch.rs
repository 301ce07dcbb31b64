//! What changes in a directory, as the server tells it.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use smb_proto::NtStatus;
use smb_proto::fscc::{NotifyEntry, decode_notify};
use smb_proto::wire::{ChangeNotifyRequest, Request, Response};
use tokio::time::{Sleep, sleep};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::file::File;
use crate::link::Waiter;
use crate::names::name_from_wire;

/// Bytes of changes that the server may keep between two requests: one credit's worth.
const BATCH_BYTES: u32 = 65_536;
/// The two halves of a renaming may come in two answers. A first half that stays alone was a removal.
const OTHER_HALF: Duration = Duration::from_secs(1);

/// Which changes to be told of ([MS-SMB2] 2.2.35, CompletionFilter).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchFilter(pub u32);

impl WatchFilter {
    /// Files that come, go or are renamed.
    pub const FILES: Self = Self(0x001);
    /// Directories that come, go or are renamed.
    pub const DIRECTORIES: Self = Self(0x002);
    /// Attributes.
    pub const ATTRIBUTES: Self = Self(0x004);
    /// Sizes.
    pub const SIZES: Self = Self(0x008);
    /// Times of the last change.
    pub const WRITES: Self = Self(0x010);
    /// All of these, which is what a program that keeps a copy needs.
    pub const CONTENT: Self = Self(0x01F);
    /// Whatever a server can tell of, security and streams too.
    pub const ALL: Self = Self(0xFFF);
}

impl std::ops::BitOr for WatchFilter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A change. Paths are relative to the watched directory, with `/` between components, and never lead out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchEvent {
    /// There is a new file or directory, or one has been moved here.
    Added(String),
    /// One has gone, or was moved away.
    Removed(String),
    /// Content, size, times or attributes are others.
    Modified(String),
    /// One has a new name.
    Renamed {
        /// What it was called.
        from: String,
        /// What it is called.
        to: String,
    },
    /// More has changed than the server kept: whoever wants to know must look for himself.
    Overflow,
}

/// The changes of a directory from the moment it was made. One request is always with the server, so that nothing
/// is missed while the last changes are dealt with. Dropping it takes the request back.
pub struct Watch {
    // Before the file: the request is taken back first.
    armed: Option<Waiter>,
    file: File,
    filter: WatchFilter,
    recursive: bool,
    max_output: u32,
    ready: VecDeque<WatchEvent>,
    /// The first half of a renaming, and until when to wait for the other.
    renamed: Option<(String, Pin<Box<Sleep>>)>,
    over: bool,
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("file", &self.file).field("ready", &self.ready).finish_non_exhaustive()
    }
}

impl Directory {
    /// Watches the directory, and with `recursive` all below it. The server has been asked when this returns.
    ///
    /// # Errors
    /// The connection is lost. That the server cannot watch, the first [`Watch::next`] tells.
    pub fn watch(self, filter: WatchFilter, recursive: bool) -> Result<Watch> {
        let file = self.into_file();
        let max_output = file.share().clamp(BATCH_BYTES, file.share().max_transact);
        let mut watch = Watch {
            armed: None,
            file,
            filter,
            recursive,
            max_output,
            ready: VecDeque::new(),
            renamed: None,
            over: false,
        };
        watch.arm()?;
        Ok(watch)
    }
}

impl Watch {
    /// The next change; `None` where there will be none, because the server ended the watch.
    ///
    /// # Errors
    /// The server refuses, has lost the directory, or is lost. There is no more after an error.
    pub async fn next(&mut self) -> Option<Result<WatchEvent>> {
        poll_fn(|cx| self.poll_event(cx)).await
    }

    /// Takes the request back and closes the directory.
    ///
    /// # Errors
    /// The server refuses or is lost; the directory is closed all the same.
    pub async fn close(mut self) -> Result<()> {
        self.armed = None;
        self.file.close().await
    }

    /// All changes that are there already, without waiting for more.
    pub fn take_ready(&mut self) -> Vec<WatchEvent> {
        self.ready.drain(..).collect()
    }

    fn arm(&mut self) -> Result<()> {
        let share = self.file.share();
        let request = Request::ChangeNotify(ChangeNotifyRequest {
            watch_tree: self.recursive,
            max_output: self.max_output,
            file_id: self.file.id(),
            filter: self.filter.0,
        });
        let mut chain = share.client.chain(share.tree_id, vec![request]);
        // Nothing may change for days.
        chain.timeout = None;
        self.armed = Some(share.client.link.begin(chain)?);
        Ok(())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<WatchEvent>>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(event)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            if let Some((_, until)) = &mut self.renamed
                && until.as_mut().poll(cx).is_ready()
            {
                self.half_is_alone();
                continue;
            }
            let Some(armed) = &mut self.armed else {
                self.over = true;
                continue;
            };
            let (result, _) = ready!(Pin::new(armed).poll(cx));
            self.armed = None;
            match self.answer(result.map_err(Error::from)) {
                Ok(()) => {}
                Err(error) => {
                    self.renamed = None;
                    self.over = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }

    /// Asks again at once, and only then looks at what came.
    fn answer(&mut self, result: Result<Vec<smb_proto::conn::Reply>>) -> Result<()> {
        let reply = result?.pop().ok_or(Error::Malformed("no reply"))?;
        let data = match reply.body {
            Ok(Response::ChangeNotify(body)) => body.data,
            Ok(_) => return Err(Error::Malformed("another command's reply")),
            // The directory was closed on the server: there is nothing to tell any more.
            Err(_) if reply.status == NtStatus::NOTIFY_CLEANUP => {
                self.half_is_alone();
                self.over = true;
                return Ok(());
            }
            Err(_) => return Err(Error::refused("watching", reply.status)),
        };
        self.arm()?;
        if data.is_empty() || reply.status == NtStatus::NOTIFY_ENUM_DIR {
            self.half_is_alone();
            self.ready.push_back(WatchEvent::Overflow);
            return Ok(());
        }
        self.take(&data)
    }

    fn take(&mut self, data: &Bytes) -> Result<()> {
        for NotifyEntry { action, name } in decode_notify(data)? {
            let Some(path) = path_from_wire(&name) else {
                tracing::warn!(?name, "the server tells of a name that cannot be; left out");
                continue;
            };
            match action {
                4 => {
                    self.half_is_alone();
                    self.renamed = Some((path, Box::pin(sleep(OTHER_HALF))));
                    continue;
                }
                5 => {
                    let event = match self.renamed.take() {
                        Some((from, _)) => WatchEvent::Renamed { from, to: path },
                        None => WatchEvent::Added(path),
                    };
                    self.ready.push_back(event);
                    continue;
                }
                _ => {}
            }
            let event = match action {
                1 => WatchEvent::Added(path),
                2 => WatchEvent::Removed(path),
                _ => WatchEvent::Modified(path),
            };
            self.ready.push_back(event);
        }
        Ok(())
    }

    fn half_is_alone(&mut self) {
        if let Some((from, _)) = self.renamed.take() {
            self.ready.push_back(WatchEvent::Removed(from));
        }
    }
}

impl Stream for Watch {
    type Item = Result<WatchEvent>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx)
    }
}

/// A path as a server tells it; `None` where a component is none that could be asked for. Of a stream's name the
/// file's is left.
fn path_from_wire(path: &str) -> Option<String> {
    let file = path.split(':').next().unwrap_or_default();
    let components: Option<Vec<String>> = file.split('\\').map(name_from_wire).collect();
    components.map(|components| components.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_elsewhere() {
        assert_eq!(path_from_wire("a\\b c\u{F022}").as_deref(), Some("a/b c:"));
        assert_eq!(path_from_wire("a:stream:$DATA").as_deref(), Some("a"));
        for path in ["", "\\a", "a\\", "..", "a\\..\\b", "a/b", "a\0"] {
            assert_eq!(path_from_wire(path), None, "{path:?}");
        }
    }
}
