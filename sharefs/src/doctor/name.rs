//! The name of the share: what can be told of it without asking anybody.

use super::Patient;
use super::check::{Check, Group};
use crate::codes::NAME_INVALID;
use crate::credentials::is_azure;

/// The longest component and the longest path of an Azure file share, and of most others.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 2048;

/// Looks at the source.
pub(crate) fn look(patient: &Patient) -> Check {
    let source = &patient.source;
    let azure = is_azure(&source.host);
    let wrong = || {
        if source.path.split('/').any(|name| name.encode_utf16().count() > LONGEST_NAME) {
            return Some(format!("a name in the path is longer than {LONGEST_NAME} characters"));
        }
        if source.path.encode_utf16().count() > LONGEST_PATH {
            return Some(format!("the path is longer than {LONGEST_PATH} characters"));
        }
        if azure && !is_account(source.host.split('.').next().unwrap_or_default()) {
            return Some("a storage account's name has 3 to 24 lower-case letters and digits".into());
        }
        if azure && !is_azure_share(&source.share) {
            let rule = "an Azure file share's name has 3 to 63 lower-case letters, digits and single hyphens";
            return Some(rule.into());
        }
        None
    };
    match wrong() {
        Some(wrong) => Check::failed(Group::Name, "form", &NAME_INVALID, wrong),
        None => {
            let cloud = if azure { ", an Azure file share" } else { "" };
            let found = format!("server {}, share {}{cloud}", source.host, source.share);
            Check::passed(Group::Name, "form", found)
        }
    }
}

fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_alphanumeric())
}

fn is_azure_share(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn azure_has_rules_for_names() {
        assert!(is_account("acct01") && !is_account("a-b") && !is_account("ab"));
        assert!(is_azure_share("my-share") && !is_azure_share("My") && !is_azure_share("a--b"));
    }
}
