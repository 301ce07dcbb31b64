//! Each dialect with each way of signing and each cipher that it has.

use sharefs_tests::{Samba, SambaBuilder};
use smb_client::{Cipher, Client, ConnectOptions, Dialect, SigningAlgorithm};

use crate::help::{connect, exercise};

/// What a combination agrees on.
struct Agreed {
    dialect: Dialect,
    signing: Option<SigningAlgorithm>,
    /// The cipher of a session that is encrypted.
    cipher: Option<Cipher>,
}

async fn check(builder: SambaBuilder, change: impl FnOnce(&mut ConnectOptions), agreed: Agreed) {
    let samba = builder.start();
    let mut options = samba.options();
    change(&mut options);
    let client = connect(&options).await;
    let info = client.info();
    assert_eq!((info.dialect, info.signing), (agreed.dialect, agreed.signing), "{info:?}");
    assert_eq!(info.encrypted, agreed.cipher.is_some(), "{info:?}");
    if agreed.cipher.is_some() {
        assert_eq!(info.cipher, agreed.cipher, "{info:?}");
    }
    assert!(!info.guest);
    let share = client.share("data").await.expect("the share");
    assert_eq!(share.is_encrypted(), agreed.cipher.is_some());
    exercise(&samba, &share).await;
    drop(share);
    client.logoff().await.expect("logoff");
}

/// The server speaks one dialect and insists on signing with one algorithm.
macro_rules! signed {
    ($($name:ident: $dialect:ident $algorithm:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (dialect, algorithm) = (Dialect::$dialect, SigningAlgorithm::$algorithm);
            let server = Samba::builder().dialects(dialect, dialect).signing(algorithm);
            check(server, |_| {}, Agreed { dialect, signing: Some(algorithm), cipher: None }).await;
        }
    )*};
}

signed! {
    signed_202_hmac: Smb202 HmacSha256;
    signed_210_hmac: Smb210 HmacSha256;
    signed_300_cmac: Smb300 AesCmac;
    signed_302_cmac: Smb302 AesCmac;
    signed_311_hmac: Smb311 HmacSha256;
    signed_311_cmac: Smb311 AesCmac;
    signed_311_gmac: Smb311 AesGmac;
}

/// The server speaks all dialects, the client one, and only the client wants signing.
macro_rules! chosen_by_the_client {
    ($($name:ident: $dialect:ident $algorithm:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (dialect, algorithm) = (Dialect::$dialect, SigningAlgorithm::$algorithm);
            let server = Samba::builder().global("server min protocol", "SMB2_02");
            let change = |options: &mut ConnectOptions| {
                (options.min_dialect, options.max_dialect) = (dialect, dialect);
                options.signing_algorithms = vec![algorithm];
            };
            check(server, change, Agreed { dialect, signing: Some(algorithm), cipher: None }).await;
        }
    )*};
}

chosen_by_the_client! {
    client_wants_202: Smb202 HmacSha256;
    client_wants_210: Smb210 HmacSha256;
    client_wants_300: Smb300 AesCmac;
    client_wants_302: Smb302 AesCmac;
    client_wants_311_hmac: Smb311 HmacSha256;
    client_wants_311_cmac: Smb311 AesCmac;
    client_wants_311_gmac: Smb311 AesGmac;
}

/// The server speaks one dialect and insists on one cipher; what is not encrypted (the login) is signed with one
/// algorithm.
macro_rules! encrypted {
    ($($name:ident: $dialect:ident $algorithm:ident $cipher:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (dialect, cipher) = (Dialect::$dialect, Cipher::$cipher);
            let algorithm = SigningAlgorithm::$algorithm;
            let server = Samba::builder().dialects(dialect, dialect).signing(algorithm).encryption(cipher);
            let agreed = Agreed { dialect, signing: Some(algorithm), cipher: Some(cipher) };
            check(server, |_| {}, agreed).await;
        }
    )*};
}

encrypted! {
    encrypted_300_ccm128: Smb300 AesCmac Aes128Ccm;
    encrypted_302_ccm128: Smb302 AesCmac Aes128Ccm;
    encrypted_311_hmac_ccm128: Smb311 HmacSha256 Aes128Ccm;
    encrypted_311_hmac_gcm128: Smb311 HmacSha256 Aes128Gcm;
    encrypted_311_hmac_ccm256: Smb311 HmacSha256 Aes256Ccm;
    encrypted_311_hmac_gcm256: Smb311 HmacSha256 Aes256Gcm;
    encrypted_311_cmac_ccm128: Smb311 AesCmac Aes128Ccm;
    encrypted_311_cmac_gcm128: Smb311 AesCmac Aes128Gcm;
    encrypted_311_cmac_ccm256: Smb311 AesCmac Aes256Ccm;
    encrypted_311_cmac_gcm256: Smb311 AesCmac Aes256Gcm;
    encrypted_311_gmac_ccm128: Smb311 AesGmac Aes128Ccm;
    encrypted_311_gmac_gcm128: Smb311 AesGmac Aes128Gcm;
    encrypted_311_gmac_ccm256: Smb311 AesGmac Aes256Ccm;
    encrypted_311_gmac_gcm256: Smb311 AesGmac Aes256Gcm;
}

/// The server would do without, the client wants encryption.
macro_rules! sealed_by_the_client {
    ($($name:ident: $dialect:ident $algorithm:ident $cipher:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let (dialect, cipher) = (Dialect::$dialect, Cipher::$cipher);
            let change = |options: &mut ConnectOptions| {
                (options.min_dialect, options.max_dialect) = (dialect, dialect);
                options.encrypt = true;
                options.ciphers = vec![cipher];
            };
            let signing = Some(SigningAlgorithm::$algorithm);
            check(Samba::builder(), change, Agreed { dialect, signing, cipher: Some(cipher) }).await;
        }
    )*};
}

sealed_by_the_client! {
    client_seals_300: Smb300 AesCmac Aes128Ccm;
    client_seals_302: Smb302 AesCmac Aes128Ccm;
    client_seals_311_ccm128: Smb311 AesGmac Aes128Ccm;
    client_seals_311_gcm128: Smb311 AesGmac Aes128Gcm;
    client_seals_311_ccm256: Smb311 AesGmac Aes256Ccm;
    client_seals_311_gcm256: Smb311 AesGmac Aes256Gcm;
}

/// The client does not want signing, and the server does not insist.
macro_rules! unsigned {
    ($($name:ident: $dialect:ident;)*) => {$(
        #[tokio::test]
        async fn $name() {
            let dialect = Dialect::$dialect;
            let server = Samba::builder().dialects(dialect, dialect);
            check(server, |options| options.sign = false, Agreed { dialect, signing: None, cipher: None }).await;
        }
    )*};
}

unsigned! {
    unsigned_202: Smb202;
    unsigned_210: Smb210;
    unsigned_300: Smb300;
    unsigned_302: Smb302;
    unsigned_311: Smb311;
}

/// What a user gets who asks for nothing, from a server that asks for nothing.
#[tokio::test]
async fn the_defaults_are_the_newest_dialect_signed_by_gmac() {
    let agreed = Agreed { dialect: Dialect::Smb311, signing: Some(SigningAlgorithm::AesGmac), cipher: None };
    check(Samba::builder(), |_| {}, agreed).await;
}

/// Asking alone says the same as a login, and needs no password.
#[tokio::test]
async fn a_negotiation_alone_says_what_would_be_agreed_on() {
    let samba = Samba::builder().encryption(Cipher::Aes256Gcm).start();
    let wrong = samba.credentials_as("LAB", "nobody", "wrong");
    let agreed = Client::negotiate(&samba.options().credentials(wrong)).await.expect("the negotiation");
    let info = connect(&samba.options()).await.info();
    assert_eq!((agreed.dialect, agreed.cipher), (info.dialect, info.cipher));
    assert_eq!((agreed.max_read, agreed.max_write), (info.max_read, info.max_write));
    let old = samba.options().dialects(Dialect::Smb210, Dialect::Smb210);
    assert_eq!(Client::negotiate(&old).await.expect("the negotiation").dialect, Dialect::Smb210);
}
