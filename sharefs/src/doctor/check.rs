//! One thing that the doctor looked at, and what was found.

use serde_json::{Value, json};

use crate::codes::Code;

/// What checks are about, in the order in which a mount meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Group {
    Name,
    Dns,
    Network,
    Negotiate,
    Credentials,
    Kerberos,
    Session,
    Matrix,
    Share,
    Capabilities,
    Speed,
    Host,
}

impl Group {
    pub(crate) const ALL: [Self; 12] = [
        Self::Name,
        Self::Dns,
        Self::Network,
        Self::Negotiate,
        Self::Credentials,
        Self::Kerberos,
        Self::Session,
        Self::Matrix,
        Self::Share,
        Self::Capabilities,
        Self::Speed,
        Self::Host,
    ];

    /// What it is called on the command line and in reports.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Dns => "dns",
            Self::Network => "network",
            Self::Negotiate => "negotiate",
            Self::Credentials => "credentials",
            Self::Kerberos => "kerberos",
            Self::Session => "session",
            Self::Matrix => "matrix",
            Self::Share => "share",
            Self::Capabilities => "capabilities",
            Self::Speed => "speed",
            Self::Host => "host",
        }
    }

    /// The group that is called so.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.word() == word)
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Skipped,
    Passed,
    Warning,
    Failed,
}

impl Outcome {
    /// What reports call it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Passed => "passed",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// A check that was made, or not.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) group: Group,
    pub(crate) name: &'static str,
    pub(crate) outcome: Outcome,
    /// What was found, or why nothing was looked for. Never a secret.
    pub(crate) found: String,
    pub(crate) code: Option<&'static Code>,
    /// What mends it here; without, the code's own advice stands.
    pub(crate) mend: Option<String>,
    /// More of what was found, a line each.
    pub(crate) lines: Vec<String>,
    /// The same for a program.
    pub(crate) data: Value,
}

impl Check {
    fn new(group: Group, name: &'static str, outcome: Outcome, found: String) -> Self {
        Self { group, name, outcome, found, code: None, mend: None, lines: Vec::new(), data: Value::Null }
    }

    pub(crate) fn passed(group: Group, name: &'static str, found: impl Into<String>) -> Self {
        Self::new(group, name, Outcome::Passed, found.into())
    }

    pub(crate) fn skipped(group: Group, name: &'static str, why: impl Into<String>) -> Self {
        Self::new(group, name, Outcome::Skipped, why.into())
    }

    pub(crate) fn warning(
        group: Group,
        name: &'static str,
        code: &'static Code,
        found: impl Into<String>,
    ) -> Self {
        Self { code: Some(code), ..Self::new(group, name, Outcome::Warning, found.into()) }
    }

    pub(crate) fn failed(
        group: Group,
        name: &'static str,
        code: &'static Code,
        found: impl Into<String>,
    ) -> Self {
        Self { code: Some(code), ..Self::new(group, name, Outcome::Failed, found.into()) }
    }

    /// The same with the command that mends it.
    pub(crate) fn mend(self, command: impl Into<String>) -> Self {
        Self { mend: Some(command.into()), ..self }
    }

    /// The same with more of what was found.
    pub(crate) fn lines(self, lines: Vec<String>) -> Self {
        Self { lines, ..self }
    }

    /// The same with what a program can use.
    pub(crate) fn data(self, data: Value) -> Self {
        Self { data, ..self }
    }

    /// What it means, where something is to be done.
    pub(crate) fn means(&self) -> Option<&'static str> {
        self.code.filter(|_| self.outcome > Outcome::Passed).map(|code| code.cause)
    }

    /// What mends it, where something is to be done.
    pub(crate) fn advice(&self) -> Option<&str> {
        let code = self.code.filter(|_| self.outcome > Outcome::Passed)?;
        Some(self.mend.as_deref().unwrap_or(code.fix))
    }

    /// Where a mount of the share would end.
    pub(crate) fn gate(&self) -> Option<&'static str> {
        (self.outcome == Outcome::Failed).then_some(())?;
        Some(match (self.group, self.name) {
            (Group::Name, _) => "name",
            (Group::Dns | Group::Network, _) => "network",
            (Group::Negotiate, _) => "negotiate",
            (Group::Credentials | Group::Session, _) => "logon",
            (Group::Share, "tree") => "share",
            (Group::Share, "root") => "root",
            _ => return None,
        })
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "group": self.group.word(),
            "check": self.name,
            "outcome": self.outcome.word(),
            "found": self.found,
            "code": self.code.map(|code| code.name),
            "means": self.means(),
            "mend": self.advice(),
            "lines": self.lines,
            "data": self.data,
        })
    }
}
