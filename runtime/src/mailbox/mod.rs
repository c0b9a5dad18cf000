//! The mailbox: the queue between the senders and the one consumer of an actor.
//!
//! | file | subject |
//! |---|---|
//! | `answer` | the slot that the answer of an ask goes through; unsafe code |
//! | `config` | [`Mailbox`]: capacity, weight and policy, as the user says them |
//! | `policy` | [`Overflow`], [`OverflowPolicy`]: what a full mailbox does |
//! | `queue` | `Queue` and `Consumer`: the interface that the run loop and the references use; one unsafe read |
//! | `fifo/` | the block-linked queue without locks, for all that is first in, first out; unsafe code |
//! | `locked` | the queue behind a lock, for the rest |
//! | `place` | where its consumer looks at a message; unsafe code |
//! | `line` | in which order messages wait in it, and which have to go |
//! | `sojourn/` | [`Shedding`]: by waiting time and class |
//! | `fair` | turns for keys |
//! | `wait` | the line of senders that wait for room |
//! | `signal` | the wake-up flag of the consumer |
//! | `claim` | the right to consume |
//! | `sync` | `std`, `loom` or `shuttle` |
//!
//! Each file states its rules before its code. This folder knows nothing of actors, tasks or tokio.

pub(crate) mod answer;
mod claim;
mod config;
mod fair;
mod fifo;
mod line;
mod locked;
mod place;
mod policy;
mod queue;
mod signal;
mod sojourn;
mod sync;
mod wait;

#[cfg(all(test, treewarden_loom))]
mod loom_tests;
#[cfg(all(test, treewarden_shuttle))]
mod shuttle_tests;
#[cfg(all(test, not(any(treewarden_loom, treewarden_shuttle))))]
mod tests;

pub use config::{Mailbox, WeighsOtherMessages};
pub use policy::{ByClass, MailboxLoad, OnFull, Overflow, OverflowPolicy};
pub use sojourn::Shedding;

pub(crate) use config::Reading;
pub(crate) use queue::{Consumer, Joined, Pushed, Queue, Rejected, Stop};
pub(crate) use wait::WaitKey;
