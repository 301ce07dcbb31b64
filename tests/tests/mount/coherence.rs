//! What one client does, and when another sees it: each operation with each way to look.
//!
//! Two mounts of one server, and a client without a mount as the third. A looker has looked before, so that whatever
//! it may cache is cached. Then it must see the change within the time that attributes are believed, and at once in
//! the rows that say so.

mod party;

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use sharefs_tests::{Mount, Samba};

use self::party::{Client, Party, Program, SET_TIME};

/// The attribute TTL of a mount (S20) and what a look may take. A look that begins later must be right.
const BOUND: Duration = Duration::from_millis(1500);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create,
    Write,
    Append,
    Truncate,
    Delete,
    RenameFile,
    RenameDirectory,
    MakeDirectory,
    RemoveDirectory,
    ReadOnly,
    Utimes,
}

/// How it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Observation {
    /// Kind, size and whether it may be written.
    Stat,
    /// The same of a name that was absent before.
    Lookup,
    /// The time of modification.
    Time,
    /// Reading through a new open.
    Read,
    /// Reading through a descriptor that was open before.
    Held,
    /// The names in a directory.
    List,
}

/// One cell of the matrix.
#[derive(Clone, Copy, Debug)]
struct Row {
    operation: Operation,
    observation: Observation,
    /// Where the looker looks, from the row's own directory on.
    at: &'static str,
    expected: &'static str,
    /// Whether the first look must be right already.
    immediately: bool,
}

/// A look may be late.
const EVENTUALLY: bool = false;
/// A look must be right at once.
const IMMEDIATELY: bool = true;

const fn row(
    operation: Operation,
    observation: Observation,
    at: &'static str,
    expected: &'static str,
    immediately: bool,
) -> Row {
    Row { operation, observation, at, expected, immediately }
}

use Observation::{Held, List, Lookup, Read, Stat, Time};
use Operation::{
    Append, Create, Delete, MakeDirectory, ReadOnly, RemoveDirectory, RenameDirectory, RenameFile, Truncate,
    Utimes, Write as Overwrite,
};

/// Immediate is what nobody may remember: a name that was absent. A server does not wait for the answer to the break
/// of a lease that only allows to read, so that such a break may still be on its way when the writer goes on.
const ROWS: &[Row] = &[
    row(Create, Lookup, "it", "file 0 rw", IMMEDIATELY),
    row(Create, Read, "it", "", IMMEDIATELY),
    row(Create, List, "", "it", EVENTUALLY),
    row(Overwrite, Stat, "it", "file 3 rw", EVENTUALLY),
    row(Overwrite, Read, "it", "NEW", EVENTUALLY),
    row(Overwrite, Held, "it", "NEW", EVENTUALLY),
    row(Overwrite, List, "", "it", EVENTUALLY),
    row(Append, Stat, "it", "file 7 rw", EVENTUALLY),
    row(Append, Read, "it", "oldmore", EVENTUALLY),
    row(Append, Held, "it", "oldmore", EVENTUALLY),
    row(Truncate, Stat, "it", "file 1 rw", EVENTUALLY),
    row(Truncate, Read, "it", "o", EVENTUALLY),
    row(Truncate, Held, "it", "o", EVENTUALLY),
    row(Delete, Stat, "it", "absent", EVENTUALLY),
    row(Delete, Read, "it", "absent", EVENTUALLY),
    row(Delete, Held, "it", "old", EVENTUALLY),
    row(Delete, List, "", "", EVENTUALLY),
    row(RenameFile, Stat, "it", "absent", EVENTUALLY),
    row(RenameFile, Lookup, "new", "file 3 rw", IMMEDIATELY),
    row(RenameFile, Read, "new", "old", IMMEDIATELY),
    row(RenameFile, Held, "it", "old", EVENTUALLY),
    row(RenameFile, List, "", "new", EVENTUALLY),
    row(RenameDirectory, Stat, "it", "absent", EVENTUALLY),
    row(RenameDirectory, Stat, "it/inner", "absent", EVENTUALLY),
    row(RenameDirectory, Lookup, "new", "directory", IMMEDIATELY),
    row(RenameDirectory, Lookup, "new/inner", "file 3 rw", IMMEDIATELY),
    row(RenameDirectory, Read, "new/inner", "old", IMMEDIATELY),
    row(RenameDirectory, List, "", "new", EVENTUALLY),
    row(RenameDirectory, List, "new", "inner", IMMEDIATELY),
    row(MakeDirectory, Lookup, "it", "directory", IMMEDIATELY),
    row(MakeDirectory, List, "", "it", EVENTUALLY),
    row(MakeDirectory, List, "it", "", IMMEDIATELY),
    row(RemoveDirectory, Stat, "it", "absent", EVENTUALLY),
    row(RemoveDirectory, List, "", "", EVENTUALLY),
    row(ReadOnly, Stat, "it", "file 3 ro", EVENTUALLY),
    row(ReadOnly, Read, "it", "old", EVENTUALLY),
    row(Utimes, Time, "it", "1000000000", EVENTUALLY),
];

impl Row {
    /// Makes what is to be changed, lets the looker look, changes it, and says what was wrong to be seen then.
    fn play(
        &self,
        directory: &str,
        patient: bool,
        actor: &mut dyn Party,
        looker: &mut dyn Party,
    ) -> Result<(), String> {
        let it = format!("{directory}/it");
        actor.make_directory(directory);
        match self.operation {
            Create | MakeDirectory => {}
            RemoveDirectory => actor.make_directory(&it),
            RenameDirectory => {
                actor.make_directory(&it);
                actor.make(&format!("{it}/inner"), "old");
            }
            _ => actor.make(&it, "old"),
        }
        let at = format!("{directory}/{}", self.at);
        let at = at.trim_end_matches('/');
        if self.observation == Held {
            looker.hold(at);
        }
        looker.observe(self.observation, at);

        actor.act(self.operation, directory);
        let done = Instant::now();
        loop {
            let began = done.elapsed();
            let seen = looker.observe(self.observation, at);
            if seen == self.expected {
                return Ok(());
            }
            if (self.immediately && !patient) || began > BOUND {
                return Err(format!(
                    "{:?}, then {:?} of {:?}: {seen:?} instead of {:?} after {began:?}",
                    self.operation, self.observation, self.at, self.expected
                ));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Plays all rows at once, each with parties of its own in a directory of its own.
///
/// `patient` where names that are absent are remembered too: the server tells of a new one, and waits for nobody.
fn play(
    patient: bool,
    actor: &(dyn Fn() -> Box<dyn Party> + Sync),
    looker: &(dyn Fn() -> Box<dyn Party> + Sync),
) {
    let mut wrong = String::new();
    thread::scope(|scope| {
        let plays: Vec<_> = ROWS
            .iter()
            .enumerate()
            .map(|(number, row)| {
                scope.spawn(move || row.play(&format!("row{number}"), patient, &mut *actor(), &mut *looker()))
            })
            .collect();
        for play in plays {
            match play.join() {
                Ok(Ok(())) => {}
                Ok(Err(message)) => writeln!(wrong, "{message}").expect("writing to a string"),
                Err(_) => wrong.push_str("a party could not do its part; see above\n"),
            }
        }
    });
    assert!(wrong.is_empty(), "\n{wrong}");
}

fn program(mount: &Mount) -> impl Fn() -> Box<dyn Party> + Sync {
    move || Box::new(Program::start(mount))
}

fn client(samba: &Samba) -> impl Fn() -> Box<dyn Party> + Sync {
    move || Box::new(Client::connect(samba))
}

/// The installed Samba, where attributes and names are believed for a second; and one that grants leases of
/// directories, where they would be believed for a minute if no lease were broken.
fn servers() -> [(bool, &'static str, Samba); 2] {
    let leases = Samba::builder().directory_leases().start();
    [(false, "actimeo=1", Samba::start()), (true, "actimeo=60", leases)]
}

#[test]
fn one_mount_sees_what_another_does() {
    for (patient, option, samba) in servers() {
        let (one, other) =
            (Mount::new(&samba).options([option]).start(), Mount::new(&samba).options([option]).start());
        play(patient, &program(&one), &program(&other));
    }
}

#[test]
fn a_mount_sees_what_a_client_does() {
    for (patient, option, samba) in servers() {
        let mount = Mount::new(&samba).options([option]).start();
        play(patient, &client(&samba), &program(&mount));
    }
}

#[test]
fn a_client_sees_what_a_mount_does() {
    for (patient, option, samba) in servers() {
        let mount = Mount::new(&samba).options([option]).start();
        play(patient, &program(&mount), &client(&samba));
    }
}

/// The table names the time that the parties set.
#[test]
fn the_rows_are_consistent() {
    for row in ROWS.iter().filter(|row| row.operation == Utimes) {
        assert_eq!(row.expected, SET_TIME.to_string());
    }
}
