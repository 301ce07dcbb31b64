//! What a campaign found, as a table of `docs/RELIABILITY.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::fault::Fault;

#[derive(Debug, Default)]
struct Row {
    times: u64,
    saw: BTreeMap<String, u64>,
    longest: Duration,
    back: Duration,
}

/// What faults did. It is written only where nothing was lost: else the campaign has failed before.
#[derive(Debug, Default)]
pub(crate) struct Report {
    seed: u64,
    duration: Duration,
    /// KiB of the serving processes, when a third of the time was over and at the end.
    pub(crate) resident_early: u64,
    pub(crate) resident_late: u64,
    rows: BTreeMap<Fault, Row>,
    /// Operations of each program.
    pub(crate) done: Vec<(&'static str, u64)>,
    /// Bytes that were compared with the server's disk.
    pub(crate) bytes: u64,
    /// Numbers that were compared with the server's.
    pub(crate) checked: BTreeMap<&'static str, u64>,
}

impl Report {
    pub(crate) fn new(seed: u64, duration: Duration) -> Self {
        Self { seed, duration, ..Self::default() }
    }

    /// Adds a fault, what programs saw of it, their longest operation, and when all went on.
    pub(crate) fn struck(&mut self, fault: Fault, saw: &[String], longest: Duration, back: Duration) {
        let row = self.rows.entry(fault).or_default();
        row.times += 1;
        for error in saw {
            *row.saw.entry(error.clone()).or_default() += 1;
        }
        row.longest = row.longest.max(longest);
        row.back = row.back.max(back);
    }

    fn table(&self) -> String {
        let mut text = String::from(
            "| fault | times | what programs saw | longest operation | all went on after | lost |\n\
             | --- | --: | --- | --: | --: | --- |\n",
        );
        for (fault, row) in &self.rows {
            let saw: Vec<_> = row.saw.iter().map(|(error, times)| format!("{error} {times}×")).collect();
            let saw = if saw.is_empty() { "no error".into() } else { saw.join(", ") };
            let (longest, back) = (row.longest.as_secs_f64(), row.back.as_secs_f64());
            let (name, times) = (fault.name(), row.times);
            let _ = writeln!(text, "| {name} | {times} | {saw} | {longest:.1} s | {back:.1} s | nothing |");
        }
        let done: Vec<_> = self.done.iter().map(|(kind, done)| format!("{kind} {done}")).collect();
        let _ = write!(
            text,
            "\nSeed {}, {} s; {} MiB resident after a third of it, {} MiB at the end. Operations: {}. At the end {} bytes of files, {} transactions and {} numbers counted under locks were \
             compared with the server's disk.\n",
            self.seed,
            self.duration.as_secs(),
            self.resident_early >> 10,
            self.resident_late >> 10,
            done.join(", "),
            self.bytes,
            self.checked["sqlite"],
            self.checked["locks"],
        );
        text
    }

    /// Puts the table below this heading.
    pub(crate) fn write(&self, heading: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/RELIABILITY.md");
        let text = fs::read_to_string(&path).expect("docs/RELIABILITY.md");
        let (before, old) = text.split_once(&format!("{heading}\n")).expect("the heading");
        let after = old.split_once("\n## ").map(|(_, after)| format!("\n## {after}")).unwrap_or_default();
        fs::write(&path, format!("{before}{heading}\n\n{}{after}", self.table()))
            .expect("the table is written");
    }
}
