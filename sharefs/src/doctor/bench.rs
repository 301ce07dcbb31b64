//! A folder on the share in which the doctor tries things.

use smb_client::{Client, Error, Result, Share};

use super::check::{Check, Group};
use super::report::Report;
use crate::codes;

/// The probes make fewer folders: whoever lists more lies.
const MOST_FOLDERS: usize = 32;

/// A folder on the share that nobody else uses.
pub(crate) struct Bench<'a> {
    pub(crate) client: &'a Client,
    pub(crate) share: &'a Share,
    pub(crate) dir: String,
}

impl<'a> Bench<'a> {
    /// Makes the folder below `above`.
    pub(crate) async fn make(client: &'a Client, share: &'a Share, above: &str) -> Result<Self> {
        let number = u64::from_le_bytes(random());
        let name = format!(".sharefs-doctor-{number:016x}");
        let dir = if above.is_empty() { name } else { format!("{above}/{name}") };
        share.create_dir(&dir).await?;
        Ok(Self { client, share, dir })
    }

    /// A name in the folder, as a path in the share.
    pub(crate) fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// Removes the folder with all that was made in it, or says in the report that it is left.
    pub(crate) async fn clear(self, group: Group, report: &mut Report) {
        if let Err(error) = self.remove().await {
            let found = format!("{} is left on the share: {error}", self.dir);
            report.add(Check::warning(group, "tidy", codes::of_client(&error), found));
        }
    }

    async fn remove(&self) -> Result<()> {
        let mut dirs = vec![self.dir.clone()];
        let mut next = 0;
        while let Some(dir) = dirs.get(next).cloned() {
            for entry in self.share.read_dir(&dir).await? {
                let path = format!("{dir}/{}", entry.name);
                if !entry.metadata.is_dir() || entry.metadata.reparse_tag != 0 {
                    self.share.remove_file(&path).await?;
                } else if dirs.len() < MOST_FOLDERS {
                    dirs.push(path);
                } else {
                    return Err(Error::Malformed("there are more folders than were made"));
                }
            }
            next += 1;
        }
        for dir in dirs.iter().rev() {
            self.share.remove_dir(dir).await?;
        }
        Ok(())
    }
}

/// Bytes that nobody else has.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without random numbers a name that exists is refused, and nothing worse happens.
    if let Err(error) = getrandom::fill(&mut bytes) {
        tracing::debug!(%error, "random numbers");
    }
    bytes
}
