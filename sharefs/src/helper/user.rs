//! `setuid=USER` in fstab: a mount that root makes as somebody else.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use super::Call;
use crate::codes;

const OPTION: &str = "setuid=";
/// Knows the users of all sources that there are; at boot there may be no PATH.
const GETENT: [&str; 2] = ["/usr/bin/getent", "/bin/getent"];

/// Takes the option out of the lists; whom it names.
pub(super) fn take(lists: &mut [String]) -> Option<String> {
    let mut user = None;
    for list in lists {
        let (own, others): (Vec<&str>, Vec<&str>) =
            list.split(',').partition(|item| item.trim().starts_with(OPTION));
        user = own.last().and_then(|item| item.trim().strip_prefix(OPTION)).map(str::to_owned).or(user);
        *list = others.join(",");
    }
    user
}

/// Who a user is.
#[derive(Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
    home: String,
}

/// Has another process mount as that user, with that user's home, credentials and nothing of root's.
///
/// # Errors
/// There is no such user; or this is not root, and not that user.
pub(super) fn mount_as(name: &str, call: &Call) -> Result<ExitCode> {
    let user = look_up(name)?;
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let mut command = Command::new(program);
    command.arg0("mount.sharefs").args(&call.places).args(call.sloppy.then_some("-s"));
    let options = call.lists.iter().filter(|list| !list.is_empty());
    command.args(options.flat_map(|list| ["-o", list]));
    command.env("HOME", &user.home).env_remove("XDG_RUNTIME_DIR").current_dir("/");
    for name in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"] {
        command.env_remove(name);
    }
    if rustix::process::geteuid().is_root() {
        command.uid(user.uid).gid(user.gid);
    } else if rustix::process::geteuid().as_raw() != user.uid {
        bail!("only root mounts as another user: setuid={name}");
    }
    let status = command.status().context("cannot start the process that mounts")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

fn look_up(name: &str) -> Result<User> {
    let getent = GETENT.iter().find(|path| Path::new(path).exists()).context("getent is missing")?;
    let output = Command::new(getent).args(["passwd", name]).output().context("cannot start getent")?;
    let line = String::from_utf8_lossy(&output.stdout);
    parse(line.trim()).ok_or_else(|| codes::UNKNOWN_USER.says(format!("there is no user {name}")))
}

/// A line of passwd(5).
fn parse(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    Some(User { uid: number(2)?, gid: number(3)?, home: (*fields.get(5)?).to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_is_taken_from_among_the_options() {
        let mut lists = ["rw,setuid=alice,_netdev".to_owned(), "port=1".into()];
        assert_eq!(take(&mut lists).as_deref(), Some("alice"));
        assert_eq!(lists, ["rw,_netdev", "port=1"]);
        assert_eq!(take(&mut lists), None);
        let alice = User { uid: 1000, gid: 100, home: "/home/alice".into() };
        assert_eq!(parse("alice:x:1000:100:Alice:/home/alice:/bin/sh"), Some(alice));
        assert_eq!(parse(""), None);
    }
}
