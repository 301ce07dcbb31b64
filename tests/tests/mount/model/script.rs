//! What is done, drawn from a seed.

use std::fmt;

use sharefs_tests::Random;

pub(super) const FILES: [&str; 4] = ["a", "b", "c", "d"];
pub(super) const SLOTS: usize = 2;

/// One system call on one of the mounts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) mount: usize,
    pub(super) act: Act,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    Open {
        path: usize,
        slot: usize,
        how: How,
    },
    Read {
        slot: usize,
        at: usize,
        len: usize,
    },
    Write {
        slot: usize,
        at: usize,
        len: usize,
    },
    Truncate {
        path: usize,
        size: usize,
    },
    TruncateOpen {
        slot: usize,
        size: usize,
    },
    Sync {
        slot: usize,
    },
    Close {
        slot: usize,
    },
    Unlink {
        path: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Stat {
        path: usize,
    },
    List,
    /// Milliseconds.
    Wait(u64),
}

/// What open(2) is asked for, beside reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub(super) write: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) append: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
}

impl Script {
    pub(super) fn drawn(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (files, count) = (1 + random.below(FILES.len() as u64), 10 + random.below(50));
        // Sizes of a few bytes, or of a few pages.
        let scale = random.one_of(&[1, 60]);
        Self { steps: (0..count).map(|_| Step::drawn(&mut random, files, scale)).collect() }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "  mount {}: {:?}", step.mount, step.act))
    }
}

impl Step {
    fn drawn(random: &mut Random, files: u64, scale: u64) -> Self {
        let mut percent = |of: u64| random.below(100) < of;
        let how = How {
            write: percent(60),
            create: percent(60),
            exclusive: percent(15),
            truncate: percent(15),
            append: percent(15),
        };
        // What does not go together is left out.
        let how = How {
            exclusive: how.exclusive && how.create,
            truncate: how.truncate && how.write && !how.exclusive,
            append: how.append && how.write,
            ..how
        };
        let mount = random.below(2) as usize;
        let (path, slot) = (random.below(files) as usize, random.below(SLOTS as u64) as usize);
        let at = (random.below(5) * random.below(100) * scale) as usize;
        let len = (1 + random.below(150) * scale) as usize;
        let act = match random.below(100) {
            0..26 => Act::Open { path, slot, how },
            26..44 => Act::Read { slot, at, len },
            44..62 => Act::Write { slot, at, len },
            62..65 => Act::Truncate { path, size: at },
            65..67 => Act::TruncateOpen { slot, size: at },
            67..69 => Act::Sync { slot },
            69..78 => Act::Close { slot },
            78..83 => Act::Unlink { path },
            83..88 => Act::Rename { from: path, to: random.below(files) as usize },
            88..91 => Act::List,
            91..98 => Act::Stat { path },
            _ => Act::Wait(random.below(700)),
        };
        Self { mount, act }
    }
}
