//! AES-128-GMAC of a message in parts, by implementations of GCM that want their associated data in one piece.
//!
//! GHASH is a polynomial over the message's blocks, evaluated at H (SP800-38D 6.4). So the hash of two pieces
//! joined is H^n times that of the first, n being the blocks of the second, plus that of the second. A few
//! multiplications put together what the implementation gave for each piece, and nothing large is copied.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use polyval::hazmat::FieldElement;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

use super::{CryptoError, MessageSigner};

/// Pieces shorter than this are copied together: that is faster than a call and a multiplication for each.
const GATHERED: usize = 1024;

/// How many blocks a slice can have, as a power of two.
const POWERS: usize = usize::BITS as usize - 4;

/// An implementation of GCM with its key.
pub(super) trait Gcm: Send + Sync {
    /// The tag over no plaintext and `message` as associated data; `None` if the implementation fails.
    fn gmac(&self, nonce: &[u8; 12], message: &[u8]) -> Option<[u8; 16]>;
}

/// Signs by a [`Gcm`].
pub(super) struct GmacSigner<G> {
    gcm: G,
    /// H to the power of 1, 2, 4, 8..., each as a [`factor`].
    powers: Zeroizing<Vec<FieldElement>>,
}

impl<G: Gcm> GmacSigner<G> {
    /// `gcm` must have the same `key`.
    pub(super) fn new(gcm: G, key: &[u8; 16]) -> Self {
        let mut subkey = Block::default();
        Aes128::new(key.into()).encrypt_block(&mut subkey);
        let mut power = factor(element(subkey.into()));
        subkey.zeroize();
        let mut powers = Zeroizing::new(Vec::with_capacity(POWERS));
        for _ in 0..POWERS {
            powers.push(power);
            power *= power;
        }
        power.zeroize();
        Self { gcm, powers }
    }

    fn tag(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> Option<[u8; 16]> {
        if let [whole] = parts {
            return self.gcm.gmac(nonce, whole);
        }
        let mut joint = Joint {
            signer: self,
            nonce,
            gathered: [0; GATHERED],
            held: 0,
            len: 0,
            mask: None,
            sum: FieldElement::default(),
        };
        for part in parts {
            joint.add(part)?;
        }
        joint.finish()
    }

    /// `value` times H^`exponent`.
    fn times_power(&self, value: FieldElement, exponent: usize) -> FieldElement {
        self.powers.iter().enumerate().fold(value, |value, (bit, power)| {
            // The exponent is a length, and lengths are no secret.
            if exponent >> bit & 1 == 1 { value * *power } else { value }
        })
    }

    /// What a length of the message in bytes contributes to the hash as its last block.
    fn length(&self, len: u64) -> FieldElement {
        let mut block = [0; 16];
        block[..8].copy_from_slice(&(len * 8).to_be_bytes());
        self.times_power(element(block), 1)
    }
}

impl<G: Gcm> MessageSigner for GmacSigner<G> {
    fn sign(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        self.tag(nonce, parts).unwrap_or_default()
    }

    // Not the provided one, lest the zeros of a failure verify.
    fn verify(&self, nonce: &[u8; 12], parts: &[&[u8]], signature: &[u8; 16]) -> Result<(), CryptoError> {
        let tag = self.tag(nonce, parts).ok_or(CryptoError::Tag)?;
        if tag.ct_eq(signature).into() { Ok(()) } else { Err(CryptoError::Tag) }
    }
}

/// A message that comes in parts.
struct Joint<'a, G> {
    signer: &'a GmacSigner<G>,
    nonce: &'a [u8; 12],
    gathered: [u8; GATHERED],
    /// How much of `gathered` is in use.
    held: usize,
    len: u64,
    /// The encrypted counter block that is added to every tag under this nonce.
    mask: Option<FieldElement>,
    /// H times the hash of what has been absorbed.
    sum: FieldElement,
}

impl<G: Gcm> Joint<'_, G> {
    fn add(&mut self, part: &[u8]) -> Option<()> {
        self.len += part.len() as u64;
        if part.len() <= GATHERED - self.held {
            self.gather(part);
            return Some(());
        }
        // Only the last piece absorbed may end within a block. The buffer is whole blocks long, so what its last
        // one lacks fits, and the part has it.
        let (completion, rest) = part.split_at(self.held.wrapping_neg() % 16);
        self.gather(completion);
        self.absorb_gathered()?;
        let whole = if rest.len() < GATHERED { 0 } else { rest.len() - rest.len() % 16 };
        let (whole, rest) = rest.split_at(whole);
        if !whole.is_empty() {
            self.absorb(whole)?;
        }
        self.gather(rest);
        Some(())
    }

    fn gather(&mut self, bytes: &[u8]) {
        self.gathered[self.held..self.held + bytes.len()].copy_from_slice(bytes);
        self.held += bytes.len();
    }

    fn absorb_gathered(&mut self) -> Option<()> {
        if self.held > 0 {
            // A copy of at most a kilobyte spares telling the borrow checker that the buffer stands apart.
            let gathered = self.gathered;
            self.absorb(&gathered[..self.held])?;
            self.held = 0;
        }
        Some(())
    }

    /// Appends a piece to what has been absorbed.
    fn absorb(&mut self, piece: &[u8]) -> Option<()> {
        let mask = match self.mask {
            Some(mask) => mask,
            // The hash of nothing is zero, its length's too.
            None => *self.mask.insert(element(self.signer.gcm.gmac(self.nonce, &[])?)),
        };
        let tag = element(self.signer.gcm.gmac(self.nonce, piece)?);
        let before = self.signer.times_power(self.sum, piece.len().div_ceil(16));
        self.sum = before + tag + mask + self.signer.length(piece.len() as u64);
        Some(())
    }

    fn finish(mut self) -> Option<[u8; 16]> {
        if self.mask.is_none() {
            return self.signer.gcm.gmac(self.nonce, &self.gathered[..self.held]);
        }
        self.absorb_gathered()?;
        let tag = self.sum + self.mask? + self.signer.length(self.len);
        Some(tag.reverse().into())
    }
}

impl<G> Drop for Joint<'_, G> {
    // With a tag, which everybody sees, either of them gives H away.
    fn drop(&mut self) {
        self.mask.zeroize();
        self.sum.zeroize();
    }
}

/// A block of GCM as an element of POLYVAL's field, in which the bytes stand in the opposite order (RFC 8452,
/// appendix A).
fn element(block: [u8; 16]) -> FieldElement {
    FieldElement::from(block).reverse()
}

/// What to multiply an [`element`] by for GHASH's product with `element`: POLYVAL's product, which `*` is, lacks a
/// factor of x (RFC 8452, appendix A). The product of two factors lacks it as well, and is a factor for that.
fn factor(element: FieldElement) -> FieldElement {
    element.mulx()
}
