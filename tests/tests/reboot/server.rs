//! The server in the machine, and what all scripts begin with.

use sharefs_tests::{End, Machine};

/// What every script of these tests can use.
const COMMON: &str = r#"
account=acct.file.core.windows.net
folder=/home/alice/share
# As keys of storage accounts look: 64 bytes in base64.
key=$(printf 'key of the account %045d' 1 | base64 -w 0)
newer=$(printf 'key of the account %045d' 2 | base64 -w 0)

# Alice, in a session of hers.
session() { su --login alice --command "$1"; }
# Alice, without any: neither PAM nor systemd learn of it.
alice() { setpriv --reuid alice --regid alice --clear-groups env HOME=/home/alice LC_ALL=C.UTF-8 "$@"; }
lists() { alice sharefs list | grep "$1"; }
password() { printf '%s\n%s\n' "$1" "$1" | smbpasswd -s ${2:-} acct; }
# What never comes has the journal shown.
until_it() {
    { local times=0; set +x; } 2>/dev/null
    until "$@"; do
        sleep 0.1
        times=$((times + 1))
        [ $times -lt 400 ] || { echo "in vain: $*"; exit 1; }
    done
    set -x
}
# An exclamation mark would not end the script.
not() { if "$@"; then return 1; fi; }
# Not by looking into it: what alice mounts is not for root.
mounted() { findmnt --noheadings --types fuse.sharefs --mountpoint "$1" >/dev/null; }
"#;

/// What makes the machine one with a server and an ordinary user.
const PREPARE: &str = r#"
useradd --create-home --shell /bin/bash alice
useradd --no-create-home acct
mkdir /srv/data /home/alice/share /mnt/auto /mnt/plain
chown acct: /srv/data
chown alice: /home/alice/share
echo "127.0.0.1 $account" >>/etc/hosts
cat >/etc/samba/smb.conf <<CONF
[global]
    interfaces = 127.0.0.1
    bind interfaces only = yes
    server role = standalone server
    load printers = no
[data]
    path = /srv/data
    read only = no
CONF
password "$key" -a
# It says that it is ready a moment before it listens.
mkdir /etc/systemd/system/smbd.service.d
cat >/etc/systemd/system/smbd.service.d/listens.conf <<CONF
[Service]
ExecStartPost=/bin/bash -c 'until true </dev/tcp/127.0.0.1/445; do sleep 0.05; done'
CONF
systemctl daemon-reload
systemctl restart smbd
echo hello >/srv/data/file
"#;

/// A machine with a server and the user alice, up to what the script does when it first boots.
pub(crate) fn machine(script: &str, end: End) -> Machine {
    let machine = Machine::new();
    boot(&machine, &format!("{PREPARE}\n{script}"), end);
    machine
}

/// Boots it for a script.
pub(crate) fn boot(machine: &Machine, script: &str, end: End) {
    machine.boot(&format!("{COMMON}\n{script}"), end);
}
