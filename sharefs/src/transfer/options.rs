//! How a transfer is to be made.

use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use clap::{Arg, ArgAction, ArgMatches};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Links {
    /// What they lead to is copied.
    #[default]
    Follow,
    /// They are copied as links.
    Copy,
    /// They are left out.
    Skip,
}

/// The options of `get`, `put` and `cp`.
#[derive(Debug, Default)]
pub(crate) struct TransferOptions {
    pub(crate) recursive: bool,
    pub(crate) resume: bool,
    pub(crate) preserve: bool,
    pub(crate) checksum: bool,
    pub(crate) exclude: Exclude,
    pub(crate) dry_run: bool,
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) links: Links,
    /// The server has been found to have no links of its own.
    pub(super) no_links: AtomicBool,
}

/// The arguments that carry them.
pub(crate) fn arguments(with_resume: bool) -> Vec<Arg> {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    let mut arguments = vec![
        switch("recursive", "Copy directories").short('r'),
        switch("preserve", "Keep all times, and whether a file is read-only"),
        switch("checksum", "Leave out what is equal by SHA-256, and read each copy back to compare it"),
        switch("dry-run", "Say what would be copied, and change nothing"),
        switch("json", "Print a summary as JSON"),
        switch("quiet", "No summary and no progress").short('q'),
        Arg::new("exclude")
            .long("exclude")
            .value_name("GLOB")
            .action(ArgAction::Append)
            .help("Leave out what is called so; with a / in it, what has this path below the directory"),
        Arg::new("links")
            .long("links")
            .value_name("HOW")
            .value_parser(["follow", "copy", "skip"])
            .default_value("follow")
            .help("Symbolic links: copy what they lead to, or the links, or neither"),
    ];
    if with_resume {
        arguments.push(switch("resume", "Go on with a broken copy, and leave out what is there already"));
    }
    arguments
}

impl TransferOptions {
    /// As the command line has them.
    pub(crate) fn from_matches(matches: &ArgMatches) -> Result<Self> {
        let flag = |name: &str| matches.try_get_one::<bool>(name).ok().flatten().copied().unwrap_or(false);
        let globs = matches.try_get_many::<String>("exclude").ok().flatten();
        let globs = globs.into_iter().flatten().map(String::as_str);
        let links = match matches.try_get_one::<String>("links").ok().flatten().map(String::as_str) {
            Some("copy") => Links::Copy,
            Some("skip") => Links::Skip,
            _ => Links::Follow,
        };
        Ok(Self {
            recursive: flag("recursive"),
            resume: flag("resume"),
            preserve: flag("preserve"),
            checksum: flag("checksum"),
            exclude: Exclude::new(globs)?,
            dry_run: flag("dry-run"),
            json: flag("json"),
            quiet: flag("quiet"),
            links,
            no_links: AtomicBool::new(false),
        })
    }
}

/// What is left out.
#[derive(Debug, Default)]
pub(crate) struct Exclude {
    names: GlobSet,
    paths: GlobSet,
}

impl Exclude {
    fn new<'a>(globs: impl Iterator<Item = &'a str>) -> Result<Self> {
        let (mut names, mut paths) = (GlobSetBuilder::new(), GlobSetBuilder::new());
        for glob in globs {
            let plain = glob.trim_matches('/');
            let built = GlobBuilder::new(plain).literal_separator(true).backslash_escape(true).build();
            let built =
                built.with_context(|| format!("--exclude={glob}: write a pattern such as '*.tmp'"))?;
            if glob.trim_end_matches('/').contains('/') {
                paths.add(built);
            } else {
                names.add(built);
            }
        }
        Ok(Self { names: names.build()?, paths: paths.build()? })
    }

    /// Whether a file or directory is left out, by its path below the directory that is copied.
    pub(super) fn covers(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        self.names.is_match(name) || self.paths.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_for_names_or_for_paths() {
        let exclude = Exclude::new(["*.tmp", "build/", "a/*/c", "/top", "[x]?"].into_iter()).unwrap();
        for path in ["x.tmp", "deep/x.tmp", "build", "deep/build", "a/b/c", "top", "d/xy"] {
            assert!(exclude.covers(path), "{path}");
        }
        for path in ["x.tmp2", "a/b/b/c", "deep/top", "rebuild", "deep/a/b/c"] {
            assert!(!exclude.covers(path), "{path}");
        }
        assert!(Exclude::new(["["].into_iter()).is_err());
        assert!(!Exclude::default().covers("a"));
    }
}
