//! The watchdog: handlers that exceed their budget are reported, cancelled, or given up.
//!
//! An address with a [`HandlerBudget`] has a [`Post`]: its run loop notes there when it enters and leaves a handler. One thread for each
//! [`System`](crate::System), started by the first such address and ended with the last, looks at all posts in real time; so it sees a
//! stuck handler also when all workers of the runtime are blocked. Addresses without a budget pay nothing.
//!
//! | file | subject |
//! |---|---|
//! | `mod` | what users say and hear |
//! | `post` | what a run loop and the watchdog know of each other: generations |
//! | `thread` | the thread, and what it does about an overrun |
//!
//! # Giving up
//!
//! Rust cannot end a handler that blocks its thread. With [`OnOverrun::GiveUp`] the address is taken from it: the generation of the post
//! moves on, the incarnation counts as ended ([`ExitReason::Hung`](crate::ExitReason::Hung)), and a thread of its own serves the address
//! from then on, with the same queue. A run loop gives its place as the consumer of the queue back before each poll of a handler, and
//! takes it again only if the generation is still its own. So when the stuck handler comes back, all that happens is that its state is
//! dropped. Until then it keeps its state, its thread, and whatever it has locked; that is why this has to be asked for, and why a system
//! has no more than [`max_hung`](crate::SystemBuilder::max_hung) of them at a time.

mod post;
mod thread;

use std::fmt;
use std::panic::Location;
use std::time::Duration;

pub(crate) use post::{Post, Standing, Unwatched, Watch};
pub(crate) use thread::{Guarded, Watchdog};

/// How long one handler of an actor may take, in real time, and what is done about one that takes longer.
///
/// It is noticed within a quarter of the limit more, but not sooner than a millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerBudget {
    pub(crate) limit: Duration,
    pub(crate) on_overrun: OnOverrun,
}

/// What is done about a handler that exceeds its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnOverrun {
    Report,
    Cancel,
    GiveUp,
}

impl HandlerBudget {
    /// Reports it, and nothing more.
    #[must_use]
    pub fn report(limit: Duration) -> Self {
        Self {
            limit,
            on_overrun: OnOverrun::Report,
        }
    }

    /// Cancels it at its await: the incarnation fails with [`HandlerOverran`], and its supervisor restarts it by the rules. One that blocks
    /// its thread is reported, and cancelled if it comes to an await.
    #[must_use]
    pub fn cancel(limit: Duration) -> Self {
        Self {
            limit,
            on_overrun: OnOverrun::Cancel,
        }
    }

    /// As [`cancel`](Self::cancel), and one that blocks its thread is given up: it keeps thread and state until it returns, its incarnation
    /// ends as [`ExitReason::Hung`](crate::ExitReason::Hung), and the next runs on a thread of its own.
    ///
    /// What the old handler does through its [`Context`](crate::Context) and its replies, on its thread, has no effect any more: the ask
    /// that it was to answer is told [`CrashedWhileHandling`](crate::AskError::CrashedWhileHandling), at the latest when it answers. What
    /// it does otherwise (sends, writes, locks) cannot be undone; so this is for handlers that may be cut off anywhere.
    #[must_use]
    pub fn give_up(limit: Duration) -> Self {
        Self {
            limit,
            on_overrun: OnOverrun::GiveUp,
        }
    }
}

/// A handler took longer than its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// The label of its message; see [`Actor::label`](crate::Actor::label).
    pub label: &'static str,
    /// For how long it had been at work when this was noticed. It may have been a little longer.
    pub elapsed: Duration,
    /// Where it was.
    pub whereabouts: Whereabouts,
    /// What was done.
    pub measure: Measure,
    /// The line at which the child was specified.
    pub specified_at: &'static Location<'static>,
}

/// Where a handler was that took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whereabouts {
    /// At an await.
    Awaiting,
    /// In code that blocks its thread.
    Blocking,
}

/// What the watchdog did about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// It was reported, no more.
    Reported,
    /// It is cancelled.
    Cancelled,
    /// It was given up.
    GivenUp,
    /// It was not given up, because too many have been already, or there is no thread.
    NotGivenUp,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whereabouts = match self.whereabouts {
            Whereabouts::Awaiting => "awaits",
            Whereabouts::Blocking => "blocks its thread",
        };
        let measure = match self.measure {
            Measure::Reported => "",
            Measure::Cancelled => "; cancelled",
            Measure::GivenUp => "; given up",
            Measure::NotGivenUp => "; not given up, too many are already",
        };
        write!(
            f,
            "handles {} for {:?} and {whereabouts}{measure} (specified at {})",
            self.label, self.elapsed, self.specified_at
        )
    }
}

/// The error of an incarnation whose handler was cancelled because it took too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerOverran {
    /// The label of its message.
    pub label: &'static str,
    /// How long it was allowed to take.
    pub limit: Duration,
}

impl fmt::Display for HandlerOverran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the handler of {} took longer than {:?} and was cancelled",
            self.label, self.limit
        )
    }
}

impl std::error::Error for HandlerOverran {}
