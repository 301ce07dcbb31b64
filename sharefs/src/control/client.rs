//! The other end of the socket, and the commands that use it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::listener::by_short_name;
use super::{LONGEST_REPLY, Reply, Request};
use crate::cli::text;
use crate::codes::{self, Code};
use crate::show::shown;
use crate::status::MountRecord;

/// For what is answered at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the process that serves a mount, and waits for the answer: for ever, where there is no `patience`.
///
/// # Errors
/// Where it does not answer, or says that it cannot do it.
pub(crate) fn ask(record: &MountRecord, request: &Request, patience: Option<Duration>) -> Result<Value> {
    let reply = converse(record, request, patience).map_err(|error| {
        let text = format!("the process {} does not answer for {}", record.pid, shown(&record.dir));
        codes::SERVING_SILENT.of(&error.context(text))
    })?;
    match reply {
        Reply::Done { ok } => Ok(ok),
        Reply::Failed { error, code } => Err(Code::named(&code).unwrap_or(&codes::FAILED).says(error)),
    }
}

fn converse(record: &MountRecord, request: &Request, patience: Option<Duration>) -> Result<Reply> {
    let path = record.control.as_ref().context("it has no control socket")?;
    let mut stream = by_short_name(path, |name| UnixStream::connect(name))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(patience)?;
    stream.write_all(format!("{}\n", serde_json::to_string(request)?).as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_REPLY)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_str(&line).context("its answer cannot be read")
}

/// The subcommands that tell a mount something.
pub(crate) fn commands() -> [Command; 3] {
    let dir = || {
        let path = clap::value_parser!(PathBuf);
        Arg::new("dir").value_name("DIR").required(true).value_parser(path).help("The folder")
    };
    let filter = Arg::new("filter").value_name("FILTER").required(true).help(
        "error, warn, info, debug or trace; or by module, with commas between them: warn,fs_core=trace",
    );
    [
        Command::new("reload")
            .about(
                "Have a mount that waits for its server try again now, with the password as it is saved now",
            )
            .arg(dir()),
        Command::new("flush").about("Have the server save all that was written on a mount").arg(dir()),
        Command::new("log").about("Change what a mount logs").arg(dir()).arg(filter),
    ]
}

/// `sharefs reload`, `flush` and `log`
pub(crate) fn run(name: &str, matches: &ArgMatches) -> Result<ExitCode> {
    let dir: &PathBuf = matches.get_one("dir").context("the folder is missing")?;
    let record = MountRecord::of_mount(dir)?;
    let (request, patience) = match name {
        // Of a version that had no socket yet: it still hears the signal.
        "reload" if record.control.is_none() => {
            let process = Pid::from_raw(record.pid).context("a process has a number")?;
            kill_process(process, Signal::USR1).context("cannot tell the serving process")?;
            return Ok(ExitCode::SUCCESS);
        }
        "reload" => (Request::Reload, Some(PATIENCE)),
        // As long as it takes: the server may be away.
        "flush" => (Request::Flush, None),
        _ => (Request::Log { filter: text(matches, "filter")?.to_owned() }, Some(PATIENCE)),
    };
    ask(&record, &request, patience)?;
    Ok(ExitCode::SUCCESS)
}
