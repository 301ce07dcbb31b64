//! Whether what is at both ends is the same.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use smb_client::{File, OpenOptions, Share};

use super::local::blocking;
use crate::show::shown;

pub(super) type Checksum = [u8; 32];

/// The checksum of what passes; nothing where nobody asks for it.
#[derive(Debug, Default)]
pub(super) struct Passing(Option<Sha256>);

impl Passing {
    pub(super) fn new(wanted: bool) -> Self {
        Self(wanted.then(Sha256::new))
    }

    pub(super) fn update(&mut self, piece: &[u8]) {
        if let Some(hash) = &mut self.0 {
            hash.update(piece);
        }
    }

    /// The checksum, if it was wanted.
    pub(super) fn finish(self) -> Option<Checksum> {
        self.0.map(|hash| hash.finalize().into())
    }
}

pub(super) fn of_bytes(data: &[u8]) -> Checksum {
    Sha256::digest(data).into()
}

/// The checksum of a file here.
pub(super) fn of_local(path: &Path) -> Result<Checksum> {
    let reading = || format!("cannot read {}", shown(path));
    let mut file = blocking(|| fs::File::open(path)).with_context(reading)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = blocking(|| file.read(&mut buffer)).with_context(reading)?;
        if count == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buffer[..count]);
    }
}

/// The checksum of a file on a share.
pub(super) async fn of_remote(share: &Share, path: &str) -> smb_client::Result<Checksum> {
    let file = Arc::new(share.open(path, &OpenOptions::read()).await?);
    let mut hash = Sha256::new();
    let mut pieces = file.read_stream(0, u64::MAX);
    while let Some(piece) = pieces.next().await? {
        hash.update(&piece);
    }
    file.close().await?;
    Ok(hash.finalize().into())
}

/// How much of both files is the same from the start on, in whole pieces, up to `length`. Both are read: of a broken
/// copy that was written with several requests under way, any part but the first may be missing.
pub(super) async fn same_until(
    remote: &Arc<File>,
    local: &mut fs::File,
    length: u64,
    passing: &mut Passing,
) -> Result<u64> {
    blocking(|| local.seek(SeekFrom::Start(0)))?;
    let mut pieces = remote.read_stream(0, length);
    let mut same = 0;
    let mut mine = Vec::new();
    while let Some(piece) = pieces.next().await? {
        mine.clear();
        blocking(|| (&*local).take(piece.len() as u64).read_to_end(&mut mine))?;
        if mine != piece {
            break;
        }
        passing.update(&piece);
        same += piece.len() as u64;
    }
    blocking(|| local.seek(SeekFrom::Start(same)))?;
    Ok(same)
}
