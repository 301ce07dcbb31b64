//! What brings the remembered mounts back: a unit of systemd's, or an entry of the desktop's autostart.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::private::{self, Purpose};

const UNIT: &str = "sharefs-mounts.service";
const ENTRY: &str = "sharefs-mounts.desktop";
/// How long what starts a machine waits for servers, in seconds: the network may come later than the login.
const PATIENCE: u32 = 300;

/// Who starts what a user wants started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Starter {
    /// systemd, for the whole machine.
    System,
    /// systemd, for this user.
    User,
    /// The desktop, at login.
    Desktop,
}

/// Sees to it that `sharefs mount --all` is run. Says what is left to do for others.
pub(crate) fn install() -> Result<Vec<String>> {
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let starter = starter();
    let file = file(starter)?;
    match starter {
        Starter::System | Starter::User => {
            write(&file, &unit(&program, starter))?;
            enable(&file, starter)?;
            reload(starter);
            Ok(if starter == Starter::User { linger() } else { Vec::new() })
        }
        Starter::Desktop => {
            write(&file, &entry(&program))?;
            let command = command(&program);
            Ok(vec![
                format!("{} mounts it when a desktop logs in", file.display()),
                format!("without a desktop add to crontab -e: @reboot {command} --wait {PATIENCE}"),
            ])
        }
    }
}

/// Takes it back, when nothing is remembered any more.
pub(crate) fn remove() -> Result<()> {
    let starter = starter();
    let file = file(starter)?;
    let wanted = wanted(&file, starter);
    for path in wanted.iter().chain([&file]) {
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    reload(starter);
    Ok(())
}

/// Where it is written that the remembered mounts are to come back, if it is.
pub(crate) fn installed() -> Result<Option<PathBuf>> {
    Ok(Some(file(starter())?).filter(|file| file.exists()))
}

/// Who has to log in before this user's units start; nobody where they start at boot, or where there is no systemd.
pub(crate) fn waits_for_login() -> Option<String> {
    let account = private::account(rustix::process::geteuid().as_raw())?;
    (starter() == Starter::User && !lingers(&account.name)).then_some(account.name)
}

fn lingers(user: &str) -> bool {
    Path::new("/var/lib/systemd/linger").join(user).exists()
}

fn starter() -> Starter {
    // As sd_booted(3) finds out.
    if !Path::new("/run/systemd/system").is_dir() {
        Starter::Desktop
    } else if rustix::process::geteuid().is_root() {
        Starter::System
    } else {
        Starter::User
    }
}

fn file(starter: Starter) -> Result<PathBuf> {
    Ok(match starter {
        Starter::System => Path::new("/etc/systemd/system").join(UNIT),
        Starter::User => private::base(Purpose::Config)?.join("systemd/user").join(UNIT),
        Starter::Desktop => private::base(Purpose::Config)?.join("autostart").join(ENTRY),
    })
}

fn write(file: &Path, text: &str) -> Result<()> {
    let parent = file.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn command(program: &Path) -> String {
    format!("{} mount --all", quoted(program))
}

/// A word as systemd and the desktop's entries read it.
fn quoted(program: &Path) -> String {
    let mut quoted = String::from("\"");
    for c in program.to_string_lossy().chars() {
        match c {
            '"' | '\\' | '`' => quoted.extend(['\\', c]),
            // Both put something in its place.
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The processes that serve mounts are the unit's: they end with it, and go on where one mount of several failed.
fn unit(program: &Path, starter: Starter) -> String {
    let (network, target) = match starter {
        Starter::System => {
            ("Wants=network-online.target\nAfter=network-online.target\n", "multi-user.target")
        }
        Starter::User | Starter::Desktop => ("", "default.target"),
    };
    let (command, program) = (command(program), quoted(program));
    format!(
        "# Written by sharefs mount --persist; sharefs forget removes it.\n\
         [Unit]\n\
         Description=SMB shares that sharefs remembers\n\
         {network}\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart={command} --wait {PATIENCE}\n\
         ExecStop={program} umount --all\n\
         TimeoutStartSec=infinity\n\
         KillMode=process\n\
         Restart=on-failure\n\
         RestartSec=30\n\
         \n\
         [Install]\n\
         WantedBy={target}\n"
    )
}

/// As the specification of autostart has it.
fn entry(program: &Path) -> String {
    format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Name=SMB shares that sharefs remembers\n\
         Exec={} --wait {PATIENCE}\n\
         NoDisplay=true\n\
         Terminal=false\n",
        command(program)
    )
}

/// The link that has systemd start the unit: what `systemctl enable` makes, which needs a running manager.
fn wanted(file: &Path, starter: Starter) -> Option<PathBuf> {
    let target = match starter {
        Starter::System => "multi-user.target.wants",
        Starter::User => "default.target.wants",
        Starter::Desktop => return None,
    };
    Some(file.parent()?.join(target).join(UNIT))
}

fn enable(file: &Path, starter: Starter) -> Result<()> {
    let Some(link) = wanted(file, starter) else { return Ok(()) };
    let parent = link.parent().unwrap_or_else(|| Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    match symlink(file, &link) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("cannot make {}", link.display()))
        }
        _ => Ok(()),
    }
}

/// A manager that runs hears of the change; one that does not will read it at its start.
fn reload(starter: Starter) {
    let scope = match starter {
        Starter::System => "--system",
        Starter::User => "--user",
        Starter::Desktop => return,
    };
    quietly("systemctl", &[scope, "daemon-reload"]);
}

/// Without lingering a user's units start at the first login. An administrator may allow users to set it themselves.
fn linger() -> Vec<String> {
    let Some(account) = private::account(rustix::process::geteuid().as_raw()) else { return Vec::new() };
    if !lingers(&account.name) {
        quietly("loginctl", &["--no-ask-password", "enable-linger", &account.name]);
    }
    if lingers(&account.name) {
        return Vec::new();
    }
    vec![format!(
        "it comes back at your login; to have it at boot, root must run: loginctl enable-linger {}",
        account.name
    )]
}

fn quietly(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => tracing::debug!(%status, "{program}"),
        Err(error) => tracing::debug!(%error, "{program}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_the_program_and_who_wants_it() {
        let unit = unit(Path::new("/opt/a b/share%fs"), Starter::User);
        assert!(unit.contains("ExecStart=\"/opt/a b/share%%fs\" mount --all --wait 300\n"), "{unit}");
        assert!(unit.contains("WantedBy=default.target\n") && !unit.contains("network"), "{unit}");
        let system = super::unit(Path::new("/usr/bin/sharefs"), Starter::System);
        assert!(system.contains("After=network-online.target") && system.contains("multi-user.target"));
    }

    #[test]
    fn a_desktop_entry_is_one_that_desktops_start() {
        let entry = entry(Path::new("/usr/bin/sharefs"));
        assert!(entry.starts_with("[Desktop Entry]\nType=Application\n"));
        assert!(entry.contains("Exec=\"/usr/bin/sharefs\" mount --all"));
    }
}
