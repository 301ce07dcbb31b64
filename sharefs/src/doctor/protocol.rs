//! What the server agrees on before anybody logs in.

use std::time::SystemTime;

use serde_json::json;
use smb_client::wire::{Capabilities, SecurityMode};
use smb_client::{Client, Credentials, Dialect, FileTime, Negotiated};

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use crate::codes::{self, CLOCK_SKEW, OLD_DIALECT};

/// Kerberos' limit, and a sign of trouble in any case.
const MOST_SKEW: i64 = 300;

/// Negotiates as a mount would.
pub(crate) async fn look(patient: &Patient, report: &mut Report) -> Option<Negotiated> {
    let options = patient.connect(Credentials::Anonymous);
    let negotiated = match Client::negotiate(&options).await {
        Ok(negotiated) => negotiated,
        Err(error) => {
            let code = codes::of_client(&error);
            report.add(Check::failed(Group::Negotiate, "dialect", code, error.to_string()));
            return None;
        }
    };
    report.add(dialect(&negotiated));
    report.add(clock(negotiated.system_time));
    Some(negotiated)
}

fn dialect(negotiated: &Negotiated) -> Check {
    let cipher = negotiated.cipher.map_or_else(|| "no cipher".into(), |cipher| cipher.to_string());
    let signing = negotiated.security_mode.contains(SecurityMode::SIGNING_REQUIRED);
    let capabilities: Vec<&str> = [
        (Capabilities::DFS, "DFS"),
        (Capabilities::LEASING, "leases"),
        (Capabilities::LARGE_MTU, "large requests"),
        (Capabilities::MULTI_CHANNEL, "several connections"),
        (Capabilities::PERSISTENT_HANDLES, "persistent handles"),
        (Capabilities::DIRECTORY_LEASING, "directory leases"),
        (Capabilities::ENCRYPTION, "encryption"),
    ]
    .into_iter()
    .filter(|(capability, _)| negotiated.capabilities.contains(*capability))
    .map(|(_, word)| word)
    .collect();
    let found = format!(
        "SMB {}, {cipher}, signing by {}{}",
        negotiated.dialect,
        negotiated.signing,
        if signing { " (the server insists on signing)" } else { "" }
    );
    let kibibytes = |bytes: u32| bytes / 1024;
    let lines = vec![
        format!(
            "capabilities: {}",
            if capabilities.is_empty() { "none".into() } else { capabilities.join(", ") }
        ),
        format!(
            "largest read {} KiB, write {} KiB, other requests {} KiB",
            kibibytes(negotiated.max_read),
            kibibytes(negotiated.max_write),
            kibibytes(negotiated.max_transact)
        ),
        format!("POSIX extensions: {}", if negotiated.posix { "yes" } else { "no" }),
    ];
    let data = json!({
        "dialect": negotiated.dialect.to_string(),
        "cipher": negotiated.cipher.map(|cipher| cipher.to_string()),
        "signing": negotiated.signing.to_string(),
        "signing_required": signing,
        "capabilities": capabilities,
        "max_read": negotiated.max_read,
        "max_write": negotiated.max_write,
        "max_transact": negotiated.max_transact,
        "posix": negotiated.posix,
    });
    let check = if negotiated.dialect < Dialect::Smb300 {
        Check::warning(Group::Negotiate, "dialect", &OLD_DIALECT, found)
    } else {
        Check::passed(Group::Negotiate, "dialect", found)
    };
    check.lines(lines).data(data)
}

fn clock(server: FileTime) -> Check {
    if server == FileTime::ZERO {
        return Check::skipped(Group::Negotiate, "clock", "the server does not tell its time");
    }
    let seconds = server.to_unix().0.saturating_sub(FileTime::from(SystemTime::now()).to_unix().0);
    let (far, side) = (seconds.saturating_abs(), if seconds < 0 { "behind" } else { "ahead of" });
    let check = if far > MOST_SKEW {
        let found = format!("the server's clock is {far} s {side} this machine's");
        Check::warning(Group::Negotiate, "clock", &CLOCK_SKEW, found)
    } else {
        Check::passed(
            Group::Negotiate,
            "clock",
            format!("the server's clock is within {} s of this one", far + 1),
        )
    };
    check.data(json!({ "skew_seconds": seconds }))
}
