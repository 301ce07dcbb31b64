//! Another client of a server, for one thing at a time.

use bytes::Bytes;
use smb_client::OpenOptions;
use smb_client::blocking::Client;

use crate::Samba;

/// Connects, makes a file's content this, in place if there is one, and is gone again.
pub fn overwrite(samba: &Samba, name: &str, content: impl Into<Bytes>) {
    let content = content.into();
    let write = || {
        let client = Client::connect(&samba.options())?;
        let share = client.share("data")?;
        let file = share.open(name, &OpenOptions::write())?;
        let length = content.len() as u64;
        file.write_at(0, content.clone())?;
        file.set_len(length)
    };
    write().unwrap_or_else(|error| panic!("another client writes {name}: {error}"));
}
