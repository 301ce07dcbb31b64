//! The attribute-value pairs of TargetInfo ([MS-NLMP] 2.2.2.1).

use crate::auth::AuthError;
use crate::fscc::FileTime;

/// MsvAvEOL, which ends the list.
const END: u16 = 0;
/// MsvAvFlags: 32 bits.
pub const FLAGS: u16 = 6;
/// MsvAvTimestamp: the server's clock.
pub const TIMESTAMP: u16 = 7;
/// MsvAvTargetName: the service's name as the client knows it.
pub const TARGET_NAME: u16 = 9;
/// MsvAvChannelBindings: an MD5, zero for none.
pub const CHANNEL_BINDINGS: u16 = 10;
/// The bit of [`FLAGS`] that says a MIC is in the AUTHENTICATE message.
pub const MIC_PROVIDED: u32 = 2;

/// A list of AV pairs in the order on the wire, without the MsvAvEOL that ends it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AvPairs(Vec<(u16, Vec<u8>)>);

impl AvPairs {
    /// Reads pairs up to MsvAvEOL and ignores what follows.
    ///
    /// # Errors
    /// [`AuthError::Malformed`] for a list cut short.
    pub fn decode(bytes: &[u8]) -> Result<Self, AuthError> {
        Self::read(bytes).ok_or(AuthError::Malformed("NTLM target information is cut short"))
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut pairs = Vec::new();
        loop {
            let (id, rest) = bytes.split_first_chunk()?;
            let (len, rest) = rest.split_first_chunk()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            match u16::from_le_bytes(*id) {
                END => return Some(Self(pairs)),
                id => pairs.push((id, value.to_vec())),
            }
            bytes = rest;
        }
    }

    /// The pairs followed by MsvAvEOL; `None` where a value is longer than its length field can say.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (id, value) in &self.0 {
            out.extend_from_slice(&id.to_le_bytes());
            out.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(&[0; 4]);
        Some(out)
    }

    /// The value of the first pair with this identifier.
    pub fn get(&self, id: u16) -> Option<&[u8]> {
        self.0.iter().find(|(found, _)| *found == id).map(|(_, value)| value.as_slice())
    }

    /// Replaces the value of the first pair with this identifier and drops the others, or appends one.
    /// `id` is not zero, which would end the list.
    pub fn set(&mut self, id: u16, value: Vec<u8>) {
        let at = self.0.iter().position(|(found, _)| *found == id).unwrap_or(self.0.len());
        self.0.retain(|(found, _)| *found != id);
        self.0.insert(at, (id, value));
    }

    /// Whether there are no pairs.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// MsvAvTimestamp, `None` where it is missing or not of 8 bytes.
    pub fn timestamp(&self) -> Option<FileTime> {
        Some(FileTime(u64::from_le_bytes(self.get(TIMESTAMP)?.try_into().ok()?)))
    }

    /// MsvAvFlags, zero where they are missing or not of 4 bytes.
    pub fn flags(&self) -> u32 {
        self.get(FLAGS).and_then(|value| value.try_into().ok()).map(u32::from_le_bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn set_keeps_the_place_and_leaves_one() {
        let mut pairs = AvPairs(vec![(1, vec![1]), (2, vec![2]), (1, vec![3])]);
        pairs.set(1, vec![9]);
        pairs.set(FLAGS, vec![2, 0, 0, 0]);
        assert_eq!(pairs.0, [(1, vec![9]), (2, vec![2]), (FLAGS, vec![2, 0, 0, 0])]);
        assert_eq!((pairs.flags(), pairs.timestamp()), (2, None));
    }

    proptest! {
        #[test]
        fn any_bytes_give_pairs_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(pairs) = AvPairs::decode(&bytes) {
                prop_assert!(bytes.starts_with(&pairs.encode().unwrap()[..pairs.encode().unwrap().len() - 4]));
            }
        }

        #[test]
        fn pairs_survive_a_round_trip(
            pairs in proptest::collection::vec((1u16.., proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
        ) {
            let pairs = AvPairs(pairs);
            prop_assert_eq!(AvPairs::decode(&pairs.encode().unwrap()), Ok(pairs));
        }
    }
}
