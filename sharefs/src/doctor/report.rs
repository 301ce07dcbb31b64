//! All checks together, as people and programs read them.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use super::check::{Check, Group, Outcome};
use crate::show::{printable, unless_broken_pipe};

/// What a warning and a failure make of the exit code.
const WARNINGS: u8 = 1;
const FAILURES: u8 = 2;

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Report {
    source: String,
    groups: Vec<Group>,
    checks: Vec<Check>,
}

impl Report {
    /// An empty report that will show these groups.
    pub(crate) const fn new(source: String, groups: Vec<Group>) -> Self {
        Self { source, groups, checks: Vec::new() }
    }

    /// Whether anybody wants to know of this group.
    pub(crate) fn wants(&self, group: Group) -> bool {
        self.groups.contains(&group)
    }

    pub(crate) fn add(&mut self, check: Check) {
        tracing::debug!(
            group = check.group.word(),
            check = check.name,
            outcome = check.outcome.word(),
            "doctor"
        );
        self.checks.push(check);
    }

    /// The gate that refuses, whether or not its group is shown.
    pub(crate) fn gate(&self) -> Option<&'static str> {
        self.checks.iter().find_map(Check::gate)
    }

    fn shown(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| self.wants(check.group))
    }

    /// 0 where all is well, 1 with warnings, 2 with failures.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self.shown().map(|check| check.outcome).max() {
            Some(Outcome::Failed) => FAILURES.into(),
            Some(Outcome::Warning) => WARNINGS.into(),
            _ => ExitCode::SUCCESS,
        }
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.shown().filter(|check| check.outcome == outcome).count()
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "source": self.source,
            "version": env!("CARGO_PKG_VERSION"),
            "gate": self.gate(),
            "passed": self.count(Outcome::Passed),
            "warnings": self.count(Outcome::Warning),
            "failures": self.count(Outcome::Failed),
            "skipped": self.count(Outcome::Skipped),
            "checks": self.shown().map(Check::json).collect::<Vec<_>>(),
        })
    }

    pub(crate) fn print(&self, as_json: bool) -> Result<()> {
        let mut out = io::stdout().lock();
        let written = if as_json {
            writeln!(out, "{:#}", self.json())
        } else {
            let colours = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            out.write_all(self.text(colours).as_bytes())
        };
        written.or_else(unless_broken_pipe)
    }

    fn text(&self, colours: bool) -> String {
        let width =
            self.shown().map(|check| check.group.word().len() + check.name.len() + 1).max().unwrap_or(0);
        let margin = " ".repeat(width + 11);
        let mut text = String::new();
        for check in self.shown() {
            let place = format!("{} {}", check.group.word(), check.name);
            let code = check.code.filter(|_| check.outcome > Outcome::Passed);
            let code = code.map(|code| format!(" [{}]", code.name)).unwrap_or_default();
            let word = coloured(check.outcome, colours);
            let found: Vec<&str> = check.found.split('\n').map(str::trim).collect();
            let found = printable(&found.join(" "));
            text.push_str(&format!("{word}  {place:<width$}  {found}{code}\n"));
            for line in &check.lines {
                text.push_str(&format!("{margin}{}\n", printable(line)));
            }
            if let (Some(means), Some(advice)) = (check.means(), check.advice()) {
                text.push_str(&format!("{margin}means  {means}\n{margin}mend   {}\n", printable(advice)));
            }
        }
        let gate = self.gate().map(|gate| format!("; refused at the gate: {gate}")).unwrap_or_default();
        text.push_str(&format!(
            "{}: {} passed, {} with a warning, {} failed, {} skipped{gate}\n",
            printable(&self.source),
            self.count(Outcome::Passed),
            self.count(Outcome::Warning),
            self.count(Outcome::Failed),
            self.count(Outcome::Skipped),
        ));
        text
    }
}

fn coloured(outcome: Outcome, colours: bool) -> String {
    let word = format!("{:<7}", outcome.word());
    let colour = match outcome {
        Outcome::Passed => 32,
        Outcome::Warning => 33,
        Outcome::Failed => 31,
        Outcome::Skipped => 2,
    };
    if colours { format!("\u{1b}[{colour}m{word}\u{1b}[0m") } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::LOGON_REFUSED;

    fn report(groups: &[Group]) -> Report {
        let mut report = Report::new("//server/share".into(), groups.to_vec());
        report.add(Check::passed(Group::Name, "form", "well formed"));
        report.add(Check::failed(Group::Session, "login", &LOGON_REFUSED, "no \u{1b}[2J").mend("do this"));
        report.add(Check::skipped(Group::Share, "tree", "not reached"));
        report
    }

    #[test]
    fn the_exit_code_and_the_counts_are_of_what_is_shown() {
        assert_eq!(report(&Group::ALL).exit_code(), ExitCode::from(FAILURES));
        assert_eq!(report(&[Group::Name]).exit_code(), ExitCode::SUCCESS);
        let json = report(&[Group::Name]).json();
        assert_eq!((&json["failures"], &json["gate"]), (&json!(0), &json!("logon")));
    }

    #[test]
    fn a_failure_is_told_with_its_code_and_what_mends_it() {
        let text = report(&Group::ALL).text(false);
        assert!(text.contains("no ?[2J [logon-refused]") && text.contains("mend   do this"), "{text}");
        assert!(
            text.ends_with("1 passed, 0 with a warning, 1 failed, 1 skipped; refused at the gate: logon\n")
        );
    }
}
