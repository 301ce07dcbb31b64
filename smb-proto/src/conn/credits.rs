//! Credits and message ids ([MS-SMB2] 3.2.4.1.2, 3.2.4.1.5).

use crate::wire::Request;

/// One credit pays for this many bytes of payload.
const CREDIT_BYTES: u32 = 65_536;

/// No server grants more; beyond it the count would only tempt to flood it.
const MOST: u32 = 65_535;

/// How many messages may be sent, and which id the next one has.
#[derive(Debug)]
pub(super) struct Credits {
    available: u32,
    in_flight: u32,
    /// The most that was ever available at once: servers grant less while requests are under way.
    most: u32,
    next_id: u64,
    target: u32,
    /// Dialect 2.0.2 and servers without LARGE_MTU: a charge of 1 whatever the size, written as 0.
    multi: bool,
}

impl Credits {
    pub(super) fn new(target: u16) -> Self {
        Self {
            available: 1,
            in_flight: 0,
            most: 1,
            next_id: 0,
            target: u32::from(target.max(1)),
            multi: false,
        }
    }

    pub(super) const fn enable_multi_credit(&mut self) {
        self.multi = true;
    }

    /// What `request` costs.
    pub(super) fn charge(&self, request: &Request) -> u16 {
        if !self.multi {
            return 1;
        }
        let bytes = match request {
            Request::Read(body) => body.length,
            Request::Write(body) => crate::wire::len32(body.data.len()),
            Request::QueryDirectory(body) => body.max_output,
            Request::QueryInfo(body) => body.max_output.max(crate::wire::len32(body.input.len())),
            Request::SetInfo(body) => crate::wire::len32(body.data.len()),
            Request::Ioctl(body) => body.max_output.max(crate::wire::len32(body.input.len())),
            Request::ChangeNotify(body) => body.max_output,
            _ => 0,
        };
        u16::try_from(bytes.div_ceil(CREDIT_BYTES).max(1)).unwrap_or(u16::MAX)
    }

    /// The CreditCharge field for a message of this charge.
    pub(super) const fn field(&self, charge: u16) -> u16 {
        if self.multi { charge } else { 0 }
    }

    pub(super) const fn affords(&self, charge: u32) -> bool {
        self.available >= charge
    }

    /// How many messages of the smallest charge may be sent now.
    pub(super) const fn available(&self) -> u32 {
        self.available
    }

    /// What the messages have cost that have no final response yet.
    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Nothing is in flight, so nothing will bring credits.
    pub(super) const fn idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Available or in flight: what a single request could use at most, as far as is known.
    pub(super) fn total(&self) -> u32 {
        (self.available + self.in_flight).min(self.most)
    }

    /// Pays for a message; gives its id and the credits to ask for.
    pub(super) fn take(&mut self, charge: u16) -> (u64, u16) {
        let id = self.next_id;
        let spent = u32::from(charge);
        self.next_id += u64::from(charge);
        self.available = self.available.saturating_sub(spent);
        self.in_flight += spent;
        let wanted = spent + self.target.saturating_sub(self.available + self.in_flight);
        (id, u16::try_from(wanted).unwrap_or(u16::MAX))
    }

    /// Books what a response grants.
    pub(super) fn grant(&mut self, credits: u16) {
        self.available = (self.available + u32::from(credits)).min(MOST);
        self.most = self.most.max(self.available);
    }

    /// A request of this charge has its final response.
    pub(super) const fn finished(&mut self, charge: u16) {
        self.in_flight = self.in_flight.saturating_sub(charge as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Empty, FileId, ReadRequest};

    fn read(length: u32) -> Request {
        Request::Read(ReadRequest { flags: 0, length, offset: 0, file_id: FileId::RELATED, minimum_count: 0 })
    }

    #[test]
    fn a_request_costs_a_credit_for_each_64_kib_begun() {
        let mut credits = Credits::new(10);
        assert_eq!(credits.charge(&read(1 << 20)), 1);
        credits.enable_multi_credit();
        assert_eq!(credits.charge(&read(0)), 1);
        assert_eq!(credits.charge(&read(65_536)), 1);
        assert_eq!(credits.charge(&read(65_537)), 2);
        assert_eq!(credits.charge(&Request::Echo(Empty)), 1);
    }

    #[test]
    fn ids_advance_by_the_charge_and_the_target_is_asked_for() {
        let mut credits = Credits::new(8);
        credits.enable_multi_credit();
        assert_eq!(credits.take(1), (0, 8));
        credits.grant(8);
        credits.finished(1);
        assert_eq!(credits.total(), 8);
        assert_eq!(credits.take(4), (1, 4));
        assert_eq!(credits.take(1), (5, 1));
        assert!(!credits.affords(4) && credits.affords(3));
        credits.finished(4);
        credits.finished(1);
        assert!(credits.idle());
    }

    #[test]
    fn no_grant_overflows() {
        let mut credits = Credits::new(8);
        (0..10).for_each(|_| credits.grant(u16::MAX));
        assert_eq!(credits.total(), MOST);
    }
}
