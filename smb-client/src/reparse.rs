//! Reparse points: what is no file of data, as servers keep it.

use bytes::Bytes;
use smb_proto::NtStatus;
use smb_proto::fscc::{
    ExtendedAttribute, FileAttributes, NfsNode, ReparsePoint, decode_eas, encode_ea_names, file_class,
    from_bytes, lx_ea, to_bytes,
};
use smb_proto::wire::{
    AccessMask, CreateContext, CreateDisposition, CreateOptions, FileId, Request, Response, fsctl,
};

use crate::change::check_all;
use crate::error::{Error, Result};
use crate::ioctl::{ioctl, is_unsupported, output};
use crate::lease::PathLease;
use crate::links::{LinkKind, link};
use crate::open::OpenOptions;
use crate::query::Question;
use crate::share::{Share, close_related, expect};

/// Bytes of a reparse point at most ([MS-FSCC] 2.1.2.1).
const LARGEST: u32 = 16 << 10;

/// What a name stands for that is neither a file of data nor a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Special {
    /// A symbolic link, or a junction.
    Symlink {
        /// Where it leads: see [`crate::Link::target`].
        target: String,
        /// From the link's directory, and not from a root.
        relative: bool,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A socket.
    Socket,
}

/// Whose reparse points to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SpecialKind {
    /// Those of Windows' NFS server, which Samba has too.
    Nfs,
    /// Those of the Windows Subsystem for Linux. Devices take extended attributes besides.
    Wsl,
}

/// What a reparse point is to have besides itself.
#[derive(Debug, Default)]
pub(crate) struct Besides {
    /// It is a directory.
    pub(crate) directory: bool,
    pub(crate) attributes: Vec<ExtendedAttribute>,
    /// As in [`OpenOptions::posix`].
    pub(crate) permissions: Option<u32>,
}

/// The type in a mode of Unix.
mod unix_type {
    pub(super) const FIFO: u32 = 0o010_000;
    pub(super) const CHAR_DEVICE: u32 = 0o020_000;
    pub(super) const BLOCK_DEVICE: u32 = 0o060_000;
    pub(super) const SOCKET: u32 = 0o140_000;
}

impl Share {
    /// What a name stands for that is neither a file of data nor a directory. Links that only a client takes for
    /// links are files of data: see [`Share::read_link`].
    ///
    /// # Errors
    /// It is nothing of the kind ([`NtStatus::NOT_A_REPARSE_POINT`]), or the server keeps none, refuses or is lost.
    pub async fn read_special(&self, path: &str) -> Result<Special> {
        let (point, directory) = self.reparse_point(path).await?;
        let relative = |target: &str| !target.starts_with('/');
        Ok(match point {
            ReparsePoint::Nfs(NfsNode::Fifo) | ReparsePoint::LxFifo => Special::Fifo,
            ReparsePoint::Nfs(NfsNode::Socket) | ReparsePoint::AfUnix => Special::Socket,
            ReparsePoint::Nfs(NfsNode::CharDevice { major, minor }) => Special::CharDevice { major, minor },
            ReparsePoint::Nfs(NfsNode::BlockDevice { major, minor }) => Special::BlockDevice { major, minor },
            ReparsePoint::LxCharDevice => {
                let (major, minor) = self.device_numbers(path).await?;
                Special::CharDevice { major, minor }
            }
            ReparsePoint::LxBlockDevice => {
                let (major, minor) = self.device_numbers(path).await?;
                Special::BlockDevice { major, minor }
            }
            ReparsePoint::Symlink { relative, .. } => {
                Special::Symlink { target: link(point, directory)?.target, relative }
            }
            ReparsePoint::MountPoint { .. } => {
                Special::Symlink { target: link(point, directory)?.target, relative: false }
            }
            point => {
                let target = link(point, directory)?.target;
                Special::Symlink { relative: relative(&target), target }
            }
        })
    }

    /// Makes something special at `path`, where nothing may be yet. Nothing is left of what could not be made. Whether
    /// a symbolic link is relative, its target says.
    ///
    /// # Errors
    /// Something is there, the server keeps nothing of this kind ([`NtStatus::NOT_SUPPORTED`]), or it refuses or is
    /// lost.
    pub async fn make_special(&self, path: &str, special: &Special, kind: SpecialKind) -> Result<()> {
        self.make_special_posix(path, special, kind, None).await
    }

    /// The same; what is made gets these permissions where the server has them: see [`OpenOptions::posix`].
    ///
    /// # Errors
    /// As [`Self::make_special`].
    pub async fn make_special_posix(
        &self,
        path: &str,
        special: &Special,
        kind: SpecialKind,
        permissions: Option<u32>,
    ) -> Result<()> {
        let (kind_of_link, wsl) = match kind {
            SpecialKind::Nfs => (LinkKind::Nfs, false),
            SpecialKind::Wsl => (LinkKind::Wsl, true),
        };
        let (point, mode, numbers) = match *special {
            Special::Symlink { ref target, .. } => return self.symlink(target, path, kind_of_link).await,
            Special::Fifo if wsl => (ReparsePoint::LxFifo, unix_type::FIFO, None),
            Special::Socket if wsl => (ReparsePoint::AfUnix, unix_type::SOCKET, None),
            Special::CharDevice { major, minor } if wsl => {
                (ReparsePoint::LxCharDevice, unix_type::CHAR_DEVICE, Some((major, minor)))
            }
            Special::BlockDevice { major, minor } if wsl => {
                (ReparsePoint::LxBlockDevice, unix_type::BLOCK_DEVICE, Some((major, minor)))
            }
            Special::Fifo => (ReparsePoint::Nfs(NfsNode::Fifo), unix_type::FIFO, None),
            Special::Socket => (ReparsePoint::Nfs(NfsNode::Socket), unix_type::SOCKET, None),
            Special::CharDevice { major, minor } => {
                (ReparsePoint::Nfs(NfsNode::CharDevice { major, minor }), unix_type::CHAR_DEVICE, None)
            }
            Special::BlockDevice { major, minor } => {
                (ReparsePoint::Nfs(NfsNode::BlockDevice { major, minor }), unix_type::BLOCK_DEVICE, None)
            }
        };
        let besides = Besides {
            attributes: if wsl { linux_attributes(mode, numbers) } else { Vec::new() },
            permissions,
            ..Besides::default()
        };
        self.make_reparse_point("making the special file", path, &point, besides).await
    }

    /// The reparse point at `path`, and whether it is a directory as well.
    pub(crate) async fn reparse_point(&self, path: &str) -> Result<(ReparsePoint, bool)> {
        let max_output = self.inner.clamp(LARGEST, self.inner.max_transact);
        let get = ioctl(FileId::RELATED, fsctl::GET_REPARSE_POINT, Bytes::new(), max_output);
        let chain = vec![self.inner.create(path, &OpenOptions::attributes())?, get, close_related()];
        let mut replies = self.chain("opening", chain).await?.into_iter();
        let directory = match replies.next().map(|reply| expect("opening", reply)) {
            Some(Ok(Response::Create(created))) => created.attributes.contains(FileAttributes::DIRECTORY),
            _ => false,
        };
        let reply = replies.next().ok_or(Error::Malformed("no reply"))?;
        let data = output(expect("reading the link", reply)?, max_output)?;
        Ok((from_bytes(&data)?, directory))
    }

    /// Renames a reparse point, as [`Share::rename_with`], and sees to it that it stays one: Samba forgets to say so, at
    /// least up to 4.22, when it marks what was renamed as not archived.
    ///
    /// # Errors
    /// As [`Share::rename`].
    pub async fn rename_special_with(
        &self,
        from: &str,
        to: &str,
        replace: bool,
        lease: PathLease,
    ) -> Result<()> {
        let point = self.reparse_point(from).await;
        self.rename_with(from, to, replace, lease).await?;
        // Links and devices that only clients take for such are files.
        let Ok((point, _)) = point else { return Ok(()) };
        if self.metadata(to).await?.attributes.contains(FileAttributes::REPARSE_POINT) {
            return Ok(());
        }
        let options = OpenOptions {
            options: CreateOptions::OPEN_REPARSE_POINT,
            ..OpenOptions::existing(AccessMask::WRITE_ATTRIBUTES | AccessMask::READ_ATTRIBUTES)
        };
        let set = ioctl(FileId::RELATED, fsctl::SET_REPARSE_POINT, to_bytes(&point), 0);
        let chain = vec![self.inner.create(to, &options)?, set, close_related()];
        check_all("restoring the reparse point", self.chain("opening", chain).await?)
    }

    /// A device's numbers where the Windows Subsystem for Linux keeps them.
    async fn device_numbers(&self, path: &str) -> Result<(u32, u32)> {
        let options = OpenOptions::attributes().access(AccessMask::READ_EA);
        let input = encode_ea_names(&[Bytes::from_static(lx_ea::DEVICE)]).into();
        let question = Question::file(file_class::FULL_EA, input);
        let data = self.ask("reading the device", path, options, PathLease::default(), &question).await?;
        let numbers = decode_eas(&data)?
            .into_iter()
            .find(|ea| ea.name.eq_ignore_ascii_case(lx_ea::DEVICE))
            .and_then(|ea| <[u8; 8]>::try_from(&ea.value[..]).ok())
            .ok_or(Error::Malformed("a device without numbers"))?;
        let [a, b, c, d, e, f, g, h] = numbers;
        Ok((u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])))
    }

    /// Makes a reparse point where nothing may be yet; nothing is left of one that could not be made.
    pub(crate) async fn make_reparse_point(
        &self,
        operation: &'static str,
        path: &str,
        point: &ReparsePoint,
        besides: Besides,
    ) -> Result<()> {
        let Besides { directory, attributes, permissions } = besides;
        let kind = if directory { CreateOptions::DIRECTORY_FILE } else { CreateOptions::NON_DIRECTORY_FILE };
        let options = OpenOptions {
            disposition: CreateDisposition::Create,
            options: CreateOptions::OPEN_REPARSE_POINT | kind,
            attributes: FileAttributes::NORMAL,
            posix: permissions,
            ..OpenOptions::existing(
                AccessMask::WRITE_DATA | AccessMask::WRITE_ATTRIBUTES | AccessMask::READ_ATTRIBUTES,
            )
        };
        let mut create = self.inner.create(path, &options)?;
        if let Request::Create(body) = &mut create
            && !attributes.is_empty()
        {
            body.access |= AccessMask::WRITE_EA;
            body.contexts.push(CreateContext::ExtendedAttributes(attributes));
        }
        let set = ioctl(FileId::RELATED, fsctl::SET_REPARSE_POINT, to_bytes(point), 0);
        let replies = self.chain(operation, vec![create, set, close_related()]).await?;
        let Some(status) = replies.iter().map(|reply| reply.status).find(|status| status.is_error()) else {
            return Ok(());
        };
        let removed = if directory { self.remove_dir(path).await } else { self.remove_file(path).await };
        if let Err(error) = removed {
            tracing::debug!(%error, "removing what did not become a reparse point");
        }
        // So Samba refuses what it does not know.
        let unknown = is_unsupported(status) || status == NtStatus::NOT_A_REPARSE_POINT;
        let status = if unknown { NtStatus::NOT_SUPPORTED } else { status };
        Err(Error::refused(operation, status))
    }
}

/// What the Windows Subsystem for Linux wants to know besides.
fn linux_attributes(mode: u32, device: Option<(u32, u32)>) -> Vec<ExtendedAttribute> {
    let attribute = |name, value: &[u8]| ExtendedAttribute {
        flags: 0,
        name: Bytes::from_static(name),
        value: Bytes::copy_from_slice(value),
    };
    let mut attributes = vec![attribute(lx_ea::MODE, &(mode | 0o644).to_le_bytes())];
    if let Some((major, minor)) = device {
        attributes.push(attribute(lx_ea::DEVICE, &[major.to_le_bytes(), minor.to_le_bytes()].concat()));
    }
    attributes
}
