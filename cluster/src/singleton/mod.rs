//! Cluster singletons: work that one member does, and another takes over.
//!
//! The **oldest** member with the role does it: the one with the smallest boot. Members that join are younger, so it moves only when its host
//! leaves or is declared down. [`machine`](Machine) decides, from what membership says; [`Duty`] is the shell around it that an application
//! asks what to do.
//!
//! # What it is worth
//!
//! *Unreachable* moves nothing: only *down* does, and that comes from the partition policy, an operator or a leave. The side that yields in a
//! partition stops its singletons when it goes down; the side that stays waits for [`margin`](SingletonConfig::margin) after it has declared the old
//! host down. And the host does not wait to be told: when for [`contact`](SingletonConfig::contact), which is shorter than the margin, it had no answers
//! from so many others that they are more than half with it, it stops, and begins again only when it is in touch once more and nobody has
//! declared it down. So no two run at the same time, however late either side finds out about the split, as long as
//!
//! * the work stops within what is left of the margin (a quarter of it, less a look each eighth of the margin), and
//! * the old host is not stopped (SIGSTOP, a suspended machine) when it should stop the work. One that wakes up later stops the work at its first
//!   look, and until then two run.
//!
//! In a cluster of two neither is more than half, so there the host goes on; who stays is [said](crate::partition::OfTwo) by the operator.
//!
//! Beyond these bounds two can run for a while. Every term of office has an [epoch](Term::epoch) for whatever can compare it: a store that
//! refuses writes with a lower epoch than it has seen is safe from the old host. Epochs come from the wall clock of the host and rise as far as
//! the clocks of the members agree; epochs that are guaranteed to rise need consensus.

mod duty;
mod machine;
mod touch;

pub(crate) use duty::Desk;
pub use duty::Duty;
pub use machine::{Machine, SingletonConfig, Term, Verdict, Voter};
