//! `fstab import`: lines of the kernel's client become lines of sharefs, without passwords.

use anyhow::{Context, Result};

use super::Line;
use crate::credentials::{azure_user, clean};
use crate::options::RawOptions;
use crate::source::Source;
use crate::store::{Entry, Scope};

/// A line as it is to be.
pub(super) struct Rewritten {
    pub(super) text: String,
    /// What its password was, with what reaches the server.
    pub(super) password: Option<(Entry, Source, RawOptions)>,
}

/// Rewrites a line of the kernel's client.
///
/// # Errors
///
/// Where sharefs would not do what it says.
pub(super) fn rewrite(text: &str, line: &Line) -> Result<Rewritten> {
    let mut options = RawOptions::default();
    options.apply_list(&line.options)?;
    let source = Source::parse(&line.source)?;
    let password = match options.password.take() {
        Some(password) => {
            let (scope, _) = Scope::parse(&source.at(""))?;
            let user =
                options.username.clone().or_else(|| source.user.clone()).or_else(|| azure_user(&scope.host));
            let user = user.context("it has a password, and no username=")?;
            let second = options.second.take().map(clean).transpose()?;
            let entry = Entry::new(scope, &user, options.domain.clone(), &clean(password)?, second.as_ref());
            Some((entry, source, options))
        }
        None => None,
    };
    Ok(Rewritten { text: replaced(text), password })
}

/// The line with another type and without passwords; blanks and what else it has stay.
fn replaced(text: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut field = 0;
    for piece in text.split_inclusive([' ', '\t']) {
        let word = piece.trim_end_matches([' ', '\t']);
        if word.is_empty() {
            replaced.push_str(piece);
            continue;
        }
        let blanks = &piece[word.len()..];
        match field {
            2 => replaced.push_str("sharefs"),
            3 => replaced.push_str(&without_passwords(word)),
            _ => replaced.push_str(word),
        }
        replaced.push_str(blanks);
        field += 1;
    }
    replaced
}

fn without_passwords(options: &str) -> String {
    let secret = |option: &&str| {
        let name = option.split('=').next().unwrap_or_default().trim();
        matches!(name, "password" | "pass" | "password2" | "pass2")
    };
    let kept: Vec<&str> = options.split(',').filter(|option| !secret(option)).collect();
    if kept.is_empty() { "defaults".into() } else { kept.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_keeps_all_but_type_and_password() {
        let text =
            "//h/my\\040s\t/mnt/x  cifs\tvers=3.0,username=D\\134u,password=s3cret,_netdev\t0 0  # mine";
        let line = Line::parse(text).unwrap();
        let rewritten = rewrite(text, &line).unwrap();
        let expected = "//h/my\\040s\t/mnt/x  sharefs\tvers=3.0,username=D\\134u,_netdev\t0 0  # mine";
        assert_eq!(rewritten.text, expected);
        let (entry, ..) = rewritten.password.unwrap();
        assert_eq!((entry.scope().as_str(), entry.full_user().as_str()), ("//h/my s", "D\\u"));
        assert_eq!(entry.secrets().unwrap().0.expose(), "s3cret");
        assert_eq!(without_passwords("pass=x"), "defaults");
    }

    #[test]
    fn what_sharefs_cannot_do_stays() {
        for options in ["sec=krb5", "multiuser,user=u", "password=p", "nonsense"] {
            let text = format!("//h/s /mnt cifs {options} 0 0");
            assert!(rewrite(&text, &Line::parse(&text).unwrap()).is_err(), "{options}");
        }
    }
}
