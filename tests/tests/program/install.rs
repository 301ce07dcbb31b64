//! What `make install` and the package put where.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sharefs_tests::{find_program, sharefs_binary};

/// Where mount(8) looks.
const HELPERS: [&str; 2] = ["mount.sharefs", "mount.fuse.sharefs"];

fn make(target: &str, variables: &[(&str, &Path)]) {
    let mut command = Command::new(find_program("make", "make"));
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    command.arg("--silent").arg(target).arg(format!("PROGRAM={}", sharefs_binary().display()));
    // What `make test` was told is not for this one.
    command.env_remove("MAKEFLAGS").env_remove("DESTDIR").env_remove("PREFIX");
    for (name, value) in variables {
        command.arg(format!("{name}={}", value.display()));
    }
    said(&mut command);
}

/// What a program says that succeeds.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// All files and links below a folder, by their paths there.
fn files(dir: &Path) -> BTreeSet<PathBuf> {
    fn collect(dir: &Path, root: &Path, files: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(dir).expect("a folder") {
            let path = entry.expect("its entries").path();
            if path.is_dir() && !path.is_symlink() {
                collect(&path, root, files);
            } else {
                files.insert(path.strip_prefix(root).expect("it is below").to_owned());
            }
        }
    }
    let mut all = BTreeSet::new();
    collect(dir, dir, &mut all);
    all
}

/// The program runs, its helpers lead to it, each subcommand has a manual page, and the shell completes.
fn promises(root: &Path, prefix: &str, sbin: &str) {
    let program = root.join(prefix).join("bin/sharefs");
    assert!(said(Command::new(&program).arg("--version")).starts_with("sharefs "));
    for helper in HELPERS {
        let link = root.join(sbin).join(helper);
        let target = fs::read_link(&link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        // Relative to the link, or from the root of where it will be.
        let target = link.parent().expect("its folder").join(target);
        let inside = target.strip_prefix(root).map_or_else(
            |_| root.join(target.strip_prefix("/").expect("an absolute path")),
            |inside| root.join(inside),
        );
        let resolved =
            fs::canonicalize(&inside).unwrap_or_else(|error| panic!("{}: {error}", inside.display()));
        assert_eq!(resolved, fs::canonicalize(&program).expect("the program"));
        assert!(page(&root.join(prefix), &format!("man8/{helper}.8")).contains("man1/sharefs-mount.1"));
    }
    let help = said(Command::new(&program).arg("--help"));
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"mount") && !commands.contains(&"generate"), "{help}");
    for command in commands.iter().filter(|command| **command != "help") {
        let page = page(&root.join(prefix), &format!("man1/sharefs-{command}.1"));
        assert!(page.contains("Examples:"), "sharefs-{command}.1 has no examples");
    }
    let completion = root.join(prefix).join("share/bash-completion/completions/sharefs");
    let script = r#". "$0"; COMP_WORDS=(sharefs snap); COMP_CWORD=1; _sharefs sharefs snap sharefs; echo "${COMPREPLY[@]}""#;
    let completed = said(Command::new(find_program("bash", "bash")).args(["-c", script]).arg(&completion));
    assert_eq!(completed.trim(), "snapshots");
}

/// A manual page, which a package compresses.
fn page(prefix: &Path, name: &str) -> String {
    let path = prefix.join("share/man").join(name);
    if path.exists() {
        return fs::read_to_string(&path).expect("a manual page");
    }
    said(Command::new(find_program("gzip", "gzip")).arg("-dc").arg(format!("{}.gz", path.display())))
}

#[test]
fn what_is_installed_is_whole_and_can_be_removed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path().to_owned();
    make("install", &[("DESTDIR", &root)]);
    promises(&root, "usr/local", "sbin");
    for completion in ["zsh/site-functions/_sharefs", "fish/vendor_completions.d/sharefs.fish"] {
        assert!(root.join("usr/local/share").join(completion).is_file(), "{completion} is missing");
    }
    make("uninstall", &[("DESTDIR", &root)]);
    assert_eq!(files(&root), BTreeSet::new());
}

#[test]
fn the_package_holds_what_make_installs() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (package, root, installed) =
        (dir.path().join("sharefs.deb"), dir.path().join("root"), dir.path().join("installed"));
    make("package", &[("DEB_OPTIONS", Path::new(&format!("--fast --output={}", package.display())))]);
    said(Command::new(find_program("dpkg", "dpkg")).arg("-x").arg(&package).arg(&root));
    promises(&root, "usr", "usr/sbin");
    let needs = said(Command::new(find_program("dpkg", "dpkg")).arg("-f").arg(&package).arg("Depends"));
    assert!(needs.contains("fuse3") && needs.contains("libc6"), "{needs}");
    assert!(root.join("usr/share/zsh/vendor-completions/_sharefs").is_file());

    make(
        "install",
        &[("DESTDIR", &installed), ("PREFIX", Path::new("/usr")), ("SBIN", Path::new("/usr/sbin"))],
    );
    let plain = |path: PathBuf| {
        let path = path.to_string_lossy().replace("/site-functions/", "/vendor-completions/");
        path.trim_end_matches(".gz").to_owned()
    };
    let documents = |path: &String| path.starts_with("usr/share/doc/");
    let packed: BTreeSet<String> =
        files(&root).into_iter().map(plain).filter(|path| !documents(path)).collect();
    let installed: BTreeSet<String> = files(&installed).into_iter().map(plain).collect();
    assert_eq!(packed, installed);
}
