//! `list`: all mounts there are and all that are to come back.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;

use crate::remembered;
use crate::show::{printable, shown, unless_broken_pipe};
use crate::status;

/// A mount as it is shown.
#[derive(Serialize)]
struct Row {
    dir: PathBuf,
    source: String,
    /// One word for a person: OK, Reconnecting, Offline, Disconnected, Failed.
    state: String,
    reason: Option<String>,
    remembered: bool,
    /// Who is logged in; none while nobody is.
    user: Option<String>,
    /// Since when it is mounted, or else remembered.
    since: String,
}

/// `sharefs list`
pub(crate) fn run(as_json: bool) -> Result<ExitCode> {
    let rows = rows()?;
    let write = || {
        let mut out = io::stdout().lock();
        if as_json {
            return writeln!(out, "{:#}", serde_json::json!(rows));
        }
        if rows.is_empty() {
            return writeln!(out, "Nothing is mounted or remembered.");
        }
        let width =
            |text: fn(&Row) -> String| rows.iter().map(|row| text(row).chars().count()).max().unwrap_or(0);
        let (folders, sources) = (width(|row| shown(&row.dir)), width(|row| printable(&row.source)));
        let states = width(|row| row.state.clone());
        for row in &rows {
            let (dir, source) = (shown(&row.dir), printable(&row.source));
            let user = row.user.as_deref().map(|user| format!("as {} ", printable(user))).unwrap_or_default();
            let remembered = if row.remembered { ", remembered" } else { "" };
            writeln!(
                out,
                "{:<states$}  {dir:<folders$}  {source:<sources$}  {user}since {}{remembered}",
                row.state, row.since
            )?;
            if let Some(reason) = &row.reason {
                writeln!(out, "{:<states$}  {}", "", reason.trim_end().replace('\n', "\n  "))?;
            }
        }
        Ok(())
    };
    write().or_else(unless_broken_pipe)?;
    Ok(ExitCode::SUCCESS)
}

fn rows() -> Result<Vec<Row>> {
    let mut rows = BTreeMap::new();
    for one in remembered::all()? {
        let failure = status::failure(&one.dir);
        let state = if failure.is_some() { "Failed" } else { "Disconnected" };
        let row = Row {
            state: state.into(),
            reason: failure.or_else(|| Some("not mounted: run sharefs mount --all".into())),
            source: one.source,
            remembered: true,
            user: None,
            since: one.since,
            dir: one.dir.clone(),
        };
        rows.insert(one.dir, row);
    }
    for record in status::all()? {
        let (state, reason) = in_words(&record.state);
        let remembered = rows.contains_key(&record.dir);
        let (dir, source, user) = (record.dir.clone(), record.source, Some(record.user));
        let row = Row { dir, source, state, reason, remembered, user, since: record.since };
        rows.insert(record.dir, row);
    }
    Ok(rows.into_values().collect())
}

/// `dead: its process ended` is `Failed` because `its process ended`.
fn in_words(state: &str) -> (String, Option<String>) {
    let (word, reason) = match state.split_once(':') {
        Some((word, reason)) => (word, Some(reason.trim().to_owned())),
        None => (state, None),
    };
    let word = match word {
        "ok" => "OK".into(),
        "dead" => "Failed".into(),
        word => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
    };
    (word, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_words() {
        assert_eq!(in_words("ok"), ("OK".into(), None));
        assert_eq!(in_words("dead: it ended"), ("Failed".into(), Some("it ended".into())));
        assert_eq!(in_words("disconnected: x: y"), ("Disconnected".into(), Some("x: y".into())));
        assert_eq!(in_words("reconnecting"), ("Reconnecting".into(), None));
    }
}
