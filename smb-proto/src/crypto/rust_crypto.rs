//! The primitives by the RustCrypto crates.

use std::sync::Arc;

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U11, U16};
use aes_gcm::aead::{AeadCore, AeadInOut};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Cipher, CryptoError, CryptoProvider, Key, MessageCipher, MessageSigner, SigningAlgorithm};

/// The provider built on the RustCrypto crates and the operating system's random number generator.
pub fn rust_crypto() -> Arc<dyn CryptoProvider> {
    Arc::new(RustCrypto)
}

struct RustCrypto;

impl CryptoProvider for RustCrypto {
    fn random(&self, out: &mut [u8]) -> Result<(), CryptoError> {
        getrandom::fill(out).map_err(|_| CryptoError::Random)
    }

    fn signer(&self, algorithm: SigningAlgorithm, key: &Key) -> Result<Box<dyn MessageSigner>, CryptoError> {
        // HMAC would take any length; a signing key of another length is a mistake all the same.
        let key: &[u8; 16] = key.as_bytes().try_into().map_err(|_| CryptoError::KeyLength)?;
        Ok(match algorithm {
            SigningAlgorithm::HmacSha256 => Box::new(HmacSigner(keyed(key)?)),
            SigningAlgorithm::AesCmac => Box::new(CmacSigner(keyed(key)?)),
            SigningAlgorithm::AesGmac => Box::new(GmacSigner(keyed(key)?)),
        })
    }

    fn cipher(&self, cipher: Cipher, key: &Key) -> Result<Box<dyn MessageCipher>, CryptoError> {
        let key = key.as_bytes();
        Ok(match cipher {
            Cipher::Aes128Ccm => Box::new(AeadCipher::<Ccm<Aes128, U16, U11>>(keyed(key)?)),
            Cipher::Aes128Gcm => Box::new(AeadCipher::<Aes128Gcm>(keyed(key)?)),
            Cipher::Aes256Ccm => Box::new(AeadCipher::<Ccm<Aes256, U16, U11>>(keyed(key)?)),
            Cipher::Aes256Gcm => Box::new(AeadCipher::<Aes256Gcm>(keyed(key)?)),
        })
    }
}

fn keyed<P: KeyInit>(key: &[u8]) -> Result<P, CryptoError> {
    P::new_from_slice(key).map_err(|_| CryptoError::KeyLength)
}

struct HmacSigner(Hmac<Sha256>);

impl MessageSigner for HmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        let mac: [u8; 32] = mac.finalize().into_bytes().into();
        let mut signature = [0; 16];
        signature.copy_from_slice(&mac[..16]);
        signature
    }
}

struct CmacSigner(Cmac<Aes128>);

impl MessageSigner for CmacSigner {
    fn sign(&self, _nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// GMAC is GCM over no plaintext, with the message as its associated data (SP800-38D 3).
struct GmacSigner(Aes128Gcm);

impl GmacSigner {
    /// `None` for a message over GCM's limit of 2^36 bytes, which no transport of SMB can carry.
    fn tag(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> Option<[u8; 16]> {
        let joined;
        let message = match parts {
            [whole] => whole,
            _ => {
                joined = parts.concat();
                &joined[..]
            }
        };
        let mut nothing: [u8; 0] = [];
        let tag = self.0.encrypt_inout_detached(nonce.into(), message, nothing.as_mut_slice().into());
        tag.ok().map(Into::into)
    }
}

impl MessageSigner for GmacSigner {
    fn sign(&self, nonce: &[u8; 12], parts: &[&[u8]]) -> [u8; 16] {
        self.tag(nonce, parts).unwrap_or_default()
    }

    // Not the provided one, lest the zeros of an over-long message verify.
    fn verify(&self, nonce: &[u8; 12], parts: &[&[u8]], signature: &[u8; 16]) -> Result<(), CryptoError> {
        let tag = self.tag(nonce, parts).ok_or(CryptoError::Tag)?;
        if tag.ct_eq(signature).into() { Ok(()) } else { Err(CryptoError::Tag) }
    }
}

struct AeadCipher<A>(A);

impl<A: AeadInOut + AeadCore<TagSize = U16> + Send + Sync> MessageCipher for AeadCipher<A> {
    fn seal(&self, nonce: &[u8], aad: &[u8], data: &mut [u8]) -> Result<[u8; 16], CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        let tag = self.0.encrypt_inout_detached(nonce, aad, data.into()).map_err(|_| CryptoError::TooLong)?;
        Ok(tag.into())
    }

    fn open(&self, nonce: &[u8], aad: &[u8], data: &mut [u8], tag: &[u8; 16]) -> Result<(), CryptoError> {
        let nonce = nonce.try_into().map_err(|_| CryptoError::NonceLength)?;
        self.0.decrypt_inout_detached(nonce, aad, data.into(), tag.into()).map_err(|_| CryptoError::Tag)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CIPHERS: [Cipher; 4] = [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm];
    const ALGORITHMS: [SigningAlgorithm; 3] =
        [SigningAlgorithm::HmacSha256, SigningAlgorithm::AesCmac, SigningAlgorithm::AesGmac];

    fn bytes(digits: &str) -> Vec<u8> {
        hex::decode(digits).unwrap()
    }

    fn signer(algorithm: SigningAlgorithm, key: &str) -> Box<dyn MessageSigner> {
        rust_crypto().signer(algorithm, &Key::from(bytes(key))).unwrap()
    }

    #[track_caller]
    fn check_aead(cipher: Cipher, key: &str, nonce: &str, aad: &str, plain: &str, sealed: &str, tag: &str) {
        let cipher = rust_crypto().cipher(cipher, &Key::from(bytes(key))).unwrap();
        let (nonce, aad) = (bytes(nonce), bytes(aad));
        let mut data = bytes(plain);
        let made = cipher.seal(&nonce, &aad, &mut data).unwrap();
        assert_eq!(hex::encode(&data), sealed.to_lowercase());
        assert_eq!(hex::encode(made), tag.to_lowercase());
        cipher.open(&nonce, &aad, &mut data, &made).unwrap();
        assert_eq!(data, bytes(plain));
    }

    #[test]
    fn cmac_agrees_with_rfc_4493() {
        let signer = signer(SigningAlgorithm::AesCmac, "2b7e151628aed2a6abf7158809cf4f3c");
        let message = bytes(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
             30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
        );
        for (len, mac) in [
            (0, "bb1d6929e95937287fa37d129b756746"),
            (16, "070a16b46b4d4144f79bdd9dd04a287c"),
            (40, "dfa66747de9ae63030ca32611497c827"),
            (64, "51f0bebf7e3b9d92fc49741779363cfe"),
        ] {
            assert_eq!(hex::encode(signer.sign(&[0; 12], &[&message[..len]])), mac);
        }
    }

    // The full-length vectors of RFC 4231 are in kdf.rs; its keys have lengths that no signing key has.
    #[test]
    fn the_hmac_signature_is_the_first_half_of_the_mac() {
        let key = [0x0b; 16];
        let whole: [u8; 32] = Hmac::<Sha256>::new_from_slice(&key)
            .unwrap()
            .chain_update(b"Hi There")
            .finalize()
            .into_bytes()
            .into();
        let signer = rust_crypto().signer(SigningAlgorithm::HmacSha256, &Key::new(&key)).unwrap();
        assert_eq!(signer.sign(&[0; 12], &[b"Hi ", b"There"]), whole[..16]);
    }

    // NIST CAVP gcmEncryptExtIV128.rsp, PTlen = 0, AADlen = 0 and 128.
    #[test]
    fn gmac_agrees_with_nist() {
        let nonce = |digits: &str| <[u8; 12]>::try_from(bytes(digits)).unwrap();
        let none = signer(SigningAlgorithm::AesGmac, "11754cd72aec309bf52f7687212e8957");
        let tag = none.sign(&nonce("3c819d9a9bed087615030b65"), &[]);
        assert_eq!(hex::encode(tag), "250327c674aaf477aef2675748cf6971");
        let some = signer(SigningAlgorithm::AesGmac, "77be63708971c4e240d1cb79e8d77feb");
        let message = bytes("7a43ec1d9c0a5a78a0b16533a6213cab");
        let tag = some.sign(&nonce("e0e00f19fed7ba0136a797f3"), &[&message]);
        assert_eq!(hex::encode(tag), "209fcc8d3675ed938e9c7166709dd946");
    }

    // McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", test cases 1, 4, 13 and 16.
    #[test]
    fn gcm_agrees_with_its_specification() {
        let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
        let key = "feffe9928665731c6d6a8f9467308308";
        let nonce = "cafebabefacedbaddecaf888";
        let zeros = "00000000000000000000000000000000";
        let empty = "58e2fccefa7e3061367f1d57a4e7455a";
        check_aead(Cipher::Aes128Gcm, zeros, &zeros[..24], "", "", "", empty);
        check_aead(
            Cipher::Aes128Gcm,
            key,
            nonce,
            aad,
            plain,
            "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e\
             21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            "5bc94fbc3221a5db94fae95ae7121a47",
        );
        let empty = "530f8afbc74536b9a963b4f1c4cb738b";
        check_aead(Cipher::Aes256Gcm, &zeros.repeat(2), &zeros[..24], "", "", "", empty);
        check_aead(
            Cipher::Aes256Gcm,
            &key.repeat(2),
            nonce,
            aad,
            plain,
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        );
    }

    // Microsoft Open Specifications blog, "Encryption in SMB 3.0: A protocol perspective": the encrypted WRITE,
    // whose CCM nonce is the first 11 bytes of the transform header's Nonce field.
    #[test]
    fn ccm_agrees_with_microsofts_smb_3_0_example() {
        check_aead(
            Cipher::Aes128Ccm,
            "261B72350558F2E9DCF613070383EDBF",
            "66E69A111892584FB5ED52",
            "66E69A111892584FB5ED524A744DA3EE87000000000001001100001400E40800",
            "FE534D4240000100000000000900400008000000000000000400000000000000\
             FFFE0000010000001100001400E4080000000000000000000000000000000000\
             3100700017000000000000000000000015010000390000020100000039020000\
             00000000000000007000000000000000536D623320656E6372797074696F6E20\
             74657374696E67",
            "25C8FEE16605A437832D1CD52DA9F4645333482A175FE5384563F45FCDAFAEF3\
             8BC62BA4D5C62897996625A44C29BE5658DE2E6117585779E7B59FFD971278D0\
             8580D7FA899E410E910EABF5AA1DB43050B33B49182637759AC15D84BFCDF5B6\
             B238993C0F4CF4D6012023F6C627297075D84B7803912D0A9639634453595EF3\
             E33FFE4E7AC2AB",
            "81A286535415445DAE393921E44FA42E",
        );
    }

    // The responses to the WRITE in the same article and in the blog's "SMB 3.1.1 Encryption in Windows 10", as
    // whole transformed messages.
    #[test]
    fn microsofts_encrypted_responses_open() {
        for (cipher, key, message) in [
            (
                Cipher::Aes128Ccm,
                "8FE2B57EC34D2DB5B1A9727F526BBDB5",
                "FD534D42A6015530A18F6D9AFFE22AFAE8E66484860000000000000011000014\
                 00E4080050000000000001001100001400E40800DBF46435C5F14169293CE079\
                 E344479BF670227E49873F458672C3098DAC467DD5809F369D67409166515787\
                 1483E01F7BECD02064EAC3E235F913668BBC2F097980D4B378F1993EFF6E60D1\
                 77309E5B",
            ),
            (
                Cipher::Aes128Gcm,
                "748C50868C90F302962A5C35F5F9A8BF",
                "FD534D42ACBE1CB7ED343ADF1725EF144D90D4B0E06831DD2E8EB7B400000000\
                 0000000050000000000001002500000000100000\
                 26BBBF949983A6C1C796559D0F2C510CB651D1F7B6AC8DED32A2A0B8F2D793A8\
                 15C6F6B848D69767A215841A42D400AE6DDB5F0B44173A014973321FDD7950DA\
                 6179159B82E03C9E18A050FF0EA1C967",
            ),
        ] {
            let message = bytes(message);
            let (header, mut data) = (&message[..52], message[52..].to_vec());
            let tag = header[4..20].try_into().unwrap();
            let opener = rust_crypto().cipher(cipher, &Key::from(bytes(key))).unwrap();
            opener.open(&header[20..20 + cipher.nonce_len()], &header[20..], &mut data, tag).unwrap();
            assert!(data.starts_with(b"\xfeSMB"));
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for cipher in CIPHERS {
            for len in (0..40).filter(|len| *len != cipher.key_len()) {
                let refused = rust_crypto().cipher(cipher, &Key::from(vec![0; len])).err();
                assert_eq!(refused, Some(CryptoError::KeyLength));
            }
            let sealer = rust_crypto().cipher(cipher, &Key::from(vec![0; cipher.key_len()])).unwrap();
            for len in (0..20).filter(|len| *len != cipher.nonce_len()) {
                assert_eq!(sealer.seal(&vec![0; len], b"", &mut []), Err(CryptoError::NonceLength));
            }
        }
        for algorithm in ALGORITHMS {
            let refused = rust_crypto().signer(algorithm, &Key::from(vec![0; 15])).err();
            assert_eq!(refused, Some(CryptoError::KeyLength));
        }
    }

    #[test]
    fn random_bytes_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        rust_crypto().random(&mut a).unwrap();
        rust_crypto().random(&mut b).unwrap();
        assert_ne!(a, b);
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
            let cipher = rust_crypto().cipher(kind, &Key::new(&key[..kind.key_len()])).unwrap();
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
            for aad in flipped(&aad) {
                prop_assert_eq!(cipher.open(nonce, &aad, &mut sealed.clone(), &tag), Err(CryptoError::Tag));
            }
            for mut sealed in flipped(&sealed) {
                prop_assert_eq!(cipher.open(nonce, &aad, &mut sealed, &tag), Err(CryptoError::Tag));
            }
        }

        #[test]
        fn a_message_in_parts_signs_as_the_whole(
            which in 0usize..3,
            key: [u8; 16],
            nonce: [u8; 12],
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5),
        ) {
            let signer = rust_crypto().signer(ALGORITHMS[which], &Key::new(&key)).unwrap();
            let whole = parts.concat();
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let signature = signer.sign(&nonce, &parts);
            prop_assert_eq!(signature, signer.sign(&nonce, &[&whole]));
            prop_assert_eq!(signer.verify(&nonce, &[&whole], &signature), Ok(()));
            for signature in flipped(&signature) {
                let signature = signature.try_into().unwrap();
                prop_assert_eq!(signer.verify(&nonce, &[&whole], &signature), Err(CryptoError::Tag));
            }
        }
    }
}
