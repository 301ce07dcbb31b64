//! Listings: replies that fill while their work goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fs_core::{DirItem, Entry, Fh, Filesystem};
use fuser::{Errno, FileAttr, INodeNo, ReplyDirectory, ReplyDirectoryPlus, Request};

use super::answer::dot;
use super::interrupts::Refusal;
use super::{Adapter, GENERATION, Patience, UNKNOWN_INO, inode, refuse, shown, spelling};
use crate::convert;

/// A reply that its work and whoever answers it share.
struct Page<R>(Arc<Mutex<Filling<R>>>);

struct Filling<R> {
    /// `None` once it is answered.
    reply: Option<R>,
    /// What counts as looked up as soon as the kernel has the reply.
    told: Vec<INodeNo>,
}

impl<R> Page<R> {
    fn new(reply: R) -> [Self; 3] {
        let filling = Arc::new(Mutex::new(Filling { reply: Some(reply), told: Vec::new() }));
        [Self(filling.clone()), Self(filling.clone()), Self(filling)]
    }

    fn filling(&self) -> MutexGuard<'_, Filling<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an entry; `false` if there is no room for it, or nobody to be told.
    fn add(&self, looked_up: Option<INodeNo>, add: impl FnOnce(&mut R) -> bool) -> bool {
        let mut filling = self.filling();
        let added = filling.reply.as_mut().is_some_and(add);
        filling.told.extend(looked_up.filter(|_| added));
        added
    }

    fn take(&self) -> Option<R> {
        self.filling().reply.take()
    }
}

impl<R: Refusal> Refusal for Page<R> {
    fn refuse(self, errno: Errno) {
        if let Some(reply) = self.take() {
            reply.refuse(errno);
        }
    }
}

impl Adapter {
    pub(super) fn list(&self, req: &Request, fh: u64, offset: u64, reply: ReplyDirectory) {
        let call = self.begin(req, Patience::Asks);
        let [page, reply, _] = Page::new(reply);
        let work = |fs: Arc<Filesystem>| async move {
            let add = |item: DirItem<'_>| {
                let ino = item.ino.map_or(UNKNOWN_INO, |ino| INodeNo(ino.0));
                page.add(None, |reply| !reply.add(ino, item.next, convert::kind(item.kind), item.name))
            };
            fs.readdir(Fh(fh), offset, false, add).await
        };
        self.run(call, reply, work, |page, listed| match (page.take(), listed) {
            (Some(reply), Ok(())) => reply.ok(),
            (Some(reply), Err(error)) => reply.error(refuse("readdir", &error)),
            (None, _) => {}
        });
    }

    pub(super) fn list_plus(
        &self,
        req: &Request,
        parent: INodeNo,
        fh: u64,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let call = self.begin(req, Patience::Asks);
        let [page, reply, told] = Page::new(reply);
        let work = |fs: Arc<Filesystem>| async move {
            let add = |item: DirItem<'_>| {
                // The kernel takes name and kind of "." and "..", and no attributes.
                let entry =
                    Entry { attr: item.attr.unwrap_or_else(|| dot(&item)), respelled: item.respelled };
                let node = match item.attr {
                    Some(_) => spelling::node(parent, item.name, &entry),
                    None => INodeNo(entry.attr.ino.0),
                };
                let (valid, full) = (shown(node, &entry.attr), convert::attr(&entry.attr));
                let full = FileAttr { ino: node, ..full };
                page.add(item.attr.map(|_| node), |reply| {
                    !reply.add(node, item.next, item.name, &valid, &full, GENERATION)
                })
            };
            fs.readdir(Fh(fh), offset, true, add).await
        };
        let answer = |page: Page<ReplyDirectoryPlus>, listed| match (page.take(), listed) {
            (Some(reply), Ok(())) => reply.ok(),
            (Some(reply), Err(error)) => reply.error(refuse("readdirplus", &error)),
            (None, _) => {}
        };
        self.spawn(call, reply, work, answer, async move |fs: Arc<Filesystem>, _| {
            let told = std::mem::take(&mut told.filling().told);
            told.into_iter().for_each(|node| fs.forget(inode(node), 1));
        });
    }
}
