//! What people paste where a password is asked for: Azure's keys, and what is no key.

use anyhow::Result;
use smb_client::Secret;
use zeroize::Zeroizing;

use crate::codes::NOT_A_KEY;

/// The key of an Azure storage account: 64 bytes in base64. The text itself is the password.
const KEY_LENGTH: usize = 88;

/// Whether this is a storage account's name in one of Azure's clouds.
pub(crate) fn is_azure(host: &str) -> bool {
    host.to_ascii_lowercase().contains(".file.core.")
}

/// The user of an Azure file share when nobody named one: the storage account, which the host is called after.
pub(crate) fn azure_user(host: &str) -> Option<String> {
    let account = host.split('.').next().filter(|_| is_azure(host))?;
    (!account.is_empty()).then(|| account.to_ascii_lowercase())
}

/// Takes blanks, line ends and quotes out of a key that was copied with them. Any other password stays as it is.
///
/// # Errors
///
/// For what Azure's portal offers beside the keys, and no share takes as a password.
pub(crate) fn clean(secret: Secret) -> Result<Secret> {
    let text = secret.expose();
    if text.contains("AccountKey=") || text.contains("SharedAccessSignature=") {
        return Err(NOT_A_KEY.says(
            "this is a whole connection string, not a key: sharefs cred import reads it, or give what stands in it \
             after AccountKey="
        ));
    }
    if text.contains("sig=") && (text.contains("sv=") || text.contains("se=")) {
        return Err(NOT_A_KEY.says(
            "this is a SAS token, with which no share can be mounted: take one of the storage account's keys \
             (Security + networking, Access keys)",
        ));
    }
    let mut bare = Zeroizing::new(String::with_capacity(text.len()));
    let quotes = ['"', '\'', '`', '\u{201c}', '\u{201d}'];
    bare.extend(text.chars().filter(|c| !c.is_whitespace() && !quotes.contains(c) && *c != '\u{feff}'));
    Ok(if is_key(&bare) { bare.to_string().into() } else { secret })
}

/// Whether a text has the shape of a storage account's key.
pub(crate) fn is_key(text: &str) -> bool {
    let digit = |c: u8| c.is_ascii_alphanumeric() || c == b'+' || c == b'/';
    text.len() == KEY_LENGTH && text.ends_with("==") && text.bytes().take(KEY_LENGTH - 2).all(digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(text: &str) -> String {
        clean(text.to_owned().into()).unwrap().expose().to_owned()
    }

    #[test]
    fn a_pasted_key_loses_what_came_along() {
        let key = format!("/{}+==", "aB3/".repeat(21));
        assert!(is_key(&key), "{}", key.len());
        for pasted in [
            format!(" {key}\n"),
            format!("\"{key}\"\r\n"),
            format!("'{key}'"),
            format!("{}\n{}", &key[..40], &key[40..]),
            format!("\u{feff}{key}"),
        ] {
            assert_eq!(cleaned(&pasted), key);
        }
    }

    #[test]
    fn another_password_stays_as_it_is() {
        for password in [" two words ", "'quoted'", "", "aGVsbG8=", "tab\there"] {
            assert_eq!(cleaned(password), password);
        }
    }

    #[test]
    fn what_is_no_key_is_named_and_not_repeated() {
        let sas = "?sv=2022-11-02&ss=f&srt=sco&sp=rl&se=2026-01-01&sig=s3cret%3D";
        let string = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=s3cret==;EndpointSuffix=x";
        for (text, word) in [(sas, "SAS token"), (string, "connection string")] {
            let error = clean(text.to_owned().into()).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn an_azure_host_names_its_user() {
        assert_eq!(azure_user("Acct.file.core.windows.net").as_deref(), Some("acct"));
        assert_eq!(azure_user("server"), None);
    }
}
