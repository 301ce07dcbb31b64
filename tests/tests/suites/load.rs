//! Programs that put a file system under load and look whether it holds.

use crate::{CACHE_MODES, mounted, run};

/// Blocks in random order, each with its checksum, which is then verified.
fn fio(arguments: &str) {
    for cache in CACHE_MODES {
        let (_samba, mount) = mounted(cache);
        run(
            &mount,
            cache,
            &format!(
                "fio --directory=mnt --rw=randwrite --verify=crc32c --verify_fatal=1 --fallocate=none \
                 --randseed=7 {arguments}"
            ),
        );
    }
}

#[test]
fn fio_with_system_calls() {
    fio("--name=small --ioengine=psync --bs=4k --size=8M --numjobs=2 \
         --name=large --ioengine=psync --bs=64k --size=32M --end_fsync=1");
}

#[test]
fn fio_with_mappings() {
    fio("--name=small --ioengine=mmap --bs=4k --size=8M --name=large --ioengine=mmap --bs=64k --size=16M");
}

/// Stressors that check what they do. Those that need modes (`access`, `chmod`), links or special files are left out.
const STRESSORS: &[&str] = &[
    "chdir",
    "copy-file",
    "dentry",
    "dir",
    "dirdeep",
    "dirmany",
    "fcntl",
    "filename",
    "flock",
    "fstat",
    "hdd",
    "io",
    "lease",
    "lockf",
    "lockofd",
    "open",
    "rename",
    "sync-file",
    "touch",
    "utime",
];

#[test]
fn stress_ng() {
    let (_samba, mount) = mounted("");
    let failures: Vec<String> = STRESSORS
        .iter()
        .filter_map(|stressor| {
            let command = format!("stress-ng --temp-path mnt --verify --timeout 1s --{stressor} 2 2>&1");
            let output = mount.shell_output(&command);
            let left = mount.shell("ls -AR mnt; rm -rf mnt/*");
            if output.status.success() && left == "mnt:\n" {
                return None;
            }
            let said = String::from_utf8_lossy(&output.stdout);
            Some(format!("{stressor}: {}; left behind: {left}\n{said}", output.status))
        })
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What an office's file server is asked, by two clients at once.
#[test]
fn dbench() {
    let (_samba, mount) = mounted("");
    let said = run(&mount, "", "dbench -D mnt -t 5 -c /usr/share/dbench/client.txt 2");
    assert!(said.contains("Throughput"), "{said}");
}
