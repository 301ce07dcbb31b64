//! What can go wrong with a line or a server, and how it is made.

use std::net::{IpAddr, Ipv4Addr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sharefs_tests::{Damage, Random, Relay, Samba, Way};

/// How long a damage that was asked for may wait for bytes to come by.
const SOON: Duration = Duration::from_secs(3);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Cut(bool),
    CutOne,
    Corrupt(bool),
    Duplicate(bool),
    Stop(bool),
    Slow,
    Refuse,
    Freeze,
    EndSessions,
    KillSessions,
    Restart,
    Crash,
    CloseShare,
    KillClients,
    Password,
    Full,
}

/// What a campaign chooses from; what is here several times strikes more often. Cuts are the commonest in life too.
pub(crate) const FAULTS: &[Fault] = &[
    Fault::Cut(false),
    Fault::Cut(false),
    Fault::Cut(false),
    Fault::Cut(true),
    Fault::Cut(true),
    Fault::Cut(true),
    Fault::Corrupt(false),
    Fault::Corrupt(true),
    Fault::Duplicate(false),
    Fault::Duplicate(true),
    Fault::Stop(false),
    Fault::Stop(true),
    Fault::Slow,
    Fault::Refuse,
    Fault::Freeze,
    Fault::EndSessions,
    Fault::KillSessions,
    Fault::Restart,
    Fault::Crash,
    Fault::CloseShare,
    Fault::KillClients,
    Fault::Password,
    Fault::Full,
];

const fn way(to_client: bool) -> Way {
    if to_client { Way::ToClient } else { Way::ToServer }
}

impl Fault {
    /// What the table calls it.
    pub(crate) fn name(self) -> String {
        let side = |to_client: bool| if to_client { "the server's" } else { "the client's" };
        match self {
            Self::Cut(to_client) => {
                format!("connection cut at a random byte of {} messages", side(to_client))
            }
            Self::CutOne => "one of several connections cut".into(),
            Self::Corrupt(to_client) => format!("a bit turned in {} messages", side(to_client)),
            Self::Duplicate(to_client) => format!("one of {} messages passed on twice", side(to_client)),
            Self::Stop(to_client) => format!("nothing of {} messages passed on for a while", side(to_client)),
            Self::Slow => "delay, and a slow line".into(),
            Self::Refuse => "connection cut, new ones refused for a while".into(),
            Self::Freeze => "SIGSTOP of the server for a while".into(),
            Self::EndSessions => "SIGTERM of the sessions' smbd".into(),
            Self::KillSessions => "SIGKILL of the sessions' smbd".into(),
            Self::Restart => "smbd restarted".into(),
            Self::Crash => "SIGKILL of all smbd, started again after a while".into(),
            Self::CloseShare => "smbcontrol close-share".into(),
            Self::KillClients => "smbcontrol kill-client-ip".into(),
            Self::Password => "connection cut, the password another for a while".into(),
            Self::Full => "the server's disk full for a while".into(),
        }
    }

    /// Whether a program may see this error because of it.
    pub(crate) fn excuses(self, error: &str, what: &str) -> bool {
        match error {
            // S114: who only looks is told after a while.
            "EHOSTDOWN" => true,
            "ENOSPC" | "EDQUOT" | "SQLITE_FULL" => self == Self::Full,
            // S112: a lock that may have been another's while the connection was away.
            "ESTALE" => what == "lock",
            _ if error.starts_with("SQLITE_IOERR") => true,
            _ => false,
        }
    }

    /// Makes it, and unmakes it; `a_while` at most.
    pub(crate) fn strike(self, samba: &mut Samba, relay: &Relay, chance: &mut Random, a_while: Duration) {
        let mut pause = || {
            let millis = u64::try_from(a_while.as_millis()).expect("a while is short");
            sleep(Duration::from_millis(millis / 2 + chance.below(millis / 2 + 1)));
        };
        match self {
            Self::Cut(to_client) => damage(relay, way(to_client), Damage::Cut, chance),
            Self::CutOne => {
                relay.cut_one(|count| chance.below(count as u64) as usize);
            }
            Self::Corrupt(to_client) => damage(relay, way(to_client), Damage::Corrupt, chance),
            Self::Duplicate(to_client) => damage(relay, way(to_client), Damage::Duplicate, chance),
            Self::Stop(to_client) => {
                relay.stop(way(to_client), true);
                pause();
                relay.stop(way(to_client), false);
            }
            Self::Slow => {
                relay.delay(Duration::from_millis(30));
                relay.throttle(1 << 20);
                pause();
                relay.throttle(0);
                relay.delay(Duration::ZERO);
            }
            Self::Refuse => {
                relay.refuse(true);
                relay.cut();
                pause();
                relay.refuse(false);
            }
            Self::Freeze => {
                samba.freeze();
                pause();
                samba.thaw();
            }
            Self::EndSessions => samba.signal_sessions(Signal::TERM),
            Self::KillSessions => samba.signal_sessions(Signal::KILL),
            Self::Restart => samba.restart(),
            Self::Crash => {
                samba.kill_hard();
                pause();
                samba.launch();
            }
            Self::CloseShare => samba.close_share("data"),
            // So the relay's connections look to the server.
            Self::KillClients => samba.kill_clients_of(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            Self::Password => {
                samba.set_password("another one for a while");
                relay.cut();
                pause();
                samba.set_password(samba.password());
            }
            Self::Full => {
                samba.fill_disk();
                pause();
                samba.empty_disk();
            }
        }
    }
}

fn damage(relay: &Relay, way: Way, damage: Damage, chance: &mut Random) {
    // Mostly in small messages, sometimes within large ones.
    let range = chance.one_of(&[500, 5_000, 300_000]);
    relay.damage(way, Some((chance.below(range), damage)));
    let asked = Instant::now();
    while relay.is_armed() && asked.elapsed() < SOON {
        sleep(Duration::from_millis(5));
    }
    relay.damage(way, None);
}
