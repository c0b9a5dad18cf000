//! The coordinator: reads the input, hands out chunks, and adds up the answers.
//!
//! The [`Ledger`] decides who gets what, the [`Schedule`] what is broken; here is what they need hands for. Memory is
//! bounded by the number of workers: a chunk is read when somebody has room for it, and kept until it is counted.
//!
//! A node whose link breaks or that cannot be reached is given nothing until its foreman answers again, and what it had
//! goes to others at once, without waiting for the verdict whether it is dead.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};
use treewarden::runtime::{AskError, Failure};

use super::{
    blob::Blob,
    chaos::Schedule,
    chunk::{Chunk, Chunks, chunk_bytes_for},
    crew::Crew,
    input::InputError,
    ledger::{Answer, ChunkId, Delivery, GivenUp, Ledger, Limits, NodeIndex, Reach},
    protocol::{Event, EventSink, Job},
    tally::Tally,
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

/// How often progress is told.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long the pieces are in which the result is handed over.
const RESULT_PIECE_BYTES: usize = 256 << 10;

/// What the coordinator hears of a node.
#[derive(Debug)]
pub struct Peer {
    /// Which node.
    pub node: NodeIndex,
    /// What is new.
    pub news: News,
}

/// What is new of a node.
#[derive(Debug)]
pub enum News {
    /// It takes part.
    Joined {
        /// Its name.
        name: String,
        /// Its workers.
        crew: Crew,
    },
    /// It cannot be reached.
    Unreachable,
    /// It can be reached again.
    Reachable,
    /// It takes no part any more, and never will.
    Lost,
}

/// Does the job, and hands over the result as events. Dropping the future ends it without trace.
///
/// # Errors
///
/// If the input cannot be read any more, or a chunk cannot be counted.
pub async fn run(
    job: Job,
    mut peers: mpsc::Receiver<Peer>,
    events: EventSink,
) -> Result<(), Failure> {
    let mut chunks = read(&job);
    let mut state = State::new(&job, events);
    let mut is_heard = true;
    loop {
        if state.has_begun {
            state.hand_out();
            if state.ledger.is_finished() {
                break;
            }
        }
        tokio::select! {
            chunk = chunks.recv(), if state.has_begun && state.ledger.wants_chunk() => match chunk {
                Some(chunk) => state.on_chunk(chunk?),
                None => state.ledger.complete(),
            },
            // Tasks that were aborted have nothing to say.
            Some(Ok(outcome)) = state.work.join_next(), if !state.work.is_empty() => state.on_outcome(outcome)?,
            peer = peers.recv(), if is_heard => match peer {
                Some(peer) => state.on_peer(peer)?,
                None => is_heard = false,
            },
        }
    }
    state.hand_over();
    Ok(())
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
    nodes: usize,
    ledger: Ledger,
    schedule: Schedule,
    peers: BTreeMap<NodeIndex, Known>,
    /// Read and not counted.
    held: HashMap<ChunkId, Held>,
    work: JoinSet<Outcome>,
    tally: Tally,
    counted_bytes: u64,
    told_at: Instant,
    has_begun: bool,
    events: EventSink,
}

struct Held {
    text: Blob,
    input_bytes: u64,
}

/// A node that takes part.
struct Known {
    name: String,
    crew: Crew,
    /// None until its foreman has answered for the first time.
    workers: Option<u32>,
    /// Its foreman is being asked.
    asking: Option<AbortHandle>,
}

/// What comes of work that is going on.
enum Outcome {
    Answered {
        delivery: Delivery,
        answer: Result<Blob, AskError>,
    },
    ForemanAnswered {
        node: NodeIndex,
        workers: u32,
    },
}

impl State {
    fn new(job: &Job, events: EventSink) -> Self {
        let chunks = job
            .input_bytes
            .div_ceil(chunk_bytes_for(job.input_bytes) as u64);
        let crashes = u64::from(job.nodes) * CRASHES_FOR_EACH_NODE;
        Self {
            nodes: job.nodes as usize,
            ledger: Ledger::new(Limits {
                in_flight_max: IN_FLIGHT_MAX,
                attempts_max: ATTEMPTS_MAX,
            }),
            schedule: Schedule::new(job.chaos, job.input_bytes, chunks, crashes),
            peers: BTreeMap::new(),
            held: HashMap::new(),
            work: JoinSet::new(),
            tally: Tally::default(),
            counted_bytes: 0,
            told_at: Instant::now(),
            has_begun: false,
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
                let known = Known {
                    name,
                    crew,
                    workers: None,
                    asking: None,
                };
                self.peers.insert(node, known);
                self.ask_foreman(node);
            }
            News::Unreachable => self.set_aside(node)?,
            News::Reachable => self.ask_foreman(node),
            News::Lost => {
                let moved = self.ledger.lose(node)?;
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
        if self.peers.contains_key(&node) {
            self.ledger.pause(node);
            let moved = self.ledger.recall(node)?;
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
        let crew = known.crew.clone();
        known.asking = Some(self.work.spawn(async move {
            loop {
                if let Ok(workers) = crew.workers().await {
                    return Outcome::ForemanAnswered { node, workers };
                }
                sleep(FOREMAN_RETRY).await;
            }
        }));
    }

    fn on_foreman(&mut self, node: NodeIndex, workers: u32) {
        let Some(known) = self.peers.get_mut(&node) else {
            return;
        };
        known.asking = None;
        if known.workers.replace(workers).is_some() {
            self.ledger.resume(node);
            return;
        }
        self.ledger.join(node, workers);
        self.schedule.joined(node);
        let crews = || self.peers.values().filter_map(|known| known.workers);
        if !self.has_begun && crews().count() == self.nodes {
            self.has_begun = true;
            self.tell(Event::Begun {
                workers: crews().sum(),
            });
        }
    }

    // Chunks.

    fn on_chunk(&mut self, chunk: Chunk) {
        let reach = if chunk.text.len() > TRAVELLING_BYTES_MAX {
            Reach::Home
        } else {
            Reach::Anywhere
        };
        let id = self.ledger.offer(reach);
        let held = Held {
            text: chunk.text.into(),
            input_bytes: chunk.input_bytes,
        };
        let first = self.schedule.prefers(held.input_bytes);
        self.held.insert(id, held);
        self.hand_out_to(first);
    }

    fn hand_out(&mut self) {
        self.hand_out_to(None);
    }

    fn hand_out_to(&mut self, first: Option<NodeIndex>) {
        while let Some(delivery) = self.ledger.next_delivery(first) {
            self.send(delivery);
        }
        if let Some(node) = self.schedule.kill(|node| self.ledger.waits_only_for(node))
            && let Some(known) = self.peers.get(&node)
        {
            self.tell(Event::Kill {
                name: known.name.clone(),
                chunks: self.ledger.in_flight(node),
            });
        }
    }

    fn send(&mut self, delivery: Delivery) {
        let node = delivery.worker.node;
        let (Some(held), Some(known)) = (self.held.get(&delivery.chunk), self.peers.get(&node))
        else {
            unreachable!("the ledger delivers open chunks to nodes that take part");
        };
        let fault = self.schedule.fault(&delivery, held.input_bytes);
        let (crew, text) = (known.crew.clone(), held.text.clone());
        self.work.spawn(async move {
            let answer = crew.count(delivery.worker.number, text, fault).await;
            Outcome::Answered { delivery, answer }
        });
    }

    fn on_outcome(&mut self, outcome: Outcome) -> Result<(), Failure> {
        match outcome {
            Outcome::ForemanAnswered { node, workers } => self.on_foreman(node, workers),
            Outcome::Answered {
                delivery,
                answer: Ok(counts),
            } => self.on_counts(delivery, &counts)?,
            Outcome::Answered {
                delivery,
                answer: Err(error),
            } => self.on_failure(delivery, error)?,
        }
        Ok(())
    }

    fn on_counts(&mut self, delivery: Delivery, counts: &[u8]) -> Result<(), Failure> {
        match self.ledger.answered(delivery) {
            Answer::AlreadyCounted => {}
            Answer::Counts => {
                self.tally.absorb(counts)?;
                if let Some(held) = self.held.remove(&delivery.chunk) {
                    self.counted_bytes += held.input_bytes;
                    self.schedule.counted(held.input_bytes);
                }
                if self.told_at.elapsed() >= PROGRESS_INTERVAL {
                    self.told_at = Instant::now();
                    let bytes = self.counted_bytes;
                    self.tell(Event::Progress { bytes });
                }
            }
        }
        Ok(())
    }

    fn on_failure(&mut self, delivery: Delivery, error: AskError) -> Result<(), GivenUp> {
        let is_news = self.ledger.failed(delivery)?;
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

    fn hand_over(&mut self) {
        let bytes = self.counted_bytes;
        self.tell(Event::Progress { bytes });
        self.tell(Event::Counted {
            chunks: self.ledger.chunks(),
            redeliveries: self.ledger.redeliveries(),
            bytes,
        });
        for piece in self.tally.encode(RESULT_PIECE_BYTES) {
            self.tell(Event::Result(piece.into()));
        }
        self.tell(Event::Done);
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
mod tests;
