//! A share: the operations that go by path.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use smb_proto::conn::Reply;
use smb_proto::fscc::{
    AllInfo, AttributeTagInfo, BasicInfo, FileAttributes, FileTime, FullSizeInfo, RenameInfo, file_class,
    from_bytes, to_bytes, volume_class,
};
use smb_proto::wire::{
    AccessMask, CloseRequest, CreateDisposition, CreateOptions, CreateResponse, Empty, FileId, FileTimes,
    InfoType, QueryInfoRequest, ReadRequest, Request, Response, SetInfoRequest, TreeConnectRequest, Wire,
};

use crate::client::ClientInner;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::file::File;
use crate::link::{Failure, Waiter};
use crate::metadata::{Metadata, Space};
use crate::names::path_to_wire;
use crate::open::OpenOptions;

/// Enough for each fixed-size answer and any name.
const QUERY_BYTES: u32 = 4096;

/// What to change of a file; `None` leaves it as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// When it was created.
    pub created: Option<FileTime>,
    /// When it was read last.
    pub accessed: Option<FileTime>,
    /// When its content changed last.
    pub written: Option<FileTime>,
    /// Its attributes; empty clears all.
    pub attributes: Option<FileAttributes>,
}

impl SetAttributes {
    fn to_info(self) -> BasicInfo {
        let attributes = match self.attributes {
            // Zero would mean "as it is".
            Some(attributes) if attributes.is_empty() => FileAttributes::NORMAL,
            Some(attributes) => attributes,
            None => FileAttributes::empty(),
        };
        BasicInfo {
            times: FileTimes {
                created: self.created.unwrap_or_default(),
                accessed: self.accessed.unwrap_or_default(),
                written: self.written.unwrap_or_default(),
                changed: FileTime::ZERO,
            },
            attributes,
        }
    }
}

/// A connected share. Paths have `/` between components and are relative to the share's root, the empty path.
/// Clones share the tree connect.
#[derive(Clone)]
pub struct Share {
    pub(crate) inner: Arc<ShareInner>,
}

pub(crate) struct ShareInner {
    pub(crate) client: Arc<ClientInner>,
    pub(crate) tree_id: u32,
    pub(crate) max_read: u32,
    pub(crate) max_write: u32,
    pub(crate) max_transact: u32,
    name: String,
    maximal_access: AccessMask,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("host", &self.inner.client.host)
            .field("name", &self.inner.name)
            .finish()
    }
}

impl ShareInner {
    /// Sends a chain; each request after the first works on the first's open.
    pub(crate) async fn request(&self, requests: Vec<Request>) -> Result<Vec<Reply>> {
        match self.client.link.request(self.client.chain(self.tree_id, requests)).await {
            Err(Failure::Unaffordable(requests)) if requests.len() > 1 => self.one_by_one(requests).await,
            result => Ok(result?),
        }
    }

    /// Sends one request now; the result waits for its reply.
    pub(crate) fn begin(&self, request: Request) -> Result<Waiter> {
        Ok(self.client.link.begin(self.client.chain(self.tree_id, vec![request]))?)
    }

    /// The same for a server that has not the credits for a chain.
    async fn one_by_one(&self, requests: Vec<Request>) -> Result<Vec<Reply>> {
        let closes = requests.iter().any(|request| matches!(request, Request::Close(_)));
        let mut guard = CloseOnDrop { share: self, open: None };
        let mut replies: Vec<Reply> = Vec::with_capacity(requests.len());
        for mut request in requests {
            let create = matches!(request, Request::Create(_));
            if let (Some(first), None, false) = (replies.first(), guard.open, create) {
                // As a server answers the rest of a chain whose open failed.
                let reply = Reply { status: first.status, tree_id: first.tree_id, body: first.body.clone() };
                replies.push(reply);
                continue;
            }
            if let Some(open) = guard.open {
                request.relate(open);
            }
            if matches!(request, Request::Close(_)) {
                guard.open = None;
            }
            let mut reply = self.client.link.request(self.client.chain(self.tree_id, vec![request])).await?;
            let reply = reply.pop().ok_or(Error::Malformed("no reply"))?;
            guard.open = guard.open.or_else(|| reply.opened());
            replies.push(reply);
        }
        if !closes {
            guard.open = None;
        }
        Ok(replies)
    }

    pub(crate) async fn request_one(&self, operation: &'static str, request: Request) -> Result<Response> {
        let mut replies = self.request(vec![request]).await?;
        match replies.pop() {
            Some(reply) => expect(operation, reply),
            None => Err(Error::Malformed("no reply")),
        }
    }

    /// Closes an open without waiting.
    pub(crate) fn post_close(&self, file_id: FileId) {
        let request = Request::Close(CloseRequest { query_attributes: false, file_id });
        self.client.link.post(self.client.chain(self.tree_id, vec![request]));
    }

    /// A payload of at most `bytes` that the server's limit and credits allow.
    pub(crate) fn clamp(&self, bytes: u32, limit: u32) -> u32 {
        let credits = u32::try_from(self.client.link.credit_bytes()).unwrap_or(u32::MAX);
        bytes.min(limit).min(credits)
    }

    pub(crate) async fn set_info(&self, file_id: FileId, class: u8, data: Bytes) -> Result<()> {
        self.request_one("set information", set_file_info(file_id, class, data)).await.map(drop)
    }
}

/// Closes an open unless somebody else has taken care of it.
struct CloseOnDrop<'a> {
    share: &'a ShareInner,
    open: Option<FileId>,
}

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open {
            self.share.post_close(open);
        }
    }
}

impl Drop for ShareInner {
    fn drop(&mut self) {
        self.client.link.post(self.client.chain(self.tree_id, vec![Request::TreeDisconnect(Empty)]));
    }
}

/// The body of a reply that must have one.
pub(crate) fn expect(operation: &'static str, reply: Reply) -> Result<Response> {
    match reply.body {
        Ok(body) => Ok(body),
        Err(_) => Err(Error::refused(operation, reply.status)),
    }
}

pub(crate) fn set_file_info(file_id: FileId, info_class: u8, data: Bytes) -> Request {
    Request::SetInfo(SetInfoRequest { info_type: InfoType::File, info_class, additional: 0, file_id, data })
}

fn query_info(file_id: FileId, info_type: InfoType, info_class: u8) -> Request {
    Request::QueryInfo(QueryInfoRequest {
        info_type,
        info_class,
        max_output: QUERY_BYTES,
        additional: 0,
        flags: 0,
        file_id,
        input: Bytes::new(),
    })
}

pub(crate) fn query_all(file_id: FileId) -> Request {
    query_info(file_id, InfoType::File, file_class::ALL)
}

pub(crate) fn metadata_of(body: Response) -> Result<Metadata> {
    match body {
        Response::QueryInfo(body) => Ok(Metadata::from(&from_bytes::<AllInfo>(&body.data)?)),
        _ => Err(Error::Malformed("another command's reply")),
    }
}

pub(crate) const fn read(file_id: FileId, offset: u64, length: u32) -> Request {
    Request::Read(ReadRequest { flags: 0, length, offset, file_id, minimum_count: 0 })
}

pub(crate) const fn close_related() -> Request {
    Request::Close(CloseRequest { query_attributes: false, file_id: FileId::RELATED })
}

impl Share {
    pub(crate) async fn connect(client: Arc<ClientInner>, name: &str) -> Result<Self> {
        let path = format!("\\\\{}\\{name}", client.host);
        let request = Request::TreeConnect(TreeConnectRequest { flags: 0, path });
        let replies = client.link.request(client.chain(0, vec![request])).await?;
        let reply = replies.into_iter().next().ok_or(Error::Malformed("no reply"))?;
        let (tree, tree_id) = match (reply.tree_id, expect("connecting to the share", reply)?) {
            (tree_id, Response::TreeConnect(tree)) => (tree, tree_id),
            _ => return Err(Error::Malformed("another command's reply")),
        };
        let negotiated = client.link.negotiated()?;
        let inner = ShareInner {
            client,
            tree_id,
            max_read: negotiated.max_read,
            max_write: negotiated.max_write,
            max_transact: negotiated.max_transact,
            name: name.into(),
            maximal_access: AccessMask::from_bits_retain(tree.maximal_access),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The share's name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// What the user may do in the share at most.
    pub fn maximal_access(&self) -> AccessMask {
        self.inner.maximal_access
    }

    /// Whether requests to this share are encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.inner.client.link.is_encrypted(self.inner.client.session_id, self.inner.tree_id)
    }

    /// Why the connection below is over, if it is.
    pub fn closed(&self) -> Option<smb_proto::conn::ConnectionError> {
        self.inner.client.link.closed()
    }

    /// The largest read and write in bytes that one request carries.
    pub fn limits(&self) -> (u32, u32) {
        (self.inner.max_read, self.inner.max_write)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn open(&self, path: &str, options: &OpenOptions) -> Result<File> {
        let request = options.create(path)?;
        match self.inner.request_one("opening", request).await? {
            Response::Create(response) => Ok(File::new(self.inner.clone(), &response)),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }

    /// Opens a file and asks for all of its metadata, in one round trip.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn open_with_metadata(&self, path: &str, options: &OpenOptions) -> Result<(File, Metadata)> {
        let create = options.create(path)?;
        let mut replies = self.inner.request(vec![create, query_all(FileId::RELATED)]).await?.into_iter();
        let file = match replies.next().map(|reply| expect("opening", reply)) {
            Some(Ok(Response::Create(response))) => File::new(self.inner.clone(), &response),
            Some(Err(error)) => return Err(error),
            _ => return Err(Error::Malformed("another command's reply")),
        };
        let metadata = match replies.next().map(|reply| expect("querying", reply)) {
            Some(Ok(body)) => metadata_of(body)?,
            _ => *file.opened_metadata(),
        };
        Ok((file, metadata))
    }

    /// Lists a directory.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn open_dir(&self, path: &str) -> Result<Directory> {
        Ok(Directory::new(self.open(path, &OpenOptions::list()).await?))
    }

    /// What the server says of a path. Links are not followed.
    ///
    /// # Errors
    /// There is no such file, or the server is lost.
    pub async fn metadata(&self, path: &str) -> Result<Metadata> {
        let create = OpenOptions::attributes().create(path)?;
        let chain = vec![create, query_all(FileId::RELATED), close_related()];
        let mut replies = self.chain("opening", chain).await?.into_iter();
        let opened = replies.next();
        let metadata = match (opened, replies.next().map(|reply| expect("querying", reply))) {
            (_, Some(Ok(body))) => metadata_of(body),
            // It vanished between the two, or the server is of the kind that knows no FileAllInformation.
            (Some(Reply { body: Ok(Response::Create(created)), .. }), _) => Ok(Metadata::from(&created)),
            (_, Some(Err(error))) => Err(error),
            _ => Err(Error::Malformed("no reply")),
        }?;
        if metadata.attributes.contains(FileAttributes::REPARSE_POINT) {
            return Ok(Metadata { reparse_tag: self.reparse_tag(path).await?, ..metadata });
        }
        Ok(metadata)
    }

    async fn reparse_tag(&self, path: &str) -> Result<u32> {
        let query = query_info(FileId::RELATED, InfoType::File, file_class::ATTRIBUTE_TAG);
        Ok(self.query::<AttributeTagInfo>("querying", path, query).await?.reparse_tag)
    }

    /// Asks for one piece of information by path.
    async fn query<T: Wire>(&self, operation: &'static str, path: &str, query: Request) -> Result<T> {
        let chain = vec![OpenOptions::attributes().create(path)?, query, close_related()];
        let replies = self.chain(operation, chain).await?;
        match replies.into_iter().nth(1).map(|reply| expect(operation, reply)) {
            Some(Ok(Response::QueryInfo(body))) => Ok(from_bytes(&body.data)?),
            Some(Err(error)) => Err(error),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// It exists, or the server refuses or is lost.
    pub async fn create_dir(&self, path: &str) -> Result<Metadata> {
        let options = OpenOptions {
            disposition: CreateDisposition::Create,
            options: CreateOptions::DIRECTORY_FILE,
            ..OpenOptions::attributes()
        };
        let create = options.create(path)?;
        let chain = vec![create, query_all(FileId::RELATED), close_related()];
        let mut replies = self.chain("creating the directory", chain).await?.into_iter();
        let created = replies.next().and_then(created);
        match (created, replies.next().map(|reply| expect("querying", reply))) {
            (_, Some(Ok(body))) => metadata_of(body),
            (Some(created), _) => Ok(Metadata::from(&created)),
            _ => Err(Error::Malformed("no reply")),
        }
    }

    /// Removes a file.
    ///
    /// # Errors
    /// It is a directory, or the server refuses or is lost.
    pub async fn remove_file(&self, path: &str) -> Result<()> {
        self.remove(path, CreateOptions::NON_DIRECTORY_FILE).await
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// It is no directory or not empty, or the server refuses or is lost.
    pub async fn remove_dir(&self, path: &str) -> Result<()> {
        self.remove(path, CreateOptions::DIRECTORY_FILE).await
    }

    /// Sets the disposition explicitly: with delete-on-close a server may report a directory that is not empty
    /// only at the close, or never.
    async fn remove(&self, path: &str, kind: CreateOptions) -> Result<()> {
        let options = OpenOptions {
            options: kind | CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(AccessMask::DELETE | AccessMask::READ_ATTRIBUTES)
        };
        let create = options.create(path)?;
        let dispose = set_file_info(FileId::RELATED, file_class::DISPOSITION, Bytes::from_static(&[1]));
        let replies = self.chain("removing", vec![create, dispose, close_related()]).await?;
        check_all("removing", replies)
    }

    /// Renames within the share.
    ///
    /// # Errors
    /// The new name exists and is not to be replaced, or the server refuses or is lost.
    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<()> {
        let options = OpenOptions {
            options: CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(
                AccessMask::DELETE | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE,
            )
        };
        let create = options.create(from)?;
        let info = to_bytes(&RenameInfo { replace, name: path_to_wire(to)? });
        let rename = set_file_info(FileId::RELATED, file_class::RENAME, info);
        let replies = self.chain("renaming", vec![create, rename, close_related()]).await?;
        check_all("renaming", replies)
    }

    /// Changes times, attributes and, where given, the size; says what the file is like then.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn modify(&self, path: &str, size: Option<u64>, set: &SetAttributes) -> Result<Metadata> {
        let mut options = OpenOptions {
            options: CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(
                AccessMask::WRITE_ATTRIBUTES | AccessMask::READ_ATTRIBUTES | AccessMask::SYNCHRONIZE,
            )
        };
        if size.is_some() {
            options.access |= AccessMask::WRITE_DATA;
            // The data of a link is not its target's.
            options.options = CreateOptions::NON_DIRECTORY_FILE;
        }
        let mut chain = vec![options.create(path)?];
        chain.extend(changes(FileId::RELATED, size, set));
        chain.extend([query_all(FileId::RELATED), close_related()]);
        changed(self.chain("changing", chain).await?)
    }

    /// How full the volume is.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn space(&self) -> Result<Space> {
        let query = query_info(FileId::RELATED, InfoType::FileSystem, volume_class::FULL_SIZE);
        Ok(self.query::<FullSizeInfo>("querying the volume", "", query).await?.into())
    }

    /// Sends open, something, close; an open that fails is the error of the whole. An open that is not closed by
    /// the chain, because the server gave up in the middle, is closed afterwards.
    pub(crate) async fn chain(&self, operation: &'static str, requests: Vec<Request>) -> Result<Vec<Reply>> {
        let replies = self.inner.request(requests).await?;
        let Some(first) = replies.first() else { return Err(Error::Malformed("no reply")) };
        match &first.body {
            Ok(Response::Create(created)) => {
                if !replies.last().is_some_and(|reply| reply.status.is_success()) {
                    self.inner.post_close(created.file_id);
                }
                Ok(replies)
            }
            Ok(_) => Err(Error::Malformed("another command's reply")),
            Err(_) => Err(Error::refused(operation, first.status)),
        }
    }
}

impl File {
    /// Changes times, attributes and, where given, the size; says what the file is like then.
    ///
    /// # Errors
    /// The file is open without the access that this takes, or the server refuses or is lost.
    pub async fn modify(&self, size: Option<u64>, set: &SetAttributes) -> Result<Metadata> {
        let mut chain = changes(self.id(), size, set);
        chain.push(query_all(self.id()));
        changed(self.share().request(chain).await?)
    }
}

/// The requests that make a change.
fn changes(file_id: FileId, size: Option<u64>, set: &SetAttributes) -> Vec<Request> {
    let mut requests = Vec::new();
    if let Some(size) = size {
        let data = Bytes::copy_from_slice(&size.to_le_bytes());
        requests.push(set_file_info(file_id, file_class::END_OF_FILE, data));
    }
    if *set != SetAttributes::default() {
        requests.push(set_basic(file_id, set));
    }
    requests
}

pub(crate) fn set_basic(file_id: FileId, set: &SetAttributes) -> Request {
    set_file_info(file_id, file_class::BASIC, to_bytes(&set.to_info()))
}

/// The metadata at the end of a chain in which nothing may fail but the close.
fn changed(replies: Vec<Reply>) -> Result<Metadata> {
    for reply in replies {
        if let Response::QueryInfo(body) = expect("changing", reply)? {
            return Ok(Metadata::from(&from_bytes::<AllInfo>(&body.data)?));
        }
    }
    Err(Error::Malformed("another command's reply"))
}

fn created(reply: Reply) -> Option<CreateResponse> {
    match reply.body {
        Ok(Response::Create(created)) => Some(created),
        _ => None,
    }
}

/// The first refusal in a chain. What failed only because something before it did is not the reason.
fn check_all(operation: &'static str, replies: Vec<Reply>) -> Result<()> {
    for reply in replies {
        if reply.body.is_err() || reply.status.is_error() {
            return Err(Error::refused(operation, reply.status));
        }
    }
    Ok(())
}
