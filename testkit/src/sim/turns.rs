//! Turns: of all tasks that have something to do, one is polled, and a seed says which.
//!
//! Tokio offers no choice of its scheduler, so the choice is made in front of it. Each task is wrapped: when tokio polls
//! it, it only joins those who wait for a turn. The [conductor](Turns::conduct), a task like any other, gives a turn
//! to one of them, waits until it has been polled once, and gives the next. A current_thread runtime polls in the
//! order of waking, so once the conductor has gone to the end of that order, everybody who was woken before has joined.
//!
//! Two ways to choose. In two thirds of the seeds each of those who wait is as likely as the others. In one third each
//! task has a priority that stays for some turns, as in PCT (Burckhardt and others, "A randomized scheduler with
//! probabilistic guarantees of finding bugs", ASPLOS 2010): so that one task is held up for long while others go on.

use std::{
    collections::HashMap,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use treewarden_runtime::{Task, Turnstile};

use crate::{
    random::{Random, mix},
    sync_ext::MutexExt,
};

/// How many turns a priority holds, on average.
const PRIORITY_TURNS: usize = 16;

/// Gives turns.
pub(crate) struct Turns {
    state: Mutex<State>,
}

struct State {
    random: Random,
    /// By task, if they decide.
    priorities: Option<HashMap<u64, u64>>,
    tasks: u64,
    waiting: Vec<(u64, Waker)>,
    turn: Turn,
    conductor: Option<Waker>,
    given: u64,
    given_max: u64,
    /// Of all turns, in order.
    fingerprint: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Nobody,
    /// It was woken, and is not polled yet.
    Given(u64),
    Taken(u64),
}

impl Turns {
    pub(crate) fn new(seed: u64, given_max: u64) -> Arc<Self> {
        let mut random = Random::new(mix(seed));
        let priorities = (random.below(3) == 0).then(HashMap::new);
        Arc::new(Self {
            state: Mutex::new(State {
                random,
                priorities,
                tasks: 0,
                waiting: Vec::new(),
                turn: Turn::Nobody,
                conductor: None,
                given: 0,
                given_max,
                fingerprint: 0,
            }),
        })
    }

    /// How many turns were given.
    pub(crate) fn given(&self) -> u64 {
        self.state.locked().given
    }

    pub(crate) fn fingerprint(&self) -> u64 {
        self.state.locked().fingerprint
    }

    pub(crate) fn random(&self) -> u64 {
        self.state.locked().random.next()
    }

    /// Gives turns until there were too many of them.
    pub(crate) fn conduct(self: Arc<Self>) -> impl Future<Output = ()> + Send {
        let mut has_let_others_join = false;
        poll_fn(move |cx| {
            let mut state = self.state.locked();
            if state.given >= state.given_max {
                return Poll::Ready(());
            }
            state.conductor = Some(cx.waker().clone());
            if state.turn != Turn::Nobody || state.waiting.is_empty() {
                return Poll::Pending;
            }
            has_let_others_join = !has_let_others_join;
            if has_let_others_join {
                // Behind those who were woken by the last turn, or just after it.
                cx.waker().wake_by_ref();
            } else if let Some(waker) = state.give() {
                drop(state);
                waker.wake();
            }
            Poll::Pending
        })
    }

    /// `future` as a task that is polled when it has a turn.
    pub(crate) fn wrap<F: Future>(self: &Arc<Self>, future: F) -> Waiting<F> {
        let mut state = self.state.locked();
        state.tasks += 1;
        Waiting {
            number: state.tasks,
            future: Box::pin(future),
            turns: self.clone(),
        }
    }

    /// True: it has the turn. Otherwise it waits from now on.
    fn join(&self, number: u64, waker: &Waker) -> bool {
        let mut state = self.state.locked();
        if state.turn == Turn::Given(number) {
            state.turn = Turn::Taken(number);
            return true;
        }
        match state.waiting.iter_mut().find(|(n, _)| *n == number) {
            Some((_, known)) => known.clone_from(waker),
            None => state.waiting.push((number, waker.clone())),
        }
        state.wake_conductor();
        false
    }

    fn end_turn(&self, number: u64) {
        let mut state = self.state.locked();
        if state.turn == Turn::Taken(number) || state.turn == Turn::Given(number) {
            state.turn = Turn::Nobody;
            state.wake_conductor();
        }
    }

    fn leave(&self, number: u64) {
        self.end_turn(number);
        let mut state = self.state.locked();
        state.waiting.retain(|(n, _)| *n != number);
        if let Some(priorities) = &mut state.priorities {
            priorities.remove(&number);
        }
    }
}

impl State {
    fn give(&mut self) -> Option<Waker> {
        if self.waiting.is_empty() {
            return None;
        }
        let chosen = match &mut self.priorities {
            None => self.random.below(self.waiting.len()),
            Some(priorities) => {
                let mut best = (0, 0);
                for (index, (number, _)) in self.waiting.iter().enumerate() {
                    let priority = *priorities
                        .entry(*number)
                        .or_insert_with(|| self.random.next());
                    best = best.max((priority, index));
                }
                if self.random.below(PRIORITY_TURNS) == 0 {
                    priorities.insert(self.waiting[best.1].0, self.random.next());
                }
                best.1
            }
        };
        let (number, waker) = self.waiting.swap_remove(chosen);
        self.turn = Turn::Given(number);
        self.given += 1;
        self.fingerprint = mix(self.fingerprint ^ number);
        Some(waker)
    }

    fn wake_conductor(&self) {
        if let Some(conductor) = &self.conductor {
            conductor.wake_by_ref();
        }
    }
}

/// The turnstile of a system whose tasks wait for turns.
#[derive(Debug)]
pub(crate) struct Gate(pub(crate) Arc<Turns>);

impl Turnstile for Gate {
    fn pass(&self, task: Task) -> Task {
        Box::pin(self.0.wrap(task))
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns")
            .field("given", &self.given())
            .finish_non_exhaustive()
    }
}

/// A task that is polled when it has a turn.
pub(crate) struct Waiting<F> {
    number: u64,
    future: Pin<Box<F>>,
    turns: Arc<Turns>,
}

impl<F: Future> Future for Waiting<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if !self.turns.join(self.number, cx.waker()) {
            return Poll::Pending;
        }
        let this = &mut *self;
        // Also when the poll panics.
        let _turn = TakenTurn(&this.turns, this.number);
        this.future.as_mut().poll(cx)
    }
}

impl<F> Drop for Waiting<F> {
    fn drop(&mut self) {
        self.turns.leave(self.number);
    }
}

struct TakenTurn<'a>(&'a Turns, u64);

impl Drop for TakenTurn<'_> {
    fn drop(&mut self) {
        self.0.end_turn(self.1);
    }
}
