//! Key derivation ([MS-SMB2] 3.1.4.2).

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::{Cipher, Key, PreauthHash};

/// Derives a key of `len` bytes, 16 or 32, from `ki` by the counter mode KDF of SP800-108 5.1 with
/// HMAC-SHA256 and a 32-bit counter ([MS-SMB2] 3.1.4.2).
///
/// `label` and `context` are used as they are, so a string's terminating NUL must be among the bytes. No more
/// than 32 bytes come out whatever `len` says: one block of the PRF is all that SMB needs.
pub fn derive(ki: &Key, label: &[u8], context: &[u8], len: usize) -> Key {
    let len = len.min(32);
    let bits = u32::try_from(len * 8).unwrap_or(256);
    let mut mac = hmac_sha256(ki.as_bytes());
    for part in [&1u32.to_be_bytes()[..], label, &[0], context, &bits.to_be_bytes()] {
        mac.update(part);
    }
    let mut block = mac.finalize().into_bytes();
    let key = Key::new(&block[..len]);
    block.zeroize();
    key
}

fn hmac_sha256(key: &[u8]) -> Hmac<Sha256> {
    let mut block = Zeroizing::new([0; 64]);
    if let Some(head) = block.get_mut(..key.len()) {
        head.copy_from_slice(key);
    } else {
        let mut digest = Sha256::digest(key);
        block[..32].copy_from_slice(&digest);
        digest.zeroize();
    }
    Hmac::new((&*block).into())
}

/// The keys of one session ([MS-SMB2] 3.2.5.3.1), named by direction as the client sees them.
#[derive(Clone, Debug)]
pub struct SessionKeys {
    /// Session.SigningKey, 16 bytes.
    pub signing: Key,
    /// Session.EncryptionKey: encrypts what the client sends. `None` where the dialect or the negotiation
    /// has no encryption.
    pub client_to_server: Option<Key>,
    /// Session.DecryptionKey: encrypts what the server sends. `None` as for `client_to_server`.
    pub server_to_client: Option<Key>,
    /// Session.ApplicationKey, 16 bytes, for protocols above SMB.
    pub application: Key,
}

impl SessionKeys {
    /// The keys for SMB 2.0.2 and 2.1, where the session key serves as it is and nothing is encrypted.
    pub fn smb2(session_key: &Key) -> Self {
        let key = session_key.to_16();
        Self { signing: key.clone(), client_to_server: None, server_to_client: None, application: key }
    }

    /// The keys for SMB 3.0 and 3.0.2.
    pub fn smb30(session_key: &Key) -> Self {
        let ki = session_key.to_16();
        Self {
            signing: derive(&ki, b"SMB2AESCMAC\0", b"SmbSign\0", 16),
            client_to_server: Some(derive(&ki, b"SMB2AESCCM\0", b"ServerIn \0", 16)),
            server_to_client: Some(derive(&ki, b"SMB2AESCCM\0", b"ServerOut\0", 16)),
            application: derive(&ki, b"SMB2APP\0", b"SmbRpc\0", 16),
        }
    }

    /// The keys for SMB 3.1.1.
    ///
    /// `full_session_key` is what the authentication gave uncut (Session.FullSessionKey), from which the keys
    /// for the AES-256 ciphers come; `preauth` is the session's hash with the last SESSION_SETUP request taken
    /// in; `cipher` is the one negotiated, if any.
    pub fn smb311(
        session_key: &Key,
        full_session_key: &Key,
        preauth: &PreauthHash,
        cipher: Option<Cipher>,
    ) -> Self {
        let ki = session_key.to_16();
        let context = preauth.as_bytes();
        let encryption = |label| {
            cipher.map(|cipher| {
                let len = cipher.key_len();
                derive(if len == 32 { full_session_key } else { &ki }, label, context, len)
            })
        };
        Self {
            signing: derive(&ki, b"SMBSigningKey\0", context, 16),
            client_to_server: encryption(b"SMBC2SCipherKey\0"),
            server_to_client: encryption(b"SMBS2CCipherKey\0"),
            application: derive(&ki, b"SMBAppKey\0", context, 16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::rust_crypto;

    fn key(digits: &str) -> Key {
        Key::from(hex::decode(digits).unwrap())
    }

    fn digits(key: &Key) -> String {
        hex::encode_upper(key.as_bytes())
    }

    fn optional(key: &Option<Key>) -> String {
        digits(key.as_ref().unwrap())
    }

    fn preauth(digits: &str) -> PreauthHash {
        <[u8; 64]>::try_from(hex::decode(digits).unwrap()).unwrap().into()
    }

    // Microsoft Open Specifications blog, "SMB 2 and SMB 3 security in Windows 10: the anatomy of signing and
    // cryptographic keys", appendix "Key derivation examples", first and second channel of each.
    #[test]
    fn smb_3_0_keys_agree_with_microsofts_example() {
        let keys = SessionKeys::smb30(&key("7CD451825D0450D235424E44BA6E78CC"));
        assert_eq!(digits(&keys.signing), "0B7E9C5CAC36C0F6EA9AB275298CEDCE");
        assert_eq!(optional(&keys.client_to_server), "FAD27796665B313EBB578F388632B4F7");
        assert_eq!(optional(&keys.server_to_client), "B0F0427F7CEB416D1D9DCC0CD4F99447");
        assert_eq!(digits(&keys.application), "BB23A4575AA26C721AF525AF15A87B4F");
        let second = SessionKeys::smb30(&key("4E01A2B313BCF660CC250BEF021AEDE6"));
        assert_eq!(digits(&second.signing), "BA1A17DBBFEC349BCA105563D598952F");
    }

    #[test]
    fn smb_3_1_1_keys_agree_with_microsofts_example() {
        let session = key("270E1BA896585EEB7AF3472D3B4C75A7");
        let preauth = preauth(
            "0DD13628CC3ED218EF9DF9772D436D0887AB9814BFAE63A80AA845F36909DB79\
             28622DDDAD522D9751640A459762C5A9D6BB084CBB3CE6BDADEF5D5BCE3C6C01",
        );
        let keys = SessionKeys::smb311(&session, &session, &preauth, Some(Cipher::Aes128Gcm));
        assert_eq!(digits(&keys.signing), "73FE7A9A77BEF0BDE49C650D8CCB5F76");
        assert_eq!(optional(&keys.client_to_server), "629BCBC54422A0F572B97F45989B6073");
        assert_eq!(optional(&keys.server_to_client), "E2AF0DCEFAC68DA71A0DFBD0D1350D74");
        assert_eq!(digits(&keys.application), "6D7AD7954E9EC61E907B4D473DC178FF");
    }

    // The same blog's final SESSION_SETUP response of the 3.1.1 example, with the signature it carries.
    #[test]
    fn the_signature_of_microsofts_session_setup_response_verifies() {
        let mut message = hex::decode(
            "FE534D4240000100000000000100800009000000000000000300000000000000FFFE000000000000\
             1900000000100000EBE146DA120BA25FC3376A49DFE31BC10900000048001D00A11B3019A0030A01\
             00A3120410010000003B453CDC3524164200000000",
        )
        .unwrap();
        let signature: [u8; 16] = message[48..64].try_into().unwrap();
        message[48..64].fill(0);
        let signer = rust_crypto()
            .signer(crate::crypto::SigningAlgorithm::AesCmac, &key("73FE7A9A77BEF0BDE49C650D8CCB5F76"))
            .unwrap();
        assert_eq!(signer.verify(&[0; 12], &[&message], &signature), Ok(()));
    }

    // The same blog, "Encryption in SMB 3.0: A protocol perspective" and "SMB 3.1.1 Encryption in Windows 10".
    #[test]
    fn keys_of_the_encryption_examples() {
        let keys = SessionKeys::smb30(&key("B4546771B515F766A86735532DD6C4F0"));
        assert_eq!(optional(&keys.client_to_server), "261B72350558F2E9DCF613070383EDBF");
        assert_eq!(optional(&keys.server_to_client), "8FE2B57EC34D2DB5B1A9727F526BBDB5");
        let session = key("419FDDF34C1E001909D362AE7FB6AF79");
        let preauth = preauth(
            "B23F3CBFD69487D9832B79B1594A367CDD950909B774C3A4C412B4FCEA9EDDDB\
             A7DB256BA2EA30E977F11F9B113247578E0E915C6D2A513B8F2FCA5707DC8770",
        );
        let keys = SessionKeys::smb311(&session, &session, &preauth, Some(Cipher::Aes128Gcm));
        assert_eq!(optional(&keys.client_to_server), "A2F5E80E5D59103034F32E52F698E5EC");
        assert_eq!(optional(&keys.server_to_client), "748C50868C90F302962A5C35F5F9A8BF");
    }

    #[test]
    fn aes_256_keys_come_from_the_full_session_key() {
        let (session, full) = (Key::new(&[1; 16]), Key::new(&[1; 32]));
        let preauth = PreauthHash::new();
        let with_cut = SessionKeys::smb311(&session, &session, &preauth, Some(Cipher::Aes256Gcm));
        let with_full = SessionKeys::smb311(&session, &full, &preauth, Some(Cipher::Aes256Gcm));
        assert_eq!(with_full.client_to_server.as_ref().unwrap().as_bytes().len(), 32);
        assert_ne!(optional(&with_cut.client_to_server), optional(&with_full.client_to_server));
        assert_eq!(digits(&with_cut.signing), digits(&with_full.signing));
        assert_eq!(with_full.signing.as_bytes().len(), 16);
        let expected = derive(&full, b"SMBC2SCipherKey\0", &[0; 64], 32);
        assert_eq!(optional(&with_full.client_to_server), digits(&expected));
        assert!(SessionKeys::smb311(&session, &full, &preauth, None).client_to_server.is_none());
    }

    // RFC 4231 test cases 1, 2 and 6 (whose key is longer than the block).
    #[test]
    fn hmac_sha256_agrees_with_rfc_4231() {
        let mac = |key: &[u8], data: &[u8]| {
            hex::encode(hmac_sha256(key).chain_update(data).finalize().into_bytes())
        };
        assert_eq!(
            mac(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            mac(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            mac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }
}
