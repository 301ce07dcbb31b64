//! `sharefs doctor` where something is wrong: it names the gate that refuses, and why.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::Value;
use sharefs_tests::{Answer, Impostor, Manner, Samba, free_address};
use smb_client::wire::{Capabilities, Guid, Header, NegotiateResponse, Request, Response, SecurityMode};
use smb_client::{Dialect, FileTime, NtStatus};

use crate::doctor::{REMOTE, check, examine, report};
use crate::home::{Home, share};

/// A check that must be there, with its outcome and its code.
type Expected<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Examines, and compares gate, exit code and one check.
fn finds(
    source: &str,
    port: u16,
    password: &str,
    more: &[&str],
    gate: Option<&str>,
    (group, name, outcome, code): Expected<'_>,
) -> Value {
    let home = Home::new();
    let mut arguments = vec!["--username", "tester", "--json", "--filter", REMOTE];
    arguments.extend(more);
    let (report, exit) = report(&examine(&home, source, port, password, &arguments));
    let found = check(&report, group, name);
    assert_eq!(report["gate"].as_str(), gate, "{report:#}");
    assert_eq!(
        (found["outcome"].as_str(), found["code"].as_str()),
        (Some(outcome), Some(code)),
        "{report:#}"
    );
    assert_eq!(exit, if outcome == "failed" { 2 } else { 1 }, "{report:#}");
    // What it is called is explained, and what mends it is said.
    assert!(found["means"].is_string() && found["mend"].is_string(), "{found:#}");
    report
}

/// Answers each connection by this, once something was said.
fn scripted(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(free_address()).expect("a free address");
    let address = listener.local_addr().expect("its address");
    // It ends with the test's process.
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.expect("a connection");
            let mut said = [0; 1024];
            let _ = socket.read(&mut said).and_then(|_| socket.write_all(answer));
        }
    });
    address
}

fn source_at(address: SocketAddr) -> String {
    format!("//{}/data", address.ip())
}

#[test]
fn a_name_without_an_address() {
    let expected = ("dns", "addresses", "failed", "name-unresolved");
    let report = finds("//no-such-server.invalid/data", 445, "x", &[], Some("network"), expected);
    assert_eq!(check(&report, "session", "login")["outcome"], "skipped");
}

#[test]
fn a_closed_port() {
    let address = free_address();
    let expected = ("network", "tcp", "failed", "port-closed");
    finds(&source_at(address), address.port(), "x", &[], Some("network"), expected);
}

#[test]
fn a_server_that_says_nothing() {
    let listener = TcpListener::bind(free_address()).expect("a free address");
    let address = listener.local_addr().expect("its address");
    let expected = ("negotiate", "dialect", "failed", "server-silent");
    finds(&source_at(address), address.port(), "x", &["--timeout", "3"], Some("negotiate"), expected);
}

#[test]
fn what_is_no_smb_server() {
    for (answer, code) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "protocol-broken"),
        (b"", "connection-lost"),
        (
            b"\0\0\0\x23\xffSMBr\0\0\0\0\x98\x01\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            "smb1-only",
        ),
    ] {
        let address = scripted(answer);
        let expected = ("negotiate", "dialect", "failed", code);
        finds(&source_at(address), address.port(), "x", &["--timeout", "3"], Some("negotiate"), expected);
    }
}

#[test]
fn a_dialect_that_the_server_has_not() {
    let samba = Samba::builder().dialects(Dialect::Smb311, Dialect::Smb311).start();
    let expected = ("negotiate", "dialect", "failed", "no-common-dialect");
    let source = share(&samba, "data");
    finds(&source, samba.port(), samba.password(), &["-o", "vers=2.1"], Some("negotiate"), expected);
}

#[test]
fn a_wrong_password_is_tried_once() {
    let samba = Samba::start();
    let expected = ("session", "login", "failed", "logon-refused");
    let report = finds(&share(&samba, "data"), samba.port(), "wrong", &[], Some("logon"), expected);
    let matrix = check(&report, "matrix", "accepted");
    assert!(
        matrix["outcome"] == "passed" && matrix["found"].to_string().contains("negotiated only"),
        "{matrix}"
    );
    let refusals = samba.log().matches("NT_STATUS_WRONG_PASSWORD").count();
    assert!(refusals < 10, "the server saw the password too often: {refusals} lines of its log");
}

#[test]
fn nobody_to_log_in_as() {
    let samba = Samba::start();
    let home = Home::new();
    let port = samba.port().to_string();
    let source = share(&samba, "data");
    let output =
        home.run(&["doctor", &source, "--port", &port, "--username", "tester", "--json", "--filter", REMOTE]);
    let (report, exit) = report(&output);
    let found = check(&report, "credentials", "source");
    assert_eq!(
        (exit, &report["gate"], &found["code"]),
        (2, &"logon".into(), &"no-password".into()),
        "{report:#}"
    );
    assert!(found["mend"].to_string().contains("sharefs cred add"), "{found}");
    assert_eq!(check(&report, "negotiate", "dialect")["outcome"], "passed");
}

#[test]
fn only_a_guest() {
    let samba = Samba::builder().guest().start();
    let expected = ("session", "login", "failed", "only-guest");
    let more = ["--username", "stranger"];
    finds(&share(&samba, "data"), samba.port(), "x", &more, Some("logon"), expected);
}

#[test]
fn a_second_password() {
    let samba = Samba::start();
    let home = Home::new();
    let text = format!("username=tester\npassword=old\npassword2={}\n", samba.password());
    let file = home.file("credentials", &text);
    let option = format!("credentials={},port={}", file.display(), samba.port());
    let look = || {
        report(&home.run(&["doctor", &share(&samba, "data"), "-o", &option, "--json", "--filter", REMOTE]))
    };
    let (found, exit) = look();
    assert_eq!((exit, &found["gate"]), (1, &Value::Null), "{found:#}");
    assert_eq!(check(&found, "session", "passwords")["code"], "first-password-refused");
    assert_eq!(check(&found, "credentials", "exposure")["outcome"], "passed");
    let text = format!("username=tester\npassword={}\npassword2=old\n", samba.password());
    fs::write(&file, text).expect("the credentials");
    assert_eq!(check(&look().0, "session", "passwords")["code"], "second-password-refused");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its permissions");
    let (found, _) = look();
    let exposure = check(&found, "credentials", "exposure");
    assert_eq!(exposure["code"], "secret-exposed");
    assert!(exposure["mend"].to_string().contains("chmod 600"), "{exposure}");
}

#[test]
fn shares_and_folders() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "x").expect("a file on the share");
    for (place, gate, expected) in [
        ("none", Some("share"), ("share", "tree", "failed", "share-missing")),
        ("limited", Some("share"), ("share", "tree", "failed", "share-denied")),
        ("data/none", Some("root"), ("share", "root", "failed", "not-found")),
        ("data/file", Some("root"), ("share", "root", "failed", "wrong-kind")),
        ("readonly", None, ("share", "access", "warning", "cannot-write")),
    ] {
        let report = finds(&share(&samba, place), samba.port(), samba.password(), &[], gate, expected);
        assert_eq!(check(&report, "session", "login")["outcome"], "passed");
    }
}

#[test]
fn a_server_that_wants_encryption() {
    let samba = Samba::builder().global("server smb encrypt", "required").start();
    let home = Home::new();
    let more = ["--username", "tester", "-o", "vers=2.1", "--json"];
    let output = examine(&home, &share(&samba, "data"), samba.port(), samba.password(), &more);
    let (report, exit) = report(&output);
    let checks = report["checks"].as_array().expect("the checks");
    let refused = checks.iter().find(|check| check["code"] == "encryption-required");
    let refused = refused.unwrap_or_else(|| panic!("{report:#}"));
    assert_eq!((exit, &refused["outcome"]), (2, &"failed".into()), "{report:#}");
    assert!(refused["mend"].to_string().contains("-o seal"), "{refused}");
    let accepted = &check(&report, "matrix", "accepted")["data"];
    assert!(
        accepted.as_array().is_some_and(|ways| ways.iter().any(|way| way["accepted"] == true)),
        "{accepted}"
    );
}

#[test]
fn what_stands_in_an_azure_key_s_place() {
    let samba = Samba::builder().azure().start();
    let home = Home::new();
    let ip = format!("ip={}", samba.address());
    let look = |password: &str, user: &str| {
        let more = ["-o", &ip, "--username", user, "--json", "--filter", REMOTE];
        let (report, _) =
            report(&examine(&home, "//acct.file.core.windows.net/data", samba.port(), password, &more));
        report
    };
    let well = look(samba.password(), "AZURE\\acct");
    assert_eq!(well["gate"], Value::Null, "{well:#}");
    assert_eq!(check(&well, "session", "login")["data"]["encrypted"], true);
    assert_eq!(check(&well, "credentials", "shape")["outcome"], "passed");
    let short = look("not a key", "acct");
    assert_eq!(check(&short, "credentials", "shape")["code"], "not-a-key");
    assert_eq!(check(&short, "session", "login")["code"], "logon-refused");
    let token = look("?sv=2022-11-02&ss=f&se=2026-01-01&sig=s3cret%3D", "acct");
    assert_eq!(check(&token, "credentials", "source")["code"], "not-a-key");
    let other = look(samba.password(), "other");
    assert_eq!(check(&other, "credentials", "shape")["code"], "another-account");
    let name = home.run(&[
        "doctor",
        "//acct.file.core.windows.net/My_Share",
        "-o",
        &ip,
        "--guest",
        "--json",
        "--timeout",
        "1",
    ]);
    assert_eq!(check(&report(&name).0, "name", "form")["code"], "name-invalid");
}

/// Runs the program while an impostor answers.
async fn beside(impostor: &Impostor, work: impl FnOnce(String, u16) + Send + 'static) {
    let (source, port) = (format!("//{}/data", impostor.address()), impostor.options().port);
    tokio::task::spawn_blocking(move || work(source, port)).await.expect("the program's test");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_log_in() {
    for (status, code) in [
        (NtStatus::ACCESS_DENIED, "logon-denied"),
        (NtStatus::ACCOUNT_DISABLED, "account-barred"),
        (NtStatus::ACCOUNT_LOCKED_OUT, "account-barred"),
        (NtStatus::PASSWORD_EXPIRED, "password-expired"),
        (NtStatus::NOT_SUPPORTED, "logon-failed"),
    ] {
        let refuses = move |header: &Header, request: &Request| {
            let second = matches!(request, Request::SessionSetup(_)) && header.session_id != 0;
            second.then_some(Answer::Refusal(status))
        };
        let impostor = Impostor::start(Manner::Whole, refuses).await;
        beside(&impostor, move |source, port| {
            let expected = ("session", "login", "failed", code);
            finds(&source, port, "x", &["--timeout", "5"], Some("logon"), expected);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent() {
    let silent = |header: &Header, request: &Request| {
        let second = matches!(request, Request::SessionSetup(_)) && header.session_id != 0;
        second.then_some(Answer::Silence)
    };
    let impostor = Impostor::start(Manner::Whole, silent).await;
    beside(&impostor, |source, port| {
        let expected = ("session", "login", "failed", "server-silent");
        finds(&source, port, "x", &["--timeout", "3"], Some("logon"), expected);
    })
    .await;
    let silent =
        |_: &Header, request: &Request| matches!(request, Request::TreeConnect(_)).then_some(Answer::Silence);
    let impostor = Impostor::start(Manner::Whole, silent).await;
    beside(&impostor, |source, port| {
        let home = Home::new();
        let more = ["--guest", "--json", "--filter", "share", "--timeout", "3"];
        let (report, exit) = report(&examine(&home, &source, port, "", &more));
        let tree = check(&report, "share", "tree");
        assert_eq!(
            (exit, &report["gate"], &tree["code"]),
            (2, &"share".into(), &"server-silent".into()),
            "{report:#}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong() {
    let lies = |_: &Header, request: &Request| match request {
        Request::Negotiate(_) => Some(Answer::Body(
            NtStatus::SUCCESS,
            Response::Negotiate(NegotiateResponse {
                security_mode: SecurityMode::SIGNING_ENABLED,
                dialect: Dialect::Smb210 as u16,
                server_guid: Guid([7; 16]),
                capabilities: Capabilities::LARGE_MTU,
                max_transact: 1 << 20,
                max_read: 1 << 20,
                max_write: 1 << 20,
                system_time: FileTime::from_unix(1_000_000_000, 0),
                start_time: FileTime::ZERO,
                token: bytes::Bytes::new(),
                contexts: Vec::new(),
            }),
        )),
        _ => None,
    };
    let impostor = Impostor::start(Manner::Whole, lies).await;
    beside(&impostor, |source, port| {
        let home = Home::new();
        let more = ["--guest", "--json", "--filter", "negotiate", "--timeout", "5"];
        let (report, exit) = report(&examine(&home, &source, port, "", &more));
        assert_eq!(check(&report, "negotiate", "clock")["code"], "clock-skew", "{report:#}");
        assert_eq!(check(&report, "negotiate", "dialect")["code"], "old-dialect", "{report:#}");
        assert_eq!(exit, 1, "{report:#}");
    })
    .await;
}
