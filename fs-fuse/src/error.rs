//! Why a mount or an unmount did not work, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why a mount or an unmount did not work. The text says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// There is nothing at the path.
    #[error("{0} does not exist; make it first: mkdir -p {0}")]
    Missing(PathBuf),
    /// The path is not a directory.
    #[error("{0} is not a directory")]
    NotADirectory(PathBuf),
    /// The user may not mount there.
    #[error("{0} is not writable by you; a user can mount only on a directory of their own")]
    NotWritable(PathBuf),
    /// A share is mounted there already.
    #[error("{point} already has {source_name} mounted on it; unmount it first: fusermount3 -u {point}")]
    AlreadyMounted {
        /// The mount point.
        point: PathBuf,
        /// What is mounted there.
        source_name: String,
    },
    /// A mount is left there whose process has died.
    #[error("{0} has a mount on it whose process has died; clear it first: fusermount3 -u {0}")]
    Dead(PathBuf),
    /// There is no FUSE device.
    #[error("/dev/fuse is missing; as root: modprobe fuse")]
    DeviceMissing,
    /// The FUSE device may not be opened.
    #[error("/dev/fuse cannot be opened by you; as root: chmod 0666 /dev/fuse")]
    DeviceDenied(#[source] io::Error),
    /// There is no helper to mount or unmount for a user.
    #[error("fusermount3 is missing, which mounts for users other than root; as root: apt-get install fuse3")]
    HelperMissing,
    /// A user may not let others in.
    #[error("allow_other is for root, unless /etc/fuse.conf has a line user_allow_other")]
    AllowOther,
    /// Nothing is mounted there.
    #[error("nothing is mounted on {0}")]
    NotMounted(PathBuf),
    /// Something is in use below the mount point.
    #[error("{point} is in use{}; end that, or unmount lazily", by_whom(.by))]
    Busy {
        /// The mount point.
        point: PathBuf,
        /// The programs and mounts, as far as this user may know them.
        by: Vec<String>,
    },
    /// The mount or unmount itself failed.
    #[error("{doing} {point} failed: {source}")]
    Failed {
        /// "mounting" or "unmounting".
        doing: &'static str,
        /// The mount point.
        point: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Serving requests ended with an error.
    #[error("serving the mount ended: {0}")]
    Session(String),
}

fn by_whom(users: &[String]) -> String {
    if users.is_empty() {
        return ": a file is open there, or a program is in it".into();
    }
    format!(" by {}", users.join(", "))
}
