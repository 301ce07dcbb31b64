//! Which network interfaces a server has.

use std::sync::Arc;

use bytes::Bytes;
use smb_proto::fsctl::{NetworkInterface, decode_interfaces};
use smb_proto::wire::{FileId, fsctl};

use crate::client::{Client, ClientInner};
use crate::error::Result;
use crate::share::Share;

/// The share that each server has: what is asked here needs no other.
const PIPES: &str = "IPC$";
/// Bytes of an answer at most: some four hundred addresses.
const LONGEST: u32 = 64 << 10;
/// The control code is of no open file ([MS-SMB2] 3.2.4.20.10).
const NO_FILE: FileId = FileId { persistent: u64::MAX, volatile: u64::MAX };

impl Client {
    /// The server's addresses, what their interfaces can do and how fast they are, as the server says
    /// ([MS-SMB2] 2.2.32.5). None from a server that has one connection for a session: it is not asked. Nothing says
    /// that this machine can reach any of them.
    ///
    /// # Errors
    /// The server refuses, has no share `IPC$` for this user, or is lost.
    pub async fn interfaces(&self) -> Result<Vec<NetworkInterface>> {
        ask(&self.inner).await
    }
}

pub(crate) async fn ask(client: &Arc<ClientInner>) -> Result<Vec<NetworkInterface>> {
    if !client.several {
        return Ok(Vec::new());
    }
    let share = Share::connect(client.clone(), PIPES).await?;
    let request = (NO_FILE, fsctl::QUERY_NETWORK_INTERFACE_INFO, Bytes::new());
    let (_, list) = share.inner.ioctl("asking for network interfaces", request, LONGEST).await?;
    Ok(decode_interfaces(&list)?)
}
