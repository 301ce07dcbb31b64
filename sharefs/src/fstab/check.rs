//! `fstab check`: what would keep a line from being mounted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Line;
use crate::codes::{MOUNT_POINT_MISSING, SECRET_EXPOSED, with_code};
use crate::credentials::{Ask, Lookup};
use crate::options::RawOptions;
use crate::show::complaint;
use crate::source::Source;

/// Where mount(8) looks for what mounts a type.
const HELPER: &str = "/sbin/mount.sharefs";

/// Something about a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// It cannot be mounted.
    Error(String),
    /// It can, and something is better done otherwise.
    Warning(String),
}

/// What is to be said of a line.
pub(super) fn check(line: &Line) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut options = RawOptions::default();
    match (Source::parse(&line.source), options.apply_list(&line.options)) {
        (Err(error), _) | (_, Err(error)) => return vec![Finding::Error(complaint(&error))],
        (Ok(source), Ok(())) => found.extend(credentials(&source, &options)),
    }
    if !line.dir.is_dir() {
        let text = format!("there is no folder {}", line.dir.display());
        found.push(Finding::Error(with_code(&text, &MOUNT_POINT_MISSING)));
    }
    let warn = |text: &str| Finding::Warning(text.to_owned());
    if line.kind.ends_with("sharefs") {
        if !Path::new(HELPER).exists() {
            found.push(Finding::Error(format!("{HELPER} is missing: make it a link to sharefs")));
        }
    } else {
        found.push(warn("it is mounted by the kernel: sharefs fstab import has sharefs mount it"));
    }
    let has = |name: &str| line.options.split(',').any(|option| option.trim() == name);
    if !has("_netdev") {
        found.push(warn("without _netdev it may be tried before there is a network"));
    }
    if !has("nofail") && !has("noauto") {
        found.push(warn("without nofail a server that is away keeps the machine from booting up"));
    }
    found
}

fn credentials(source: &Source, options: &RawOptions) -> Vec<Finding> {
    let mut found = Vec::new();
    if options.password.is_some() {
        let text = "everybody can read the password: sharefs fstab import saves it elsewhere";
        found.push(Finding::Warning(with_code(text, &SECRET_EXPOSED)));
        return found;
    }
    if let Some(file) = &options.credentials {
        let open = |metadata: fs::Metadata| metadata.permissions().mode() & 0o077 != 0;
        if fs::metadata(file).is_ok_and(open) {
            let text = format!("others can read {0}: run chmod 600 {0}", file.display());
            found.push(Finding::Warning(with_code(&text, &SECRET_EXPOSED)));
        }
    }
    if let Err(error) = Lookup::new(source, options, Ask::Nobody) {
        found.push(Finding::Error(complaint(&error)));
    }
    found
}
