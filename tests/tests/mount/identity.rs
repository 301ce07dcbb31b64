//! One file is one inode, by whichever name: S100 to S103.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sharefs_tests::{Mount, Samba};

fn servers() -> [Samba; 2] {
    [Samba::start(), Samba::builder().directory_leases().start()]
}

#[test]
fn s100_hard_links_are_one_inode() {
    for samba in servers() {
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        mount.shell(
            "mkdir mnt/d; head -c 1000000 /dev/urandom > mnt/a; ln mnt/a mnt/b; ln mnt/b mnt/d/c
             test $(stat -c %i,%h mnt/a mnt/b mnt/d/c | sort -u | wc -l) = 1; test $(stat -c %h mnt/a) = 3
             test $(find mnt -samefile mnt/a | wc -l) = 3; test $(du -k -s mnt | cut -f 1) -lt 1500
             cp -a mnt copy; test $(stat -c %i copy/a copy/b copy/d/c | sort -u | wc -l) = 1
             printf x >> mnt/b; test $(stat -c %s mnt/a) = 1000001; cmp mnt/a mnt/d/c
             exec 3< mnt/a; rm mnt/a; test $(stat -c %h mnt/b) = 2; cmp - mnt/b <&3; exec 3<&-
             mv mnt/b mnt/d/b; test $(stat -c %h,%i mnt/d/b) = $(stat -c %h,%i mnt/d/c)
             rm mnt/d/b; test $(stat -c %h,%s mnt/d/c) = 1,1000001",
        );
        let left = fs::read_dir(samba.share_path().join("d")).expect("the directory").count();
        assert_eq!((left, fs::read_dir(samba.share_path()).expect("the share").count()), (1, 1));
    }
}

/// Neither was made by this mount: only the server knows.
#[test]
fn s100_hard_links_of_others_are_found_by_a_listing() {
    for samba in servers() {
        let share = samba.share_path();
        fs::write(share.join("a"), vec![1; 1_000_000]).expect("writing on the server");
        fs::set_permissions(share.join("a"), fs::Permissions::from_mode(0o666)).expect("chmod on the server");
        fs::hard_link(share.join("a"), share.join("b")).expect("linking on the server");
        let mount = Mount::new(&samba).start();
        mount.shell(
            "ls -l mnt > /dev/null; test $(stat -c %h,%i mnt/a) = $(stat -c %h,%i mnt/b); test $(stat -c %h mnt/a) = 2
             test $(du -k -s mnt | cut -f 1) -lt 1500; printf x >> mnt/a; test $(stat -c %s mnt/b) = 1000001",
        );
    }
}

#[test]
fn s101_a_name_of_a_hard_link_may_go_elsewhere() {
    for samba in servers() {
        let mount = Mount::new(&samba).options(["actimeo=0"]).start();
        mount.shell("echo one > mnt/a; ln mnt/a mnt/b; cat mnt/a mnt/b > /dev/null");
        let share = samba.share_path();
        // The name that was shown last leads elsewhere.
        fs::rename(share.join("b"), share.join("c")).expect("renaming on the server");
        fs::write(share.join("b"), "two").expect("writing on the server");
        mount.shell(
            "test $(cat mnt/a) = one; test $(cat mnt/b) = two; test $(cat mnt/c) = one
             test $(stat -c %i mnt/a) = $(stat -c %i mnt/c); test $(stat -c %i mnt/a) != $(stat -c %i mnt/b)",
        );
    }
}

#[test]
fn s102_spellings_are_one_file() {
    for samba in servers() {
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        mount.shell(
            "cd mnt; echo one > File; test $(stat -c %s,%Y File) = $(stat -c %s,%Y FILE)
             echo two >> FILE; test $(cat File | wc -l) = 2; echo three >> File; test $(cat FILE | wc -l) = 3
             exec 3<> FILE; truncate -s 2 File; test $(stat -c %s FILE) = 2; printf xyz >&3; test $(cat File) = xyz
             test $(stat -c %h fILE) = 1; rm FILE; test ! -e fILE
             until test ! -e File; do sleep 0.01; done; printf end >&3; exec 3>&-
             echo new > File; test $(cat FILE) = new; test $(ls | wc -l) = 1
             mkdir Dir; echo x > Dir/f; test $(cat DIR/F) = x; echo y >> DIR/f; test $(wc -l < Dir/f) = 2
             mkdir DIR/sub; test -d Dir/sub; rmdir dir/SUB; test ! -e Dir/sub; rm dir/f; rmdir DIR
             until test ! -e Dir; do sleep 0.01; done",
        );
    }
}

#[test]
fn s103_the_case_of_a_name_that_was_looked_at_can_be_changed() {
    for samba in servers() {
        let mount = Mount::new(&samba).options(["actimeo=60"]).start();
        mount.shell(
            "cd mnt; echo x > name; stat NAME Name > /dev/null
             python3 -c \"import os; os.rename('name', 'NAME')\"; test $(ls) = NAME
             python3 -c \"import os; os.rename('Name', 'nAmE')\"; test $(ls) = nAmE; test $(cat name) = x
             mv nAmE name; test $(ls) = name; stat NAME; mv name NAME; test $(ls) = NAME; mv Name name; test $(ls) = name
             mkdir Dir; stat DIR > /dev/null; python3 -c \"import os; os.rename('Dir', 'DIR')\"; ls | grep -qx DIR",
        );
    }
}

/// With POSIX extensions names differ by case.
#[test]
fn s103_names_that_differ_by_case_are_two_files_where_the_server_has_it_so() {
    let samba = Samba::builder().posix().start();
    let mount = Mount::new(&samba).start();
    mount.shell(
        "cd mnt; echo one > File; test ! -e FILE; ln File FILE; test $(stat -c %i,%h File) = $(stat -c %i,%h FILE)
         rm FILE; test -e File; echo two > FILE; test $(cat File) = one; test $(stat -c %i File) != $(stat -c %i FILE)",
    );
}
