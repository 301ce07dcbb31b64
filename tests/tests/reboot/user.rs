//! An ordinary user's mounts.

use sharefs_tests::End;

use crate::server::{boot, machine};

/// The user has the key and mounts for ever.
const PERSIST: &str = r#"
session "printf %s '$key' | sharefs cred add $account --user 'AZURE\\acct' --password-stdin"
session "sharefs mount //$account/data $folder --persist" |& tee /tmp/hints
# It says what root must run, and root does.
$(sed -n 's/.*root must run: //p' /tmp/hints)
session "cat $folder/file"
"#;

/// Nobody has logged in, and it is there.
const IS_BACK: &str = r#"
until_it mounted "$folder"
test -z "$(loginctl list-sessions --no-legend)"
test "$(alice cat "$folder/file")" = hello
until_it systemctl --quiet is-active user@1000.service
until_it lists ^OK
"#;

#[test]
fn s140_a_users_mount_comes_back_without_a_login_after_a_reboot_and_a_power_cut() {
    let machine = machine(PERSIST, End::Reboot);
    boot(&machine, IS_BACK, End::PowerCut);
    boot(&machine, IS_BACK, End::Reboot);
}

/// The server is away when the machine boots, and comes a little later.
const SERVER_LATER: &str = r#"
until_it lists ^Failed
systemctl start smbd
"#;

#[test]
fn s140_a_server_that_comes_later_is_waited_for() {
    let machine = machine(&format!("{PERSIST}systemctl disable --now smbd"), End::PowerCut);
    boot(&machine, &format!("{SERVER_LATER}{IS_BACK}"), End::PowerCut);
}

/// The account has another key since the last boot.
const NEW_KEY: &str = r#"
password "$newer"
"#;
/// Nothing is mounted, and who asks is told why. The right key mends it without another boot.
const IS_REFUSED: &str = r#"
until_it lists 'the password one of its keys'
lists ^Failed
not mounted "$folder"
printf %s "$newer" >/tmp/newer
session "sharefs cred add $account --user acct --password-stdin" </tmp/newer
until_it mounted "$folder"
test "$(alice cat "$folder/file")" = hello
until_it lists ^OK
"#;

#[test]
fn s142_a_key_that_was_changed_while_the_machine_was_off_is_named_and_mended() {
    let machine = machine(&format!("{PERSIST}{NEW_KEY}"), End::PowerCut);
    boot(&machine, IS_REFUSED, End::Reboot);
    boot(&machine, IS_BACK, End::PowerCut);
}

/// The key changes while it is mounted and the server starts anew: the mount is there, waits, says why, and goes on.
const WHILE_MOUNTED: &str = r#"
password "$newer"
systemctl restart smbd
until_it lists 'refused the login'
session 'sharefs list' | grep '^Failed'
process=$(session 'sharefs status --json' | sed -n 's/.*"pid": \([0-9]*\).*/\1/p')
printf %s "$newer" >/tmp/newer
session "sharefs cred add $account --user acct --password-stdin" </tmp/newer
until_it lists ^OK
test "$(alice cat "$folder/file")" = hello
test -d "/proc/$process"
"#;

#[test]
fn s142_a_key_that_is_changed_under_a_mount_is_named_and_mended_without_a_remount() {
    machine(&format!("{PERSIST}{WHILE_MOUNTED}"), End::PowerCut);
}

/// No unit and no lingering, only cron: as where there is no systemd.
const CRON: &str = r#"
session "printf %s '$key' | sharefs cred add $account --password-stdin"
session "sharefs mount //$account/data $folder --persist"
rm -r /home/alice/.config/systemd
echo '@reboot /usr/local/bin/sharefs mount --all --wait 300' | crontab -u alice -
"#;
/// A session finds what cron has made, and does not make it again.
const IS_BACK_BY_CRON: &str = r#"
until_it mounted "$folder"
not test -d /run/user/1000
until_it lists ^OK
process=$(alice sharefs status --json | grep '"pid"')
session 'sharefs list' | grep ^OK
session 'sharefs mount --all'
test "$(session 'sharefs status --json' | grep '"pid"')" = "$process"
session "sharefs umount $folder"
not mounted "$folder"
session 'sharefs list' | grep ^Disconnected
"#;

#[test]
fn s143_a_mount_that_cron_brings_back_is_known_to_a_session() {
    let machine = machine(CRON, End::Reboot);
    boot(&machine, IS_BACK_BY_CRON, End::PowerCut);
}

/// Made in a session, with the variables that it has; used without any of them, and in another session again.
const WITHOUT_SESSION: &str = r#"
lists ^OK
alice sharefs mount "$folder" --ensure
alice sharefs umount "$folder"
not mounted "$folder"
alice sharefs mount "$folder"
session 'sharefs list' | grep ^OK
session "sharefs umount $folder"
not mounted "$folder"
"#;

#[test]
fn s143_a_mount_is_known_within_a_session_and_without_one() {
    machine(&format!("{PERSIST}{WITHOUT_SESSION}"), End::PowerCut);
}
