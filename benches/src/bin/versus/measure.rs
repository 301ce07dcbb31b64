//! One run of a program, measured from outside.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Seconds from start to end.
    pub(crate) wall: f64,
    /// Seconds of processor time, user and system.
    pub(crate) cpu: f64,
    /// The most memory it had, in MiB.
    pub(crate) memory: f64,
}

/// Runs a command to its end; a failure is an error with what it said.
pub(crate) fn measure(program: &Path, args: &[String], scratch: &Path) -> Result<Sample> {
    let report = scratch.join("time");
    let begin = Instant::now();
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%U %S %M", "-o"])
        .arg(&report)
        .arg(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("cannot start /usr/bin/time; install the package time")?;
    let wall = begin.elapsed().as_secs_f64();
    let said = || {
        let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        String::from_utf8_lossy(&text).lines().take(10).collect::<Vec<_>>().join("\n")
    };
    ensure!(output.status.success(), "{} {:?}: {}", program.display(), args.first(), said());
    let report = fs::read_to_string(report)?;
    let numbers: Vec<f64> = report.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, memory] = numbers[..] else { anyhow::bail!("time says {report:?}") };
    Ok(Sample { wall, cpu: user + system, memory: memory / 1024.0 })
}

/// The median of each figure.
pub(crate) fn median(samples: &[Sample]) -> Sample {
    let of = |figure: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(figure).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Sample { wall: of(|s| s.wall), cpu: of(|s| s.cpu), memory: of(|s| s.memory) }
}
