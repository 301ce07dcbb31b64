//! `doctor`: what keeps a share from being mounted, at which gate, and what mends it.

mod bench;
mod bundle;
mod capabilities;
mod check;
mod credentials;
mod host;
mod matrix;
mod name;
mod network;
mod protocol;
mod report;
mod session;
mod share;
mod speed;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::Value;
use smb_client::{ConnectOptions, Credentials, Manner};

use crate::cli::{log_off, options, text, usage};
use crate::codes::{self, Code};
use crate::connect::connect_options;
use crate::credentials::{Ask, Found, azure_user};
use crate::options::{RawOptions, arguments};
use crate::show::{tell, unless_broken_pipe};
use crate::source::Source;
use check::{Check, Group};
use report::Report;
use session::Login;

/// SMB's port.
const PORT: u16 = 445;

/// Whom the doctor looks at.
#[derive(Clone)]
pub(crate) struct Patient {
    pub(crate) source: Source,
    pub(crate) options: RawOptions,
    pub(crate) dir: Option<PathBuf>,
    /// How long any one answer may take.
    pub(crate) patience: Duration,
    /// An address that is known to answer.
    reached: Option<IpAddr>,
}

impl Patient {
    pub(crate) fn port(&self) -> u16 {
        self.options.port.or(self.source.port).unwrap_or(PORT)
    }

    /// How a mount would connect, with less patience.
    pub(crate) fn connect(&self, credentials: Credentials) -> ConnectOptions {
        let mut connect = connect_options(&self.source, &self.options, credentials)
            .connect_timeout(self.patience)
            .login_timeout(self.patience)
            .request_timeout(self.patience)
            .dead_after(self.patience)
            .posix(!self.options.mount.no_posix);
        connect.address = self.reached.or(self.options.ip);
        connect
    }

    /// The command that mounts it with this option, and with none of those that were given.
    pub(crate) fn mount_with(&self, option: &str) -> String {
        let dir = self.dir.as_ref().map_or_else(|| "DIR".into(), |dir| dir.display().to_string());
        let port = if self.port() == PORT { String::new() } else { format!(",port={}", self.port()) };
        format!("sharefs mount {} {dir} -o {option}{port}", self.source)
    }

    /// The command that saves this user's password for it.
    pub(crate) fn save_password_of(&self, user: &str) -> String {
        format!("sharefs cred add {} --user '{}'", self.source.host, user.replace('\'', "'\\''"))
    }

    /// The same for the user who was named.
    pub(crate) fn save_password(&self) -> String {
        let named = self.options.username.as_ref().or(self.source.user.as_ref()).cloned();
        let user = named.or_else(|| azure_user(&self.source.host));
        self.save_password_of(user.as_deref().unwrap_or("NAME"))
    }
}

/// What is to be looked at beside the rest.
#[derive(Clone, Copy, Debug)]
struct Probes {
    writes: bool,
    speed: bool,
}

/// The subcommand's arguments.
pub(crate) fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let file = |name: &'static str| Arg::new(name).value_parser(clap::value_parser!(PathBuf));
    Command::new("doctor")
        .about("Find out why a share cannot be mounted, or what it can do")
        .args(arguments(true))
        .arg(switch("json", "Print JSON"))
        .arg(
            Arg::new("filter")
                .long("filter")
                .value_name("GROUP[,GROUP]")
                .value_delimiter(',')
                .help(format!("Show these groups only: {}", Group::ALL.map(Group::word).join(", "))),
        )
        .arg(
            Arg::new("explain")
                .long("explain")
                .value_name("CODE")
                .help("Say what the code of an error means and what mends it; all for every code"),
        )
        .arg(switch("write-probe", "Try what the share can do, in a folder on it that is removed again"))
        .arg(switch("speed", "Measure round trips, and with --write-probe files and data"))
        .arg(
            Arg::new("timeout")
                .long("timeout")
                .value_name("SECONDS")
                .default_value("10")
                .value_parser(clap::value_parser!(u32).range(1..=300))
                .help("How long any one answer may take"),
        )
        .arg(
            file("bundle")
                .long("bundle")
                .value_name("FILE")
                .help("Write a file for a bug report, without passwords and names"),
        )
        .arg(
            Arg::new("source").value_name("SOURCE").required_unless_present("explain").help("//server/share"),
        )
        .arg(file("dir").value_name("DIR").help("The folder where it is to be mounted"))
}

/// `sharefs doctor`
pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode> {
    if let Some(name) = matches.get_one::<String>("explain") {
        return explain(name, matches.get_flag("json"));
    }
    let mut patient = Patient {
        source: Source::parse(text(matches, "source")?).map_err(usage)?,
        options: options(matches)?,
        dir: matches.get_one::<PathBuf>("dir").cloned(),
        patience: Duration::from_secs(matches.get_one::<u32>("timeout").copied().unwrap_or_default().into()),
        reached: None,
    };
    let groups = groups(matches)?;
    let probes = Probes { writes: matches.get_flag("write-probe"), speed: matches.get_flag("speed") };
    let ask = Ask::with(matches.get_flag("password-stdin"));
    let mut report = Report::new(patient.source.to_string(), groups);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(examine(&mut patient, probes, ask, &mut report));
    // A resolver or a file system may not have answered yet: nobody waits for it.
    runtime.shutdown_background();
    report.print(matches.get_flag("json"))?;
    if let Some(file) = matches.get_one::<PathBuf>("bundle") {
        bundle::write(&patient, &report, file)?;
        tell(&format!("sharefs: {} is for a bug report; look through it before you send it", file.display()));
    }
    Ok(report.exit_code())
}

fn explain(name: &str, as_json: bool) -> Result<ExitCode> {
    let unknown = || usage(anyhow!("there is no code {name:?}: sharefs doctor --explain all lists them"));
    let codes = match name {
        "all" => codes::ALL.to_vec(),
        name => vec![Code::named(name).ok_or_else(unknown)?],
    };
    let text = if as_json {
        format!("{:#}\n", codes.iter().map(|code| code.json()).collect::<Value>())
    } else {
        codes.iter().map(|code| code.explanation()).collect::<Vec<_>>().join("\n")
    };
    std::io::stdout().lock().write_all(text.as_bytes()).or_else(unless_broken_pipe)?;
    Ok(ExitCode::SUCCESS)
}

fn groups(matches: &ArgMatches) -> Result<Vec<Group>> {
    let Some(words) = matches.get_many::<String>("filter") else { return Ok(Group::ALL.to_vec()) };
    let named = |word: &String| {
        let known = || Group::ALL.map(Group::word).join(", ");
        Group::named(word).ok_or_else(|| usage(anyhow!("there is no group {word:?}: there are {}", known())))
    };
    words.map(named).collect()
}

/// Goes the way of a mount, gate by gate.
async fn examine(patient: &mut Patient, probes: Probes, ask: Ask, report: &mut Report) {
    report.add(name::look(patient));
    let found = find_credentials(patient, ask).await;
    let addresses = network::resolve(patient, report).await;
    patient.reached = network::reach(patient, &addresses, report).await;
    let negotiated = match patient.reached {
        Some(_) => protocol::look(patient, report).await.is_some(),
        None => {
            report.add(Check::skipped(Group::Negotiate, "dialect", "the server is not reached"));
            false
        }
    };
    credentials::look(patient, &found, report);
    report.add(kerberos());
    if negotiated {
        enter(patient, found, probes, report).await;
    } else {
        for (group, name) in [(Group::Session, "login"), (Group::Matrix, "accepted"), (Group::Share, "tree")]
        {
            report.add(Check::skipped(group, name, "the server is not reached, or does not negotiate"));
        }
    }
    if report.wants(Group::Host) {
        host::look(patient, report).await;
    }
}

/// The keyring and a terminal have no part in a runtime.
async fn find_credentials(patient: &Patient, ask: Ask) -> Result<Found> {
    tokio::task::block_in_place(|| crate::credentials::find(&patient.source, &patient.options, ask))
}

/// As far as the server lets the user in.
async fn enter(patient: &Patient, found: Result<Found>, probes: Probes, report: &mut Report) {
    let login = match found {
        Ok(found) => session::log_in(patient, found, report).await,
        Err(_) => {
            report.add(Check::skipped(Group::Session, "login", "there is nothing to log in with"));
            Login::Refused
        }
    };
    if report.wants(Group::Matrix) {
        matrix::measure(patient, &login, report).await;
    }
    let Login::Done(client, options) = login else {
        report.add(Check::skipped(Group::Share, "tree", "nobody is logged in"));
        return;
    };
    if let Some(share) = share::look(patient, &client, &options, report).await {
        let path = &patient.source.path;
        // As a mount opens things from here on.
        share.in_manner(Manner { posix: client.info().posix, ..Manner::default() });
        if probes.writes && report.wants(Group::Capabilities) {
            capabilities::look(&client, &share, path, report).await;
        } else {
            report.add(Check::skipped(Group::Capabilities, "content", "only with --write-probe"));
        }
        if (probes.speed || probes.writes) && report.wants(Group::Speed) {
            speed::look(&client, &share, path, probes.writes, report).await;
        } else {
            report.add(Check::skipped(Group::Speed, "round trip", "only with --speed or --write-probe"));
        }
    }
    // The server may have fallen silent meanwhile.
    if tokio::time::timeout(patient.patience, log_off(client)).await.is_err() {
        tracing::debug!("the server was not told of the end");
    }
}

fn kerberos() -> Check {
    let ticket = std::env::var_os("KRB5CCNAME").is_some();
    let found = if ticket { "; a ticket cache is named in KRB5CCNAME and is not used" } else { "" };
    Check {
        code: Some(&codes::KERBEROS_NOT_BUILT),
        ..Check::skipped(Group::Kerberos, "tickets", format!("this version has no Kerberos{found}"))
    }
}
