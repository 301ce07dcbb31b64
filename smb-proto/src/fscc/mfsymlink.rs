//! Symbolic links as macOS and Samba keep them where a server has none: regular files of one size ("Minshall+French
//! symlinks").

use md5::{Digest, Md5};

/// The size of such a file in bytes; no other file can be one.
pub const MFSYMLINK_LEN: usize = 1067;
/// The longest target in bytes.
pub const MFSYMLINK_MAX_TARGET: usize = 1024;
const MAGIC: &[u8] = b"XSym\n";
/// Magic, four digits and a line feed, 32 digits and a line feed.
const HEADER: usize = 5 + 5 + 33;

/// The file that stands for a link to `target`; `None` where the target is empty or too long.
pub fn encode_mfsymlink(target: &[u8]) -> Option<Vec<u8>> {
    if target.is_empty() || target.len() > MFSYMLINK_MAX_TARGET {
        return None;
    }
    let mut out = Vec::with_capacity(MFSYMLINK_LEN);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(format!("{:04}\n{}\n", target.len(), digest(target)).as_bytes());
    out.extend_from_slice(target);
    if target.len() < MFSYMLINK_MAX_TARGET {
        out.push(b'\n');
    }
    out.resize(MFSYMLINK_LEN, b' ');
    Some(out)
}

/// The target of the link that this file stands for; `None` for any other file.
pub fn decode_mfsymlink(content: &[u8]) -> Option<&[u8]> {
    if content.len() != MFSYMLINK_LEN {
        return None;
    }
    let digits = content.strip_prefix(MAGIC)?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_digit) || content.get(9) != Some(&b'\n') {
        return None;
    }
    let length: usize = str::from_utf8(digits).ok()?.parse().ok()?;
    if length == 0 || length > MFSYMLINK_MAX_TARGET {
        return None;
    }
    let target = content.get(HEADER..HEADER + length)?;
    let check = content.get(10..HEADER)?;
    (check.split_last()? == (&b'\n', digest(target).as_bytes())).then_some(target)
}

fn digest(target: &[u8]) -> String {
    Md5::digest(target).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_looks_as_others_write_it() {
        let file = encode_mfsymlink(b"target").unwrap();
        assert_eq!(&file[..10], b"XSym\n0006\n");
        assert_eq!(&file[10..50], b"42aefbae01d2dfd981f7da7d823d689e\ntarget\n");
        assert!(file[50..].iter().all(|byte| *byte == b' '));
        assert_eq!(file.len(), MFSYMLINK_LEN);
    }

    #[test]
    fn other_files_are_no_links() {
        let file = encode_mfsymlink(b"target").unwrap();
        for at in 0..49 {
            let mut other = file.clone();
            other[at] ^= 1;
            assert_eq!(decode_mfsymlink(&other), None, "{at}");
        }
        for length in 0..file.len() {
            assert_eq!(decode_mfsymlink(&file[..length]), None);
        }
        assert!(encode_mfsymlink(b"").is_none() && encode_mfsymlink(&[b'x'; 1025]).is_none());
    }

    proptest! {
        #[test]
        fn targets_survive_a_round_trip(target in prop::collection::vec(any::<u8>(), 1..=1024)) {
            let file = encode_mfsymlink(&target).unwrap();
            prop_assert_eq!(decode_mfsymlink(&file), Some(&target[..]));
        }

        #[test]
        fn any_content_is_a_link_or_none(mut data: Vec<u8>) {
            let mut content = MAGIC.to_vec();
            content.append(&mut data);
            content.resize(MFSYMLINK_LEN, b'0');
            let _ = decode_mfsymlink(&content);
        }
    }
}
