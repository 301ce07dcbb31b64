//! Open files: what each handle given to the adapter stands for, and which handles an inode has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::content::pattern::Pattern;
use crate::content::{Backing, Content, Told};
use crate::error::{FsError, FsResult};
use crate::inode::Ino;
use crate::remote::Access;

/// A handle of an open file or directory, as given to the adapter. Never reused while mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fh(pub u64);

/// One open file.
#[derive(Debug)]
pub(crate) struct OpenFile {
    pub(crate) ino: Ino,
    pub(crate) content: Arc<Content>,
    pub(crate) backing: Arc<Backing>,
    pub(crate) access: Access,
    /// Each write goes to the server before it is answered.
    pub(crate) through: bool,
    /// When it was opened nothing could be kept.
    pub(crate) direct: bool,
    /// What others keep of the file from before this open is still right.
    pub(crate) unchanged: bool,
    pub(crate) pattern: Mutex<Pattern>,
    /// What it has been told of errors of writing.
    pub(crate) told: Told,
}

impl OpenFile {
    /// The error of writing that it has not been told of.
    ///
    /// # Errors
    /// That one.
    pub(crate) fn take_error(&self) -> FsResult<()> {
        self.content.take_error(&self.told)
    }
}

/// Things by handle, and handles by inode.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    open: HashMap<Fh, (Ino, Arc<T>)>,
    by_ino: HashMap<Ino, Vec<Fh>>,
    last: u64,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { open: HashMap::new(), by_ino: HashMap::new(), last: 0 }) }
    }
}

impl<T> Handles<T> {
    pub(crate) fn insert(&self, ino: Ino, thing: T) -> Fh {
        let mut inner = self.lock();
        inner.last += 1;
        let fh = Fh(inner.last);
        inner.open.insert(fh, (ino, Arc::new(thing)));
        inner.by_ino.entry(ino).or_default().push(fh);
        fh
    }

    pub(crate) fn get(&self, fh: Fh) -> FsResult<Arc<T>> {
        self.lock().open.get(&fh).map(|(_, thing)| thing.clone()).ok_or_else(FsError::bad_handle)
    }

    pub(crate) fn remove(&self, fh: Fh) -> FsResult<Arc<T>> {
        let mut inner = self.lock();
        let (ino, thing) = inner.open.remove(&fh).ok_or_else(FsError::bad_handle)?;
        if let Some(handles) = inner.by_ino.get_mut(&ino) {
            handles.retain(|other| *other != fh);
            if handles.is_empty() {
                inner.by_ino.remove(&ino);
            }
        }
        Ok(thing)
    }

    /// All that the inode has open.
    pub(crate) fn of(&self, ino: Ino) -> Vec<Arc<T>> {
        let inner = self.lock();
        let handles = inner.by_ino.get(&ino).map(Vec::as_slice).unwrap_or_default();
        handles.iter().filter_map(|fh| inner.open.get(fh)).map(|(_, thing)| thing.clone()).collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.lock().open.len() as u64
    }

    pub(crate) fn all(&self) -> Vec<Fh> {
        {
            let mut all: Vec<Fh> = self.lock().open.keys().copied().collect();
            all.sort_by_key(|fh| fh.0);
            all
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_found_by_number_and_by_inode() {
        let handles = Handles::default();
        let a = handles.insert(Ino(5), "a");
        let b = handles.insert(Ino(5), "b");
        assert_ne!(a, b);
        assert_eq!(handles.of(Ino(5)).len(), 2);
        assert_eq!(*handles.remove(a).unwrap(), "a");
        assert_eq!(handles.remove(a).unwrap_err().errno(), crate::errno::EBADF);
        assert_eq!(*handles.of(Ino(5))[0], "b");
        handles.remove(b).unwrap();
        assert!(handles.of(Ino(5)).is_empty());
    }
}
