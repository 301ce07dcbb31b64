//! The shortest scripts of what once failed.

use super::script::{Script, Step, World};
use super::*;
use crate::Caching;

const READ_HANDLE: Caching = Caching { write: false, ..Caching::ALL };
const READ_WRITE: Caching = Caching { handle: false, ..Caching::ALL };

const WORLD: World = World {
    seed: 0,
    machines: 3,
    ttl: 200,
    file_leases: Caching::ALL,
    directory_leases: true,
    epochs: true,
    stalls: 0,
    largest: 100,
    cache_size: 1 << 20,
    close_timeout: 5000,
};

/// Opens as the letters say: write, create, exclusive, truncate, append.
fn open(path: &'static str, slot: usize, letters: &str) -> Act {
    let [write, create, exclusive, truncate, append] =
        ['w', 'c', 'x', 't', 'a'].map(|it| letters.contains(it));
    Act::Open { path, slot, how: How { write, create, exclusive, truncate, append } }
}

fn rename(from: &'static str, to: &'static str) -> Act {
    Act::Rename { from, to, no_replace: false }
}

/// Programs, how long they think first, and what they do; with some more delays than those it once failed with.
#[track_caller]
fn passes(world: World, steps: &[(usize, u64, Act)]) {
    let steps: Vec<Step> = steps.iter().map(|&(program, after, act)| Step { program, after, act }).collect();
    for more in 0..40 {
        let world = World { seed: world.seed + more, ..world };
        if let Err(error) = play(&Script { world, steps: steps.clone() }) {
            panic!("{world:?}: {error}");
        }
    }
}

#[test]
fn a_kept_listing_does_not_show_what_was_deleted_while_open() {
    let world = World { seed: 200_847, machines: 2, file_leases: Caching::NONE, stalls: 10, ..WORLD };
    passes(
        world,
        &[(0, 265, open("b", 0, "c")), (0, 0, Act::Unlink { path: "b" }), (0, 4020, Act::List { path: "" })],
    );
}

#[test]
fn a_rename_that_may_not_replace_says_busy_of_a_name_being_deleted() {
    let world = World { seed: 200_847, machines: 2, file_leases: Caching::NONE, stalls: 10, ..WORLD };
    let rename = Act::Rename { from: "a", to: "b", no_replace: true };
    passes(
        world,
        &[
            (0, 265, open("b", 0, "c")),
            (0, 292, rename),
            (1, 285, rename),
            (1, 0, Act::Unlink { path: "b" }),
            (2, 105, open("a", 1, "wc")),
        ],
    );
}

#[test]
fn a_lease_that_is_being_taken_back_is_not_granted_again() {
    let world = World { seed: 287_908, machines: 2, file_leases: READ_HANDLE, close_timeout: 300, ..WORLD };
    passes(
        world,
        &[
            (0, 4489, Act::Close { slot: 1 }),
            (2, 1, Act::List { path: "" }),
            (0, 0, Act::List { path: "" }),
            (2, 0, open("b", 0, "w")),
            (1, 0, open("b", 1, "c")),
            (1, 1, rename("b", "a")),
            (1, 1, open("c", 1, "c")),
            (0, 0, open("b", 0, "wc")),
            (2, 0, Act::List { path: "" }),
            (1, 1, open("b", 0, "wcx")),
        ],
    );
}

#[test]
fn an_open_file_does_not_vouch_for_its_name() {
    let world = World { seed: 266, cache_size: 600, ..WORLD };
    passes(
        world,
        &[
            (1, 9, open("a", 0, "wca")),
            (0, 19, Act::List { path: "" }),
            (0, 0, open("a", 1, "w")),
            (1, 17, open("a", 0, "wc")),
            (0, 874, Act::List { path: "" }),
            (1, 11, Act::Unlink { path: "a" }),
        ],
    );
}

#[test]
fn a_stat_does_not_hide_a_change_from_the_kernel() {
    let world = World { seed: 580_415, ttl: 0, file_leases: READ_HANDLE, directory_leases: false, ..WORLD };
    passes(
        world,
        &[
            (0, 0, open("a", 0, "wc")),
            (0, 12, Act::Close { slot: 1 }),
            (0, 6, Act::Truncate { path: "a", size: 33 }),
            (1, 5, open("a", 1, "wc")),
            (2, 13, Act::Truncate { path: "a", size: 104 }),
            (1, 0, Act::Stat { path: "a" }),
            (0, 0, Act::Truncate { path: "a", size: 384 }),
            (1, 1, Act::Write { slot: 1, at: 33, len: 97 }),
        ],
    );
}

#[test]
fn a_listing_shows_the_size_of_what_is_not_sent() {
    let world = World { seed: 684_582, file_leases: READ_WRITE, largest: 1 << 20, ..WORLD };
    passes(
        world,
        &[
            (1, 1, open("b", 0, "wcx")),
            (4, 1, Act::Truncate { path: "d/y", size: 0 }),
            (1, 0, Act::Write { slot: 0, at: 174, len: 19 }),
            (4, 1, open("b", 0, "")),
            (1, 0, Act::List { path: "" }),
            (1, 0, Act::Read { slot: 0, at: 124, len: 212 }),
        ],
    );
}

#[test]
fn a_listing_does_not_outlive_what_was_written_before_it() {
    let world = World { seed: 643_204, stalls: 10, close_timeout: 300, ..WORLD };
    passes(
        world,
        &[
            (1, 0, Act::List { path: "" }),
            (1, 650, open("b", 1, "wcx")),
            (1, 0, Act::Write { slot: 1, at: 128, len: 17 }),
            (1, 32, Act::List { path: "" }),
        ],
    );
}

#[test]
fn an_open_under_another_key_is_not_kept() {
    let world = World { seed: 462_651, ttl: 1000, epochs: false, largest: 1 << 20, ..WORLD };
    passes(
        world,
        &[
            (3, 0, open("b", 0, "wc")),
            (0, 1, open("b", 1, "wc")),
            (0, 0, open("a", 1, "wc")),
            (1, 2518, rename("a", "b")),
        ],
    );
}

#[test]
fn a_deleted_directory_is_not_kept_open() {
    let world = World {
        seed: 819_891,
        ttl: 1000,
        file_leases: Caching::NONE,
        largest: 1 << 20,
        close_timeout: 300,
        ..WORLD
    };
    passes(
        world,
        &[
            (2, 0, open("b", 1, "c")),
            (0, 0, open("a", 0, "wc")),
            (4, 1, Act::MakeDirectory),
            (2, 1, Act::RemoveDirectory),
            (0, 1, Act::List { path: "d" }),
        ],
    );
}

#[test]
fn a_break_is_answered_under_the_key_that_it_came_with() {
    let world = World { seed: 91_875, directory_leases: false, largest: 1 << 20, ..WORLD };
    let mut steps = Vec::new();
    for after in 0..10 {
        for (program, late) in [(0, 0), (3, 0), (1, after)] {
            steps.extend([
                (program, 300 + late, open("a", 0, "wc")),
                (program, 100 - late, Act::Close { slot: 0 }),
            ]);
        }
        steps.push((1, 50, Act::Unlink { path: "a" }));
    }
    passes(world, &steps);
}

#[test]
fn a_listing_of_an_empty_directory_is_not_kept_past_a_creation() {
    let world = World { machines: 2, file_leases: Caching::NONE, ..WORLD };
    let mut steps = Vec::new();
    for after in 0..20 {
        steps.extend([
            (0, 1000, Act::List { path: "" }),
            (0, 12, Act::List { path: "" }),
            (2, 885 + after, open("a", 0, "wc")),
            (2, 100, Act::Close { slot: 0 }),
            // Another machine, so that the lease is taken back and the directory empty and unknown again.
            (1, 1030, Act::Unlink { path: "a" }),
        ]);
    }
    passes(world, &steps);
}

#[test]
fn an_open_does_not_bring_back_the_size_from_before_a_truncation() {
    let world = World { machines: 2, ttl: 0, stalls: 10, close_timeout: 300, ..WORLD };
    let mut steps = vec![(0, 0, open("a", 0, "wc")), (0, 0, Act::Write { slot: 0, at: 0, len: 90 })];
    // One program's opens and another's changes of size, at all distances.
    for after in 0..24 {
        steps.extend([
            (0, 0, Act::Close { slot: 0 }),
            (0, 400, open("a", 0, "wc")),
            (0, 20, Act::Read { slot: 0, at: 0, len: 200 }),
            (2, 400 + after, Act::Truncate { path: "a", size: 3 * after }),
        ]);
    }
    passes(world, &steps);
}

#[test]
fn a_rename_over_what_is_just_being_deleted_goes_on() {
    let world = World {
        seed: 460_851,
        ttl: 0,
        directory_leases: false,
        stalls: 10,
        cache_size: 600,
        largest: 1 << 20,
        ..WORLD
    };
    passes(
        world,
        &[
            (2, 0, Act::Truncate { path: "b", size: 0 }),
            (3, 0, open("a", 1, "wct")),
            (4, 0, open("b", 1, "w")),
            (4, 0, Act::Stat { path: "a" }),
            (2, 0, Act::List { path: "" }),
            (4, 1, open("b", 1, "wc")),
            (4, 0, open("b", 0, "")),
            (3, 0, rename("b", "a")),
            (2, 0, Act::Unlink { path: "a" }),
            (4, 0, Act::Sync { slot: 1 }),
        ],
    );
}

#[test]
fn an_answer_from_before_a_write_does_not_cut_the_file() {
    let world =
        World { file_leases: READ_WRITE, directory_leases: false, epochs: false, stalls: 10, ..WORLD };
    let mut steps = Vec::new();
    for name in ["a", "b", "c"] {
        steps.extend([
            (1, 100, open(name, 0, "wc")),
            (1, 0, Act::Write { slot: 0, at: 148, len: 24 }),
            (1, 0, Act::Read { slot: 0, at: 18, len: 204 }),
            (1, 100, Act::Read { slot: 0, at: 18, len: 204 }),
            (2, 105, Act::Stat { path: name }),
            (2, 1, Act::Unlink { path: name }),
        ]);
    }
    passes(world, &steps);
}

#[test]
fn a_name_that_leads_elsewhere_now_can_be_created() {
    let world = World { seed: 94_458, ttl: 0, largest: 1 << 20, ..WORLD };
    passes(
        world,
        &[
            (2, 0, open("a", 0, "wc")),
            (1, 0, open("a", 1, "wc")),
            (1, 0, Act::Unlink { path: "a" }),
            (2, 1, Act::List { path: "" }),
            (1, 1, Act::Read { slot: 0, at: 24, len: 136 }),
            (0, 0, Act::Truncate { path: "a", size: 132 }),
            (2, 0, open("a", 1, "wc")),
        ],
    );
}

#[test]
fn a_name_moved_into_a_directory_without_a_lease_is_not_believed_for_ever() {
    let world = World { seed: 920_521, machines: 2, ttl: 1000, ..WORLD };
    passes(
        world,
        &[
            (0, 15, Act::List { path: "" }),
            (1, 0, open("a", 1, "wct")),
            (0, 5, Act::MakeDirectory),
            (0, 11, rename("a", "d/x")),
            (1, 3911, Act::Rename { from: "d/x", to: "a", no_replace: true }),
        ],
    );
}

#[test]
fn the_kernel_hears_of_a_lease_that_the_mount_gives_up_itself() {
    let world = World { seed: 486_936, ttl: 1000, epochs: false, largest: 1 << 20, ..WORLD };
    passes(
        world,
        &[
            (2, 0, Act::Stat { path: "a" }),
            (3, 0, Act::MakeDirectory),
            (2, 0, open("d/x", 0, "ct")),
            (0, 207, Act::List { path: "d" }),
            (0, 0, Act::RemoveDirectory),
            (4, 262, Act::Unlink { path: "d/x" }),
        ],
    );
}

#[test]
fn an_open_tells_the_kernel_of_another_size() {
    let world = World { seed: 979_298, machines: 2, ttl: 1000, close_timeout: 300, ..WORLD };
    passes(
        world,
        &[
            (1, 53, open("d/x", 0, "c")),
            (1, 0, open("c", 0, "wc")),
            (2, 282, open("c", 0, "cx")),
            (1, 0, Act::Write { slot: 0, at: 44, len: 135 }),
            (1, 234, Act::Read { slot: 0, at: 48, len: 242 }),
            (2, 289, open("c", 0, "c")),
            (2, 259, open("d/y", 1, "wt")),
            (2, 229, Act::Read { slot: 0, at: 0, len: 256 }),
        ],
    );
}
