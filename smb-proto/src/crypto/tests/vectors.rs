//! Published vectors, each by every provider.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::crypto::{Cipher, Key, SigningAlgorithm, providers};

fn bytes(digits: &str) -> Vec<u8> {
    hex::decode(digits).unwrap()
}

#[track_caller]
fn check_mac(algorithm: SigningAlgorithm, key: &str, nonce: &str, message: &[u8], mac: &str) {
    let nonce = bytes(nonce).try_into().unwrap();
    for (name, provider) in providers() {
        let signer = provider.signer(algorithm, &Key::from(bytes(key))).unwrap();
        assert_eq!(hex::encode(signer.sign(&nonce, &[message])), mac, "{name}");
        let (head, tail) = message.split_at(message.len() / 3);
        assert_eq!(hex::encode(signer.sign(&nonce, &[head, tail])), mac, "{name}, in parts");
    }
}

#[track_caller]
fn check_aead(cipher: Cipher, key: &str, nonce: &str, aad: &str, plain: &str, sealed: &str, tag: &str) {
    let (nonce, aad) = (bytes(nonce), bytes(aad));
    for (name, provider) in providers() {
        let cipher = provider.cipher(cipher, &Key::from(bytes(key))).unwrap();
        let mut data = bytes(plain);
        let made = cipher.seal(&nonce, &aad, &mut data).unwrap();
        assert_eq!(hex::encode(&data), sealed.to_lowercase(), "{name}");
        assert_eq!(hex::encode(made), tag.to_lowercase(), "{name}");
        cipher.open(&nonce, &aad, &mut data, &made).unwrap();
        assert_eq!(data, bytes(plain), "{name}");
    }
}

const NO_NONCE: &str = "000000000000000000000000";

#[test]
fn cmac_agrees_with_rfc_4493() {
    let key = "2b7e151628aed2a6abf7158809cf4f3c";
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
        check_mac(SigningAlgorithm::AesCmac, key, NO_NONCE, &message[..len], mac);
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
    let half = hex::encode(&whole[..16]);
    check_mac(SigningAlgorithm::HmacSha256, &hex::encode(key), NO_NONCE, b"Hi There", &half);
}

// NIST CAVP gcmEncryptExtIV128.rsp, PTlen = 0, AADlen = 0 and 128.
#[test]
fn gmac_agrees_with_nist() {
    for (key, nonce, message, tag) in [
        (
            "11754cd72aec309bf52f7687212e8957",
            "3c819d9a9bed087615030b65",
            "",
            "250327c674aaf477aef2675748cf6971",
        ),
        (
            "77be63708971c4e240d1cb79e8d77feb",
            "e0e00f19fed7ba0136a797f3",
            "7a43ec1d9c0a5a78a0b16533a6213cab",
            "209fcc8d3675ed938e9c7166709dd946",
        ),
    ] {
        check_mac(SigningAlgorithm::AesGmac, key, nonce, &bytes(message), tag);
    }
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

// NIST CAVP ccmtestvectors, VNT128.rsp and VNT256.rsp: the first of those with Nlen = 11 (Tlen = 16).
#[test]
fn ccm_agrees_with_nist() {
    check_aead(
        Cipher::Aes128Ccm,
        "e6ab9e70a4fb51b01c2e262233e64c0d",
        "74e689eb5af9441dd690a6",
        "42f6518ee0fbe42f28e13b4bb2eb60517b37c9744394d9143393a879c3e107c7",
        "ba15916733550d7aa82b2f6b117cd3f54c83ddc16cd0288a",
        "dcc151443288f35d39ed8fae6f0ce1d1eb656f4f7fd65c0b",
        "16f322ce85d7c54e71ac560fd4da9651",
    );
    check_aead(
        Cipher::Aes256Ccm,
        "97bc7482a87ba005475dfa3448f59d4b3f9c4c969d08b39b1b21ef965c0f5125",
        "0bcf78103ec52d6df28887",
        "049c10f0cb37ae08eae2d0766563b7c5a8454f841c2061a4f71a0a2158ae6ce5",
        "b99bf4dc781795fc4d3a8467b06e1665d4e543657f23129f",
        "0d3891fa0caac1f7ebe41b480920ffd34d4155064c24f3b1",
        "7a483163dd8f228d1f20cd4f86cf38fd",
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
        let (header, data) = (&message[..52], message[52..].to_vec());
        let tag = header[4..20].try_into().unwrap();
        for (name, provider) in providers() {
            let opener = provider.cipher(cipher, &Key::from(bytes(key))).unwrap();
            let mut data = data.clone();
            opener.open(&header[20..20 + cipher.nonce_len()], &header[20..], &mut data, tag).unwrap();
            assert!(data.starts_with(b"\xfeSMB"), "{name}");
        }
    }
}
