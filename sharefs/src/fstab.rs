//! `fstab`: the lines of `/etc/fstab` that mount SMB shares.

mod check;
mod import;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::cred::Saving;
use crate::private;
use crate::show::{complaint, printable, tell};
use crate::status::unescape;
use check::Finding;

/// The types that are SMB shares.
const TYPES: [&str; 5] = ["cifs", "smb3", "sharefs", "fuse.sharefs", "smbfs"];

/// A line that mounts an SMB share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) source: String,
    pub(crate) dir: PathBuf,
    pub(crate) kind: String,
    /// As they stand there, without the escapes.
    pub(crate) options: String,
}

impl Line {
    /// Reads a line; none where it is another file system's, a comment, or blank.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().filter(|_| !line.trim_start().starts_with('#'));
        let (source, dir, kind) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or("defaults");
        TYPES.contains(&kind).then(|| Self {
            source: unescape(source),
            dir: unescape(dir).into(),
            kind: kind.into(),
            options: unescape(options),
        })
    }
}

/// The subcommand's arguments.
pub(crate) fn command() -> Command {
    let file = || {
        Arg::new("file")
            .long("file")
            .value_name("FILE")
            .default_value("/etc/fstab")
            .value_parser(clap::value_parser!(PathBuf))
            .help("Another file")
    };
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    Command::new("fstab")
        .about("Check the lines of /etc/fstab that mount shares, or make them sharefs's")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("import")
                .about("Have sharefs mount what the kernel's client mounts, and save the passwords")
                .arg(file())
                .arg(switch("no-test", "Save passwords without a login, for servers that are away"))
                .arg(switch("dry-run", "Print the lines, and change nothing")),
        )
        .subcommand(Command::new("check").about("Say what would keep lines from being mounted").arg(file()))
}

/// `sharefs fstab`
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let (name, matches) = matches.subcommand().context("no command")?;
    let path: &PathBuf = matches.get_one("file").context("the file is missing")?;
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    match name {
        "check" => Ok(check_all(path, &text)),
        "import" => import_all(path, &text, matches.get_flag("dry-run"), matches.get_flag("no-test")),
        _ => bail!("unknown command {name}"),
    }
}

fn check_all(path: &Path, text: &str) -> ExitCode {
    let mut failed = false;
    for (number, line) in text.lines().enumerate() {
        let Some(line) = Line::parse(line) else { continue };
        let findings = check::check(&line);
        if findings.is_empty() {
            println!("{}:{}: {}: well", path.display(), number + 1, printable(&line.source));
        }
        for finding in findings {
            let (kind, text) = match finding {
                Finding::Error(text) => ("error", text),
                Finding::Warning(text) => ("warning", text),
            };
            failed |= kind == "error";
            println!("{}:{}: {kind}: {}", path.display(), number + 1, printable(&text));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Passwords are saved before the file is written: whatever fails, none is lost.
fn import_all(path: &Path, text: &str, dry_run: bool, untested: bool) -> Result<ExitCode> {
    let (mut fresh, mut changed, mut failed) = (String::with_capacity(text.len()), 0, false);
    for (number, whole) in text.split_inclusive('\n').enumerate() {
        let bare = whole.trim_end_matches('\n');
        let kernels = Line::parse(bare).filter(|line| !line.kind.ends_with("sharefs"));
        let Some(line) = kernels else {
            fresh.push_str(whole);
            continue;
        };
        let imported = import::rewrite(bare, &line).and_then(|rewritten| {
            if let Some((entry, source, options)) = rewritten.password.filter(|_| !dry_run) {
                crate::cred::save(entry, &source, &options, Saving { untested, in_keyring: false })?;
            }
            Ok(rewritten.text)
        });
        match imported {
            Ok(text) => {
                if dry_run {
                    println!("{}", printable(&text.replace('\t', " ")));
                }
                fresh.push_str(&text);
                fresh.push_str(&whole[bare.len()..]);
                changed += 1;
            }
            Err(error) => {
                tell(&format!("{}:{}: stays as it is: {}", path.display(), number + 1, complaint(&error)));
                fresh.push_str(whole);
                failed = true;
            }
        }
    }
    if changed > 0 && !dry_run {
        replace(path, &fresh)?;
        tell(&format!("sharefs mounts {changed} of the lines of {} from now on", path.display()));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Others have to read this file: it gets the permissions that it had.
fn replace(path: &Path, text: &str) -> Result<()> {
    let path = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let permissions = fs::metadata(&path).map(|metadata| metadata.permissions().mode() & 0o7777);
    private::replace_with_mode(&path, text.as_bytes(), permissions.unwrap_or(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_share_is_read() {
        let line = Line::parse("//host/my\\040share\t/mnt/x cifs user=a,pass=b,_netdev 0 0").unwrap();
        assert_eq!(
            (line.source.as_str(), line.options.as_str()),
            ("//host/my share", "user=a,pass=b,_netdev")
        );
        for other in ["# //h/s /mnt cifs x 0 0", "", "/dev/sda1 / ext4 defaults 0 1", "//h/s /mnt"] {
            assert_eq!(Line::parse(other), None, "{other}");
        }
    }
}
