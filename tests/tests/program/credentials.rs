//! Saved credentials are found, tried, and told apart.

use sharefs_tests::Samba;

use crate::home::{Home, place, said, share};

const AZURE_HOST: &str = "acct.file.core.windows.net";

#[test]
fn a_saved_password_serves_every_command() {
    let samba = Samba::start();
    let home = Home::new();
    let said = home.save(&samba);
    assert!(said.contains("saved the password of tester"), "{said}");
    let port = samba.port().to_string();
    home.succeeds(&["ls", &share(&samba, "data"), "--port", &port]);
    let shares = home.succeeds(&["shares", &format!("//{}", samba.address()), "--port", &port]);
    assert!(shares.contains("data"), "{shares}");
    let mnt = home.folder("mnt");
    home.succeeds(&["mount", &share(&samba, "data"), "mnt", "--port", &port]);
    assert!(home.is_mounted(&mnt));
    home.shell("echo x > mnt/file");
    let status = home.succeeds(&["-v", "status"]);
    let expected =
        format!("stored for //{} in {}", samba.address(), home.path(".local/share/sharefs").display());
    assert!(status.contains(&expected), "{status}");
    let tested = home.succeeds(&["cred", "test", &place(&samba), "--port", &port]);
    assert!(tested.contains("takes tester") && tested.contains("stored for"), "{tested}");
    // Whose login name the shell knows is no matter.
    let output = home.sharefs(&["df", &share(&samba, "data"), "--port", &port]).env("USER", "alice").output();
    assert!(output.expect("sharefs runs").status.success());
}

#[test]
fn s135_a_wrong_password_replaces_nothing() {
    let samba = Samba::start();
    let home = Home::new();
    home.save(&samba);
    let output = home.add(&samba, &place(&samba), "tester", "wrong");
    assert!(!output.status.success() && said(&output).contains("nothing was saved"), "{}", said(&output));
    let port = samba.port().to_string();
    home.succeeds(&["cred", "test", &place(&samba), "--port", &port]);
    // A good one does.
    let output = home.add(&samba, &place(&samba), "TESTER", samba.password());
    assert!(said(&output).contains("replaced"), "{}", said(&output));
    assert_eq!(home.json(&["cred", "list", "--json"])["credentials"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_server_that_is_away_needs_another_word() {
    let mut samba = Samba::start();
    let home = Home::new();
    samba.terminate();
    let port = samba.port().to_string();
    let add = ["cred", "add", &place(&samba), "--user", "tester", "--port", &port, "--password-stdin"];
    let output = home.tell(&add, samba.password());
    assert!(!output.status.success() && said(&output).contains("--no-test"), "{}", said(&output));
    let output = home.tell(&[&add[..], &["--no-test"]].concat(), samba.password());
    assert!(output.status.success(), "{}", said(&output));
    samba.restart();
    home.succeeds(&["cred", "test", &place(&samba), "--port", &port]);
}

#[test]
fn several_users_of_one_server_are_told_apart() {
    let samba = Samba::start();
    let home = Home::new();
    home.save(&samba);
    let one = format!("{}/readonly", samba.address());
    let other = |place: &str, user: &str| {
        let arguments = ["cred", "add", place, "--user", user, "--no-test", "--password-stdin"];
        assert!(home.tell(&arguments, "another\n").status.success());
    };
    other(&one, "LAB\\carol");
    let shown = |arguments: &[&str]| home.succeeds(&[&["cred", "show"], arguments].concat());
    assert!(shown(&[&one]).contains("LAB\\carol"), "{}", shown(&[&one]));
    assert!(shown(&[&format!("{}/data", samba.address())]).contains("tester"));
    assert!(shown(&[&one, "--user", "tester"]).contains("tester"));
    let port = samba.port().to_string();
    // The share's own comes first, and the user decides where one is named.
    home.fails(&["ls", &share(&samba, "readonly"), "--port", &port]);
    home.succeeds(&["ls", &share(&samba, "readonly"), "--port", &port, "--username", "tester"]);
    home.succeeds(&["ls", &share(&samba, "data"), "--port", &port]);
    other(&place(&samba), "bob");
    let said = home.fails(&["ls", &share(&samba, "data"), "--port", &port]);
    assert!(said.contains("several users") && said.contains("bob") && said.contains("username="), "{said}");
    let said = home.fails(&["cred", "remove", &place(&samba)]);
    assert!(said.contains("--user"), "{said}");
    home.succeeds(&["cred", "remove", &place(&samba), "--user", "bob"]);
    home.succeeds(&["ls", &share(&samba, "data"), "--port", &port]);
    home.succeeds(&["cred", "remove", &place(&samba)]);
    assert!(home.fails(&["cred", "remove", &place(&samba)]).contains("nothing is saved"));
    home.fails(&["ls", &share(&samba, "data"), "--port", &port, "--username", "tester"]);
}

#[test]
fn what_is_given_comes_before_what_is_saved() {
    let samba = Samba::start();
    let home = Home::new();
    let arguments = ["cred", "add", &place(&samba), "--user", "tester", "--no-test", "--password-stdin"];
    assert!(home.tell(&arguments, "wrong\n").status.success());
    let good = home.file("good", &format!("username=tester\npassword={}\n", samba.password()));
    let port = samba.port().to_string();
    let test = |extra: &[&str]| {
        let place = place(&samba);
        let mut command = home.sharefs(&["-v", "cred", "test", &place, "--port", &port]);
        command.args(extra);
        command
    };
    let works = |mut command: std::process::Command, origin: &str| {
        let output = command.output().expect("sharefs runs");
        assert!(output.status.success() && said(&output).contains(origin), "{}", said(&output));
    };
    assert!(!test(&[]).output().expect("sharefs runs").status.success());
    works(test(&["-o", &format!("credentials={}", good.display())]), "read from");
    let mut command = test(&["--username", "tester"]);
    command.env("PASSWD", samba.password());
    works(command, "environment");
    let option = format!("password={}", samba.password());
    works(test(&["-o", &format!("username=tester,{option}")]), "command line");
    // Of options and file the options count.
    let bad = home.file("bad", "username=tester\npassword=wrong\n");
    works(test(&["-o", &format!("credentials={},{option}", bad.display())]), "command line");
    let output =
        crate::home::output_of(test(&["--username", "tester", "--password-stdin"]), samba.password());
    assert!(output.status.success() && said(&output).contains("standard input"), "{}", said(&output));
}

#[test]
fn the_second_of_two_passwords_serves_while_keys_are_changed() {
    let samba = Samba::start();
    let home = Home::new();
    let port = samba.port().to_string();
    let two = |first: &str, second: &str| {
        let keys = home.file("keys", &format!("{first}\n{second}\n"));
        let arguments =
            ["cred", "add", &place(&samba), "--user", "tester", "--port", &port, "--two", "--key-file"];
        home.run(&[&arguments[..], &[keys.to_str().expect("a plain path")]].concat())
    };
    assert!(!two("wrong", "wrong too").status.success());
    let output = two("wrong", samba.password());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(home.json(&["cred", "list", "--json"])["credentials"][0]["passwords"], 2);
    home.folder("mnt");
    home.succeeds(&["mount", &share(&samba, "data"), "mnt", "--port", &port]);
    home.shell("echo x > mnt/file");
    let file =
        home.file("two", &format!("username=tester\npassword=wrong\npassword2={}\n", samba.password()));
    home.succeeds(&[
        "ls",
        &share(&samba, "data"),
        "-o",
        &format!("port={port},credentials={}", file.display()),
    ]);
    let said = home.fails(&[
        "ls",
        &share(&samba, "data"),
        "-o",
        &format!("port={port},username=tester,password=a,password2=b"),
    ]);
    assert!(said.contains("password"), "{said}");
}

/// The forms in which Microsoft's own pages write the user, and a key as people paste it.
#[test]
fn azures_forms_just_work() {
    let samba = Samba::builder().azure().start();
    let home = Home::new();
    let (ip, port) = (samba.address().to_string(), samba.port().to_string());
    let key = samba.password();
    let (front, back) = key.split_at(44);
    for (user, pasted) in [
        ("AZURE\\acct", format!("{key}\n")),
        ("localhost\\acct", format!("  \"{key}\"  \n")),
        ("acct", format!("'{front} {back}'\r\n")),
    ] {
        let place = format!("{AZURE_HOST}/data");
        let add = ["cred", "add", &place, "--user", user, "--ip", &ip, "--port", &port, "--password-stdin"];
        let output = home.tell(&add, &pasted);
        assert!(output.status.success(), "{user}: {}", said(&output));
        home.succeeds(&["ls", &format!("//{AZURE_HOST}/data"), "--ip", &ip, "--port", &port]);
    }
    // To Azure the three are one user, and without any the account is the host's first name.
    assert_eq!(home.json(&["cred", "list", "--json"])["credentials"].as_array().map(Vec::len), Some(1));
    home.succeeds(&["cred", "remove", &format!("{AZURE_HOST}/data")]);
    let keys = home.file("key", key);
    let keys = keys.to_str().expect("a plain path");
    home.succeeds(&["cred", "add", AZURE_HOST, "--ip", &ip, "--port", &port, "--key-file", keys]);
    home.succeeds(&["ls", &format!("//{AZURE_HOST}/data"), "--ip", &ip, "--port", &port]);
    for (pasted, word) in [
        ("?sv=2022-11-02&ss=f&srt=sco&sp=rl&sig=s3cret%3D", "SAS token"),
        (
            "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=s3cret==;EndpointSuffix=x",
            "cred import",
        ),
    ] {
        let output = home.tell(&["cred", "add", AZURE_HOST, "--password-stdin"], pasted);
        assert!(!output.status.success() && said(&output).contains(word), "{}", said(&output));
        assert!(!said(&output).contains("s3cret"), "{}", said(&output));
    }
}

#[test]
fn three_forms_are_imported() {
    let samba = Samba::builder().azure().start();
    let home = Home::new();
    let (ip, port) = (samba.address().to_string(), samba.port().to_string());
    let to = ["--ip", &ip, "--port", &port];
    let key = samba.password();
    let string = format!(
        "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey={key};EndpointSuffix=core.windows.net\n"
    );
    let output = home.tell(&[&["cred", "import", "-"], &to[..]].concat(), &string);
    assert!(output.status.success(), "{}", said(&output));
    home.succeeds(&[&["cred", "test", AZURE_HOST], &to[..]].concat());
    home.succeeds(&["cred", "remove", AZURE_HOST]);
    let fstab = home.file(
        "fstab",
        &format!("/dev/sda1 / ext4 defaults 0 1\n//{AZURE_HOST}/data /mnt cifs vers=3.0,username=AZURE\\acct,password={key},dir_mode=0777,_netdev 0 0\n"),
    );
    home.succeeds(&[&["cred", "import", fstab.to_str().expect("a plain path")], &to[..]].concat());
    home.succeeds(&[&["cred", "test", &format!("{AZURE_HOST}/data")], &to[..]].concat());
    home.succeeds(&["cred", "remove", &format!("{AZURE_HOST}/data")]);
    let file = home.file("credentials", &format!("username=acct\npassword={key}\ndomain=AZURE\n"));
    let file = file.to_str().expect("a plain path");
    assert!(home.fails(&["cred", "import", file]).contains("HOST"));
    home.succeeds(&[&["cred", "import", file, AZURE_HOST], &to[..]].concat());
    home.succeeds(&[&["cred", "test", AZURE_HOST], &to[..]].concat());
    // A wrong one is noticed here too.
    let file = home.file("wrong", "username=acct\npassword=wrong\n");
    let said = home
        .fails(&[&["cred", "import", file.to_str().expect("a plain path"), AZURE_HOST], &to[..]].concat());
    assert!(said.contains("nothing was saved"), "{said}");
}
