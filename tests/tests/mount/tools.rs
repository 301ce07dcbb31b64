//! Programs that are not ours, on the mount.

use std::fs;

use sharefs_tests::{Content, Mount, Samba, overwrite, sha256, sha256_file};
use smb_client::Cipher;

/// A tree of files and directories of many sizes in the user's home, for tools to copy.
const MAKE_TREE: &str = r#"
mkdir -p tree/{a,b}/{deep/er,empty} "tree/with blank"
for size in 0 1 4095 4096 4097 65536 1048577 5000000; do
    head -c $size /dev/urandom > tree/a/deep/$size
    touch -d "@$((1000000000 + size))" tree/a/deep/$size
done
for i in $(seq 100); do echo "file $i" > "tree/b/deep/er/file $i"; done
echo hidden > tree/.hidden
echo '%' > 'tree/with blank/a:b*c?"<>|\ and a dot.'
echo u > "tree/with blank/üñí 日本語 😀"
touch -d @1234567890 tree/b/deep
"#;

/// Names and checksums of a tree's files.
const SUMS: &str = r#"sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }"#;

fn mounted() -> (Samba, Mount) {
    let samba = Samba::start();
    let mount = Mount::new(&samba).start();
    (samba, mount)
}

/// Runs a script in the user's home, where the mount is `mnt` and the tree of above is `tree`.
fn with_tree(mount: &Mount, script: &str) -> String {
    mount.shell(&format!("{MAKE_TREE}\n{SUMS}\n{script}"))
}

#[test]
fn cp_a() {
    let (_samba, mount) = mounted();
    with_tree(
        &mount,
        r#"cp -a tree mnt/tree
           cp -a mnt/tree back
           diff <(sums tree) <(sums mnt/tree)
           diff <(sums tree) <(sums back)
           times() { (cd $1 && find . -printf '%p %Ts\n' | sort); }
           diff <(times tree) <(times mnt/tree)
           diff <(times tree) <(times back)"#,
    );
}

#[test]
fn cp_a_sealed() {
    let samba = Samba::builder().azure().start();
    let mount = Mount::new(&samba).options(["seal"]).start();
    with_tree(&mount, "cp -a tree mnt/tree; diff <(sums tree) <(sums mnt/tree)");
}

#[test]
fn cp_a_in_small_requests() {
    let samba = Samba::builder().small_io().encryption(Cipher::Aes128Gcm).start();
    let mount = Mount::new(&samba).start();
    with_tree(&mount, "cp -a tree mnt/tree; diff <(sums tree) <(sums mnt/tree)");
}

/// A second mount has nothing of the first one's caches: what it reads is what the server has.
#[test]
fn what_was_copied_is_there_after_mounting_again() {
    let samba = Samba::start();
    let first = Mount::new(&samba).start();
    let sums = with_tree(&first, "cp -a tree mnt/tree; sums mnt/tree");
    let output = first.umount();
    assert!(output.status.success(), "{output:?}");
    let second = Mount::new(&samba).start();
    assert_eq!(second.shell(&format!("{SUMS}\nsums mnt/tree")), sums);
}

#[test]
fn tar() {
    let (_samba, mount) = mounted();
    with_tree(
        &mount,
        r"tar -cf tree.tar tree
          tar -C mnt -xf tree.tar
          diff <(sums tree) <(sums mnt/tree)
          tar -C mnt -cf mnt/again.tar tree
          mkdir back; tar -C back -xf mnt/again.tar
          diff <(sums tree) <(sums back/tree)",
    );
}

#[test]
fn dd() {
    let (samba, mount) = mounted();
    mount.shell(
        "dd if=/dev/urandom of=local bs=1M count=20 status=none
         dd if=local of=mnt/large bs=1M status=none
         dd if=local of=mnt/small bs=4097 status=none
         dd if=local of=mnt/synced bs=1M oflag=sync status=none
         dd if=local of=mnt/flushed bs=64k conv=fsync status=none
         cmp local mnt/large; cmp local mnt/small; cmp local mnt/synced; cmp local mnt/flushed
         dd if=mnt/large bs=333 skip=12345 count=7 status=none | cmp - <(dd if=local bs=333 skip=12345 count=7 status=none)
         dd if=local of=mnt/large bs=1000 seek=77 skip=3 count=5 conv=notrunc status=none
         dd if=local of=local2 bs=1M status=none
         dd if=local of=local2 bs=1000 seek=77 skip=3 count=5 conv=notrunc status=none
         cmp local2 mnt/large
         dd if=local of=mnt/sparse bs=1 count=1 seek=5G status=none
         test $(stat -c %s mnt/sparse) = 5368709121
         echo appended >> mnt/small; test \"$(tail -c 9 mnt/small)\" = appended",
    );
    let share = samba.share_path();
    assert_eq!(sha256_file(&share.join("large")), sha256_file(&mount.home().join("local2")));
}

#[test]
fn find() {
    let (_samba, mount) = mounted();
    with_tree(
        &mount,
        r"cp -r tree mnt/tree
          diff <(cd tree && find . | sort) <(cd mnt/tree && find . | sort)
          diff <(cd tree && find . -type d | sort) <(cd mnt/tree && find . -type d | sort)
          diff <(cd tree && find . -type f -size +1M | sort) <(cd mnt/tree && find . -type f -size +1M | sort)
          test $(find mnt/tree -name 'file *' | wc -l) = 100
          find mnt/tree -name 'file *' -delete
          test $(find mnt/tree -name 'file *' | wc -l) = 0
          rm -r mnt/tree; test -z $(ls -A mnt)",
    );
}

#[test]
fn a_directory_of_ten_thousand_entries() {
    let (samba, mount) = mounted();
    let path = samba.share_path().join("many");
    fs::create_dir(&path).expect("mkdir on the server");
    for i in 0..10_000 {
        fs::write(path.join(format!("entry {i}")), "").expect("write on the server");
    }
    let listed =
        mount.shell("ls -f mnt/many | grep -v '^\\.\\.\\?$' | sort | uniq | wc -l; ls -l mnt/many | wc -l");
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["10000", "10001"]);
}

#[test]
fn git() {
    let (_samba, mount) = mounted();
    mount.shell(
        r#"git config --global user.name tester; git config --global user.email tester@example.org
           git config --global init.defaultBranch main; git config --global gc.auto 0
           git init -q origin; cd origin
           for i in $(seq 50); do mkdir -p d$((i % 5)); echo "content $i" > d$((i % 5))/f$i; done
           git add .; git commit -qm first; echo more >> d1/f1; git commit -qam second; cd ..
           git clone -q "file://$HOME/origin" mnt/clone
           cd mnt/clone
           test -z "$(git status --porcelain)"
           echo change >> d2/f2; git mv d3/f3 renamed; git rm -q d4/f4
           git commit -qam third; git push -q origin HEAD:refs/heads/pushed
           git checkout -q HEAD~1; git checkout -q main
           test -z "$(git status --porcelain)"
           git gc -q; git fsck --strict
           cd; test "$(git -C origin log -1 --format=%s pushed)" = third
           git clone -q mnt/clone again; diff -r --exclude .git again mnt/clone"#,
    );
}

#[test]
fn rsync() {
    let (_samba, mount) = mounted();
    let second = with_tree(
        &mount,
        r"rsync -rt tree/ mnt/tree/
          diff <(sums tree) <(sums mnt/tree)
          echo changed > tree/a/deep/4096; rm tree/a/deep/4097
          rsync -rt --delete tree/ mnt/tree/
          diff <(sums tree) <(sums mnt/tree)
          rsync -rtn --itemize-changes --delete tree/ mnt/tree/
          rsync -rt --inplace --no-whole-file tree/ mnt/tree/
          rsync -rt mnt/tree/ back/; diff <(sums tree) <(sums back)",
    );
    assert_eq!(second.trim(), "", "a third time there is nothing to do");
}

#[test]
fn sqlite() {
    let (_samba, mount) = mounted();
    let said = mount.shell(
        r"for mode in delete truncate persist; do
            db=mnt/$mode.db
            sqlite3 $db 'CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);' >/dev/null
            sqlite3 $db <<END
PRAGMA journal_mode=$mode;
PRAGMA synchronous=FULL;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
INSERT INTO t SELECT i, 'text ' || i FROM n;
COMMIT;
UPDATE t SET text = text || ' changed' WHERE id % 3 = 0;
DELETE FROM t WHERE id % 7 = 0;
VACUUM;
END
            sqlite3 $db 'PRAGMA integrity_check; SELECT count(*), sum(length(text)) FROM t;'
          done",
    );
    assert_eq!(said.matches("ok\n").count(), 3, "{said}");
    assert_eq!(said.matches("\n4286|").count(), 3, "{said}");
}

/// Many programs at once, each in a directory of its own.
#[test]
fn many_at_once() {
    let (_samba, mount) = mounted();
    with_tree(
        &mount,
        r"for i in 1 2 3 4 5 6 7 8; do (cp -a tree mnt/tree$i && diff <(sums tree) <(sums mnt/tree$i)) & done
          for job in $(jobs -p); do wait $job; done",
    );
}

#[test]
fn what_another_client_changes_is_seen() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["actimeo=0"]).start();
    for i in 0..5_u64 {
        let content = Content::new(i).bytes(1000 * i as usize + 10);
        overwrite(&samba, "file", content.clone());
        let seen = mount.shell("sha256sum < mnt/file");
        assert_eq!(seen.split_whitespace().next(), Some(sha256(&content).as_str()));
    }
    fs::remove_file(samba.share_path().join("file")).expect("unlink on the server");
    mount.shell("test ! -e mnt/file");
}
