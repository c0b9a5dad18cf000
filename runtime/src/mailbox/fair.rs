//! Fair queueing by key: each key has a line of its own, and the lines take turns.
//!
//! Deficit round robin (Shreedhar and Varghese, "Efficient Fair Queuing using Deficit Round Robin", SIGCOMM 1995): a line
//! whose turn it is may spend one quantum more, and goes to the end of the round when its next message costs more than it
//! has left. A message costs 1, or its weight in a mailbox that weighs. When the mailbox is full, the longest line gives
//! way: the idea of McKenney's "Stochastic Fairness Queueing" (INFOCOM 1990), without its buckets, because lines exist
//! only while they hold a message, so that their number never exceeds the mailbox's capacity.
//!
//! # Rules
//!
//! * Within a key the order is that of arrival; what gives way is the newest.
//! * A newcomer whose own line is the longest, or would become that, gives way itself. Another one gets its room, however
//!   many of the longest lines' messages that takes.
//! * A line that empties is forgotten with what it had left to spend, so that idleness earns nothing.
//! * Messages in reserved slots have a line of their own, which is served first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::line::{Leaving, Weighed};

/// See the [module](self).
pub(super) struct FairLine<T> {
    reserved: VecDeque<T>,
    lines: BTreeMap<u64, KeyLine<T>>,
    /// Keys of the lines, in the order of their turns.
    round: VecDeque<u64>,
    /// Whether the first of the round has had its quantum.
    turn_has_begun: bool,
    /// What each line costs, with its key: the last is the longest.
    by_cost: BTreeSet<(usize, u64)>,
    quantum: usize,
    len: usize,
}

struct KeyLine<T> {
    waiting: VecDeque<Weighed<T>>,
    cost: usize,
    left_to_spend: usize,
}

/// A weighed line gets this share of the mailbox's weight for each turn, so that even the heaviest message waits for no
/// more rounds than this.
const TURNS_FOR_THE_HEAVIEST: usize = 64;

fn cost_of<T>(message: &Weighed<T>) -> usize {
    message.weight_bytes.max(1)
}

impl<T> FairLine<T> {
    /// `weight_bytes_max`: `None` if the mailbox doesn't weigh.
    pub(super) fn new(weight_bytes_max: Option<usize>) -> Self {
        Self {
            reserved: VecDeque::new(),
            lines: BTreeMap::new(),
            round: VecDeque::new(),
            turn_has_begun: false,
            by_cost: BTreeSet::new(),
            quantum: weight_bytes_max.map_or(1, |max| (max / TURNS_FOR_THE_HEAVIEST).max(1)),
            len: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.reserved.len() + self.len
    }

    pub(super) fn push(&mut self, message: Weighed<T>, key: u64) {
        let cost = cost_of(&message);
        let round = &mut self.round;
        let line = self.lines.entry(key).or_insert_with(|| {
            round.push_back(key);
            KeyLine {
                waiting: VecDeque::new(),
                cost: 0,
                left_to_spend: 0,
            }
        });
        self.by_cost.remove(&(line.cost, key));
        line.cost += cost;
        line.waiting.push_back(message);
        self.by_cost.insert((line.cost, key));
        self.len += 1;
    }

    pub(super) fn push_reserved(&mut self, value: T) {
        self.reserved.push_back(value);
    }

    /// Whether others give way to a newcomer with this key and cost: its own line would still not be the longest.
    ///
    /// If so there are always enough others: the longest line alone costs more than the newcomer and its line.
    pub(super) fn yields_to(&self, key: u64, cost: usize) -> bool {
        let longest = self.by_cost.last().map_or(0, |&(cost, _)| cost);
        let own = self.lines.get(&key).map_or(0, |line| line.cost);
        own.saturating_add(cost) < longest
    }

    /// Takes the newest message out of the longest line that has another key.
    pub(super) fn displace_for(&mut self, key: u64) -> Option<Weighed<T>> {
        let others = self.by_cost.iter().rev();
        let longest = others
            .map(|&(_, other)| other)
            .find(|&other| other != key)?;
        self.take(longest, VecDeque::pop_back)
    }

    pub(super) fn pop(&mut self) -> Option<Leaving<T>> {
        if let Some(value) = self.reserved.pop_front() {
            return Some(Leaving::Reserved(value));
        }
        loop {
            let key = *self.round.front()?;
            let line = self.lines.get_mut(&key)?;
            if !self.turn_has_begun {
                self.turn_has_begun = true;
                line.left_to_spend += self.quantum;
            }
            let cost = cost_of(line.waiting.front()?);
            if cost <= line.left_to_spend {
                line.left_to_spend -= cost;
                return self.take(key, VecDeque::pop_front).map(Leaving::Served);
            }
            self.turn_has_begun = false;
            self.round.rotate_left(1);
        }
    }

    /// Takes a message out of the line with this key, and forgets the line if it was the last.
    fn take(
        &mut self,
        key: u64,
        end: impl FnOnce(&mut VecDeque<Weighed<T>>) -> Option<Weighed<T>>,
    ) -> Option<Weighed<T>> {
        let line = self.lines.get_mut(&key)?;
        let message = end(&mut line.waiting)?;
        self.len -= 1;
        self.by_cost.remove(&(line.cost, key));
        line.cost -= cost_of(&message);
        if line.waiting.is_empty() {
            self.lines.remove(&key);
            // Mostly the first of the round; where it is not, its line was displaced, which is rare and long already.
            if let Some(index) = self.round.iter().position(|&other| other == key) {
                self.round.remove(index);
                self.turn_has_begun &= index > 0;
            }
        } else {
            self.by_cost.insert((line.cost, key));
        }
        Some(message)
    }

    pub(super) fn trim(&mut self) {
        self.reserved.shrink_to_fit();
        self.round.shrink_to_fit();
    }

    pub(super) fn holds_memory(&self) -> bool {
        self.reserved.capacity() > 0 || self.round.capacity() > 0
    }
}
