//! The Windows adapter. **A stub**: it compiles for Windows and mounts nothing yet.
//!
//! It will sit on [`fs_core`] as the FUSE adapter does, with these differences, for which `fs-core` is ready:
//!
//! * WinFsp calls with paths and keeps a context per open file, where FUSE calls with inode numbers: the
//!   adapter walks a path with `Filesystem::lookup`, and gives the lookups back when the context is closed.
//! * Errors go out as NTSTATUS: [`status`] is the server's own status where there is one.
//! * WinFsp's callbacks may answer with `STATUS_PENDING` and complete later, so each becomes a task on the
//!   runtime, as here each FUSE request does.
//! * Names need no mapping: what Windows forbids cannot come in. `fs-core` maps nothing in such names.
//! * Deletion of an open file is Windows' own (delete-pending); the hidden names serve POSIX only.

use fs_core::FsError;

/// The NTSTATUS for WinFsp to return, as the number it takes.
pub fn status(error: &FsError) -> i32 {
    error.to_ntstatus().0.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_core::RemoteError;

    #[test]
    fn the_servers_status_goes_out_unchanged() {
        let error = FsError::Remote(RemoteError::TimedOut);
        assert_eq!(status(&error).cast_unsigned(), 0xC000_00B5);
    }
}
