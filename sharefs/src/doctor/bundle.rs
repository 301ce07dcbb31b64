//! What goes with a bug report: the report without names that are the user's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Patient;
use super::report::Report;
use crate::private;

/// How long the file system with the mount point may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What stands for what others need not know.
const LEFT_OUT: &str = "(left out)";
/// Shorter names could be part of anything.
const SHORTEST: usize = 2;
/// Fields whose values are the program's own words.
const OURS: [&str; 7] = ["version", "gate", "group", "check", "outcome", "code", "means"];

/// What is replaced in each text, and by what.
#[derive(Debug, Default)]
struct Redaction(Vec<(String, String)>);

impl Redaction {
    fn of(patient: &Patient, report: &Value) -> Self {
        let mut redaction = Self::default();
        let source = &patient.source;
        for name in source.path.split('/') {
            redaction.hide(name, "<name>");
        }
        redaction.hide(&source.path, "<path>");
        if let Some(dir) = &patient.dir {
            redaction.hide(&dir.to_string_lossy(), "<dir>");
            if let Some(dir) = resolved(dir.clone()) {
                redaction.hide(&dir.to_string_lossy(), "<dir>");
            }
        }
        if let Some(file) = &patient.options.credentials {
            redaction.hide(&file.to_string_lossy(), "<file>");
        }
        if let Ok(home) = private::home() {
            redaction.hide(&home.to_string_lossy(), "<home>");
        }
        redaction.hide(source.host.trim_matches(['[', ']']), "<server>");
        if let Some(address) = patient.options.ip {
            redaction.hide(&address.to_string(), "<address>");
        }
        redaction.hide(&source.host.split('.').next().unwrap_or_default().to_ascii_lowercase(), "<account>");
        redaction.hide(&source.share, "<share>");
        for check in report["checks"].as_array().into_iter().flatten() {
            let user = check["data"]["user"].as_str().unwrap_or_default();
            for part in user.split('\\').chain([user]) {
                redaction.hide(part, "<user>");
            }
            for address in check["data"]["addresses"].as_array().into_iter().flatten() {
                redaction.hide(address.as_str().unwrap_or_default(), "<address>");
            }
            redaction.hide(check["data"]["alias"].as_str().unwrap_or_default(), "<alias>");
        }
        for name in [&source.user, &patient.options.username, &patient.options.domain].into_iter().flatten() {
            redaction.hide(name, "<user>");
        }
        if let Some(account) = private::account(rustix::process::geteuid().as_raw()) {
            redaction.hide(&account.name, "<account>");
        }
        // The longest first: shorter ones may be in it.
        redaction.0.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        redaction
    }

    fn hide(&mut self, name: &str, by: &str) {
        if name.len() >= SHORTEST {
            self.0.push((name.to_owned(), by.to_owned()));
        }
    }

    fn text(&self, text: &str) -> String {
        let redacted = self.0.iter().fold(text.to_owned(), |text, (name, by)| replace_words(&text, name, by));
        paths_left_out(&redacted)
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(values) => values.iter().map(|value| self.value(value)).collect(),
            // What the program itself calls things stays, though a share may be called the same.
            Value::Object(fields) => {
                let one = |(key, value): (&String, &Value)| {
                    let value = if OURS.contains(&key.as_str()) { value.clone() } else { self.value(value) };
                    (key.clone(), value)
                };
                fields.iter().map(one).collect()
            }
            other => other.clone(),
        }
    }
}

/// Other mounts are no part of the report: of theirs only the codes stay.
fn leave_out_others(report: &mut Value) {
    for check in report["checks"].as_array_mut().into_iter().flatten() {
        if check["group"] == "host" && check["check"] == "mounts" && check["code"].is_string() {
            (check["found"], check["mend"]) = (LEFT_OUT.into(), LEFT_OUT.into());
        }
    }
}

/// A folder without links; none where its file system does not answer.
fn resolved(dir: PathBuf) -> Option<PathBuf> {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || sender.send(fs_fuse::resolve(&dir)));
    answer.recv_timeout(PATIENCE).ok()?.ok()
}

/// Replaces a name where it stands as a word of its own.
fn replace_words(text: &str, name: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back().or_else(|| out.chars().next_back());
        let after = rest[at + name.len()..].chars().next();
        let whole = !before.is_some_and(is_word) && !after.is_some_and(is_word);
        out.push_str(&rest[..at]);
        out.push_str(if whole { by } else { name });
        rest = &rest[at + name.len()..];
    }
    out + rest
}

/// Paths below what people call their own; those of the system may stay.
fn paths_left_out(text: &str) -> String {
    let private = |word: &str| {
        ["/home/", "/root/", "/mnt/", "/media/", "/tmp/", "/srv/"].iter().any(|top| word.starts_with(top))
    };
    let words = text.split(' ').map(|word| if private(word) { "<file>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Writes it, for its owner only.
pub(crate) fn write(patient: &Patient, report: &Report, file: &Path) -> Result<()> {
    let mut report = report.json();
    leave_out_others(&mut report);
    let redaction = Redaction::of(patient, &report);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let bundle = json!({
        "sharefs": env!("CARGO_PKG_VERSION"),
        "system": system.unwrap_or_default().trim_matches('"'),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "architecture": std::env::consts::ARCH,
        "root": rustix::process::geteuid().is_root(),
        "systemd": Path::new("/run/systemd/system").is_dir(),
        "container": Path::new("/run/.containerenv").exists() || Path::new("/.dockerenv").exists(),
        "options": options(patient),
        "report": redaction.value(&report),
    });
    private::replace(&std::path::absolute(file)?, format!("{bundle:#}\n").as_bytes())
}

/// Those that say how it is connected and nothing of whom.
fn options(patient: &Patient) -> Value {
    let options = &patient.options;
    json!({
        "dialects": options.dialects.map(|(oldest, newest)| format!("{oldest} to {newest}")),
        "seal": options.seal,
        "sign": options.sign,
        "guest": options.guest,
        "port": patient.port(),
        "address": options.ip.is_some(),
        "allow_other": options.mount.allow_other,
        "read_only": options.mount.read_only,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_replaced() {
        assert_eq!(
            replace_words("data of //data/x, database", "data", "<share>"),
            "<share> of //<share>/x, database"
        );
        assert_eq!(replace_words("aa", "a", "b"), "aa");
    }

    #[test]
    fn of_other_mounts_only_the_code_stays() {
        let mut report = json!({ "checks": [
            { "group": "host", "check": "mounts", "code": "dead-mount", "found": "/x/secret plans", "mend": "y" },
            { "group": "host", "check": "fuse", "code": "fuse-denied", "found": "z", "mend": null },
        ] });
        leave_out_others(&mut report);
        assert_eq!(
            (&report["checks"][0]["found"], &report["checks"][1]["found"]),
            (&json!(LEFT_OUT), &json!("z"))
        );
    }

    #[test]
    fn paths_of_users_are_left_out() {
        assert_eq!(paths_left_out("see /home/bob/taxes now, /usr/bin/x"), "see <file> now, /usr/bin/x");
    }
}
