//! What the server lets this mount keep of one file, through grants and breaks that may cross.

use crate::remote::{Caching, Granted};

/// A lease, its grants and its breaks told in order by their epoch where the dialect has one.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    caching: Caching,
    epoch: Option<u16>,
    /// Opens that have been sent and not been answered.
    asking: u32,
    /// What the breaks left that came while an open was on its way.
    crossed: Option<Crossed>,
}

#[derive(Clone, Copy, Debug)]
struct Crossed {
    to: Caching,
    epoch: Option<u16>,
}

impl Lease {
    pub(crate) fn caching(&self) -> Caching {
        self.caching
    }

    /// Whether opens are on their way.
    pub(crate) fn is_asking(&self) -> bool {
        self.asking > 0
    }

    /// An open that asks for the lease is about to be sent.
    pub(crate) fn asks(&mut self) {
        self.asking += 1;
    }

    /// It has been answered, with a grant or a refusal.
    pub(crate) fn answered(&mut self, granted: Option<Granted>) {
        self.asking = self.asking.saturating_sub(1);
        let crossed = if self.asking == 0 { self.crossed.take() } else { self.crossed };
        let Some(granted) = granted else { return };
        if granted.epoch.zip(self.epoch).is_some_and(|(new, known)| newer(known, new)) {
            return;
        }
        // While it is being taken back, the answer says what was held before: the break tells what is left.
        self.caching = if granted.breaking { self.caching.and(granted.caching) } else { granted.caching };
        self.epoch = granted.epoch;
        if let Some(crossed) = crossed {
            // Without epochs nobody can tell which was first: the safe answer is that the break was last.
            let later = crossed.epoch.zip(granted.epoch).is_none_or(|(broken, given)| !newer(given, broken));
            if later {
                self.caching = self.caching.and(crossed.to);
                self.epoch = crossed.epoch.or(self.epoch);
            }
        }
    }

    /// The server takes back all but `to`. What was lost by it; `None` if it is old news.
    pub(crate) fn broken(&mut self, to: Caching, epoch: Option<u16>) -> Option<Caching> {
        if epoch.zip(self.epoch).is_some_and(|(new, known)| newer(known, new)) {
            return None;
        }
        if self.asking > 0 {
            let to = self.crossed.map_or(to, |crossed| crossed.to.and(to));
            self.crossed = Some(Crossed { to, epoch });
        }
        let lost = self.caching.without(to);
        if self.asking == 0 || self.caching != Caching::NONE {
            // Otherwise it is of a grant that is still to come, and whose epoch is the older one.
            self.epoch = epoch.or(self.epoch);
        }
        self.caching = self.caching.and(to);
        Some(lost)
    }

    /// What comes next is counted anew.
    pub(crate) fn forget_epoch(&mut self) {
        self.epoch = None;
    }

    /// The last open that held it has been closed.
    pub(crate) fn ended(&mut self) {
        self.caching = Caching::NONE;
        self.epoch = None;
    }
}

/// Whether epoch `a` comes after `b`; they wrap around.
const fn newer(a: u16, b: u16) -> bool {
    a.wrapping_sub(b).cast_signed() > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const RWH: Caching = Caching { read: true, write: true, handle: true };
    const RH: Caching = Caching { read: true, write: false, handle: true };

    fn granted(caching: Caching, epoch: impl Into<Option<u16>>) -> Option<Granted> {
        Some(Granted { caching, epoch: epoch.into(), breaking: false })
    }

    #[test]
    fn a_grant_is_taken_and_broken() {
        let mut lease = Lease::default();
        lease.asks();
        lease.answered(granted(RWH, 1));
        assert_eq!(lease.caching(), RWH);
        assert_eq!(lease.broken(RH, Some(2)), Some(RWH.without(RH)));
        assert_eq!(lease.caching(), RH);
        assert_eq!(lease.broken(RWH, Some(1)), None, "old news");
        lease.ended();
        assert_eq!(lease.caching(), Caching::NONE);
    }

    #[test]
    fn a_break_that_overtakes_the_answer_counts() {
        for epoch in [Some(5), None] {
            let mut lease = Lease::default();
            lease.asks();
            lease.broken(RH, epoch.map(|e| e + 1));
            lease.answered(granted(RWH, epoch));
            assert_eq!(lease.caching(), RH, "{epoch:?}");
        }
    }

    #[test]
    fn an_answer_that_is_newer_than_the_break_counts() {
        let mut lease = Lease::default();
        lease.asks();
        lease.answered(granted(RWH, u16::MAX));
        lease.asks();
        assert!(lease.broken(Caching::NONE, Some(0)).is_some());
        lease.answered(granted(RH, 1));
        assert_eq!(lease.caching(), RH);
    }

    #[test]
    fn what_is_being_taken_back_is_not_granted_again() {
        for epoch in [Some(2), None] {
            let mut lease = Lease::default();
            lease.asks();
            lease.answered(granted(RWH, epoch.map(|_| 1)));
            lease.broken(RH, epoch);
            lease.asks();
            lease.answered(Some(Granted { caching: RWH, epoch, breaking: true }));
            assert_eq!(lease.caching(), RH, "{epoch:?}");
        }
    }

    #[test]
    fn a_refused_open_changes_nothing() {
        let mut lease = Lease::default();
        lease.asks();
        lease.answered(granted(RH, 3));
        lease.asks();
        lease.answered(None);
        assert_eq!(lease.caching(), RH);
    }
}
