//! A test kit for actors and trees of Treewarden.
//!
//! Three parts, which go together and do not need each other:
//!
//! | part | what |
//! |---|---|
//! | [`Probe`], [`expect_end`], [`DeadLetterProbe`], [`settle`] | actors in the hands of a test, and expectations that say what came instead |
//! | [`FaultPlan`] | faults at mailboxes: delayed, dropped, lost and duplicated messages, crashes on the nth |
//! | [`run`], [`Seeds`], [`Env`] | the same test under many schedules, each of which follows from a seed and replays |
//!
//! All time is tokio's. Give a test a paused clock (`#[tokio::test(start_paused = true)]`), and hours cost nothing.
//!
//! # Expectations
//!
//! See [`Probe`] for asks, and for messages of which only some are wanted.
//!
//! ```
//! use std::time::Duration;
//! use treewarden_runtime::{Actor, Context, Failure, Recipient, System};
//! use treewarden_testkit::{Probe, expect_end};
//!
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! /// Passes on what is even, and breaks at zero.
//! struct Sieve(Recipient<u64>);
//!
//! impl Actor for Sieve {
//!     type Msg = u64;
//!     type Error = Failure;
//!
//!     async fn handle(&mut self, n: u64, _: &mut Context<Self>) -> Result<(), Failure> {
//!         if n == 0 {
//!             return Err(Failure::msg("zero"));
//!         }
//!         if n.is_multiple_of(2) {
//!             self.0.tell(n).await?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Failure> {
//! let system = System::new("test");
//! let mut probe = Probe::<u64>::spawn(&system, "probe");
//! let sieve = system.spawn(Sieve(probe.recipient()));
//! sieve.tell_all([1, 2, 3, 4]).await?;
//! probe.expect_in_order(SECOND, [2, 4]).await;
//! probe.expect_nothing(SECOND).await;
//!
//! let end = expect_end(&sieve, SECOND);
//! sieve.tell(0).await?;
//! assert_eq!(end.await.to_string(), "failed: zero");
//! # Ok(())
//! # }
//! ```
//!
//! # Faults
//!
//! A [`FaultPlan`] wraps an actor, or the factory of a child so that it lasts through restarts:
//!
//! ```
//! # use std::time::Duration;
//! # use treewarden_runtime::{Failure, System};
//! use treewarden_testkit::{Crash, Fault, FaultPlan, Probe, When};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Failure> {
//! let system = System::new("test");
//! let mut probe = Probe::spawn(&system, "probe");
//! let plan = FaultPlan::seeded(7)
//!     .drop(When::nth(2))
//!     .duplicate(When::nth(3))
//!     .delay(When::nth(4), Duration::from_secs(30));
//!
//! // The faults lie on the way to the probe; `plan.wrap(actor)` and `plan.factory(..)` put them at an actor of your own.
//! let target = plan.between(&system, &probe.actor_ref());
//! target.tell_all(1..=4).await?;
//! probe.expect_in_order(Duration::from_secs(60), [1, 3, 3, 4]).await;
//! assert_eq!(plan.injected()[0].fault, Fault::Dropped);
//! # Ok(())
//! # }
//! ```
//!
//! # Schedules
//!
//! [`run`] runs a test body with one seed after the other. In each run a seed chooses which of the tasks that could go on
//! does: the actors, supervisors and children of [`Env::system`], the tasks of [`Env::spawn`], and the body itself. Here
//! two clerks look at what is left before they take it, and there are schedules under which both take the last one:
//!
//! ```
//! use std::sync::{Arc, atomic::{AtomicU32, Ordering::Relaxed}};
//! use treewarden_testkit::{Env, Failed, Seeds};
//!
//! async fn two_clerks(env: Env) {
//!     let stock = Arc::new(AtomicU32::new(1));
//!     let clerks = [1, 2].map(|_| {
//!         let (stock, clerk_env) = (stock.clone(), env.clone());
//!         env.spawn(async move {
//!             if stock.load(Relaxed) > 0 {
//!                 clerk_env.yield_now().await; // Anything that awaits.
//!                 assert!(stock.load(Relaxed) > 0, "sold twice");
//!                 stock.fetch_sub(1, Relaxed);
//!             }
//!         })
//!     });
//!     for clerk in clerks {
//!         clerk.await.unwrap();
//!     }
//! }
//!
//! // A test would say `treewarden_testkit::run(100, two_clerks)`, and fail with the seed to replay.
//! let failure = Seeds::first(100).find_failure(two_clerks).expect("some seed finds it");
//! let again = Seeds::range(failure.seed..failure.seed + 1).find_failure(two_clerks);
//! assert_eq!(again, Some(failure));
//! ```
//!
//! What a schedule can vary is which task runs between two awaits, with one message for each turn of an actor. It does
//! not interrupt code between two awaits, as threads do; loom and shuttle do that for data structures. It is
//! the same for the same seed as long as the test is: no other threads, no I/O, no real clock, and no hash map whose order
//! decides something. A run that does not replay is reported as such.

#![forbid(unsafe_code)]

mod ends;
mod fault;
mod place;
mod probe;
mod random;
mod sim;
mod sync_ext;

pub use ends::{DeadLetterProbe, expect_end, settle};
pub use fault::{Crash, Fault, FaultPlan, Faulty, FaultyStart, Injected, When};
pub use probe::Probe;
pub use sim::{Env, Failed, Run, Seeds, run};
