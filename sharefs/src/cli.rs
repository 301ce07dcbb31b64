//! The command line: what there is, and who does it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};
use smb_client::{Client, ConnectOptions, FileTime, Manner, Share, snapshot_time};

use crate::codes::USAGE as USAGE_CODE;
use crate::connect::{Explain, connect, connect_found, connect_options, log_in};
use crate::credentials::{Ask, Found};
use crate::examples::with_examples;
use crate::files::Place;
use crate::log;
use crate::options::{RawOptions, arguments};
use crate::remove::Removal;
use crate::show::{complaint, tell};
use crate::source::Source;
use crate::transfer::{self, Copier, Transfer, TransferOptions};

/// mount(8)'s exit codes.
const USAGE: u8 = 1;
pub(crate) const MOUNT_FAILURE: u8 = 32;

/// All that can be said to the program.
pub(crate) fn command() -> Command {
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
    let more = || {
        Arg::new("more")
            .value_name("MORE")
            .num_args(0..)
            .help("Further ones of the same share, as sources or paths in the share")
    };
    let json = || Arg::new("json").long("json").action(ArgAction::SetTrue).help("Print JSON");
    let path = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).value_name(value).required(true).value_parser(clap::value_parser!(PathBuf)).help(help)
    };
    let command = Command::new("sharefs")
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
    #[cfg(target_os = "linux")]
    let command = command
        .subcommand(
            Command::new("mount")
                .about("Mount a share in a folder")
                .args(arguments(true))
                .args(crate::mount::arguments())
                .arg(source().required(false))
                .arg(path("dir", "DIR", "The folder").required(false)),
        )
        .subcommand(
            Command::new("umount")
                .about("Unmount a folder")
                .arg(switch("lazy", 'l', "Detach now, finish when nobody uses it any more"))
                .arg(switch("all", 'a', "All of this user's mounts").conflicts_with("dir"))
                .arg(path("dir", "DIR", "The folder").required(false).required_unless_present("all")),
        )
        .subcommand(crate::exec::command())
        .subcommands(crate::control::commands())
        .subcommand(Command::new("list").about("Show mounts and what is remembered of them").arg(json()))
        .subcommand(
            Command::new("forget")
                .about("Do not bring a mount back any more")
                .arg(Arg::new("mount").value_name("DIR").required(true).help("Its folder, or its source")),
        )
        .subcommand(Command::new("status").about("Show this user's mounts").arg(json()))
        .subcommand(crate::stats::command())
        .subcommand(crate::cred::command())
        .subcommand(crate::doctor::command())
        .subcommand(crate::fstab::command());
    let command = command
        .subcommand(
            remote("ls", "List a directory")
                .arg(switch("long", 'l', "Show kind, size and time"))
                .arg(switch("all", 'a', "Show hidden names too"))
                .arg(json()),
        )
        .subcommand(remote("stat", "Show all that the server says of files").arg(json()).arg(more()))
        .subcommand(remote("cat", "Copy files to standard output").arg(more()))
        .subcommand(
            remote("get", "Copy from a share to this machine")
                .args(transfer::arguments(true))
                .arg(
                    Arg::new("earlier")
                        .long("snapshot")
                        .value_name("@GMT-TIME")
                        .value_parser(|token: &str| {
                            snapshot_time(token)
                                .ok_or("not the name of a snapshot, as sharefs snapshots lists them")
                        })
                        .help("Copy an earlier state: see sharefs snapshots"),
                )
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
                .args(transfer::arguments(true))
                .arg(path("local", "LOCAL", "What to copy"))
                .arg(source()),
        )
        .subcommand(
            remote("cp", "Copy within a share, or from one to another").args(transfer::arguments(false)).arg(
                Arg::new("target")
                    .value_name("TARGET")
                    .required(true)
                    .help("Where to, as a source or a path in the same share"),
            ),
        )
        .subcommand(
            remote("rm", "Remove files")
                .arg(switch("recursive", 'r', "Remove directories with all in them"))
                .arg(more()),
        )
        .subcommand(
            remote("mkdir", "Make directories")
                .arg(switch("parents", 'p', "Those above too; no error if one exists"))
                .arg(more()),
        )
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
        .subcommand(
            remote("watch", "Tell what changes in a directory, until interrupted")
                .arg(switch("recursive", 'r', "And in all below it"))
                .arg(
                    Arg::new("json")
                        .long("json")
                        .action(ArgAction::SetTrue)
                        .help("Print a JSON object a line"),
                ),
        )
        .subcommand(
            Command::new("shares")
                .about("List the shares of a server")
                .args(arguments(false))
                .arg(json())
                .arg(Arg::new("source").value_name("SERVER").required(true).help("//server")),
        )
        .subcommand(remote("snapshots", "List the earlier states that there are").arg(json()))
        .subcommand(remote("df", "Show how full a share is"))
        .subcommand(crate::generate::command());
    with_examples(command)
}

/// Parses the arguments, does what they say, and tells by the exit code.
pub(crate) fn run() -> ExitCode {
    #[cfg(target_os = "linux")]
    {
        crate::process::leave_no_core();
        if let Some(arguments) = crate::helper::called() {
            return report(crate::helper::run(&arguments), true);
        }
    }
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            let usage = error.use_stderr();
            let _ = error.print();
            if usage && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                tell(&format!("sharefs: the command line cannot be understood [{}]", USAGE_CODE.name));
            }
            return if usage { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    log::to_stderr(matches.get_count("verbose"), is_daemon(&matches));
    report(dispatch(&matches), matches.subcommand_name() == Some("mount"))
}

/// Tells by the exit code, and on the terminal what went wrong.
fn report(result: Result<ExitCode>, mounting: bool) -> ExitCode {
    result.unwrap_or_else(|error| {
        tell(&format!("sharefs: {}", complaint(&error)));
        if mounting && !error.is::<Usage>() { MOUNT_FAILURE.into() } else { USAGE.into() }
    })
}

/// The command line cannot be understood.
#[derive(Debug)]
pub(crate) struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub(crate) fn usage(error: anyhow::Error) -> anyhow::Error {
    Usage(format!("{error:#}")).into()
}

/// Whether standard error is a log file, which is read long afterwards.
fn is_daemon(matches: &ArgMatches) -> bool {
    cfg!(target_os = "linux")
        && matches.subcommand_matches("mount").is_some_and(|matches| matches.get_flag("daemon"))
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode> {
    match matches.subcommand() {
        #[cfg(target_os = "linux")]
        Some(("mount", matches)) => crate::mount::run(matches),
        #[cfg(target_os = "linux")]
        Some(("exec", matches)) => Ok(crate::exec::run(matches)),
        #[cfg(target_os = "linux")]
        Some(("umount", matches)) => crate::mount::unmount(matches),
        #[cfg(target_os = "linux")]
        Some(("status", matches)) => {
            crate::status::run(matches.get_flag("json"), matches.get_count("verbose") > 0)
        }
        #[cfg(target_os = "linux")]
        Some((name @ ("reload" | "flush" | "log"), matches)) => crate::control::run(name, matches),
        #[cfg(target_os = "linux")]
        Some(("stats", matches)) => crate::stats::run(matches),
        #[cfg(target_os = "linux")]
        Some(("list", matches)) => crate::list::run(matches.get_flag("json")),
        #[cfg(target_os = "linux")]
        Some(("fstab", matches)) => crate::fstab::run(matches),
        #[cfg(target_os = "linux")]
        Some(("forget", matches)) => crate::bring::forget(matches),
        #[cfg(target_os = "linux")]
        Some(("cred", matches)) => crate::cred::run(matches),
        #[cfg(target_os = "linux")]
        Some(("doctor", matches)) => crate::doctor::run(matches),
        Some(("generate", matches)) => crate::generate::run(matches, command()).map(|()| ExitCode::SUCCESS),
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
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> Result<&'a str> {
    matches.get_one::<String>(name).map(String::as_str).with_context(|| format!("{name} is missing"))
}

/// The options of a command line, on which no password is to be seen any more.
pub(crate) fn options(matches: &ArgMatches) -> Result<RawOptions> {
    let options = RawOptions::from_matches(matches).map_err(usage)?;
    #[cfg(target_os = "linux")]
    for password in options.password.iter().chain(&options.second) {
        crate::process::hide_argument(password);
    }
    Ok(options)
}

fn with_credentials(source: Source, matches: &ArgMatches) -> Result<(Source, RawOptions, Found)> {
    let options = options(matches)?;
    let found = crate::credentials::find(&source, &options, Ask::with(matches.get_flag("password-stdin")))?;
    tracing::info!("the password for {} is {}", source.host, found.origin);
    Ok((source, options, found))
}

async fn remote(name: &str, matches: &ArgMatches) -> Result<()> {
    if name == "shares" {
        let source = Source::parse_server(text(matches, "source")?).map_err(usage)?;
        let (source, options, found) = with_credentials(source, matches)?;
        let mut connect_options = connect_options(&source, &options, found.credentials);
        let client = log_in(&source, &mut connect_options, found.second).await?;
        let result = crate::shares::shares(&source, &client, matches.get_flag("json")).await;
        log_off(client).await;
        return result;
    }
    let source = Source::parse(text(matches, "source")?).map_err(usage)?;
    let (source, options, found) = with_credentials(source, matches)?;
    // Before anything is asked of the server: what cannot be meant is refused at once.
    let paths = paths(&source, matches).map_err(usage)?;
    let transfer_options = TransferOptions::from_matches(matches).map_err(usage)?;
    let mut connect_options = connect_options(&source, &options, found.credentials);
    let (client, share) = connect_found(&source, &mut connect_options, found.second).await?;
    if let Some(time) = matches.try_get_one::<FileTime>("earlier").ok().flatten() {
        share.in_manner(Manner { snapshot: Some(*time), ..Manner::default() });
    }
    let place = Place { share: &share, source: &source };
    let result = match name {
        "ls" => {
            let (long, all) = (matches.get_flag("long"), matches.get_flag("all"));
            place.ls(long, all, matches.get_flag("json")).await
        }
        "stat" => place.stat(&paths, matches.get_flag("json")).await,
        "cat" => place.cat(&paths).await,
        "rm" => {
            let recursive = matches.get_flag("recursive");
            Removal::new(&share, &source, &connect_options, recursive).remove(&paths).await
        }
        "mkdir" => place.mkdir(&paths, matches.get_flag("parents")).await,
        "df" => place.df().await,
        "snapshots" => crate::snapshots::snapshots(&share, &source, matches.get_flag("json")).await,
        "mv" => {
            let target = target_of(&source, text(matches, "target")?)?;
            place.mv(&target, !matches.get_flag("no-clobber")).await
        }
        "watch" => {
            let (recursive, json) = (matches.get_flag("recursive"), matches.get_flag("json"));
            crate::watch::watch(&share, &source, recursive, json).await
        }
        "cp" => {
            let from = (&client, &share, &source);
            cp(matches, from, &options, &connect_options, transfer_options).await
        }
        "get" | "put" => {
            let local: &PathBuf = matches.get_one("local").context("the local path is missing")?;
            let (share, source) = (share.clone(), source.clone());
            let transfer = Transfer::new(share, source, connect_options.clone(), transfer_options);
            if name == "get" { transfer.get(local).await } else { transfer.put(local).await }
        }
        _ => bail!("unknown command {name}"),
    };
    drop(share);
    log_off(client).await;
    result
}

/// The server is told that it is over; whether it hears is no matter.
pub(crate) async fn log_off(client: Client) {
    if let Err(error) = client.logoff().await {
        tracing::debug!(%error, "logging off");
    }
}

async fn cp(
    matches: &ArgMatches,
    (client, share, source): (&Client, &Share, &Source),
    options: &RawOptions,
    connect_from: &ConnectOptions,
    transfer_options: TransferOptions,
) -> Result<()> {
    let text = text(matches, "target")?;
    let target = if is_source(text) { Source::parse(text).map_err(usage)? } else { target_of(source, text)? };
    let port = |source: &Source| options.port.or(source.port);
    let same_user = target.user.as_ref().is_none_or(|user| {
        source.user.as_ref().or(options.username.as_ref()).is_some_and(|mine| mine == user)
    });
    let one_login =
        target.host.eq_ignore_ascii_case(&source.host) && port(&target) == port(source) && same_user;
    let (connect_to, to) = if one_login {
        let to = if target.share.eq_ignore_ascii_case(&source.share) {
            share.clone()
        } else {
            client.share(&target.share).await.explain(&target, "")?
        };
        (connect_from.clone(), to)
    } else {
        // The same user, unless the target names one of its own.
        let credentials = if same_user {
            connect_from.credentials.clone()
        } else {
            let options = RawOptions { username: None, ..options.clone() };
            crate::credentials::find(&target, &options, Ask::Terminal)?.credentials
        };
        let other_host = !target.host.eq_ignore_ascii_case(&source.host);
        let options = RawOptions { ip: options.ip.filter(|_| !other_host), ..options.clone() };
        let connect_to = connect_options(&target, &options, credentials);
        let (_, to) = connect(&target, &connect_to).await?;
        (connect_to, to)
    };
    let transfer = Transfer::new(to, target, connect_to, transfer_options);
    let from = (share.clone(), source.clone());
    Arc::new(Copier::new(from, connect_from.clone(), one_login, transfer)).copy().await
}

fn is_source(text: &str) -> bool {
    text.starts_with("//") || text.starts_with("\\\\") || text.contains("://")
}

/// The paths that a command is about: the source's, and those named behind it.
fn paths(source: &Source, matches: &ArgMatches) -> Result<Vec<String>> {
    let more = matches.try_get_many::<String>("more").ok().flatten();
    let mut paths = vec![source.path.clone()];
    for text in more.into_iter().flatten() {
        paths.push(target_of(source, text)?.path);
    }
    Ok(paths)
}

/// A source of the same share, or a path inside it.
fn target_of(source: &Source, target: &str) -> Result<Source> {
    if is_source(target) {
        let parsed = Source::parse(target)?;
        if !parsed.host.eq_ignore_ascii_case(&source.host)
            || !parsed.share.eq_ignore_ascii_case(&source.share)
        {
            bail!("{} is another share than {}: this works within one", parsed, source.at(""));
        }
        return Ok(Source { path: parsed.path, directory: parsed.directory, ..source.clone() });
    }
    let components: Vec<&str> = target.split('/').filter(|part| !part.is_empty()).collect();
    if components.iter().any(|part| matches!(*part, "." | "..")) {
        bail!("{target:?} may not contain . or ..: write it from the share's root on");
    }
    Ok(Source { path: components.join("/"), directory: target.ends_with('/'), ..source.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn further_names_stay_in_the_share() {
        let source = Source::parse("//s/x/a").unwrap();
        assert!(target_of(&source, "b/../c").is_err());
        assert_eq!(target_of(&source, "b/c").unwrap().path, "b/c");
        assert_eq!(target_of(&source, "//S/X/b").unwrap().path, "b");
        assert!(target_of(&source, "//s/y/b").is_err());
    }
}
