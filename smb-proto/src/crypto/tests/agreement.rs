//! Every provider against the reference, with messages as long as those of SMB.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{ALGORITHMS, CIPHERS};
use crate::crypto::{Cipher, CryptoError, Key, SigningAlgorithm, providers, rust_crypto};

const LONGEST: usize = 100 << 10;

/// The same bytes for the same seed. Proptest could make them too, but takes long over it, and longer to shrink them.
fn content(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![0usize..=300, 0usize..=4096, 0usize..=LONGEST, (0usize..=LONGEST / 16).prop_map(|n| n * 16)]
}

/// `whole` cut at each of `cuts` that lies within.
fn cut<'a>(whole: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| *cut.min(&whole.len())).collect();
    cuts.extend([0, whole.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &whole[ends[0]..ends[1]]).collect()
}

/// The published vectors are short: AES-GCM of `aes-gcm` says what AES-GMAC is of a long message.
fn gmac_by_gcm(key: &[u8; 16], nonce: &[u8; 12], message: &[u8]) -> [u8; 16] {
    rust_crypto().cipher(Cipher::Aes128Gcm, &Key::new(key)).unwrap().seal(nonce, message, &mut []).unwrap()
}

// All lengths of a header with some of what may follow, at both sides of each border that the code has.
#[test]
fn gmac_of_a_header_and_a_body_is_that_of_both() {
    let (key, nonce) = ([9; 16], [8; 12]);
    let bodies =
        [0, 1, 15, 16, 17, 895, 896, 897, 1007, 1008, 1009, 1023, 1024, 1025, 1039, 1040, 1041, 4099];
    let bytes = content(1, 5000);
    for head in (0..=130).chain(1000..=1050) {
        for body in bodies {
            let (head, body) = (&bytes[..head], &bytes[bytes.len() - body..]);
            let expected = gmac_by_gcm(&key, &nonce, &[head, body].concat());
            for (name, provider) in providers() {
                let signer = provider.signer(SigningAlgorithm::AesGmac, &Key::new(&key)).unwrap();
                for parts in [&[head, body][..], &[&[], head, &[], body, &[]]] {
                    assert_eq!(
                        signer.sign(&nonce, parts),
                        expected,
                        "{name}, {} and {}",
                        head.len(),
                        body.len()
                    );
                }
            }
        }
    }
}

#[test]
fn gmac_of_a_large_write_is_that_of_the_whole() {
    let (key, nonce) = ([9; 16], [8; 12]);
    let whole = content(2, 112 + (8 << 20) + 5);
    let expected = gmac_by_gcm(&key, &nonce, &whole);
    for (name, provider) in providers() {
        let signer = provider.signer(SigningAlgorithm::AesGmac, &Key::new(&key)).unwrap();
        for cuts in [&[112][..], &[64, 112], &[112, 112 + (4 << 20)], &[100, 1 << 20, (1 << 20) + 3]] {
            assert_eq!(signer.sign(&nonce, &cut(&whole, cuts)), expected, "{name}, cut at {cuts:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn signatures_are_those_of_the_reference(
        key: [u8; 16],
        nonce: [u8; 12],
        seed: u64,
        len in lengths(),
        near in vec(0usize..=300, 0..3),
        far in vec(0usize..=LONGEST, 0..6),
        bit: usize,
    ) {
        let mut message = content(seed, len);
        let cuts = [near, far].concat();
        for algorithm in ALGORITHMS {
            let expected = rust_crypto().signer(algorithm, &Key::new(&key)).unwrap().sign(&nonce, &[&message]);
            if algorithm == SigningAlgorithm::AesGmac {
                prop_assert_eq!(expected, gmac_by_gcm(&key, &nonce, &message));
            }
            for (name, provider) in providers() {
                let signer = provider.signer(algorithm, &Key::new(&key)).unwrap();
                prop_assert_eq!(signer.sign(&nonce, &[&message]), expected, "{} {}", name, algorithm);
                let parts = cut(&message, &cuts);
                prop_assert_eq!(signer.sign(&nonce, &parts), expected, "{} {} in parts", name, algorithm);
                prop_assert_eq!(signer.verify(&nonce, &parts, &expected), Ok(()));
                if len > 0 {
                    let bit = bit % (len * 8);
                    message[bit / 8] ^= 1 << (bit % 8);
                    let refused = Err(CryptoError::Tag);
                    prop_assert_eq!(signer.verify(&nonce, &[&message], &expected), refused);
                    prop_assert_eq!(signer.verify(&nonce, &cut(&message, &cuts), &expected), refused);
                    message[bit / 8] ^= 1 << (bit % 8);
                }
            }
        }
    }

    #[test]
    fn each_seals_as_the_reference_and_opens_what_it_sealed(
        key: [u8; 32],
        nonce: [u8; 12],
        seed: u64,
        len in lengths(),
        aad_len in prop_oneof![Just(32usize), 0usize..=300, 0usize..=5000],
        bit: usize,
    ) {
        let (plain, aad) = (content(seed, len), content(!seed, aad_len));
        for kind in CIPHERS {
            let (key, nonce) = (Key::new(&key[..kind.key_len()]), &nonce[..kind.nonce_len()]);
            let mut expected = plain.clone();
            let tag = rust_crypto().cipher(kind, &key).unwrap().seal(nonce, &aad, &mut expected).unwrap();
            for (name, provider) in providers() {
                let cipher = provider.cipher(kind, &key).unwrap();
                let mut data = plain.clone();
                prop_assert_eq!(cipher.seal(nonce, &aad, &mut data), Ok(tag), "{} {}", name, kind);
                prop_assert!(data == expected, "{} seals otherwise by {}", name, kind);
                prop_assert_eq!(cipher.open(nonce, &aad, &mut data, &tag), Ok(()), "{} {}", name, kind);
                prop_assert!(data == plain, "{} opens otherwise by {}", name, kind);

                let (mut data, mut aad, mut tag) = (expected.clone(), aad.clone(), tag);
                let bit = bit % ((len + aad_len + 16) * 8);
                let byte = data.iter_mut().chain(&mut aad).chain(&mut tag).nth(bit / 8).unwrap();
                *byte ^= 1 << (bit % 8);
                let refused = cipher.open(nonce, &aad, &mut data, &tag);
                prop_assert_eq!(refused, Err(CryptoError::Tag), "{} {}", name, kind);
            }
        }
    }
}
