//! Devices, pipes and sockets as Windows Services for Unix and the Linux kernel's client (`sfu`) keep them where a
//! server has none: small regular files with the attribute SYSTEM, told by their content.

use super::NfsNode;

/// The longest content that is read or written, in bytes: a device's.
pub const SFU_MAX_LEN: usize = 24;

const CHAR_DEVICE: &[u8; 8] = b"IntxCHR\0";
const BLOCK_DEVICE: &[u8; 8] = b"IntxBLK\0";
/// What the Linux kernel's client wrote until 6.12; a pipe is an empty file otherwise, a socket has one byte.
const LINUX_FIFO: &[u8; 8] = b"LnxFIFO\0";
const LINUX_SOCKET: &[u8; 8] = b"LnxSOCK\0";
const SOCKET: &[u8] = &[0];

/// The content of the file that stands for this; `None` for a link, which this format cannot tell from a name.
pub fn encode_sfu(node: &NfsNode) -> Option<Vec<u8>> {
    let device = |magic: &[u8; 8], major: u32, minor: u32| {
        let numbers = [major, minor].map(|number| u64::from(number).to_le_bytes());
        [&magic[..], &numbers[0], &numbers[1]].concat()
    };
    match *node {
        NfsNode::Fifo => Some(Vec::new()),
        NfsNode::Socket => Some(SOCKET.to_vec()),
        NfsNode::CharDevice { major, minor } => Some(device(CHAR_DEVICE, major, minor)),
        NfsNode::BlockDevice { major, minor } => Some(device(BLOCK_DEVICE, major, minor)),
        NfsNode::Symlink(_) => None,
    }
}

/// What a file with the attribute SYSTEM stands for; `None` for itself.
pub fn decode_sfu(content: &[u8]) -> Option<NfsNode> {
    if content.is_empty() {
        return Some(NfsNode::Fifo);
    }
    if content == SOCKET {
        return Some(NfsNode::Socket);
    }
    let (magic, numbers) = content.split_first_chunk::<8>()?;
    match (magic, numbers.is_empty()) {
        (LINUX_FIFO, true) => return Some(NfsNode::Fifo),
        (LINUX_SOCKET, true) => return Some(NfsNode::Socket),
        _ => {}
    }
    let (major, minor) = numbers.split_first_chunk::<8>()?;
    let number = |bytes: [u8; 8]| u32::try_from(u64::from_le_bytes(bytes)).ok();
    let (major, minor) = (number(*major)?, number(minor.try_into().ok()?)?);
    match magic {
        CHAR_DEVICE => Some(NfsNode::CharDevice { major, minor }),
        BLOCK_DEVICE => Some(NfsNode::BlockDevice { major, minor }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nodes_survive_a_round_trip() {
        let nodes = [
            NfsNode::Fifo,
            NfsNode::Socket,
            NfsNode::CharDevice { major: 1, minor: 3 },
            NfsNode::BlockDevice { major: u32::MAX, minor: 0 },
        ];
        for node in nodes {
            let content = encode_sfu(&node).unwrap();
            assert!(content.len() <= SFU_MAX_LEN);
            assert_eq!(decode_sfu(&content), Some(node));
        }
        assert_eq!(encode_sfu(&NfsNode::Symlink("x".into())), None);
    }

    #[test]
    fn a_device_looks_as_others_write_it() {
        let content = encode_sfu(&NfsNode::CharDevice { major: 5, minor: 1 }).unwrap();
        assert_eq!(content, b"IntxCHR\0\x05\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0");
        assert_eq!(decode_sfu(b"LnxFIFO\0"), Some(NfsNode::Fifo));
        assert_eq!(decode_sfu(b"LnxSOCK\0"), Some(NfsNode::Socket));
    }

    #[test]
    fn other_files_are_none() {
        for other in
            [&b"\x01"[..], b"IntxCHR\0", b"IntxCHR\0\x05\0\0\0\0\0\0\0\x01", b"text that is 24 bytes lo"]
        {
            assert_eq!(decode_sfu(other), None);
        }
    }

    proptest! {
        #[test]
        fn any_content_is_a_node_or_none(content in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(node) = decode_sfu(&content) {
                prop_assert!(encode_sfu(&node).is_some());
            }
        }
    }
}
