//! The cases, who runs them, and the report.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sharefs_tests::{Content, Samba};

use crate::far;
use crate::measure::{Sample, measure, median};

/// Small files, and their size in bytes.
const FILES: usize = 2000;
const FILE_BYTES: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// The program.
    Sharefs,
    /// `smb-client`, by the benchmark's own `library`, with no local file.
    Library,
    Smbclient,
}

impl Client {
    const fn name(self) -> &'static str {
        match self {
            Self::Sharefs => "sharefs",
            Self::Library => "smb-client",
            Self::Smbclient => "smbclient",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protection {
    Plain,
    Signed,
    Sealed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Get,
    Put,
    GetTree,
    PutTree,
    List,
    Stat,
    Remove,
}

impl Work {
    const fn is_small(self) -> bool {
        !matches!(self, Self::Get | Self::Put)
    }
}

struct Row {
    name: String,
    ours: Sample,
    theirs: Sample,
    small: bool,
}

/// What to measure.
struct Plan {
    mib: usize,
    rounds: usize,
    only: Option<String>,
    report: Option<PathBuf>,
}

impl Plan {
    fn parse() -> Result<Self> {
        let mut plan = Self { mib: 1024, rounds: 5, only: None, report: None };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--mib" => plan.mib = value()?.parse()?,
                "--rounds" => plan.rounds = value()?.parse()?,
                "--only" => plan.only = Some(value()?),
                "--report" => plan.report = Some(value()?.into()),
                _ => bail!("usage: versus [--mib N] [--rounds N] [--only TEXT] [--report FILE]"),
            }
        }
        Ok(plan)
    }
}

pub(crate) fn run() -> Result<()> {
    let plan = Plan::parse()?;
    let bench = Bench::new(&plan)?;
    let mut rows = Vec::new();
    println!("{HEADER}");
    for (name, work, protection, client) in cases() {
        if plan.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // Turn and turn about: what disturbs the machine disturbs both. The first round only warms up.
        for round in 0..=plan.rounds {
            for (client, samples) in [(client, &mut ours), (Client::Smbclient, &mut theirs)] {
                let sample = bench.run(client, work, protection)?;
                if round > 0 {
                    samples.push(sample);
                }
            }
        }
        let row = Row { name, ours: median(&ours), theirs: median(&theirs), small: work.is_small() };
        println!("{}", row.line(plan.mib));
        rows.push(row);
    }
    let far = if plan.only.as_deref().is_none_or(|only| only == "far") {
        far::run(plan.mib)?
    } else {
        String::new()
    };
    print!("\n{far}");
    match &plan.report {
        Some(path) => fs::write(path, report(&plan, &rows, &far)).context("writing the report"),
        None => Ok(()),
    }
}

fn cases() -> Vec<(String, Work, Protection, Client)> {
    let mut cases = Vec::new();
    for client in [Client::Sharefs, Client::Library] {
        for protection in [Protection::Plain, Protection::Signed, Protection::Sealed] {
            for (work, text) in [(Work::Get, "read"), (Work::Put, "write")] {
                let protection_name = format!("{protection:?}").to_lowercase();
                cases.push((
                    format!("{}: {text} {protection_name}", client.name()),
                    work,
                    protection,
                    client,
                ));
            }
        }
    }
    for (work, text) in [
        (Work::GetTree, "get -r"),
        (Work::PutTree, "put -r"),
        (Work::List, "ls -l"),
        (Work::Stat, "stat each"),
        (Work::Remove, "rm -r"),
    ] {
        cases.push((format!("sharefs: {text} {FILES} files"), work, Protection::Signed, Client::Sharefs));
    }
    cases
}

const HEADER: &str = "\
| case | ours | smbclient | speed ratio | CPU s/GiB ours | smbclient | CPU ratio | MiB ours | smbclient |
|---|---|---|---|---|---|---|---|---|";

impl Row {
    fn line(&self, mib: usize) -> String {
        let gib = mib as f64 / 1024.0;
        let rate = |sample: &Sample| {
            if self.small {
                format!("{:.0} files/s", FILES as f64 / sample.wall)
            } else {
                format!("{:.0} MB/s", gib * 1_073.741_824 / sample.wall)
            }
        };
        let cpu = |sample: &Sample| {
            if self.small { format!("{:.2} s", sample.cpu) } else { format!("{:.2}", sample.cpu / gib) }
        };
        format!(
            "| {} | {} | {} | **{:.2}** | {} | {} | {:.2} | {:.0} | {:.0} |",
            self.name,
            rate(&self.ours),
            rate(&self.theirs),
            self.theirs.wall / self.ours.wall,
            cpu(&self.ours),
            cpu(&self.theirs),
            self.ours.cpu / self.theirs.cpu.max(0.001),
            self.ours.memory,
            self.theirs.memory
        )
    }
}

fn report(plan: &Plan, rows: &[Row], far: &str) -> String {
    let mut text = String::new();
    let first_line = |path: &str, start: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
    };
    let processor = first_line("/proc/cpuinfo", "model name").replace("model name\t: ", "");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let samba = std::process::Command::new("smbclient").arg("--version").output();
    let samba =
        samba.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let _ = writeln!(
        text,
        "# Benchmarks\n\n\
         Written by `make bench`; the figures are of one run on one machine and mean little elsewhere. The ratios\n\
         are against `smbclient` in the same run, turn and turn about. A speed ratio above 1 is faster than\n\
         smbclient, a CPU ratio below 1 is cheaper.\n\n\
         - {cores} cores of {processor}, Linux {}, server and rival: {samba}\n\
         - {} MiB in one file, and {FILES} files of {FILE_BYTES} bytes; everything in memory (tmpfs), loopback\n\
         - medians of {} rounds, after one to warm up; processor time and memory are the client's own\n\
         - `sharefs` is the program, file to file. `smb-client` is the library without a local file: it reads\n  \
           the bytes and drops them (smbclient: to /dev/null), and writes from memory (smbclient: from tmpfs).\n\
         - small files are signed. smbclient: mget, mput, ls, allinfo for each, deltree.\n\n{HEADER}",
        kernel.trim(),
        plan.mib,
        plan.rounds,
    );
    for row in rows {
        let _ = writeln!(text, "{}", row.line(plan.mib));
    }
    let _ = write!(text, "\n{far}");
    text
}

struct Bench {
    samba: Samba,
    /// Login in the format that both programs read.
    login: PathBuf,
    folder: tempfile::TempDir,
    mib: usize,
}

impl Bench {
    fn new(plan: &Plan) -> Result<Self> {
        let samba = Samba::start();
        ensure!(
            samba.share_path().starts_with("/dev/shm"),
            "run with TMPDIR=/dev/shm: a disk would be measured"
        );
        let folder = tempfile::tempdir_in("/dev/shm").context("no /dev/shm")?;
        fs::write(samba.share_path().join("big"), Content::new(1).bytes(plan.mib << 20))?;
        fs::copy(samba.share_path().join("big"), folder.path().join("big"))?;
        for folder in [samba.share_path().join("small"), folder.path().join("small")] {
            fill(&folder)?;
        }
        let login = write_login(&samba, folder.path())?;
        Ok(Self { samba, login, folder, mib: plan.mib })
    }

    fn local(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn remote(&self, name: &str) -> PathBuf {
        self.samba.share_path().join(name)
    }

    /// One run, checked and cleared away.
    fn run(&self, client: Client, work: Work, protection: Protection) -> Result<Sample> {
        if matches!(work, Work::Remove) {
            fill(&self.remote("gone"))?;
        }
        let command = match client {
            Client::Sharefs => self.sharefs(work, protection),
            Client::Library => self.library(work, protection),
            Client::Smbclient => self.smbclient(work, protection),
        };
        let (program, args) = command?;
        let sample = measure(&program, &args, self.folder.path())?;
        self.check(client, work)?;
        Ok(sample)
    }

    fn check(&self, client: Client, work: Work) -> Result<()> {
        let same = |made: &Path, source: &Path| -> Result<()> {
            ensure!(
                fs::metadata(made)?.len() == fs::metadata(source)?.len(),
                "{} is not whole",
                made.display()
            );
            Ok(fs::remove_file(made)?)
        };
        let tree = |made: &Path| -> Result<()> {
            let mut count = 0;
            for entry in fs::read_dir(made)? {
                ensure!(entry?.metadata()?.len() == FILE_BYTES as u64, "a file is not whole");
                count += 1;
            }
            ensure!(count == FILES, "{count} of {FILES} files are there");
            Ok(fs::remove_dir_all(made)?)
        };
        match work {
            Work::Get if self.local("out").exists() => same(&self.local("out"), &self.remote("big")),
            Work::Put if client == Client::Library => Ok(fs::remove_file(self.remote("up"))?),
            Work::Put => same(&self.remote("up"), &self.local("big")),
            Work::GetTree => tree(&self.local("got").join("small")),
            Work::PutTree => tree(&self.remote("small-up")),
            Work::Remove if self.remote("gone").exists() => bail!("something is left"),
            _ => Ok(()),
        }
    }

    fn sharefs(&self, work: Work, protection: Protection) -> Result<(PathBuf, Vec<String>)> {
        let program = std::env::current_exe()?.with_file_name("sharefs");
        ensure!(program.exists(), "first run: cargo build --release -p sharefs");
        let options = self.samba.options();
        let protection = match protection {
            Protection::Plain => ",nosign",
            Protection::Signed => "",
            Protection::Sealed => ",seal",
        };
        let list = format!("port={},credentials={}{protection}", options.port, self.login.display());
        let share = |path: &str| format!("//{}/data/{path}", options.host);
        let text = |path: PathBuf| path.display().to_string();
        let mut args: Vec<String> = Vec::new();
        match work {
            Work::Get => args.extend(["get".into(), share("big"), text(self.local("out"))]),
            Work::Put => args.extend(["put".into(), text(self.local("big")), share("up")]),
            Work::GetTree => {
                fs::create_dir_all(self.local("got"))?;
                args.extend(["get".into(), "-r".into(), share("small"), text(self.local("got"))]);
            }
            Work::PutTree => {
                args.extend(["put".into(), "-r".into(), text(self.local("small")), share("small-up")]);
            }
            Work::List => args.extend(["ls".into(), "-l".into(), share("small")]),
            Work::Stat => {
                args.extend(["stat".into(), share(&format!("small/{}", file_name(0)))]);
                args.extend((1..FILES).map(|index| format!("small/{}", file_name(index))));
            }
            Work::Remove => args.extend(["rm".into(), "-r".into(), share("gone")]),
        }
        args.extend(["-o".into(), list]);
        Ok((program, args))
    }

    fn library(&self, work: Work, protection: Protection) -> Result<(PathBuf, Vec<String>)> {
        let program = std::env::current_exe()?.with_file_name("library");
        ensure!(program.exists(), "first run: cargo build --release -p sharefs-benches");
        let options = self.samba.options();
        let args = vec![
            options.host.clone(),
            options.port.to_string(),
            self.login.display().to_string(),
            format!("{protection:?}").to_lowercase(),
            if work == Work::Put { "write".into() } else { "read".into() },
            if work == Work::Put { "up".into() } else { "big".into() },
            self.mib.to_string(),
        ];
        Ok((program, args))
    }

    fn smbclient(&self, work: Work, protection: Protection) -> Result<(PathBuf, Vec<String>)> {
        let options = self.samba.options();
        let protection = match protection {
            Protection::Plain => "off",
            Protection::Signed => "sign",
            Protection::Sealed => "encrypt",
        };
        let local = |name: &str| self.local(name).display().to_string();
        let script = match work {
            // The library keeps nothing; the program under test names its output.
            Work::Get => format!("get big {}", local("out")),
            Work::Put => format!("put {} up", local("big")),
            Work::GetTree => {
                fs::create_dir_all(self.local("got").join("small"))?;
                format!("lcd {}; cd small; prompt; mget *", local("got/small"))
            }
            Work::PutTree => format!("mkdir small-up; cd small-up; lcd {}; prompt; mput *", local("small")),
            Work::List => "cd small; ls".into(),
            Work::Stat => {
                let mut script = String::from("cd small");
                for index in 0..FILES {
                    let _ = write!(script, "; allinfo {}", file_name(index));
                }
                script
            }
            Work::Remove => "deltree gone".into(),
        };
        let args = vec![
            format!("//{}/data", options.host),
            "-p".into(),
            options.port.to_string(),
            "-A".into(),
            self.login.display().to_string(),
            format!("--client-protection={protection}"),
            "-c".into(),
            script,
        ];
        Ok(("smbclient".into(), args))
    }
}

/// The user's login, in the format that all programs here read.
pub(crate) fn write_login(samba: &Samba, folder: &Path) -> Result<PathBuf> {
    let login = folder.join("login");
    let text =
        format!("username={}\npassword={}\ndomain={}\n", samba.user(), samba.password(), samba.domain());
    fs::write(&login, text)?;
    fs::set_permissions(&login, PermissionsExt::from_mode(0o600))?;
    Ok(login)
}

fn file_name(index: usize) -> String {
    format!("file-{index:04}")
}

fn fill(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    // The server's user is another than this one.
    fs::set_permissions(folder, PermissionsExt::from_mode(0o777))?;
    for index in 0..FILES {
        fs::write(folder.join(file_name(index)), Content::new(index as u64).bytes(FILE_BYTES))?;
    }
    Ok(())
}
