//! pjdfstest: what POSIX says of every call, in some four hundred cases.
//!
//! `docs/PJDFSTEST.md` holds the cases that fail, each with the reason, in a table for each server and way to mount it; a
//! case that fails and is not there fails the test, and so does one that is there and passes. `SHAREFS_BLESS=1` rewrites
//! a table from what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sharefs_tests::{Mount, Samba, SambaBuilder, find_tool};

/// The features are those that Linux has and that a case must not be left out for.
const CONFIGURATION: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}
[settings]
# Above the 4 ms in which some kernels count time.
naptime = 0.02
allow_remount = false
expected_failures = []
[dummy_auth]
entries = [["nobody", "nogroup"], ["tests", "tests"]]
"#;

/// A server, a way to mount it, and what is expected of both.
struct Setup {
    /// What the table begins with.
    heading: &'static str,
    samba: fn() -> SambaBuilder,
    options: &'static [&'static str],
    /// So many cases pass at least where root runs them.
    least: usize,
}

const PLAIN: Setup =
    Setup { heading: "## Samba 4.17, no options", samba: Samba::builder, options: &[], least: 150 };

/// What of POSIX a mount can do without the server.
const MADE_UP: Setup = Setup {
    heading: "## Samba 4.17, all options",
    samba: Samba::builder,
    options: &["mfsymlinks", "sfu", "dynperm", "setuids", "symlinks=follow"],
    least: 250,
};

/// 95 % of what ext4 passes.
const POSIX: Setup = Setup {
    heading: "## Samba 4.22, POSIX extensions",
    samba: posix_samba,
    options: &["dynperm", "setuids", "symlinks=follow"],
    least: 364,
};

/// Root is root on the server too, and nothing is taken from the modes of what is made.
fn posix_samba() -> SambaBuilder {
    let builder = Samba::builder().posix().share("create mask", "07777").share("directory mask", "07777");
    builder.share("admin users", "tester")
}

/// A reason that nobody has found yet.
const UNKNOWN: &str = "?";
/// What the table of reasons begins with.
const REASONS: &str = "## Reasons";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// The outcome of each case, from what pjdfstest prints.
fn outcomes(text: &str) -> BTreeMap<String, Outcome> {
    let outcome = |line: &str| {
        let (name, word) = line.split_once(' ')?;
        let outcome = match word.trim() {
            "ok" => Outcome::Passed,
            "FAILED" => Outcome::Failed,
            "skipped" => Outcome::Skipped,
            _ => return None,
        };
        Some((name.to_owned(), outcome))
    };
    text.lines().filter_map(outcome).collect()
}

/// A table of expected failures, with the text around it.
struct Table {
    heading: &'static str,
    path: PathBuf,
    text: String,
    /// The reason for each case.
    rows: BTreeMap<String, String>,
    /// The reasons that the text explains.
    explained: BTreeSet<String>,
}

impl Table {
    fn read(heading: &'static str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PJDFSTEST.md");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (_, reasons) = text.split_once(REASONS).expect("the table of reasons");
        let (reasons, _) = reasons.split_once("\n## ").expect("the end of the reasons");
        let (_, rows) = text.split_once(heading).expect("the table's heading");
        let (rows, _) = rows.split_once("\n## ").unwrap_or((rows, ""));
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| ")?.split('|').map(|cell| cell.trim().to_owned());
            Some((cells.next()?.trim_matches('`').to_owned(), cells.next()?))
        };
        let (reasons, rows) = (reasons.lines().filter_map(row), rows.lines().filter_map(row));
        let explained = reasons.map(|(reason, _)| reason).collect();
        let rows = rows.filter(|(name, _)| name.contains("::")).collect();
        Self { heading, explained, rows, path, text }
    }

    /// Writes the table anew for these failures; reasons that were known stay.
    fn bless(&self, failed: &BTreeSet<String>) {
        let (before, old) = self.text.split_once(self.heading).expect("the table's heading");
        let (_, after) = old.split_once("\n## ").unwrap_or((old, ""));
        let mut text = format!("{before}{}\n\n| case | reason |\n| --- | --- |\n", self.heading);
        for name in failed {
            let reason = self.rows.get(name).map_or(UNKNOWN, String::as_str);
            let _ = writeln!(text, "| `{name}` | {reason} |");
        }
        if !after.is_empty() {
            let _ = write!(text, "\n## {after}");
        }
        fs::write(&self.path, text).expect("the table is written");
    }

    /// What pjdfstest says of failures that are not in the table.
    fn unexpected(&self, text: &str) -> String {
        let mut wanted = false;
        let lines = text.lines().filter(|line| {
            if let Some((name, "FAILED")) = line.split_once(' ').map(|(name, word)| (name, word.trim())) {
                wanted = !self.rows.contains_key(name);
            } else if !line.starts_with('\t') {
                wanted = false;
            }
            wanted
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What is wrong with the table, seen what was found.
    fn complaints(&self, outcomes: &BTreeMap<String, Outcome>, root: bool) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, outcome) in outcomes {
            if *outcome == Outcome::Failed && !self.rows.contains_key(name) {
                complaints.push(format!("{name} fails, and is not in the table"));
            }
        }
        for (name, reason) in &self.rows {
            match outcomes.get(name) {
                Some(Outcome::Failed) => {}
                // An ordinary user's run leaves out what only root can try.
                Some(Outcome::Skipped) if !root => {}
                Some(outcome) => complaints.push(format!("{name} is in the table, but {outcome:?}")),
                None => complaints.push(format!("{name} is in the table, but pjdfstest has no such case")),
            }
            if !self.explained.contains(reason) {
                complaints.push(format!("{name}: nothing explains the reason {reason:?}"));
            }
        }
        complaints
    }
}

fn fails_only_where_the_table_says_so(setup: &Setup) {
    let samba = (setup.samba)().start();
    let root = rustix::process::getuid().is_root();
    // Only root can play other users, whom the mount must let in; an ordinary user's run has fewer cases.
    let mount = if root { Mount::new(&samba).by_root() } else { Mount::new(&samba) };
    let mount = mount.options(setup.options.iter().copied()).start();
    let configuration = mount.home().join("pjdfstest.toml");
    fs::write(&configuration, CONFIGURATION).expect("the configuration");
    let output = mount
        .command(mount.bring(&find_tool("pjdfstest")))
        // It would be printed for each failure.
        .env_remove("RUST_BACKTRACE")
        .args(["-c".as_ref(), configuration.as_os_str(), "-p".as_ref(), mount.path().as_os_str()])
        .output()
        .expect("pjdfstest starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let outcomes = outcomes(&text);
    let count = |wanted| outcomes.values().filter(|outcome| **outcome == wanted).count();
    println!(
        "pjdfstest: {} pass, {} fail, {} skipped, of {}",
        count(Outcome::Passed),
        count(Outcome::Failed),
        count(Outcome::Skipped),
        outcomes.len()
    );
    assert!(
        outcomes.len() > 300,
        "pjdfstest ended early:\n{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // An ordinary user's run leaves out a third of them.
    assert!(!root || count(Outcome::Passed) >= setup.least, "only {} pass", count(Outcome::Passed));

    if env::var_os("SHAREFS_BLESS").is_some() {
        assert!(root, "the table is of root's run, which has all cases");
        let failed = outcomes.iter().filter(|(_, outcome)| **outcome == Outcome::Failed);
        Table::read(setup.heading).bless(&failed.map(|(name, _)| name.clone()).collect());
    }
    let table = Table::read(setup.heading);
    let complaints = table.complaints(&outcomes, root);
    assert!(complaints.is_empty(), "{}\n{}", complaints.join("\n"), table.unexpected(&text));
}

#[test]
fn a_plain_mount_fails_only_where_the_table_says_so() {
    fails_only_where_the_table_says_so(&PLAIN);
}

#[test]
fn a_mount_that_makes_things_up_fails_only_where_the_table_says_so() {
    fails_only_where_the_table_says_so(&MADE_UP);
}

#[test]
fn a_mount_with_posix_extensions_fails_only_where_the_table_says_so() {
    fails_only_where_the_table_says_so(&POSIX);
}
