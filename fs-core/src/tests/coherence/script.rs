//! What the programs of all machines do: drawn from a seed, and printed so that it can be pasted into a test.

use std::time::Duration;

use super::machine::How;
use crate::memory::Random;
use crate::{Caching, MountOptions, RemoteLimits, memory::ServerOptions};

pub(super) const FILES: [&str; 5] = ["a", "b", "c", "d/x", "d/y"];
pub(super) const DIRECTORY: &str = "d";
pub(super) const SLOTS: usize = 2;

/// One system call, and how long the program thinks before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) program: usize,
    pub(super) after: u64,
    pub(super) act: Act,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Open { path: &'static str, slot: usize, how: How },
    Read { slot: usize, at: u64, len: u32 },
    Write { slot: usize, at: u64, len: usize },
    Truncate { path: &'static str, size: u64 },
    TruncateOpen { slot: usize, size: u64 },
    Sync { slot: usize },
    Close { slot: usize },
    Unlink { path: &'static str },
    Rename { from: &'static str, to: &'static str, no_replace: bool },
    MakeDirectory,
    RemoveDirectory,
    List { path: &'static str },
    Stat { path: &'static str },
    Shrink,
}

/// The world that it happens in.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) machines: usize,
    /// Milliseconds.
    pub(super) ttl: u64,
    pub(super) file_leases: Caching,
    pub(super) directory_leases: bool,
    pub(super) epochs: bool,
    pub(super) stalls: u64,
    pub(super) largest: u32,
    pub(super) cache_size: u64,
    /// Milliseconds.
    pub(super) close_timeout: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) world: World,
    pub(super) steps: Vec<Step>,
}

/// The shortest way of a message, in milliseconds.
pub(super) const WAY: u64 = 2;

impl World {
    pub(super) fn server(&self) -> ServerOptions {
        ServerOptions {
            limits: RemoteLimits { max_read: self.largest, max_write: self.largest },
            file_leases: self.file_leases,
            directory_leases: self.directory_leases,
            epochs: self.epochs,
            seed: self.seed,
            way: WAY,
            stalls: self.stalls,
        }
    }

    pub(super) fn mount(&self) -> MountOptions {
        MountOptions {
            attr_ttl: Duration::from_millis(self.ttl),
            dir_attr_ttl: Duration::from_millis(self.ttl),
            cache_size: self.cache_size,
            close_timeout: Duration::from_millis(self.close_timeout),
            ..MountOptions::default()
        }
    }

    fn drawn(random: &mut Random) -> Self {
        let without = |other| Caching::ALL.without(other);
        let handle = Caching { handle: true, ..Caching::NONE };
        let write = Caching { write: true, ..Caching::NONE };
        let file_leases = match random.below(10) {
            0 => Caching::NONE,
            1 => without(handle),
            2 => without(write),
            _ => Caching::ALL,
        };
        Self {
            seed: random.number() % 1_000_000,
            machines: 2 + random.below(2) as usize,
            ttl: pick(random, &[0, 200, 1000]),
            file_leases,
            directory_leases: random.percent(60),
            epochs: random.percent(80),
            stalls: pick(random, &[0, 0, 10]),
            largest: pick(random, &[1 << 20, 100]),
            cache_size: pick(random, &[1 << 20, 1 << 20, 600]),
            close_timeout: pick(random, &[5000, 5000, 300]),
        }
    }
}

impl Script {
    pub(super) fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let world = World::drawn(&mut random);
        let programs = world.machines as u64 + random.below(3);
        let files = &FILES[..1 + random.below(FILES.len() as u64) as usize];
        let count = 10 + random.below(50);
        let pace = pick(&mut random, &[2, 20, 300]);
        let steps = (0..count).map(|_| Step::drawn(&mut random, programs, files, pace)).collect();
        Self { world, steps }
    }
}

impl Step {
    fn drawn(random: &mut Random, programs: u64, files: &[&'static str], pace: u64) -> Self {
        let program = random.below(programs) as usize;
        let after = match random.below(20) {
            0 => random.below(7000),
            1..8 => 0,
            _ => random.below(pace),
        };
        let slot = random.below(SLOTS as u64) as usize;
        let path = pick(random, files);
        let (at, len) = (random.below(5) * random.below(100), 1 + random.below(150));
        let act = match random.below(100) {
            0..24 => Act::Open {
                path,
                slot,
                how: How {
                    write: random.percent(60),
                    create: random.percent(60),
                    exclusive: random.percent(15),
                    truncate: random.percent(15),
                    append: random.percent(10),
                },
            },
            24..44 => Act::Read { slot, at, len: len as u32 * 2 },
            44..62 => Act::Write { slot, at, len: len as usize },
            62..65 => Act::Truncate { path, size: at },
            65..67 => Act::TruncateOpen { slot, size: at },
            67..69 => Act::Sync { slot },
            69..79 => Act::Close { slot },
            79..83 => Act::Unlink { path },
            83..87 => Act::Rename { from: path, to: pick(random, files), no_replace: random.percent(20) },
            87..89 => Act::MakeDirectory,
            89 => Act::RemoveDirectory,
            90..93 => Act::List { path: if path.contains('/') { DIRECTORY } else { "" } },
            93..99 => Act::Stat { path },
            _ => Act::Shrink,
        };
        Self { program, after, act }
    }
}

fn pick<T: Copy>(random: &mut Random, from: &[T]) -> T {
    from[random.below(from.len() as u64) as usize]
}
