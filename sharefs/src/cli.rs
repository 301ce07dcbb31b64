//! The command line: what there is, and who does it.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tracing_subscriber::EnvFilter;

use crate::connect::{connect, connect_options};
use crate::files::Place;
use crate::options::{RawOptions, arguments};
use crate::source::Source;
use crate::transfer::Transfer;

/// mount(8)'s exit codes.
const USAGE: u8 = 1;
pub(crate) const MOUNT_FAILURE: u8 = 32;

fn command() -> Command {
    let source = || {
        Arg::new("source").value_name("SOURCE").required(true).help(
            "//server/share/path, \\\\server\\share\\path or smb://[domain;]user@server[:port]/share/path",
        )
    };
    let switch = |name: &'static str, short: char, help: &'static str| {
        Arg::new(name).long(name).short(short).action(ArgAction::SetTrue).help(help)
    };
    let remote = |name: &'static str, about: &'static str| {
        Command::new(name).about(about).args(arguments(false)).arg(source())
    };
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).value_name(value).required(true).value_parser(clap::value_parser!(PathBuf)).help(help)
    };
    let mut command = Command::new("sharefs")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Mount SMB shares (Azure Files, Samba, Windows) without root, signed or encrypted")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .global(true)
                .action(ArgAction::Count)
                .help("Say more; twice for debugging (or set SHAREFS_LOG)"),
        );
    if cfg!(target_os = "linux") {
        command = command
            .subcommand(
                Command::new("mount")
                    .about("Mount a share in a folder")
                    .args(arguments(true))
                    .arg(switch("foreground", 'f', "Stay in the foreground"))
                    .arg(Arg::new("daemon").long("internal-daemon").hide(true).action(ArgAction::SetTrue))
                    .arg(source())
                    .arg(path("dir", "DIR", "The folder")),
            )
            .subcommand(
                Command::new("umount")
                    .about("Unmount a folder")
                    .arg(switch("lazy", 'l', "Detach now, finish when nobody uses it any more"))
                    .arg(path("dir", "DIR", "The folder")),
            )
            .subcommand(Command::new("status").about("Show this user's mounts").arg(json()));
    }
    command
        .subcommand(
            remote("ls", "List a directory")
                .arg(switch("long", 'l', "Show kind, size and time"))
                .arg(switch("all", 'a', "Show hidden names too")),
        )
        .subcommand(remote("stat", "Show all that the server says of a file").arg(json()))
        .subcommand(remote("cat", "Copy a file to standard output"))
        .subcommand(
            remote("get", "Copy from a share to this machine")
                .arg(switch("recursive", 'r', "Copy directories"))
                .arg(
                    Arg::new("local")
                        .value_name("LOCAL")
                        .default_value(".")
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("Where to"),
                ),
        )
        .subcommand(
            Command::new("put")
                .about("Copy from this machine to a share")
                .args(arguments(false))
                .arg(switch("recursive", 'r', "Copy directories"))
                .arg(path("local", "LOCAL", "What to copy"))
                .arg(source()),
        )
        .subcommand(remote("rm", "Remove a file").arg(switch(
            "recursive",
            'r',
            "Remove directories with all in them",
        )))
        .subcommand(remote("mkdir", "Make a directory").arg(switch(
            "parents",
            'p',
            "Those above it too; no error if it exists",
        )))
        .subcommand(
            remote("mv", "Rename within a share")
                .arg(switch("no-clobber", 'n', "Do not replace what exists"))
                .arg(
                    Arg::new("target")
                        .value_name("TARGET")
                        .required(true)
                        .help("The new name, as a source or a path in the share"),
                ),
        )
        .subcommand(remote("df", "Show how full a share is"))
}

/// Parses the arguments, does what they say, and tells by the exit code.
pub(crate) fn run() -> ExitCode {
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let usage = error.use_stderr();
            let _ = error.print();
            return if usage { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    log_to_stderr(matches.get_count("verbose"));
    match dispatch(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("sharefs: {error:#}");
            let mounting = matches.subcommand_name() == Some("mount") && !error.is::<Usage>();
            if mounting { MOUNT_FAILURE.into() } else { USAGE.into() }
        }
    }
}

/// The command line cannot be understood.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

fn usage(error: anyhow::Error) -> anyhow::Error {
    Usage(format!("{error:#}")).into()
}

fn log_to_stderr(verbose: u8) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("SHAREFS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .init();
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand() {
        #[cfg(target_os = "linux")]
        Some(("mount", matches)) => crate::mount::run(matches),
        #[cfg(target_os = "linux")]
        Some(("umount", matches)) => crate::mount::unmount(matches),
        #[cfg(target_os = "linux")]
        Some(("status", matches)) => crate::status::run(matches.get_flag("json")),
        Some((name, matches)) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .context("cannot start the runtime")?;
            runtime.block_on(remote(name, matches)).map(|()| ExitCode::SUCCESS)
        }
        None => bail!("no command"),
    }
}

/// The value of a required argument.
fn text<'a>(matches: &'a ArgMatches, name: &str) -> Result<&'a str> {
    matches.get_one::<String>(name).map(String::as_str).with_context(|| format!("{name} is missing"))
}

/// A source with the options that the same command line gives.
pub(crate) fn source_and_options(
    matches: &ArgMatches,
) -> Result<(Source, RawOptions, smb_client::Credentials)> {
    let source = Source::parse(text(matches, "source")?).map_err(usage)?;
    let options = RawOptions::from_matches(matches).map_err(usage)?;
    #[cfg(target_os = "linux")]
    if let Some(password) = &options.password {
        crate::process::hide_argument(password);
    }
    let credentials = crate::credentials::find(&source, &options, matches.get_flag("password-stdin"))?;
    Ok((source, options, credentials))
}

async fn remote(name: &str, matches: &ArgMatches) -> Result<()> {
    let (source, options, credentials) = source_and_options(matches)?;
    let connect_options = connect_options(&source, &options, credentials);
    let (client, share) = connect(&source, &connect_options).await?;
    let place = Place { share: &share, source: &source };
    let result = match name {
        "ls" => place.ls(matches.get_flag("long"), matches.get_flag("all")).await,
        "stat" => place.stat(matches.get_flag("json")).await,
        "cat" => place.cat().await,
        "rm" => place.rm(matches.get_flag("recursive")).await,
        "mkdir" => place.mkdir(matches.get_flag("parents")).await,
        "df" => place.df().await,
        "mv" => {
            let target = target_of(&source, text(matches, "target")?)?;
            place.mv(&target, !matches.get_flag("no-clobber")).await
        }
        "get" | "put" => {
            let local: &PathBuf = matches.get_one("local").context("the local path is missing")?;
            let recursive = matches.get_flag("recursive");
            let transfer = Transfer::new(share.clone(), source.clone(), connect_options.clone());
            if name == "get" {
                transfer.get(local, recursive).await
            } else {
                transfer.put(local, recursive).await
            }
        }
        _ => bail!("unknown command {name}"),
    };
    drop(share);
    if let Err(error) = client.logoff().await {
        tracing::debug!(%error, "logging off");
    }
    result
}

/// Where `mv` renames to: a source of the same share, or a path inside it.
fn target_of(source: &Source, target: &str) -> Result<Source> {
    let is_source = target.starts_with("//") || target.starts_with("\\\\") || target.contains("://");
    let path = if is_source {
        let target = Source::parse(target)?;
        if !target.host.eq_ignore_ascii_case(&source.host)
            || !target.share.eq_ignore_ascii_case(&source.share)
        {
            bail!("mv works within one share; {target} is another");
        }
        target.path
    } else {
        target.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")
    };
    Ok(Source { path, ..source.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn mv_stays_in_its_share() {
        let source = Source::parse("//s/x/a").unwrap();
        assert_eq!(target_of(&source, "b/c").unwrap().path, "b/c");
        assert_eq!(target_of(&source, "//S/X/b").unwrap().path, "b");
        assert!(target_of(&source, "//s/y/b").is_err());
    }
}
