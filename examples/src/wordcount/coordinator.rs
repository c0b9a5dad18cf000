//! The coordinator: reads the input, hands out chunks, and adds up the answers.
//!
//! The [`Term`] decides who gets what and what counts, the [`Schedule`] what is broken; here is what they need hands for.
//! Memory is bounded by the number of workers, and by what is found in [archives](super::archive): a chunk is read when
//! somebody has room for it, and kept until it is counted.
//!
//! Every node can coordinate, and one does so at a time, as the cluster's singleton. One that follows another asks all nodes
//! what they have counted, reads the input from the beginning, and has counted what nobody has.
//!
//! A node whose link breaks or that cannot be reached is given nothing until its foreman answers again, and what it had
//! goes to others at once, without waiting for the verdict whether it is dead.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use treewarden::runtime::{AskError, Failure};

use super::{
    archive::{Entry, Superseded, Ticket, print},
    blob::Blob,
    chaos::{Schedule, Strike},
    chunk::{Chunk, Chunks, chunk_bytes_for},
    input::InputError,
    ledger::{ChunkId, Delivery, GivenUp, HOME, Limits, NodeIndex, Reach},
    messages::Enlisted,
    peers::{Known, News, Peer, enlist},
    protocol::{Event, EventSink, Job},
    term::{Read, Term},
};

/// How many chunks one worker has at once, the one in its hands included: enough that it never waits for the next.
const IN_FLIGHT_MAX: usize = 4;

/// How often one chunk is delivered before the job is given up.
const ATTEMPTS_MAX: u32 = 10;

/// How many chunks are read ahead of the workers.
const READ_AHEAD: usize = 4;

/// A longer chunk stays on this node, well below the longest frame. Only a word of that length makes one.
const TRAVELLING_BYTES_MAX: usize = 512 << 10;

/// How many crashes of workers there are in a job, for each node.
const CRASHES_FOR_EACH_NODE: u64 = 4;

/// How long to wait before a foreman is asked again.
const FOREMAN_RETRY: Duration = Duration::from_millis(100);

/// How long one who follows another waits for nodes that do not answer, before it begins with those that do.
const GATHER_TIME_MAX: Duration = Duration::from_secs(2);

/// How long a coordinator that is to be killed waits for it.
const DOOM_TIME_MAX: Duration = Duration::from_secs(10);

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long the pieces are in which the result is handed over.
const RESULT_PIECE_BYTES: usize = 256 << 10;

/// How a time in office ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is counted, and the result was handed over.
    Counted,
    /// A younger coordinator is in office.
    Superseded,
}

/// Does the job, and hands over the result as events. Dropping the future ends it without trace, but for what the nodes
/// have counted.
///
/// `epoch` is that of this time in office, greater than those before. The news of the own node comes after those of the
/// members that are known at the beginning.
///
/// # Errors
///
/// If the input cannot be read any more, or a chunk cannot be counted.
pub async fn run(
    job: Job,
    epoch: u64,
    mut peers: mpsc::Receiver<Peer>,
    events: EventSink,
) -> Result<Outcome, Failure> {
    let mut chunks = read(&job);
    let mut state = State::new(&job, epoch, events);
    let mut is_heard = true;
    let gathered_at = Instant::now() + GATHER_TIME_MAX;
    loop {
        state.begin_when_all_are_there(gathered_at);
        if state.has_begun {
            state.hand_out();
            if state.is_doomed {
                sleep(DOOM_TIME_MAX).await;
                state.is_doomed = false;
            }
            if state.term.is_finished() {
                break;
            }
        }
        let heard = tokio::select! {
            chunk = chunks.recv(), if state.has_begun && state.term.ledger.wants_chunk() => match chunk {
                Some(chunk) => state.on_chunk(chunk?),
                None => {
                    state.term.complete();
                    Ok(())
                }
            },
            // Tasks that were aborted have nothing to say.
            Some(Ok(heard)) = state.work.join_next(), if !state.work.is_empty() => state.on_heard(heard),
            peer = peers.recv(), if is_heard => match peer {
                Some(peer) => Ok(state.on_peer(peer)?),
                None => {
                    is_heard = false;
                    Ok(())
                }
            },
            () = sleep_until(gathered_at), if !state.has_begun && state.former > 0 => Ok(()),
        };
        match heard {
            Ok(()) => {}
            Err(failure) if failure.downcast_ref::<Superseded>().is_some() => {
                return Ok(Outcome::Superseded);
            }
            Err(failure) => return Err(failure),
        }
    }
    state.hand_over().await;
    Ok(Outcome::Counted)
}

/// Reads on a thread of its own, as far ahead as is allowed, and ends when nobody listens any more.
fn read(job: &Job) -> mpsc::Receiver<Result<Chunk, InputError>> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let chunks = Chunks::new(job.files(), chunk_bytes_for(job.input_bytes));
    tokio::task::spawn_blocking(move || {
        for chunk in chunks {
            if sender.blocking_send(chunk).is_err() {
                break;
            }
        }
    });
    receiver
}

struct State {
    job: Job,
    epoch: u64,
    /// The epoch of the coordinator before, as far as nodes have told; 0 if there was none.
    former: u64,
    term: Term,
    schedule: Schedule,
    peers: BTreeMap<NodeIndex, Known>,
    /// Read and not counted.
    held: HashMap<ChunkId, Held>,
    work: JoinSet<Heard>,
    told_at: Instant,
    has_begun: bool,
    /// It has asked to be killed.
    is_doomed: bool,
    events: EventSink,
}

struct Held {
    text: Blob,
    input_bytes: u64,
}

/// What comes of work that is going on.
enum Heard {
    Answered {
        delivery: Delivery,
        answer: Result<Result<Blob, Superseded>, AskError>,
    },
    Enlisted {
        node: NodeIndex,
        enlisted: Enlisted,
        entries: Vec<Entry>,
    },
    Superseded(Superseded),
}

impl State {
    fn new(job: &Job, epoch: u64, events: EventSink) -> Self {
        let chunks = job
            .input_bytes
            .div_ceil(chunk_bytes_for(job.input_bytes) as u64);
        let crashes = u64::from(job.nodes) * CRASHES_FOR_EACH_NODE;
        Self {
            job: job.clone(),
            epoch,
            former: 0,
            term: Term::new(Limits {
                in_flight_max: IN_FLIGHT_MAX,
                attempts_max: ATTEMPTS_MAX,
            }),
            schedule: Schedule::new(job.chaos, job.nodes, job.input_bytes, chunks, crashes),
            peers: BTreeMap::new(),
            held: HashMap::new(),
            work: JoinSet::new(),
            told_at: Instant::now(),
            has_begun: false,
            is_doomed: false,
            events,
        }
    }

    fn tell(&self, event: Event) {
        (self.events)(event);
    }

    // Nodes.

    fn on_peer(&mut self, Peer { node, news }: Peer) -> Result<(), GivenUp> {
        match news {
            News::Joined { name, crew } => {
                self.peers.insert(node, Known::new(name, crew));
                self.ask_foreman(node);
            }
            News::Unreachable => self.set_aside(node)?,
            News::Reachable => self.ask_foreman(node),
            News::Lost => {
                let moved = self.term.ledger.lose(node)?;
                self.tell_moved(node, moved);
                self.schedule.lost(node);
                if let Some(asking) = self.peers.remove(&node).and_then(|known| known.asking) {
                    asking.abort();
                }
            }
        }
        Ok(())
    }

    /// Nothing more for this node until its foreman answers; what it has goes to others.
    fn set_aside(&mut self, node: NodeIndex) -> Result<(), GivenUp> {
        if let Some(known) = self.peers.get_mut(&node) {
            known.is_set_aside = true;
            self.term.ledger.pause(node);
            let moved = self.term.ledger.recall(node)?;
            self.tell_moved(node, moved);
            self.ask_foreman(node);
        }
        Ok(())
    }

    fn tell_moved(&self, node: NodeIndex, chunks: usize) {
        if let Some(known) = self.peers.get(&node)
            && chunks > 0
        {
            let name = known.name.clone();
            self.tell(Event::Moved { name, chunks });
        }
    }

    /// Asks until there is an answer, or the node is lost.
    fn ask_foreman(&mut self, node: NodeIndex) {
        let Some(known) = self.peers.get_mut(&node) else {
            return;
        };
        if known.asking.is_some() {
            return;
        }
        let is_new = known.workers.is_none();
        let (crew, epoch) = (known.crew.clone(), self.epoch);
        known.asking = Some(self.work.spawn(async move {
            loop {
                match enlist(&crew, epoch, is_new).await {
                    Ok(Ok((enlisted, entries))) => {
                        return Heard::Enlisted {
                            node,
                            enlisted,
                            entries,
                        };
                    }
                    Ok(Err(superseded)) => return Heard::Superseded(superseded),
                    Err(_) => sleep(FOREMAN_RETRY).await,
                }
            }
        }));
    }

    fn on_enlisted(
        &mut self,
        node: NodeIndex,
        enlisted: Enlisted,
        entries: Vec<Entry>,
    ) -> Result<(), Failure> {
        for entry in entries {
            let chunk = ChunkId(entry.chunk);
            if self.term.find(entry)? {
                self.held.remove(&chunk);
            }
        }
        let Some(known) = self.peers.get_mut(&node) else {
            return Ok(());
        };
        known.asking = None;
        known.is_set_aside = false;
        self.former = self.former.max(enlisted.former);
        if known.workers.replace(enlisted.workers).is_some() {
            self.term.ledger.resume(node);
            return Ok(());
        }
        self.term.ledger.join(node, enlisted.workers);
        self.term.ledger.resume(node);
        self.schedule.joined(node);
        Ok(())
    }

    /// The first coordinator waits for all nodes of the job; one that follows another for those that it can reach.
    fn begin_when_all_are_there(&mut self, gathered_at: Instant) {
        if self.has_begun {
            return;
        }
        let answered = self.peers.values().filter_map(|known| known.workers);
        let are_all_there = answered.clone().count() >= self.job.nodes as usize;
        let is_home = |known: &Known| known.workers.is_some();
        let follows = self.former > 0 && self.peers.get(&HOME).is_some_and(is_home);
        let is_waited_for = |known: &Known| known.workers.is_none() && !known.is_set_aside;
        let has_waited = Instant::now() >= gathered_at || !self.peers.values().any(is_waited_for);
        let may_begin = are_all_there || (follows && has_waited);
        if !may_begin {
            return;
        }
        self.has_begun = true;
        let workers = answered.sum();
        if follows {
            self.schedule.follow();
        }
        self.tell(Event::Begun {
            workers,
            found: follows.then_some(self.term.found() as u64),
        });
    }

    // Chunks.

    fn on_chunk(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let reach = if chunk.text.len() > TRAVELLING_BYTES_MAX {
            Reach::Home
        } else {
            Reach::Anywhere
        };
        let Chunk { text, input_bytes } = chunk;
        match self.term.read(reach, print(&text), input_bytes)? {
            Read::Found => self.on_counted(input_bytes),
            Read::Open(id) => {
                let first = self.schedule.prefers(input_bytes);
                let text = text.into();
                self.held.insert(id, Held { text, input_bytes });
                self.hand_out_to(first);
            }
        }
        Ok(())
    }

    fn hand_out(&mut self) {
        self.hand_out_to(None);
    }

    fn hand_out_to(&mut self, first: Option<NodeIndex>) {
        while let Some(delivery) = self.term.ledger.next_delivery(first) {
            self.send(delivery);
        }
        let struck = self
            .schedule
            .strike(|node| self.term.ledger.waits_only_for(node));
        if let Some((node, strike)) = struck
            && let Some(known) = self.peers.get(&node)
        {
            let name = known.name.clone();
            let chunks = self.term.ledger.in_flight(node);
            self.tell(match strike {
                Strike::Kill => Event::Kill { name, chunks },
                Strike::Cut => Event::Cut { name, chunks },
            });
        }
        if self.schedule.kill_home(self.term.ledger.is_all_out())
            && let Some(known) = self.peers.get(&HOME)
        {
            self.is_doomed = true;
            self.tell(Event::Kill {
                name: known.name.clone(),
                chunks: self.term.ledger.in_flight(HOME),
            });
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let node = delivery.worker.node;
        let (Some(held), Some(known), Some(print)) = (
            self.held.get(&delivery.chunk),
            self.peers.get(&node),
            self.term.print(delivery.chunk),
        ) else {
            unreachable!("the ledger delivers open chunks to nodes that take part");
        };
        let ticket = Ticket {
            epoch: self.epoch,
            chunk: delivery.chunk.0,
            print,
        };
        let fault = self.schedule.fault(&delivery, held.input_bytes);
        let (crew, text) = (known.crew.clone(), held.text.clone());
        self.work.spawn(async move {
            let number = delivery.worker.number;
            let answer = crew.count(number, ticket, text, fault).await;
            Heard::Answered { delivery, answer }
        });
    }

    fn on_heard(&mut self, heard: Heard) -> Result<(), Failure> {
        match heard {
            Heard::Enlisted {
                node,
                enlisted,
                entries,
            } => self.on_enlisted(node, enlisted, entries),
            Heard::Superseded(superseded) => Err(superseded.into()),
            Heard::Answered { delivery, answer } => match answer {
                Ok(counts) => self.on_counts(delivery, &counts?),
                Err(error) => Ok(self.on_failure(delivery, error)?),
            },
        }
    }

    fn on_counts(&mut self, delivery: Delivery, counts: &[u8]) -> Result<(), Failure> {
        if let Some(input_bytes) = self.term.answered(delivery, counts)? {
            self.held.remove(&delivery.chunk);
            self.on_counted(input_bytes);
        }
        Ok(())
    }

    fn on_counted(&mut self, input_bytes: u64) {
        self.schedule.counted(input_bytes);
        if self.told_at.elapsed() >= PROGRESS_INTERVAL {
            self.told_at = Instant::now();
            let bytes = self.term.counted_bytes();
            self.tell(Event::Progress { bytes });
        }
    }

    fn on_failure(&mut self, delivery: Delivery, error: AskError) -> Result<(), GivenUp> {
        let is_news = self.term.ledger.failed(delivery)?;
        match error {
            // The worker is restarted, and is as good as any.
            AskError::CrashedBeforeHandling
            | AskError::CrashedWhileHandling
            | AskError::NoReply
            | AskError::Expired => Ok(()),
            // The node is not what it was: its link is lost, its tree is gone, or it does not answer.
            _ if is_news => self.set_aside(delivery.worker.node),
            _ => Ok(()),
        }
    }

    /// Others get their turn between two pieces: the result can be gigabytes, and who hears it can be slow.
    async fn hand_over(&mut self) {
        let bytes = self.term.counted_bytes();
        self.tell(Event::Progress { bytes });
        self.tell(Event::Counted {
            chunks: self.term.ledger.chunks(),
            redeliveries: self.term.ledger.redeliveries(),
            taken_over: self.term.taken_over(),
            bytes,
        });
        for piece in self.term.tally().encode(RESULT_PIECE_BYTES) {
            self.tell(Event::Result(piece.into()));
            tokio::task::yield_now().await;
        }
        self.tell(Event::Done);
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
