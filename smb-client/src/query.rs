//! Questions whose answers may be long.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::conn::Reply;
use smb_proto::wire::{FileId, InfoType, QueryInfoRequest, Request, Response};

use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::PathLease;
use crate::open::OpenOptions;
use crate::share::{Share, ShareInner, close_related, expect};

/// Bytes to ask for at first: what one credit pays for. Few answers are longer.
const USUAL_BYTES: u32 = 65_536;

/// What to ask of a file.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) info_type: InfoType,
    pub(crate) info_class: u8,
    pub(crate) additional: u32,
    pub(crate) input: Bytes,
}

impl Question {
    /// What a class of information says of a file.
    pub(crate) const fn file(info_class: u8, input: Bytes) -> Self {
        Self { info_type: InfoType::File, info_class, additional: 0, input }
    }

    fn request(&self, file_id: FileId, max_output: u32) -> Request {
        Request::QueryInfo(QueryInfoRequest {
            info_type: self.info_type,
            info_class: self.info_class,
            max_output,
            additional: self.additional,
            flags: 0,
            file_id,
            input: self.input.clone(),
        })
    }
}

/// The data of an answer; `None` where it is longer than was asked for.
fn answer(operation: &'static str, reply: Option<Reply>, max_output: u32) -> Result<Option<Bytes>> {
    let reply = reply.ok_or(Error::Malformed("no reply"))?;
    if matches!(reply.status, NtStatus::BUFFER_OVERFLOW | NtStatus::BUFFER_TOO_SMALL) {
        return Ok(None);
    }
    match expect(operation, reply)? {
        Response::QueryInfo(body) if body.data.len() <= max_output as usize => Ok(Some(body.data)),
        Response::QueryInfo(_) => Err(Error::Malformed("a longer answer than was asked for")),
        _ => Err(Error::Malformed("another command's reply")),
    }
}

/// How much to ask for, first and last.
fn sizes(share: &ShareInner) -> [u32; 2] {
    [USUAL_BYTES, u32::MAX].map(|bytes| share.clamp(bytes, share.max_transact))
}

impl Share {
    /// Opens what is at `path`, asks and closes, in one round trip.
    pub(crate) async fn ask(
        &self,
        operation: &'static str,
        path: &str,
        options: OpenOptions,
        lease: PathLease,
        question: &Question,
    ) -> Result<Bytes> {
        for max_output in sizes(&self.inner) {
            let create = self.create_leased(path, options, lease)?;
            let query = question.request(FileId::RELATED, max_output);
            let replies = self.chain(operation, vec![create, query, close_related()]).await?;
            if let Some(data) = answer(operation, replies.into_iter().nth(1), max_output)? {
                return Ok(data);
            }
        }
        Err(Error::TooLarge)
    }
}

impl File {
    /// Asks about the open file.
    pub(crate) async fn ask(&self, operation: &'static str, question: &Question) -> Result<Bytes> {
        for max_output in sizes(self.share()) {
            let query = question.request(self.id(), max_output);
            let mut replies = self.share().request(vec![query]).await?;
            if let Some(data) = answer(operation, replies.pop(), max_output)? {
                return Ok(data);
            }
        }
        Err(Error::TooLarge)
    }
}
