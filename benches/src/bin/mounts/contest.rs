//! What is done on each mount, and the table.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use sharefs_tests::{Content, Samba};

use crate::rivals::{Mounted, Rival, run as run_command};

/// Small files, and their size in bytes.
const FILES: usize = 2000;
const FILE_BYTES: usize = 4096;
/// Bytes of one read or write.
const BLOCK: usize = 1 << 20;

const WORKS: [&str; 7] = [
    "write, with fsync",
    "read, cold",
    "create",
    "read each, cold",
    "stat each, cold",
    "read each again",
    "delete",
];

struct Plan {
    mib: usize,
    rounds: usize,
    report: Option<PathBuf>,
}

impl Plan {
    fn parse() -> Result<Self> {
        let mut plan = Self { mib: 1024, rounds: 3, report: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--mib" => plan.mib = value()?.parse()?,
                "--rounds" => plan.rounds = value()?.parse()?,
                "--report" => plan.report = Some(value()?.into()),
                _ => bail!("usage: mounts [--mib N] [--rounds N] [--report FILE]"),
            }
        }
        Ok(plan)
    }
}

pub(crate) fn run() -> Result<()> {
    let plan = Plan::parse()?;
    let contest = Contest::new(&plan)?;
    let mut seconds: Vec<[Vec<f64>; 3]> = WORKS.iter().map(|_| Default::default()).collect();
    // The first round warms up.
    for round in 0..=plan.rounds {
        for (place, rival) in [Rival::Sharefs, Rival::Smbnetfs].into_iter().enumerate() {
            let times = contest.play(rival).with_context(|| format!("on the mount of {}", rival.name()))?;
            for (work, time) in times.into_iter().enumerate().filter(|_| round > 0) {
                seconds[work][place].push(time);
            }
        }
        let times = contest.smbclient()?;
        for (work, time) in times.into_iter().enumerate().filter(|_| round > 0) {
            seconds[work][2].push(time);
        }
    }
    let table = table(&plan, &mut seconds);
    print!("{table}");
    match &plan.report {
        Some(path) => fs::write(path, report(&plan, &table)).context("writing the report"),
        None => Ok(()),
    }
}

struct Contest {
    samba: Samba,
    folder: tempfile::TempDir,
    content: bytes::Bytes,
}

impl Contest {
    fn new(plan: &Plan) -> Result<Self> {
        // smbnetfs knows no port but SMB's own.
        let samba = Samba::builder().global("smb ports", "4450 445").start();
        ensure!(
            samba.share_path().starts_with("/dev/shm"),
            "run with TMPDIR=/dev/shm: a disk would be measured"
        );
        let folder = tempfile::tempdir_in("/dev/shm").context("no /dev/shm")?;
        let content = Content::new(1).bytes(plan.mib << 20);
        fs::write(samba.share_path().join("ready"), "")?;
        fs::write(folder.path().join("big"), &content)?;
        Ok(Self { samba, folder, content })
    }

    /// All works on one mount after the other; how long each took, in seconds.
    fn play(&self, rival: Rival) -> Result<Vec<f64>> {
        let mount = || Mounted::new(rival, &self.samba, self.folder.path());
        let mut times = Vec::new();
        let mut time = |work: &mut dyn FnMut() -> Result<()>| -> Result<()> {
            let begun = Instant::now();
            work()?;
            let taken = begun.elapsed().as_secs_f64();
            // Some of the rivals take minutes: whoever waits sees for what.
            eprintln!("{:9} {:17} {taken:8.2} s", rival.name(), WORKS[times.len()]);
            times.push(taken);
            Ok(())
        };
        {
            let mounted = mount()?;
            time(&mut || self.write(&mounted.share))?;
        }
        {
            let mounted = mount()?;
            time(&mut || self.read(&mounted.share))?;
        }
        fs::remove_file(self.samba.share_path().join("big"))?;
        {
            let mounted = mount()?;
            time(&mut || create(&mounted.share.join("small")))?;
        }
        {
            let mounted = mount()?;
            time(&mut || read_each(&mounted.share.join("small")))?;
        }
        {
            let mounted = mount()?;
            time(&mut || stat_each(&mounted.share.join("small")))?;
            read_each(&mounted.share.join("small"))?;
            time(&mut || read_each(&mounted.share.join("small")))?;
            time(&mut || Ok(fs::remove_dir_all(mounted.share.join("small"))?))?;
        }
        ensure!(!self.samba.share_path().join("small").exists(), "something is left");
        Ok(times)
    }

    fn write(&self, share: &Path) -> Result<()> {
        let mut file = File::create(share.join("big"))?;
        for block in self.content.chunks(BLOCK) {
            file.write_all(block)?;
        }
        Ok(file.sync_all()?)
    }

    fn read(&self, share: &Path) -> Result<()> {
        let mut file = File::open(share.join("big"))?;
        let mut block = vec![0; BLOCK];
        for expected in self.content.chunks(BLOCK) {
            let block = &mut block[..expected.len()];
            file.read_exact(block)?;
            // A few bytes each: a comparison of all would be measured.
            ensure!(block[..64] == expected[..64], "what was read is not what was written");
        }
        Ok(())
    }

    /// The bulk works by smbclient, file to file.
    fn smbclient(&self) -> Result<Vec<f64>> {
        let options = self.samba.options();
        let login = self.folder.path().join("login");
        let big = self.folder.path().join("big");
        let transfer = |words: String| -> Result<f64> {
            let mut command = Command::new("smbclient");
            command.arg(format!("//{}/data", options.host)).args(["-p", &options.port.to_string()]);
            command.arg("-A").arg(&login).args(["--client-protection=sign", "-c", &words]);
            let begun = Instant::now();
            run_command(&mut command)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        let put = transfer(format!("put {} big", big.display()))?;
        let get = transfer("get big /dev/null".into())?;
        fs::remove_file(self.samba.share_path().join("big"))?;
        Ok(vec![put, get])
    }
}

fn name(index: usize) -> String {
    format!("file-{index}")
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    let content = vec![7; FILE_BYTES];
    for index in 0..FILES {
        fs::write(folder.join(name(index)), &content)?;
    }
    Ok(())
}

fn read_each(folder: &Path) -> Result<()> {
    for index in 0..FILES {
        ensure!(fs::read(folder.join(name(index)))?.len() == FILE_BYTES, "a file is not whole");
    }
    Ok(())
}

fn stat_each(folder: &Path) -> Result<()> {
    for index in 0..FILES {
        ensure!(fs::metadata(folder.join(name(index)))?.len() == FILE_BYTES as u64, "a file is not whole");
    }
    Ok(())
}

fn median(times: &mut [f64]) -> Option<f64> {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied()
}

fn table(plan: &Plan, seconds: &mut [[Vec<f64>; 3]]) -> String {
    let mut text = String::from(
        "| on the mount | sharefs | smbnetfs | ratio | smbclient | ratio |\n|---|---|---|---|---|---|\n",
    );
    for (work, times) in WORKS.iter().zip(seconds) {
        let small = !(work.starts_with("write") || *work == "read, cold");
        let rate = |seconds: f64| {
            if small {
                format!("{:.0} files/s", FILES as f64 / seconds)
            } else {
                format!("{:.0} MB/s", plan.mib as f64 * 1.048_576 / seconds)
            }
        };
        let [ours, netfs, client] = times;
        let Some(ours) = median(ours) else { continue };
        let shown = |theirs: Option<f64>| match theirs {
            Some(theirs) => [rate(theirs), format!("**{:.2}**", theirs / ours)],
            None => ["–".to_owned(), "–".to_owned()],
        };
        let ([netfs, netfs_ratio], [client, client_ratio]) = (shown(median(netfs)), shown(median(client)));
        let unit = if small {
            format!("{work}: {FILES} × {FILE_BYTES} B")
        } else {
            format!("{work}: {} MiB", plan.mib)
        };
        let _ = writeln!(
            text,
            "| {unit} | {} | {netfs} | {netfs_ratio} | {client} | {client_ratio} |",
            rate(ours)
        );
    }
    text
}

fn report(plan: &Plan, table: &str) -> String {
    format!(
        "# The mount, measured\n\n\
         Written by `make bench`; the figures are of one run on one machine and mean little elsewhere. The ratios are\n\
         within the run, turn and turn about; above 1 the mount of sharefs is faster.\n\n\
         - loopback, Samba's share in memory (tmpfs), all of them signed; medians of {} rounds, after one to warm up\n\
         - each work that says cold is done on a fresh mount; smbclient transfers file to file (`put`, `get`)\n\n{table}",
        plan.rounds
    )
}
