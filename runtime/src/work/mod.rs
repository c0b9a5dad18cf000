//! Work pulling: a queue that workers take from when they are free, instead of a router that guesses who is.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | [`WorkQueue`]: what waits, and who waits for it |
//! | `held` | [`Work`]: one item in the hands of a worker, and what becomes of it |
//! | `pull` | how an actor asks for work: a message to itself |
//!
//! Rules. Nothing of the user's runs while the state is locked. An item is in one place: it waits, or a worker has it, or it is done or lost; each
//! way it goes is counted. An item that comes back from a worker needs no room, so that giving it back never waits: there are at most as many items as
//! the capacity and those that workers have.

mod held;
mod pull;

use std::{
    collections::VecDeque,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use tokio::sync::{Notify, Semaphore, TryAcquireError};

pub use self::held::Work;
use self::pull::{Holder, Pull};
use crate::sync_ext::MutexExt;

/// A bounded queue of work that workers take from when they are free.
///
/// Producers wait when it is full. A worker is a task that awaits [`next`](Self::next), or an actor that [pulls](Self::pull). If it crashes with an item
/// in its hands, that is counted, and the item is given to another one only by [choice](WorkQueueBuilder::redeliver): how far the first one got is
/// not known.
///
/// Cheap to clone; clones are the same queue.
///
/// ```
/// use treewarden_runtime::{Actor, Context, Failure, System, Work, WorkQueue};
///
/// struct Worker {
///     queue: WorkQueue<u64>,
/// }
///
/// enum Msg {
///     Work(Work<u64>),
/// }
///
/// impl Actor for Worker {
///     type Msg = Msg;
///     type Error = Failure;
///
///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), Failure> {
///         self.queue.pull(cx, Msg::Work);
///         Ok(())
///     }
///
///     async fn handle(&mut self, msg: Msg, cx: &mut Context<Self>) -> Result<(), Failure> {
///         match msg {
///             Msg::Work(work) => {
///                 println!("{} squared is {}", *work, *work * *work);
///                 work.done();
///                 self.queue.pull(cx, Msg::Work);
///             }
///         }
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Failure> {
/// let system = System::new("demo");
/// let queue = WorkQueue::builder(16).redeliver(2).build();
/// for _ in 0..4 {
///     system.spawn(Worker { queue: queue.clone() });
/// }
/// for n in 0..100 {
///     queue.push(n).await?; // waits while 16 are waiting
/// }
/// queue.close();
/// queue.finished().await;
/// assert_eq!(queue.counts().done, 100);
/// # Ok(())
/// # }
/// ```
pub struct WorkQueue<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    /// How often an item may be given out.
    attempts: u32,
    on_lost: Option<LostFn<T>>,
    /// One permit for each item that may still be pushed.
    room: Semaphore,
    /// Tasks that wait for an item.
    available: Notify,
    /// Those who wait for the end.
    over: Notify,
    state: Mutex<State<T>>,
}

type LostFn<T> = Box<dyn Fn(T) + Send + Sync>;

struct State<T> {
    items: VecDeque<Item<T>>,
    /// Actors that wait for an item, the longest first.
    pulls: VecDeque<Arc<dyn Pull<T>>>,
    held: usize,
    is_closed: bool,
    done: u64,
    crashed: u64,
    redelivered: u64,
    lost: u64,
}

impl<T> State<T> {
    fn is_over(&self) -> bool {
        self.is_closed && self.items.is_empty() && self.held == 0
    }
}

/// One piece of work, and what is known of it.
struct Item<T> {
    value: T,
    /// Which time it is given out; the first is 1.
    attempt: u32,
    /// Whether it takes up room: it was pushed and has not been given out yet.
    has_room: bool,
    /// The worker that crashed with it last: others come first.
    crashed_with: Option<Holder>,
}

/// Makes a [`WorkQueue`] that is not all defaults.
#[must_use = "it makes a queue when it is built"]
pub struct WorkQueueBuilder<T> {
    capacity: usize,
    attempts: u32,
    on_lost: Option<LostFn<T>>,
}

impl<T: Send + 'static> WorkQueueBuilder<T> {
    /// Gives an item that a worker crashed with out again, up to so many times. It comes behind all that waits, so that one that crashes every worker
    /// does not keep the rest from being done. Default: never.
    pub fn redeliver(mut self, times: u32) -> Self {
        self.attempts = times.saturating_add(1);
        self
    }

    /// Is called with each item that is lost: a worker crashed with it, and it is not given out again. It must not block.
    pub fn on_lost(mut self, lost: impl Fn(T) + Send + Sync + 'static) -> Self {
        self.on_lost = Some(Box::new(lost));
        self
    }

    /// The queue.
    pub fn build(self) -> WorkQueue<T> {
        WorkQueue {
            inner: Arc::new(Inner {
                attempts: self.attempts,
                on_lost: self.on_lost,
                room: Semaphore::new(self.capacity.clamp(1, Semaphore::MAX_PERMITS)),
                available: Notify::new(),
                over: Notify::new(),
                state: Mutex::new(State {
                    items: VecDeque::new(),
                    pulls: VecDeque::new(),
                    held: 0,
                    is_closed: false,
                    done: 0,
                    crashed: 0,
                    redelivered: 0,
                    lost: 0,
                }),
            }),
        }
    }
}

impl<T> fmt::Debug for WorkQueueBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkQueueBuilder")
            .field("capacity", &self.capacity)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// An item that was not accepted. It is handed back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// There is no room. [`try_push`](WorkQueue::try_push) alone says so.
    Full(T),
    /// The queue is closed.
    Closed(T),
}

impl<T> PushError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue of work is full; the item was not queued",
            Self::Closed(_) => "the queue of work is closed; the item was not queued",
        })
    }
}

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> std::error::Error for PushError<T> {}

/// What became of the items of a [`WorkQueue`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkCounts {
    /// How many wait now.
    pub waiting: usize,
    /// How many workers have now, or have on their way.
    pub held: usize,
    /// How many were done.
    pub done: u64,
    /// How often a worker crashed with one, or dropped it.
    pub crashed: u64,
    /// How often one of those was put back to be given out again.
    pub redelivered: u64,
    /// How many of those were not.
    pub lost: u64,
}

impl<T: Send + 'static> WorkQueue<T> {
    /// At most `capacity` items wait (at least 1: a 0 is read as 1), besides those that were given back or crashed with, and none is
    /// given out twice.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::builder(capacity).build()
    }

    /// A queue that is not all defaults.
    pub fn builder(capacity: usize) -> WorkQueueBuilder<T> {
        WorkQueueBuilder {
            capacity,
            attempts: 1,
            on_lost: None,
        }
    }

    /// Adds an item, and waits for room if there is none. Those who wait are served first come, first served.
    ///
    /// # Errors
    ///
    /// [`PushError::Closed`].
    ///
    /// Cancel safety: dropping the future drops the item, unless it was added.
    pub async fn push(&self, item: T) -> Result<(), PushError<T>> {
        match self.inner.room.acquire().await {
            Ok(permit) => {
                permit.forget();
                self.inner.add(item)
            }
            Err(_closed) => Err(PushError::Closed(item)),
        }
    }

    /// Adds an item if there is room. Never waits, and does not overtake those who do.
    ///
    /// # Errors
    ///
    /// See [`PushError`].
    pub fn try_push(&self, item: T) -> Result<(), PushError<T>> {
        match self.inner.room.try_acquire() {
            Ok(permit) => {
                permit.forget();
                self.inner.add(item)
            }
            Err(TryAcquireError::NoPermits) => Err(PushError::Full(item)),
            Err(TryAcquireError::Closed) => Err(PushError::Closed(item)),
        }
    }

    /// The next item, for a worker that is a task; waits until there is one. `None` when the queue is closed and all items are done or lost.
    ///
    /// Cancel safe: an item is taken only by a call that returns it.
    pub async fn next(&self) -> Option<Work<T>> {
        let inner = &self.inner;
        loop {
            let available = inner.available.notified();
            tokio::pin!(available);
            available.as_mut().enable();
            {
                let mut state = inner.state.locked();
                if let Some(item) = inner.take(&mut state) {
                    return Some(Work::new(item, inner.clone(), None));
                }
                if state.is_over() {
                    return None;
                }
            }
            available.await;
        }
    }

    /// Accepts no more items. Those that wait are still given out.
    pub fn close(&self) {
        self.inner.room.close();
        let mut state = self.inner.state.locked();
        state.is_closed = true;
        self.inner.tell_if_over(&state);
    }

    /// Waits until the queue is closed and all items are done or lost.
    pub async fn finished(&self) {
        loop {
            let over = self.inner.over.notified();
            tokio::pin!(over);
            over.as_mut().enable();
            if self.inner.state.locked().is_over() {
                return;
            }
            over.await;
        }
    }

    /// What became of the items.
    #[must_use]
    pub fn counts(&self) -> WorkCounts {
        let state = self.inner.state.locked();
        WorkCounts {
            waiting: state.items.len(),
            held: state.held,
            done: state.done,
            crashed: state.crashed,
            redelivered: state.redelivered,
            lost: state.lost,
        }
    }
}

impl<T: Send + 'static> Inner<T> {
    /// Adds an item for which there is room.
    fn add(self: &Arc<Self>, value: T) -> Result<(), PushError<T>> {
        let mut state = self.state.locked();
        if state.is_closed {
            return Err(PushError::Closed(value));
        }
        state.items.push_back(Item {
            value,
            attempt: 1,
            has_room: true,
            crashed_with: None,
        });
        drop(state);
        self.give_out();
        Ok(())
    }

    /// Takes the first item, and gives its room to the next producer.
    fn take(&self, state: &mut State<T>) -> Option<Item<T>> {
        let mut item = state.items.pop_front()?;
        if std::mem::take(&mut item.has_room) {
            self.room.add_permits(1);
        }
        state.held += 1;
        Some(item)
    }

    /// Gives what waits to the actors that wait, and wakes a task for what is left.
    fn give_out(self: &Arc<Self>) {
        loop {
            let mut state = self.state.locked();
            let Some(first) = state.items.front() else {
                return;
            };
            let Some(index) = choose(&state.pulls, first.crashed_with) else {
                return self.available.notify_one();
            };
            let pull = state.pulls.remove(index);
            let item = self.take(&mut state);
            drop(state);
            let (Some(pull), Some(item)) = (pull, item) else {
                unreachable!("both were there");
            };
            let work = Work::new(item, self.clone(), Some(pull.holder()));
            pull.deliver(work);
        }
    }

    /// A worker is through with an item.
    fn settle(self: &Arc<Self>, settle: impl FnOnce(&mut State<T>)) {
        let mut state = self.state.locked();
        state.held -= 1;
        settle(&mut state);
        self.tell_if_over(&state);
        drop(state);
        self.give_out();
    }

    /// A worker dropped an item that was not done.
    fn dropped(self: &Arc<Self>, mut item: Item<T>, holder: Option<Holder>, was_begun: bool) {
        let mut lost = None;
        self.settle(|state| {
            if !was_begun {
                // Nobody looked at it: it is where it was.
                return state.items.push_front(item);
            }
            state.crashed += 1;
            if item.attempt < self.attempts {
                state.redelivered += 1;
                item.attempt += 1;
                item.crashed_with = holder;
                state.items.push_back(item);
            } else {
                state.lost += 1;
                lost = Some(item.value);
            }
        });
        if let Some(lost) = lost {
            // This can happen while a panic unwinds; a second one must not get out.
            let told = catch_unwind(AssertUnwindSafe(|| match &self.on_lost {
                Some(on_lost) => on_lost(lost),
                None => drop(lost),
            }));
            if told.is_err() {
                tracing::error!("the callback for lost work panicked");
            }
        }
    }

    fn tell_if_over(&self, state: &State<T>) {
        if state.is_over() {
            self.available.notify_waiters();
            self.over.notify_waiters();
        }
    }
}

/// Who gets the next item: the one that has waited longest, unless it is the one that crashed with it and there is another.
fn choose<T: Send + 'static>(
    pulls: &VecDeque<Arc<dyn Pull<T>>>,
    crashed_with: Option<Holder>,
) -> Option<usize> {
    let another = pulls
        .iter()
        .position(|pull| Some(pull.holder()) != crashed_with);
    another.or((!pulls.is_empty()).then_some(0))
}

impl<T> Clone for WorkQueue<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: Send + 'static> fmt::Debug for WorkQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WorkQueue").field(&self.counts()).finish()
    }
}
