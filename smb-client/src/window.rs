//! How much of a stream to keep under way: what the path holds, and some more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Under way at least, in pieces: the server works on one while others travel.
const LEAST_PIECES: u64 = 8;
/// Under way at least, in bytes.
const LEAST: u64 = 4 << 20;
/// Under way at most: 10 Gbit/s at 50 ms. It is also what a stream may hold in memory.
const MOST: u64 = 64 << 20;
/// The window is this many times bandwidth × delay: with less it could never find out that there is more.
const GAIN: f64 = 4.0;
/// Pieces to remember: more than fit the largest window of usual pieces.
const RECENT: usize = 128;
/// How much of the best rate seen is believed a piece later.
const FADING: f64 = 0.98;

/// Follows bandwidth × delay: the best recent rate times the shortest round trip.
#[derive(Debug)]
pub(crate) struct Window {
    piece: u64,
    bytes: u64,
    /// When the last pieces came, and how long they are.
    recent: VecDeque<(Instant, u64)>,
    best_rate: f64,
    shortest: Duration,
}

impl Window {
    /// For requests of `piece` bytes.
    pub(crate) fn new(piece: u64) -> Self {
        let piece = piece.max(1);
        let bytes = (LEAST_PIECES * piece).clamp(LEAST, MOST);
        let recent = VecDeque::with_capacity(RECENT);
        Self { piece, bytes, recent, best_rate: 0.0, shortest: Duration::MAX }
    }

    /// Requests to have under way.
    pub(crate) fn pieces(&self) -> usize {
        usize::try_from(self.bytes / self.piece).unwrap_or(usize::MAX).max(2)
    }

    /// A piece that was asked for at `departure` came at `at`. Whoever reads or writes the stream may tell so
    /// later, in the order of the pieces: only the two times count.
    pub(crate) fn arrive(&mut self, departure: Instant, at: Instant, bytes: u64) {
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((at, bytes));
        let took = at.saturating_duration_since(departure).max(Duration::from_micros(1));
        let meanwhile: u64 =
            self.recent.iter().filter(|(came, _)| *came > departure).map(|(_, bytes)| bytes).sum();
        self.shortest = self.shortest.min(took);
        let rate = meanwhile as f64 / took.as_secs_f64();
        self.best_rate = (self.best_rate * FADING).max(rate);
        let holds = GAIN * self.best_rate * self.shortest.as_secs_f64();
        let least = (LEAST_PIECES * self.piece).max(LEAST);
        self.bytes = (holds as u64).max(least).min(MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: u64 = 1 << 20;

    /// A path with a round trip and a bottleneck; gives the window after `count` pieces and how long they took.
    fn travel(round_trip: Duration, bytes_per_second: f64, count: u64) -> (Window, Duration) {
        let mut window = Window::new(PIECE);
        let begin = Instant::now();
        let (mut now, mut free) = (begin, begin);
        let mut under_way = VecDeque::new();
        let mut sent = 0;
        while sent < count || !under_way.is_empty() {
            while sent < count && under_way.len() < window.pieces() {
                free = free.max(now) + Duration::from_secs_f64(PIECE as f64 / bytes_per_second);
                under_way.push_back((now, free + round_trip));
                sent += 1;
            }
            let Some((departure, arrival)): Option<(Instant, Instant)> = under_way.pop_front() else { break };
            now = now.max(arrival);
            window.arrive(departure, now, PIECE);
        }
        (window, now - begin)
    }

    #[test]
    fn a_short_path_keeps_the_least() {
        let (window, _) = travel(Duration::from_micros(50), 1e9, 1000);
        assert_eq!(window.pieces(), LEAST_PIECES as usize);
    }

    #[test]
    fn a_long_fast_path_is_filled() {
        let rate = 1.2e9;
        let (window, took) = travel(Duration::from_millis(20), rate, 1024);
        assert!(window.pieces() as u64 * PIECE >= (rate * 0.02) as u64, "{window:?}");
        let ideal = 1024.0 * PIECE as f64 / rate;
        assert!(took.as_secs_f64() * 0.9 <= ideal + 0.02, "{took:?} for {ideal} s");
    }

    #[test]
    fn looking_late_does_not_widen_it() {
        let mut window = Window::new(PIECE);
        let begin = Instant::now();
        let ms = Duration::from_millis;
        // A millisecond each on the way; whoever waits looks only when eight have come.
        for round in 0..100 {
            for piece in 0..8 {
                let departure = begin + ms(10 * round);
                window.arrive(departure, departure + ms(1 + piece), PIECE);
            }
        }
        assert_eq!(window.pieces(), LEAST_PIECES as usize);
    }

    #[test]
    fn it_never_holds_more_than_the_most() {
        let (window, _) = travel(Duration::from_millis(500), 1e10, 4096);
        assert_eq!(window.pieces() as u64 * PIECE, MOST);
        assert!(Window::new(8 << 20).pieces() >= 8);
        assert!(Window::new(0).pieces() >= 2);
    }
}
