//! What the run loop of one address and the watchdog know of each other.
//!
//! # Rules
//!
//! * All is under one lock, held for a few instructions.
//! * The run loop of the current generation enters before each poll of a handler and leaves after it. Between the two it does not touch
//!   the queue.
//! * Only between the two can the watchdog give it up, by moving the generation on. From then on the address belongs to the next
//!   generation, and a run loop that leaves learns that it has to end without touching anything.
//! * The watchdog cuts a handler by a flag that is read at the next enter.

use std::panic::Location;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use super::{HandlerBudget, HandlerOverran, OnOverrun, Watchdog};
use crate::scope;
use crate::sync_ext::MutexExt;

/// See the [module](self).
pub(crate) struct Post {
    watchdog: Arc<Watchdog>,
    pub(super) budget: HandlerBudget,
    pub(super) specified_at: &'static Location<'static>,
    stand: Mutex<Stand>,
    /// The address has ended.
    retired: AtomicBool,
}

#[derive(Default)]
struct Stand {
    generation: u32,
    /// How many handlers and polls there have been, to tell one from the next.
    handlers: u64,
    polls: u64,
    /// The label of the message that is being handled.
    handling: Option<&'static str>,
    in_poll: bool,
    cut: bool,
}

/// What the watchdog sees of a handler at work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) handler: u64,
    pub(super) poll: u64,
    pub(super) in_poll: bool,
    pub(super) label: &'static str,
}

impl Post {
    pub(crate) fn new(
        watchdog: Arc<Watchdog>,
        budget: HandlerBudget,
        specified_at: &'static Location<'static>,
    ) -> Self {
        Self {
            watchdog,
            budget,
            specified_at,
            stand: Mutex::default(),
            retired: AtomicBool::new(false),
        }
    }

    /// The run loop that serves the address from now on.
    pub(crate) fn take(self: &Arc<Self>) -> Watched {
        Watched {
            generation: self.generation(),
            label: "",
            post: self.clone(),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.stand.locked().generation
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    pub(super) fn look(&self) -> Option<Sight> {
        let stand = self.stand.locked();
        stand.handling.map(|label| Sight {
            handler: stand.handlers,
            poll: stand.polls,
            in_poll: stand.in_poll,
            label,
        })
    }

    /// Cuts the handler at its next poll; false if it has ended.
    pub(super) fn cut(&self, sight: Sight) -> bool {
        let mut stand = self.stand.locked();
        let is_at_work = stand.handling.is_some() && stand.handlers == sight.handler;
        stand.cut |= is_at_work;
        is_at_work
    }

    /// Takes the address from its run loop; false if the poll has ended.
    pub(super) fn give_up(&self, sight: Sight) -> bool {
        let mut stand = self.stand.locked();
        let is_stuck = stand.in_poll && stand.polls == sight.poll;
        if is_stuck {
            stand.generation += 1;
            stand.handling = None;
            stand.in_poll = false;
        }
        is_stuck
    }
}

/// What the run loop of a watched address holds.
pub(crate) struct Watched {
    post: Arc<Post>,
    generation: u32,
    /// Of the message whose handler is next, or is at work.
    label: &'static str,
}

/// Whether a run loop may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    GoOn,
    /// This handler is to be cancelled.
    Cut,
    /// The address belongs to another.
    GivenUp,
}

/// What a run loop says about its handlers, and learns. [`Unwatched`] says nothing, at no cost.
pub(crate) trait Watch: Send {
    /// Whether it is to let go of the queue while a handler is polled.
    fn lets_go(&self) -> bool;
    /// Before a handler.
    fn begin(&mut self, label: Option<&'static str>);
    /// Before each poll of a handler.
    fn enter(&self) -> Standing;
    /// After each poll of a handler.
    fn leave(&self, has_ended: bool) -> Standing;
    /// The error of a handler that was cut.
    fn overran(&self) -> HandlerOverran;
    /// Whether the address still belongs to this run loop, after a poll that was left by a panic.
    fn remains(&self) -> bool;
    /// This run loop was given up, and is about to end.
    fn returned(&self);
    /// The address has ended.
    fn retire(&self);
}

/// For addresses without a budget.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    #[inline]
    fn lets_go(&self) -> bool {
        false
    }

    #[inline]
    fn begin(&mut self, _: Option<&'static str>) {}

    #[inline]
    fn enter(&self) -> Standing {
        Standing::GoOn
    }

    #[inline]
    fn leave(&self, _: bool) -> Standing {
        Standing::GoOn
    }

    fn overran(&self) -> HandlerOverran {
        unreachable!("nothing is cut that is not watched")
    }

    #[inline]
    fn remains(&self) -> bool {
        true
    }

    fn returned(&self) {}

    fn retire(&self) {}
}

impl Watch for Watched {
    fn lets_go(&self) -> bool {
        self.post.budget.on_overrun == OnOverrun::GiveUp
    }

    fn begin(&mut self, label: Option<&'static str>) {
        self.label = label.unwrap_or_default();
    }

    fn enter(&self) -> Standing {
        let mut stand = self.post.stand.locked();
        if stand.handling.is_none() {
            stand.handling = Some(self.label);
            stand.handlers += 1;
        }
        if std::mem::take(&mut stand.cut) {
            stand.handling = None;
            return Standing::Cut;
        }
        stand.polls += 1;
        stand.in_poll = true;
        drop(stand);
        if self.lets_go() {
            scope::set_fence(Some((self.post.clone(), self.generation)));
        }
        Standing::GoOn
    }

    fn leave(&self, has_ended: bool) -> Standing {
        if self.lets_go() {
            scope::set_fence(None);
        }
        let mut stand = self.post.stand.locked();
        if stand.generation != self.generation {
            return Standing::GivenUp;
        }
        stand.in_poll = false;
        if has_ended {
            stand.handling = None;
            stand.cut = false;
        }
        Standing::GoOn
    }

    fn remains(&self) -> bool {
        self.leave(true) == Standing::GoOn
    }

    fn returned(&self) {
        self.post.watchdog.returned();
    }

    fn overran(&self) -> HandlerOverran {
        HandlerOverran {
            label: self.label,
            limit: self.post.budget.limit,
        }
    }

    fn retire(&self) {
        self.post.retired.store(true, Ordering::Release);
    }
}
