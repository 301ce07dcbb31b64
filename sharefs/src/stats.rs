//! `stats`: what the processes that serve this user's mounts say of their work.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches, Command};
use indicatif::HumanBytes;
use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};
use serde_json::{Value, json};

use crate::control::{self, Request};
use crate::serving::Statistics;
use crate::show::{complaint, printable, shown, tell, unless_broken_pipe};
use crate::status::{self, MountRecord};

type Answer = (MountRecord, Result<Statistics>);

/// A number for Prometheus.
struct Metric {
    name: &'static str,
    help: &'static str,
    value: fn(&Statistics) -> u64,
}

const METRICS: [Metric; 10] = [
    Metric {
        name: "sharefs_connected",
        help: "1 while there is a connection to the server",
        value: |of| of.connected.into(),
    },
    Metric {
        name: "sharefs_reconnects_total",
        help: "Connections made after the first",
        value: |of| of.reconnects,
    },
    Metric {
        name: "sharefs_requests_in_flight",
        help: "Requests of programs that have no answer yet",
        value: |of| of.requests_in_flight,
    },
    Metric {
        name: "sharefs_read_bytes_total",
        help: "Bytes of files read, without what the kernel had",
        value: |of| of.read_bytes,
    },
    Metric {
        name: "sharefs_written_bytes_total",
        help: "Bytes of files written",
        value: |of| of.written_bytes,
    },
    Metric {
        name: "sharefs_cache_clean_bytes",
        help: "Bytes held in memory that the server has as well",
        value: |of| of.cache_clean_bytes,
    },
    Metric {
        name: "sharefs_cache_dirty_bytes",
        help: "Bytes held in memory that the server does not have yet",
        value: |of| of.cache_dirty_bytes,
    },
    Metric {
        name: "sharefs_cache_limit_bytes",
        help: "Most bytes that may be held in memory",
        value: |of| of.cache_limit_bytes,
    },
    Metric { name: "sharefs_open_files", help: "Files that programs have open", value: |of| of.open_files },
    Metric {
        name: "sharefs_open_directories",
        help: "Directories that programs have open",
        value: |of| of.open_directories,
    },
];

/// Whether the serving process answers.
const UP: &str = "sharefs_up";
const LABELS: [&str; 2] = ["dir", "source"];

pub(crate) fn command() -> Command {
    let switch = |name: &'static str, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("stats")
        .about("Show what mounts have read and written, hold in memory and have open")
        .arg(switch("json", "Print JSON"))
        .arg(
            switch("prometheus", "Print the text format of Prometheus, as for node_exporter's text files")
                .conflicts_with("json"),
        )
        .arg(
            Arg::new("dir")
                .value_name("DIR")
                .num_args(0..)
                .value_parser(clap::value_parser!(PathBuf))
                .help("The folders; all of this user's mounts, if there are none"),
        )
}

/// `sharefs stats`
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let records = match matches.get_many::<PathBuf>("dir") {
        Some(dirs) => dirs.map(|dir| MountRecord::of_mount(dir)).collect::<Result<Vec<_>>>()?,
        None => status::all()?,
    };
    let prometheus = matches.get_flag("prometheus");
    let answers = ask_all(records);
    let text = if prometheus {
        exposition(&answers)?
    } else if matches.get_flag("json") {
        format!("{:#}\n", Value::Array(answers.iter().map(as_json).collect()))
    } else {
        answers.iter().filter_map(describe).collect()
    };
    io::stdout().lock().write_all(text.as_bytes()).or_else(unless_broken_pipe)?;
    let silent: Vec<_> = answers.iter().filter_map(|(_, answer)| answer.as_ref().err()).collect();
    // Whoever collects the numbers learns it from them, and is to have the others.
    if prometheus || silent.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    silent.iter().for_each(|error| tell(&format!("sharefs: {}", complaint(error))));
    Ok(ExitCode::FAILURE)
}

/// Asks all at once: none is to wait for another that does not answer.
fn ask_all(records: Vec<MountRecord>) -> Vec<Answer> {
    let ask = |record: MountRecord| {
        let answer = control::ask(&record, &Request::Statistics, Some(control::PATIENCE));
        let answer =
            answer.and_then(|said| serde_json::from_value(said).context("its answer is no statistics"));
        (record, answer)
    };
    thread::scope(|scope| {
        let asking: Vec<_> = records.into_iter().map(|record| scope.spawn(move || ask(record))).collect();
        asking.into_iter().filter_map(|one| one.join().ok()).collect()
    })
}

fn as_json((record, answer): &Answer) -> Value {
    let mut value = match answer {
        Ok(statistics) => json!(statistics),
        Err(error) => json!({ "error": complaint(error) }),
    };
    value["dir"] = json!(record.dir);
    value["source"] = json!(record.source);
    value
}

fn describe((record, answer): &Answer) -> Option<String> {
    let of = answer.as_ref().ok()?;
    let bytes = HumanBytes;
    let source = printable(&record.source);
    Some(format!(
        "{source} on {}\n  state     {} since {}, reconnections: {}\n  programs  read {}, written {}, waiting requests: {}\n  memory    \
         {} that the server has, {} that it has not yet, {} at most\n  open      files: {}, directories: {}\n",
        shown(&record.dir),
        printable(&of.state),
        of.line_since,
        of.reconnects,
        bytes(of.read_bytes),
        bytes(of.written_bytes),
        of.requests_in_flight,
        bytes(of.cache_clean_bytes),
        bytes(of.cache_dirty_bytes),
        bytes(of.cache_limit_bytes),
        of.open_files,
        of.open_directories,
    ))
}

fn exposition(answers: &[Answer]) -> Result<String> {
    let registry = Registry::new();
    let up = family(&registry, UP, "1 if the process that serves the mount answers")?;
    let families = METRICS.iter().map(|metric| family(&registry, metric.name, metric.help));
    let families = families.collect::<Result<Vec<_>>>()?;
    for (record, answer) in answers {
        let labels = [&*record.dir.to_string_lossy(), &*record.source];
        up(&labels, answer.is_ok().into());
        let Ok(statistics) = answer else { continue };
        for (metric, set) in METRICS.iter().zip(&families) {
            set(&labels, (metric.value)(statistics));
        }
    }
    Ok(TextEncoder::new().encode_to_string(&registry.gather())?)
}

/// Sets the number of a mount.
type Set = Box<dyn Fn(&[&str; 2], u64)>;

/// The numbers of one name. What only grows is called a total, by Prometheus' rules.
fn family(registry: &Registry, name: &str, help: &str) -> Result<Set> {
    if name.ends_with("_total") {
        let family = IntCounterVec::new(Opts::new(name, help), &LABELS)?;
        registry.register(Box::new(family.clone()))?;
        return Ok(Box::new(move |labels, value| family.with_label_values(labels).inc_by(value)));
    }
    let family = IntGaugeVec::new(Opts::new(name, help), &LABELS)?;
    registry.register(Box::new(family.clone()))?;
    Ok(Box::new(move |labels, value| {
        family.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn record(dir: &str) -> MountRecord {
        serde_json::from_value(json!({
            "dir": Path::new(dir), "source": "//s/a \"b\"", "user": "u", "pid": 1, "started": 1, "since": "", "dialect": "",
            "signing": "", "encryption": "", "read_only": false, "state": "ok",
        }))
        .unwrap()
    }

    #[test]
    fn prometheus_has_a_line_for_each_number() {
        let statistics = Statistics { read_bytes: 7, open_files: 2, ..Statistics::default() };
        let answers = [(record("/one"), Ok(statistics)), (record("/two"), Err(anyhow::anyhow!("silent")))];
        let text = exposition(&answers).unwrap();
        for line in [
            "# TYPE sharefs_read_bytes_total counter",
            r#"sharefs_read_bytes_total{dir="/one",source="//s/a \"b\""} 7"#,
            "# TYPE sharefs_open_files gauge",
            r#"sharefs_open_files{dir="/one",source="//s/a \"b\""} 2"#,
            r#"sharefs_up{dir="/one",source="//s/a \"b\""} 1"#,
            r#"sharefs_up{dir="/two",source="//s/a \"b\""} 0"#,
        ] {
            assert!(text.lines().any(|has| has == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("/two").count(), 1, "{text}");
    }
}
