//! The login.

use serde_json::json;
use smb_client::{Client, ConnectOptions, Credentials, Dialect, Error};

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use crate::cli::log_off;
use crate::codes::{
    self, Code, ENCRYPTION_REQUIRED, FIRST_PASSWORD_REFUSED, LOGON_DENIED, SECOND_PASSWORD_REFUSED,
    UNPROTECTED,
};
use crate::connect::is_wrong_password;
use crate::credentials::Found;

/// What came of it.
pub(crate) enum Login {
    /// Who is logged in, and by which options.
    Done(Client, Box<ConnectOptions>),
    /// The server refused the way, not the password: other ways may be tried with it.
    Denied(Box<ConnectOptions>),
    /// The same password must not be tried again: too many refusals lock an account.
    Refused,
}

/// Logs in as a mount would, with each of two passwords once at most.
pub(crate) async fn log_in(patient: &Patient, found: Found, report: &mut Report) -> Login {
    let mut options = patient.connect(found.credentials);
    let mut result = Client::connect(&options).await;
    if let Some(second) = found.second {
        let others = options.clone().credentials(second);
        match (&result, Client::connect(&others).await) {
            (Err(error), Ok(client)) if is_wrong_password(error) => {
                let said = "the first password is refused, the second taken";
                report.add(Check::warning(Group::Session, "passwords", &FIRST_PASSWORD_REFUSED, said));
                (options, result) = (others, Ok(client));
            }
            (Ok(_), Err(error)) if is_wrong_password(&error) => {
                let said = "the first password is taken, the second refused";
                report.add(Check::warning(Group::Session, "passwords", &SECOND_PASSWORD_REFUSED, said));
            }
            (Ok(_), Ok(client)) => {
                report.add(Check::passed(Group::Session, "passwords", "both passwords are taken"));
                log_off(client).await;
            }
            _ => {}
        }
    }
    match result {
        Ok(client) => {
            report.add(logged_in(&client));
            Login::Done(client, Box::new(options))
        }
        Err(error) => {
            let code = codes::of_client(&error);
            report.add(refused(patient, &options, &error, code).await);
            if code.name == LOGON_DENIED.name { Login::Denied(Box::new(options)) } else { Login::Refused }
        }
    }
}

async fn refused(patient: &Patient, options: &ConnectOptions, error: &Error, code: &'static Code) -> Check {
    if code.name == LOGON_DENIED.name && sealed(options).await.is_some() {
        return Check::failed(Group::Session, "login", &ENCRYPTION_REQUIRED, error.to_string())
            .mend(patient.mount_with("seal"));
    }
    let check = Check::failed(Group::Session, "login", code, error.to_string());
    match code.name {
        "logon-refused" => check.mend(match &options.credentials {
            Credentials::Password { user, .. } => patient.save_password_of(user),
            Credentials::Anonymous => patient.save_password(),
        }),
        _ => check,
    }
}

/// A login that is encrypted and may be in any dialect, where the refused one was otherwise.
pub(crate) async fn sealed(options: &ConnectOptions) -> Option<Client> {
    if options.encrypt && options.min_dialect <= Dialect::Smb300 && options.max_dialect == Dialect::Smb311 {
        return None;
    }
    Client::connect(&options.clone().encrypt(true).dialects(Dialect::Smb300, Dialect::Smb311)).await.ok()
}

fn logged_in(client: &Client) -> Check {
    let info = client.info();
    let protection = match (info.encrypted, info.cipher, info.signing) {
        (true, Some(cipher), _) => format!("encrypted by {cipher}"),
        (_, _, Some(signing)) => format!("signed by {signing}"),
        _ => "neither signed nor encrypted".into(),
    };
    let guest = if info.guest { ", as guest or nobody" } else { "" };
    let found = format!("logged in{guest}: SMB {}, {protection}", info.dialect);
    let check = if info.encrypted || info.signing.is_some() {
        Check::passed(Group::Session, "login", found)
    } else {
        Check::warning(Group::Session, "login", &UNPROTECTED, found)
    };
    check.data(json!({
        "dialect": info.dialect.to_string(),
        "encrypted": info.encrypted,
        "cipher": info.cipher.map(|cipher| cipher.to_string()),
        "signing": info.signing.map(|signing| signing.to_string()),
        "guest": info.guest,
    }))
}
