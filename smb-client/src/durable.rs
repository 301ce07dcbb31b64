//! Opens that outlive their connection: durable and persistent handles.

use smb_proto::NtStatus;
use smb_proto::conn::Negotiated;
use smb_proto::wire::{Capabilities, CreateContext, CreateResponse, Dialect, FileId, Guid, Response};

use crate::channel::ChannelSequence;
use crate::client::{Client, SessionInfo};
use crate::error::{Error, Result};
use crate::file::File;
use crate::open::OpenOptions;
use crate::share::Share;

/// `SMB2_DHANDLE_FLAG_PERSISTENT` ([MS-SMB2] 2.2.13.2.11)
const PERSISTENT: u32 = 0x2;

/// Asks the server to keep an open for its client when the connection breaks ([MS-SMB2] 2.2.13.2.3 and .11). It does so
/// only with a lease that includes HANDLE, or a batch oplock: see [`OpenOptions::lease`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableRequest {
    /// Names the open: never used twice.
    pub guid: [u8; 16],
    /// Milliseconds that the server should keep the open without a connection; 0 leaves it the choice. Dialects before
    /// 3.0 leave it always.
    pub timeout: u32,
}

/// An open that the server keeps when the connection breaks, to be had again with [`Share::reclaim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durable {
    file_id: FileId,
    /// Dialects before 3.0 have none.
    guid: Option<[u8; 16]>,
    persistent: bool,
    timeout: u32,
}

impl Durable {
    /// The server keeps it even where the server itself dies, as a cluster does.
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// How long the server keeps it without a connection, in milliseconds; 0 if it does not say.
    pub const fn timeout(&self) -> u32 {
        self.timeout
    }

    /// What a server granted of what was asked for.
    pub(crate) fn of(response: &CreateResponse, asked: Option<DurableRequest>) -> Option<Self> {
        let asked = asked?;
        response.contexts.iter().find_map(|context| match context {
            CreateContext::DurableGranted => {
                Some(Self { file_id: response.file_id, guid: None, persistent: false, timeout: 0 })
            }
            CreateContext::DurableV2Granted { timeout, flags } => Some(Self {
                file_id: response.file_id,
                guid: Some(asked.guid),
                persistent: flags & PERSISTENT != 0,
                timeout: *timeout,
            }),
            _ => None,
        })
    }

    fn reconnect(&self) -> CreateContext {
        match self.guid {
            Some(guid) => CreateContext::DurableV2Reconnect {
                file_id: self.file_id,
                create_guid: Guid(guid),
                flags: if self.persistent { PERSISTENT } else { 0 },
            },
            // The part that the connection gave it means nothing to another ([MS-SMB2] 2.2.13.2.4).
            None => CreateContext::DurableReconnect(FileId { volatile: 0, ..self.file_id }),
        }
    }
}

/// Which opens a connection can have kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    V1,
    V2 { persistent: bool },
}

impl Durability {
    pub(crate) fn of(negotiated: &Negotiated) -> Self {
        if negotiated.dialect < Dialect::Smb300 {
            return Self::V1;
        }
        Self::V2 { persistent: negotiated.capabilities.contains(Capabilities::PERSISTENT_HANDLES) }
    }

    /// What a CREATE says to ask for it; `available` is a share that keeps opens even where its server dies.
    pub(crate) fn ask(self, request: DurableRequest, available: bool) -> CreateContext {
        match self {
            Self::V1 => CreateContext::DurableRequest,
            Self::V2 { persistent } => CreateContext::DurableV2Request {
                timeout: request.timeout,
                flags: if persistent && available { PERSISTENT } else { 0 },
                create_guid: Guid(request.guid),
            },
        }
    }
}

/// What a later connection needs to take the place of one that broke: see [`crate::ConnectOptions::resuming`].
#[derive(Clone, Debug)]
pub struct Resume {
    pub(crate) client_guid: Guid,
    pub(crate) session_id: u64,
    pub(crate) info: SessionInfo,
    /// An open that the server kept takes no older one ([MS-SMB2] 3.3.5.2.10).
    pub(crate) channel_sequence: ChannelSequence,
}

impl SessionInfo {
    /// Whether a session is protected at least as well as another one was: dialect, signing and encryption.
    pub(crate) fn protects_as(&self, before: &Self) -> bool {
        let cipher = |info: &Self| info.cipher.map(|cipher| cipher.key_len());
        self.dialect >= before.dialect
            && self.signing.is_some() >= before.signing.is_some()
            && cipher(self) >= cipher(before)
            && self.encrypted >= before.encrypted
            && self.guest <= before.guest
    }
}

impl Client {
    /// What a later connection needs to take the place of this one.
    pub fn resume(&self) -> Resume {
        Resume {
            client_guid: self.inner.client_guid,
            session_id: self.inner.session_id,
            info: self.info(),
            channel_sequence: self.inner.channel_sequence().clone(),
        }
    }
}

impl File {
    /// What the server keeps of this open if the connection breaks, where [`OpenOptions::durable`] asked for it.
    pub const fn durable(&self) -> Option<Durable> {
        self.durable
    }
}

impl Share {
    /// Has an open again that the server kept when its connection broke. `options` are those of the open; this
    /// connection took the place of that one by [`crate::ConnectOptions::resuming`].
    ///
    /// What the open held is held again: its lease, as far as [`File::lease`] says, and its locked ranges.
    ///
    /// # Errors
    /// The server does not have it any more ([`NtStatus::OBJECT_NAME_NOT_FOUND`] as a rule), or is lost.
    pub async fn reclaim(&self, path: &str, options: &OpenOptions, durable: &Durable) -> Result<File> {
        let mut request = self.inner.create(path, &OpenOptions { durable: None, ..*options })?;
        if let smb_proto::wire::Request::Create(create) = &mut request {
            create.contexts.insert(0, durable.reconnect());
        }
        match self.inner.request_one("reclaiming an open", request).await? {
            Response::Create(response) => {
                // Another part of its name is kept over all connections.
                if response.file_id.persistent != durable.file_id.persistent {
                    self.inner.post_close(response.file_id);
                    return Err(Error::refused("reclaiming an open", NtStatus::OBJECT_NAME_NOT_FOUND));
                }
                let mut file = File::new(self.inner.clone(), &response, options);
                file.durable = Some(Durable { file_id: response.file_id, ..*durable });
                Ok(file)
            }
            _ => Err(Error::Malformed("another command's reply")),
        }
    }
}
