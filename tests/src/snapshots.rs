//! A server with earlier states of its share.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::samba::Samba;

/// A server that takes directories named `@GMT-…` for snapshots of its share.
#[derive(Debug)]
pub struct Snapshots {
    /// The server.
    pub samba: Samba,
    place: TempDir,
}

impl Snapshots {
    /// Starts the server, which has no snapshots yet.
    pub fn start() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("chmod");
        let samba = Samba::builder()
            .newer()
            .share("vfs objects", "shadow_copy2")
            // Below each snapshot is the share's whole path: its place is not known before the server has started.
            .share("shadow:mountpoint", "/")
            .share("shadow:snapdir", place.path().display())
            .share("shadow:format", "@GMT-%Y.%m.%d-%H.%M.%S")
            .share("shadow:localtime", "no")
            .share("shadow:sort", "desc")
            .start();
        Self { samba, place }
    }

    /// Where on this machine the share's root is in a snapshot; made where it is not there yet.
    pub fn root(&self, token: &str) -> PathBuf {
        let share = self.samba.share_path();
        let root = self.place.path().join(token).join(share.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(&root).expect("a snapshot");
        root
    }
}
