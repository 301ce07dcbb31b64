//! What a connection has to do, as numbers: for diagnosis, and for tests that look for leaks.

use super::Connection;

/// How busy a connection is. On a quiet connection everything but `credits` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Activity {
    /// Chains that wait for replies or for credits, among them those that nobody waits for any more.
    pub waiting: usize,
    /// Messages that the server has not answered finally.
    pub in_flight: usize,
    /// Frames that are yet to be sent.
    pub unsent: usize,
    /// Credits in hand. Those of messages under way are not among them.
    pub credits: u32,
    /// Credits that messages under way have cost.
    pub spent: u32,
}

impl Connection {
    /// How busy the connection is.
    pub fn activity(&self) -> Activity {
        Activity {
            waiting: self.chains.len() + self.logins.len(),
            in_flight: self.pending.len(),
            unsent: self.out.len(),
            credits: self.credits.available(),
            spent: self.credits.in_flight(),
        }
    }
}
