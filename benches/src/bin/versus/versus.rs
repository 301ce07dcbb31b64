//! The measurement.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sharefs_tests::{Content, Samba};

/// Who is measured.
#[derive(Clone, Copy)]
enum Client {
    Sharefs,
    Smbclient,
}

struct Bench {
    samba: Samba,
    /// Login in the format that both programs read.
    login: PathBuf,
    folder: tempfile::TempDir,
    program: PathBuf,
    seal: bool,
}

pub(crate) fn run() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let mib: usize = args.next().map_or(Ok(512), |text| text.parse()).context("MiB")?;
    let rounds: usize = args.next().map_or(Ok(3), |text| text.parse()).context("ROUNDS")?;
    println!("{mib} MiB, best of {rounds}; ratio above 1: sharefs is faster than smbclient");
    println!("{:<22} {:>12} {:>12} {:>7}", "", "sharefs", "smbclient", "ratio");
    for seal in [false, true] {
        let bench = Bench::new(mib, seal)?;
        for upload in [false, true] {
            let mut best = [Duration::MAX; 2];
            // Turn and turn about: what disturbs the machine disturbs both.
            for _ in 0..rounds {
                for (client, best) in [Client::Sharefs, Client::Smbclient].into_iter().zip(&mut best) {
                    *best = (*best).min(bench.run(client, upload)?);
                }
            }
            let rate = |time: Duration| format!("{:.0} MiB/s", mib as f64 / time.as_secs_f64());
            let what = format!(
                "{} {}",
                if upload { "put" } else { "get" },
                if seal { "encrypted" } else { "signed" }
            );
            let ratio = best[1].as_secs_f64() / best[0].as_secs_f64();
            println!("{what:<22} {:>12} {:>12} {ratio:>7.2}", rate(best[0]), rate(best[1]));
        }
    }
    Ok(())
}

impl Bench {
    fn new(mib: usize, seal: bool) -> Result<Self> {
        let samba = Samba::start();
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        fs::write(samba.share_path().join("big"), Content::new(1).bytes(mib << 20))?;
        fs::write(folder.path().join("big"), Content::new(2).bytes(mib << 20))?;
        let login = folder.path().join("login");
        fs::write(
            &login,
            format!("username={}\npassword={}\ndomain={}\n", samba.user(), samba.password(), samba.domain()),
        )?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/sharefs");
        ensure!(program.exists(), "first run: cargo build --release -p sharefs");
        Ok(Self { samba, login, folder, program, seal })
    }

    fn run(&self, client: Client, upload: bool) -> Result<Duration> {
        let options = self.samba.options();
        let port = options.port.to_string();
        let share = format!("//{}/data", options.host);
        let local = self.folder.path().join(if upload { "big" } else { "out" });
        let mut command = match client {
            Client::Sharefs => {
                let mut command = Command::new(&self.program);
                let list = format!("port={port},credentials={}", self.login.display());
                let list = if self.seal { format!("{list},seal") } else { list };
                command.arg(if upload { "put" } else { "get" }).args(["-o", &list]);
                let remote = format!("{share}/{}", if upload { "up" } else { "big" });
                let paths = [Path::new(&remote), &local];
                command.args(if upload { [paths[1], paths[0]] } else { paths });
                command
            }
            Client::Smbclient => {
                let mut command = Command::new("smbclient");
                command
                    .args([&share, "-p", &port, "-A"])
                    .arg(&self.login)
                    .arg(format!("--client-protection={}", if self.seal { "encrypt" } else { "sign" }));
                let text = if upload {
                    format!("put {} up", local.display())
                } else {
                    format!("get big {}", local.display())
                };
                command.args(["-c", &text]);
                command
            }
        };
        let begin = Instant::now();
        let output = command.stdin(Stdio::null()).output().context("cannot start")?;
        let time = begin.elapsed();
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made = if upload { self.samba.share_path().join("up") } else { local };
        let source =
            if upload { self.folder.path().join("big") } else { self.samba.share_path().join("big") };
        ensure!(fs::metadata(&made)?.len() == fs::metadata(source)?.len(), "not all was copied");
        fs::remove_file(made)?;
        Ok(time)
    }
}
