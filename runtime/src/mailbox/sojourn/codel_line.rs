//! The discipline *codel*: first in, first out, under RFC 8289's law.

use std::collections::VecDeque;
use std::time::Instant;

use super::Shedding;
use super::codel::{Codel, Verdict};
use crate::mailbox::line::{Leaving, Weighed};

/// See the [module](self).
pub(in crate::mailbox) struct CodelLine<T> {
    waiting: VecDeque<Slot<T>>,
    law: Codel,
}

enum Slot<T> {
    Ordinary(Weighed<T>, Instant),
    Reserved(T),
}

impl<T> CodelLine<T> {
    pub(in crate::mailbox) fn new(shedding: Shedding) -> Self {
        Self {
            waiting: VecDeque::new(),
            law: Codel::new(shedding.target, shedding.interval),
        }
    }

    pub(in crate::mailbox) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(in crate::mailbox) fn push(&mut self, message: Weighed<T>, since: Instant) {
        self.waiting.push_back(Slot::Ordinary(message, since));
    }

    pub(in crate::mailbox) fn push_reserved(&mut self, value: T) {
        self.waiting.push_back(Slot::Reserved(value));
    }

    pub(in crate::mailbox) fn pop(&mut self, now: Instant) -> Option<Leaving<T>> {
        let (message, since) = match self.waiting.pop_front()? {
            Slot::Reserved(value) => return Some(Leaving::Reserved(value)),
            Slot::Ordinary(message, since) => (message, since),
        };
        let sojourn = now.saturating_duration_since(since);
        let is_last = self.waiting.is_empty();
        Some(match self.law.judge(now, sojourn, is_last) {
            Verdict::Serve => Leaving::Served(message),
            Verdict::Shed => Leaving::Shed(message),
        })
    }

    pub(in crate::mailbox) fn oldest_since(&self) -> Option<Instant> {
        self.waiting.iter().find_map(|slot| match slot {
            Slot::Ordinary(_, since) => Some(*since),
            Slot::Reserved(_) => None,
        })
    }

    pub(in crate::mailbox) fn trim(&mut self) {
        self.waiting.shrink_to_fit();
    }

    pub(in crate::mailbox) fn holds_memory(&self) -> bool {
        self.waiting.capacity() > 0
    }
}
