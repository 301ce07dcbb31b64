//! Who would log in, where the password came from, and whether it can be one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use serde_json::json;
use smb_client::Credentials;

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use crate::codes::{self, ANOTHER_ACCOUNT, NOT_A_KEY, SECRET_EXPOSED};
use crate::credentials::{Found, Origin, azure_user, is_azure, is_key};
use crate::show::complaint;

/// Looks at what was found. Its text never has the password, only what it looks like.
pub(crate) fn look(patient: &Patient, found: &Result<Found>, report: &mut Report) {
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let code = codes::of(error);
            let text = complaint(error);
            let text = text.trim_end_matches(&format!(" [{}]", code.name));
            let check = Check::failed(Group::Credentials, "source", code, text);
            report.add(if code.name == "no-password" { check.mend(patient.save_password()) } else { check });
            return;
        }
    };
    let user = found.user().unwrap_or_else(|| "nobody".into());
    let check =
        Check::passed(Group::Credentials, "source", format!("{user}; the password is {}", found.origin));
    report
        .add(check.data(
            json!({ "user": user, "origin": found.origin.to_string(), "two": found.second.is_some() }),
        ));
    report.add(shape(patient, found));
    if let Some(check) = exposure(patient, found) {
        report.add(check);
    }
}

fn shape(patient: &Patient, found: &Found) -> Check {
    let Credentials::Password { user, password, .. } = &found.credentials else {
        return Check::skipped(Group::Credentials, "shape", "nobody has no password");
    };
    let (host, password) = (&patient.source.host, password.expose());
    let other = azure_user(host).filter(|account| !account.eq_ignore_ascii_case(user));
    if let Some(account) = other {
        let found = format!("the user is {user}, and the storage account is {account}");
        let check = Check::warning(Group::Credentials, "shape", &ANOTHER_ACCOUNT, found);
        return check.mend(patient.save_password_of(&account));
    }
    if is_key(password) {
        return Check::passed(Group::Credentials, "shape", "a storage account's key: 88 characters");
    }
    if is_azure(host) {
        let found = format!("{} characters, where a storage account's key has 88", password.chars().count());
        return Check::warning(Group::Credentials, "shape", &NOT_A_KEY, found).mend(patient.save_password());
    }
    let blanks = password != password.trim();
    let found =
        if blanks { "a password with a blank at an end; is it meant to be there?" } else { "a password" };
    Check::passed(Group::Credentials, "shape", if password.is_empty() { "an empty password" } else { found })
}

/// Whether others can read the password where it is.
fn exposure(patient: &Patient, found: &Found) -> Option<Check> {
    if found.origin == Origin::Options {
        let said =
            "a password on the command line is seen by others until it is read, and stays in histories";
        let check = Check::warning(Group::Credentials, "exposure", &SECRET_EXPOSED, said);
        return Some(check.mend(patient.save_password()));
    }
    let Origin::File(path) = &found.origin else { return None };
    Some(match open_to_others(path) {
        true => {
            let said = format!("others can read {}", path.display());
            let check = Check::warning(Group::Credentials, "exposure", &SECRET_EXPOSED, said);
            check.mend(format!("chmod 600 {}", path.display()))
        }
        false => {
            Check::passed(Group::Credentials, "exposure", "only its owner can read the credentials file")
        }
    })
}

fn open_to_others(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}
