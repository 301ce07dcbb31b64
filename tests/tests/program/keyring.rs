//! Passwords in the desktop's keyring: gnome-keyring's, on a bus of its own.

use std::process::Output;

use sharefs_tests::{Samba, find_program, sharefs_binary};

use crate::home::{Home, output_of, place, said, share};

/// What the user does while logged in to a desktop. The keyring ends with its bus.
fn session(home: &Home, script: &str) -> Output {
    let keyring = find_program("gnome-keyring-daemon", "gnome-keyring");
    let mut command = home.command(find_program("dbus-run-session", "dbus-daemon"));
    let script = format!(
        "printf 'the login password' | {} --unlock --components=secrets > /dev/null\n{script}",
        keyring.display()
    );
    command.args(["--", "bash", "-eu", "-c", &script]).env("SHAREFS", sharefs_binary());
    output_of(command, "")
}

fn succeeds(home: &Home, script: &str) -> String {
    let output = session(home, script);
    assert!(output.status.success(), "{script}: {}", said(&output));
    said(&output)
}

#[test]
fn a_password_in_the_keyring_serves_while_its_user_is_logged_in() {
    let password = "k3yring-s3cret";
    let samba = Samba::builder().user("tester", password).start();
    let home = Home::new();
    home.folder("mnt");
    home.file("password", &format!("{password}\nanother\n"));
    let (place, source, port) = (place(&samba), share(&samba, "data"), samba.port());
    let saved = succeeds(
        &home,
        &format!(
            "$SHAREFS cred add {place} --user tester --port {port} --keyring --two --key-file password
             rm password
             $SHAREFS ls {source} --port {port}
             $SHAREFS cred list"
        ),
    );
    assert!(saved.contains("two, in the keyring"), "{saved}");
    home.shell(&format!("if grep -rq {password} .; then exit 1; fi"));
    // At the next login it is there, and a mount has it.
    let later = succeeds(
        &home,
        &format!(
            "$SHAREFS mount {source} mnt --port {port}
             $SHAREFS -v status
             $SHAREFS umount mnt
             $SHAREFS cred test {place} --port {port}"
        ),
    );
    assert!(later.matches("in the desktop's keyring").count() == 2, "{later}");
    // Without a login it is not, and that is said.
    let said = home.fails(&["ls", &source, "--port", &port.to_string()]);
    assert!(said.contains("keyring"), "{said}");
    let removed = succeeds(
        &home,
        &format!(
            "$SHAREFS cred remove {place}
             if {} search application sharefs 2>&1 | grep attribute; then exit 1; fi",
            find_program("secret-tool", "libsecret-tools").display()
        ),
    );
    assert!(removed.contains("removed"), "{removed}");
    assert!(home.succeeds(&["cred", "list"]).contains("Nothing"));
}
