//! Streams: what a file holds besides its own data.

use bytes::Bytes;
use smb_proto::fscc::{decode_streams, file_class};

use crate::error::Result;
use crate::lease::PathLease;
use crate::names::name_from_wire;
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::Share;

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
}
