//! The commands that need no mount.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use sharefs_tests::{Content, Samba, User, sha256, sha256_file, sharefs_binary};
use tempfile::TempDir;

struct Shell<'a> {
    samba: &'a Samba,
    home: TempDir,
}

impl<'a> Shell<'a> {
    fn new(samba: &'a Samba) -> Self {
        let home = tempfile::Builder::new().prefix("sharefs-home-").tempdir().expect("a temporary directory");
        User::ordinary().own(home.path());
        Self { samba, home }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn url(&self, path: &str) -> String {
        format!("//{}/data/{path}", self.samba.address())
    }

    /// A command on the server, as its user.
    fn run(&self, name: &str, arguments: &[&str]) -> Output {
        let options = format!("port={},username={}", self.samba.port(), self.samba.user());
        User::ordinary()
            .command(sharefs_binary(), self.home.path())
            .arg(name)
            .args(["-o", &options])
            .args(arguments)
            .env("PASSWD", self.samba.password())
            .output()
            .expect("sharefs starts")
    }

    fn succeeds(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {said}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fails(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.run(name, arguments);
        assert!(!output.status.success(), "{name} {arguments:?} must fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn local_file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).expect("a local file");
        User::ordinary().own(&self.path(name));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn files_go_there_and_back() {
    let samba = Samba::builder().azure().start();
    let shell = Shell::new(&samba);
    for size in [0, 1, 65_537, 20_000_000] {
        let content = Content::new(size as u64).bytes(size);
        shell.local_file("local", &content);
        shell.succeeds("put", &["local", &shell.url("remote")]);
        assert_eq!(sha256_file(&samba.share_path().join("remote")), sha256(&content));
        shell.succeeds("get", &[&shell.url("remote"), text(&shell.path("back"))]);
        assert_eq!(sha256_file(&shell.path("back")), sha256(&content));
        let output = shell.run("cat", &[&shell.url("remote")]);
        assert_eq!(sha256(&output.stdout), sha256(&content));
    }
}

#[test]
fn trees_go_there_and_back() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    let user = User::ordinary();
    user.make_dir(&shell.path("tree"));
    user.make_dir(&shell.path("tree/deep"));
    user.make_dir(&shell.path("tree/empty"));
    for i in 0..50 {
        shell.local_file(&format!("tree/deep/file {i}: odd?"), &Content::new(i).bytes(1000 * i as usize));
    }
    shell.succeeds("put", &["-r", "tree", &shell.url("tree")]);
    shell.succeeds("get", &["-r", &shell.url("tree"), "back"]);
    let compared =
        user.command("diff", shell.home.path()).args(["-r", "tree", "back"]).output().expect("diff");
    assert!(compared.status.success(), "{}", String::from_utf8_lossy(&compared.stdout));
    shell.succeeds("rm", &["-r", &shell.url("tree")]);
    assert_eq!(fs::read_dir(samba.share_path()).expect("the share").count(), 0);
}

#[test]
fn small_commands() {
    let samba = Samba::start();
    let shell = Shell::new(&samba);
    shell.succeeds("mkdir", &[&shell.url("folder")]);
    assert!(samba.share_path().join("folder").is_dir());
    fs::write(samba.share_path().join("folder/file"), "twelve bytes").expect("write on the server");
    assert!(shell.succeeds("ls", &[&shell.url("folder")]).lines().any(|line| line == "file"));
    assert!(shell.succeeds("stat", &[&shell.url("folder/file")]).contains("12"));
    shell.succeeds("mv", &[&shell.url("folder/file"), &shell.url("moved")]);
    assert_eq!(fs::read(samba.share_path().join("moved")).expect("the file"), b"twelve bytes");
    assert!(!shell.succeeds("df", &[&shell.url("")]).is_empty());
    shell.succeeds("rm", &[&shell.url("moved")]);
    assert!(!samba.share_path().join("moved").exists());
    shell.fails("rm", &[&shell.url("folder")]);
    assert!(samba.share_path().join("folder").is_dir());
    shell.succeeds("rm", &["-r", &shell.url("folder")]);
    assert!(shell.fails("cat", &[&shell.url("none")]).contains("none"));
    assert!(shell.fails("ls", &[&shell.url("none")]).contains("none"));
}

#[test]
fn sources_are_written_in_three_ways() {
    let samba = Samba::start();
    fs::write(samba.share_path().join("file"), "x").expect("write on the server");
    let shell = Shell::new(&samba);
    let (address, port) = (samba.address(), samba.port());
    for source in [
        format!("//{address}/data/file"),
        format!("\\\\{address}\\data\\file"),
        format!("smb://LAB;tester@{address}:{port}/data/file"),
        format!("smb://{address}:{port}/data/file"),
    ] {
        assert_eq!(shell.succeeds("cat", &[&source]), "x", "{source}");
    }
}
