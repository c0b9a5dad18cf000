//! What the launcher knows of a running job: [`Progress`].
//!
//! Events of the nodes go in, lines of the story come out, and sometimes an [`Order`] that the launcher carries out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    io::Write,
    net::SocketAddr,
    process::ExitStatus,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    protocol::{Event, Standing},
    report::{Bytes, Counted},
    story::Story,
    tally::{MalformedCounts, Tally},
};

/// How long the nodes may take to find each other.
const START_TIME_MAX: Duration = Duration::from_secs(30);

/// How long no chunk may be counted.
const STALL_TIME_MAX: Duration = Duration::from_secs(60);

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
    /// Kill this node.
    Kill {
        /// Which, from 0.
        node: usize,
        /// How many chunks are on it.
        chunks: usize,
    },
}

/// The job cannot be completed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobError {
    /// A node said that it cannot go on.
    NodeFailed {
        /// Its name.
        name: String,
        /// What it said.
        cause: String,
    },
    /// A node ended that was not told to, and the job needs it.
    NodeEnded {
        /// Its name.
        name: String,
        /// How it ended, as the operating system puts it.
        how: String,
    },
    /// What was waited for did not happen.
    Overdue {
        /// What it was.
        what: &'static str,
        /// For how long.
        waited: Duration,
    },
    /// The coordinator's result makes no sense.
    Malformed(MalformedCounts),
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeFailed { name, cause } => write!(f, "{name} failed: {cause}"),
            Self::NodeEnded { name, how } => {
                write!(
                    f,
                    "{name} ended ({how}), and the job cannot be completed without it"
                )
            }
            Self::Overdue { what, waited } => {
                write!(f, "{what} within {} s", waited.as_secs())
            }
            Self::Malformed(error) => write!(f, "the coordinator's result: {error}"),
        }
    }
}

impl std::error::Error for JobError {}

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
#[derive(Debug)]
pub struct Progress<W> {
    story: Story<W>,
    nodes: u32,
    input_bytes: u64,
    began: Instant,
    has_begun: bool,
    last_counted: Instant,
    ended: BTreeSet<usize>,
    victims: Vec<Victim>,
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
            has_begun: false,
            last_counted: now,
            ended: BTreeSet::new(),
            victims: Vec::new(),
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
        self.done.is_some() && self.victims.iter().all(is_noticed)
    }

    /// When the job is complete, or something is wrong, if nothing is heard until then.
    pub fn deadline(&self) -> Instant {
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
        match (self.has_begun, self.done) {
            (false, _) => (
                "the nodes did not find each other",
                self.began,
                START_TIME_MAX,
            ),
            (true, None) => ("no chunk was counted", self.last_counted, STALL_TIME_MAX),
            (true, Some(done)) => (
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
                self.story.tell(format_args!("{from} listens at {address}"));
                return Ok(Order::Invite(address));
            }
            Event::Listening(address) => {
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
                self.last_counted = Instant::now();
                self.story.progress(bytes, self.input_bytes.max(bytes));
            }
            Event::Kill { name, chunks } => {
                if let Some(node) = (0..self.nodes as usize).find(|&n| Self::name(n) == name) {
                    return Ok(Order::Kill { node, chunks });
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
                self.results.insert(node, (totals, Tally::default()));
            }
            Event::Result(counts) => {
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

    fn on_begun(&mut self, from: &str, workers: u32, found: Option<u64>) {
        self.has_begun = true;
        self.coordinators += 1;
        self.last_counted = Instant::now();
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

    /// The launcher has killed a node.
    pub fn on_kill(&mut self, node: usize, pid: u32, chunks: usize, killed_at: Instant) {
        self.story.tell(format_args!(
            "{} (process {pid}) was killed with SIGKILL, with {} on it",
            Self::name(node),
            Counted(chunks as u64, "chunk")
        ));
        self.ended.insert(node);
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
        if !self.ended.insert(node) {
            return Ok(());
        }
        let name = Self::name(node);
        let how = status.map_or_else(
            || "it closed its output".to_string(),
            |status| status.to_string(),
        );
        if !self.has_begun || self.ended.len() == self.nodes as usize {
            return Err(JobError::NodeEnded { name, how });
        }
        self.story
            .tell(format_args!("{name} ended, and nobody killed it: {how}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wordcount::tally::count_chunk;

    type Written = Progress<Vec<u8>>;

    fn progress() -> Written {
        let story = Story::new(Vec::new(), false, std::time::Instant::now());
        Progress::new(story, 3, 300)
    }

    fn member(name: &str, standing: Standing) -> Event {
        Event::Member {
            name: name.into(),
            standing,
        }
    }

    fn feed(progress: &mut Written, node: usize, event: Event) {
        assert_eq!(progress.on_event(node, event), Ok(Order::Nothing));
    }

    fn finish(progress: &mut Written) {
        let counted = Event::Counted {
            chunks: 3,
            redeliveries: 1,
            taken_over: 0,
            bytes: 300,
        };
        feed(progress, 0, counted);
        feed(progress, 0, Event::Done);
    }

    #[tokio::test(start_paused = true)]
    async fn the_job_is_complete_when_the_result_is_there_and_all_survivors_know_of_the_death() {
        let mut progress = progress();
        feed(
            &mut progress,
            0,
            Event::Begun {
                workers: 6,
                found: None,
            },
        );
        let kill = Event::Kill {
            name: "node-3".into(),
            chunks: 4,
        };
        let order = progress.on_event(0, kill);
        assert_eq!(order, Ok(Order::Kill { node: 2, chunks: 4 }));
        progress.on_kill(2, 4711, 4, Instant::now());
        assert_eq!(progress.on_end(2, None), Ok(()));
        tokio::time::advance(Duration::from_millis(500)).await;
        feed(&mut progress, 1, member("node-3", Standing::Unreachable));
        tokio::time::advance(Duration::from_millis(250)).await;
        feed(&mut progress, 1, member("node-3", Standing::Down));
        finish(&mut progress);
        assert!(!progress.is_complete());
        tokio::time::advance(Duration::from_millis(250)).await;
        feed(&mut progress, 0, member("node-3", Standing::Down));
        assert!(progress.is_complete());
        let victim = &progress.victims()[0];
        let ms = |after: Option<Duration>| after.unwrap().as_millis();
        assert_eq!(
            (ms(victim.unreachable_after), ms(victim.down_after)),
            (500, 750)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_survivor_that_has_nothing_to_tell_is_not_waited_for_much_longer() {
        let mut progress = progress();
        feed(
            &mut progress,
            0,
            Event::Begun {
                workers: 6,
                found: None,
            },
        );
        progress.on_kill(2, 4711, 4, Instant::now());
        tokio::time::advance(Duration::from_secs(1)).await;
        feed(&mut progress, 1, member("node-3", Standing::Down));
        finish(&mut progress);
        assert!(!progress.is_complete());
        assert_eq!(progress.deadline() - Instant::now(), AGREEMENT_TIME_MAX);
        tokio::time::advance(AGREEMENT_TIME_MAX).await;
        assert!(progress.is_complete());
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_deadline() {
        let mut progress = progress();
        let check = |progress: &Written, left: Duration, what: &str| {
            assert_eq!(progress.deadline() - Instant::now(), left);
            assert!(progress.overdue().to_string().contains(what));
        };
        check(&progress, START_TIME_MAX, "find each other within 30 s");
        feed(
            &mut progress,
            0,
            Event::Begun {
                workers: 6,
                found: None,
            },
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        check(
            &progress,
            STALL_TIME_MAX - Duration::from_secs(10),
            "no chunk",
        );
        feed(&mut progress, 0, Event::Progress { bytes: 100 });
        check(&progress, STALL_TIME_MAX, "no chunk");
        finish(&mut progress);
        check(&progress, DETECTION_TIME_MAX, "did not notice");
    }

    #[tokio::test]
    async fn the_end_of_a_node_is_the_end_of_the_job_before_the_work_begins_or_when_none_is_left() {
        let mut progress = progress();
        assert!(progress.on_end(1, None).is_err(), "the work has not begun");
        let mut progress = self::progress();
        feed(
            &mut progress,
            0,
            Event::Begun {
                workers: 6,
                found: None,
            },
        );
        assert_eq!(progress.on_end(1, None), Ok(()));
        assert_eq!(progress.on_end(0, None), Ok(()), "another one coordinates");
        assert!(progress.on_end(2, None).is_err());
    }

    #[tokio::test]
    async fn a_result_counts_when_it_is_whole_and_only_the_first() {
        let mut progress = progress();
        let begun = |found| Event::Begun { workers: 6, found };
        let counted = |chunks| Event::Counted {
            chunks,
            redeliveries: 0,
            taken_over: 0,
            bytes: 300,
        };
        let result = |text: &[u8]| Event::Result(count_chunk(text).into());
        feed(&mut progress, 0, begun(None));
        feed(&mut progress, 0, counted(1));
        feed(&mut progress, 0, result(b"half"));
        // It dies before it is done, and another one follows; the third does not know that it is late.
        feed(&mut progress, 1, begun(Some(5)));
        for node in [1, 2] {
            feed(&mut progress, node, counted(10 + node as u64));
            feed(&mut progress, node, result(b"a b"));
            feed(&mut progress, node, result(b"a"));
        }
        assert!(!progress.is_complete());
        feed(&mut progress, 1, Event::Done);
        feed(&mut progress, 2, Event::Done);
        assert!(progress.is_complete());
        let tally = progress.tally();
        assert_eq!((tally.words(), tally.count(b"a")), (3, 2));
        assert_eq!(progress.totals().unwrap().chunks, 11);
        assert_eq!(progress.coordinators(), 2);
    }

    #[tokio::test]
    async fn a_node_that_fails_says_why() {
        let failed = Event::Failed("the port is in use".into());
        let error = progress().on_event(1, failed).unwrap_err();
        assert_eq!(error.to_string(), "node-2 failed: the port is in use");
    }

    #[tokio::test]
    async fn restarts_are_counted_and_told() {
        let mut progress = progress();
        let restarted = Event::Restarted {
            worker: "worker-2".into(),
            incarnation: 2,
            reason: "panicked: chaos".into(),
        };
        feed(&mut progress, 1, restarted);
        assert_eq!(progress.restarts(), 1);
    }
}
