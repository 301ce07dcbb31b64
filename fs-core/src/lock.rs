//! What is locked of one file: by whom on this mount, and what of it this mount has locked on the server.
//!
//! POSIX lets an owner lock, change and unlock any part of a file; SMB unlocks a range only as it was locked. So the
//! owners' locks are kept here, and [`plan`] says how what the server has for them becomes what it should have.

use std::ops::Range;

use crate::handle::Fh;
use crate::remote::LockedRange;

/// A lock of one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) range: Range<u64>,
    pub(crate) exclusive: bool,
    /// The same number is the same owner, and has no conflicts with itself.
    pub(crate) owner: u64,
    /// Through which open file: with that it ends at the latest.
    pub(crate) fh: Fh,
    pub(crate) pid: u32,
}

/// All owners' locks of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(Vec<Held>);

impl Table {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn any(&self, which: impl Fn(&Held) -> bool) -> bool {
        self.0.iter().any(which)
    }

    /// Another owner's lock that is in the way, the first in the file.
    pub(crate) fn conflict(&self, owner: u64, range: &Range<u64>, exclusive: bool) -> Option<&Held> {
        let in_the_way = |held: &&Held| {
            held.owner != owner && overlap(&held.range, range) && (held.exclusive || exclusive)
        };
        self.0.iter().filter(in_the_way).min_by_key(|held| held.range.start)
    }

    /// Unlocks a range for whom `whose` says; what they hold beside it stays.
    pub(crate) fn release(&mut self, range: &Range<u64>, whose: impl Fn(&Held) -> bool) {
        let all = std::mem::take(&mut self.0);
        for held in all {
            if !whose(&held) || !overlap(&held.range, range) {
                self.0.push(held);
                continue;
            }
            let before = held.range.start..range.start.min(held.range.end);
            let after = range.end.max(held.range.start)..held.range.end;
            let parts = [before, after].into_iter().filter(|part| !part.is_empty());
            self.0.extend(parts.map(|part| Held { range: part, ..held.clone() }));
        }
    }

    /// Locks a range, in place of what the owner held there.
    pub(crate) fn hold(&mut self, mut new: Held) {
        self.release(&new.range.clone(), |held| held.owner == new.owner);
        // Neighbours of the same kind become one, so that many small locks do not stay many.
        self.0.retain(|held| {
            let same = held.owner == new.owner && held.fh == new.fh && held.exclusive == new.exclusive;
            let meets = held.range.end == new.range.start || held.range.start == new.range.end;
            if same && meets {
                new.range = new.range.start.min(held.range.start)..new.range.end.max(held.range.end);
            }
            !(same && meets)
        });
        self.0.push(new);
    }

    /// What the server should have locked for all of them together: in order, none touching one of its kind.
    pub(crate) fn wanted(&self) -> Vec<LockedRange> {
        let mut edges: Vec<(u64, bool, i64)> = Vec::with_capacity(self.0.len() * 2);
        for held in &self.0 {
            edges.push((held.range.start, held.exclusive, 1));
            edges.push((held.range.end, held.exclusive, -1));
        }
        edges.sort_unstable_by_key(|(at, ..)| *at);
        let (mut shared, mut exclusive, mut last) = (0, 0, 0);
        let mut wanted: Vec<LockedRange> = Vec::new();
        for (at, is_exclusive, step) in edges {
            if at > last && shared + exclusive > 0 {
                push(&mut wanted, LockedRange { range: last..at, exclusive: exclusive > 0 });
            }
            last = at;
            *(if is_exclusive { &mut exclusive } else { &mut shared }) += step;
        }
        wanted
    }
}

fn push(ranges: &mut Vec<LockedRange>, new: LockedRange) {
    match ranges.last_mut() {
        Some(last) if last.range.end == new.range.start && last.exclusive == new.exclusive => {
            last.range.end = new.range.end;
        }
        _ => ranges.push(new),
    }
}

/// How what the server has becomes what it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// To be unlocked.
    pub(crate) give: Vec<LockedRange>,
    /// To be locked.
    pub(crate) take: Vec<LockedRange>,
    /// Can be locked before the others are unlocked, so that nobody comes between: a shared lock may lie over any
    /// lock of the same open.
    pub(crate) stacks: bool,
}

/// From what this mount has locked on the server, no part of it twice, to what it should have, which is in order.
pub(crate) fn plan(server: &[LockedRange], wanted: &[LockedRange]) -> Plan {
    let clipped = |range: &Range<u64>| {
        let first = wanted.partition_point(|part| part.range.end <= range.start);
        let range = range.clone();
        wanted[first..].iter().take_while(move |part| part.range.start < range.end)
    };
    let stays = |has: &&LockedRange| {
        let mut parts = clipped(&has.range);
        let whole = |part: &LockedRange| {
            part.exclusive == has.exclusive
                && part.range.start <= has.range.start
                && part.range.end >= has.range.end
        };
        parts.next().is_some_and(whole)
    };
    let (mut kept, give): (Vec<&LockedRange>, Vec<&LockedRange>) = server.iter().partition(stays);
    kept.sort_unstable_by_key(|has| has.range.start);
    let mut take = Vec::new();
    for part in wanted {
        let mut at = part.range.start;
        let first = kept.partition_point(|has| has.range.end <= at);
        for has in kept[first..].iter().take_while(|has| has.range.start < part.range.end) {
            if has.range.start > at {
                take.push(LockedRange { range: at..has.range.start, exclusive: part.exclusive });
            }
            at = has.range.end;
        }
        if at < part.range.end {
            take.push(LockedRange { range: at..part.range.end, exclusive: part.exclusive });
        }
    }
    let give: Vec<LockedRange> = give.into_iter().cloned().collect();
    let meets_what_goes = |part: &LockedRange| give.iter().any(|has| overlap(&has.range, &part.range));
    let stacks = take.iter().all(|part| !part.exclusive || !meets_what_goes(part));
    Plan { give, take, stacks }
}

pub(crate) fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn held(owner: u64, range: Range<u64>, exclusive: bool) -> Held {
        Held { range, exclusive, owner, fh: Fh(owner), pid: 1 }
    }

    fn locked(range: Range<u64>, exclusive: bool) -> LockedRange {
        LockedRange { range, exclusive }
    }

    #[test]
    fn an_owner_changes_and_unlocks_parts() {
        let mut table = Table::default();
        table.hold(held(1, 0..100, true));
        table.hold(held(1, 20..40, false));
        assert_eq!(table.wanted(), [locked(0..20, true), locked(20..40, false), locked(40..100, true)]);
        assert_eq!(table.conflict(1, &(0..10), true), None);
        assert_eq!(table.conflict(2, &(20..40), false), None);
        assert_eq!(table.conflict(2, &(30..50), false).unwrap().range, 40..100);
        table.release(&(10..50), |held| held.owner == 1);
        assert_eq!(table.wanted(), [locked(0..10, true), locked(50..100, true)]);
        table.hold(held(1, 10..50, true));
        assert_eq!(table.0.len(), 1, "neighbours become one");
    }

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_taken() {
        let server = [locked(0..10, false), locked(20..30, true)];
        let to = |wanted: &[LockedRange]| plan(&server, wanted);
        let all = to(&[locked(0..20, false), locked(20..30, true)]);
        assert_eq!(all, Plan { give: vec![], take: vec![locked(10..20, false)], stacks: true });
        let down = to(&[locked(0..10, false), locked(20..30, false)]);
        assert_eq!((down.give, down.stacks), (vec![locked(20..30, true)], true));
        let up = to(&[locked(0..10, true), locked(20..30, true)]);
        assert_eq!((up.give, up.stacks), (vec![locked(0..10, false)], false));
        assert_eq!(to(&[]).give, server);
    }

    proptest! {
        /// Whatever the owners do, each byte is locked on the server once, and as the strictest of them wants it.
        #[test]
        fn the_server_has_what_the_owners_want(
            steps in prop::collection::vec((0..3u64, 0..12u64, 1..8u64, 0..3u8), 0..40)
        ) {
            let mut table = Table::default();
            let mut server: Vec<LockedRange> = Vec::new();
            let mut model = [[0u8; 20]; 3];
            for (owner, start, length, kind) in steps {
                let range = start..start + length;
                if kind == 0 {
                    table.release(&range, |held| held.owner == owner);
                } else {
                    let others = |o: usize| o as u64 != owner;
                    let conflict = (0..3).filter(|o| others(*o)).any(|o| {
                        range.clone().any(|at| model[o][at as usize] + kind > 2 && model[o][at as usize] > 0)
                    });
                    prop_assert_eq!(table.conflict(owner, &range, kind == 2).is_some(), conflict);
                    if conflict {
                        continue;
                    }
                    table.hold(held(owner, range.clone(), kind == 2));
                }
                for at in range {
                    model[owner as usize][at as usize] = kind;
                }
                let Plan { give, take, .. } = plan(&server, &table.wanted());
                server.retain(|has| !give.contains(has));
                server.extend(take);
                for at in 0..20u64 {
                    let want = (0..3).map(|o| model[o][at as usize]).max().unwrap_or_default();
                    let has: Vec<u8> = server
                        .iter()
                        .filter(|has| has.range.contains(&at))
                        .map(|has| 1 + u8::from(has.exclusive))
                        .collect();
                    let expected = if want == 0 { vec![] } else { vec![want] };
                    prop_assert_eq!(has, expected);
                }
            }
        }
    }
}
