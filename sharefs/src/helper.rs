//! `mount.sharefs`: this program as mount(8) calls it, for a line of `/etc/fstab`.
//!
//! `mount.sharefs //server/share DIR [-sfnvrw] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]`, by that name, by
//! `mount.fuse.sharefs`, or as mount.fuse(8) calls a program for the type `fuse.sharefs`: with a source where a
//! subcommand would stand. There may be neither HOME nor PATH.

mod remount;
mod user;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, anyhow, bail};

use crate::bring::Wanted;
use crate::cli::usage;
use crate::credentials::Ask;
use crate::mount::mount;
use crate::options::RawOptions;
use crate::process::hide_argument;
use crate::source::Source;

const NAMES: [&str; 2] = ["mount.sharefs", "mount.fuse.sharefs"];
/// What the kernel knows, a line each.
const FILESYSTEMS: &str = "/proc/filesystems";

/// What mount(8) says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    places: Vec<String>,
    lists: Vec<String>,
    verbose: u8,
    /// What is unknown is no error.
    sloppy: bool,
    /// Nothing is to be done.
    fake: bool,
}

/// The arguments, where it is mount(8) that calls.
pub(crate) fn called() -> Option<Vec<OsString>> {
    let mut arguments = std::env::args_os();
    let name = PathBuf::from(arguments.next()?);
    let arguments: Vec<OsString> = arguments.collect();
    let by_name = name.file_name().is_some_and(|name| NAMES.iter().any(|helper| name == *helper));
    let with_source = || arguments.first().is_some_and(|first| first.to_string_lossy().starts_with("//"));
    (by_name || with_source()).then_some(arguments)
}

/// Mounts as it is told.
pub(crate) fn run(arguments: &[OsString]) -> Result<ExitCode> {
    let mut call = Call::parse(arguments).map_err(usage)?;
    crate::log::to_stderr(call.verbose, false);
    let [source, dir] = &call.places[..] else {
        return Err(usage(anyhow!(
            "mount.sharefs is called by mount(8): mount.sharefs SOURCE DIR -o OPTIONS"
        )));
    };
    if remount::is_asked(&call.lists) {
        if !call.fake {
            remount::remount(Path::new(dir), &call.lists)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let user = user::take(&mut call.lists);
    let source = Source::parse(source).map_err(usage)?;
    let mut options = RawOptions { sloppy: call.sloppy, ..RawOptions::default() };
    for list in &call.lists {
        options.apply_list(list).map_err(usage)?;
    }
    for password in options.password.iter().chain(&options.second) {
        hide_argument(password);
    }
    if call.fake {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(user) = user {
        if options.password.is_some() || options.second.is_some() {
            return Err(usage(anyhow!(
                "with setuid={user} the password belongs into a file: credentials=FILE"
            )));
        }
        load_fuse();
        return user::mount_as(&user, &call);
    }
    if rustix::process::geteuid().is_root() {
        // What root mounts is for the machine's users, as far as the modes go.
        options.mount.allow_other = true;
        load_fuse();
    }
    let wanted = Wanted { source, options, dir: dir.into(), ask: Ask::Terminal };
    mount(&wanted, Wanted::find, false)?;
    Ok(ExitCode::SUCCESS)
}

impl Call {
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let mut call = Self::default();
        let mut words = arguments.iter().map(|word| word.to_str().context("an argument is not UTF-8"));
        while let Some(word) = words.next().transpose()? {
            let Some(flags) = word.strip_prefix('-').filter(|flags| !flags.is_empty()) else {
                call.places.push(word.to_owned());
                continue;
            };
            // A value may follow at once or as the next word.
            let mut value = |rest: &str| match rest {
                "" => words.next().with_context(|| format!("{word} needs a value"))?.map(str::to_owned),
                rest => Ok(rest.to_owned()),
            };
            for (at, flag) in flags.char_indices() {
                let rest = &flags[at + 1..];
                match flag {
                    'o' => call.lists.push(value(rest)?),
                    // The mount is where this process is, and of the one type that there is.
                    'N' | 't' => drop(value(rest)?),
                    'v' => call.verbose += 1,
                    's' => call.sloppy = true,
                    'f' => call.fake = true,
                    'n' => {}
                    'r' => call.lists.push("ro".into()),
                    'w' => call.lists.push("rw".into()),
                    _ => bail!("{word} is unknown: see mount(8)"),
                }
                if matches!(flag, 'o' | 'N' | 't') {
                    break;
                }
            }
        }
        Ok(call)
    }
}

/// At boot a line of fstab may come before the module.
fn load_fuse() {
    if fs::read_to_string(FILESYSTEMS).is_ok_and(|known| known.lines().any(|line| line.ends_with("\tfuse"))) {
        return;
    }
    for modprobe in ["/sbin/modprobe", "/usr/sbin/modprobe"] {
        let mut command = Command::new(modprobe);
        if command.arg("fuse").stdin(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return;
        }
    }
    tracing::warn!("cannot load the kernel's module fuse");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(words: &[&str]) -> Result<Call> {
        Call::parse(&words.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn mounts_arguments_are_understood_in_any_order() {
        let expected = Call {
            places: vec!["//h/s".into(), "/mnt".into()],
            lists: vec!["rw,_netdev".into(), "ro".into()],
            verbose: 2,
            sloppy: true,
            fake: false,
        };
        let words =
            ["//h/s", "/mnt", "-sv", "-nv", "-o", "rw,_netdev", "-N", "ns", "-t", "fuse.sharefs", "-r"];
        assert_eq!(call(&words).unwrap(), expected);
        let words = ["-svv", "-orw,_netdev", "//h/s", "-r", "/mnt"];
        assert_eq!(call(&words).unwrap(), expected);
        assert!(call(&["//h/s", "/mnt", "-o"]).is_err());
        assert!(call(&["-x"]).is_err());
    }
}
