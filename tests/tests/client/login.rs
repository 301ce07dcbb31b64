//! Who is let in, as whom, and who is not.

use sharefs_tests::Samba;
use smb_client::{
    Cipher, Client, ConnectOptions, ConnectionError, Credentials, Dialect, Error, NtStatus, SessionError,
};

use crate::help::{connect, exercise, list, status};

fn logged_in_as(samba: &Samba, domain: &str, user: &str, password: &str) -> ConnectOptions {
    samba.options().credentials(samba.credentials_as(domain, user, password))
}

#[tokio::test]
async fn a_wrong_password_is_refused() {
    let samba = Samba::start();
    let options = logged_in_as(&samba, samba.domain(), samba.user(), "wrong");
    assert_eq!(status(Client::connect(&options).await), NtStatus::LOGON_FAILURE);
    let options = logged_in_as(&samba, samba.domain(), samba.user(), "");
    assert_eq!(status(Client::connect(&options).await), NtStatus::LOGON_FAILURE);
}

#[tokio::test]
async fn an_unknown_user_is_refused() {
    let samba = Samba::start();
    let options = logged_in_as(&samba, samba.domain(), "nosuchuser", samba.password());
    assert_eq!(status(Client::connect(&options).await), NtStatus::LOGON_FAILURE);
}

#[tokio::test]
async fn a_wrong_password_of_a_sealed_session_is_refused() {
    let samba = Samba::builder().encryption(Cipher::Aes256Gcm).start();
    let mut options = logged_in_as(&samba, samba.domain(), samba.user(), "wrong");
    assert_eq!(status(Client::connect(&options).await), NtStatus::LOGON_FAILURE);
    options.encrypt = true;
    assert_eq!(status(Client::connect(&options).await), NtStatus::LOGON_FAILURE);
}

#[tokio::test]
async fn passwords_and_users_of_any_characters_log_in() {
    for (user, password) in [
        ("tester", "p\u{e4}ssw\u{f6}rd \u{20ac} \u{1f511}"),
        ("tester", " leading, trailing and = \\ / % \" ' "),
        ("tester", "x"),
        ("with.dot-and_dash", "Passw0rd"),
    ] {
        let samba = Samba::builder().user(user, password).start();
        connect(&samba.options()).await.share("data").await.expect("the share");
    }
}

#[tokio::test]
async fn the_case_of_the_user_does_not_matter() {
    let samba = Samba::start();
    let upper = samba.user().to_uppercase();
    connect(&logged_in_as(&samba, samba.domain(), &upper, samba.password())).await;
    connect(&logged_in_as(&samba, "", samba.user(), samba.password())).await;
}

#[tokio::test]
async fn guests_are_refused_unless_asked_for() {
    let samba = Samba::builder().guest().start();
    let mut options = logged_in_as(&samba, samba.domain(), "nosuchuser", "whatever");
    let error = Client::connect(&options).await.expect_err("nobody asked for a guest");
    assert!(matches!(error, Error::Session(SessionError::OnlyGuest)), "{error} ({error:?})");

    options.allow_guest = true;
    let client = connect(&options).await;
    let info = client.info();
    assert!(info.guest && info.signing.is_none() && !info.encrypted, "{info:?}");
    let share = client.share("open").await.expect("the share that is open to guests");
    exercise(&samba, &share).await;
    assert_eq!(status(client.share("limited").await), NtStatus::ACCESS_DENIED);
}

#[tokio::test]
async fn allowing_guests_costs_a_known_user_nothing() {
    let samba = Samba::builder().guest().start();
    let client = connect(&samba.options().allow_guest(true)).await;
    let info = client.info();
    assert!(!info.guest && info.signing.is_some(), "{info:?}");
    exercise(&samba, &client.share("data").await.expect("the share")).await;
}

#[tokio::test]
async fn a_guest_cannot_be_sealed() {
    let samba = Samba::builder().guest().start();
    let options =
        logged_in_as(&samba, samba.domain(), "nosuchuser", "whatever").allow_guest(true).encrypt(true);
    let error = Client::connect(&options).await.expect_err("a guest has no key");
    assert!(matches!(error, Error::Session(SessionError::EncryptionUnavailable(_))), "{error} ({error:?})");
}

#[tokio::test]
async fn anonymous_logs_in_where_asked_for() {
    let samba = Samba::builder().guest().start();
    let client = connect(&samba.options().credentials(Credentials::Anonymous)).await;
    assert!(client.info().guest && client.info().signing.is_none(), "{:?}", client.info());
    let share = client.share("open").await.expect("the share that is open to guests");
    assert!(list(&share, "").await.is_empty());
    assert_eq!(status(client.share("data").await), NtStatus::ACCESS_DENIED);
}

#[tokio::test]
async fn an_azure_like_server_takes_its_account_under_each_domain() {
    let samba = Samba::builder().azure().start();
    assert_eq!(samba.password().len(), 88);
    for domain in ["AZURE", "localhost", ""] {
        let client = connect(&logged_in_as(&samba, domain, "acct", samba.password())).await;
        let info = client.info();
        assert!(info.encrypted && info.dialect == Dialect::Smb311, "{info:?}");
        assert_eq!((info.max_read, info.max_write), (1 << 20, 1 << 20));
        exercise(&samba, &client.share("data").await.expect("the share")).await;
    }
}

#[tokio::test]
async fn an_azure_like_server_refuses_older_dialects() {
    let samba = Samba::builder().azure().start();
    let options = samba.options().max_dialect(Dialect::Smb302);
    let error = Client::connect(&options).await.expect_err("3.0.2 is too old");
    assert!(matches!(error, Error::Connection(ConnectionError::PeerIncompatible(_))), "{error} ({error:?})");
}

#[tokio::test]
async fn a_server_of_old_dialects_refuses_a_client_of_new_ones() {
    let samba = Samba::builder().dialects(Dialect::Smb202, Dialect::Smb210).start();
    let options = samba.options().min_dialect(Dialect::Smb300);
    let error = Client::connect(&options).await.expect_err("2.1 is too old");
    assert!(matches!(error, Error::Connection(ConnectionError::PeerIncompatible(_))), "{error} ({error:?})");
}

/// A server that insists on encryption and a client without ciphers cannot meet, and the error says why.
#[tokio::test]
async fn a_client_without_ciphers_is_refused_where_encryption_is_required() {
    let samba = Samba::builder().encryption(Cipher::Aes128Gcm).start();
    let options = samba.options().ciphers(Vec::new());
    let error = match Client::connect(&options).await {
        Ok(client) => client.share("data").await.expect_err("the server requires encryption"),
        Err(error) => error,
    };
    println!("{error}");
    let refused = error.status() == Some(NtStatus::ACCESS_DENIED)
        || matches!(error, Error::Session(SessionError::EncryptionUnavailable(_)));
    assert!(refused, "{error} ({error:?})");
}

#[tokio::test]
async fn a_client_that_wants_encryption_refuses_a_server_that_cannot() {
    for dialect in [Dialect::Smb202, Dialect::Smb210] {
        let samba = Samba::builder().dialects(dialect, dialect).start();
        let options = samba.options().encrypt(true);
        let error = Client::connect(&options).await.expect_err("2.x has no encryption");
        assert!(
            matches!(error, Error::Session(SessionError::EncryptionUnavailable(_))),
            "{error} ({error:?})"
        );
    }
    let samba = Samba::builder().global("server smb encrypt", "off").start();
    let options = samba.options().encrypt(true);
    let error = Client::connect(&options).await.expect_err("the server has switched encryption off");
    assert!(matches!(error, Error::Session(SessionError::EncryptionUnavailable(_))), "{error} ({error:?})");
}

#[tokio::test]
async fn nobody_listening_is_an_error_of_the_connection() {
    let options = {
        let mut samba = Samba::start();
        samba.kill_hard();
        samba.options()
    };
    let error = Client::connect(&options).await.expect_err("nobody listens");
    assert!(matches!(error, Error::Connect { .. }) && error.is_connection(), "{error} ({error:?})");
    let options = options.host("no-such-host.invalid");
    let error = Client::connect(&options).await.expect_err("there is no such host");
    assert!(matches!(error, Error::Resolve { .. }) && error.is_connection(), "{error} ({error:?})");
}
