//! Who mounts, and how.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sharefs_tests::Samba;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rival {
    Sharefs,
    Smbnetfs,
}

impl Rival {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sharefs => "sharefs",
            Self::Smbnetfs => "smbnetfs",
        }
    }
}

/// A mount that ends with this.
pub(crate) struct Mounted {
    point: PathBuf,
    /// The share's folder.
    pub(crate) share: PathBuf,
}

impl Mounted {
    /// A fresh mount: nothing of the share is in any cache of the client.
    pub(crate) fn new(rival: Rival, samba: &Samba, folder: &Path) -> Result<Self> {
        let point = folder.join(rival.name());
        fs::create_dir_all(&point)?;
        let (host, port) = (samba.options().host, samba.options().port);
        let share = match rival {
            Rival::Sharefs => {
                let login = folder.join("login");
                secret(&login, &format!("username={}\npassword={}\n", samba.user(), samba.password()))?;
                let program = std::env::current_exe()?.with_file_name("sharefs");
                ensure!(program.exists(), "first run: cargo build --release -p sharefs");
                let options = format!("port={port},credentials={}", login.display());
                let mut command = Command::new(program);
                run(command.args(["mount", "-o", &options, &format!("//{host}/data")]).arg(&point))?;
                point.clone()
            }
            Rival::Smbnetfs => {
                let config = folder.join("smbnetfs.conf");
                let auth = format!("auth \"{host}/data\" \"{}\" \"{}\"\n", samba.user(), samba.password());
                // It asks for no names and looks for no neighbours: only the share counts.
                secret(&config, &format!("{auth}smb_query_browsers \"false\"\nlog_level 0\n"))?;
                let option = format!("config={}", config.display());
                let mut command = Command::new("smbnetfs");
                // Signed like the others: by itself it signs nothing that the server does not insist on.
                let settings = folder.join(".smb");
                fs::create_dir_all(&settings)?;
                fs::write(settings.join("smb.conf"), "[global]\nclient signing = mandatory\n")?;
                command.env("HOME", folder);
                run(command.args(["-o", &option]).arg(&point))
                    .context("smbnetfs: apt-get install smbnetfs")?;
                point.join(&host).join("data")
            }
        };
        let until = Instant::now() + Duration::from_secs(10);
        while !share.join("ready").exists() {
            if Instant::now() > until {
                bail!("{} shows nothing of the share", rival.name());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { point, share })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Busy for a moment after the last close, now and then.
        for _ in 0..50 {
            if run(Command::new("fusermount3").arg("-u").arg(&self.point)).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("{command:?} cannot be run"))?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}
