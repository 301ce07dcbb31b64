//! `sharefs doctor` where the share is well, and what it writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use serde_json::Value;
use sharefs_tests::{Mount, Samba};

use crate::home::{Home, said, share};

/// All groups that do not depend on what else runs on this machine.
pub(crate) const REMOTE: &str =
    "name,dns,network,negotiate,credentials,kerberos,session,matrix,share,capabilities,speed";

/// Asks the doctor about a source at a port, with the password on standard input.
pub(crate) fn examine(home: &Home, source: &str, port: u16, password: &str, more: &[&str]) -> Output {
    let port = port.to_string();
    let mut arguments = vec!["doctor", source, "--port", &port, "--password-stdin"];
    arguments.extend(more);
    home.tell(&arguments, &format!("{password}\n"))
}

/// What it says to a program, and its exit code.
pub(crate) fn report(output: &Output) -> (Value, i32) {
    let report =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(output)));
    (report, output.status.code().expect("it ends by itself"))
}

/// The first check of this name.
pub(crate) fn check<'a>(report: &'a Value, group: &str, name: &str) -> &'a Value {
    let checks = report["checks"].as_array().expect("the checks");
    let found = checks.iter().find(|check| check["group"] == group && check["check"] == name);
    found.unwrap_or_else(|| panic!("no check {group} {name}: {report:#}"))
}

#[test]
fn a_share_that_is_well_passes_each_gate() {
    let samba = Samba::start();
    let home = Home::new();
    let more = ["--username", "tester", "--json", "--filter", REMOTE];
    let output = examine(&home, &share(&samba, "data"), samba.port(), samba.password(), &more);
    let (report, code) = report(&output);
    assert_eq!((code, &report["gate"]), (0, &Value::Null), "{report:#}");
    for (group, name) in [
        ("name", "form"),
        ("dns", "addresses"),
        ("network", "tcp"),
        ("negotiate", "dialect"),
        ("negotiate", "clock"),
        ("credentials", "source"),
        ("credentials", "shape"),
        ("session", "login"),
        ("matrix", "accepted"),
        ("share", "tree"),
        ("share", "root"),
        ("share", "access"),
    ] {
        assert_eq!(check(&report, group, name)["outcome"], "passed", "{report:#}");
    }
    assert_eq!(check(&report, "negotiate", "dialect")["data"]["dialect"], "3.1.1");
    assert_eq!(check(&report, "matrix", "authentication")["data"]["ntlm"], true);
    assert_eq!(check(&report, "kerberos", "tickets")["outcome"], "skipped");
    assert_eq!(check(&report, "capabilities", "content")["outcome"], "skipped");
    let may = check(&report, "share", "access")["data"]["may"].to_string();
    assert!(may.contains("list") && may.contains("make files") && may.contains("delete"), "{may}");
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 0, "nothing is written unasked");
}

#[test]
fn the_matrix_is_what_the_server_takes() {
    // SMB 3 only, of the ciphers one, and nothing that is not encrypted.
    let samba = Samba::builder()
        .global("server min protocol", "SMB3_00")
        .global("server smb encrypt", "required")
        .global("server smb3 encryption algorithms", "AES-128-GCM")
        .start();
    let home = Home::new();
    let more = ["--username", "tester", "--json", "--filter", "matrix"];
    let output = examine(&home, &share(&samba, "data"), samba.port(), samba.password(), &more);
    let (report, code) = report(&output);
    assert_eq!(code, 0, "{report:#}");
    let ways = check(&report, "matrix", "accepted")["data"].as_array().expect("the ways").clone();
    assert_eq!(ways.len(), 21);
    for way in &ways {
        // 3.0 and 3.0.2 have CCM only.
        let taken = way["dialect"] == "3.1.1" && way["cipher"] == "AES-128-GCM";
        assert_eq!(way["accepted"], taken, "{way}");
    }
}

#[test]
fn capabilities_are_tried_and_nothing_is_left() {
    for (samba, posix) in
        [(Samba::start(), false), (Samba::builder().posix().directory_leases().start(), true)]
    {
        let home = Home::new();
        let more = ["--username", "tester", "--json", "--write-probe", "--filter", "capabilities,speed"];
        let output = examine(&home, &share(&samba, "data"), samba.port(), samba.password(), &more);
        let (report, code) = report(&output);
        assert_eq!(code, 0, "{report:#}");
        let has = |name: &str| check(&report, "capabilities", name)["data"]["has"] == true;
        for name in [
            "leases",
            "durable opens",
            "locks",
            "server copies",
            "times",
            "long names",
            "long paths",
            "sparse files",
        ] {
            assert!(has(name), "{name}: {report:#}");
        }
        for name in ["directory leases", "POSIX extensions", "case sensitive"] {
            assert_eq!(has(name), posix, "{name}: {report:#}");
        }
        for name in ["round trip", "files", "data"] {
            assert_eq!(check(&report, "speed", name)["outcome"], "passed", "{report:#}");
        }
        let left: Vec<_> = fs::read_dir(samba.share_path()).expect("the share").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn the_mount_point_and_what_is_mounted_are_looked_at() {
    let samba = Samba::start();
    let home = Home::new();
    home.folder("mnt");
    home.file("file", "");
    fs::write(home.folder("full").join("x"), "x").expect("a file");
    let source = share(&samba, "data");
    let look = |dir: &str| {
        let more = [dir, "--username", "tester", "--json", "--filter", "host"];
        let (report, _) = report(&examine(&home, &source, samba.port(), samba.password(), &more));
        let check = check(&report, "host", "mount point");
        (check["outcome"].as_str().unwrap_or_default().to_owned(), check["code"].clone(), report)
    };
    let is = |dir: &str, outcome: &str, code: Value| {
        let found = look(dir);
        assert_eq!((found.0.as_str(), &found.1), (outcome, &code), "{dir}: {:#}", found.2);
    };
    is("mnt", "passed", Value::Null);
    is("none", "failed", "mount-point-missing".into());
    is("file", "failed", "mount-point-is-a-file".into());
    is("full", "warning", "mount-point-in-use".into());
    is("/", "failed", "mount-point-not-yours".into());
    let port = samba.port().to_string();
    let mounted = home.tell(
        &["mount", &source, "mnt", "--port", &port, "--username", "tester", "--password-stdin"],
        samba.password(),
    );
    assert!(mounted.status.success(), "{}", said(&mounted));
    is("mnt", "passed", Value::Null);
    let pid = home.json(&["status", "--json"])[0]["pid"].to_string();
    home.shell(&format!("kill -9 {pid}; while [ -d /proc/{pid} ]; do sleep 0.05; done"));
    let (outcome, code, report) = look("mnt");
    assert_eq!((outcome.as_str(), code), ("warning", "dead-mount".into()), "{report:#}");
    assert!(check(&report, "host", "mounts")["mend"].to_string().contains("sharefs umount"), "{report:#}");
}

#[test]
fn what_is_to_come_back_is_looked_at() {
    let mut samba = Samba::start();
    let home = Home::new();
    home.save(&samba);
    home.folder("mnt");
    let (source, port) = (share(&samba, "data"), samba.port().to_string());
    let look = |more: &[&str]| {
        let mut arguments =
            vec!["doctor", &source, "--port", &port, "--json", "--filter", "host", "--timeout", "5"];
        arguments.extend(more);
        report(&home.run(&arguments)).0
    };
    assert_eq!(check(&look(&[]), "host", "startup")["outcome"], "skipped");
    home.succeeds(&["mount", &source, "mnt", "--persist", "--port", &port]);
    let found = look(&["mnt"]);
    // Where systemd runs, root may have to allow this user to linger.
    let startup = check(&found, "host", "startup");
    assert!(startup["outcome"] == "passed" || startup["code"] == "linger-off", "{found:#}");
    // This user's other mounts, of other tests, are no matter.
    let of_mounts = |found: &Value| -> Vec<Value> {
        let checks = found["checks"].as_array().expect("the checks");
        let here = home.path("mnt").display().to_string();
        let ours = |check: &&Value| check["check"] == "mounts" && check["found"].to_string().contains(&here);
        checks.iter().filter(ours).cloned().collect()
    };
    assert_eq!(of_mounts(&found), Vec::<Value>::new(), "{found:#}");
    home.shell("rm -r .config/autostart .config/systemd 2>/dev/null || true");
    assert_eq!(check(&look(&[]), "host", "startup")["code"], "unit-missing");
    home.succeeds(&["umount", "mnt"]);
    samba.terminate();
    home.fails(&["mount", "--all"]);
    let found = look(&[]);
    let mounts = of_mounts(&found);
    assert_eq!(mounts.len(), 1, "{found:#}");
    assert_eq!(mounts[0]["code"], "unhealthy-mount");
    assert!(mounts[0]["found"].to_string().contains("[port-closed]"), "{found:#}");
}

#[test]
fn others_are_let_in_where_root_says_so() {
    let home = Home::new();
    let arguments = ["doctor", "//127.0.0.1/share", "--json", "--filter", "host", "-o", "allow_other,guest"];
    let (found, _) = report(&home.run(&arguments));
    let configured = fs::read_to_string("/etc/fuse.conf")
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "user_allow_other"));
    let expected = if configured { Value::Null } else { "allow-other".into() };
    assert_eq!(check(&found, "host", "allow_other")["code"], expected, "{found:#}");
}

#[test]
fn each_code_is_explained_and_each_error_names_one() {
    let home = Home::new();
    let one = home.succeeds(&["doctor", "--explain", "logon-refused"]);
    assert!(one.contains("cause") && one.contains("check") && one.contains("fix"), "{one}");
    assert_eq!(home.succeeds(&["doctor", "--explain", "[logon-refused]"]), one);
    assert!(home.succeeds(&["doctor", "--explain", "all"]).contains(&one));
    assert_eq!(home.json(&["doctor", "--explain", "logon-refused", "--json"])[0]["code"], "logon-refused");
    let unknown = ["doctor", "//server/share", "--filter", "name,no-such-group"];
    for arguments in [&["doctor", "--explain", "no-such-code"][..], &unknown, &["doctor", "--no-such-option"]]
    {
        assert!(home.fails(arguments).ends_with("[usage]\n"), "{arguments:?}");
    }

    let samba = Samba::start();
    let (port, source) = (samba.port().to_string(), share(&samba, "data"));
    home.folder("mnt");
    let ends = |arguments: &[&str], password: &str, code: &str| {
        let output = home.tell(arguments, password);
        let text = said(&output);
        assert!(
            !output.status.success() && text.trim_end().ends_with(&format!("[{code}]")),
            "{code}: {text}"
        );
        assert_eq!(text.matches(&format!("[{code}]")).count(), 1, "{text}");
        home.succeeds(&["doctor", "--explain", code]);
    };
    let options = ["--port", &port, "--username", "tester", "--password-stdin"];
    let with = |arguments: &[&'static str]| -> Vec<String> {
        arguments.iter().chain(&options).map(|word| word.replace("SOURCE", &source)).collect()
    };
    for (arguments, password, code) in [
        (&["ls", "SOURCE"][..], "wrong", "logon-refused"),
        (&["ls", "SOURCE/none"], samba.password(), "not-found"),
        (&["mount", "SOURCE", "mnt"], "wrong", "logon-refused"),
        (&["mount", "SOURCE/none", "mnt"], samba.password(), "not-found"),
        (&["mount", "SOURCE", "none"], samba.password(), "mount-point-missing"),
        (&["put", "none", "SOURCE/x"], samba.password(), "local-missing"),
        (&["get", "SOURCE", "."], "x;AccountKey=secret", "not-a-key"),
        (&["ls", "SOURCE", "-o", "nonsense"], "x", "usage"),
    ] {
        let words = with(arguments);
        ends(&words.iter().map(String::as_str).collect::<Vec<_>>(), password, code);
    }
    ends(&["ls", &source, "--username", "tester"], "", "no-password");
    ends(&["umount", "mnt"], "", "not-mounted");
    ends(&["forget", "mnt"], "", "not-remembered");
}

#[test]
fn what_it_writes_has_no_secret_and_a_bundle_no_names() {
    let secret = "the-d0ctor-s3cret";
    let samba = Samba::builder().user("eveline", secret).start();
    let home = Home::new();
    home.folder("my-taxes");
    fs::create_dir(samba.share_path().join("payroll")).expect("a folder on the share");
    let source = share(&samba, "data/payroll");
    let port = samba.port().to_string();
    let mut all = String::new();
    for (password, form) in [(secret, &["--json"][..]), (secret, &[]), (&format!("not-{secret}"), &[])] {
        let file = home.file("credentials", &format!("username=eveline\npassword={password}\n"));
        let option = format!("credentials={}", file.display());
        let mut command =
            home.sharefs(&["-vv", "doctor", &source, "my-taxes", "--port", &port, "-o", &option]);
        command.args(["--write-probe", "--bundle", "bundle.json"]).args(form).env("SHAREFS_LOG", "trace");
        let output = crate::home::output_of(command, "");
        all.push_str(&said(&output));
        let bundle = fs::read_to_string(home.path("bundle.json")).expect("the bundle");
        let mode = fs::metadata(home.path("bundle.json")).expect("the bundle").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in ["payroll", "my-taxes", "eveline", &samba.address().to_string(), secret] {
            assert!(!bundle.contains(name), "{name}: {bundle}");
        }
        let bundle: Value = serde_json::from_str(&bundle).expect("JSON");
        let right = password == secret;
        assert_eq!(bundle["report"]["gate"] == Value::Null, right, "{bundle:#}");
        fs::remove_file(file).expect("the credentials file");
    }
    assert!(all.contains("eveline") && !all.contains(secret), "{all}");
    let option = format!("username=eveline,password={secret},port={port}");
    let given = home.run(&["doctor", &source, "-o", &option]);
    assert!(said(&given).contains("[secret-exposed]") && !said(&given).contains(secret), "{}", said(&given));
}

#[test]
fn what_a_mount_has_the_doctor_can_log_in_with() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    let option = format!("port={},credentials={}", samba.port(), mount.credentials().display());
    let arguments = ["doctor", mount.source(), "-o", &option, "--json", "--filter", REMOTE];
    let (report, code) = report(&mount.sharefs(arguments));
    assert_eq!(code, 0, "{report:#}");
    assert!(check(&report, "credentials", "source")["found"].to_string().contains("read from"), "{report:#}");
}
