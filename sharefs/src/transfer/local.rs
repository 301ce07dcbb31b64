//! Local files, read and written without a copy on the way.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use smb_client::BufferPool;

/// Local work that takes longer than this is worth handing the other tasks to another thread, which takes some
/// ten microseconds itself.
const SLOW: Duration = Duration::from_micros(500);

/// Whether the last local work was slow, and so probably the next.
static IS_SLOW: AtomicBool = AtomicBool::new(false);

/// Does what may have to wait for a disk, on this thread; where the disk has been slow, other tasks go on
/// elsewhere.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = if IS_SLOW.load(Ordering::Relaxed) { tokio::task::block_in_place(work) } else { work() };
    IS_SLOW.store(begin.elapsed() > SLOW, Ordering::Relaxed);
    result
}

/// Writes all of a piece.
pub(super) fn write(file: &mut File, piece: &[u8]) -> io::Result<()> {
    blocking(|| file.write_all(piece))
}

/// The next `length` bytes of a file; fewer, in the end none, only at its end.
pub(super) fn read(file: &mut File, pool: &BufferPool, length: usize) -> io::Result<Bytes> {
    blocking(|| {
        let mut buffer = Vec::from(pool.take(length));
        // No more than asked for, although the buffer may have room: pieces are as long as requests.
        file.take(length as u64).read_to_end(&mut buffer)?;
        let piece = Bytes::from(buffer);
        pool.lend(piece.clone());
        Ok(piece)
    })
}

/// A server's name as one component of a local path, and nothing else.
pub(super) fn local_name(name: &str) -> Result<&str> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name && !name.contains('\0') => Ok(name),
        _ => bail!(
            "the server's name {name:?} would lead elsewhere on this machine: left out, nothing more fetched"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        for name in ["", ".", "..", "/etc", "a/b", "a/", "./a", "a/..", "a\0b"] {
            assert!(local_name(name).is_err(), "{name}");
        }
        assert_eq!(local_name("a b.txt").unwrap(), "a b.txt");
    }
}
