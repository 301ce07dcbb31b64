//! What takes too long, or too much of a disk, to be run with all tests: `make heavy` runs these.
//!
//! `SHAREFS_HEAVY_GIB` is the size of the large copy in GiB (20): so much is free on the disk of `TMPDIR`, or the test fails.

#![forbid(unsafe_code)]
#![cfg(unix)]

use std::path::{Path, PathBuf};
use std::{env, fs};

use sharefs_tests::{Mount, Samba};

/// A repository is at its root.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member").to_owned()
}

fn cargo_home() -> PathBuf {
    env::var_os("CARGO_HOME").map_or_else(|| home().join(".cargo"), PathBuf::from)
}

/// The most that the serving process ever had in memory, in MiB.
fn peak(mount: &Mount) -> u64 {
    let status = mount.sharefs(["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
    let status = fs::read_to_string(format!("/proc/{}/status", status[0]["pid"])).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel counts");
    let kibibytes: u64 =
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kibibytes >> 10
}

#[test]
#[ignore = "make heavy runs it"]
fn a_large_copy_stays_within_bounds() {
    let size: u64 = env::var("SHAREFS_HEAVY_GIB").map_or(20, |size| size.parse().expect("a number of GiB"));
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["cache-size=64M"]).start();
    // In, and out again: what is compared is not what was written, but what the server has.
    mount.shell(&format!(
        "set -o pipefail
         pattern() {{ yes 'the same line again and again, but not of a power of two' | head -c {size}G; }}
         pattern | cp /dev/stdin mnt/large || test $? = 141
         test $(stat -c %s mnt/large) = $(({size} << 30))
         cmp mnt/large <(pattern)"
    ));
    let peak = peak(&mount);
    println!("{size} GiB in and out: at most {peak} MiB resident");
    assert!(peak < 200, "{peak} MiB");
}

/// All that cargo has unpacked for this machine's builds: some tens of thousands of files.
#[test]
#[ignore = "make heavy runs it"]
fn a_large_tree_is_unpacked_and_compared() {
    let sources = cargo_home().join("registry/src");
    let samba = Samba::builder().share("case sensitive", "yes").start();
    let mount = Mount::new(&samba).start();
    let tar = mount.home().join("tree.tar");
    let packed =
        std::process::Command::new("tar").arg("-C").arg(&sources).arg("-cf").arg(&tar).arg(".").status();
    assert!(packed.expect("tar runs").success(), "{}", sources.display());
    let files = mount.shell(
        "mkdir tree mnt/tree; tar -C tree -xf tree.tar; tar -C mnt/tree -xf tree.tar
         diff -r tree mnt/tree
         find mnt/tree -type f | wc -l",
    );
    let files: u64 = files.trim().parse().expect("a number");
    println!("{files} files, {} MiB resident at most", peak(&mount));
    assert!(files > 10_000, "{files} files are no large tree: build something with cargo first");
    mount.shell("rm -r mnt/tree; test -z \"$(ls -A mnt)\"");
}

/// By whoever runs the tests: it takes this machine's toolchain.
#[test]
#[ignore = "make heavy runs it"]
fn this_workspace_is_built_on_the_mount() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["file_mode=0755"]);
    let mount = if rustix::process::getuid().is_root() { mount.by_root() } else { mount }.start();
    let build = |script: &str| {
        let rustup = env::var_os("RUSTUP_HOME").map_or_else(|| home().join(".rustup"), PathBuf::from);
        let output = mount
            .command("bash")
            .args(["-ec", script])
            .arg(workspace())
            .env("CARGO_HOME", cargo_home())
            .env("RUSTUP_HOME", rustup)
            .env("PATH", env::var_os("PATH").expect("PATH is set"))
            .env_remove("CARGO_TARGET_DIR")
            .output()
            .expect("bash starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}");
        said
    };
    build("cd mnt; git clone -q \"$0\" work; cd work; cargo build --locked --offline -p sharefs 2>&1");
    let version = mount.shell("cp mnt/work/target/debug/sharefs .; ./sharefs --version");
    println!("built on the mount: {}", version.trim());
    assert_eq!(mount.shell("cd mnt/work; git status --porcelain"), "");
    // Nothing is left to be done: the times are what cargo left.
    let said = build("cd mnt/work; cargo build --locked --offline -p sharefs 2>&1");
    assert!(!said.contains("Compiling"), "{said}");
}

fn home() -> PathBuf {
    PathBuf::from(env::var_os("HOME").expect("HOME is set"))
}
