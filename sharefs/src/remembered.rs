//! Mounts that are to come back: a list in the user's configuration. Never a secret.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::codes::NOT_REMEMBERED;
use crate::private::{self, Purpose};

/// A mount that `--persist` asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    pub(crate) source: String,
    /// Absolute, without links.
    pub(crate) dir: PathBuf,
    /// As [`crate::options::RawOptions::words`] has them.
    pub(crate) options: Vec<String>,
    /// RFC 3339
    pub(crate) since: String,
}

/// The file.
pub(crate) fn path() -> Result<PathBuf> {
    Ok(private::folder(Purpose::Config)?.join("mounts.json"))
}

/// All that are remembered, by folder.
pub(crate) fn all() -> Result<Vec<Remembered>> {
    let path = path()?;
    match private::read(&path)? {
        Some(bytes) => {
            serde_json::from_slice(&bytes).with_context(|| format!("{} cannot be understood", path.display()))
        }
        None => Ok(Vec::new()),
    }
}

/// What is remembered of a folder.
pub(crate) fn of(dir: &Path) -> Result<Option<Remembered>> {
    Ok(all()?.into_iter().find(|remembered| remembered.dir == dir))
}

/// Remembers a mount; one folder has one.
pub(crate) fn add(remembered: Remembered) -> Result<()> {
    change(|all| {
        all.retain(|other| other.dir != remembered.dir);
        all.push(remembered);
        Ok(())
    })
}

/// Forgets the mount of this folder, or of this source where it is in one folder only. Says which it was, and whether
/// any is left.
pub(crate) fn forget(dir: &Path, source: &str) -> Result<(Remembered, bool)> {
    change(|all| {
        let by_dir = all.iter().position(|one| one.dir == dir);
        let by_source = || {
            let mut places =
                all.iter().enumerate().filter(|(_, one)| one.source.eq_ignore_ascii_case(source));
            match (places.next(), places.next()) {
                (Some((at, _)), None) => Ok(at),
                (None, _) => {
                    Err(NOT_REMEMBERED.says(format!("{source} is not remembered: see sharefs list")))
                }
                _ => bail!("{source} is mounted in several folders: name the folder"),
            }
        };
        let at = by_dir.map_or_else(by_source, Ok)?;
        let forgotten = all.remove(at);
        Ok((forgotten, !all.is_empty()))
    })
}

fn change<T>(change: impl FnOnce(&mut Vec<Remembered>) -> Result<T>) -> Result<T> {
    let dir = private::folder(Purpose::Config)?;
    private::make(&dir)?;
    let _lock = private::lock(&dir)?;
    let mut all = all()?;
    let result = change(&mut all)?;
    all.sort_by(|a, b| a.dir.cmp(&b.dir));
    private::replace(&path()?, &serde_json::to_vec_pretty(&all)?)?;
    Ok(result)
}
