//! AES-CMAC and AES-CCM over the block cipher of the crate `aes`.
//!
//! Both chain one block to the next (CBC-MAC), which leaves a processor that could encrypt many blocks at a time
//! waiting for one. The crates `cmac` and `ccm` lose much more time between the blocks: these here keep the chain's
//! state where the cipher wants it, and CCM's keystream is made while the chain waits.

use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use aes::{Aes128, Block};
use aes_gcm::aead::consts::U16;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::{CryptoError, MessageCipher, MessageSigner};

const BLOCK: usize = 16;

#[inline(always)]
fn xor(block: &mut Block, with: &[u8; BLOCK]) {
    let mixed = u128::from_ne_bytes((*block).into()) ^ u128::from_ne_bytes(*with);
    *block = mixed.to_ne_bytes().into();
}

fn xor_some(block: &mut [u8], with: &[u8]) {
    for (byte, with) in block.iter_mut().zip(with) {
        *byte ^= with;
    }
}

/// Chains whole blocks.
struct Chain<'a> {
    state: &'a mut Block,
    blocks: &'a [[u8; BLOCK]],
}

impl BlockSizeUser for Chain<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Chain<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        // Not through the reference, which would be written to and read again for each block.
        let mut state = *self.state;
        for block in self.blocks {
            xor(&mut state, block);
            backend.encrypt_block_inplace(&mut state);
        }
        *self.state = state;
    }
}

/// AES-128-CMAC (RFC 4493).
pub(super) struct CmacSigner {
    aes: Aes128,
    /// What goes into the last block: the first if that is whole, the other if it is padded.
    subkeys: [Block; 2],
}

impl CmacSigner {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let aes = Aes128::new(key.into());
        let mut subkeys = [Block::default(); 2];
        aes.encrypt_block(&mut subkeys[0]);
        double(&mut subkeys[0]);
        subkeys[1] = subkeys[0];
        double(&mut subkeys[1]);
        Self { aes, subkeys }
    }
}

/// Doubles in GF(2^128), in a time that does not depend on the block.
fn double(block: &mut Block) {
    let mut number = u128::from_be_bytes((*block).into());
    let carry = number >> 127;
    number = (number << 1) ^ (carry * 0x87);
    *block = number.to_be_bytes().into();
    number.zeroize();
}

impl Drop for CmacSigner {
    fn drop(&mut self) {
        self.subkeys.iter_mut().for_each(|subkey| subkey.as_mut_slice().zeroize());
    }
}

// The cipher does so by itself.
impl ZeroizeOnDrop for CmacSigner {}

impl MessageSigner for CmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut state = Block::default();
        // Bytes of the block begun that are in the state already. The last block must wait for its subkey.
        let mut begun = 0;
        for part in parts {
            let (first, rest) = part.split_at(part.len().min(BLOCK - begun));
            xor_some(&mut state[begun..], first);
            begun += first.len();
            if rest.is_empty() {
                continue;
            }
            self.aes.encrypt_block(&mut state);
            let last = (rest.len() - 1) % BLOCK + 1;
            let (whole, last) = rest.split_at(rest.len() - last);
            self.aes.encrypt_with_backend(Chain { state: &mut state, blocks: whole.as_chunks().0 });
            xor_some(&mut state, last);
            begun = last.len();
        }
        if begun == BLOCK {
            xor_some(&mut state, &self.subkeys[0]);
        } else {
            state[begun] ^= 0x80;
            xor_some(&mut state, &self.subkeys[1]);
        }
        self.aes.encrypt_block(&mut state);
        state.into()
    }
}

/// AES-CCM with a nonce of 11 bytes and a tag of 16 (RFC 3610, M = 16 and L = 4).
pub(super) struct Ccm<A>(A);

const NONCE: usize = 11;

impl<A: BlockCipherEncrypt<BlockSize = U16> + KeyInit> Ccm<A> {
    pub(super) fn new(key: &[u8]) -> Result<Self, CryptoError> {
        A::new_from_slice(key).map(Self).map_err(|_| CryptoError::KeyLength)
    }

    /// Encrypts or decrypts; the tag.
    fn run(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], seals: bool) -> Result<Block, CryptoError> {
        let nonce: &[u8; NONCE] = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        let length = u32::try_from(data.len()).map_err(|_| CryptoError::TooLong)?;
        let aad_length = u32::try_from(aad.len()).map_err(|_| CryptoError::TooLong)?;
        // The flags: whether there is associated data, the tag's length, the counter's.
        let mut state = numbered((u8::from(aad_length > 0) << 6) | (7 << 3) | 3, nonce, length);
        self.0.encrypt_block(&mut state);
        self.absorb(&mut state, aad_length, aad);
        self.0.encrypt_with_backend(Pass { state: &mut state, nonce, data, seals });
        let mut mask = numbered(3, nonce, 0);
        self.0.encrypt_block(&mut mask);
        xor(&mut state, mask.as_ref());
        Ok(state)
    }

    /// Chains the associated data, which is padded with zeros.
    fn absorb(&self, state: &mut Block, length: u32, aad: &[u8]) {
        let mut begun = match length {
            0 => return,
            1..0xFF00 => {
                xor_some(state, &(length as u16).to_be_bytes());
                2
            }
            _ => {
                xor_some(state, &[0xFF, 0xFE]);
                xor_some(&mut state[2..], &length.to_be_bytes());
                6
            }
        };
        let (first, rest) = aad.split_at(aad.len().min(BLOCK - begun));
        xor_some(&mut state[begun..], first);
        self.0.encrypt_block(state);
        let (blocks, last) = rest.as_chunks();
        self.0.encrypt_with_backend(Chain { state, blocks });
        begun = last.len();
        if begun > 0 {
            xor_some(state, last);
            self.0.encrypt_block(state);
        }
    }
}

/// A block as CCM numbers them.
#[inline(always)]
fn numbered(flags: u8, nonce: &[u8; NONCE], number: u32) -> Block {
    let mut block = Block::default();
    block[0] = flags;
    block[1..=NONCE].copy_from_slice(nonce);
    block[NONCE + 1..].copy_from_slice(&number.to_be_bytes());
    block
}

/// Encrypts or decrypts the data and chains what is or was plain.
struct Pass<'a> {
    state: &'a mut Block,
    nonce: &'a [u8; NONCE],
    data: &'a mut [u8],
    seals: bool,
}

impl BlockSizeUser for Pass<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Pass<'_> {
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let mut state = *self.state;
        let mut stream = ParBlocks::<B>::default();
        let counter = numbered(3, self.nonce, 0);
        let mut number = 0_u32;
        let at_once = stream.len();
        for batch in self.data.chunks_mut(BLOCK * at_once) {
            let count = batch.len().div_ceil(BLOCK);
            for block in &mut stream[..count] {
                number += 1;
                *block = counter;
                block[NONCE + 1..].copy_from_slice(&number.to_be_bytes());
            }
            // What is left over of a batch costs less than many single blocks do.
            if count > at_once / 4 {
                backend.encrypt_par_blocks_inplace(&mut stream);
            } else {
                for block in &mut stream[..count] {
                    backend.encrypt_block_inplace(block);
                }
            }
            let (blocks, last) = batch.as_chunks_mut::<BLOCK>();
            for (block, key) in blocks.iter_mut().zip(&stream) {
                let before = u128::from_ne_bytes(*block);
                let after = before ^ u128::from_ne_bytes((*key).into());
                *block = after.to_ne_bytes();
                let plain = if self.seals { before } else { after };
                xor(&mut state, &plain.to_ne_bytes());
                backend.encrypt_block_inplace(&mut state);
            }
            if !last.is_empty() {
                if self.seals {
                    xor_some(&mut state, last);
                }
                xor_some(last, &stream[count - 1]);
                if !self.seals {
                    xor_some(&mut state, last);
                }
                backend.encrypt_block_inplace(&mut state);
            }
        }
        let used = at_once.min(self.data.len().div_ceil(BLOCK));
        stream[..used].iter_mut().for_each(|block| block.as_mut_slice().zeroize());
        *self.state = state;
    }
}

impl<A> MessageCipher for Ccm<A>
where
    A: BlockCipherEncrypt<BlockSize = U16> + KeyInit + Send + Sync,
{
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        Ok(self.run(nonce, aad, data, true)?.into())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        let expected: [u8; 16] = self.run(nonce, aad, data, false)?.into();
        if expected.ct_eq(tag).into() {
            return Ok(());
        }
        data.fill(0);
        Err(CryptoError::Tag)
    }
}

#[cfg(test)]
mod tests {
    use aes::Aes256;
    use aes_gcm::aead::AeadInOut;
    use aes_gcm::aead::consts::U11;
    use cmac::{Cmac, Mac};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn ccm_of<A>(key: &[u8], nonce: &[u8; 11], aad: &[u8], data: &[u8]) -> (Vec<u8>, [u8; 16])
    where
        A: BlockCipherEncrypt<BlockSize = U16> + KeyInit + Send + Sync,
    {
        let reference = ccm::Ccm::<A, U16, U11>::new_from_slice(key).unwrap();
        let mut expected = data.to_vec();
        let tag =
            reference.encrypt_inout_detached(nonce.into(), aad, expected.as_mut_slice().into()).unwrap();

        let ours = Ccm::<A>::new(key).unwrap();
        let mut sealed = data.to_vec();
        assert_eq!(ours.seal(nonce, aad, &mut sealed).unwrap(), <[u8; 16]>::from(tag));
        assert!(sealed == expected);
        assert_eq!(ours.open(nonce, aad, &mut sealed, &tag.into()), Ok(()));
        assert!(sealed == data);
        (expected, tag.into())
    }

    proptest! {
        #[test]
        fn cmac_is_that_of_the_crate(key: [u8; 16], parts in vec(vec(any::<u8>(), 0..100), 0..5)) {
            let mut reference = Cmac::<Aes128>::new_from_slice(&key).unwrap();
            reference.update(&parts.concat());
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let expected: [u8; 16] = reference.finalize().into_bytes().into();
            prop_assert_eq!(CmacSigner::new(&key).sign(&[0; 12], &parts), expected);
        }

        #[test]
        fn ccm_is_that_of_the_crate(
            key: [u8; 32],
            nonce: [u8; 11],
            aad in vec(any::<u8>(), 0..70),
            data in vec(any::<u8>(), 0..2500),
            bit: usize,
        ) {
            ccm_of::<Aes128>(&key[..16], &nonce, &aad, &data);
            let (mut sealed, mut tag) = ccm_of::<Aes256>(&key, &nonce, &aad, &data);
            let bit = bit % ((sealed.len() + 16) * 8);
            *sealed.iter_mut().chain(&mut tag).nth(bit / 8).unwrap() ^= 1 << (bit % 8);
            let ours = Ccm::<Aes256>::new(&key).unwrap();
            prop_assert_eq!(ours.open(&nonce, &aad, &mut sealed, &tag), Err(CryptoError::Tag));
            prop_assert!(sealed.iter().all(|byte| *byte == 0));
        }
    }

    // Each border that the code has, of the blocks and of the batches of every processor.
    #[test]
    fn ccm_is_that_of_the_crate_at_each_border() {
        let data: Vec<u8> = (0..2100_u32).map(|i| (i * 7) as u8).collect();
        for blocks in [0, 1, 2, 4, 7, 8, 9, 15, 16, 17, 30, 31, 32, 63, 64, 65, 128] {
            for length in [blocks * 16, (blocks * 16_usize).saturating_sub(1), blocks * 16 + 1] {
                ccm_of::<Aes128>(&[1; 16], &[2; 11], &[3; 32], &data[..length]);
            }
        }
        let aad = vec![5; 70_000];
        for length in [0, 1, 13, 14, 15, 29, 30, 31, 0xFEFF, 0xFF00, 0xFF01, 70_000] {
            ccm_of::<Aes128>(&[1; 16], &[2; 11], &aad[..length], &data[..100]);
        }
    }

    #[test]
    fn a_nonce_of_another_length_is_refused() {
        let ours = Ccm::<Aes128>::new(&[0; 16]).unwrap();
        assert_eq!(ours.seal(&[0; 12], &[], &mut [0]), Err(CryptoError::NonceLength));
        assert!(Ccm::<Aes256>::new(&[0; 16]).is_err());
    }

    // It depends on the crate's feature, which nobody would miss.
    #[test]
    fn keys_are_wiped() {
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<Aes128>();
        wiped::<Aes256>();
        wiped::<CmacSigner>();
    }
}
