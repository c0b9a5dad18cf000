//! Where every chunk is: [`Ledger`].
//!
//! Pure: the coordinator tells it what happened and asks it what to send next. Its promise is that each chunk counts
//! exactly once, in whatever order answers, failures and deaths of nodes arrive, however late or doubled they are:
//!
//! - A chunk is *open* until its first answer, whoever sends it. Later answers are known as such and not counted.
//! - A delivery that failed puts its chunk back in line, unless the chunk was answered meanwhile or is with somebody else.
//! - A chunk goes to another worker than the one that lost it, unless there is no other.
//! - No worker has more than `in_flight_max` deliveries, and no chunk is asked for while one is waiting, so the number of
//!   open chunks is bounded by the number of workers.
//!
//! It does not keep the chunks themselves, and knows nothing of time: when a failure is worth a pause of its node is
//! decided by the coordinator.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

/// A chunk, numbered from 0 in the order of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId(pub u64);

/// A node that has joined, numbered by the coordinator. A node that comes back is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub usize);

/// The node of the coordinator itself.
pub const HOME: NodeIndex = NodeIndex(0);

/// A worker of a node, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId {
    /// Its node.
    pub node: NodeIndex,
    /// Its number there.
    pub number: u32,
}

/// One chunk on its way to one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delivery {
    /// Which chunk.
    pub chunk: ChunkId,
    /// The how manieth attempt this is, from 1.
    pub attempt: u32,
    /// To whom.
    pub worker: WorkerId,
}

/// Where a chunk may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To any node.
    Anywhere,
    /// Only to the node of the coordinator: it is too long for a frame.
    Home,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The first one for its chunk: add it.
    Counts,
    /// The chunk has been counted: drop it.
    AlreadyCounted,
}

/// The chunk was tried as often as is allowed. It is not counted, so the job cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Which chunk.
    pub chunk: ChunkId,
    /// How often it was tried.
    pub attempts: u32,
}

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chunk, attempts } = self;
        write!(
            f,
            "chunk {} was delivered {attempts} times and never counted",
            chunk.0
        )
    }
}

impl std::error::Error for GivenUp {}

/// The bounds of a [`Ledger`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many deliveries one worker can have. At least 1.
    pub in_flight_max: usize,
    /// How often one chunk can be delivered. At least 1.
    pub attempts_max: u32,
}

/// Where every chunk is.
#[derive(Clone, Debug)]
pub struct Ledger {
    limits: Limits,
    workers: BTreeMap<WorkerId, BTreeSet<Delivery>>,
    paused: BTreeSet<NodeIndex>,
    /// Offered and not counted.
    open: BTreeMap<ChunkId, Open>,
    /// Those of them that are with nobody; may hold numbers that have been counted meanwhile.
    waiting: VecDeque<ChunkId>,
    offered: u64,
    is_complete: bool,
    redeliveries: u64,
}

#[derive(Clone, Debug)]
struct Open {
    reach: Reach,
    attempts: u32,
    /// How many deliveries of it have neither been answered nor failed.
    out: u32,
    lost_by: Option<WorkerId>,
}

impl Ledger {
    /// A ledger without workers and chunks.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits: Limits {
                in_flight_max: limits.in_flight_max.max(1),
                attempts_max: limits.attempts_max.max(1),
            },
            workers: BTreeMap::new(),
            paused: BTreeSet::new(),
            open: BTreeMap::new(),
            waiting: VecDeque::new(),
            offered: 0,
            is_complete: false,
            redeliveries: 0,
        }
    }

    // What is known.

    /// How many chunks there are so far.
    pub fn chunks(&self) -> u64 {
        self.offered
    }

    /// How many of them are counted.
    pub fn counted(&self) -> u64 {
        self.offered - self.open.len() as u64
    }

    /// How many deliveries were not the first of their chunk.
    pub fn redeliveries(&self) -> u64 {
        self.redeliveries
    }

    /// How many deliveries `node` has.
    pub fn in_flight(&self, node: NodeIndex) -> usize {
        self.workers
            .iter()
            .filter(|(worker, _)| worker.node == node)
            .map(|(_, deliveries)| deliveries.len())
            .sum()
    }

    /// Whether there is nothing left to do but what `node` has.
    pub fn waits_only_for(&self, node: NodeIndex) -> bool {
        self.is_complete && !self.open.is_empty() && self.open.len() <= self.in_flight(node)
    }

    /// Whether all chunks of the input have been read, and those that are open are with workers.
    pub fn is_all_out(&self) -> bool {
        self.is_complete && !self.open.is_empty() && !self.has_waiting()
    }

    /// Whether every chunk of the input is counted.
    pub fn is_finished(&self) -> bool {
        self.is_complete && self.open.is_empty()
    }

    /// Whether the next chunk of the input is to be read: somebody has room, and no chunk is waiting.
    pub fn wants_chunk(&self) -> bool {
        !self.is_complete
            && !self.has_waiting()
            && self.workers.keys().any(|&worker| self.has_room(worker))
    }

    // The nodes.

    /// A node has joined, with `workers` workers.
    pub fn join(&mut self, node: NodeIndex, workers: u32) {
        for number in 1..=workers {
            self.workers.entry(WorkerId { node, number }).or_default();
        }
    }

    /// Gives a node nothing more until [`resume`](Self::resume). What it has, it may still answer.
    pub fn pause(&mut self, node: NodeIndex) {
        self.paused.insert(node);
    }

    /// Goes on with a node that was paused.
    pub fn resume(&mut self, node: NodeIndex) {
        self.paused.remove(&node);
    }

    /// What a node has goes to others. The node stays; it may still answer, and is given more unless it is paused.
    ///
    /// Returns how many chunks it had that were not counted.
    ///
    /// # Errors
    ///
    /// If one of them may not be delivered again.
    pub fn recall(&mut self, node: NodeIndex) -> Result<usize, GivenUp> {
        let recalled: Vec<Delivery> = self
            .workers
            .iter_mut()
            .filter(|(worker, _)| worker.node == node)
            .flat_map(|(_, deliveries)| std::mem::take(deliveries))
            .collect();
        let is_open = |delivery: &&Delivery| self.open.contains_key(&delivery.chunk);
        let open = recalled.iter().filter(is_open).count();
        for delivery in recalled {
            self.put_back(delivery)?;
        }
        Ok(open)
    }

    /// A node is dead. What it had goes to others.
    ///
    /// Returns how many chunks it had that were not counted.
    ///
    /// # Errors
    ///
    /// If one of them may not be delivered again.
    pub fn lose(&mut self, node: NodeIndex) -> Result<usize, GivenUp> {
        let recalled = self.recall(node);
        self.workers.retain(|worker, _| worker.node != node);
        self.paused.remove(&node);
        recalled
    }

    // The chunks.

    /// The next chunk of the input has been read. It waits, unless it is [counted](Self::count) at once.
    pub fn offer(&mut self, reach: Reach) -> ChunkId {
        let chunk = ChunkId(self.offered);
        self.offered += 1;
        self.open.insert(
            chunk,
            Open {
                reach,
                attempts: 0,
                out: 0,
                lost_by: None,
            },
        );
        self.waiting.push_back(chunk);
        chunk
    }

    /// There are no more chunks.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// What to send now, and to whom: the chunk that waits longest among those for which somebody has room, to `first`
    /// if a worker of that node is among those, and to the one with the fewest deliveries otherwise.
    pub fn next_delivery(&mut self, first: Option<NodeIndex>) -> Option<Delivery> {
        self.waiting.retain(|chunk| self.open.contains_key(chunk));
        let (place, worker) =
            self.waiting.iter().enumerate().find_map(|(place, chunk)| {
                Some((place, self.worker_for(&self.open[chunk], first)?))
            })?;
        let chunk = self.waiting.remove(place)?;
        let open = self.open.get_mut(&chunk)?;
        open.attempts += 1;
        open.out += 1;
        self.redeliveries += u64::from(open.attempts > 1);
        let delivery = Delivery {
            chunk,
            attempt: open.attempts,
            worker,
        };
        self.workers.entry(worker).or_default().insert(delivery);
        Some(delivery)
    }

    /// A delivery was answered with counts.
    pub fn answered(&mut self, delivery: Delivery) -> Answer {
        self.close(delivery);
        self.count(delivery.chunk)
    }

    /// A chunk is counted without an answer: its counts were there already.
    pub fn count(&mut self, chunk: ChunkId) -> Answer {
        match self.open.remove(&chunk) {
            Some(_) => Answer::Counts,
            None => Answer::AlreadyCounted,
        }
    }

    /// A delivery will not be answered, as far as is known. Its chunk goes to another, unless that is done already.
    ///
    /// Returns whether the delivery was still waited for; if not, this is no news.
    ///
    /// # Errors
    ///
    /// If the chunk may not be delivered again.
    pub fn failed(&mut self, delivery: Delivery) -> Result<bool, GivenUp> {
        let is_news = self.close(delivery);
        if is_news {
            self.put_back(delivery)?;
        }
        Ok(is_news)
    }

    fn close(&mut self, delivery: Delivery) -> bool {
        self.workers
            .get_mut(&delivery.worker)
            .is_some_and(|deliveries| deliveries.remove(&delivery))
    }

    /// `delivery` has just been closed without an answer.
    fn put_back(&mut self, delivery: Delivery) -> Result<(), GivenUp> {
        let Some(open) = self.open.get_mut(&delivery.chunk) else {
            return Ok(());
        };
        open.out -= 1;
        open.lost_by = Some(delivery.worker);
        if open.out > 0 {
            return Ok(());
        }
        if open.attempts >= self.limits.attempts_max {
            return Err(GivenUp {
                chunk: delivery.chunk,
                attempts: open.attempts,
            });
        }
        self.waiting.push_back(delivery.chunk);
        Ok(())
    }

    fn has_waiting(&self) -> bool {
        self.waiting
            .iter()
            .any(|chunk| self.open.contains_key(chunk))
    }

    fn has_room(&self, worker: WorkerId) -> bool {
        !self.paused.contains(&worker.node)
            && self
                .workers
                .get(&worker)
                .is_some_and(|deliveries| deliveries.len() < self.limits.in_flight_max)
    }

    fn worker_for(&self, chunk: &Open, first: Option<NodeIndex>) -> Option<WorkerId> {
        let may_have = |worker: &WorkerId| match chunk.reach {
            Reach::Anywhere => true,
            Reach::Home => worker.node == HOME,
        };
        let is_another = |worker: &WorkerId| Some(*worker) != chunk.lost_by;
        let others_exist = self.workers.keys().any(|worker| {
            may_have(worker) && is_another(worker) && !self.paused.contains(&worker.node)
        });
        self.workers
            .iter()
            .filter(|(worker, _)| may_have(worker) && (is_another(worker) || !others_exist))
            .filter(|(worker, _)| self.has_room(**worker))
            .min_by_key(|(worker, deliveries)| {
                (Some(worker.node) != first, deliveries.len(), worker.number)
            })
            .map(|(worker, _)| *worker)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
