//! What is broken, and when: [`Chaos`] and its [`Schedule`].
//!
//! Pure. Workers crash spread over the whole job, in turn by a panic and by an error; one node is killed when about a third
//! of the work is done, while it has work in hand. To be sure of that, one chunk is handed to the victim with the order
//! not to finish it: just before in a long job, and at the beginning of a short one, which may be all handed out before a
//! third of it is done. The coordinator's own node is killed when a third is done, or two thirds if another one is killed
//! before; it waits for its end, so that it cannot be done before. Only first attempts are broken, and a coordinator that
//! follows another has no node killed, so that the job ends.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::ledger::{Delivery, HOME, NodeIndex};

/// A job with less input is short.
const SHORT_JOB_BYTES: u64 = 16 << 20;

/// What is broken while the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chaos {
    /// Nothing.
    None,
    /// Workers crash.
    Actors,
    /// One node is killed, and not the coordinator's.
    Node,
    /// The coordinator's node is killed.
    Coordinator,
    /// One node is cut off from the others for a while, and not the coordinator's.
    Partition,
    /// Workers crash and the coordinator's node is killed. If the others are a majority without two nodes, one more is killed before; if the
    /// next coordinator's are a majority without one, that one is cut off.
    All,
}

/// The smallest cluster in which a majority survives two deaths.
const NODES_FOR_TWO_DEATHS: u32 = 5;

/// The smallest cluster in which what is left after a death can be parted so that one side is a majority.
const NODES_FOR_A_DEATH_AND_A_CUT: u32 = 4;

/// What happens to a node while it has a chunk in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// It is killed.
    Kill,
    /// It is cut off from the others for a while.
    Cut,
}

impl Chaos {
    /// Whether workers crash.
    pub fn crashes_actors(self) -> bool {
        matches!(self, Self::Actors | Self::All)
    }

    /// Whether a node is killed.
    pub fn kills_a_node(self) -> bool {
        matches!(self, Self::Node | Self::Coordinator | Self::All)
    }

    /// Whether it takes a majority that is left to go on.
    pub fn needs_a_majority(self) -> bool {
        self.kills_a_node() || self == Self::Partition
    }

    /// What the first coordinator has done to another node.
    fn first_strike(self, nodes: u32) -> Option<Strike> {
        match self {
            Self::Node => Some(Strike::Kill),
            Self::All if nodes >= NODES_FOR_TWO_DEATHS => Some(Strike::Kill),
            Self::Partition => Some(Strike::Cut),
            _ => None,
        }
    }

    /// What the next one has done.
    fn next_strike(self, nodes: u32) -> Option<Strike> {
        (self == Self::All && nodes >= NODES_FOR_A_DEATH_AND_A_CUT).then_some(Strike::Cut)
    }

    fn kills_the_coordinators(self) -> bool {
        matches!(self, Self::Coordinator | Self::All)
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Actors => "actors",
            Self::Node => "node",
            Self::Coordinator => "coordinator",
            Self::Partition => "partition",
            Self::All => "all",
        })
    }
}

/// It is none of `none`, `actors`, `node`, `coordinator`, `partition`, `all`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownChaos;

impl FromStr for Chaos {
    type Err = UnknownChaos;

    fn from_str(text: &str) -> Result<Self, UnknownChaos> {
        match text {
            "none" => Ok(Self::None),
            "actors" => Ok(Self::Actors),
            "node" => Ok(Self::Node),
            "coordinator" => Ok(Self::Coordinator),
            "partition" => Ok(Self::Partition),
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

/// When to break what, for one time in office of a coordinator.
#[derive(Debug)]
pub struct Schedule {
    chaos: Chaos,
    nodes: u32,
    strike: Option<Strike>,
    kills_home: bool,
    input_bytes: u64,
    crash_every: u64,
    victim: Option<NodeIndex>,
    sent_bytes: u64,
    counted_bytes: u64,
    is_holding: bool,
    is_struck: bool,
}

impl Schedule {
    /// `crashes` is about how many workers crash in a job of `chunks` chunks on `nodes` nodes.
    pub fn new(chaos: Chaos, nodes: u32, input_bytes: u64, chunks: u64, crashes: u64) -> Self {
        Self {
            chaos,
            nodes,
            strike: chaos.first_strike(nodes),
            kills_home: chaos.kills_the_coordinators(),
            input_bytes,
            crash_every: (chunks / crashes.max(1)).max(2),
            victim: None,
            sent_bytes: 0,
            counted_bytes: 0,
            is_holding: false,
            is_struck: false,
        }
    }

    /// Another coordinator was in office before: no more nodes are killed.
    pub fn follow(&mut self) {
        self.strike = self.chaos.next_strike(self.nodes);
        self.kills_home = false;
    }

    /// A node takes part. The last one to do so before it is time is the victim, if it is not the coordinator's.
    pub fn joined(&mut self, node: NodeIndex) {
        if node != HOME && !self.is_holding {
            self.victim = Some(node);
        }
    }

    /// A node takes no part any more.
    pub fn lost(&mut self, node: NodeIndex) {
        if self.victim == Some(node) {
            self.victim = None;
            self.is_holding = false;
        }
    }

    /// The node to which the next chunk, of `input_bytes` bytes, is to go, so that it holds something when it is killed.
    pub fn prefers(&self, input_bytes: u64) -> Option<NodeIndex> {
        self.victim
            .filter(|_| self.is_time_to_hold(self.sent_bytes + input_bytes))
    }

    /// What is to happen with this delivery of a chunk of `input_bytes` bytes. Called once for each delivery.
    pub fn fault(&mut self, delivery: &Delivery, input_bytes: u64) -> Fault {
        if delivery.attempt > 1 {
            return Fault::None;
        }
        self.sent_bytes += input_bytes;
        let is_for_victim = Some(delivery.worker.node) == self.victim;
        if is_for_victim && self.is_time_to_hold(self.sent_bytes) {
            self.is_holding = true;
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

    /// The node to strike now, once: it holds a chunk, and a third of the input is counted, or all that is not on this node,
    /// which `is_all_that_is_left` tells.
    pub fn strike(
        &mut self,
        is_all_that_is_left: impl FnOnce(NodeIndex) -> bool,
    ) -> Option<(NodeIndex, Strike)> {
        let (victim, strike) = (self.victim?, self.strike?);
        if self.is_struck || !self.is_holding {
            return None;
        }
        if !self.is_a_third(self.counted_bytes) && !is_all_that_is_left(victim) {
            return None;
        }
        self.is_struck = true;
        Some((victim, strike))
    }

    /// Whether the coordinator's own node is to be killed now, once. `is_all_out` says that all chunks that are left are with
    /// workers.
    pub fn kill_home(&mut self, is_all_out: bool) -> bool {
        let part = if self.strike.is_some() { 2 } else { 1 };
        let is_time = self.counted_bytes.saturating_mul(3) >= self.input_bytes.saturating_mul(part);
        let is_next = self.strike.is_none() || self.is_struck;
        let is_now = self.kills_home && is_next && self.input_bytes > 0 && (is_time || is_all_out);
        self.kills_home &= !is_now;
        is_now
    }

    fn is_time_to_hold(&self, sent_bytes: u64) -> bool {
        let is_time = self.input_bytes < SHORT_JOB_BYTES || self.is_a_third(sent_bytes);
        self.strike.is_some() && !self.is_struck && !self.is_holding && is_time
    }

    fn is_a_third(&self, bytes: u64) -> bool {
        bytes.saturating_mul(3) >= self.input_bytes
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

    /// A job of `chunks` chunks of `bytes` on three nodes in turn, each counted when `window` more are sent, but what is
    /// held. Which chunks meet which fault, and when the kill is.
    fn run(chaos: Chaos, chunks: u64, bytes: u64, window: u64) -> (Vec<(u64, Fault)>, Option<u64>) {
        let mut schedule = Schedule::new(chaos, NODES_FOR_TWO_DEATHS, chunks * bytes, chunks, 4);
        (0..3).for_each(|node| schedule.joined(NodeIndex(node)));
        let mut faults = Vec::new();
        let mut killed = None;
        for step in 0..chunks + window {
            if step < chunks {
                let chosen = schedule.prefers(bytes).map(|node| node.0);
                let node = chosen.unwrap_or(step as usize % 3);
                let fault = schedule.fault(&delivery(step, node, 1), bytes);
                if fault != Fault::None {
                    faults.push((step, fault));
                }
            }
            if step >= window && !faults.contains(&(step - window, Fault::Hold)) {
                schedule.counted(bytes);
            }
            if let Some(struck) = schedule.strike(|_| step + 1 == chunks + window) {
                let (node, strike) = struck;
                assert_eq!((node, killed), (NodeIndex(2), None));
                assert_eq!(strike, Strike::Kill);
                killed = Some(step);
                schedule.lost(node);
            }
        }
        (faults, killed)
    }

    const SHORT: u64 = 1000;
    const LONG: u64 = 1 << 20;

    #[test]
    fn without_chaos_nothing_is_broken() {
        assert_eq!(run(Chaos::None, 100, LONG, 10), (vec![], None));
    }

    #[test]
    fn workers_crash_spread_over_the_job_in_turn_by_panic_and_by_error() {
        let expected = vec![
            (12, Fault::Panic),
            (37, Fault::Fail),
            (62, Fault::Panic),
            (87, Fault::Fail),
        ];
        assert_eq!(run(Chaos::Actors, 100, SHORT, 10), (expected, None));
    }

    #[test]
    fn the_node_that_joined_last_is_struck_when_a_third_is_counted_with_a_chunk_in_hand() {
        let (faults, killed) = run(Chaos::Node, 90, LONG, 10);
        assert_eq!(faults, [(29, Fault::Hold)], "just before");
        assert_eq!(killed, Some(40), "thirty, and the one that is held");
    }

    #[test]
    fn in_a_short_job_the_victim_holds_a_chunk_from_the_beginning() {
        let (faults, killed) = run(Chaos::Node, 30, SHORT, 15);
        assert_eq!((faults, killed), (vec![(0, Fault::Hold)], Some(25)));
    }

    #[test]
    fn if_nothing_else_is_left_the_kill_is_due() {
        let (faults, killed) = run(Chaos::Node, 1, SHORT, 1);
        assert_eq!((faults, killed), (vec![(0, Fault::Hold)], Some(1)));
    }

    #[test]
    fn all_is_both() {
        let (faults, killed) = run(Chaos::All, 100, LONG, 10);
        assert_eq!(faults.len(), 5, "{faults:?}");
        assert!(killed.is_some());
    }

    #[test]
    fn only_first_attempts_are_broken() {
        let mut schedule = Schedule::new(Chaos::All, 3, 10, 10, 10);
        schedule.joined(NodeIndex(1));
        for chunk in 0..10 {
            let fault = schedule.fault(&delivery(chunk, 1, 2), 1);
            assert_eq!(fault, Fault::None);
        }
        assert_eq!(schedule.strike(|_| true), None);
    }

    #[test]
    fn the_coordinators_node_is_never_the_victim() {
        let mut schedule = Schedule::new(Chaos::Node, 3, 1, 1, 1);
        schedule.joined(HOME);
        assert_eq!(schedule.prefers(1), None);
        assert_eq!(schedule.fault(&delivery(0, 0, 1), 1), Fault::None);
        assert_eq!(schedule.strike(|_| true), None);
    }

    #[test]
    fn a_victim_that_was_lost_by_itself_is_replaced_by_the_next_that_joins() {
        let mut schedule = Schedule::new(Chaos::Node, 3, 100, 100, 1);
        schedule.joined(NodeIndex(1));
        assert_eq!(schedule.fault(&delivery(0, 1, 1), 1), Fault::Hold);
        schedule.lost(NodeIndex(1));
        assert_eq!(schedule.strike(|_| true), None);
        schedule.joined(NodeIndex(2));
        assert_eq!(schedule.fault(&delivery(1, 2, 1), 1), Fault::Hold);
        assert_eq!(
            schedule.strike(|_| true),
            Some((NodeIndex(2), Strike::Kill))
        );
        assert_eq!(schedule.strike(|_| true), None, "once");
    }

    #[test]
    fn the_coordinators_node_is_struck_once_when_a_third_is_counted_or_all_is_with_workers() {
        let mut schedule = Schedule::new(Chaos::Coordinator, 3, 90, 9, 1);
        assert!(!schedule.kill_home(false));
        schedule.counted(30);
        assert!(schedule.kill_home(false));
        assert!(!schedule.kill_home(true), "once");
        let mut schedule = Schedule::new(Chaos::All, 4, 90, 9, 1);
        assert!(schedule.kill_home(true), "a short job");
        assert_eq!(schedule.prefers(90), None, "nobody else is killed");
        let mut schedule = Schedule::new(Chaos::Coordinator, 3, 90, 9, 1);
        schedule.follow();
        schedule.counted(90);
        assert!(!schedule.kill_home(true), "it follows one that was killed");
        let mut schedule = Schedule::new(Chaos::Coordinator, 3, 0, 0, 1);
        assert!(!schedule.kill_home(true), "there is nothing to do");
    }

    #[test]
    fn of_five_nodes_another_one_is_struck_first_and_then_the_coordinators() {
        let mut schedule = Schedule::new(Chaos::All, 5, 90, 9, 1);
        schedule.joined(NodeIndex(1));
        assert_eq!(schedule.fault(&delivery(0, 1, 1), 10), Fault::Hold);
        schedule.counted(80);
        assert!(!schedule.kill_home(true));
        assert_eq!(
            schedule.strike(|_| false),
            Some((NodeIndex(1), Strike::Kill))
        );
        assert!(schedule.kill_home(false));
    }

    #[test]
    fn the_coordinator_that_follows_has_a_node_cut_off_that_has_a_chunk_in_hand() {
        for (chaos, nodes, follows) in [(Chaos::Partition, 3, false), (Chaos::All, 4, true)] {
            let mut schedule = Schedule::new(chaos, nodes, 90, 9, 1);
            schedule.joined(NodeIndex(1));
            if follows {
                schedule.follow();
            }
            assert_eq!(schedule.prefers(10), Some(NodeIndex(1)), "{chaos}");
            assert_eq!(schedule.fault(&delivery(0, 1, 1), 10), Fault::Hold);
            let struck = Some((NodeIndex(1), Strike::Cut));
            assert_eq!(schedule.strike(|_| true), struck);
            assert_eq!(schedule.strike(|_| true), None, "once");
        }
    }

    #[test]
    fn modes_are_read_and_written_alike() {
        for chaos in [
            Chaos::None,
            Chaos::Actors,
            Chaos::Node,
            Chaos::Coordinator,
            Chaos::Partition,
            Chaos::All,
        ] {
            assert_eq!(chaos.to_string().parse(), Ok(chaos));
        }
        assert_eq!("some".parse::<Chaos>(), Err(UnknownChaos));
    }
}
