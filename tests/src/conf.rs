//! The files that an smbd runs on.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::process::{getgid, getuid};

use crate::samba::SambaBuilder;

/// Whom smbd works as where root starts it: a number that nobody has, because with root's own nothing would ever
/// be refused.
const SERVED_AS: u32 = 47_111;

/// The user and group that files on the share belong to.
pub(crate) fn owner() -> (u32, u32) {
    if getuid().is_root() { (SERVED_AS, SERVED_AS) } else { (getuid().as_raw(), getgid().as_raw()) }
}

/// Directories, users and smb.conf.
pub(crate) fn write(root: &Path, builder: &SambaBuilder, port: u16, interfaces: &str) {
    let (uid, gid) = owner();
    for name in ["private", "lock", "state", "cache", "run", "ncalrpc", "log", "share"] {
        let path = root.join(name);
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let share = root.join("share");
    if getuid().is_root() {
        chown(&share, Some(uid), Some(gid)).expect("chown of the share");
    }
    // Guests write as well where they are let in.
    fs::set_permissions(&share, fs::Permissions::from_mode(0o777)).expect("chmod of the share");
    // smbd does not always work as the user that started it.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("chmod of the server's directory");

    // For nss_wrapper, so that no users of the system are needed. Whoever is first with a number owns its files.
    // `other` must not have the user's number: it would be let in wherever the user is.
    let (user, other) = (&builder.user, uid + 1);
    let passwd = format!(
        "{user}:x:{uid}:{gid}::/:/bin/false\nnobody:x:{uid}:{gid}::/:/bin/false\n\
         other:x:{other}:{other}::/:/bin/false\nroot:x:0:0::/:/bin/false\n"
    );
    let group = format!("{user}:x:{gid}:\nother:x:{other}:\nroot:x:0:\n");
    fs::write(root.join("passwd"), passwd).expect("the server's passwd");
    fs::write(root.join("group"), group).expect("the server's group");
    fs::write(root.join("smb.conf"), smb_conf(root, builder, port, interfaces)).expect("smb.conf");
}

fn smb_conf(root: &Path, builder: &SambaBuilder, port: u16, interfaces: &str) -> String {
    let root = root.display();
    let mut conf = format!(
        "[global]
  server role = standalone server
  workgroup = {workgroup}
  netbios name = SHAREFSTEST
  smb ports = {port}
  interfaces = {interfaces}
  bind interfaces only = yes
  disable netbios = yes
  private dir = {root}/private
  lock directory = {root}/lock
  state directory = {root}/state
  cache directory = {root}/cache
  pid directory = {root}/run
  ncalrpc dir = {root}/ncalrpc
  passdb backend = tdbsam:{root}/private/passdb.tdb
  logging = file
  # What it says is read only when a test fails, and then it should be enough to see why.
  log level = 3
  log file = {root}/log/smbd.log
  max log size = 0
  load printers = no
  disable spoolss = yes
  printcap name = /dev/null
  usershare path =
",
        workgroup = builder.workgroup,
    );
    let options = |conf: &mut String, options: &[(String, String)]| {
        for (name, value) in options {
            let _ = writeln!(conf, "  {name} = {value}");
        }
    };
    options(&mut conf, &builder.global);
    for (name, extra) in [
        ("data", "read only = no"),
        ("readonly", "read only = yes"),
        ("limited", "read only = no\n  valid users = other"),
        ("open", "read only = no\n  guest ok = yes"),
    ] {
        let _ = writeln!(conf, "[{name}]\n  path = {root}/share\n  {extra}");
        options(&mut conf, &builder.share);
    }
    conf
}
