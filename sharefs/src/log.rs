//! What is logged, and where to: standard error, which of a serving process is a file.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::{Result, anyhow};
use tracing_subscriber::EnvFilter;

type Change = Box<dyn Fn(EnvFilter) -> Result<()> + Send + Sync>;

/// Changes the filter of this process.
static CHANGE: OnceLock<Change> = OnceLock::new();

/// Begins to log. `times`: each line says when.
pub(crate) fn to_stderr(verbose: u8, times: bool) {
    let default = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("SHAREFS_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // Two types for the compiler.
    let change: Change = if times {
        let log = log.with_filter_reloading();
        let handle = log.reload_handle();
        log.init();
        Box::new(move |filter| Ok(handle.reload(filter)?))
    } else {
        let log = log.without_time().with_filter_reloading();
        let handle = log.reload_handle();
        log.init();
        Box::new(move |filter| Ok(handle.reload(filter)?))
    };
    let _ = CHANGE.set(change);
}

/// Logs by this filter from now on: `debug`, or `warn,fs_core=trace`.
///
/// # Errors
/// Where it is no filter.
pub(crate) fn change(filter: &str) -> Result<()> {
    let filter = filter.trim();
    // An empty one would mean errors only; who says nothing does not mean that.
    if filter.is_empty() {
        return Err(anyhow!(
            "a filter of the log is wanted: error, warn, info, debug, trace, or MODULE=LEVEL"
        ));
    }
    let parsed = EnvFilter::try_new(filter).map_err(|error| anyhow!("{filter:?} is no filter: {error}"))?;
    CHANGE.get().map_or(Ok(()), |change| change(parsed))
}
