//! The objects of the server in memory, and what may be done to them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{FileAttributes, FileTime};

use super::Stored;
use crate::name::RemotePath;
use crate::remote::{
    Disposition, FileKind, Granted, OpenHow, Opened, RemoteAttr, RemoteEntry, RemoteHandle, SetAttr,
};

const ROOT: u64 = 1;
/// Entries per answer, few enough that tests need several.
const BATCH: usize = 100;
/// Room on the share for one file.
const MAX_FILE: u64 = 1 << 30;

type Status<T> = Result<T, NtStatus>;

#[derive(Debug)]
pub(super) struct Tree {
    objects: HashMap<u64, Object>,
    handles: HashMap<u64, Handle>,
    last: u64,
}

#[derive(Debug)]
struct Object {
    name: String,
    parent: u64,
    directory: bool,
    data: Vec<u8>,
    /// By lower-case name.
    children: BTreeMap<String, u64>,
    attributes: FileAttributes,
    created: FileTime,
    accessed: FileTime,
    written: FileTime,
    changed: FileTime,
    opens: u32,
    delete_pending: bool,
}

#[derive(Debug)]
struct Handle {
    object: u64,
    read: bool,
    write: bool,
    listing: Option<std::vec::IntoIter<RemoteEntry>>,
}

impl Default for Tree {
    fn default() -> Self {
        let root = Object::new(String::new(), 0, true);
        Self { objects: HashMap::from([(ROOT, root)]), handles: HashMap::new(), last: ROOT }
    }
}

impl Tree {
    pub(super) fn find(&self, path: &RemotePath) -> Status<u64> {
        let mut at = ROOT;
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            check_name(name)?;
            let object = self.object(at)?;
            let next = object.children.get(&name.to_lowercase()).copied();
            at = match next {
                Some(id) if self.object(id)?.delete_pending => return Err(NtStatus::DELETE_PENDING),
                Some(id) => id,
                None if names.peek().is_some() || !object.directory => {
                    return Err(NtStatus::OBJECT_PATH_NOT_FOUND);
                }
                None => return Err(NtStatus::OBJECT_NAME_NOT_FOUND),
            };
        }
        Ok(at)
    }

    pub(super) fn attr(&self, id: u64) -> Status<RemoteAttr> {
        let object = self.object(id)?;
        Ok(RemoteAttr {
            file_id: id,
            kind: if object.directory { FileKind::Directory } else { FileKind::File },
            size: object.data.len() as u64,
            allocated: (object.data.len() as u64).next_multiple_of(4096),
            created: object.created,
            accessed: object.accessed,
            written: object.written,
            changed: object.changed,
            attributes: object.attributes,
            links: 1,
            device: None,
            posix: None,
        })
    }

    pub(super) fn open(&mut self, path: &RemotePath, how: &OpenHow) -> Status<Opened> {
        let (id, created) = match (self.find(path), how.disposition) {
            (Ok(_), Disposition::Create) => return Err(NtStatus::OBJECT_NAME_COLLISION),
            (Ok(id), _) => (id, false),
            (Err(NtStatus::OBJECT_NAME_NOT_FOUND), Disposition::Create | Disposition::OpenOrCreate) => {
                let id = self.make(path, false)?;
                if how.new_read_only {
                    self.object_mut(id)?.attributes = FileAttributes::READONLY;
                }
                (id, true)
            }
            (Err(status), _) => return Err(status),
        };
        let object = self.object(id)?;
        match how.kind {
            Some(FileKind::Directory) if !object.directory => return Err(NtStatus::NOT_A_DIRECTORY),
            Some(FileKind::File) if object.directory => return Err(NtStatus::FILE_IS_A_DIRECTORY),
            _ => {}
        }
        if how.access.write && !created && self.is_read_only(id) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let handle = self.handle(id, how.access.read, how.access.write)?;
        Ok(Opened { handle, attr: self.attr(id)?, created, granted: Granted::default() })
    }

    pub(super) fn open_dir(&mut self, path: &RemotePath) -> Status<RemoteHandle> {
        let id = self.find(path)?;
        if !self.object(id)?.directory {
            return Err(NtStatus::NOT_A_DIRECTORY);
        }
        self.handle(id, true, false)
    }

    pub(super) fn close(&mut self, handle: RemoteHandle) -> Status<Option<RemoteAttr>> {
        let id = self.handles.remove(&handle.0).ok_or(NtStatus::FILE_CLOSED)?.object;
        let attr = self.attr(id)?;
        let object = self.object_mut(id)?;
        object.opens -= 1;
        if object.delete_pending && object.opens == 0 {
            self.unlink(id)?;
        }
        Ok(Some(RemoteAttr { file_id: 0, links: 0, ..attr }))
    }

    pub(super) fn read(&self, handle: RemoteHandle, offset: u64, len: u32) -> Status<Bytes> {
        let open = self.handles.get(&handle.0).ok_or(NtStatus::FILE_CLOSED)?;
        if !open.read {
            return Err(NtStatus::ACCESS_DENIED);
        }
        let data = &self.object(open.object)?.data;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(data.len());
        let end = start.saturating_add(len as usize).min(data.len());
        Ok(Bytes::copy_from_slice(&data[start..end]))
    }

    pub(super) fn write(&mut self, handle: RemoteHandle, offset: u64, data: &[u8]) -> Status<()> {
        let id = self.opened_for_writing(handle)?;
        let end = offset
            .checked_add(data.len() as u64)
            .filter(|end| *end <= MAX_FILE)
            .ok_or(NtStatus::DISK_FULL)?;
        let object = self.object_mut(id)?;
        if object.data.len() < end as usize {
            object.data.resize(end as usize, 0);
        }
        object.data[offset as usize..end as usize].copy_from_slice(data);
        object.touch();
        Ok(())
    }

    pub(super) fn set_attr(&mut self, id: u64, change: &SetAttr) -> Status<RemoteAttr> {
        let object = self.object_mut(id)?;
        if let Some(size) = change.size {
            if size > MAX_FILE {
                return Err(NtStatus::DISK_FULL);
            }
            if object.directory {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            object.data.resize(size as usize, 0);
            object.touch();
        }
        object.created = change.created.unwrap_or(object.created);
        object.accessed = change.accessed.unwrap_or(object.accessed);
        object.written = change.written.unwrap_or(object.written);
        if let Some(attributes) = change.attributes {
            let kept = object.attributes & FileAttributes::DIRECTORY;
            object.attributes = kept | (attributes - FileAttributes::NORMAL);
        }
        object.changed = now();
        self.attr(id)
    }

    pub(super) fn mkdir(&mut self, path: &RemotePath) -> Status<RemoteAttr> {
        match self.find(path) {
            Ok(_) => Err(NtStatus::OBJECT_NAME_COLLISION),
            Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {
                let id = self.make(path, true)?;
                self.attr(id)
            }
            Err(status) => Err(status),
        }
    }

    pub(super) fn is_open(&self, id: u64) -> bool {
        self.objects.get(&id).is_some_and(|object| object.opens > 0)
    }

    pub(super) fn remove(&mut self, path: &RemotePath, kind: FileKind) -> Status<()> {
        let id = self.find(path)?;
        let read_only = self.is_read_only(id);
        let object = self.object_mut(id)?;
        match (object.directory, kind) {
            (true, FileKind::Directory) => {}
            (true, _) => return Err(NtStatus::FILE_IS_A_DIRECTORY),
            (false, FileKind::Directory) => return Err(NtStatus::NOT_A_DIRECTORY),
            _ => {}
        }
        if id == ROOT || read_only {
            return Err(NtStatus::CANNOT_DELETE);
        }
        if !object.children.is_empty() {
            return Err(NtStatus::DIRECTORY_NOT_EMPTY);
        }
        if object.opens > 0 {
            object.delete_pending = true;
            return Ok(());
        }
        self.unlink(id)
    }

    pub(super) fn rename(&mut self, from: &RemotePath, to: &RemotePath, replace: bool) -> Status<()> {
        let id = self.find(from)?;
        if id == ROOT || (self.object(id)?.directory && self.has_open_below(id)) {
            return Err(NtStatus::ACCESS_DENIED);
        }
        match self.find(to) {
            Ok(target) if target == id => {}
            Ok(_) if !replace => return Err(NtStatus::OBJECT_NAME_COLLISION),
            Ok(target) => {
                let object = self.object(target)?;
                if object.directory || object.opens > 0 || self.is_read_only(target) {
                    return Err(NtStatus::ACCESS_DENIED);
                }
                self.unlink(target)?;
            }
            Err(NtStatus::OBJECT_NAME_NOT_FOUND) => {}
            Err(status) => return Err(status),
        }
        let (parent, name) = self.place(to)?;
        let mut above = parent;
        while above != 0 {
            if above == id {
                return Err(NtStatus::INVALID_PARAMETER);
            }
            above = self.object(above)?.parent;
        }
        self.unhook(id)?;
        self.object_mut(parent)?.children.insert(name.to_lowercase(), id);
        self.object_mut(parent)?.touch();
        let object = self.object_mut(id)?;
        object.parent = parent;
        object.name = name;
        object.changed = now();
        Ok(())
    }

    pub(super) fn next_entries(
        &mut self,
        handle: RemoteHandle,
        extra: &[String],
    ) -> Status<Vec<RemoteEntry>> {
        let open = self.handles.get(&handle.0).ok_or(NtStatus::FILE_CLOSED)?;
        let id = open.object;
        if open.listing.is_none() {
            let here = self.attr(id)?;
            let entry = |name: &str| RemoteEntry { name: name.to_owned(), attr: here };
            let mut all = vec![entry("."), entry("..")];
            for child in self.object(id)?.children.values() {
                let object = self.object(*child)?;
                if !object.delete_pending {
                    all.push(RemoteEntry { name: object.name.clone(), attr: self.attr(*child)? });
                }
            }
            all.extend(extra.iter().map(|name| entry(name)));
            if let Some(open) = self.handles.get_mut(&handle.0) {
                open.listing = Some(all.into_iter());
            }
        }
        let listing = self.handles.get_mut(&handle.0).and_then(|open| open.listing.as_mut());
        Ok(listing.map(|listing| listing.take(BATCH).collect()).unwrap_or_default())
    }

    /// All there is, by path.
    pub(super) fn stored(&self) -> BTreeMap<String, Stored> {
        let all = self.objects.iter().filter(|(id, _)| **id != ROOT);
        all.map(|(id, object)| {
            let data = (!object.directory).then(|| object.data.clone());
            (self.path(*id), Stored { id: *id, data })
        })
        .collect()
    }

    /// The directory of an object.
    pub(super) fn parent(&self, id: u64) -> Status<u64> {
        Ok(self.object(id)?.parent)
    }

    pub(super) fn exists(&self, id: u64) -> bool {
        self.objects.contains_key(&id)
    }

    /// All that is in a directory, and what is in that.
    pub(super) fn below(&self, id: u64) -> Vec<u64> {
        let children = self.objects.get(&id).map(|object| object.children.values().copied());
        children.into_iter().flatten().flat_map(|child| [vec![child], self.below(child)].concat()).collect()
    }

    pub(super) fn opened(&self, handle: RemoteHandle) -> Status<u64> {
        self.handles.get(&handle.0).map(|open| open.object).ok_or(NtStatus::FILE_CLOSED)
    }

    pub(super) fn opened_for_writing(&self, handle: RemoteHandle) -> Status<u64> {
        let open = self.handles.get(&handle.0).ok_or(NtStatus::FILE_CLOSED)?;
        if open.write { Ok(open.object) } else { Err(NtStatus::ACCESS_DENIED) }
    }

    pub(super) fn is_read_only(&self, id: u64) -> bool {
        self.objects.get(&id).is_some_and(|o| !o.directory && o.attributes.contains(FileAttributes::READONLY))
    }

    pub(super) fn open_handles(&self) -> usize {
        self.handles.len()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        let mut paths: Vec<_> =
            self.objects.keys().filter(|id| **id != ROOT).map(|id| self.path(*id)).collect();
        paths.sort();
        paths
    }

    fn path(&self, id: u64) -> String {
        match self.objects.get(&id) {
            Some(object) if object.parent == ROOT => object.name.clone(),
            Some(object) => format!("{}/{}", self.path(object.parent), object.name),
            None => String::new(),
        }
    }

    fn object(&self, id: u64) -> Status<&Object> {
        self.objects.get(&id).ok_or(NtStatus::INTERNAL_ERROR)
    }

    fn object_mut(&mut self, id: u64) -> Status<&mut Object> {
        self.objects.get_mut(&id).ok_or(NtStatus::INTERNAL_ERROR)
    }

    fn place(&self, path: &RemotePath) -> Status<(u64, String)> {
        let names: Vec<_> = path.components().collect();
        let (name, above) = names.split_last().ok_or(NtStatus::OBJECT_NAME_INVALID)?;
        let parent = self.find(&RemotePath::from_checked(above.iter().copied()))?;
        check_name(name)?;
        Ok((parent, (*name).to_owned()))
    }

    fn make(&mut self, path: &RemotePath, directory: bool) -> Status<u64> {
        let (parent, name) = self.place(path)?;
        self.last += 1;
        let id = self.last;
        let above = self.object_mut(parent)?;
        above.children.insert(name.to_lowercase(), id);
        above.touch();
        self.objects.insert(id, Object::new(name, parent, directory));
        Ok(id)
    }

    fn handle(&mut self, object: u64, read: bool, write: bool) -> Status<RemoteHandle> {
        self.object_mut(object)?.opens += 1;
        self.last += 1;
        self.handles.insert(self.last, Handle { object, read, write, listing: None });
        Ok(RemoteHandle(self.last))
    }

    fn unhook(&mut self, id: u64) -> Status<()> {
        let object = self.object(id)?;
        let (parent, key) = (object.parent, object.name.to_lowercase());
        let above = self.object_mut(parent)?;
        above.children.remove(&key);
        above.touch();
        Ok(())
    }

    fn unlink(&mut self, id: u64) -> Status<()> {
        self.unhook(id)?;
        self.objects.remove(&id);
        Ok(())
    }

    fn has_open_below(&self, id: u64) -> bool {
        self.objects.get(&id).is_some_and(|object| {
            object.children.values().any(|child| {
                self.objects.get(child).is_some_and(|o| o.opens > 0) || self.has_open_below(*child)
            })
        })
    }
}

impl Object {
    fn new(name: String, parent: u64, directory: bool) -> Self {
        let now = now();
        Self {
            name,
            parent,
            directory,
            data: Vec::new(),
            children: BTreeMap::new(),
            attributes: if directory { FileAttributes::DIRECTORY } else { FileAttributes::ARCHIVE },
            created: now,
            accessed: now,
            written: now,
            changed: now,
            opens: 0,
            delete_pending: false,
        }
    }

    fn touch(&mut self) {
        self.written = now();
        self.changed = self.written;
    }
}

fn now() -> FileTime {
    crate::clock::now()
}

/// What a server forbids is mapped on its way there: whatever has a name on the wire can be made.
fn check_name(name: &str) -> Status<()> {
    smb_client::name_to_wire(name).map(drop).map_err(|_| NtStatus::OBJECT_NAME_INVALID)
}
