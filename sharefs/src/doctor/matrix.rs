//! Which dialects, ciphers and ways of signing the server accepts, tried one by one.

use futures::StreamExt;
use serde_json::{Value, json};
use smb_client::{Cipher, Client, ConnectOptions, Credentials, Dialect, SigningAlgorithm};

use super::Patient;
use super::check::{Check, Group};
use super::report::Report;
use super::session::Login;
use crate::codes::{self, Code, NO_COMMON_DIALECT, OLD_DIALECT};

/// Ways that are tried at once: a server may count connections.
const AT_ONCE: usize = 3;
const CIPHERS: [Cipher; 4] = [Cipher::Aes128Ccm, Cipher::Aes128Gcm, Cipher::Aes256Ccm, Cipher::Aes256Gcm];

/// One way of talking to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Way {
    dialect: Dialect,
    signing: SigningAlgorithm,
    /// None is signed only.
    cipher: Option<Cipher>,
}

impl Way {
    fn all() -> Vec<Self> {
        use SigningAlgorithm::{AesCmac, AesGmac, HmacSha256};
        let mut ways = Vec::new();
        for (dialect, signings, ciphers) in [
            (Dialect::Smb202, &[HmacSha256][..], &CIPHERS[..0]),
            (Dialect::Smb210, &[HmacSha256], &CIPHERS[..0]),
            (Dialect::Smb300, &[AesCmac], &CIPHERS[..1]),
            (Dialect::Smb302, &[AesCmac], &CIPHERS[..1]),
            (Dialect::Smb311, &[HmacSha256, AesCmac, AesGmac], &CIPHERS[..]),
        ] {
            for signing in signings {
                let ciphers = std::iter::once(None).chain(ciphers.iter().copied().map(Some));
                ways.extend(ciphers.map(|cipher| Self { dialect, signing: *signing, cipher }));
            }
        }
        ways
    }

    fn of(self, options: &ConnectOptions) -> ConnectOptions {
        let options = options.clone().dialects(self.dialect, self.dialect).signing_algorithms([self.signing]);
        match self.cipher {
            Some(cipher) => options.ciphers([cipher]).encrypt(true),
            None => options.encrypt(false),
        }
    }

    /// Logs in and connects to the share this way; why not, as a code.
    async fn log_in(self, options: &ConnectOptions, share: &str) -> Result<(), &'static str> {
        let client =
            Client::connect(&self.of(options)).await.map_err(|error| codes::of_client(&error).name)?;
        let info = client.info();
        let agreed = info.dialect == self.dialect
            && (info.guest || !options.sign || info.signing == Some(self.signing))
            && (self.cipher.is_none() || info.cipher == self.cipher);
        let connected = client.share(share).await;
        // What the session or the share insists on counts, not what was asked for.
        let unasked = self.cipher.is_none() && connected.as_ref().is_ok_and(|share| share.is_encrypted());
        let result = match connected {
            Ok(_) if unasked => Err(codes::ENCRYPTION_REQUIRED.name),
            Ok(_) if agreed => Ok(()),
            Ok(_) => Err(NO_COMMON_DIALECT.name),
            Err(error) => Err(codes::of_client(&error).name),
        };
        crate::cli::log_off(client).await;
        result
    }

    /// Negotiates this way, and goes no further.
    async fn negotiate(self, options: &ConnectOptions) -> Result<(), &'static str> {
        let agreed =
            Client::negotiate(&self.of(options)).await.map_err(|error| codes::of_client(&error).name)?;
        let same = agreed.dialect == self.dialect
            && agreed.signing == self.signing
            && (self.cipher.is_none() || agreed.cipher == self.cipher);
        if same { Ok(()) } else { Err(NO_COMMON_DIALECT.name) }
    }

    fn json(self, result: Result<(), &'static str>) -> Value {
        json!({
            "dialect": self.dialect.to_string(),
            "signing": self.signing.to_string(),
            "cipher": self.cipher.map(|cipher| cipher.to_string()),
            "accepted": result.is_ok(),
            "code": result.err(),
        })
    }
}

/// Tries all ways. A password that was refused is not tried again: then the server is only asked what it would agree on.
pub(crate) async fn measure(patient: &Patient, login: &Login, report: &mut Report) {
    let options = match login {
        Login::Done(_, options) | Login::Denied(options) => Some(&**options),
        Login::Refused => None,
    };
    let nobody = patient.connect(Credentials::Anonymous);
    let share = &patient.source.share;
    let tries = Way::all().into_iter().map(|way| {
        let nobody = &nobody;
        async move {
            let result = match options {
                Some(options) => way.log_in(options, share).await,
                None => way.negotiate(nobody).await,
            };
            (way, result)
        }
    });
    let results: Vec<(Way, Result<(), &'static str>)> =
        futures::stream::iter(tries).buffered(AT_ONCE).collect().await;
    report.add(summary(&results, options.is_some()));
    report.add(authentication(matches!(login, Login::Done(..)), &nobody, share).await);
}

/// Who is let in, as far as this version can ask.
async fn authentication(by_password: bool, nobody: &ConnectOptions, share: &str) -> Check {
    let anonymous = async {
        let client = Client::connect(nobody).await?;
        let connected = client.share(share).await;
        crate::cli::log_off(client).await;
        connected.map(drop)
    };
    let anonymous = anonymous.await;
    let word = |yes| if yes { "yes" } else { "no" };
    let found = format!(
        "the password by NTLMv2: {}, nobody: {}; Kerberos is not tried",
        word(by_password),
        word(anonymous.is_ok())
    );
    let data = json!({ "ntlm": by_password, "nobody": anonymous.is_ok() });
    Check::passed(Group::Matrix, "authentication", found).data(data)
}

fn summary(results: &[(Way, Result<(), &'static str>)], logged_in: bool) -> Check {
    let accepted: Vec<Way> =
        results.iter().filter(|(_, result)| result.is_ok()).map(|(way, _)| *way).collect();
    let how = if logged_in {
        "logged in by NTLMv2 and connected to the share"
    } else {
        "negotiated only: a password that was refused, or that there is not, is not tried"
    };
    let found = format!("{} of {} ways are accepted ({how})", accepted.len(), results.len());
    let data = json!(results.iter().map(|(way, result)| way.json(*result)).collect::<Vec<_>>());
    let best = accepted.iter().map(|way| way.dialect).max();
    let check = match best {
        None => {
            let why = results.last().and_then(|(_, result)| Code::named(result.err()?));
            Check::failed(Group::Matrix, "accepted", why.unwrap_or(&NO_COMMON_DIALECT), found)
        }
        Some(dialect) if dialect < Dialect::Smb300 => {
            Check::warning(Group::Matrix, "accepted", &OLD_DIALECT, found)
        }
        Some(_) => Check::passed(Group::Matrix, "accepted", found),
    };
    check.lines(table(results)).data(data)
}

/// A line for each dialect and way of signing, a column for each cipher.
fn table(results: &[(Way, Result<(), &'static str>)]) -> Vec<String> {
    let columns: Vec<Option<Cipher>> = std::iter::once(None).chain(CIPHERS.map(Some)).collect();
    let heads =
        columns.iter().map(|cipher| cipher.map_or_else(|| "signed only".into(), |cipher| cipher.to_string()));
    let mut lines =
        vec![format!("{:<20}{}", "", heads.map(|head| format!("{head:<13}")).collect::<String>())];
    for (first, _) in results.iter().filter(|(way, _)| way.cipher.is_none()) {
        let cell = |cipher: &Option<Cipher>| {
            let way = Way { cipher: *cipher, ..*first };
            match results.iter().find(|(other, _)| *other == way) {
                Some((_, Ok(()))) => "yes",
                Some((_, Err(_))) => "no",
                None => "",
            }
        };
        let cells: String = columns.iter().map(|cipher| format!("{:<13}", cell(cipher))).collect();
        lines.push(format!("{:<6}{:<14}{cells}", first.dialect.to_string(), first.signing.to_string()));
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_tried_once() {
        let ways = Way::all();
        assert_eq!(ways.len(), 21);
        assert!(ways.iter().all(|way| way.cipher.is_none() || way.dialect >= Dialect::Smb300));
    }

    #[test]
    fn the_table_has_a_line_for_each_way_of_signing() {
        let results: Vec<_> = Way::all().into_iter().map(|way| (way, Err("x"))).collect();
        assert_eq!(table(&results).len(), 1 + 7);
        assert_eq!(
            summary(&results, true).code.map(|code| code.name),
            Some("no-common-dialect"),
            "not a code"
        );
    }
}
