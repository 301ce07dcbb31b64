//! What every provider must do.

mod agreement;
mod vectors;

use proptest::prelude::*;

use super::{Cipher, CryptoError, Key, SigningAlgorithm, default_provider, providers};

const CIPHERS: [Cipher; 4] = [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm];
const ALGORITHMS: [SigningAlgorithm; 3] =
    [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac];

#[test]
fn wrong_lengths_are_refused() {
    for (name, provider) in providers() {
        for cipher in CIPHERS {
            for len in (0..40).filter(|len| *len != cipher.key_len()) {
                let refused = provider.cipher(cipher, &Key::from(vec![0; len])).err();
                assert_eq!(refused, Some(CryptoError::KeyLength), "{name}");
            }
            let sealer = provider.cipher(cipher, &Key::from(vec![0; cipher.key_len()])).unwrap();
            for len in (0..20).filter(|len| *len != cipher.nonce_len()) {
                let nonce = vec![0; len];
                assert_eq!(sealer.seal(&nonce, b"", &mut []), Err(CryptoError::NonceLength), "{name}");
                let opened = sealer.open(&nonce, b"", &mut [], &[0; 16]);
                assert_eq!(opened, Err(CryptoError::NonceLength), "{name}");
            }
        }
        for algorithm in ALGORITHMS {
            for len in (0..40).filter(|len| *len != 16) {
                let refused = provider.signer(algorithm, &Key::from(vec![0; len])).err();
                assert_eq!(refused, Some(CryptoError::KeyLength), "{name}");
            }
        }
    }
}

#[test]
fn random_bytes_differ() {
    for (name, provider) in providers() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        provider.random(&mut a).unwrap();
        provider.random(&mut b).unwrap();
        assert_ne!(a, b, "{name}");
    }
}

#[test]
fn the_default_makes_everything() {
    let provider = default_provider();
    for cipher in CIPHERS {
        provider.cipher(cipher, &Key::from(vec![0; cipher.key_len()])).unwrap();
    }
    for algorithm in ALGORITHMS {
        provider.signer(algorithm, &Key::new(&[0; 16])).unwrap();
    }
}

fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..bytes.len() * 8).map(|bit| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_sealed_opens_and_no_altered_bit_does(
        which in 0usize..4,
        key: [u8; 32],
        nonce: [u8; 12],
        aad in proptest::collection::vec(any::<u8>(), 0..40),
        plain in proptest::collection::vec(any::<u8>(), 0..80),
    ) {
        let kind = CIPHERS[which];
        for (_, provider) in providers() {
            let cipher = provider.cipher(kind, &Key::new(&key[..kind.key_len()])).unwrap();
            let nonce = &nonce[..kind.nonce_len()];
            let mut sealed = plain.clone();
            let tag = cipher.seal(nonce, &aad, &mut sealed).unwrap();
            let mut opened = sealed.clone();
            prop_assert_eq!(cipher.open(nonce, &aad, &mut opened, &tag), Ok(()));
            prop_assert_eq!(&opened, &plain);
            for tag in flipped(&tag) {
                let tag = tag.try_into().unwrap();
                prop_assert_eq!(cipher.open(nonce, &aad, &mut sealed.clone(), &tag), Err(CryptoError::Tag));
            }
            for nonce in flipped(nonce) {
                prop_assert_eq!(cipher.open(&nonce, &aad, &mut sealed.clone(), &tag), Err(CryptoError::Tag));
            }
            for aad in flipped(&aad) {
                prop_assert_eq!(cipher.open(nonce, &aad, &mut sealed.clone(), &tag), Err(CryptoError::Tag));
            }
            for mut sealed in flipped(&sealed) {
                prop_assert_eq!(cipher.open(nonce, &aad, &mut sealed, &tag), Err(CryptoError::Tag));
            }
        }
    }

    #[test]
    fn a_message_in_parts_signs_as_the_whole(
        which in 0usize..3,
        key: [u8; 16],
        nonce: [u8; 12],
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
    ) {
        let whole = parts.concat();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        for (_, provider) in providers() {
            let signer = provider.signer(ALGORITHMS[which], &Key::new(&key)).unwrap();
            let signature = signer.sign(&nonce, &parts);
            prop_assert_eq!(signature, signer.sign(&nonce, &[&whole]));
            prop_assert_eq!(signer.verify(&nonce, &[&whole], &signature), Ok(()));
            prop_assert_eq!(signer.verify(&nonce, &parts, &signature), Ok(()));
            for signature in flipped(&signature) {
                let signature = signature.try_into().unwrap();
                prop_assert_eq!(signer.verify(&nonce, &[&whole], &signature), Err(CryptoError::Tag));
                prop_assert_eq!(signer.verify(&nonce, &parts, &signature), Err(CryptoError::Tag));
            }
        }
    }
}
