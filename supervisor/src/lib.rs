//! Supervision trees for tokio: OTP's semantics as a pure machine, and the shell that obeys it.
//!
//! A [`Supervisor`] starts its [children](Child) in order, restarts those that fail, with the siblings that its strategy
//! names, and stops all in reverse order. When they fail too often it gives up, and is a failure for the supervisor
//! above it. Children are actors, tasks, plain futures, supervisors, and whatever implements [`ChildKind`].
//!
//! ```
//! use std::time::Duration;
//! use treewarden_runtime::{ActorRef, Actor, Context, Failure, System};
//! use treewarden_supervisor::{Child, Restart, Supervisor};
//!
//! struct Greeter;
//!
//! impl Actor for Greeter {
//!     type Msg = String;
//!     type Error = Failure;
//!     async fn handle(&mut self, name: String, _cx: &mut Context<Self>) -> Result<(), Failure> {
//!         println!("hello {name}");
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Failure> {
//! let system = System::new("demo");
//! let tree = Supervisor::one_for_one("app")
//!     .intensity(5, Duration::from_secs(10))
//!     .child(Child::actor("greeter", |_init| async { Ok(Greeter) }))
//!     .child(
//!         Child::task("ticker", |cx| async move {
//!             cx.ready(); // later siblings start now
//!             cx.cancelled().await; // until the supervisor says so
//!             Ok::<(), Failure>(())
//!         })
//!         .restart(Restart::Transient),
//!     )
//!     .start(&system)
//!     .await?;
//!
//! // This reference stays good across restarts.
//! let greeter: ActorRef<String> = tree.actor("greeter")?;
//! greeter.tell("world".into()).await?;
//!
//! let report = tree.shutdown().await;
//! assert!(report.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! | | |
//! |---|---|
//! | order | children start one after the other, each when the one before is up, and stop in reverse |
//! | restart | the old incarnation has been cleaned up and dropped before the next one starts |
//! | addresses | a reference outlives restarts of its actor and of the supervisors above it |
//! | messages | a child's own restart keeps those that wait; siblings that are restarted along lose theirs to the dead letters; both can be chosen otherwise |
//! | limits | never more restarts than the [intensity](Supervisor::intensity) allows, whatever happens |
//! | shutdown | overtakes everything, also a start that hangs; [tells](ShutdownReport) who did not stop in time |
//! | handles | dropping a [`Tree`] stops nothing; [`System::shutdown`](treewarden_runtime::System::shutdown) stops its trees |
//! | runtime | when the tokio runtime is dropped, everything in it is dropped; [`Tree::wait`] then says `Killed` |
//!
//! Rust cannot interrupt code that does not await: a child that blocks its thread is killed only when it returns. It can
//! be [reported](Supervisor::report_hung_after) and, at the end, [left behind](Supervisor::abandon_hung_on_shutdown).
//!
//! # For those who know OTP
//!
//! The defaults are OTP's, and so are the semantics, which are tested against OTP's own supervisor. What differs on
//! purpose: a supervisor that gives up ends with a failure, so that a *transient* one is restarted by its parent
//! ([`Escalation::Shutdown`] is OTP's way); mailboxes survive restarts; a shutdown interrupts a start that is under way;
//! `which_children` lists in start order; time is measured exactly instead of in whole seconds ([`Resolution`]); a dynamic
//! child that declines its restart is removed.

#![forbid(unsafe_code)]

mod child;
mod core;
mod error;
#[cfg(feature = "unstable-machines")]
pub mod machine;
#[cfg(not(feature = "unstable-machines"))]
#[allow(unreachable_pub, dead_code, unused_imports)]
mod machine;
mod node;
mod partition;
mod plan;
mod pool;
mod report;
mod shell;
#[cfg(feature = "signal")]
mod signal;
mod supervisor;
mod sync;
#[cfg(feature = "cancellation")]
mod token;
mod tree;

pub use child::{BlockingContext, Child, ChildKind, ChildPlace, Found, TaskContext};
#[cfg(all(unix, feature = "process"))]
pub use child::{Output, Process, ProcessFailed};
pub use error::{CallError, GaveUp, StartError};
pub use machine::{
    AdminError, AutoShutdown, Backoff, Changed, ChildCounts, ChildInfo, ChildKey, ChildRole,
    Escalation, Limit, QueueFate, Report, Resolution, Restart, Shutdown, SpecError, Status, Target,
};
pub use partition::{PartitionSupervisor, Partitions};
pub use plan::{PhaseReport, PlanReport, ShutdownPlan};
pub use pool::{Autoscale, Pool, Workers};
pub use report::{ShutdownReport, Stall, TreeEvent};
#[cfg(feature = "signal")]
pub use signal::{Signal, terminated};
pub use supervisor::Supervisor;
pub use tree::{ChildHandle, Tree};
