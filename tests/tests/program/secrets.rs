//! Whatever the program writes and shows, a saved password is not in it.

use std::fs;
use std::path::Path;

use sharefs_tests::Samba;

use crate::home::{Home, place, said, share};

/// Files below a directory, and the processes' arguments and environments, that have these bytes in them.
fn holders(home: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |path: &Path| {
        let bytes = fs::read(path).unwrap_or_default();
        if bytes.windows(secret.len()).any(|window| window == secret.as_bytes()) {
            found.push(path.display().to_string());
        }
    };
    let mut folders = vec![home.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                look(&entry.path());
            }
        }
    }
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        look(&process.path().join("cmdline"));
        look(&process.path().join("environ"));
    }
    found
}

#[test]
fn s133_a_saved_password_is_nowhere_in_clear() {
    // No other test's process has these.
    let (secret, second) = ("sAved-once-s3cret", "the-other-s3cret");
    let samba = Samba::builder().user("tester", secret).start();
    let home = Home::new();
    home.folder("mnt");
    let (port, place, source) = (samba.port().to_string(), place(&samba), share(&samba, "data"));
    let mut all = String::new();
    let mut run = |arguments: &[&str], input: &str| {
        let mut command = home.sharefs(&["-vv"]);
        command.args(arguments).env("SHAREFS_LOG", "trace");
        let output = crate::home::output_of(command, input);
        all.push_str(&said(&output));
        output.status.success()
    };
    let two = format!("{secret}\n{second}\n");
    let add = ["cred", "add", &place, "--user", "tester", "--port", &port, "--password-stdin", "--two"];
    assert!(run(&add, &two));
    assert!(run(&["cred", "list"], "") && run(&["cred", "list", "--json"], ""));
    assert!(run(&["cred", "show", &place], "") && run(&["cred", "show", &place, "--json"], ""));
    assert!(run(&["cred", "test", &place, "--port", &port], ""));
    assert!(run(&["mount", &source, "mnt", "--persist", "--port", &port], ""));
    assert!(run(&["mount", "--all"], "") && run(&["list", "--json"], "") && run(&["status", "--json"], ""));
    let serving = holders(&home.path(""), secret);
    assert!(run(&["umount", "mnt"], ""));
    // What fails says much, and not this.
    let wrong = format!("wrong-{secret}");
    assert!(!run(&["cred", "add", &place, "--user", "tester", "--port", &port, "--password-stdin"], &wrong));
    assert!(!run(&["cred", "import", "-", &place, "--port", &port], &format!("username=tester\n{secret}\n")));
    assert!(!run(&["cred", "import", "-"], &format!("AccountKey={secret}")));
    assert!(!run(
        &["cred", "add", &place, "--password-stdin", "--user", "t"],
        &format!("x;AccountKey={secret}")
    ));
    assert!(!run(
        &["mount", &source, "mnt", "--password-stdin", "--username", "nobody", "--port", &port],
        &wrong
    ));
    fs::write(home.path(".local/share/sharefs/credentials"), secret).expect("the store");
    assert!(!run(&["cred", "list"], ""));
    fs::remove_file(home.path(".local/share/sharefs/credentials")).expect("the store");
    for hidden in [secret, second] {
        assert!(!all.contains(hidden), "{all}");
        assert_eq!(holders(&home.path(""), hidden), Vec::<String>::new());
    }
    assert_eq!(serving, Vec::<String>::new());
}
