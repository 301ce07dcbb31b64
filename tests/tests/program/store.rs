//! The file that credentials are saved in, when things go wrong with it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;

use sharefs_tests::{Samba, User, find_program};

use crate::home::{Home, output_of, place, said};

const STORE: &str = ".local/share/sharefs/credentials";
const KEY: &str = ".local/state/sharefs/store.key";

/// Saves a password without a login.
fn save(home: &Home, place: &str, password: &str) -> std::process::Output {
    let arguments = ["cred", "add", place, "--user", "tester", "--no-test", "--password-stdin"];
    home.tell(&arguments, &format!("{password}\n"))
}

fn saved(home: &Home) -> Saved<'_> {
    let output = save(home, "server", "st0red-s3cret");
    assert!(output.status.success(), "{}", said(&output));
    Saved(home)
}

/// A home with something in its store.
struct Saved<'a>(&'a Home);

impl Saved<'_> {
    fn complaint(&self) -> String {
        self.0.fails(&["cred", "list"])
    }
}

#[test]
fn the_store_and_its_key_are_the_users_alone() {
    let home = Home::new();
    saved(&home);
    for name in [STORE, KEY] {
        let metadata = fs::symlink_metadata(home.path(name)).expect(name);
        assert!(metadata.is_file());
        assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o600, User::ordinary().uid), "{name}");
    }
    let bytes = fs::read(home.path(STORE)).expect("the store");
    for word in ["st0red", "server", "tester"] {
        assert!(!bytes.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
    }
}

#[test]
fn s134_tampering_is_noticed() {
    let home = Home::new();
    let store = saved(&home);
    let whole = fs::read(home.path(STORE)).expect("the store");
    let mut changed = whole.clone();
    *changed.last_mut().expect("it is not empty") ^= 1;
    for (bytes, word) in [
        (changed, "changed"),
        (whole[..whole.len() / 2].to_vec(), "changed"),
        (b"something else".to_vec(), "not a store"),
        (Vec::new(), "not a store"),
    ] {
        fs::write(home.path(STORE), bytes).expect("the store");
        let said = store.complaint();
        assert!(said.contains(word), "{said}");
        // Nothing is written over what cannot be read.
        assert!(!save(&home, "server", "new").status.success());
    }
    fs::write(home.path(STORE), whole).expect("the store");
    home.succeeds(&["cred", "show", "server"]);
    // Another key, and none.
    let key = fs::read(home.path(KEY)).expect("the key");
    fs::write(home.path(KEY), [7; 32]).expect("the key");
    assert!(store.complaint().contains("another key"), "{}", store.complaint());
    fs::remove_file(home.path(KEY)).expect("the key");
    assert!(store.complaint().contains("missing"), "{}", store.complaint());
    assert!(!save(&home, "server", "new").status.success() && !home.path(KEY).exists());
    home.file(KEY, "");
    fs::write(home.path(KEY), key).expect("the key");
    home.succeeds(&["cred", "show", "server"]);
}

#[test]
fn what_others_may_read_or_have_made_is_refused() {
    let home = Home::new();
    let store = saved(&home);
    for name in [STORE, KEY] {
        let path = home.path(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("its permissions");
        assert!(store.complaint().contains("chmod 600"), "{}", store.complaint());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
        // Through a link it would be anybody's.
        let aside = path.with_extension("aside");
        fs::rename(&path, &aside).expect("moved away");
        std::os::unix::fs::symlink(&aside, &path).expect("a link");
        store.complaint();
        fs::remove_file(&path).expect("the link");
        fs::rename(&aside, &path).expect("moved back");
    }
    if rustix::process::getuid().is_root() {
        for name in [STORE, KEY] {
            let path = home.path(name);
            std::os::unix::fs::chown(&path, Some(0), None).expect("chown");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its permissions");
            assert!(store.complaint().contains("belongs to the user 0"), "{}", store.complaint());
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its permissions");
            home.user.own(&path);
        }
    }
    home.succeeds(&["cred", "show", "server"]);
}

#[test]
fn many_writers_at_once_lose_nothing() {
    let home = Home::new();
    thread::scope(|scope| {
        for number in 0..12 {
            let home = &home;
            scope.spawn(move || {
                let output = save(home, &format!("server{number}"), &format!("password {number}"));
                assert!(output.status.success(), "{}", said(&output));
            });
        }
    });
    let list = home.json(&["cred", "list", "--json"]);
    assert_eq!(list["credentials"].as_array().map(Vec::len), Some(12), "{list}");
}

/// A user of a user namespace has a disk of a few pages, and fills it.
#[test]
fn s134_a_full_disk_leaves_the_old_store() {
    let home = Home::new();
    home.folder("disk");
    let script = "
        mount -t tmpfs -o size=16k,mode=0777 tmpfs disk
        export XDG_DATA_HOME=$PWD/disk
        echo first | $SHAREFS cred add server --user tester --no-test --password-stdin
        cp disk/sharefs/credentials before
        head -c 1000000 /dev/zero > disk/filler || true
        if echo second | $SHAREFS cred add server2 --user tester --no-test --password-stdin; then exit 9; fi
        cmp disk/sharefs/credentials before
        ls -A disk/sharefs
        rm disk/filler
        $SHAREFS cred show server
        echo second | $SHAREFS cred add server2 --user tester --no-test --password-stdin
        $SHAREFS cred show server2
    ";
    let mut command = home.command(find_program("unshare", "util-linux"));
    command.args(["--user", "--mount", "--map-current-user", "--keep-caps", "bash", "-eu", "-c", script]);
    command.env("SHAREFS", sharefs_tests::sharefs_binary());
    let output = output_of(command, "");
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("No space left"), "{}", said(&output));
    assert!(!said(&output).contains("sharefs-new"), "half a store was left: {}", said(&output));
}

#[test]
fn services_have_neither_home_nor_path() {
    let samba = Samba::start();
    let home = Home::new();
    // What passwd says of the user is this machine's affair; it is asked where HOME is not set.
    let mut command = home.sharefs(&["cred", "list"]);
    command.env_remove("HOME").env_remove("PATH").env_remove("XDG_RUNTIME_DIR");
    let output = output_of(command, "");
    assert!(
        output.status.success() && !said(&output).contains(home.path("").to_str().unwrap()),
        "{}",
        said(&output)
    );
    // systemd gives a service its own key, in a directory of its own.
    let credentials = home.folder("credentials");
    home.file("credentials/sharefs.key", "a key of some thirty-two bytes..");
    let with_key = |arguments: &[&str], input: &str| {
        let mut command = home.sharefs(arguments);
        command.env("CREDENTIALS_DIRECTORY", &credentials);
        let output = output_of(command, input);
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let port = samba.port().to_string();
    let add = ["cred", "add", &place(&samba), "--user", "tester", "--port", &port, "--password-stdin"];
    with_key(&add, samba.password());
    assert!(with_key(&["cred", "list"], "").contains("systemd"));
    with_key(&["cred", "test", &place(&samba), "--port", &port], "");
    assert!(!home.path(KEY).exists());
    assert!(home.fails(&["cred", "list"]).contains("key"));
}
