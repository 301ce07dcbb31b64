//! A mount's memory is bounded, whatever goes through it.

use std::fs;

use sharefs_tests::{Mount, Samba};

/// The most that a process ever had in memory, in KiB.
fn peak(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the serving process lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the kernel counts");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// The number of the serving process.
fn process(mount: &Mount) -> String {
    mount.shell(
        "for p in $(pgrep -x sharefs); do if grep -aq \"$PWD/mnt\" /proc/$p/cmdline; then echo $p; fi; done",
    )
}

#[test]
fn a_copy_larger_than_the_cache_stays_within_bounds() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["cache-size=64M"]).start();
    let pid = process(&mount);
    mount.shell(
        "head -c 600M /dev/zero > mnt/source; cp mnt/source mnt/copy; cmp mnt/source mnt/copy
         cat mnt/source mnt/copy > /dev/null",
    );
    let peak = peak(pid.trim());
    assert!(peak < 200 << 10, "{peak} KiB");
}

/// Many files, each with a little of its own.
#[test]
fn many_small_files_stay_within_bounds() {
    let samba = Samba::start();
    let mount = Mount::new(&samba).options(["cache-size=16M"]).start();
    let pid = process(&mount);
    mount.shell(
        "mkdir mnt/d; for n in $(seq 1500); do head -c 30000 /dev/zero > mnt/d/$n; done
         for n in 1 2; do cat mnt/d/* | sha256sum > /dev/null; done",
    );
    let peak = peak(pid.trim());
    assert!(peak < 100 << 10, "{peak} KiB");
}
