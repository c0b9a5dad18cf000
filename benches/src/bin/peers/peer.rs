//! What a Rust actor system must offer to be measured, and the state that its actors have in common.
//!
//! The loops that send are written out in each system's file, as its users write them: a common helper around one
//! `tell` would add a future to every message. The work of the actors is common, so that only the systems differ.

use std::future::Future;
use std::hint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::goal::Goal;
use crate::workload::{RuntimeKind, WORKERS};

/// A message's content.
pub(crate) trait Payload: Copy + Send + Sync + 'static {
    fn new(number: u64) -> Self;
    fn number(&self) -> u64;
}

impl Payload for u64 {
    fn new(number: u64) -> u64 {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

/// 64 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Wide([u64; 8]);

impl Payload for Wide {
    fn new(number: u64) -> Wide {
        Wide([number; 8])
    }

    fn number(&self) -> u64 {
        self.0[7]
    }
}

/// The state of a counting actor: it arrives at its goal with every `batch` messages.
pub(crate) struct Tally {
    total: u64,
    batch: u64,
    left: u64,
    is_slow: bool,
    work: Duration,
    goal: Goal,
}

impl Tally {
    pub(crate) fn new(batch: u64, goal: Goal) -> Tally {
        Tally {
            total: 0,
            batch,
            left: batch,
            is_slow: false,
            work: Duration::ZERO,
            goal,
        }
    }

    /// Computes for `work` with every message.
    pub(crate) fn slow(self, work: Duration) -> Tally {
        Tally {
            is_slow: true,
            work,
            ..self
        }
    }

    /// What a tell does. As little as can be, since it is counted for every system.
    #[inline(always)]
    pub(crate) fn count(&mut self, payload: &impl Payload) {
        self.total = self.total.wrapping_add(payload.number());
        if self.is_slow {
            self.compute();
        }
        self.left -= 1;
        if self.left == 0 {
            self.end_batch();
        }
    }

    #[cold]
    fn compute(&self) {
        let start = Instant::now();
        while start.elapsed() < self.work {
            hint::spin_loop();
        }
    }

    #[cold]
    fn end_batch(&mut self) {
        self.left = self.batch;
        self.goal.arrive();
    }

    /// What an ask does.
    pub(crate) fn answer(&mut self, payload: &impl Payload) -> u64 {
        self.total = self.total.wrapping_add(payload.number());
        self.total
    }
}

/// Where an idle actor reports its start and its stop.
#[derive(Clone)]
pub(crate) struct Life {
    pub(crate) started: Goal,
    pub(crate) stopped: Goal,
}

/// An actor system under measurement. Mailboxes hold [`CAPACITY`](crate::workload::CAPACITY) messages where the system
/// has bounded ones, and sends wait for room.
pub(crate) trait Peer: Sized + 'static {
    /// A reference to an actor with a [`Tally`].
    type Counter<P: Payload>: Clone + Send + Sync + 'static;
    /// A reference to an actor that hands a message on until its hops are used up.
    type Relay: Clone + Send + Sync + 'static;
    /// What keeps an idle actor alive.
    type Idle: Send + 'static;
    /// What keeps a supervisor.
    type Keep: Send + 'static;

    /// Runs `body` where this system's actors can be spawned.
    fn run<F>(kind: RuntimeKind, body: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio_runtime(kind).block_on(async {
            // On a worker, not on the thread that blocks: that one would be woken through the operating system.
            match tokio::spawn(body).await {
                Ok(output) => output,
                Err(ended) => std::panic::resume_unwind(ended.into_panic()),
            }
        })
    }

    /// Starts a client's task, within `run`, where this system's users have their clients.
    fn client(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(task)
    }

    fn counter<P: Payload>(tally: Tally) -> impl Future<Output = Self::Counter<P>> + Send;
    /// Tells `to` `count` messages, waiting for room.
    fn tells<P: Payload>(to: Self::Counter<P>, count: u64) -> impl Future<Output = ()> + Send;
    /// Asks `to` `count` times, each time waiting for the answer.
    fn asks(to: Self::Counter<u64>, count: u64) -> impl Future<Output = ()> + Send;
    /// Tells each of `to` one message.
    fn fan_out(to: &[Self::Counter<u64>]) -> impl Future<Output = ()> + Send;

    /// A relay without a neighbour; it arrives at `goal` when a message has no hops left.
    fn relay(goal: Goal) -> impl Future<Output = Self::Relay> + Send;
    fn link(from: &Self::Relay, to: Self::Relay) -> impl Future<Output = ()> + Send;
    fn pass(to: &Self::Relay, hops: u64) -> impl Future<Output = ()> + Send;

    fn idle(life: Life) -> impl Future<Output = Self::Idle> + Send;
    /// Begins the stop of an idle actor.
    fn stop(idle: Self::Idle) -> impl Future<Output = ()> + Send;

    /// The time from each of `count` crashes of a supervised actor until its next incarnation has answered; `None`
    /// if the system does not restart an actor that panicked.
    fn crashes(count: usize) -> impl Future<Output = Option<Vec<Duration>>> + Send {
        let _ = count;
        async { None }
    }

    /// Starts a supervised actor that fails `count` times, each time as soon as it has started, and arrives at `goal` with the start
    /// after that. What is returned keeps it.
    fn restarts(count: u64, goal: Goal) -> impl Future<Output = Option<Self::Keep>> + Send {
        let _ = (count, goal);
        async { None }
    }

    /// One supervisor with a child for each of `lives`.
    fn family(lives: Vec<Life>) -> impl Future<Output = Option<Self::Keep>> + Send {
        let _ = lives;
        async { None }
    }

    /// Begins the end of the supervisor, and of its children.
    fn disband(family: Self::Keep) -> impl Future<Output = ()> + Send {
        let _ = family;
        async {}
    }
}

/// An actor that fails by itself: how often it still has to, over all incarnations. By an error and not by a panic: unwinding is the same for
/// all Rust systems, and would be most of the time.
#[derive(Clone)]
pub(crate) struct Doom {
    left: Arc<AtomicU64>,
    goal: Goal,
}

impl Doom {
    pub(crate) fn new(crashes: u64, goal: Goal) -> Doom {
        Doom {
            left: Arc::new(AtomicU64::new(crashes)),
            goal,
        }
    }

    /// At the start of an incarnation: whether it is to fail as well.
    pub(crate) fn strikes(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            self.goal.arrive();
            return false;
        }
        self.left.store(left - 1, Ordering::Relaxed);
        true
    }
}

/// Arrives when the state of an actor is dropped, however it ends.
pub(crate) struct Alive(Life);

impl Alive {
    pub(crate) fn begin(life: Life) -> Alive {
        life.started.arrive();
        Alive(life)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.stopped.arrive();
    }
}

/// The runtime of every system that does not bring its own.
pub(crate) fn tokio_runtime(kind: RuntimeKind) -> tokio::runtime::Runtime {
    let mut builder = match kind {
        RuntimeKind::Multi => tokio::runtime::Builder::new_multi_thread(),
        RuntimeKind::Current => tokio::runtime::Builder::new_current_thread(),
    };
    // With everything that `#[tokio::main]` switches on: without input and output a sleeping worker waits on a lock, which takes
    // another 80 ns of each hop between two actors.
    builder
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .expect("the runtime needs two threads of the system")
}
