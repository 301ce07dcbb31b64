//! Mounting and unmounting, also where that cannot be.

use std::process::Output;

use sharefs_tests::{Mount, Samba, wait_until};

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The options of a mount that were not part of its first attempt.
fn options(samba: &Samba, mount: &Mount) -> String {
    format!("port={},credentials={}", samba.port(), mount.credentials().display())
}

#[test]
fn mount_is_usable_when_the_command_returns() {
    let samba = Samba::start();
    for _ in 0..5 {
        let mount = Mount::new(&samba).start();
        mount.shell("echo x > mnt/file; test $(cat mnt/file) = x; rm mnt/file");
        let output = mount.umount();
        assert!(output.status.success() && !mount.is_mounted(), "{}", said(&output));
    }
}

#[test]
fn unmounting_under_use_is_refused_and_harms_nothing() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    mount.shell("echo x > mnt/file");
    // A shell as the user opens the file on the mount; root could not.
    let mut holder = mount
        .command("bash")
        .args(["-c", "exec 3< mnt/file; echo open > ready; exec sleep 1000"])
        .spawn()
        .expect("bash starts");
    wait_until("the file is open", || mount.home().join("ready").exists());
    let output = mount.umount();
    assert!(!output.status.success(), "the mount is in use");
    assert!(said(&output).contains(&format!("is in use by sleep ({})", holder.id())), "{}", said(&output));
    assert!(mount.is_mounted());
    mount.shell("test $(cat mnt/file) = x; echo y > mnt/other");
    holder.kill().expect("ending the process that holds the file");
    holder.wait().expect("its end");
    wait_until("the mount can be unmounted", || mount.umount().status.success());
    assert!(!mount.is_mounted());
}

#[test]
fn unmounting_lazily_detaches_at_once() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let mut holder = mount
        .command("bash")
        .args(["-c", "exec 3> mnt/file; echo open > ready; read line; echo written >&3; exec 3>&-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("bash starts");
    wait_until("the file is open", || mount.home().join("ready").exists());
    let output = mount.sharefs(["umount".as_ref(), "-l".as_ref(), mount.path().as_os_str()]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!mount.is_mounted());
    // Who has a file open goes on with it.
    drop(holder.stdin.take());
    holder.wait().expect("its end");
    let path = samba.share_path().join("file");
    wait_until("what was written arrives", || std::fs::read_to_string(&path).is_ok_and(|t| t == "written\n"));
}

#[test]
fn mounting_twice_in_one_place_is_refused() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    mount.shell("echo x > mnt/file");
    let output = mount.mount_again(&options(&samba, &mount));
    assert!(!output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("mounted"), "{}", said(&output));
    mount.shell("test $(cat mnt/file) = x");
    assert!(mount.umount().status.success());
    assert!(!mount.is_mounted(), "there was a second mount below the first");
}

#[test]
fn one_share_in_two_places() {
    let samba = Samba::start();
    let (one, two) = (Mount::new(&samba).options(["actimeo=0"]).start(), Mount::new(&samba).start());
    two.shell("echo x > mnt/file");
    one.shell("test $(cat mnt/file) = x");
    assert!(one.umount().status.success());
    two.shell("test $(cat mnt/file) = x");
}

#[test]
fn a_missing_mount_point_is_named() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let source = mount.source().to_owned();
    let try_at = |point: &str| {
        let output = mount.sharefs(["mount", &source, point, "-o", &options(&samba, &mount)]);
        assert!(!output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(point), "{}", said(&output));
        said(&output)
    };
    assert!(try_at("nowhere").contains("does not exist"), "{}", try_at("nowhere"));
    mount.shell("echo x > file");
    try_at("file");
}

#[test]
fn unmounting_what_is_not_mounted_is_an_error() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let output = mount.umount();
    assert!(!output.status.success());
    assert!(said(&output).contains("not") && said(&output).contains("mnt"), "{}", said(&output));
}

/// mount(8)'s exit code for a mount that failed, and a reason that a person can use. Nothing is left mounted.
#[test]
fn refusals_are_told_by_exit_code_and_message() {
    let samba = Samba::start();
    for (share, extra, expected) in [
        ("data", "username=tester,password=wrong", "password"),
        ("data", "username=nosuchuser,password=wrong", "password"),
        ("nosuchshare", "", "nosuchshare"),
        ("limited", "", "limited"),
        ("data/no/such/folder", "", "no/such/folder"),
    ] {
        let builder = Mount::new(&samba).share(share);
        let (mount, output) = if extra.is_empty() {
            builder.attempt()
        } else {
            let (mount, _) = builder.attempt();
            mount.umount();
            let output = mount.mount_again(&format!("port={},{extra}", samba.port()));
            (mount, output)
        };
        let said = said(&output);
        assert_eq!(output.status.code(), Some(32), "{share} {extra}: {said}");
        assert!(said.to_lowercase().contains(expected), "{share} {extra}: {said}");
        assert!(!mount.is_mounted(), "{share} {extra}");
    }
}

#[test]
fn unreachable_servers_are_named() {
    let mut samba = Samba::start();
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    samba.kill_hard();
    let output = mount.mount_again(&options(&samba, &mount));
    assert_eq!(output.status.code(), Some(32));
    assert!(said(&output).contains(&samba.address().to_string()), "{}", said(&output));
    assert!(!mount.is_mounted());
}

#[test]
fn guests_mount_only_where_they_ask_for_it() {
    let samba = Samba::builder().guest().start();
    let (mount, output) = Mount::new(&samba).share("open").attempt();
    assert!(output.status.success(), "{}", said(&output));
    mount.umount();
    let port = format!("port={}", samba.port());
    let output = mount.mount_again(&format!("{port},username=nosuchuser,password=x"));
    assert_eq!(output.status.code(), Some(32), "{}", said(&output));
    assert!(said(&output).contains("guest"), "{}", said(&output));
    let output = mount.mount_again(&format!("{port},guest"));
    assert!(output.status.success(), "{}", said(&output));
    mount.shell("ls mnt");
}

#[test]
fn unknown_options_are_refused_with_the_nearest() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let output = mount.mount_again(&format!("{},file_mod=0644", options(&samba, &mount)));
    assert!(!output.status.success());
    assert!(said(&output).contains("file_mode"), "{}", said(&output));
    let output =
        mount.mount_again(&format!("{},_netdev,nofail,x-systemd.automount", options(&samba, &mount)));
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn the_foreground_is_kept_where_asked_for() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let mut child = mount
        .command(sharefs_tests::sharefs_binary())
        .args(["mount", "-f", mount.source()])
        .arg(mount.path())
        .args(["-o", &options(&samba, &mount)])
        .spawn()
        .expect("sharefs starts");
    wait_until("it is mounted", || mount.is_mounted());
    mount.shell("ls mnt");
    assert!(child.try_wait().expect("its state").is_none(), "it must stay");
    assert!(mount.umount().status.success());
    assert!(child.wait().expect("its end").success());
}

#[test]
fn status_tells_what_is_mounted() {
    let samba = Samba::builder().azure().start();
    let mount = Mount::new(&samba).start();
    let status = || -> serde_json::Value {
        let output = mount.sharefs(["status", "--json"]);
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(&output)))
    };
    let mounts = status();
    let record = &mounts.as_array().expect("a list")[0];
    assert_eq!(record["dir"], mount.path().to_str().expect("a plain path"));
    let text = mounts.to_string();
    for expected in [&samba.address().to_string(), "3.1.1", "AES-", "acct"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(!text.contains(samba.password()), "{text}");
    let people = mount.sharefs(["status"]);
    assert!(said(&people).contains(mount.path().to_str().expect("a plain path")), "{}", said(&people));
    assert!(mount.umount().status.success());
    wait_until("status forgets the mount", || status().as_array().is_some_and(Vec::is_empty));
}
