//! The mailbox: the queue between the senders and the one consumer of an actor.
//!
//! | file | subject |
//! |---|---|
//! | `config` | [`Mailbox`]: capacity, weight and policy, as the user says them |
//! | `policy` | [`Overflow`], [`OverflowPolicy`]: what a full mailbox does |
//! | `queue` | `Queue` and `Consumer`: the interface that the run loop and the references use |
//! | `locked` | the queue behind a lock |
//! | `wait` | the line of senders that wait for room |
//! | `signal` | the wake-up flag of the consumer |
//! | `sync` | `std` or `loom` |
//!
//! Each file states its rules before its code. This folder knows nothing of actors, tasks or tokio.

// Until the run loop uses all of it.
#![allow(dead_code, unused_imports)]

mod config;
mod locked;
mod policy;
mod queue;
mod signal;
mod sync;
mod wait;

#[cfg(test)]
mod tests;

pub use config::{Mailbox, WeighsOtherMessages};
pub use policy::{MailboxLoad, OnFull, Overflow, OverflowPolicy};

pub(crate) use config::QueueConfig;
pub(crate) use queue::{Batch, Consumer, Joined, Pushed, Queue, Rejected, Stop};
pub(crate) use signal::Signal;
pub(crate) use wait::WaitKey;
