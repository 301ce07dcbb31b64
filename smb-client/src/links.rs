//! Symbolic links: what leads elsewhere, in the ways that servers keep it.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{MFSYMLINK_LEN, NfsNode, ReparsePoint, decode_mfsymlink, encode_mfsymlink};

use crate::change::SetAttributes;
use crate::error::{Error, Result};
use crate::ioctl::is_unsupported;
use crate::names::{InvalidName, name_from_wire, name_to_wire};
use crate::reparse::Besides;
use crate::share::Share;

/// How the object manager of Windows begins the names that links carry.
const NT_PREFIX: &str = "\\??\\";

/// In which way a server keeps a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkKind {
    /// A symbolic link of Windows to a file.
    File,
    /// A symbolic link of Windows to a directory.
    Directory,
    /// A junction, to a directory of the server.
    Junction,
    /// A symbolic link of Windows' NFS server.
    Nfs,
    /// A symbolic link of the Windows Subsystem for Linux.
    Wsl,
    /// A file that stands for a link, as macOS, Samba and the Linux kernel's client (`mfsymlinks`) have it.
    MfSymlink,
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where it leads, with `/` between components: relative to the link's directory, or absolute: from the
    /// server's root or, `//server/share/x` and `C:/x`, from a place that only the server knows. Whoever
    /// follows it decides whether to believe it: see [`resolve_link`].
    pub target: String,
    /// How the server keeps it.
    pub kind: LinkKind,
}

impl Share {
    /// Where a link leads.
    ///
    /// # Errors
    /// It is no link ([`NtStatus::NOT_A_REPARSE_POINT`]), or the server refuses or is lost.
    pub async fn read_link(&self, path: &str) -> Result<Link> {
        match self.reparse_point(path).await {
            Ok((point, directory)) => link(point, directory),
            Err(Error::Status { status, .. })
                if is_unsupported(status) || status == NtStatus::NOT_A_REPARSE_POINT =>
            {
                self.read_mfsymlink(path).await
            }
            Err(error) => Err(error),
        }
    }

    async fn read_mfsymlink(&self, path: &str) -> Result<Link> {
        let none = || Error::refused("reading the link", NtStatus::NOT_A_REPARSE_POINT);
        let start = match self.read_start(path, MFSYMLINK_LEN as u32 + 1).await {
            Err(Error::Status { status: NtStatus::FILE_IS_A_DIRECTORY, .. }) => return Err(none()),
            start => start?,
        };
        let target = mfsymlink_target(&start.data).ok_or_else(none)?;
        Ok(Link { target, kind: LinkKind::MfSymlink })
    }

    /// Makes a symbolic link at `path`, where nothing may be yet. `kind` is [`LinkKind::File`] or
    /// [`LinkKind::Directory`], which is for the target's kind to say and which few servers but Windows can, or
    /// [`LinkKind::Nfs`] or [`LinkKind::Wsl`], which such servers keep but only some clients follow, or
    /// [`LinkKind::MfSymlink`], which is a file to every server. Nothing is left of a link that could not be made.
    ///
    /// # Errors
    /// Something is there, the server has no links of this kind ([`NtStatus::NOT_SUPPORTED`]; also for junctions,
    /// which are only read), the target is none that such a link can have, or the server refuses or is lost.
    pub async fn symlink(&self, target: &str, path: &str, kind: LinkKind) -> Result<()> {
        let (point, directory) = match kind {
            LinkKind::File => (symlink_to(target)?, false),
            LinkKind::Directory => (symlink_to(target)?, true),
            LinkKind::Nfs => (ReparsePoint::Nfs(NfsNode::Symlink(plain(target)?.into())), false),
            LinkKind::Wsl => {
                (ReparsePoint::LxSymlink(Bytes::copy_from_slice(plain(target)?.as_bytes())), false)
            }
            LinkKind::MfSymlink => {
                let content = encode_mfsymlink(target.as_bytes()).ok_or(Error::TooLarge)?;
                return self.create_whole(path, content.into(), &SetAttributes::default()).await;
            }
            LinkKind::Junction => return Err(Error::refused("making the link", NtStatus::NOT_SUPPORTED)),
        };
        let besides = Besides { directory, ..Besides::default() };
        self.make_reparse_point("making the link", path, &point, besides).await
    }
}

/// The target of a link that a file's content stands for; `None` for any other file.
pub fn mfsymlink_target(content: &[u8]) -> Option<String> {
    decode_mfsymlink(content).and_then(|target| String::from_utf8(target.to_vec()).ok())
}

/// The path in a share that a link leads to, `None` where it leads out of the share or only the server knows where.
pub fn resolve_link(path: &str, target: &str) -> Option<String> {
    if target.is_empty() || target.starts_with('/') || target.contains('\0') || is_drive(target) {
        return None;
    }
    let mut components: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    components.pop()?;
    for name in target.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                components.pop()?;
            }
            name => components.push(name),
        }
    }
    Some(components.join("/"))
}

/// `C:` or `C:/x`
fn is_drive(target: &str) -> bool {
    let mut chars = target.chars();
    matches!(
        (chars.next(), chars.next(), chars.next()),
        (Some('a'..='z' | 'A'..='Z'), Some(':'), None | Some('/'))
    )
}

/// What a link of Unix's kind can lead to.
fn plain(target: &str) -> Result<&str> {
    if target.is_empty() || target.contains('\0') { Err(InvalidName::Empty.into()) } else { Ok(target) }
}

/// The link that a reparse point is; refused where it is something else.
pub(crate) fn link(point: ReparsePoint, directory: bool) -> Result<Link> {
    let unusable = || Error::Malformed("a link to a name that cannot be");
    Ok(match point {
        ReparsePoint::Symlink { substitute, relative: true, .. } => Link {
            target: relative_from_wire(&substitute).ok_or_else(unusable)?,
            kind: if directory { LinkKind::Directory } else { LinkKind::File },
        },
        ReparsePoint::Symlink { substitute, .. } => Link {
            target: absolute_from_wire(&substitute),
            kind: if directory { LinkKind::Directory } else { LinkKind::File },
        },
        ReparsePoint::MountPoint { substitute, .. } => {
            Link { target: absolute_from_wire(&substitute), kind: LinkKind::Junction }
        }
        ReparsePoint::Nfs(NfsNode::Symlink(target)) if plain(&target).is_ok() => {
            Link { target, kind: LinkKind::Nfs }
        }
        ReparsePoint::LxSymlink(target) => {
            let target = String::from_utf8(target.to_vec()).ok().filter(|target| plain(target).is_ok());
            Link { target: target.ok_or_else(unusable)?, kind: LinkKind::Wsl }
        }
        ReparsePoint::Nfs(NfsNode::Symlink(_)) => return Err(unusable()),
        _ => return Err(Error::refused("reading the link", NtStatus::NOT_A_REPARSE_POINT)),
    })
}

/// `..\a\b` with `/`, and each name as it is called here.
fn relative_from_wire(target: &str) -> Option<String> {
    let name = |name: &str| match name {
        "" | "." | ".." => Some(name.to_owned()),
        name => name_from_wire(name),
    };
    let components: Option<Vec<String>> = target.split('\\').map(name).collect();
    components.map(|components| components.join("/"))
}

fn absolute_from_wire(target: &str) -> String {
    let target = target.strip_prefix(NT_PREFIX).unwrap_or(target);
    match target.strip_prefix("UNC\\") {
        Some(place) => format!("//{}", place.replace('\\', "/")),
        None => target.replace('\\', "/"),
    }
}

fn symlink_to(target: &str) -> Result<ReparsePoint> {
    plain(target)?;
    if let Some(place) = target.strip_prefix("//") {
        let print = format!("\\\\{}", place.replace('/', "\\"));
        let substitute = format!("{NT_PREFIX}UNC\\{}", place.replace('/', "\\"));
        return Ok(ReparsePoint::Symlink { substitute, print, relative: false });
    }
    if is_drive(target) {
        let print = target.replace('/', "\\");
        return Ok(ReparsePoint::Symlink {
            substitute: format!("{NT_PREFIX}{print}"),
            print,
            relative: false,
        });
    }
    let name = |name: &str| match name {
        "" | "." | ".." => Ok(name.to_owned()),
        name => name_to_wire(name),
    };
    let components: std::result::Result<Vec<String>, InvalidName> = target.split('/').map(name).collect();
    let substitute = components?.join("\\");
    Ok(ReparsePoint::Symlink { print: substitute.clone(), substitute, relative: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symlink(target: &str, directory: bool) -> Link {
        link(symlink_to(target).unwrap(), directory).unwrap()
    }

    #[test]
    fn targets_come_back_as_they_were() {
        for target in ["a", "../a/b", "./x", "a:b/c?", "/from/the/root", "//server/share/x", "C:/x", "end. "]
        {
            assert_eq!(symlink(target, false), Link { target: target.into(), kind: LinkKind::File });
        }
        assert_eq!(symlink("d", true).kind, LinkKind::Directory);
        assert!(symlink_to("").is_err() && symlink_to("a\0").is_err());
    }

    #[test]
    fn each_kind_has_its_target() {
        let junction = ReparsePoint::MountPoint { substitute: "\\??\\D:\\data".into(), print: String::new() };
        assert_eq!(
            link(junction, true).unwrap(),
            Link { target: "D:/data".into(), kind: LinkKind::Junction }
        );
        let nfs = ReparsePoint::Nfs(NfsNode::Symlink("../x".into()));
        assert_eq!(link(nfs, false).unwrap(), Link { target: "../x".into(), kind: LinkKind::Nfs });
        let wsl = ReparsePoint::LxSymlink(Bytes::from_static(b"/etc/passwd"));
        assert_eq!(link(wsl, false).unwrap(), Link { target: "/etc/passwd".into(), kind: LinkKind::Wsl });
        for target in ["", "a\0b"] {
            assert!(link(ReparsePoint::Nfs(NfsNode::Symlink(target.into())), false).is_err());
            assert!(link(ReparsePoint::LxSymlink(target.into()), false).is_err());
        }
        for none in [ReparsePoint::AfUnix, ReparsePoint::Nfs(NfsNode::Fifo)] {
            assert_eq!(link(none, false).unwrap_err().status(), Some(NtStatus::NOT_A_REPARSE_POINT));
        }
    }

    #[test]
    fn a_server_cannot_hide_a_slash_in_a_component() {
        for substitute in ["a/b", "a\0b", "..\\a/..", ".\u{F029}"] {
            let point =
                ReparsePoint::Symlink { substitute: substitute.into(), print: String::new(), relative: true };
            assert!(link(point, false).is_err(), "{substitute:?}");
        }
    }

    #[test]
    fn links_are_followed_within_the_share() {
        let resolve = |path, target| resolve_link(path, target);
        assert_eq!(resolve("a/link", "b").as_deref(), Some("a/b"));
        assert_eq!(resolve("a/b/link", "../../c/./d").as_deref(), Some("c/d"));
        assert_eq!(resolve("link", ".").as_deref(), Some(""));
        for (path, target) in
            [("link", ".."), ("a/link", "../../x"), ("link", "/x"), ("l", "C:/x"), ("l", ""), ("", "x")]
        {
            assert_eq!(resolve_link(path, target), None, "{path} {target}");
        }
    }
}
