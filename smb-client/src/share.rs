//! A share: the operations that go by path.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::conn::{Chain, Reply};
use smb_proto::fscc::{
    AllInfo, AttributeTagInfo, FileAttributes, FileTime, FullSizeInfo, VolumeAttributes, VolumeFlags,
    file_class, from_bytes, volume_class,
};
use smb_proto::wire::{
    AccessMask, CloseRequest, Empty, FileId, InfoType, QueryInfoRequest, ReadRequest, Request, Response,
    SetInfoRequest, ShareCapabilities, TreeConnectRequest, Wire,
};

use crate::client::ClientInner;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::file::File;
use crate::link::{Failure, Link, Waiter};
use crate::metadata::{Metadata, Space};
use crate::names::{path_to_wire, posix_path_to_wire, stream_to_wire};
use crate::open::OpenOptions;

/// Enough for each fixed-size answer and any name.
const QUERY_BYTES: u32 = 4096;

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
    manner: OnceLock<Manner>,
    /// The share keeps opens even where its server dies.
    available: bool,
}

/// The permissions of what is made with the semantics of POSIX where nobody said which.
const USUAL_MODE: u32 = 0o755;

/// What all opens of a share have in common: see [`Share::in_manner`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    /// As [`OpenOptions::posix`] has it; what is made gets these permissions: 0755.
    pub posix: bool,
    /// As [`OpenOptions::snapshot`].
    pub snapshot: Option<FileTime>,
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

    /// Sends one request now, by the connection with least to do; the result waits for its reply. The connection is
    /// told, if it is not the first.
    pub(crate) fn begin(&self, request: Request) -> (Result<Waiter>, Option<Arc<Link>>) {
        let chain = self.client.chain(self.tree_id, vec![request]);
        let channel = self.client.channels.for_work(&self.client.link);
        let link = channel.as_deref().unwrap_or(&self.client.link);
        (link.begin(chain).map_err(Error::from), channel)
    }

    /// Sends a request again by the first connection, because another one was lost with it.
    pub(crate) fn begin_again(&self, request: Request) -> Result<Waiter> {
        let replay = matches!(request, Request::Write(_));
        let chain = Chain { replay, ..self.client.chain(self.tree_id, vec![request]) };
        Ok(self.client.link.begin(chain)?)
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

    /// The request that opens `path`.
    pub(crate) fn create(&self, path: &str, options: &OpenOptions) -> Result<Request> {
        let manner = self.manner.get().copied().unwrap_or_default();
        let options = OpenOptions {
            posix: options.posix.or_else(|| manner.posix.then_some(USUAL_MODE)),
            snapshot: options.snapshot.or(manner.snapshot),
            ..*options
        };
        Ok(options.create(path, self.client.means, self.available)?)
    }

    /// The request that opens a named stream of what is at `path`: a server that has the semantics of POSIX knows of none
    /// in them.
    pub(crate) fn create_stream(&self, path: &str, stream: &str, options: &OpenOptions) -> Result<Request> {
        let snapshot = options.snapshot.or_else(|| self.manner.get().and_then(|manner| manner.snapshot));
        let options = OpenOptions { posix: None, snapshot, ..*options };
        Ok(options.create_wire(stream_to_wire(path, stream)?, self.client.means, self.available))
    }

    /// A new name for what this share opens by path.
    pub(crate) fn new_name(&self, path: &str) -> Result<String> {
        let posix = self.client.means.posix && self.manner.get().is_some_and(|manner| manner.posix);
        Ok(if posix { posix_path_to_wire(path)? } else { path_to_wire(path)? })
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

pub(crate) fn query_info(file_id: FileId, info_type: InfoType, info_class: u8) -> Request {
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
        let encrypt = client.link.is_encrypted(client.session_id, tree_id);
        client.channels.note_tree(client.session_id, tree_id, encrypt);
        let negotiated = client.link.negotiated()?;
        let inner = ShareInner {
            client,
            tree_id,
            max_read: negotiated.max_read,
            max_write: negotiated.max_write,
            max_transact: negotiated.max_transact,
            name: name.into(),
            maximal_access: AccessMask::from_bits_retain(tree.maximal_access),
            manner: OnceLock::new(),
            available: tree.capabilities.contains(ShareCapabilities::CONTINUOUS_AVAILABILITY),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Has all that this share opens from now on, by whichever method, be opened in this manner, unless a call's own
    /// options say otherwise. Said once for the share and all its clones: a second time it has no effect, and the
    /// answer is false.
    pub fn in_manner(&self, manner: Manner) -> bool {
        self.inner.manner.set(manner).is_ok()
    }

    /// The manner in which all is opened.
    pub fn manner(&self) -> Manner {
        self.inner.manner.get().copied().unwrap_or_default()
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

    /// Gives memory back that was used to receive and is not needed at the moment. For programs that keep what they
    /// read for long: its buffers come free all at once.
    pub fn trim_memory(&self) {
        self.inner.client.link.trim_memory();
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
        let request = self.inner.create(path, options)?;
        match self.inner.request_one("opening", request).await? {
            Response::Create(response) => Ok(File::new(self.inner.clone(), &response, options)),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }

    /// Opens a file and asks for all of its metadata, in one round trip.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn open_with_metadata(&self, path: &str, options: &OpenOptions) -> Result<(File, Metadata)> {
        let chain = vec![self.inner.create(path, options)?, query_all(FileId::RELATED)];
        let (file, metadata, _) = self.opened(chain, options).await?;
        Ok((file, metadata))
    }

    /// Opens a file, asks for all of its metadata, and reads at most `len` bytes of its beginning, in one round trip:
    /// `None` if they could not be read. For files of some kilobytes; a server's limit may make it fewer bytes.
    ///
    /// # Errors
    /// The server refuses to open it, or is lost.
    pub async fn open_and_read(
        &self,
        path: &str,
        options: &OpenOptions,
        len: u32,
    ) -> Result<(File, Metadata, Option<Bytes>)> {
        let len = self.inner.clamp(len, self.inner.max_read);
        let read = read(FileId::RELATED, 0, len);
        self.opened(vec![self.inner.create(path, options)?, query_all(FileId::RELATED), read], options).await
    }

    /// What a chain opened, says of it, and read from it.
    async fn opened(
        &self,
        chain: Vec<Request>,
        options: &OpenOptions,
    ) -> Result<(File, Metadata, Option<Bytes>)> {
        let mut replies = self.inner.request(chain).await?.into_iter();
        let file = match replies.next().map(|reply| expect("opening", reply)) {
            Some(Ok(Response::Create(response))) => File::new(self.inner.clone(), &response, options),
            Some(Err(error)) => return Err(error),
            _ => return Err(Error::Malformed("another command's reply")),
        };
        let metadata = match replies.next().map(|reply| expect("querying", reply)) {
            Some(Ok(body)) => metadata_of(body)?,
            _ => *file.opened_metadata(),
        };
        let data = match replies.next() {
            Some(Reply { body: Ok(Response::Read(read)), .. }) => Some(read.data),
            Some(Reply { status: NtStatus::END_OF_FILE, .. }) => Some(Bytes::new()),
            _ => None,
        };
        Ok((file, metadata, data))
    }

    /// Lists a directory.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn open_dir(&self, path: &str) -> Result<Directory> {
        self.open_dir_with(path, &OpenOptions::list()).await
    }

    /// The same with other options, such as a lease or a snapshot; they begin as [`OpenOptions::list`].
    ///
    /// # Errors
    /// As [`Self::open_dir`].
    pub async fn open_dir_with(&self, path: &str, options: &OpenOptions) -> Result<Directory> {
        Ok(Directory::new(self.open(path, options).await?))
    }

    /// What the server says of a path. Links are not followed.
    ///
    /// # Errors
    /// There is no such file, or the server is lost.
    pub async fn metadata(&self, path: &str) -> Result<Metadata> {
        let create = self.inner.create(path, &OpenOptions::attributes())?;
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
    pub(crate) async fn query<T: Wire>(
        &self,
        operation: &'static str,
        path: &str,
        query: Request,
    ) -> Result<T> {
        let chain = vec![self.inner.create(path, &OpenOptions::attributes())?, query, close_related()];
        let replies = self.chain(operation, chain).await?;
        match replies.into_iter().nth(1).map(|reply| expect(operation, reply)) {
            Some(Ok(Response::QueryInfo(body))) => Ok(from_bytes(&body.data)?),
            Some(Err(error)) => Err(error),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }

    /// How full the volume is.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn space(&self) -> Result<Space> {
        let query = query_info(FileId::RELATED, InfoType::FileSystem, volume_class::FULL_SIZE);
        Ok(self.query::<FullSizeInfo>("querying the volume", "", query).await?.into())
    }

    /// What the volume can do.
    ///
    /// # Errors
    /// The server refuses, or is lost.
    pub async fn volume_flags(&self) -> Result<VolumeFlags> {
        let query = query_info(FileId::RELATED, InfoType::FileSystem, volume_class::ATTRIBUTE);
        let volume = self.query::<VolumeAttributes>("querying the volume", "", query).await?;
        Ok(VolumeFlags::from_bits_retain(volume.flags))
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
