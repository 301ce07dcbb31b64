//! The leases of the server in memory: who holds what, and what is being taken back ([MS-SMB2] 3.3.4.7, 3.3.5.9.8,
//! 3.3.5.22.2).

use std::collections::BTreeMap;
use std::time::Duration;

use smb_proto::NtStatus;
use tokio::time::Instant;

use crate::remote::{Caching, Granted, LeaseAsk, LeaseKey, RemoteEvent};

/// How long a holder has to answer.
const PATIENCE: Duration = Duration::from_secs(35);

/// A client and its key. Nothing that a holder does breaks its own lease.
pub(super) type Holder = (u32, LeaseKey);

#[derive(Debug)]
struct Lease {
    object: u64,
    /// What is held; while it is taken back, what was held before.
    state: Caching,
    broken: Option<Broken>,
    epoch: u16,
    opens: u32,
}

/// A break that is to be acknowledged.
#[derive(Debug)]
struct Broken {
    to: Caching,
    /// What others want it to be by now; less than `to` is another break after this one.
    want: Caching,
    since: Instant,
}

/// All leases of the server.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<Holder, Lease>,
    /// Breaks to be sent.
    outgoing: Vec<(u32, RemoteEvent)>,
    /// Breaks that were not acknowledged in time.
    timeouts: u64,
}

impl Leases {
    /// A key belongs to one file.
    pub(super) fn belongs(&self, holder: Holder, object: u64) -> bool {
        self.held.get(&holder).is_none_or(|lease| lease.object == object)
    }

    /// An open with a lease: grants what is wanted and allowed, never less than is held.
    pub(super) fn open(&mut self, client: u32, ask: &LeaseAsk, object: u64, allowed: Caching) -> Granted {
        let granted = whole(ask.want.and(allowed));
        let holder = (client, ask.key);
        let Some(lease) = self.held.get_mut(&holder) else {
            let lease = Lease { object, state: granted, broken: None, epoch: 1, opens: 1 };
            self.held.insert(holder, lease);
            return Granted { caching: granted, epoch: Some(1), breaking: false };
        };
        lease.opens += 1;
        let is_more = granted.without(lease.state) != Caching::NONE;
        if lease.broken.is_none() && is_more && lease.state.without(granted) == Caching::NONE {
            lease.state = granted;
            lease.epoch = lease.epoch.wrapping_add(1);
        }
        Granted { caching: lease.state, epoch: Some(lease.epoch), breaking: lease.broken.is_some() }
    }

    /// An open that had asked for a lease is closed; with the last one the lease ends.
    pub(super) fn closed(&mut self, holder: Holder) {
        if let Some(lease) = self.held.get_mut(&holder) {
            lease.opens -= 1;
            if lease.opens == 0 {
                self.held.remove(&holder);
            }
        }
    }

    /// Takes `what` of an object back from all but one. Whether somebody has yet to give it back.
    pub(super) fn take_back(&mut self, object: u64, except: Option<Holder>, what: Caching) -> bool {
        let mut waits = false;
        for (holder, lease) in &mut self.held {
            if lease.object != object || Some(*holder) == except || what.and(lease.state) == Caching::NONE {
                continue;
            }
            waits = true;
            match &mut lease.broken {
                Some(broken) => broken.want = whole(broken.want.without(what)),
                None => {
                    let to = whole(lease.state.without(what));
                    self.outgoing.extend(lease.take_back(*holder, to));
                }
            }
        }
        waits
    }

    /// A holder agrees to a break.
    pub(super) fn acknowledge(&mut self, holder: Holder, keep: Caching) -> Result<(), NtStatus> {
        let lease = self.held.get_mut(&holder).ok_or(NtStatus::OBJECT_NAME_NOT_FOUND)?;
        let broken = lease.broken.take_if(|broken| keep.without(broken.to) == Caching::NONE);
        let broken = broken.ok_or(NtStatus::UNSUCCESSFUL)?;
        lease.state = keep;
        let want = keep.and(broken.want);
        if want != keep {
            self.outgoing.extend(lease.take_back(holder, want));
        }
        Ok(())
    }

    /// What was not acknowledged in time counts as acknowledged.
    pub(super) fn expire(&mut self) {
        for lease in self.held.values_mut() {
            if let Some(broken) = lease.broken.take_if(|broken| broken.since.elapsed() >= PATIENCE) {
                lease.state = broken.want;
                self.timeouts += 1;
            }
        }
    }

    pub(super) fn timeouts(&self) -> u64 {
        self.timeouts
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn outgoing(&mut self) -> Vec<(u32, RemoteEvent)> {
        std::mem::take(&mut self.outgoing)
    }
}

impl Lease {
    /// Who holds READ alone is told; who holds more is asked.
    fn take_back(&mut self, (client, key): Holder, to: Caching) -> Option<(u32, RemoteEvent)> {
        let acknowledge = self.state != Caching::READ;
        self.epoch = self.epoch.wrapping_add(1);
        if acknowledge {
            self.broken = Some(Broken { to, want: to, since: Instant::now() });
        } else {
            self.state = to;
        }
        Some((client, RemoteEvent::LeaseBreak { key, to, epoch: Some(self.epoch), acknowledge }))
    }
}

/// There is no lease without READ.
fn whole(caching: Caching) -> Caching {
    if caching.read { caching } else { Caching::NONE }
}
