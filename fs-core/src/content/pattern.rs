//! How a program reads a file, and what it will read next.

use std::ops::Range;

/// The least and the most that is asked for ahead, in bytes.
const FIRST: u64 = 512 << 10;
const MOST: u64 = 16 << 20;
/// Equal steps in a row that are a habit and not chance.
const HABIT: u32 = 2;

/// What one open file's reads look like.
#[derive(Debug)]
pub(crate) struct Pattern {
    last: Range<u64>,
    /// From the start of one read to the start of the next.
    step: i64,
    /// How often the step has come in a row.
    steady: u32,
    /// How far ahead of a sequential reader, in bytes.
    window: u64,
    most: u64,
}

impl Pattern {
    /// Never more than `most` bytes ahead.
    pub(crate) fn new(most: u64) -> Self {
        Self { last: 0..0, step: 0, steady: 0, window: 0, most: most.min(MOST) }
    }

    /// Notes a read, and answers with what will be wanted after it; empty if nobody can tell.
    pub(crate) fn read(&mut self, range: &Range<u64>) -> Range<u64> {
        let len = range.end - range.start;
        let step = range.start.wrapping_sub(self.last.start).cast_signed();
        let forward = range.start == self.last.end;
        let backward = range.end == self.last.start && len > 0;
        // The kernel sends parts of one read side by side: they may change places.
        let nearly =
            !forward && range.start > self.last.end && range.start - self.last.end <= self.window / 2;
        let steady = step == self.step && step != 0;
        self.steady = if forward || backward || steady { self.steady.saturating_add(1) } else { 0 };
        let begins = forward && self.last == (0..0);
        if !nearly || forward {
            (self.step, self.last) = (step, range.clone());
        }
        if forward || nearly {
            if nearly {
                self.last = range.clone();
                self.steady = self.steady.max(HABIT);
            }
            if begins {
                // The beginning of a file is mostly followed by the rest of it.
                self.window = 0;
                return range.end..range.end.saturating_add(FIRST.min(self.most));
            }
            self.window = (self.window * 2).clamp(FIRST, MOST).min(self.most);
            return range.end..range.end.saturating_add(self.window);
        }
        self.window = 0;
        if self.steady < HABIT {
            return range.end..range.end;
        }
        if backward {
            return range.start.saturating_sub(FIRST.min(self.most))..range.start;
        }
        match range.start.checked_add_signed(self.step) {
            Some(next) if len <= self.most => next..next.saturating_add(len),
            _ => range.end..range.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1 << 10;
    const M: u64 = 1 << 20;

    fn ahead(pattern: &mut Pattern, start: u64, len: u64) -> Range<u64> {
        pattern.read(&(start..start + len))
    }

    #[test]
    fn a_sequential_reader_is_run_ahead_of_ever_farther() {
        let mut pattern = Pattern::new(u64::MAX);
        let lengths: Vec<u64> = (0..8)
            .map(|i| {
                let next = ahead(&mut pattern, i * M, M);
                assert_eq!(next.start, (i + 1) * M);
                next.end - next.start
            })
            .collect();
        assert!(lengths.windows(2).all(|pair| pair[0] <= pair[1]), "{lengths:?}");
        assert_eq!(lengths.last(), Some(&MOST));
    }

    #[test]
    fn a_random_reader_costs_nothing() {
        let mut pattern = Pattern::new(u64::MAX);
        let mut at = 77 * M;
        for i in 0..200u64 {
            assert!(ahead(&mut pattern, at, 4 * K).is_empty(), "read {i}");
            at = (at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
                % (1 << 40))
                & !4095;
        }
    }

    #[test]
    fn steps_and_backward_reads_are_recognised() {
        let mut pattern = Pattern::new(u64::MAX);
        let found: Vec<_> = (10..16).map(|i| ahead(&mut pattern, i * 10 * M, 64 * K)).collect();
        assert_eq!(found[5], 160 * M..160 * M + 64 * K);
        let mut pattern = Pattern::new(u64::MAX);
        let found: Vec<_> = (1..8).rev().map(|i| ahead(&mut pattern, i * 64 * K + 10 * M, 64 * K)).collect();
        let found = &found[6];
        assert_eq!(found.end, 64 * K + 10 * M);
        assert!(!found.is_empty());
    }

    #[test]
    fn the_budget_bounds_it() {
        let mut pattern = Pattern::new(2 * M);
        for i in 0..20 {
            let next = ahead(&mut pattern, i * M, M);
            assert!(next.end - next.start <= 2 * M);
        }
    }
}
