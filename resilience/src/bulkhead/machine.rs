//! Who gets in, and who is next. No waker, no lock.
//!
//! Call [`Line::enter`], [`Line::leave`] or [`Line::give_back`]; after each of the last two, [`Line::poll_granted`] until it returns
//! `None`, and tell each.

use std::collections::VecDeque;
use std::fmt;

use super::BulkheadConfig;

/// Names a place in the line.
pub(super) type Ticket = u64;

/// Permits, weight, and those who wait for them.
#[derive(Debug)]
pub(super) struct Line {
    permits_left: u32,
    /// `u64::MAX` permits every weight, if weight is not counted.
    weight_left: u64,
    weight_max: Option<u64>,
    waiting_max: u32,
    /// In the order in which they came.
    waiting: VecDeque<(Ticket, u64)>,
    next_ticket: Ticket,
}

/// What became of somebody who came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// In, at once.
    Granted,
    /// In line.
    Waiting(Ticket),
}

/// The pool did not let the call in; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Full {
    /// Nothing is free, and nobody more may wait. Shed the call, or come back later.
    NoRoom {
        /// Callers in line before this one.
        waiting: u32,
    },
    /// The weight is above that of the whole pool: it would wait for ever. Split the call.
    TooHeavy {
        /// What was asked for.
        weight: u64,
        /// What the pool has at most.
        weight_max: u64,
    },
    /// Its turn did not come in time.
    TimedOut,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Full::NoRoom { waiting } => {
                write!(
                    f,
                    "the bulkhead is full and {waiting} are waiting: not let in"
                )
            }
            Full::TooHeavy { weight, weight_max } => write!(
                f,
                "a weight of {weight} is above the bulkhead's {weight_max} and can never be let in: split it"
            ),
            Full::TimedOut => f.write_str("the bulkhead stayed full for too long: not let in"),
        }
    }
}

impl std::error::Error for Full {}

impl Line {
    pub(super) fn new(config: BulkheadConfig) -> Self {
        Self {
            permits_left: config.permits,
            weight_left: config.weight_max.unwrap_or(u64::MAX),
            weight_max: config.weight_max,
            waiting_max: config.waiting_max,
            waiting: VecDeque::new(),
            next_ticket: 0,
        }
    }

    pub(super) fn permits_left(&self) -> u32 {
        self.permits_left
    }

    pub(super) fn weight_left(&self) -> Option<u64> {
        self.weight_max.map(|_| self.weight_left)
    }

    pub(super) fn waiting(&self) -> u32 {
        // Bounded by `waiting_max`.
        self.waiting.len() as u32
    }

    /// Somebody comes. `may_wait` is false for those who would rather not stand in line.
    pub(super) fn enter(&mut self, weight: u64, may_wait: bool) -> Result<Entry, Full> {
        let weight = self.counted(weight);
        if let Some(weight_max) = self.weight_max.filter(|weight_max| weight > *weight_max) {
            return Err(Full::TooHeavy { weight, weight_max });
        }
        // Who comes later waits behind those in line, even if there is room for something so light.
        if self.waiting.is_empty() && self.has_room(weight) {
            self.take(weight);
            return Ok(Entry::Granted);
        }
        let waiting = self.waiting();
        if !may_wait || waiting >= self.waiting_max {
            return Err(Full::NoRoom { waiting });
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.waiting.push_back((ticket, weight));
        Ok(Entry::Waiting(ticket))
    }

    /// Somebody leaves the line. False if the ticket is not in it, because it was granted.
    pub(super) fn leave(&mut self, ticket: Ticket) -> bool {
        // Tickets only rise along the line.
        let place = self
            .waiting
            .binary_search_by_key(&ticket, |(ticket, _)| *ticket);
        place.is_ok_and(|place| self.waiting.remove(place).is_some())
    }

    /// A permit of this weight comes back.
    pub(super) fn give_back(&mut self, weight: u64) {
        self.permits_left += 1;
        self.weight_left += self.counted(weight);
    }

    /// The next in line for whom there is room now. Nothing is granted while the first one has none.
    pub(super) fn poll_granted(&mut self) -> Option<Ticket> {
        let &(ticket, weight) = self.waiting.front()?;
        if !self.has_room(weight) {
            return None;
        }
        self.waiting.pop_front();
        self.take(weight);
        Some(ticket)
    }

    fn has_room(&self, weight: u64) -> bool {
        self.permits_left > 0 && self.weight_left >= weight
    }

    fn take(&mut self, weight: u64) {
        self.permits_left -= 1;
        self.weight_left -= weight;
    }

    fn counted(&self, weight: u64) -> u64 {
        if self.weight_max.is_some() { weight } else { 0 }
    }
}
