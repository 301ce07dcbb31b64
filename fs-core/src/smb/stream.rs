//! Named streams: what a file holds besides its own data.

use bytes::Bytes;
use smb_client::{Error, VolumeFlags};
use smb_proto::NtStatus;

use super::SmbRemote;
use crate::name::RemotePath;
use crate::remote::{RemoteError, RemoteResult};

impl SmbRemote {
    /// NOT_SUPPORTED where the share has none: what a server says to a name with a colon then tells nothing.
    async fn with_streams(&self) -> RemoteResult<()> {
        let ask =
            async || Ok::<_, Error>(self.share.volume_flags().await?.contains(VolumeFlags::NAMED_STREAMS));
        if *self.has_streams.get_or_try_init(ask).await? {
            Ok(())
        } else {
            Err(NtStatus::NOT_SUPPORTED.into())
        }
    }

    pub(super) async fn named_streams(&self, path: &RemotePath) -> RemoteResult<Vec<(String, u64)>> {
        self.with_streams().await?;
        let streams = self.share.streams(&self.path(path)).await?;
        Ok(streams.into_iter().map(|stream| (stream.name, stream.size)).collect())
    }

    pub(super) async fn named_stream(
        &self,
        path: &RemotePath,
        name: &str,
        most: u32,
    ) -> RemoteResult<Option<Bytes>> {
        self.with_streams().await?;
        self.share.stream(&self.path(path), name, most).await.map_err(sized)
    }

    pub(super) async fn set_named_stream(
        &self,
        path: &RemotePath,
        name: &str,
        content: Option<Bytes>,
    ) -> RemoteResult<()> {
        self.with_streams().await?;
        let path = self.path(path);
        match content {
            Some(content) => self.share.set_stream(&path, name, content).await.map_err(sized),
            None => Ok(self.share.remove_stream(&path, name).await?),
        }
    }
}

fn sized(error: Error) -> RemoteError {
    match error {
        Error::TooLarge => NtStatus::EA_TOO_LARGE.into(),
        error => error.into(),
    }
}
