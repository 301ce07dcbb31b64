//! Random operations from two mounts of a real server, one after the other, against a model of what each may see.
//!
//! What a mount has not done itself it may see late, by as much as `docs/SEMANTICS.md` allows (S4, S5, S20); then it must
//! be right, and whatever it shows until then must have been right before. A failure prints its seed and the shortest
//! script that still fails. `SHAREFS_MODEL_SEEDS` asks for more seeds, `SHAREFS_MODEL_FROM` says which is the first.

mod run;
mod script;
mod state;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sharefs_tests::{Mount, Samba};

use run::Run;
use script::Script;

/// Scripts at once, each in a directory of its own.
const AT_ONCE: usize = 4;
/// How late a mount may be: names, and what was read without a lease (S5), are believed for a second; a busy machine may
/// need one more.
const LAG: Duration = Duration::from_secs(2);

/// Two mounts of a server.
struct World {
    samba: Samba,
    mounts: [Mount; 2],
    /// As in [`Run`].
    names_are_late: bool,
    /// Directories that were used.
    used: AtomicU64,
}

impl World {
    fn new(samba: Samba, options: &[&str]) -> Self {
        let mount = || Mount::new(&samba).options(options.iter().copied()).start();
        let mounts = [mount(), mount()];
        // The server is asked for each otherwise.
        let names_are_late = !options.iter().any(|option| option.starts_with("actimeo"));
        Self { samba, mounts, names_are_late, used: AtomicU64::new(0) }
    }

    /// # Errors
    /// What was wrong.
    fn play(&self, script: &Script) -> Result<(), String> {
        let directory = format!("model{}", self.used.fetch_add(1, Ordering::Relaxed));
        let here = self.samba.share_path().join(&directory);
        Run::new(&self.mounts, &directory, &here, self.names_are_late).play(script)
    }

    /// The shortest script that still fails, and how.
    fn shortest(&self, mut script: Script, mut error: String) -> (Script, String) {
        let mut size = script.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < script.steps.len() {
                let mut shorter = script.clone();
                shorter.steps.drain(at..(at + size).min(script.steps.len()));
                match self.play(&shorter) {
                    Ok(()) => at += size,
                    Err(still) => (script, error) = (shorter, still),
                }
            }
            size /= 2;
        }
        (script, error)
    }

    fn seeds(&self, usual: u64) {
        let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
        let first: u64 = number("SHAREFS_MODEL_FROM").unwrap_or(1);
        let end = first + number("SHAREFS_MODEL_SEEDS").unwrap_or(usual);
        let next = AtomicU64::new(first);
        let failure = Mutex::new(None);
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return;
                        }
                        let script = Script::drawn(seed);
                        if let Err(error) = self.play(&script) {
                            next.store(end, Ordering::Relaxed);
                            *failure.lock().expect("nobody panics") = Some((seed, script, error));
                        }
                    }
                });
            }
        });
        let Some((seed, script, error)) = failure.into_inner().expect("nobody panics") else { return };
        println!("seed {seed} failed: {error}");
        let (script, error) = self.shortest(script, error);
        panic!("seed {seed}: {error}\n{script}");
    }
}

#[test]
fn two_mounts_see_what_the_model_allows() {
    World::new(Samba::start(), &["actimeo=0"]).seeds(80);
}

#[test]
fn two_mounts_see_what_the_model_allows_within_a_second() {
    World::new(Samba::start(), &["closetimeo=1"]).seeds(40);
}

#[test]
fn two_mounts_see_what_the_model_allows_under_leases_of_directories() {
    let samba = Samba::builder().directory_leases().start();
    World::new(samba, &["closetimeo=1"]).seeds(60);
}
