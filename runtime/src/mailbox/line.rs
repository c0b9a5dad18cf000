//! In which order the messages of a locked queue wait, and which of them have to go.
//!
//! | line | order | who gives way in a full mailbox |
//! |---|---|---|
//! | [`ArrivalLine`] | of arrival | what the overflow policy says |
//! | [`CodelLine`] | of arrival; sheds by waiting time | the newcomer |
//! | [`AdaptiveLine`] | by class; sheds by waiting time | the oldest of the least critical |
//! | [`FairLine`] | keys take turns | the newest of the longest key |
//!
//! A line is plain data: it is told the time, and knows nothing of capacity, locks or wakers. Each message is in it once and
//! leaves it once: by [`pop`](Line::pop), or because another one needed its room.

use std::collections::VecDeque;
use std::time::Instant;

use super::fair::FairLine;
use super::sojourn::{AdaptiveLine, CodelLine};
use crate::envelope::Criticality;

/// A message with what it weighs, 0 in a mailbox that doesn't weigh.
pub(super) struct Weighed<T> {
    pub(super) value: T,
    pub(super) weight_bytes: usize,
}

/// What a line has to know of a newcomer, found out before the lock is taken.
#[derive(Clone, Copy)]
pub(super) enum Mark {
    /// For lines in the order of arrival: nothing.
    Plain,
    /// For lines that shed by waiting time: when it came, and what it matters.
    Stamped(Instant, Criticality),
    /// For fair lines: whose it is.
    Keyed(u64),
}

/// A message that leaves its line because its turn came.
pub(super) enum Leaving<T> {
    Served(Weighed<T>),
    /// It had waited too long.
    Shed(Weighed<T>),
    /// It lay in a slot that was reserved elsewhere.
    Reserved(T),
}

/// Whether a newcomer could have room if others give way.
pub(super) enum GivingWay {
    /// The newcomer itself has to go, whether there is room or not.
    Newcomer,
    /// Others, of this number and weight at most.
    Others { count: usize, weight_bytes: usize },
}

/// See the [module](self).
pub(super) enum Line<T> {
    Arrival(ArrivalLine<T>),
    Codel(CodelLine<T>),
    Adaptive(AdaptiveLine<T>),
    Fair(FairLine<T>),
}

impl<T> Line<T> {
    pub(super) fn len(&self) -> usize {
        match self {
            Line::Arrival(line) => line.len(),
            Line::Codel(line) => line.len(),
            Line::Adaptive(line) => line.len(),
            Line::Fair(line) => line.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A newcomer; there is room for it. Its mark is of the line's own kind.
    pub(super) fn push(&mut self, message: Weighed<T>, mark: Mark) {
        match (self, mark) {
            (Line::Arrival(line), _) => line.push(message),
            (Line::Codel(line), Mark::Stamped(since, _)) => line.push(message, since),
            (Line::Adaptive(line), Mark::Stamped(since, criticality)) => {
                line.push(message, since, criticality);
            }
            (Line::Fair(line), Mark::Keyed(key)) => line.push(message, key),
            _ => unreachable!("a queue marks its messages for its line"),
        }
    }

    /// A message whose slot was reserved elsewhere.
    pub(super) fn push_reserved(&mut self, value: T) {
        match self {
            Line::Arrival(line) => line.push_reserved(value),
            Line::Codel(line) => line.push_reserved(value),
            Line::Adaptive(line) => line.push_reserved(value),
            Line::Fair(line) => line.push_reserved(value),
        }
    }

    /// The message whose turn it is. `now` is there for the lines that need it.
    pub(super) fn pop(&mut self, now: Option<Instant>) -> Option<Leaving<T>> {
        match (self, now) {
            (Line::Arrival(line), _) => line.pop(),
            (Line::Codel(line), Some(now)) => line.pop(now),
            (Line::Adaptive(line), Some(now)) => line.pop(now),
            (Line::Fair(line), _) => line.pop(),
            (Line::Codel(_) | Line::Adaptive(_), None) => {
                unreachable!("a line that sheds is told the time")
            }
        }
    }

    /// Who gives way to a newcomer with this mark.
    pub(super) fn giving_way(&self, mark: Mark, weight_bytes: usize, has_room: bool) -> GivingWay {
        let others = |(count, weight_bytes)| GivingWay::Others {
            count,
            weight_bytes,
        };
        match (self, mark) {
            (Line::Adaptive(line), Mark::Stamped(_, criticality)) => {
                if line.is_hopeless(criticality) {
                    GivingWay::Newcomer
                } else {
                    others(line.yielding_to(criticality))
                }
            }
            (Line::Fair(line), Mark::Keyed(key)) if line.yields_to(key, weight_bytes.max(1)) => {
                others((usize::MAX, usize::MAX))
            }
            _ if has_room => others((0, 0)),
            _ => GivingWay::Newcomer,
        }
    }

    /// Takes a message out that goes for a newcomer.
    pub(super) fn displace_for(&mut self, mark: Mark) -> Option<Weighed<T>> {
        match (self, mark) {
            (Line::Arrival(line), _) => line.take_oldest(),
            (Line::Adaptive(line), Mark::Stamped(_, criticality)) => line.displace_for(criticality),
            (Line::Fair(line), Mark::Keyed(key)) => line.displace_for(key),
            _ => None,
        }
    }

    /// When the oldest message came, if the line knows.
    pub(super) fn oldest_since(&self) -> Option<Instant> {
        match self {
            Line::Arrival(_) | Line::Fair(_) => None,
            Line::Codel(line) => line.oldest_since(),
            Line::Adaptive(line) => line.oldest_since(),
        }
    }

    pub(super) fn holds_memory(&self) -> bool {
        match self {
            Line::Arrival(line) => line.holds_memory(),
            Line::Codel(line) => line.holds_memory(),
            Line::Adaptive(line) => line.holds_memory(),
            Line::Fair(line) => line.holds_memory(),
        }
    }

    /// Gives the memory of an empty line back.
    pub(super) fn trim(&mut self) {
        match self {
            Line::Arrival(line) => line.trim(),
            Line::Codel(line) => line.trim(),
            Line::Adaptive(line) => line.trim(),
            Line::Fair(line) => line.trim(),
        }
    }
}

/// First in, first out.
pub(super) struct ArrivalLine<T> {
    waiting: VecDeque<Slot<T>>,
}

enum Slot<T> {
    Ordinary(Weighed<T>),
    Reserved(T),
}

impl<T> ArrivalLine<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
        }
    }

    fn len(&self) -> usize {
        self.waiting.len()
    }

    fn push(&mut self, message: Weighed<T>) {
        self.waiting.push_back(Slot::Ordinary(message));
    }

    fn push_reserved(&mut self, value: T) {
        self.waiting.push_back(Slot::Reserved(value));
    }

    fn pop(&mut self) -> Option<Leaving<T>> {
        Some(match self.waiting.pop_front()? {
            Slot::Ordinary(message) => Leaving::Served(message),
            Slot::Reserved(value) => Leaving::Reserved(value),
        })
    }

    fn take_oldest(&mut self) -> Option<Weighed<T>> {
        let is_ordinary = |slot: &Slot<T>| matches!(slot, Slot::Ordinary(_));
        let oldest = self.waiting.iter().position(is_ordinary)?;
        match self.waiting.remove(oldest)? {
            Slot::Ordinary(message) => Some(message),
            Slot::Reserved(_) => None,
        }
    }

    fn holds_memory(&self) -> bool {
        self.waiting.capacity() > 0
    }

    fn trim(&mut self) {
        self.waiting.shrink_to_fit();
    }
}
