//! What the launcher knows of a running job: [`Progress`].
//!
//! Events of the nodes go in, lines of the story come out, and sometimes an [`Order`] that the launcher carries out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    net::SocketAddr,
    process::ExitStatus,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    cuts::Cuts,
    job_error::JobError,
    protocol::{Control, Event, Standing},
    pulse::Pulse,
    report::{Bytes, Counted},
    story::Story,
    tally::Tally,
};

/// How long the survivors may take to notice a death, when everything is counted.
const DETECTION_TIME_MAX: Duration = Duration::from_secs(30);

/// How long the other survivors may take when the first has declared the node down. It is only for the story: one that
/// was itself taken for dead meanwhile has nothing to tell.
const AGREEMENT_TIME_MAX: Duration = Duration::from_secs(5);

/// The node that the others join.
const FOUNDER: usize = 0;

/// What the launcher is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Nothing.
    Nothing,
    /// Tell the other nodes to join by way of this address.
    Invite(SocketAddr),
    /// Cut this node off from the others.
    Cut {
        /// Which, from 0.
        node: usize,
        /// How many chunks are on it.
        chunks: usize,
    },
    /// Kill this node.
    Kill {
        /// Which, from 0.
        node: usize,
        /// How many chunks are on it.
        chunks: usize,
    },
}

/// What became of the node that was killed.
#[derive(Clone, Debug)]
pub struct Victim {
    node: usize,
    killed_at: Instant,
    /// From the kill until the first survivor could not reach it.
    pub unreachable_after: Option<Duration>,
    /// From the kill until the first survivor declared it down.
    pub down_after: Option<Duration>,
    seen_down_by: BTreeSet<usize>,
}

impl Victim {
    fn agreement_ends(&self) -> Option<Instant> {
        Some(self.killed_at + self.down_after? + AGREEMENT_TIME_MAX)
    }
}

/// What the launcher knows of a running job.
pub struct Progress<W> {
    story: Story<W>,
    nodes: u32,
    input_bytes: u64,
    began: Instant,
    pulse: Pulse,
    ended: BTreeSet<usize>,
    victims: Vec<Victim>,
    cuts: Cuts,
    restarts: u64,
    coordinators: u32,
    /// What coordinators are handing over, by node.
    results: BTreeMap<usize, (Totals, Tally)>,
    totals: Option<Totals>,
    tally: Tally,
    done: Option<Instant>,
}

/// The sums of a job whose chunks are all counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// How many chunks there were.
    pub chunks: u64,
    /// How many deliveries of the last coordinator were not the first of their chunk.
    pub redeliveries: u64,
    /// How many chunks had been counted for a coordinator before.
    pub taken_over: u64,
    /// How long the input was.
    pub bytes: u64,
    /// From the start until the last chunk was counted.
    pub elapsed: Duration,
}

impl<W: Write> Progress<W> {
    /// A job that begins now.
    pub fn new(story: Story<W>, nodes: u32, input_bytes: u64) -> Self {
        let now = Instant::now();
        Self {
            story,
            nodes,
            input_bytes,
            began: now,
            pulse: Pulse::new(),
            ended: BTreeSet::new(),
            victims: Vec::new(),
            cuts: Cuts::default(),
            restarts: 0,
            coordinators: 0,
            results: BTreeMap::new(),
            totals: None,
            tally: Tally::default(),
            done: None,
        }
    }

    // What is known.

    /// The name of a node, by its number from 0.
    pub fn name(node: usize) -> String {
        format!("node-{}", node + 1)
    }

    /// Where lines are told.
    pub fn story(&mut self) -> &mut Story<W> {
        &mut self.story
    }

    /// The rest is told as `story`.
    pub fn tell_on(&mut self, story: Story<W>) {
        self.story.go_on_as(story);
    }

    /// Whether the result is there and, if a node was killed, a survivor has declared it down and the others had the time
    /// to do the same.
    pub fn is_complete(&self) -> bool {
        let is_noticed = |victim: &Victim| {
            let know = victim.seen_down_by.union(&self.ended).count();
            let enough = victim.agreement_ends();
            victim.down_after.is_some()
                && (know >= self.nodes as usize
                    || enough.is_some_and(|enough| Instant::now() >= enough))
        };
        self.done.is_some()
            && self.cuts.waits_for().is_none()
            && self.victims.iter().all(is_noticed)
    }

    /// When the job is complete, or something is wrong, if nothing is heard until then.
    pub fn deadline(&self) -> Instant {
        if let Some(until) = self.cuts.deadline() {
            return until;
        }
        let (_, since, max) = self.waits_for();
        let agreements: Option<Vec<Instant>> =
            self.victims.iter().map(Victim::agreement_ends).collect();
        match (self.done, agreements) {
            (Some(done), Some(agreements)) if !agreements.is_empty() => {
                agreements.into_iter().fold(done, Instant::max)
            }
            _ => since + max,
        }
    }

    /// What is wrong if the job is not complete at the [`deadline`](Self::deadline).
    pub fn overdue(&self) -> JobError {
        let (what, _, waited) = self.waits_for();
        JobError::Overdue { what, waited }
    }

    fn waits_for(&self) -> (&'static str, Instant, Duration) {
        if let Some((since, max)) = self.cuts.waits_for() {
            let what = "the node that was cut off was not missed and seen again";
            return (what, since, max);
        }
        match self.done {
            None => self.pulse.waits_for(),
            Some(done) => (
                "the survivors did not notice that a node is dead",
                done,
                DETECTION_TIME_MAX,
            ),
        }
    }

    /// The nodes that were killed, in that order.
    pub fn victims(&self) -> &[Victim] {
        &self.victims
    }

    /// How many coordinators began to work, one after the other.
    pub fn coordinators(&self) -> u32 {
        self.coordinators
    }

    /// How often workers were restarted.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The sums, once everything is counted.
    pub fn totals(&self) -> Option<Totals> {
        self.totals
    }

    /// The result, as far as it has arrived.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    // What happens.

    /// A node said something.
    ///
    /// # Errors
    ///
    /// If the job cannot be completed after that.
    pub fn on_event(&mut self, node: usize, event: Event) -> Result<Order, JobError> {
        let from = Self::name(node);
        match event {
            Event::Listening(address) if node == FOUNDER => {
                self.cuts.listens(node, address);
                self.story.tell(format_args!("{from} listens at {address}"));
                return Ok(Order::Invite(address));
            }
            Event::Listening(address) => {
                self.cuts.listens(node, address);
                self.story.tell(format_args!("{from} listens at {address}"));
            }
            Event::Member { name, standing } => self.on_member(node, &name, standing),
            Event::Restarted {
                worker,
                incarnation,
                reason,
            } => {
                self.restarts += 1;
                self.story.tell(format_args!(
                    "{from}/{worker} {reason}; its supervisor restarted it (incarnation {incarnation})"
                ));
            }
            Event::Begun { workers, found } => self.on_begun(&from, workers, found),
            Event::Progress { bytes } => {
                self.pulse.counts();
                self.story.progress(bytes, self.input_bytes.max(bytes));
            }
            Event::Kill { name, chunks } => {
                if let Some(node) = self.number(&name) {
                    return Ok(Order::Kill { node, chunks });
                }
            }
            Event::Cut { name, chunks } => {
                if let Some(node) = self.number(&name) {
                    return Ok(Order::Cut { node, chunks });
                }
            }
            Event::Moved { name, chunks: 1 } => {
                self.story
                    .tell(format_args!("the chunk that {name} had goes to another"));
            }
            Event::Moved { name, chunks } => {
                self.story.tell(format_args!(
                    "the {chunks} chunks that {name} had go to others"
                ));
            }
            // A coordinator that dies while it hands over is followed by another one, which begins again.
            Event::Counted {
                chunks,
                redeliveries,
                taken_over,
                bytes,
            } => {
                let totals = Totals {
                    chunks,
                    redeliveries,
                    taken_over,
                    bytes,
                    elapsed: self.began.elapsed(),
                };
                self.pulse.hands_over();
                self.results.insert(node, (totals, Tally::default()));
            }
            Event::Result(counts) => {
                self.pulse.hands_over();
                if let Some((_, tally)) = self.results.get_mut(&node) {
                    tally.absorb(&counts).map_err(JobError::Malformed)?;
                }
            }
            Event::Done => self.on_done(node),
            Event::Failed(cause) => {
                return Err(JobError::NodeFailed { name: from, cause });
            }
        }
        Ok(Order::Nothing)
    }

    fn number(&self, name: &str) -> Option<usize> {
        (0..self.nodes as usize).find(|&node| Self::name(node) == name)
    }

    fn on_begun(&mut self, from: &str, workers: u32, found: Option<u64>) {
        self.coordinators += 1;
        self.pulse.counts();
        let workers = Counted(workers.into(), "worker");
        match found {
            None => self.story.tell(format_args!(
                "{} with {workers} are there: the work begins, and {from} coordinates it",
                Counted(self.nodes.into(), "node"),
            )),
            Some(found) => self.story.tell(format_args!(
                "{from} coordinates from now on, with {workers}, which have kept the counts of {}",
                Counted(found, "chunk")
            )),
        }
    }

    /// A result is whole. The first one counts: each is exact by itself.
    fn on_done(&mut self, node: usize) {
        let Some((totals, tally)) = self.results.remove(&node) else {
            return;
        };
        if self.done.is_some() {
            return;
        }
        self.done = Some(Instant::now());
        self.tally = tally;
        self.totals = Some(totals);
        let seconds = totals.elapsed.as_secs_f64().max(0.001);
        let each_second = (totals.bytes as f64 / seconds) as u64;
        self.story.tell(format_args!(
            "every chunk is counted: {} ({} a second)",
            Bytes(totals.bytes),
            Bytes(each_second)
        ));
    }

    fn on_member(&mut self, observer: usize, name: &str, standing: Standing) {
        let from = Self::name(observer);
        let number = self.number(name);
        let is_killed = |victim: &Victim| Some(victim.node) == number;
        if !self.victims.iter().any(is_killed) && self.cuts.explains(observer, number, standing) {
            let how = match standing {
                Standing::Joined => "join under a new boot".to_string(),
                standing => standing.to_string(),
            };
            self.story.tell(format_args!("{from} sees {name} {how}"));
            return;
        }
        let victim = self
            .victims
            .iter_mut()
            .find(|victim| Self::name(victim.node) == name);
        match (standing, victim) {
            (Standing::Unreachable, Some(victim)) => {
                let after = victim.killed_at.elapsed();
                if victim.unreachable_after.is_none() {
                    victim.unreachable_after = Some(after);
                    self.story.tell(format_args!(
                        "{from} cannot reach {name}, {} ms after the kill",
                        after.as_millis()
                    ));
                }
            }
            (Standing::Down, Some(victim)) => {
                let after = victim.killed_at.elapsed();
                let is_first = victim.seen_down_by.is_empty();
                victim.seen_down_by.insert(observer);
                victim.down_after.get_or_insert(after);
                let too = if is_first { "" } else { ", too" };
                self.story.tell(format_args!(
                    "{from} declares {name} down{too}, {} ms after the kill",
                    after.as_millis()
                ));
            }
            // What the founder sees stands for all while all is well.
            (Standing::Joined, _) if observer == FOUNDER => {
                self.story.tell(format_args!("{name} joined"));
            }
            (Standing::Back, _) => self.story.tell(format_args!("{from} reaches {name} again")),
            (Standing::Unreachable | Standing::Down, None) => {
                self.story.tell(format_args!(
                    "{from} sees {name} {standing}, and nobody killed it"
                ));
            }
            (Standing::Joined | Standing::Left, _) => {}
        }
    }

    /// A node is to be cut off from the others. Returns what to tell whom; nothing while another one is cut off.
    pub fn on_cut(&mut self, node: usize, chunks: usize) -> Vec<(usize, Control)> {
        let controls = self.cuts.cut(node, &self.ended);
        if !controls.is_empty() {
            self.story.tell(format_args!(
                "{} was cut off from the others, with {} on it",
                Self::name(node),
                Counted(chunks as u64, "chunk")
            ));
        }
        controls
    }

    /// If it is time to heal the cut: the nodes to tell.
    pub fn heal(&mut self) -> Option<Vec<usize>> {
        if !self.cuts.is_time_to_heal() {
            return None;
        }
        self.heal_now()
    }

    /// The cut is healed, whether it is time or not. Returns the nodes to tell; `None` if there is no cut.
    pub fn heal_now(&mut self) -> Option<Vec<usize>> {
        let node = self.cuts.heal()?;
        let name = Self::name(node);
        self.story
            .tell(format_args!("{name} is not cut off any more"));
        let is_left = |node: &usize| !self.ended.contains(node);
        Some((0..self.nodes as usize).filter(is_left).collect())
    }

    /// How often a node was cut off.
    pub fn partitions(&self) -> u32 {
        self.cuts.count()
    }

    /// Whether the result is there.
    pub fn is_done(&self) -> bool {
        self.done.is_some()
    }

    /// The launcher has killed a node.
    pub fn on_kill(&mut self, node: usize, pid: u32, chunks: usize, killed_at: Instant) {
        self.story.tell(format_args!(
            "{} (process {pid}) was killed with SIGKILL, with {} on it",
            Self::name(node),
            Counted(chunks as u64, "chunk")
        ));
        self.ended.insert(node);
        self.cuts.ended(node);
        self.victims.push(Victim {
            node,
            killed_at,
            unreachable_after: None,
            down_after: None,
            seen_down_by: BTreeSet::new(),
        });
    }

    /// A node has ended. It was not told to, unless it is the one that was killed.
    ///
    /// # Errors
    ///
    /// If the job cannot be completed without it.
    pub fn on_end(&mut self, node: usize, status: Option<ExitStatus>) -> Result<(), JobError> {
        self.cuts.ended(node);
        if !self.ended.insert(node) {
            return Ok(());
        }
        let name = Self::name(node);
        let how = status.map_or_else(
            || "it closed its output".to_string(),
            |status| status.to_string(),
        );
        if !self.pulse.has_begun() || self.ended.len() == self.nodes as usize {
            return Err(JobError::NodeEnded { name, how });
        }
        self.story
            .tell(format_args!("{name} ended, and nobody killed it: {how}"));
        Ok(())
    }
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
