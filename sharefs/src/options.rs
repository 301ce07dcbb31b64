//! Options with mount.cifs's names, given as `-o a=b,c` or as `--a b`: one table for both.

mod others;
#[cfg(target_os = "linux")]
mod words;

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches};
use fs_core::CacheMode;
use serde::{Deserialize, Serialize};
use smb_client::{Dialect, Secret};

use others::{GENERIC, REFUSED, WITHOUT_EFFECT};

/// An option that this program knows.
struct Spec {
    name: &'static str,
    aliases: &'static [&'static str],
    /// What the value is called in the help; none for a switch.
    value: Option<&'static str>,
    help: &'static str,
    /// Only `mount` has a use for it.
    mount_only: bool,
}

const fn spec(name: &'static str, value: Option<&'static str>, help: &'static str) -> Spec {
    Spec { name, aliases: &[], value, help, mount_only: false }
}

const fn mount(name: &'static str, value: Option<&'static str>, help: &'static str) -> Spec {
    Spec { name, aliases: &[], value, help, mount_only: true }
}

const fn aliased(
    name: &'static str,
    aliases: &'static [&'static str],
    value: &'static str,
    help: &'static str,
) -> Spec {
    Spec { name, aliases, value: Some(value), help, mount_only: false }
}

const SPECS: &[Spec] = &[
    aliased("username", &["user"], "NAME", "User, also DOMAIN\\NAME or DOMAIN/NAME [env: USER]"),
    aliased(
        "password",
        &["pass"],
        "SECRET",
        "Password; prefer --credentials, the prompt or --password-stdin",
    ),
    aliased(
        "password2",
        &["pass2"],
        "SECRET",
        "A second password, tried where the first is refused: an account has two keys",
    ),
    aliased("domain", &["dom", "workgroup"], "NAME", "Domain or workgroup of the user"),
    aliased("credentials", &["cred"], "FILE", "File with lines username=, password=, domain="),
    spec("guest", None, "Log in as guest or nobody; such a session is neither signed nor encrypted"),
    spec("vers", Some("DIALECT"), "2.0, 2.1, 3.0, 3.0.2, 3.1.1, 3 (3.0 and later) or default (all)"),
    spec("sec", Some("MODE"), "ntlmssp (default), ntlmsspi (the same, always signed) or none (nobody)"),
    spec("seal", None, "Encrypt everything (default for hosts under file.core.)"),
    spec("sign", None, "Sign everything (default)"),
    spec("nosign", None, "Do not sign"),
    spec("port", Some("NUMBER"), "TCP port [default: 445]"),
    aliased("ip", &["addr"], "ADDRESS", "Connect to this address instead of resolving the name"),
    mount("uid", Some("ID"), "Owner of everything [default: you]"),
    mount("gid", Some("ID"), "Group of everything [default: yours]"),
    mount("file_mode", Some("OCTAL"), "Permission bits of files [default: 0755]"),
    mount("dir_mode", Some("OCTAL"), "Permission bits of directories [default: 0755]"),
    mount("ro", None, "Refuse changes"),
    mount("rw", None, "Allow changes (default)"),
    mount("noexec", None, "Start no programs from the share"),
    mount("actimeo", Some("SECONDS"), "How long attributes are believed [default: 1]"),
    mount("acregmax", Some("SECONDS"), "The same for files only"),
    mount("acdirmax", Some("SECONDS"), "The same for directories only"),
    mount("cache", Some("MODE"), "strict: as the server's leases allow (default); none; loose; ro: for ever"),
    mount("cache-size", Some("SIZE"), "Memory for file data, in bytes or with K, M, G [default: 128M]"),
    mount("closetimeo", Some("SECONDS"), "How long files stay open on the server after use [default: 5]"),
    mount(
        "nostrictsync",
        None,
        "fsync sends what was written, and does not have the server flush it to its disk",
    ),
    mount("strictsync", None, "fsync has the server flush (default)"),
    mount(
        "mfsymlinks",
        None,
        "Make and follow links as macOS and the kernel's client keep them: as small files",
    ),
    mount(
        "sfu",
        None,
        "Make and know pipes, sockets and devices as the kernel's client keeps them: as small system files",
    ),
    mount(
        "symlinks",
        Some("MODE"),
        "contain: links that lead out of the share are refused (default); follow: they lead to this machine's files",
    ),
    mount("nobrl", None, "Locks hold on this mount only, and are not told to the server"),
    mount("nounix", None, "Do not use the server's POSIX extensions"),
    mount(
        "modefromsid",
        None,
        "Keep modes in the server's access lists, as the kernel's client does, where there are no extensions",
    ),
    mount("idsfromsid", None, "The same for owners and groups"),
    mount("noperm", None, "Have only the server check permissions"),
    mount("default_permissions", None, "Have the kernel check the modes that are shown (default)"),
    mount(
        "dynperm",
        None,
        "Remember modes and owners that are set and the server cannot keep, in this mount",
    ),
    mount("setuids", None, "Give what programs make to the user who runs them, where that can be kept"),
    mount(
        "snapshot",
        Some("@GMT-TIME"),
        "Mount an earlier state of the share, to read only: see sharefs snapshots",
    ),
    mount("hard", None, "Programs wait for a server that is away, until they are interrupted (default)"),
    mount("soft", None, "Programs get an error (ETIMEDOUT) when a server is away for longer than timeo"),
    mount("timeo", Some("SECONDS"), "How long they wait with soft [default: 60]"),
    mount("delay_connect", None, "Mount though the server is away: it is connected to when it is there"),
    mount(
        "max_channels",
        Some("NUMBER"),
        "Connections to the server for reading and writing [default: as the server advises]",
    ),
    mount("multichannel", None, "The same as max_channels=4"),
    mount("nomultichannel", None, "The same as max_channels=1"),
    mount(
        "echo_interval",
        Some("SECONDS"),
        "A server that is silent for so long, though it was asked, is taken for lost [default: 45]",
    ),
    mount("allow_other", None, "Let other users in (needs user_allow_other in /etc/fuse.conf)"),
];

/// Options as text, before anything is looked up; of a name given twice the last one counts.
#[derive(Clone, Debug, Default)]
pub(crate) struct RawOptions {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret>,
    /// Tried where `password` is refused.
    pub(crate) second: Option<Secret>,
    pub(crate) domain: Option<String>,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) guest: bool,
    pub(crate) dialects: Option<(Dialect, Dialect)>,
    pub(crate) seal: bool,
    pub(crate) sign: Option<bool>,
    pub(crate) port: Option<u16>,
    pub(crate) ip: Option<IpAddr>,
    /// What is unknown is left out.
    pub(crate) sloppy: bool,
    pub(crate) mount: MountFlags,
}

/// What only a mount needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MountFlags {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) file_mode: Option<u32>,
    pub(crate) dir_mode: Option<u32>,
    pub(crate) read_only: bool,
    pub(crate) no_exec: bool,
    pub(crate) attr_ttl: Option<Duration>,
    pub(crate) dir_attr_ttl: Option<Duration>,
    /// `fsync` does not flush.
    pub(crate) no_strict_sync: bool,
    pub(crate) cache: Option<Cache>,
    /// In bytes.
    pub(crate) cache_size: Option<u64>,
    pub(crate) close_timeout: Option<Duration>,
    pub(crate) allow_other: bool,
    pub(crate) mfsymlinks: bool,
    pub(crate) sfu: bool,
    /// Links that lead out of the share are followed.
    pub(crate) follow_symlinks: bool,
    pub(crate) local_locks: bool,
    pub(crate) no_posix: bool,
    pub(crate) mode_from_sid: bool,
    pub(crate) ids_from_sid: bool,
    pub(crate) no_permissions: bool,
    pub(crate) dynamic_permissions: bool,
    pub(crate) set_owners: bool,
    /// Programs do not wait longer for a server that is away.
    pub(crate) soft: bool,
    pub(crate) soft_for: Option<Duration>,
    /// The server need not be there yet.
    pub(crate) delay_connect: bool,
    /// Connections to the server.
    pub(crate) channels: Option<u8>,
    /// How long a server may be silent.
    pub(crate) dead_after: Option<Duration>,
    /// `@GMT-…`
    pub(crate) snapshot: Option<String>,
}

/// `cache=`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Cache {
    Strict,
    None,
    Loose,
    ReadOnly,
}

impl From<Cache> for CacheMode {
    fn from(cache: Cache) -> Self {
        match cache {
            Cache::Strict => Self::Strict,
            Cache::None => Self::None,
            Cache::Loose => Self::Loose,
            Cache::ReadOnly => Self::ReadOnly,
        }
    }
}

/// The arguments that carry options, for one subcommand.
pub(crate) fn arguments(for_mount: bool) -> Vec<Arg> {
    let mut args = vec![
        Arg::new("o")
            .short('o')
            .value_name("OPTIONS")
            .action(ArgAction::Append)
            .help("The options below as a=b,c, with mount.cifs's names"),
        Arg::new("password-stdin")
            .long("password-stdin")
            .action(ArgAction::SetTrue)
            .help("Read the password from the first line of standard input"),
    ];
    for spec in SPECS.iter().filter(|spec| for_mount || !spec.mount_only) {
        let arg = Arg::new(spec.name).long(spec.name).aliases(spec.aliases.iter().copied()).help(spec.help);
        args.push(match spec.value {
            Some(value) => arg.value_name(value).action(ArgAction::Append),
            None => arg.action(ArgAction::SetTrue),
        });
    }
    args
}

impl RawOptions {
    /// All options of a command line.
    pub(crate) fn from_matches(matches: &ArgMatches) -> Result<Self> {
        let mut options = Self::default();
        for list in matches.try_get_many::<String>("o").ok().flatten().into_iter().flatten() {
            options.apply_list(list)?;
        }
        for spec in SPECS {
            if spec.value.is_some() {
                for value in matches.try_get_many::<String>(spec.name).ok().flatten().into_iter().flatten() {
                    options.apply(spec, Some(value))?;
                }
            } else if matches.try_get_one::<bool>(spec.name).ok().flatten().copied().unwrap_or(false) {
                options.apply(spec, None)?;
            }
        }
        Ok(options)
    }

    /// `a=b,c`
    pub(crate) fn apply_list(&mut self, list: &str) -> Result<()> {
        let mut after_password = false;
        for item in list.split(',').map(str::trim_start).filter(|item| !item.trim().is_empty()) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim(), Some(value)),
                None => (item.trim(), None),
            };
            let found = SPECS
                .iter()
                .find(|spec| spec.name == name || (value.is_some() && spec.aliases.contains(&name)));
            match found {
                Some(spec) => {
                    self.apply(spec, value)?;
                    after_password = matches!(spec.name, "password" | "password2");
                    continue;
                }
                None if GENERIC.contains(&name) || name.starts_with("x-") => {}
                None if WITHOUT_EFFECT.contains(&name) => {
                    tracing::warn!("option {name} has no effect with sharefs");
                }
                None if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) => {
                    bail!("option {name} is not supported: {why}")
                }
                // What follows may be the rest of the password: it is not repeated.
                None if after_password => bail!(
                    "a password that contains a comma cannot be given in -o: use --password, a credentials file \
                     or --password-stdin"
                ),
                None if self.sloppy => tracing::warn!("option {name} is unknown"),
                None => bail!(unknown(name)),
            }
        }
        Ok(())
    }

    fn apply(&mut self, spec: &Spec, value: Option<&str>) -> Result<()> {
        let name = spec.name;
        let value = match (spec.value, value) {
            (Some(_), Some(value)) => value,
            (None, None) => "",
            (Some(what), None) => bail!("option {name} needs a value: {name}={what}"),
            (None, Some(_)) => bail!("option {name} takes no value"),
        };
        match name {
            "username" => self.username = Some(value.into()),
            "password" => self.password = Some(value.to_owned().into()),
            "password2" => self.second = Some(value.to_owned().into()),
            "domain" => self.domain = Some(value.into()),
            "credentials" => self.credentials = Some(value.into()),
            "guest" => self.guest = true,
            "vers" => self.dialects = Some(dialects(value)?),
            "sec" => match value {
                "ntlmssp" | "ntlmv2" => {}
                "ntlmsspi" | "ntlmv2i" => self.sign = Some(true),
                "none" => self.guest = true,
                "krb5" | "krb5i" => {
                    bail!("sec={value} is not supported yet: Kerberos comes in a later version")
                }
                _ => bail!("sec={value} is unknown: use ntlmssp or none"),
            },
            "seal" => self.seal = true,
            "sign" => self.sign = Some(true),
            "nosign" => self.sign = Some(false),
            "port" => self.port = Some(number(name, value)?),
            "ip" => {
                self.ip = Some(value.parse().with_context(|| format!("ip={value} is not an IP address"))?);
            }
            "uid" => self.mount.uid = Some(id(name, value, "/etc/passwd")?),
            "gid" => self.mount.gid = Some(id(name, value, "/etc/group")?),
            "file_mode" => self.mount.file_mode = Some(mode(name, value)?),
            "dir_mode" => self.mount.dir_mode = Some(mode(name, value)?),
            "ro" => self.mount.read_only = true,
            "rw" => self.mount.read_only = false,
            "noexec" => self.mount.no_exec = true,
            "actimeo" => {
                let ttl = Some(seconds(name, value)?);
                (self.mount.attr_ttl, self.mount.dir_attr_ttl) = (ttl, ttl);
            }
            "acregmax" => self.mount.attr_ttl = Some(seconds(name, value)?),
            "acdirmax" => self.mount.dir_attr_ttl = Some(seconds(name, value)?),
            "nostrictsync" => self.mount.no_strict_sync = true,
            "strictsync" => self.mount.no_strict_sync = false,
            "cache" => self.mount.cache = Some(cache(value)?),
            "cache-size" => self.mount.cache_size = Some(size(name, value)?),
            "closetimeo" => self.mount.close_timeout = Some(seconds(name, value)?),
            "allow_other" => self.mount.allow_other = true,
            "mfsymlinks" => self.mount.mfsymlinks = true,
            "sfu" => self.mount.sfu = true,
            "symlinks" => {
                self.mount.follow_symlinks = match value {
                    "contain" => false,
                    "follow" => true,
                    _ => bail!("symlinks={value} is unknown: use contain or follow"),
                };
            }
            "nobrl" => self.mount.local_locks = true,
            "nounix" => self.mount.no_posix = true,
            "modefromsid" => self.mount.mode_from_sid = true,
            "idsfromsid" => self.mount.ids_from_sid = true,
            "noperm" => self.mount.no_permissions = true,
            "default_permissions" => self.mount.no_permissions = false,
            "dynperm" => self.mount.dynamic_permissions = true,
            "max_channels" => {
                let channels: u8 = number(name, value)?;
                if !(1..=16).contains(&channels) {
                    bail!("max_channels={value} is out of range: 1 to 16");
                }
                self.mount.channels = Some(channels);
            }
            "multichannel" => self.mount.channels = self.mount.channels.or(Some(4)),
            "nomultichannel" => self.mount.channels = Some(1),
            "hard" | "nosoft" => self.mount.soft = false,
            "soft" => self.mount.soft = true,
            "delay_connect" => self.mount.delay_connect = true,
            "timeo" => self.mount.soft_for = Some(seconds(name, value)?),
            "echo_interval" => {
                let silence = seconds(name, value)?;
                if silence < Duration::from_secs(1) {
                    bail!("echo_interval={value} is too short: one second is the least");
                }
                self.mount.dead_after = Some(silence);
            }
            "setuids" => self.mount.set_owners = true,
            "snapshot" => {
                if smb_client::snapshot_time(value).is_none() {
                    bail!(
                        "snapshot={value} is not the name of a snapshot, as in sharefs snapshots: @GMT-YYYY.MM.DD-HH.MM.SS"
                    );
                }
                self.mount.snapshot = Some(value.into());
            }
            _ => bail!(unknown(name)),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value.parse().map_err(|_| anyhow!("{name}={value} is not a number in range"))
}

/// A number, or a name in a table of the system's, where the number is the third field.
fn id(name: &str, value: &str, table: &str) -> Result<u32> {
    if let Ok(id) = value.parse() {
        return Ok(id);
    }
    let table = std::fs::read_to_string(table).unwrap_or_default();
    let mut lines = table.lines().map(|line| line.split(':'));
    let id =
        lines.find_map(|mut fields| (fields.next()? == value).then(|| fields.nth(1)?.parse().ok()).flatten());
    id.with_context(|| format!("{name}={value} is neither a number nor a name on this machine"))
}

fn seconds(name: &str, value: &str) -> Result<Duration> {
    Ok(Duration::from_secs(number::<u32>(name, value)?.into()))
}

fn cache(value: &str) -> Result<Cache> {
    Ok(match value {
        "strict" => Cache::Strict,
        "none" => Cache::None,
        "loose" => Cache::Loose,
        "ro" => Cache::ReadOnly,
        "singleclient" => bail!("cache=singleclient is not supported: use cache=loose"),
        _ => bail!("cache={value} is unknown: use strict, none, loose or ro"),
    })
}

/// A size in bytes; with less than a megabyte nothing could be kept.
fn size(name: &str, value: &str) -> Result<u64> {
    let (digits, shift) = match value.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&value[..at], 10),
        Some((at, 'm' | 'M')) => (&value[..at], 20),
        Some((at, 'g' | 'G')) => (&value[..at], 30),
        _ => (value, 0),
    };
    let bytes = number::<u64>(name, digits)?.checked_mul(1 << shift);
    bytes
        .filter(|bytes| *bytes >= 1 << 20)
        .ok_or_else(|| anyhow!("{name}={value}: use a size of at least 1M"))
}

fn mode(name: &str, value: &str) -> Result<u32> {
    match u32::from_str_radix(value, 8) {
        Ok(bits) if bits <= 0o7777 => Ok(bits),
        _ => bail!("{name}={value} is not an octal mode such as 0644"),
    }
}

/// As mount.cifs reads `vers=`.
fn dialects(value: &str) -> Result<(Dialect, Dialect)> {
    use Dialect::{Smb202, Smb210, Smb300, Smb302, Smb311};
    Ok(match value {
        "default" => (Smb202, Smb311),
        "3" => (Smb300, Smb311),
        "2.0" | "2.0.2" => (Smb202, Smb202),
        "2.1" => (Smb210, Smb210),
        "3.0" | "3.0.0" => (Smb300, Smb300),
        "3.02" | "3.0.2" => (Smb302, Smb302),
        "3.1.1" | "3.11" => (Smb311, Smb311),
        "1.0" | "1" => bail!("vers={value}: SMB 1 is insecure and not supported"),
        _ => bail!("vers={value} is unknown: use 2.0, 2.1, 3.0, 3.0.2, 3.1.1, 3 or default"),
    })
}

fn unknown(name: &str) -> String {
    let names = SPECS.iter().flat_map(|spec| spec.aliases.iter().copied().chain([spec.name]));
    let near = |candidate: &&str| strsim::jaro_winkler(candidate, name) > 0.8;
    let nearest = names
        .filter(near)
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    match nearest {
        Some(nearest) => format!("unknown option {name:?}: did you mean {nearest:?}?"),
        None => format!("unknown option {name:?}: see sharefs mount --help"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(list: &str) -> Result<RawOptions> {
        let mut options = RawOptions::default();
        options.apply_list(list).map(|()| options)
    }

    #[test]
    fn mount_cifs_names_are_understood() {
        let o =
            options("user=bob,pass=x=y,dom=D,vers=3.0,seal,nosign,port=4450,ip=::1,uid=5,file_mode=0640,ro")
                .unwrap();
        assert_eq!(o.username.as_deref(), Some("bob"));
        assert_eq!(o.password.unwrap().expose(), "x=y");
        assert_eq!(o.dialects, Some((Dialect::Smb300, Dialect::Smb300)));
        assert_eq!((o.seal, o.sign, o.port), (true, Some(false), Some(4450)));
        assert_eq!((o.mount.uid, o.mount.file_mode, o.mount.read_only), (Some(5), Some(0o640), true));
    }

    #[test]
    fn generic_options_are_accepted_and_typos_named() {
        options("_netdev,nofail, noauto ,x-systemd.automount,x-gvfs-show=1,user,serverino,cache=strict,")
            .unwrap();
        assert!(!options("foo").unwrap_err().to_string().contains("did you mean"));
        let error = options("usrname=x").unwrap_err().to_string();
        assert!(error.contains("\"username\""), "{error}");
        assert!(options("port=seventy").is_err());
        assert!(options("seal=yes").is_err());
        assert!(options("username").is_err());
        assert!(options("vers=1.0").unwrap_err().to_string().contains("SMB 1"));
    }

    #[test]
    fn attribute_times_are_set_together_or_apart() {
        let ttls = |list: &str| {
            let mount = options(list).unwrap().mount;
            (mount.attr_ttl.map(|ttl| ttl.as_secs()), mount.dir_attr_ttl.map(|ttl| ttl.as_secs()))
        };
        assert_eq!(ttls("actimeo=5"), (Some(5), Some(5)));
        assert_eq!(ttls("actimeo=5,acdirmax=7"), (Some(5), Some(7)));
        assert_eq!(ttls("acregmax=3,acdirmax=0"), (Some(3), Some(0)));
        assert_eq!(ttls("acregmax=3"), (Some(3), None));
    }

    #[test]
    fn owners_may_be_named_and_what_would_be_missed_is_refused() {
        assert_eq!(options("uid=7").unwrap().mount.uid, Some(7));
        #[cfg(unix)]
        assert_eq!(options("uid=root,gid=root").unwrap().mount.gid, Some(0));
        assert!(options("uid=no-such-user").unwrap_err().to_string().contains("neither"));
        for (name, _) in REFUSED {
            assert!(options(name).unwrap_err().to_string().contains("not supported"), "{name}");
        }
        for name in GENERIC.iter().chain(WITHOUT_EFFECT) {
            options(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let mut sloppy = RawOptions { sloppy: true, ..RawOptions::default() };
        sloppy.apply_list("nonsense=1,seal").unwrap();
        assert!(sloppy.seal);
    }

    #[test]
    fn sizes_have_units() {
        let size = |text: &str| options(&format!("cache-size={text}")).map(|o| o.mount.cache_size.unwrap());
        assert_eq!(
            (size("64M").unwrap(), size("1g").unwrap(), size("2097152").unwrap()),
            (64 << 20, 1 << 30, 2 << 20)
        );
        for wrong in ["", "M", "12", "1T", "99999999999G", "1K", "-1M"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(options("cache=sometimes").unwrap_err().to_string().contains("strict"));
    }

    #[test]
    fn no_error_repeats_a_password() {
        for list in ["bogus=1,password=hunter2", "password=hun,ter2", "password=hunter2,bogus=1"] {
            let error = options(list).unwrap_err().to_string();
            assert!(!error.contains("hunter2") && !error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn each_name_has_an_effect() {
        for spec in SPECS {
            let value = spec.value.map(|_| match spec.name {
                "vers" => "3.1.1",
                "sec" => "ntlmssp",
                "ip" => "127.0.0.1",
                "cache" => "strict",
                "cache-size" => "64M",
                "symlinks" => "contain",
                "snapshot" => "@GMT-2026.01.02-03.04.05",
                _ => "7",
            });
            RawOptions::default().apply(spec, value).unwrap_or_else(|e| panic!("{}: {e}", spec.name));
        }
    }
}
