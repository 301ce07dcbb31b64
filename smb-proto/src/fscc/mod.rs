//! The file-system structures that travel inside SMB2 messages ([MS-FSCC]).

mod attributes;
mod time;

pub use attributes::FileAttributes;
pub use time::FileTime;
