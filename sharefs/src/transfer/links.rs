//! Symbolic links on the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use smb_client::{FileAttributes, LinkKind, Metadata, NtStatus, Share, reparse_tag, resolve_link};

use super::Transfer;
use super::local::blocking;
use super::parts::Part;
use crate::codes;
use crate::connect::Explain;
use crate::show::{printable, shown};
use crate::source::Source;

/// Links of links at most.
const DEEPEST: usize = 16;
/// The size of a file that may stand for a link.
const MFSYMLINK_BYTES: u64 = 1067;

/// Whether it is a symbolic link, of whichever family. Other reparse points are files, directories or nothing that
/// can be copied.
pub(super) fn is_link(metadata: &Metadata) -> bool {
    metadata.attributes.contains(FileAttributes::REPARSE_POINT)
        && matches!(
            metadata.reparse_tag,
            reparse_tag::SYMLINK | reparse_tag::NFS | reparse_tag::LX_SYMLINK | reparse_tag::MOUNT_POINT
        )
}

/// What a link leads to, links of links included.
pub(super) async fn follow(share: &Share, source: &Source, path: &str) -> Result<(String, Metadata)> {
    let mut path = path.to_owned();
    for _ in 0..DEEPEST {
        let target = share.read_link(&path).await.explain(source, &path)?.target;
        let Some(next) = resolve_link(&path, &target) else {
            bail!(
                "{} is a link that leads out of the share, to {}: use --links copy or --links skip",
                printable(&source.at(&path)),
                printable(&target)
            );
        };
        let metadata = share.metadata(&next).await.explain(source, &next)?;
        let may_be = is_link(&metadata) || (!metadata.is_dir() && metadata.size == MFSYMLINK_BYTES);
        if !may_be {
            return Ok((next, metadata));
        }
        match share.read_link(&next).await {
            Err(error) if error.status() == Some(NtStatus::NOT_A_REPARSE_POINT) => {
                return Ok((next, metadata));
            }
            other => other.map(drop).explain(source, &next)?,
        }
        path = next;
    }
    Err(codes::LINK_IN_THE_WAY
        .says(format!("{} leads in a circle of links: use --links skip", printable(&source.at(&path)))))
}

/// Refuses a link that would lead out of what is copied: at the other end nobody knows to what, and a server could
/// so make this machine's programs write elsewhere.
pub(super) fn stays(path: &str, target: &str, name: &str) -> Result<()> {
    if resolve_link(path, target).is_some() {
        return Ok(());
    }
    bail!(
        "{} is a link that leads out of what is copied, to {}: use --links follow or --links skip",
        printable(name),
        printable(target)
    )
}

/// The same for a link that is made here. Where `..` leads behind a name only that name knows, which may be a link
/// itself: then each of two links stays inside, and both together lead out.
pub(super) fn stays_here(path: &str, target: &str, name: &str) -> Result<()> {
    stays(path, target, name)?;
    let mut names = target.split('/').skip_while(|name| matches!(*name, "" | "." | ".."));
    if names.any(|name| name == "..") {
        bail!(
            "{} is a link that may lead out of what is copied, to {}: use --links follow or --links skip",
            printable(name),
            printable(target)
        );
    }
    Ok(())
}

/// Makes a link here; what is there is replaced, as by a copy of a file.
#[cfg(unix)]
pub(super) fn make_local(target: &str, path: &Path, part: &Path) -> Result<()> {
    let making = || format!("cannot make the link {}", shown(path));
    blocking(|| {
        std::os::unix::fs::symlink(target, part).with_context(making)?;
        fs::rename(part, path).with_context(making).inspect_err(|_| {
            let _ = fs::remove_file(part);
        })
    })
}

#[cfg(not(unix))]
pub(super) fn make_local(_: &str, path: &Path, _: &Path) -> Result<()> {
    Err(codes::LINK_IN_THE_WAY.says(format!(
        "{} is a link, which cannot be made here: use --links follow or --links skip",
        shown(path)
    )))
}

/// Where a link here leads, and whether to a directory.
pub(super) fn read_local(path: &Path) -> Result<(String, bool)> {
    let target: PathBuf =
        blocking(|| fs::read_link(path)).with_context(|| format!("cannot read {}", shown(path)))?;
    let directory = blocking(|| fs::metadata(path)).is_ok_and(|metadata| metadata.is_dir());
    match target.to_str() {
        Some(target) => Ok((target.to_owned(), directory)),
        None => Err(codes::NAME_INVALID
            .says(format!("{} leads to what is not Unicode: no share can have it", shown(path)))),
    }
}

impl Transfer {
    /// Makes a link on the share: one of the server's own where it has such, else a file that stands for it.
    pub(super) async fn make_remote(
        &self,
        share: &Share,
        target: &str,
        path: &str,
        directory: bool,
    ) -> Result<()> {
        let part = self.part_of(path);
        let guard = self.parts.begin(Part::Remote(part.clone()));
        let result = async {
            if !self.options.no_links.load(Ordering::Relaxed) {
                let kind = if directory { LinkKind::Directory } else { LinkKind::File };
                match share.symlink(target, &part, kind).await {
                    Err(error)
                        if matches!(
                            error.status(),
                            Some(
                                NtStatus::NOT_SUPPORTED
                                    | NtStatus::ACCESS_DENIED
                                    | NtStatus::PRIVILEGE_NOT_HELD
                            )
                        ) =>
                    {
                        // Windows has links, but not for everybody.
                        self.options.no_links.store(true, Ordering::Relaxed);
                    }
                    made => {
                        made.explain(&self.source, path)?;
                        return share.rename(&part, path, true).await.explain(&self.source, path);
                    }
                }
            }
            share.symlink(target, &part, LinkKind::MfSymlink).await.explain(&self.source, path)?;
            share.rename(&part, path, true).await.explain(&self.source, path)
        };
        let result = result.await;
        self.parts.end(share, guard, result.is_err()).await;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_here_whatever_other_links_do() {
        for (path, target) in [("link", "file"), ("a/b/link", "../.././c/d"), ("a/link", "./b/./c")] {
            assert!(stays_here(path, target, path).is_ok(), "{path} {target}");
        }
        for (path, target) in
            [("a/link", "../../x"), ("link", "a/../x"), ("a/link", ".././b/c/../.."), ("l", "/x")]
        {
            let error = stays_here(path, target, path).unwrap_err().to_string();
            assert!(error.contains("--links"), "{error}");
        }
    }

    #[test]
    fn links_stay_in_the_tree() {
        for (path, target) in [("link", "file"), ("a/b/link", "../../file"), ("a/link", "./b/../c")] {
            assert!(stays(path, target, path).is_ok(), "{path} {target}");
        }
        for (path, target) in
            [("link", "../file"), ("a/link", "../../x"), ("link", "/etc/passwd"), ("l", "C:/x"), ("l", "a\0")]
        {
            let error = stays(path, target, path).unwrap_err().to_string();
            assert!(error.contains("--links"), "{error}");
        }
    }
}
