//! What `--help` and the manual pages show of each subcommand in use.

use clap::Command;

/// A subcommand, with the words that lead to it, and how it may look.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "mount",
        &[
            "sharefs mount //server/share ~/share -o username=alice",
            "sharefs mount //server/share ~/share --persist",
            "sharefs mount //server/share ~/share --ensure",
            "sharefs mount //acct.file.core.windows.net/share ~/share -o username=acct",
            "sharefs mount --all --wait 300",
        ],
    ),
    ("umount", &["sharefs umount ~/share", "sharefs umount --all --lazy"]),
    (
        "exec",
        &[
            "sharefs exec --with-mount //server/share -- cp report.pdf {}/reports/",
            "sharefs exec --with-mount //server/share --at /mnt/share -- make -C /mnt/share",
        ],
    ),
    ("list", &["sharefs list", "sharefs list --json"]),
    ("reload", &["sharefs reload ~/share"]),
    ("flush", &["sharefs flush ~/share"]),
    ("log", &["sharefs log ~/share debug", "sharefs log ~/share warn,fs_core=trace"]),
    ("forget", &["sharefs forget ~/share", "sharefs forget //server/share"]),
    ("status", &["sharefs status", "sharefs -v status", "sharefs status --json"]),
    ("stats", &["sharefs stats", "sharefs stats ~/share --json", "sharefs stats --prometheus"]),
    ("doctor", &["sharefs doctor //server/share"]),
    (
        "cred",
        &["sharefs cred add server --user alice", "sharefs cred list", "sharefs cred test server/share"],
    ),
    (
        "cred add",
        &[
            "sharefs cred add server --user alice",
            "sharefs cred add server/share --user 'DOMAIN\\bob'",
            "sharefs cred add acct.file.core.windows.net --key-file key.txt",
            "sharefs cred add server --user alice --password-stdin < password.txt",
        ],
    ),
    ("cred list", &["sharefs cred list", "sharefs cred list --json"]),
    ("cred show", &["sharefs cred show server/share"]),
    ("cred test", &["sharefs cred test server", "sharefs cred test server/share --user bob"]),
    ("cred remove", &["sharefs cred remove server", "sharefs cred remove server/share --user bob"]),
    (
        "cred import",
        &[
            "sharefs cred import connection-string.txt",
            "sharefs cred import /etc/smbcredentials/acct.cred acct.file.core.windows.net",
            "sharefs cred import /etc/fstab",
        ],
    ),
    ("fstab", &["sharefs fstab check", "sharefs fstab import --dry-run"]),
    ("fstab check", &["sharefs fstab check", "sharefs fstab check --file fstab.new"]),
    ("fstab import", &["sharefs fstab import --dry-run", "sharefs fstab import"]),
    ("ls", &["sharefs ls //server/share", "sharefs ls -l --json //server/share/folder"]),
    ("stat", &["sharefs stat //server/share/file", "sharefs stat --json //server/share/file other"]),
    ("cat", &["sharefs cat //server/share/file", "sharefs cat //server/share/a b/c"]),
    (
        "get",
        &[
            "sharefs get //server/share/file .",
            "sharefs get -r --resume //server/share/folder .",
            "sharefs get -r --snapshot @GMT-2026.01.31-12.00.00 //server/share/folder .",
        ],
    ),
    (
        "put",
        &[
            "sharefs put file //server/share/",
            "sharefs put -r --checksum --exclude '*.tmp' folder //server/share/",
        ],
    ),
    ("cp", &["sharefs cp //server/share/a b", "sharefs cp -r //server/share/folder //server2/share2/"]),
    ("rm", &["sharefs rm //server/share/file", "sharefs rm -r //server/share/a b"]),
    ("mkdir", &["sharefs mkdir //server/share/folder", "sharefs mkdir -p //server/share/a/b/c"]),
    ("mv", &["sharefs mv //server/share/a b", "sharefs mv -n //server/share/a b/c"]),
    ("watch", &["sharefs watch -r //server/share/folder", "sharefs watch --json //server/share"]),
    ("shares", &["sharefs shares //server", "sharefs shares --json //server"]),
    ("snapshots", &["sharefs snapshots //server/share"]),
    ("df", &["sharefs df //server/share"]),
];

/// Adds to each subcommand what is here of it.
pub(crate) fn with_examples(command: Command) -> Command {
    below(command, "")
}

fn below(command: Command, path: &str) -> Command {
    command.mut_subcommands(|subcommand| {
        let path = format!("{path} {}", subcommand.get_name());
        let examples = EXAMPLES.iter().find(|(name, _)| *name == path.trim_start());
        let subcommand = below(subcommand, &path);
        match examples {
            Some((_, lines)) => subcommand.after_help(format!("Examples:\n  {}", lines.join("\n  "))),
            None => subcommand,
        }
    })
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::cli::command;

    fn lacking(command: &Command) -> Vec<String> {
        let shown = command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set());
        shown
            .flat_map(|subcommand| {
                let own = subcommand.get_after_help().is_none().then(|| subcommand.get_name().to_owned());
                own.into_iter().chain(lacking(subcommand))
            })
            .collect()
    }

    #[test]
    fn each_subcommand_has_examples() {
        assert_eq!(lacking(&command()), Vec::<String>::new());
    }

    #[test]
    fn each_example_is_understood() {
        let known = command();
        for (path, lines) in EXAMPLES {
            let first = path.split(' ').next().unwrap_or_default();
            if known.find_subcommand(first).is_none() {
                continue;
            }
            for line in *lines {
                // No example needs more of a shell than this.
                let line = line.split(" < ").next().unwrap_or_default().replace('\'', "");
                let words = line.split(' ');
                assert!(
                    line.starts_with(&format!("sharefs {path}")) || line.starts_with("sharefs -v "),
                    "{line}"
                );
                let parsed = known.clone().try_get_matches_from(words);
                assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
            }
        }
    }
}
