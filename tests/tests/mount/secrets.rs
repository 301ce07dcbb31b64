//! Passwords are seen by nobody.

use std::fs;

use sharefs_tests::{Mount, Samba};

/// Whether any process of the machine shows the text in its arguments or, as far as one may look, its environment.
fn shown_by_a_process(secret: &str) -> Vec<String> {
    let mut shown = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        for name in ["cmdline", "environ"] {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                shown.push(format!("{}/{name}: {}", entry.path().display(), String::from_utf8_lossy(&bytes)));
            }
        }
    }
    shown
}

/// A password that no other test's process has in its arguments.
fn server(password: &str) -> Samba {
    Samba::builder().user("tester", password).start()
}

#[test]
fn the_password_is_in_no_process_list() {
    let password = "credentials-f1le-s3cret";
    let samba = server(password);
    let mount = Mount::new(&samba).start();
    assert_eq!(shown_by_a_process(password), Vec::<String>::new());
    mount.shell("echo x > mnt/file");
    let files =
        mount.shell("find . -name mnt -prune -o -type f -print0 | xargs -0 grep -l f1le-s3cret || true");
    assert_eq!(files, "./credentials\n", "the password was written to a file");
}

/// In the options it works, is removed from the process list, and is warned about.
#[test]
fn a_password_in_the_options_is_hidden_and_warned_about() {
    let password = "opti0n-s3cret";
    let samba = server(password);
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let options = format!("port={},username=tester,domain=LAB,password={password}", samba.port());
    let output = mount.mount_again(&options);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("password") && !said.contains(password), "a warning without the password: {said}");
    mount.shell("ls mnt");
    assert_eq!(shown_by_a_process(password), Vec::<String>::new());
}

#[test]
fn the_password_comes_by_environment_file_or_standard_input() {
    use std::io::Write;
    use std::process::Stdio;
    let password = "other-s3cret";
    let samba = server(password);
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let command = |extra: &[&str]| {
        let mut command = mount.command(sharefs_tests::sharefs_binary());
        command.args(["mount", mount.source()]).arg(mount.path());
        command.args(["-o", &format!("port={},domain=LAB", samba.port())]).args(extra);
        command.env("USER", "tester");
        command
    };
    let works = |output: std::process::Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        mount.shell("ls mnt");
        assert_eq!(shown_by_a_process(password), Vec::<String>::new());
        assert!(mount.umount().status.success());
    };
    // The environment is the user's own to see; the serving process must not hand it on.
    works(command(&[]).env("PASSWD", password).output().expect("sharefs starts"));
    let file = mount.home().join("secret");
    fs::write(&file, format!("{password}\n")).expect("the file");
    mount.user().own(&file);
    works(command(&[]).env("PASSWD_FILE", &file).output().expect("sharefs starts"));
    let mut child = command(&["--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sharefs starts");
    writeln!(child.stdin.take().expect("a pipe"), "{password}").expect("the password is read");
    works(child.wait_with_output().expect("sharefs ends"));
}

/// Not even the most talkative log tells it.
#[test]
fn no_log_has_the_password() {
    let password = "l0gged-s3cret";
    let samba = server(password);
    let mount = Mount::new(&samba).start();
    assert!(mount.umount().status.success());
    let output = mount
        .command(sharefs_tests::sharefs_binary())
        .args(["-vv", "mount", mount.source()])
        .arg(mount.path())
        .args(["-o", &format!("port={},credentials={}", samba.port(), mount.credentials().display())])
        .env("SHAREFS_LOG", "trace")
        .output()
        .expect("sharefs starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    mount.shell("ls mnt");
    assert!(!said.contains(password), "{said}");
    let files = mount.shell("grep -rl l0gged-s3cret --exclude-dir=mnt . || true");
    assert_eq!(files, "./credentials\n");
}
