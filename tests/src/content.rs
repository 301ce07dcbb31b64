//! Content that is the same for the same seed, and nowhere repeats.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Pseudo-random bytes (SplitMix64): any range of them can be made without making what comes before.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    seed: u64,
}

impl Content {
    /// The content with this seed.
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The first `length` bytes.
    pub fn bytes(self, length: usize) -> Bytes {
        self.range(0, length)
    }

    /// `length` bytes from `offset` on.
    pub fn range(self, offset: u64, length: usize) -> Bytes {
        let skip = usize::try_from(offset % 8).unwrap_or(0);
        let first = offset / 8;
        let mut data = Vec::with_capacity(skip + length + 8);
        let mut word = first;
        while data.len() < skip + length {
            data.extend_from_slice(&self.word(word).to_le_bytes());
            word += 1;
        }
        Bytes::from(data).slice(skip..skip + length)
    }

    fn word(self, index: u64) -> u64 {
        let mut z = (self.seed ^ 0x5bd1_e995_7f4a_7c15)
            .wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The checksum of some bytes in hexadecimal.
pub fn sha256(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

/// The checksum of a file on this machine in hexadecimal.
pub fn sha256_file(path: &Path) -> String {
    let mut file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return hex::encode(hash.finalize()),
            Ok(n) => hash.update(&buffer[..n]),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_a_part_of_the_whole() {
        let content = Content::new(7);
        let whole = content.bytes(100);
        for offset in 0..20 {
            assert_eq!(content.range(offset, 50), whole.slice(offset as usize..offset as usize + 50));
        }
        assert_ne!(whole, Content::new(8).bytes(100));
    }
}
