//! What is broken, and when: [`Chaos`] and its [`Schedule`].
//!
//! Pure. Workers crash spread over the whole job, in turn by a panic and by an error; one node is killed when about a third
//! of the work is done, while it has work in hand. To be sure of that, chunks are handed to the victim with the order not
//! to finish them. A short job is all handed out before a third of it is done, so there the kill is due when a third is
//! handed out. Only first attempts are broken, so that the job ends.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ledger::{Delivery, HOME, NodeIndex};

/// A job of fewer chunks is short.
const SHORT_JOB_CHUNKS: u64 = 64;

/// What is broken while the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chaos {
    /// Nothing.
    None,
    /// Workers crash.
    Actors,
    /// One node is killed.
    Node,
    /// Both.
    All,
}

impl Chaos {
    /// Whether workers crash.
    pub fn crashes_actors(self) -> bool {
        matches!(self, Self::Actors | Self::All)
    }

    /// Whether a node is killed.
    pub fn kills_a_node(self) -> bool {
        matches!(self, Self::Node | Self::All)
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Actors => "actors",
            Self::Node => "node",
            Self::All => "all",
        })
    }
}

/// It is none of `none`, `actors`, `node`, `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownChaos;

impl FromStr for Chaos {
    type Err = UnknownChaos;

    fn from_str(text: &str) -> Result<Self, UnknownChaos> {
        match text {
            "none" => Ok(Self::None),
            "actors" => Ok(Self::Actors),
            "node" => Ok(Self::Node),
            "all" => Ok(Self::All),
            _ => Err(UnknownChaos),
        }
    }
}

/// What happens to a worker when it has counted a chunk, and before it has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// Nothing: it answers.
    None,
    /// It panics.
    Panic,
    /// It fails with an error.
    Fail,
    /// It keeps the chunk in hand and never answers: its node is about to be killed.
    Hold,
}

/// When to break what, for one job.
#[derive(Debug)]
pub struct Schedule {
    chaos: Chaos,
    input_bytes: u64,
    is_short: bool,
    crash_every: u64,
    victim: Option<NodeIndex>,
    sent_bytes: u64,
    counted_bytes: u64,
    held: u64,
    is_killed: bool,
}

impl Schedule {
    /// `crashes` is about how many workers crash in a job of `chunks` chunks.
    pub fn new(chaos: Chaos, input_bytes: u64, chunks: u64, crashes: u64) -> Self {
        Self {
            chaos,
            input_bytes,
            is_short: chunks < SHORT_JOB_CHUNKS,
            crash_every: (chunks / crashes.max(1)).max(2),
            victim: None,
            sent_bytes: 0,
            counted_bytes: 0,
            held: 0,
            is_killed: false,
        }
    }

    /// A node takes part. The last one to do so before the kill is the victim, if it is not the coordinator's.
    pub fn joined(&mut self, node: NodeIndex) {
        if node != HOME && self.held == 0 {
            self.victim = Some(node);
        }
    }

    /// A node takes no part any more.
    pub fn lost(&mut self, node: NodeIndex) {
        if self.victim == Some(node) {
            self.victim = None;
        }
    }

    /// The node to which the next chunk, of `input_bytes` bytes, is to go, so that it holds something when it is killed.
    pub fn prefers(&self, input_bytes: u64) -> Option<NodeIndex> {
        if self.is_due(self.sent_bytes + input_bytes) && self.held == 0 {
            self.victim
        } else {
            None
        }
    }

    /// What is to happen with this delivery of a chunk of `input_bytes` bytes. Called once for each delivery.
    pub fn fault(&mut self, delivery: &Delivery, input_bytes: u64) -> Fault {
        if delivery.attempt > 1 {
            return Fault::None;
        }
        self.sent_bytes += input_bytes;
        if Some(delivery.worker.node) == self.victim && self.is_due(self.sent_bytes) {
            self.held += 1;
            return Fault::Hold;
        }
        let number = delivery.chunk.0;
        if self.chaos.crashes_actors() && number % self.crash_every == self.crash_every / 2 {
            let panics = (number / self.crash_every).is_multiple_of(2);
            return if panics { Fault::Panic } else { Fault::Fail };
        }
        Fault::None
    }

    /// So much more of the input is counted.
    pub fn counted(&mut self, input_bytes: u64) {
        self.counted_bytes += input_bytes;
    }

    /// The node to kill now, once: it is due, and the node holds a chunk. If it had no room for one to hold until all was
    /// handed out, it is enough that it has some, which `in_flight` tells.
    pub fn kill(&mut self, in_flight: impl FnOnce(NodeIndex) -> usize) -> Option<NodeIndex> {
        let victim = self.victim?;
        let is_all_sent = self.sent_bytes >= self.input_bytes;
        let has_work = self.held > 0 || (is_all_sent && in_flight(victim) > 0);
        if self.is_killed || !self.is_due(self.sent_bytes) || !has_work {
            return None;
        }
        self.is_killed = true;
        self.victim
    }

    fn is_due(&self, sent_bytes: u64) -> bool {
        let is_part = |bytes: u64, parts: u64, of: u64| {
            u128::from(bytes) * u128::from(of) >= u128::from(self.input_bytes) * u128::from(parts)
        };
        let is_time = is_part(self.counted_bytes, 1, 3)
            || (self.is_short && is_part(sent_bytes, 1, 3))
            // The last chance to hand out something to hold.
            || is_part(sent_bytes, 9, 10);
        self.chaos.kills_a_node() && !self.is_killed && is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wordcount::ledger::{ChunkId, WorkerId};

    fn delivery(chunk: u64, node: usize, attempt: u32) -> Delivery {
        Delivery {
            chunk: ChunkId(chunk),
            attempt,
            worker: WorkerId {
                node: NodeIndex(node),
                number: 1,
            },
        }
    }

    /// A job of `chunks` chunks of one byte on three nodes in turn, each counted when `window` more are sent; which chunks
    /// meet which fault, and when the kill is.
    fn check(chaos: Chaos, chunks: u64, window: u64) -> (Vec<(u64, Fault)>, Option<u64>) {
        let mut schedule = Schedule::new(chaos, chunks, chunks, 4);
        (0..3).for_each(|node| schedule.joined(NodeIndex(node)));
        let mut faults = Vec::new();
        let mut killed = None;
        for chunk in 0..chunks {
            let node = schedule
                .prefers(1)
                .map_or(chunk as usize % 3, |node| node.0);
            let fault = schedule.fault(&delivery(chunk, node, 1), 1);
            if fault != Fault::None {
                faults.push((chunk, fault));
            }
            if chunk >= window {
                schedule.counted(1);
            }
            if let Some(node) = schedule.kill(|_| 0) {
                assert_eq!(node, NodeIndex(2));
                killed = Some(chunk);
                schedule.lost(node);
            }
        }
        (faults, killed)
    }

    #[test]
    fn without_chaos_nothing_is_broken() {
        assert_eq!(check(Chaos::None, 100, 0), (vec![], None));
    }

    #[test]
    fn workers_crash_spread_over_the_job_in_turn_by_panic_and_by_error() {
        let expected = vec![
            (12, Fault::Panic),
            (37, Fault::Fail),
            (62, Fault::Panic),
            (87, Fault::Fail),
        ];
        assert_eq!(check(Chaos::Actors, 100, 0), (expected, None));
    }

    #[test]
    fn the_node_that_joined_last_is_killed_with_a_chunk_in_hand_when_a_third_is_counted() {
        let expected = (vec![(40, Fault::Hold)], Some(40));
        assert_eq!(check(Chaos::Node, 90, 10), expected);
    }

    #[test]
    fn in_a_short_job_a_node_is_killed_when_a_third_is_handed_out() {
        let expected = (vec![(9, Fault::Hold)], Some(9));
        assert_eq!(check(Chaos::Node, 30, 30), expected);
        let single = (vec![(0, Fault::Hold)], Some(0));
        assert_eq!(check(Chaos::Node, 1, 1), single);
        let (faults, killed) = check(Chaos::All, 5, 5);
        assert!(faults.len() >= 2 && killed.is_some(), "{faults:?}");
    }

    #[test]
    fn a_job_that_is_all_handed_out_before_a_third_is_counted_still_has_its_kill() {
        let expected = (vec![(89, Fault::Hold)], Some(89));
        assert_eq!(check(Chaos::Node, 100, 100), expected);
    }

    #[test]
    fn a_victim_that_never_had_room_is_killed_with_what_it_has() {
        let mut schedule = Schedule::new(Chaos::Node, 100, 100, 1);
        schedule.joined(NodeIndex(1));
        for chunk in 0..100 {
            assert_eq!(schedule.kill(|_| 8), None, "{chunk}");
            schedule.fault(&delivery(chunk, 0, 1), 1);
        }
        assert_eq!(schedule.kill(|_| 0), None, "it has nothing");
        assert_eq!(schedule.kill(|_| 8), Some(NodeIndex(1)));
        assert_eq!(schedule.kill(|_| 8), None, "once");
    }

    #[test]
    fn only_first_attempts_are_broken() {
        let mut schedule = Schedule::new(Chaos::All, 10, 10, 10);
        schedule.joined(NodeIndex(1));
        for chunk in 0..10 {
            let fault = schedule.fault(&delivery(chunk, 1, 2), 1);
            assert_eq!(fault, Fault::None);
        }
        assert_eq!(schedule.kill(|_| 0), None);
    }

    #[test]
    fn the_coordinators_node_is_never_the_victim() {
        let mut schedule = Schedule::new(Chaos::Node, 1, 1, 1);
        schedule.joined(HOME);
        assert_eq!(schedule.prefers(1), None);
        assert_eq!(schedule.fault(&delivery(0, 0, 1), 1), Fault::None);
        assert_eq!(schedule.kill(|_| 0), None);
    }

    #[test]
    fn modes_are_read_and_written_alike() {
        for chaos in [Chaos::None, Chaos::Actors, Chaos::Node, Chaos::All] {
            assert_eq!(chaos.to_string().parse(), Ok(chaos));
        }
        assert_eq!("some".parse::<Chaos>(), Err(UnknownChaos));
    }
}
