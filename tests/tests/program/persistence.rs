//! Mounts that come back.

use std::fs;
use std::path::Path;
use std::thread;

use serde_json::Value;
use sharefs_tests::{Samba, User, find_program, sharefs_binary, wait_until};

use crate::home::{Home, output_of, said, share};

const AUTOSTART: &str = ".config/autostart/sharefs-mounts.desktop";
const UNIT: &str = ".config/systemd/user/sharefs-mounts.service";

/// What brings the mounts back on this machine: systemd's unit, or else the desktop's entry.
fn starter(home: &Home) -> Option<String> {
    let systemd = Path::new("/run/systemd/system").is_dir();
    fs::read_to_string(home.path(if systemd { UNIT } else { AUTOSTART })).ok()
}

fn persist(home: &Home, samba: &Samba, name: &str, dir: &str) -> String {
    home.folder(dir);
    let port = samba.port().to_string();
    let source = share(samba, name);
    let arguments =
        ["mount", &source, dir, "--persist", "--username", "tester", "--port", &port, "--password-stdin"];
    let output = home.tell(&arguments, samba.password());
    assert!(output.status.success(), "{}", said(&output));
    said(&output)
}

fn listed(home: &Home, dir: &str) -> Value {
    let list = home.json(&["list", "--json"]);
    let dir = home.path(dir);
    let rows = list.as_array().expect("a list");
    rows.iter().find(|row| row["dir"] == *dir.to_str().expect("a plain path")).cloned().unwrap_or_default()
}

fn serving_process(home: &Home) -> String {
    home.json(&["status", "--json"])[0]["pid"].to_string()
}

fn kill(home: &Home, pid: &str) {
    home.shell(&format!("kill -9 {pid}"));
    wait_until("the process has ended", || listed(home, "mnt")["state"] == "Failed");
}

#[test]
fn s130_a_remembered_mount_comes_back_and_is_forgotten() {
    let samba = Samba::start();
    let home = Home::new();
    let said = persist(&home, &samba, "data", "mnt");
    assert!(said.contains("saved the password"), "{said}");
    let row = listed(&home, "mnt");
    assert_eq!((row["state"].as_str(), row["remembered"].as_bool()), (Some("OK"), Some(true)), "{row}");
    let text = starter(&home).expect("something that mounts it again");
    assert!(text.contains("mount --all --wait"), "{text}");
    if !Path::new("/run/systemd/system").is_dir() {
        assert!(said.contains("@reboot") && said.contains("crontab"), "{said}");
    }
    home.shell("echo x > mnt/file");
    home.succeeds(&["umount", "mnt"]);
    let row = listed(&home, "mnt");
    assert_eq!(row["state"], "Disconnected", "{row}");
    for _ in 0..2 {
        home.succeeds(&["mount", "--all"]);
        home.shell("grep -q x mnt/file");
    }
    assert_eq!(home.mounts().len(), 1);
    home.succeeds(&["umount", "--all"]);
    assert!(home.mounts().is_empty());
    // By its folder alone, as with fstab.
    home.succeeds(&["mount", "mnt"]);
    let people = home.succeeds(&["list"]);
    assert!(people.contains("OK") && people.contains("remembered"), "{people}");
    home.succeeds(&["forget", "mnt"]);
    assert_eq!(listed(&home, "mnt")["remembered"], false);
    assert_eq!(starter(&home), None);
    home.succeeds(&["umount", "mnt"]);
    assert!(home.succeeds(&["list"]).contains("Nothing"));
    assert!(home.fails(&["forget", "mnt"]).contains("not remembered"));
    assert!(home.fails(&["mount", "mnt"]).contains("no mount is remembered"));
}

#[test]
fn s131_what_is_dead_is_mounted_again_and_what_is_well_is_left_alone() {
    let samba = Samba::start();
    let home = Home::new();
    persist(&home, &samba, "data", "mnt");
    let port = samba.port().to_string();
    let source = share(&samba, "data");
    let ensure = ["mount", &source, "mnt", "--ensure", "--port", &port];
    let first = serving_process(&home);
    home.succeeds(&ensure);
    assert_eq!(serving_process(&home), first);
    kill(&home, &first);
    home.succeeds(&ensure);
    home.shell("echo x > mnt/file");
    let second = serving_process(&home);
    assert_ne!(second, first);
    kill(&home, &second);
    home.succeeds(&["mount", "--all"]);
    home.shell("grep -q x mnt/file");
    let other = home.fails(&["mount", &share(&samba, "readonly"), "mnt", "--ensure", "--port", &port]);
    assert!(other.contains("not //"), "{other}");
}

#[test]
fn many_that_ensure_make_one_mount() {
    let samba = Samba::start();
    let home = Home::new();
    home.save(&samba);
    home.folder("mnt");
    let (port, source) = (samba.port().to_string(), share(&samba, "data"));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| home.succeeds(&["mount", &source, "mnt", "--ensure", "--port", &port]));
        }
    });
    assert_eq!(home.mounts().len(), 1);
    home.shell("ls mnt");
}

#[test]
fn one_server_that_is_away_does_not_keep_the_others_from_coming_back() {
    let (here, mut away) = (Samba::start(), Samba::start());
    let home = Home::new();
    persist(&home, &here, "data", "mnt");
    persist(&home, &away, "data", "mnt2");
    home.succeeds(&["umount", "--all"]);
    away.terminate();
    let output = home.run(&["mount", "--all"]);
    assert_eq!(output.status.code(), Some(64), "{}", said(&output));
    assert!(said(&output).contains("mnt2"), "{}", said(&output));
    home.shell("ls mnt");
    let row = listed(&home, "mnt2");
    let reason = row["reason"].as_str().expect("a reason");
    assert!(row["state"] == "Failed" && reason.contains(&away.address().to_string()), "{row}");
    home.succeeds(&["umount", "mnt"]);
    here_is_only_the_other(&home, &mut away);
}

/// Waiting for it brings it back as soon as it is there.
fn here_is_only_the_other(home: &Home, away: &mut Samba) {
    thread::scope(|scope| {
        let all = scope.spawn(|| home.run(&["mount", "--all", "--wait", "60"]));
        wait_until("the server that is here is mounted", || home.mounts().len() == 1);
        away.restart();
        let output = all.join().expect("it ends");
        assert!(output.status.success(), "{}", said(&output));
    });
    assert_eq!(home.mounts().len(), 2);
    assert_eq!(listed(home, "mnt2")["state"], "OK");
}

#[test]
fn s132_a_changed_password_is_told_and_mended_by_saving_the_new_one() {
    let samba = Samba::start();
    let home = Home::new();
    persist(&home, &samba, "data", "mnt");
    home.succeeds(&["umount", "mnt"]);
    let place = format!("{}/data", samba.address());
    let add = ["cred", "add", &place, "--user", "tester", "--no-test", "--password-stdin"];
    assert!(home.tell(&add, "yesterday's\n").status.success());
    let output = home.run(&["mount", "--all"]);
    assert_eq!(output.status.code(), Some(32), "{}", said(&output));
    let row = listed(&home, "mnt");
    assert!(row["state"] == "Failed" && row["reason"].to_string().contains("password"), "{row}");
    assert!(home.add(&samba, &place, "tester", samba.password()).status.success());
    home.succeeds(&["mount", "--all"]);
    assert_eq!(listed(&home, "mnt")["state"], "OK");
}

#[test]
fn a_mount_that_failed_is_not_remembered() {
    let samba = Samba::start();
    let home = Home::new();
    home.folder("mnt");
    let port = samba.port().to_string();
    let source = share(&samba, "data");
    let mount = ["mount", &source, "mnt", "--persist", "--username", "tester", "--port", &port];
    let output = home.tell(&[&mount[..], &["--password-stdin"]].concat(), "wrong");
    assert_eq!(output.status.code(), Some(32), "{}", said(&output));
    assert!(home.succeeds(&["list"]).contains("Nothing"));
    assert!(home.succeeds(&["cred", "list"]).contains("Nothing"));
}

/// cron and services have hardly an environment.
#[test]
fn a_bare_environment_is_enough() {
    let samba = Samba::start();
    let home = Home::new();
    persist(&home, &samba, "data", "mnt");
    home.succeeds(&["umount", "mnt"]);
    let bare = |arguments: &[&str]| {
        let mut command = home.sharefs(arguments);
        let path = home.path("");
        command.env_clear().env("HOME", &path);
        let output = output_of(command, "");
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    bare(&["mount", "--all"]);
    home.shell("echo x > mnt/file");
    assert!(bare(&["list"]).contains("OK"));
    bare(&["umount", "--all"]);
}

/// In a namespace where systemd seems to run: this machine's may not.
#[test]
fn systemd_gets_a_unit_that_it_understands() {
    let samba = Samba::start();
    assert!(User::root().is_root());
    let home = Home::new();
    let mnt = home.folder("mnt");
    let secret = home.file("secret", &format!("{}\n", samba.password()));
    let script = format!(
        "mkdir -p /run/systemd
         mount -t tmpfs tmpfs /run/systemd
         mkdir /run/systemd/system
         as_user() {{ setpriv --reuid={uid} --regid={gid} --clear-groups --inh-caps=-all \"$@\"; }}
         trap 'as_user {sharefs} umount mnt' EXIT
         as_user {sharefs} mount {source} mnt --persist --username tester --port {port} --password-stdin < {secret}
         systemd-analyze verify --user $HOME/{UNIT}
         cat $HOME/.config/systemd/user/default.target.wants/sharefs-mounts.service
         as_user {sharefs} forget mnt
         test ! -e $HOME/{UNIT} -a ! -L $HOME/.config/systemd/user/default.target.wants/sharefs-mounts.service",
        uid = home.user.uid,
        gid = home.user.gid,
        sharefs = sharefs_binary().display(),
        source = share(&samba, "data"),
        port = samba.port(),
        secret = secret.display(),
    );
    let mut command = User::root().command(find_program("unshare", "util-linux"), &home.path(""));
    command.args(["--mount", "bash", "-eu", "-c", &script]);
    let output = output_of(command, "");
    let text = said(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("WantedBy=default.target") && text.contains("enable-linger"), "{text}");
    assert!(!home.is_mounted(&mnt));
}
