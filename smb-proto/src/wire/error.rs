//! ERROR responses ([MS-SMB2] 2.2.2) and what they can carry.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

use super::buf::{DecodeError, Reader, Wire, Writer, len16, len32, utf16_len, utf16_to_string};
use crate::status::NtStatus;

/// One context of an error response ([MS-SMB2] 2.2.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorContext {
    /// 0, or the number of what `data` is.
    pub id: u32,
    /// For example a symbolic link's target ([MS-SMB2] 2.2.2.2.1).
    pub data: Bytes,
}

/// SMB2 ERROR Response ([MS-SMB2] 2.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorResponse {
    /// 3.1.1: a list. Before: at most one, with id 0.
    pub contexts: Vec<ErrorContext>,
}

impl Wire for ErrorResponse {
    fn encode(&self, w: &mut Writer<'_>) {
        // Bare data has no number, and where it is empty it is nothing.
        let bare = matches!(&self.contexts[..], [one] if one.id == 0 && !one.data.is_empty());
        self.encode_framed(w, !bare && !self.contexts.is_empty());
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.structure_size(9)?;
        let count = r.u8()?;
        r.u8()?;
        let length = r.u32()? as usize;
        let data = r.bytes(length)?;
        if count == 0 {
            let contexts = if data.is_empty() { Vec::new() } else { vec![ErrorContext { id: 0, data }] };
            return Ok(Self { contexts });
        }
        let r = &mut Reader::new(&data, 0);
        let mut contexts = Vec::new();
        for i in 0..count {
            if i > 0 {
                r.skip(r.position().next_multiple_of(8) - r.position())?;
            }
            let length = r.u32()? as usize;
            let id = r.u32()?;
            contexts.push(ErrorContext { id, data: r.bytes(length)? });
        }
        Ok(Self { contexts })
    }
}

impl ErrorResponse {
    fn encode_framed(&self, w: &mut Writer<'_>, listed: bool) {
        w.u16(9);
        w.u8(if listed { u8::try_from(self.contexts.len()).unwrap_or(u8::MAX) } else { 0 });
        w.u8(0);
        let length_at = w.position();
        w.u32(0);
        let start = w.position();
        for (i, context) in self.contexts.iter().enumerate() {
            if listed {
                if i > 0 {
                    w.align(8);
                }
                w.u32(len32(context.data.len()));
                w.u32(context.id);
            }
            w.bytes(&context.data);
        }
        w.patch_u32(length_at, len32(w.position() - start));
        if w.position() == start {
            w.u8(0);
        }
    }
}

/// Numbers of error contexts ([MS-SMB2] 2.2.2.1).
pub mod error_id {
    /// `SMB2_ERROR_ID_DEFAULT`: the status says what the data is.
    pub const DEFAULT: u32 = 0;
    /// `SMB2_ERROR_ID_SHARE_REDIRECT`
    pub const SHARE_REDIRECT: u32 = 0x7264_5253;
}

/// What an error response carries ([MS-SMB2] 2.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorDetail {
    /// With STATUS_STOPPED_ON_SYMLINK: where to go instead.
    Symlink(SymlinkError),
    /// With STATUS_BAD_NETWORK_NAME: the share is elsewhere.
    ShareRedirect(ShareRedirect),
    /// With STATUS_BUFFER_TOO_SMALL, STATUS_BUFFER_OVERFLOW and STATUS_INFO_LENGTH_MISMATCH: the bytes that it takes.
    BufferTooSmall(u32),
}

impl ErrorResponse {
    /// What the response to a request that ended with `status` carries, if it is something known.
    pub fn detail(&self, status: NtStatus) -> Result<Option<ErrorDetail>, DecodeError> {
        let Some(context) = self.contexts.first() else { return Ok(None) };
        let r = &mut Reader::new(&context.data, 0);
        Ok(Some(match (context.id, status) {
            (error_id::SHARE_REDIRECT, _) => ErrorDetail::ShareRedirect(ShareRedirect::decode(r)?),
            (error_id::DEFAULT, NtStatus::STOPPED_ON_SYMLINK) => {
                ErrorDetail::Symlink(SymlinkError::decode(r)?)
            }
            (
                error_id::DEFAULT,
                NtStatus::BUFFER_TOO_SMALL | NtStatus::BUFFER_OVERFLOW | NtStatus::INFO_LENGTH_MISMATCH,
            ) => ErrorDetail::BufferTooSmall(r.u32()?),
            _ => return Ok(None),
        }))
    }

    /// A response that carries this.
    pub fn carrying(detail: &ErrorDetail) -> Self {
        let mut data = Vec::new();
        let w = &mut Writer::new(&mut data);
        let id = match detail {
            ErrorDetail::Symlink(symlink) => {
                symlink.encode(w);
                error_id::DEFAULT
            }
            ErrorDetail::ShareRedirect(redirect) => {
                redirect.encode(w);
                error_id::SHARE_REDIRECT
            }
            ErrorDetail::BufferTooSmall(needed) => {
                w.u32(*needed);
                error_id::DEFAULT
            }
        };
        Self { contexts: vec![ErrorContext { id, data: Bytes::from(data) }] }
    }

    /// Writes the response as a list of contexts even where it has one of number 0: so a server of 3.1.1 does it,
    /// one of an older dialect sends that one's data bare, and both read the same.
    pub fn encode_list(&self, w: &mut Writer<'_>) {
        self.encode_framed(w, !self.contexts.is_empty());
    }
}

/// Symbolic Link Error Response ([MS-SMB2] 2.2.2.2.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SymlinkError {
    /// Bytes at the end of the path that are not part of the link's own.
    pub unparsed: u16,
    /// The target.
    pub substitute: String,
    /// The target as a user is shown it.
    pub print: String,
    /// The target is relative to the link's directory.
    pub relative: bool,
}

/// "SYML", read as a number.
const SYMLINK_ERROR_TAG: u32 = 0x4C4D_5953;

impl SymlinkError {
    /// Splits the path that was opened into the link's own and what is left of it, which is to be put behind the
    /// target; `None` where the server's count does not fit the path.
    pub fn split<'a>(&self, path: &'a str) -> Option<(&'a str, &'a str)> {
        // The count is in bytes of UTF-16.
        let mut left = usize::from(self.unparsed);
        let mut at = path.len();
        for c in path.chars().rev() {
            if left == 0 {
                break;
            }
            left = left.checked_sub(c.len_utf16() * 2)?;
            at -= c.len_utf8();
        }
        (left == 0).then(|| path.split_at_checked(at))?
    }
}

impl Wire for SymlinkError {
    fn encode(&self, w: &mut Writer<'_>) {
        let (substitute, print) = (utf16_len(&self.substitute), utf16_len(&self.print));
        w.u32(len32(24 + substitute + print));
        w.u32(SYMLINK_ERROR_TAG);
        w.u32(crate::fscc::reparse_tag::SYMLINK);
        w.u16(len16(12 + substitute + print));
        w.u16(self.unparsed);
        w.u16(0);
        w.u16(len16(substitute));
        w.u16(len16(substitute));
        w.u16(len16(print));
        w.u32(u32::from(self.relative));
        w.utf16(&self.substitute);
        w.utf16(&self.print);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = r.u32()? as usize;
        let body = r.bytes(length)?;
        let r = &mut Reader::new(&body, 0);
        if r.u32()? != SYMLINK_ERROR_TAG || r.u32()? != crate::fscc::reparse_tag::SYMLINK {
            return Err(DecodeError::Invalid("symbolic link error tag"));
        }
        r.u16()?;
        let unparsed = r.u16()?;
        let (substitute, print, flags) = crate::fscc::link_names(r, true)?;
        Ok(Self { unparsed, substitute, print, relative: flags & 1 != 0 })
    }
}

/// Share Redirect error context ([MS-SMB2] 2.2.2.2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareRedirect {
    /// Where the share is now.
    pub addresses: Vec<IpAddr>,
    /// The share's name.
    pub resource: String,
}

impl ShareRedirect {
    const FIXED: usize = 24;
    const NOTIFICATION_TYPE: u32 = 3;
}

impl Wire for ShareRedirect {
    fn encode(&self, w: &mut Writer<'_>) {
        let name = utf16_len(&self.resource);
        let name_at = Self::FIXED + 24 * self.addresses.len();
        w.u32(len32(name_at + name));
        w.u32(Self::NOTIFICATION_TYPE);
        w.u32(len32(name_at));
        w.u32(len32(name));
        w.u16(0);
        w.u16(0);
        w.u32(len32(self.addresses.len()));
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => {
                    w.u32(1);
                    w.u32(0);
                    w.bytes(&address.octets());
                    w.zeros(12);
                }
                IpAddr::V6(address) => {
                    w.u32(2);
                    w.u32(0);
                    w.bytes(&address.octets());
                }
            }
        }
        w.utf16(&self.resource);
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        // Windows' figure in StructureSize is not always the structure's; the context's own length counts.
        let data = r.rest();
        let r = &mut Reader::new(&data, 4);
        if r.u32()? != Self::NOTIFICATION_TYPE {
            return Err(DecodeError::Invalid("share redirect type"));
        }
        let name_offset = r.u32()? as usize;
        let name_length = r.u32()? as usize;
        r.u32()?;
        let count = r.u32()? as usize;
        if count > r.remaining() / 24 {
            return Err(DecodeError::Truncated);
        }
        let mut addresses = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = r.u32()?;
            r.u32()?;
            let octets: [u8; 16] = r.array()?;
            addresses.push(match (kind, octets) {
                (1, [a, b, c, d, ..]) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
                (2, octets) => IpAddr::V6(Ipv6Addr::from(octets)),
                _ => return Err(DecodeError::Invalid("share redirect address")),
            });
        }
        let resource = utf16_to_string(&r.at(name_offset, name_length, "share redirect name")?)?;
        Ok(Self { addresses, resource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fscc::{from_bytes, to_bytes};
    use crate::wire::check::{bear, both_ways};
    use proptest::prelude::*;

    fn symlink() -> SymlinkError {
        SymlinkError { unparsed: 6, substitute: "..\\é".into(), print: "p".into(), relative: true }
    }

    fn redirect() -> ShareRedirect {
        ShareRedirect {
            addresses: vec![[192, 0, 2, 7].into(), Ipv6Addr::LOCALHOST.into()],
            resource: "\\\\s\\x".into(),
        }
    }

    #[test]
    fn every_detail_survives_both_framings() {
        for (status, detail) in [
            (NtStatus::STOPPED_ON_SYMLINK, ErrorDetail::Symlink(symlink())),
            (NtStatus::BAD_NETWORK_NAME, ErrorDetail::ShareRedirect(redirect())),
            (NtStatus::BUFFER_TOO_SMALL, ErrorDetail::BufferTooSmall(4096)),
        ] {
            let response = ErrorResponse::carrying(&detail);
            assert_eq!(response.detail(status), Ok(Some(detail.clone())));
            let mut listed = Vec::new();
            response.encode_list(&mut Writer::new(&mut listed));
            assert_eq!(listed[2], 1);
            for bytes in [Bytes::from(listed), to_bytes(&response)] {
                let read: ErrorResponse = from_bytes(&bytes).unwrap();
                assert_eq!(read, response);
                assert_eq!(read.detail(status), Ok(Some(detail.clone())));
            }
        }
        assert_eq!(ErrorResponse::default().detail(NtStatus::STOPPED_ON_SYMLINK), Ok(None));
        let other = ErrorResponse::carrying(&ErrorDetail::BufferTooSmall(1));
        assert_eq!(other.detail(NtStatus::ACCESS_DENIED), Ok(None));
    }

    #[test]
    fn structures_survive_a_round_trip() {
        both_ways(&symlink());
        both_ways(&redirect());
        both_ways(&ShareRedirect::default());
        assert_eq!(&to_bytes(&symlink())[4..16], b"SYML\x0c\0\0\xa0\x16\0\x06\0");
    }

    #[test]
    fn an_empty_context_stays_one() {
        let contexts = vec![ErrorContext { id: error_id::DEFAULT, data: Bytes::new() }];
        both_ways(&ErrorResponse { contexts });
        both_ways(&ErrorResponse::default());
    }

    #[test]
    fn the_unparsed_rest_is_counted_in_utf_16() {
        let of = |unparsed| SymlinkError { unparsed, ..SymlinkError::default() };
        assert_eq!(of(6).split("dir\\link\\🦀"), Some(("dir\\link", "\\🦀")));
        assert_eq!(of(0).split("link"), Some(("link", "")));
        assert_eq!(of(8).split("link"), Some(("", "link")));
        for unparsed in [1, 2, 10] {
            assert_eq!(of(unparsed).split("🦀🦀"), None, "{unparsed}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_an_error(data in prop::collection::vec(0..40u8, 0..90), unparsed: u16, path: String) {
            let data = Bytes::from(data);
            bear::<SymlinkError>(&data);
            bear::<ShareRedirect>(&data);
            let _ = SymlinkError { unparsed, ..SymlinkError::default() }.split(&path);
            for status in [NtStatus::STOPPED_ON_SYMLINK, NtStatus::BUFFER_TOO_SMALL] {
                for id in [0, error_id::SHARE_REDIRECT] {
                    let contexts = vec![ErrorContext { id, data: data.clone() }];
                    let _ = ErrorResponse { contexts }.detail(status);
                }
            }
        }
    }
}
