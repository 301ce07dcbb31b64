//! Lines of fstab that the kernel's client had.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sharefs_tests::Samba;

use crate::home::{Home, said, share};

#[test]
fn lines_of_cifs_become_lines_of_sharefs_and_lose_their_passwords() {
    let password = "fst4b-s3cret";
    let samba = Samba::builder().user("tester", password).start();
    let home = Home::new();
    let mnt = home.folder("mnt");
    let (source, port) = (share(&samba, "data"), samba.port());
    let line = |kind: &str, secret: &str| {
        format!(
            "{source}\t{}  {kind} vers=3.1.1,username=tester,{secret}port={port},dir_mode=0777,_netdev 0 0\n",
            mnt.display()
        )
    };
    let others = "# a comment with //h/s /mnt cifs password=x\n/dev/sda1 / ext4 defaults 0 1\n";
    let odd = "//h/s /mnt cifs multiuser,username=u,password=p 0 0\n";
    let fstab =
        home.file("fstab", &format!("{others}{}{odd}", line("cifs", &format!("password={password},"))));
    fs::set_permissions(&fstab, fs::Permissions::from_mode(0o644)).expect("its permissions");
    let file = fstab.to_str().expect("a plain path");
    let checked = home.run(&["fstab", "check", "--file", file]);
    let text = said(&checked);
    assert!(
        text.contains(":3: warning: everybody can read the password") && text.contains("nofail"),
        "{text}"
    );
    assert!(!checked.status.success() && text.contains(":4: error:") && !text.contains(password), "{text}");
    let before = fs::read_to_string(&fstab).expect("fstab");
    let dry = home.run(&["fstab", "import", "--file", file, "--dry-run"]);
    assert!(said(&dry).contains("sharefs vers=3.1.1") && !said(&dry).contains(password), "{}", said(&dry));
    assert_eq!(fs::read_to_string(&fstab).expect("fstab"), before);
    // One line it cannot serve: that stays, and is told.
    let output = home.run(&["fstab", "import", "--file", file]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains(":4: stays as it is") && said(&output).contains("multiuser"),
        "{}",
        said(&output)
    );
    let after = fs::read_to_string(&fstab).expect("fstab");
    assert_eq!(after, format!("{others}{}{odd}", line("sharefs", "")));
    assert_eq!(fs::metadata(&fstab).expect("fstab").permissions().mode() & 0o777, 0o644);
    // What it says now can be mounted, with the password that was saved.
    let options =
        after.lines().nth(2).and_then(|line| line.split_whitespace().nth(3)).expect("options").to_owned();
    home.succeeds(&[&source, mnt.to_str().expect("a plain path"), "-o", &options]);
    home.shell("ls mnt");
}

#[test]
fn a_password_that_is_wrong_leaves_the_line() {
    let samba = Samba::start();
    let home = Home::new();
    let text = format!(
        "{} /mnt cifs username=tester,password=wrong,port={} 0 0\n",
        share(&samba, "data"),
        samba.port()
    );
    let fstab = home.file("fstab", &text);
    let file = fstab.to_str().expect("a plain path");
    assert!(home.fails(&["fstab", "import", "--file", file]).contains("nothing was saved"));
    assert_eq!(fs::read_to_string(&fstab).expect("fstab"), text);
    home.succeeds(&["fstab", "import", "--file", file, "--no-test"]);
    assert!(fs::read_to_string(&fstab).expect("fstab").contains(" sharefs username=tester,port="));
}
