//! Lines of fstab.

use sharefs_tests::End;

use crate::server::{boot, machine};

/// Root saves the key and writes two lines. Both are tried without a reboot first, as an administrator does.
const LINES: &str = r#"
printf %s "$key" | sharefs cred add $account --user acct --password-stdin
cat >>/etc/fstab <<FSTAB
//$account/data /mnt/auto sharefs _netdev,nofail,x-systemd.automount,x-systemd.idle-timeout=60,uid=alice 0 0
//$account/data /mnt/plain sharefs _netdev,nofail,x-systemd.requires=smbd.service,uid=alice 0 0
FSTAB
sharefs fstab check
mount /mnt/plain
test "$(alice cat /mnt/plain/file)" = hello
umount /mnt/plain
"#;

/// The one is mounted by the boot, the other by who looks there first.
const ARE_BACK: &str = r#"
until_it mounted /mnt/plain
test "$(alice cat /mnt/plain/file)" = hello
findmnt --noheadings --types autofs --mountpoint /mnt/auto
not mounted /mnt/auto
test "$(alice cat /mnt/auto/file)" = hello
mounted /mnt/auto
alice sh -c 'echo from alice >/mnt/auto/made'
test "$(cat /mnt/plain/made)" = 'from alice'
rm /mnt/plain/made
systemctl is-system-running --wait
# The kernel has FUSE already, which a container cannot see everywhere.
not sh -c 'journalctl --boot --unit mnt-plain.mount --no-pager | grep modprobe'
"#;

#[test]
fn s141_lines_of_fstab_are_mounted_after_a_reboot_and_a_power_cut() {
    let machine = machine(LINES, End::Reboot);
    boot(&machine, ARE_BACK, End::PowerCut);
    boot(&machine, ARE_BACK, End::Reboot);
}

/// A line that must not fail the boot when its server is away, and its journal says why.
const AWAY: &str = r#"
printf %s "$key" | sharefs cred add $account --user acct --password-stdin
systemctl disable --now smbd
echo "//$account/data /mnt/plain sharefs _netdev,nofail 0 0" >>/etc/fstab
"#;
const IS_AWAY: &str = r#"
until_it systemctl --quiet is-failed mnt-plain.mount
until_it sh -c "journalctl --boot --unit mnt-plain.mount --no-pager | grep 'sharefs: .*connect'"
systemctl start smbd
mount /mnt/plain
test "$(alice cat /mnt/plain/file)" = hello
"#;

#[test]
fn s141_a_line_whose_server_is_away_lets_the_machine_boot() {
    let machine = machine(AWAY, End::PowerCut);
    boot(&machine, IS_AWAY, End::PowerCut);
}

/// The key was changed while the machine was off: who looks is refused, the journal says why, and the next look after it
/// was mended mounts.
const CHANGED: &str = r#"
printf %s "$key" | sharefs cred add $account --user acct --password-stdin
echo "//$account/data /mnt/auto sharefs _netdev,nofail,x-systemd.automount 0 0" >>/etc/fstab
password "$newer"
"#;
const IS_REFUSED: &str = r#"
not ls /mnt/auto
until_it sh -c "journalctl --boot --unit mnt-auto.mount --no-pager | grep 'refused the login'"
printf %s "$newer" | sharefs cred add $account --user acct --password-stdin
test "$(alice cat /mnt/auto/file)" = hello
"#;

#[test]
fn s142_a_line_whose_key_was_changed_is_mounted_once_that_is_mended() {
    let machine = machine(CHANGED, End::PowerCut);
    boot(&machine, IS_REFUSED, End::PowerCut);
}
