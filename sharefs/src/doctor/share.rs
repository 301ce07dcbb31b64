//! The share, the folder in it, and what the user may do there.

use serde_json::json;
use smb_client::{AccessMask, Client, CreateOptions, OpenOptions, Share};

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use super::session::sealed;
use crate::codes::{self, ACCESS_DENIED, CANNOT_WRITE, ENCRYPTION_REQUIRED, WRONG_KIND};

/// Rights to a directory, in words.
const RIGHTS: [(AccessMask, &str); 7] = [
    (AccessMask::READ_DATA, "list"),
    (AccessMask::WRITE_DATA, "make files"),
    (AccessMask::APPEND_DATA, "make folders"),
    (AccessMask::DELETE_CHILD, "delete"),
    (AccessMask::READ_CONTROL, "read permissions"),
    (AccessMask::WRITE_DAC, "change permissions"),
    (AccessMask::WRITE_OWNER, "take ownership"),
];

/// Connects to the share and looks at its root, or at the folder that was named.
pub(crate) async fn look(
    patient: &Patient,
    client: &Client,
    options: &smb_client::ConnectOptions,
    report: &mut Report,
) -> Option<Share> {
    let share = match client.share(&patient.source.share).await {
        Ok(share) => share,
        Err(error) => {
            let mut code = codes::of_client(&error);
            let mut mend = match code.name {
                "share-missing" => Some(format!("sharefs shares //{}", patient.source.host)),
                _ => None,
            };
            if code.name == codes::SHARE_DENIED.name
                && let Some(client) = sealed(options).await
                && client.share(&patient.source.share).await.is_ok()
            {
                code = &ENCRYPTION_REQUIRED;
                mend = Some(patient.mount_with("seal"));
            }
            let check = Check::failed(Group::Share, "tree", code, error.to_string());
            report.add(match mend {
                Some(mend) => check.mend(mend),
                None => check,
            });
            return None;
        }
    };
    let protection = if share.is_encrypted() { "encrypted" } else { "not encrypted" };
    report.add(Check::passed(Group::Share, "tree", format!("connected to {}, {protection}", share.name())));
    let path = &patient.source.path;
    match share.metadata(path).await {
        Ok(metadata) if metadata.is_dir() => {
            let found = if path.is_empty() { "the share's root is a folder" } else { "the folder is there" };
            report.add(Check::passed(Group::Share, "root", found));
        }
        Ok(_) => {
            report.add(Check::failed(
                Group::Share,
                "root",
                &WRONG_KIND,
                "it is a file, and cannot be mounted",
            ));
            return None;
        }
        Err(error) => {
            report.add(Check::failed(Group::Share, "root", codes::of_client(&error), error.to_string()));
            return None;
        }
    }
    report.add(access(patient, &share).await);
    report.add(space(&share).await);
    Some(share)
}

/// What the user may do, tried by opening the folder for each: an open changes nothing.
async fn access(patient: &Patient, share: &Share) -> Check {
    let mut may = Vec::new();
    let mut may_not = Vec::new();
    for (right, word) in RIGHTS {
        let options =
            OpenOptions::existing(right | AccessMask::SYNCHRONIZE).options(CreateOptions::DIRECTORY_FILE);
        match share.open(&patient.source.path, &options).await {
            Ok(file) => {
                may.push(word);
                if let Err(error) = file.close().await {
                    tracing::debug!(%error, "closing");
                }
            }
            Err(_) => may_not.push(word),
        }
    }
    let maximal = share.maximal_access();
    // What the share allows at most bounds what the folder allows, whatever its open says.
    let writes = may.contains(&"make files") && maximal.contains(AccessMask::WRITE_DATA);
    let list = |words: &[&str]| if words.is_empty() { "nothing".into() } else { words.join(", ") };
    let found = format!("the user may: {}", list(&may));
    let check = if !may.contains(&"list") {
        Check::failed(Group::Share, "access", &ACCESS_DENIED, "the user may not list the folder")
    } else if writes || patient.options.mount.read_only {
        Check::passed(Group::Share, "access", found)
    } else {
        Check::warning(Group::Share, "access", &CANNOT_WRITE, found).mend(patient.mount_with("ro"))
    };
    check
        .lines(vec![
            format!("may not: {}", list(&may_not)),
            format!("the share allows at most {:#x}", maximal.bits()),
        ])
        .data(json!({ "may": may, "may_not": may_not, "share_maximal_access": maximal.bits() }))
}

async fn space(share: &Share) -> Check {
    match share.space().await {
        Ok(space) => {
            let mebibytes = |bytes: u64| bytes >> 20;
            let found = format!("{} MiB free of {} MiB", mebibytes(space.available), mebibytes(space.total));
            let check = if space.available == 0 {
                Check::warning(Group::Share, "space", &codes::SHARE_FULL, found)
            } else {
                Check::passed(Group::Share, "space", found)
            };
            check.data(json!({ "available": space.available, "total": space.total }))
        }
        Err(error) => Check::skipped(Group::Share, "space", error.to_string()),
    }
}
