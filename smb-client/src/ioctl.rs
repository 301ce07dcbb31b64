//! Control codes of an open file, pipe or directory.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::wire::{FileId, IoctlRequest, Request, Response, fsctl};

use crate::error::{Error, Result};
use crate::share::ShareInner;

/// A request that carries out a control code.
pub(crate) const fn ioctl(file_id: FileId, code: u32, input: Bytes, max_output: u32) -> Request {
    Request::Ioctl(IoctlRequest { code, file_id, max_output, is_fsctl: true, input })
}

/// The data of an answer that must be one to a control code.
pub(crate) fn output(body: Response, max_output: u32) -> Result<Bytes> {
    match body {
        Response::Ioctl(body) if body.output.len() <= max_output as usize => Ok(body.output),
        Response::Ioctl(_) => Err(Error::Malformed("a longer answer than was asked for")),
        _ => Err(Error::Malformed("another command's reply")),
    }
}

/// A server that does not know a control code says so in one of these ways.
pub(crate) const fn is_unsupported(status: NtStatus) -> bool {
    matches!(
        status,
        NtStatus::NOT_SUPPORTED
            | NtStatus::NOT_IMPLEMENTED
            | NtStatus::INVALID_DEVICE_REQUEST
            | NtStatus::FILE_SYSTEM_LIMITATION
    )
}

impl ShareInner {
    /// Carries out a control code; the status and the data. The status is no error, but for a
    /// copy that was refused.
    pub(crate) async fn ioctl(
        &self,
        operation: &'static str,
        request: (FileId, u32, Bytes),
        max_output: u32,
    ) -> Result<(NtStatus, Bytes)> {
        let (file_id, code, input) = request;
        let max_output = self.clamp(max_output, self.max_transact);
        let mut replies = self.request(vec![ioctl(file_id, code, input, max_output)]).await?;
        let reply = replies.pop().ok_or(Error::Malformed("no reply"))?;
        let status = reply.status;
        match reply.body {
            // Only a refused copy carries an answer of its own, which says what would not have been refused.
            Ok(_) if status.is_error() && code != fsctl::SRV_COPYCHUNK_WRITE => {
                Err(Error::refused(operation, status))
            }
            Ok(body) => Ok((status, output(body, max_output)?)),
            Err(_) => Err(Error::refused(operation, status)),
        }
    }
}
