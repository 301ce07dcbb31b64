//! As much of DER (X.690) as SPNEGO needs: single-byte tags and definite lengths.

use super::AuthError;

/// An enumerated number; SPNEGO's states.
pub const ENUMERATED: u8 = 0x0a;
/// A string of bytes.
pub const OCTET_STRING: u8 = 0x04;
/// An object identifier.
pub const OID: u8 = 0x06;
/// SEQUENCE and SEQUENCE OF.
pub const SEQUENCE: u8 = 0x30;
/// The outer tag of a GSS-API initial token (RFC 2743 3.1).
pub const APPLICATION_0: u8 = 0x60;

/// The tag of the explicitly tagged field `number`, which is below 31.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// The element with this tag around `contents` concatenated.
pub fn element(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let len: usize = contents.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(len + 10);
    out.push(tag);
    match u8::try_from(len) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = len.to_be_bytes();
            let digits = &bytes[(len.leading_zeros() / 8) as usize..];
            out.push(0x80 | digits.len() as u8);
            out.extend_from_slice(digits);
        }
    }
    for part in contents {
        out.extend_from_slice(part);
    }
    out
}

/// Reads elements one after another from a slice, borrowing their contents.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of the elements in `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element's tag and contents.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] for an element that is cut short, or has an indefinite length, one of more
    /// than four bytes, or a tag of more than one.
    pub fn read(&mut self) -> Result<(u8, &'a [u8]), AuthError> {
        self.split().ok_or(AuthError::Malformed("bad DER"))
    }

    /// The contents of the next element, which must have this tag.
    ///
    /// # Errors
    /// As for [`read`](Self::read), and for another tag.
    pub fn expect(&mut self, tag: u8) -> Result<&'a [u8], AuthError> {
        match self.read()? {
            (found, contents) if found == tag => Ok(contents),
            _ => Err(AuthError::Malformed("unexpected DER tag")),
        }
    }

    fn split(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            ..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let len = digits.iter().fold(0u32, |len, digit| len << 8 | u32::from(*digit));
                (usize::try_from(len).ok()?, rest)
            }
            _ => return None,
        };
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (contents, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, contents))
    }
}

/// The contents of the one element that `bytes` start with, which must have this tag.
///
/// # Errors
/// As for [`Reader::expect`].
pub fn only(bytes: &[u8], tag: u8) -> Result<&[u8], AuthError> {
    Reader::new(bytes).expect(tag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_have_the_shortest_form() {
        for (len, head) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (256, &[4, 0x82, 1, 0]),
            (65536, &[4, 0x83, 1, 0, 0]),
        ] {
            let made = element(OCTET_STRING, &[&vec![7; len]]);
            assert!(made.starts_with(head));
            assert_eq!(made.len(), head.len() + len);
        }
    }

    #[test]
    fn what_der_forbids_is_refused() {
        for bytes in [
            &[][..],
            &[4],
            &[4, 1],
            &[4, 0x80, 0, 0],
            &[4, 0x85, 0, 0, 0, 0, 0],
            &[0x1f, 0],
            &[4, 0x84, 255, 255, 255, 255],
        ] {
            assert!(Reader::new(bytes).read().is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_elements_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::new(&bytes);
            while reader.read().is_ok() {}
        }

        #[test]
        fn elements_survive_a_round_trip(
            tag in any::<u8>().prop_filter("single byte", |tag| tag & 0x1f != 0x1f),
            contents in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let made = element(tag, &[&contents]);
            let mut reader = Reader::new(&made);
            prop_assert_eq!(reader.read(), Ok((tag, &contents[..])));
            prop_assert!(reader.is_empty());
        }
    }
}
