//! Streams: what a file holds besides its own data.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{decode_streams, file_class};
use smb_proto::wire::{AccessMask, CreateOptions, FileId, Response};

use crate::change::{SetAttributes, changes};
use crate::error::{Error, Result};
use crate::file::File;
use crate::lease::PathLease;
use crate::names::name_from_wire;
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::{Share, close_related};
use crate::whole::{all_written, write_related};

/// A named stream of data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stream {
    /// Its name, without the file's and without colons.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bytes that it takes on disk.
    pub allocated: u64,
}

impl Share {
    /// The named streams of what is at `path`; the file's own data is none of them. Links are not followed.
    ///
    /// # Errors
    /// The server has no streams, they are too many for one answer, or the server refuses or is lost.
    pub async fn streams(&self, path: &str) -> Result<Vec<Stream>> {
        let (options, none) = (OpenOptions::attributes(), PathLease::default());
        let question = Question::file(file_class::STREAM, Bytes::new());
        let data = self.ask("listing the streams", path, options, none, &question).await?;
        let mut streams = Vec::new();
        for stream in decode_streams(&data)? {
            match stream.data_name().map(|name| (name.is_empty(), name_from_wire(name))) {
                Some((false, Some(name))) => {
                    streams.push(Stream { name, size: stream.size, allocated: stream.allocation_size });
                }
                Some((false, None)) => {
                    tracing::warn!(name = ?stream.name, "the server lists a stream that cannot be; left out");
                }
                _ => {}
            }
        }
        Ok(streams)
    }

    /// Opens a named stream of what is at `path`, file or directory, as a file of its own. With a disposition that
    /// creates, a file that is not there is created too.
    ///
    /// # Errors
    /// The server has no streams, or refuses, or is lost.
    pub async fn open_stream(&self, path: &str, stream: &str, options: &OpenOptions) -> Result<File> {
        let create = self.inner.create_stream(path, stream, options)?;
        match self.inner.request_one("opening the stream", create).await? {
            Response::Create(created) => Ok(File::new(self.inner.clone(), &created, options)),
            _ => Err(Error::Malformed("another command's reply")),
        }
    }

    /// What a named stream holds; `None` where there is none of the name, or no such file. Links are not followed.
    ///
    /// # Errors
    /// It holds more than `most` bytes, or more than goes through one request ([`Error::TooLarge`]); the server has no
    /// streams, or refuses, or is lost.
    pub async fn stream(&self, path: &str, stream: &str, most: u32) -> Result<Option<Bytes>> {
        let options = OpenOptions::read().options(CreateOptions::OPEN_REPARSE_POINT);
        let create = self.inner.create_stream(path, stream, &options)?;
        let start = match self.start(create, most).await {
            Err(Error::Status { status: NtStatus::OBJECT_NAME_NOT_FOUND, .. }) => return Ok(None),
            start => start?,
        };
        // Another may have made it longer since it was opened.
        let is_whole = start.metadata.size <= start.data.len() as u64;
        if is_whole && start.data.len() <= most as usize {
            Ok(Some(start.data))
        } else {
            Err(Error::TooLarge)
        }
    }

    /// Makes `data` the content of a named stream, whether there was one or not; at most [`Share::small`] bytes. Links are
    /// not followed. Who reads meanwhile may see a part.
    ///
    /// # Errors
    /// There is no such file, `data` is too large, the server has no streams, or refuses, or is lost; a part may have been
    /// written.
    pub async fn set_stream(&self, path: &str, stream: &str, data: Bytes) -> Result<()> {
        let (length, as_it_is) = (data.len(), SetAttributes::default());
        let options = OpenOptions::write().options(CreateOptions::OPEN_REPARSE_POINT);
        let mut chain = vec![self.inner.create_stream(path, stream, &options)?];
        chain.extend(write_related(data)?);
        chain.extend(changes(FileId::RELATED, Some(length as u64), &as_it_is));
        chain.push(close_related());
        // Held open: to make a stream of a file that is gone would make an empty file.
        let file = self.open(path, &OpenOptions::attributes()).await?;
        let replies = self.chain("writing the stream", chain).await;
        file.close().await?;
        all_written(&replies?, length)
    }

    /// Removes a named stream.
    ///
    /// # Errors
    /// There is none, or the server refuses or is lost.
    pub async fn remove_stream(&self, path: &str, stream: &str) -> Result<()> {
        let options = OpenOptions::existing(AccessMask::DELETE | AccessMask::READ_ATTRIBUTES)
            .options(CreateOptions::NON_DIRECTORY_FILE | CreateOptions::OPEN_REPARSE_POINT);
        self.dispose(self.inner.create_stream(path, stream, &options)?).await
    }
}
