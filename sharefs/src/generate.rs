//! `generate`: manual pages and completions, made of the command line's own definition. For `make install` and those
//! who make packages; `--help` does not show it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command};
use clap_complete::Shell;

/// mount(8)'s helper is the same program: its manual page is that of the subcommand.
const HELPER: &str = ".so man1/sharefs-mount.1\n";
/// Where the shells look below a prefix's `share`.
const COMPLETIONS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions/sharefs"),
    (Shell::Zsh, "zsh/site-functions/_sharefs"),
    (Shell::Fish, "fish/vendor_completions.d/sharefs.fish"),
];

/// The subcommand's arguments.
pub(crate) fn command() -> Command {
    Command::new("generate").about("Write manual pages and completions").hide(true).arg(
        Arg::new("dir")
            .value_name("DIR")
            .required(true)
            .value_parser(clap::value_parser!(PathBuf))
            .help("The folder that is to become a prefix's share"),
    )
}

/// `sharefs generate`: of `whole`, the program's command line.
pub(crate) fn run(matches: &ArgMatches, whole: Command) -> Result<()> {
    let dir: &PathBuf = matches.get_one("dir").context("the folder is missing")?;
    let mut whole = whole.disable_help_subcommand(true);
    let manual = dir.join("man/man1");
    make(&manual)?;
    clap_mangen::generate_to(whole.clone(), &manual)
        .with_context(|| format!("cannot write manual pages into {}", manual.display()))?;
    let manual = dir.join("man/man8");
    for name in ["mount.sharefs.8", "mount.fuse.sharefs.8"] {
        write(&manual.join(name), HELPER.as_bytes())?;
    }
    for (shell, place) in COMPLETIONS {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut whole, "sharefs", &mut text);
        write(&dir.join(place), &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    make(path.parent().unwrap_or_else(|| Path::new(".")))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}
