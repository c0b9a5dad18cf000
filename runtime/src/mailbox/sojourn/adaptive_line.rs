//! The discipline *adaptive*: a line for each class, the critical one first; see [`Shedding::adaptive`].
//!
//! # Rules
//!
//! * Within a class the oldest message is at the front. Serving takes from the front, or from the back where the line
//!   stands; shedding and making room take from the front.
//! * Every line is looked at whenever a message is taken out, also those that are not reached: a line that starves is
//!   one that stands.
//! * Messages in reserved slots have a line of their own, which is served first and never shed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Shedding;
use super::standing::Standing;
use crate::envelope::Criticality;
use crate::mailbox::line::{Leaving, Weighed};

/// See the [module](self).
pub(in crate::mailbox) struct AdaptiveLine<T> {
    reserved: VecDeque<T>,
    /// The least critical first, as [`Criticality`] is ordered.
    classes: [Class<T>; 3],
    /// The longest wait in a line that stands.
    patience: Duration,
}

struct Class<T> {
    waiting: VecDeque<(Weighed<T>, Instant)>,
    weight_bytes: usize,
    standing: Standing,
}

impl<T> AdaptiveLine<T> {
    pub(in crate::mailbox) fn new(shedding: Shedding) -> Self {
        let class = || Class {
            waiting: VecDeque::new(),
            weight_bytes: 0,
            standing: Standing::new(shedding.target, shedding.interval),
        };
        Self {
            reserved: VecDeque::new(),
            classes: [class(), class(), class()],
            patience: shedding.interval / 2,
        }
    }

    pub(in crate::mailbox) fn len(&self) -> usize {
        let ordinary: usize = self.classes.iter().map(|class| class.waiting.len()).sum();
        self.reserved.len() + ordinary
    }

    /// Whether a newcomer of this class has no prospect: a more critical line stands, so this one is not reached.
    pub(in crate::mailbox) fn is_hopeless(&self, criticality: Criticality) -> bool {
        self.classes[criticality as usize + 1..]
            .iter()
            .any(|class| class.standing.stands())
    }

    /// How many messages, of what weight, would go to make room for a newcomer of this class.
    pub(in crate::mailbox) fn yielding_to(&self, criticality: Criticality) -> (usize, usize) {
        self.yielding_classes(criticality)
            .map(|index| &self.classes[index])
            .fold((0, 0), |(count, weight_bytes), class| {
                (
                    count + class.waiting.len(),
                    weight_bytes + class.weight_bytes,
                )
            })
    }

    /// Those below, and its own if that stands: there the newest is served first.
    fn yielding_classes(&self, criticality: Criticality) -> std::ops::Range<usize> {
        let own = criticality as usize;
        0..own + usize::from(self.classes[own].standing.stands())
    }

    /// Takes a message out that goes for a newcomer of this class.
    pub(in crate::mailbox) fn displace_for(
        &mut self,
        criticality: Criticality,
    ) -> Option<Weighed<T>> {
        self.yielding_classes(criticality)
            .find_map(|index| self.classes[index].take_oldest())
    }

    pub(in crate::mailbox) fn push(
        &mut self,
        message: Weighed<T>,
        since: Instant,
        criticality: Criticality,
    ) {
        let class = &mut self.classes[criticality as usize];
        class.weight_bytes += message.weight_bytes;
        class.waiting.push_back((message, since));
    }

    pub(in crate::mailbox) fn push_reserved(&mut self, value: T) {
        self.reserved.push_back(value);
    }

    pub(in crate::mailbox) fn pop(&mut self, now: Instant) -> Option<Leaving<T>> {
        if let Some(value) = self.reserved.pop_front() {
            return Some(Leaving::Reserved(value));
        }
        for class in &mut self.classes {
            class.standing.look(now, class.oldest_waited(now));
        }
        let impatient = self.classes.iter_mut().find(|class| {
            class.standing.stands() && class.oldest_waited(now) > Some(self.patience)
        });
        if let Some(message) = impatient.and_then(Class::take_oldest) {
            return Some(Leaving::Shed(message));
        }
        let served = self.classes.iter_mut().rev().find_map(Class::take_next);
        served.map(Leaving::Served)
    }

    pub(in crate::mailbox) fn oldest_since(&self) -> Option<Instant> {
        let oldest_of_each = self.classes.iter().filter_map(Class::oldest_since);
        oldest_of_each.min()
    }

    pub(in crate::mailbox) fn trim(&mut self) {
        self.reserved.shrink_to_fit();
        for class in &mut self.classes {
            class.waiting.shrink_to_fit();
        }
    }

    pub(in crate::mailbox) fn holds_memory(&self) -> bool {
        self.reserved.capacity() > 0
            || self
                .classes
                .iter()
                .any(|class| class.waiting.capacity() > 0)
    }
}

impl<T> Class<T> {
    fn oldest_since(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, since)| *since)
    }

    fn oldest_waited(&self, now: Instant) -> Option<Duration> {
        self.oldest_since()
            .map(|since| now.saturating_duration_since(since))
    }

    fn take_oldest(&mut self) -> Option<Weighed<T>> {
        let (message, _) = self.waiting.pop_front()?;
        self.weight_bytes -= message.weight_bytes;
        Some(message)
    }

    fn take_next(&mut self) -> Option<Weighed<T>> {
        if !self.standing.stands() {
            return self.take_oldest();
        }
        let (message, _) = self.waiting.pop_back()?;
        self.weight_bytes -= message.weight_bytes;
        Some(message)
    }
}
