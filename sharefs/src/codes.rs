//! The code at the end of each error text, which `sharefs doctor --explain` and docs/TROUBLESHOOTING.md explain.

mod kind;
mod table;

use std::fmt;

use serde_json::{Value, json};

pub(crate) use kind::{of, of_client};
pub(crate) use table::*;

/// One reason why something does not work. The texts are for everybody: they name no server and no file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// Words with hyphens between them; stable, because scripts and searches depend on it.
    pub(crate) name: &'static str,
    /// What has happened, in one sentence.
    pub(crate) cause: &'static str,
    /// What to look at.
    pub(crate) check: &'static str,
    /// What mends it.
    pub(crate) fix: &'static str,
}

/// An error whose code is known where it happens.
#[derive(Debug)]
pub(crate) struct Coded {
    code: &'static Code,
    text: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Coded {}

impl Code {
    /// An error of this kind.
    pub(crate) fn says(&'static self, text: impl Into<String>) -> anyhow::Error {
        Coded { code: self, text: text.into() }.into()
    }

    /// The same error with this code.
    pub(crate) fn of(&'static self, error: &anyhow::Error) -> anyhow::Error {
        self.says(format!("{error:#}"))
    }

    /// The code that is called so.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        let bare = name.trim_matches(['[', ']', ' ']);
        ALL.iter().find(|code| code.name == bare).copied()
    }

    /// What `--explain` prints for a program.
    pub(crate) fn json(&self) -> Value {
        json!({ "code": self.name, "cause": self.cause, "check": self.check, "fix": self.fix })
    }

    /// What `--explain` prints.
    pub(crate) fn explanation(&self) -> String {
        format!("{}\n  cause  {}\n  check  {}\n  fix    {}\n", self.name, self.cause, self.check, self.fix)
    }
}

/// A text with its code behind it, unless it has one: another process of ours may have said it.
pub(crate) fn with_code(text: &str, code: &Code) -> String {
    let text = text.trim_end();
    if code_in(text).is_some() { text.to_owned() } else { format!("{text} [{}]", code.name) }
}

/// The code at the end of a text.
pub(crate) fn code_in(text: &str) -> Option<&'static Code> {
    let (_, name) = text.trim_end().strip_suffix(']')?.rsplit_once(" [")?;
    Code::named(name)
}

/// docs/TROUBLESHOOTING.md
#[cfg(test)]
fn document() -> String {
    let mut text = String::from(
        "# Troubleshooting by error code\n\n\
         Each error that `sharefs` prints ends with a code in brackets, as `[logon-refused]`. Here is what each means;\n\
         `sharefs doctor --explain CODE` prints the same, and `sharefs doctor //server/share [DIR]` finds out what is\n\
         wrong. This file is written from the table in the program (`sharefs/src/codes/table.rs`), and a test compares \
         them.\n",
    );
    for code in ALL {
        let Code { name, cause, check, fix } = code;
        text.push_str(&format!(
            "\n## {name}\n\n- **Cause:** {cause}\n- **Check:** {check}\n- **Fix:** {fix}\n"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/TROUBLESHOOTING.md");
        if std::env::var_os("SHAREFS_WRITE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == document(),
            "docs/TROUBLESHOOTING.md is old: SHAREFS_WRITE_DOCS=1 cargo test writes it"
        );
    }

    #[test]
    fn codes_are_words_and_each_is_there_once() {
        let mut names: Vec<&str> = ALL.iter().map(|code| code.name).collect();
        for name in &names {
            assert!(
                name.bytes().all(|c| c.is_ascii_lowercase() || c == b'-' || c.is_ascii_digit()),
                "{name}"
            );
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_text_gets_one_code() {
        let said = with_code("no such thing\n", &NOT_FOUND);
        assert_eq!(said, "no such thing [not-found]");
        assert_eq!(with_code(&said, &FAILED), said);
        assert_eq!(with_code("odd [x]", &FAILED), "odd [x] [failed]");
    }

    #[test]
    fn what_an_error_is_about_is_found_below_its_context() {
        use anyhow::Context;
        let error = Err::<(), _>(NO_USER.says("whose?")).context("//server/share").unwrap_err();
        assert_eq!(of(&error).name, "no-user");
        let io = anyhow::Error::from(std::io::Error::from(std::io::ErrorKind::NotFound)).context("reading x");
        assert_eq!(of(&io).name, "local-missing");
        assert_eq!(of(&anyhow::anyhow!("?")).name, "failed");
    }
}
