//! Programs that check what they do, on a mount whose server and line are broken all the time.
//!
//! All tests include the short campaigns, on the installed server; `make faults` runs the long ones, for `SHAREFS_FAULT_SECONDS` each (600), from
//! `SHAREFS_FAULT_SEED` (the time), all four setups or number `SHAREFS_FAULT_SETUP` of them, and writes `docs/RELIABILITY.md`. What a seed did is done again by the same seed, as
//! far as the machine's own timing allows.

#![forbid(unsafe_code)]
#![cfg(unix)]

mod campaign;
mod fault;
mod program;
mod report;

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use campaign::{Campaign, Setup};
use sharefs_tests::{Samba, SambaBuilder};

/// A server that keeps opens for clients whose connection broke.
fn durable() -> SambaBuilder {
    let builder = Samba::builder().share("kernel share modes", "no").share("kernel oplocks", "no");
    builder.share("posix locking", "no")
}

fn newer() -> SambaBuilder {
    durable().newer()
}

const PLAIN: Setup = Setup { heading: "## Samba 4.17", samba: Samba::builder, channels: 1 };
const DURABLE: Setup = Setup { heading: "## Samba 4.17, durable handles", samba: durable, channels: 1 };
const NEWER: Setup = Setup { heading: "## Samba 4.22, durable handles", samba: newer, channels: 1 };
const CHANNELS: Setup = Setup { heading: "## Samba 4.22, four connections", samba: newer, channels: 4 };

/// The part of a campaign that all tests include.
const SHORT: Duration = Duration::from_secs(40);

fn short(setup: &Setup, seed: u64) {
    Campaign::new(setup, seed, Duration::from_secs(2)).run(SHORT);
}

#[test]
fn nothing_is_lost_where_opens_end_with_their_connection() {
    short(&PLAIN, 1);
}

#[test]
fn nothing_is_lost_where_opens_are_kept() {
    short(&DURABLE, 2);
}

#[test]
fn nothing_is_lost_with_several_connections() {
    short(&CHANNELS, 3);
}

fn variable(name: &str, otherwise: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => otherwise,
    }
}

#[test]
#[ignore = "make faults runs it"]
fn long() {
    let duration = Duration::from_secs(variable("SHAREFS_FAULT_SECONDS", 600));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let seed = variable("SHAREFS_FAULT_SEED", now);
    let wanted = variable("SHAREFS_FAULT_SETUP", 0);
    for (number, setup) in (1..).zip([&PLAIN, &DURABLE, &NEWER, &CHANNELS]) {
        if wanted != 0 && wanted != number {
            continue;
        }
        let report = Campaign::new(setup, seed, Duration::from_secs(10)).run(duration);
        report.write(setup.heading);
    }
}
