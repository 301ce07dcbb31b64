//! What servers with the SMB3 POSIX extensions say of files besides.

/// Whose a file is and who may do what with it, as POSIX has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posix {
    /// Permissions: the lowest twelve bits of a mode, where the server says them.
    pub mode: Option<u32>,
    /// The owner's number, where the server's identifier carries one.
    pub uid: Option<u32>,
    /// The group's number, where the server's identifier carries one.
    pub gid: Option<u32>,
}

/// A change of that. What is `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetPosix {
    /// New permissions.
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
}

impl SetPosix {
    /// Whether the request would change nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
