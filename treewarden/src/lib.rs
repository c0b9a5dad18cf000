//! Treewarden keeps a service running while parts of it crash, hang, drown in load or lose a machine.
//!
//! It is an actor runtime on tokio with Erlang's supervision. This crate is what applications depend on; it only joins the
//! crates that do the work:
//!
//! | module | crate | what |
//! |---|---|---|
//! | [`runtime`] | `treewarden-runtime` | actors, mailboxes, references, monitors, names, dead letters |
//! | [`supervisor`] | `treewarden-supervisor` | trees of actors, tasks and supervisors that are restarted by rule |
//! | [`resilience`] | `treewarden-resilience` | breakers, retries, budgets, limits; they need no actor |
//! | `singleton` (feature `cluster`) | | a tree that one member of a cluster runs, and another takes over |
//! | `placement` (feature `cluster`) | | children on other nodes: started there, or kept running on as many as wanted |
//! | `cluster` (feature `cluster`) | `treewarden-cluster` | membership by gossip, references to actors on other nodes |
//! | `actor` (feature `macros`) | `treewarden-macros` | a macro: methods become messages |
//! | `testkit` (feature `testkit`) | `treewarden-testkit` | for tests: probes, injected faults, schedules that follow from a seed |
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what |
//! |---|---|
//! | `macros` | `#[treewarden::actor]`: methods become messages, a client and the dispatch |
//! | `cluster` | membership by gossip, references to actors on other nodes, singletons, placement |
//! | `cluster-file` | settings of a node from a TOML file; includes `cluster` |
//! | `signal` | `supervisor::terminated()`: resolves at `SIGTERM` or Ctrl-C |
//! | `cancellation` | `CancellationToken` of tokio-util, in both directions |
//! | `process` | OS processes as children (Unix) |
//! | `ractor` | actors of the crate ractor as children |
//! | `tower` | an ask as a tower service |
//! | `metrics` | what [`Observed`](runtime::Observed) sees, for a recorder of the crate `metrics` |
//! | `testkit` | probes, injected faults and seeded schedules, for tests; put it on a dev-dependency |
//!
//! # A supervised actor
//!
//! ```
//! use std::time::Duration;
//! use treewarden::prelude::*;
//!
//! struct Counter {
//!     total: u64,
//! }
//!
//! enum CounterMsg {
//!     Add(u64),
//!     Total(Reply<u64>),
//! }
//!
//! impl Actor for Counter {
//!     type Msg = CounterMsg;
//!     type Error = Failure;
//!
//!     async fn handle(&mut self, msg: CounterMsg, _cx: &mut Context<Self>) -> Result<(), Failure> {
//!         match msg {
//!             CounterMsg::Add(n) => self.total += n,
//!             CounterMsg::Total(reply) => reply.send(self.total),
//!         }
//!         Ok(())
//!     }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Failure> {
//!     let system = System::new("demo");
//!     let tree = Supervisor::one_for_one("app")
//!         .child(Child::actor("counter", |_| async { Ok(Counter { total: 0 }) }))
//!         .start(&system)
//!         .await?;
//!
//!     let counter = tree.actor::<CounterMsg>("counter")?;
//!     counter.tell(CounterMsg::Add(2)).await?;
//!     let total = counter.ask(CounterMsg::Total).timeout(Duration::from_secs(1)).await?;
//!     assert_eq!(total, 2);
//!
//!     tree.shutdown().await;
//!     Ok(())
//! }
//! ```
//!
//! # With the macro
//!
//! The enum and the dispatch can be written by `#[treewarden::actor]` (feature `macros`), with a client that has a method
//! for each message. The [documentation of `treewarden-macros`](../treewarden_macros/index.html) shows all that it
//! writes; none of it needs the macro.
//!
#![cfg_attr(feature = "macros", doc = "```")]
#![cfg_attr(not(feature = "macros"), doc = "```ignore")]
//! use treewarden::prelude::*;
//!
//! struct Counter {
//!     total: u64,
//! }
//!
//! #[treewarden::actor]
//! impl Counter {
//!     #[tell]
//!     fn add(&mut self, n: u64) {
//!         self.total += n;
//!     }
//!
//!     #[ask]
//!     async fn total(&mut self) -> u64 {
//!         self.total
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Failure> {
//! # let system = System::new("demo");
//! let counter = CounterClient::from(system.spawn(Counter { total: 0 }));
//! counter.add(2).await?;
//! assert_eq!(counter.total().await?, 2);
//! # Ok(())
//! # }
//! ```
//!
//! # What to know
//!
//! - **A reference names an address, not an incarnation.** When the counter above crashes, `counter` stays valid: what is
//!   queued waits for the next incarnation, and an ask whose request was in the handler fails with an error that says so.
//! - **Mailboxes are bounded.** `tell` waits for room, `try_tell` hands the message back. What a full mailbox does is the
//!   receiver's [`Overflow`](runtime::Overflow) policy.
//! - **Nothing is lost in silence.** What is not handled is handed back or counted, with a reason, in
//!   [`DeadLetters`](runtime::DeadLetters).
//! - **Stop and kill overtake messages.** They land at the next await; code that never awaits cannot be stopped in Rust, so
//!   put it on a [thread of its own](runtime::Placement::OwnThread).
//! - **An application keeps its own main.** Starting a tree gives a handle; nothing is installed, no port is opened, no
//!   runtime is started. A tree lives beside whatever else runs on the same tokio runtime.
//! - **To see what is there**, print [`System::snapshot`](runtime::System::snapshot). What happens is written to `tracing`: without a
//!   subscriber nothing of it is seen. [`record_panic_locations`](runtime::record_panic_locations) as the first line of `main` makes reasons of
//!   panics name file and line.
//! - **`panic = "abort"` defeats all of this**: a panic can only be isolated where it unwinds.

#![forbid(unsafe_code)]

#[cfg(feature = "cluster")]
#[doc(inline)]
pub use treewarden_cluster as cluster;
#[cfg(feature = "macros")]
pub use treewarden_macros::actor;
#[doc(inline)]
pub use treewarden_resilience as resilience;
#[doc(inline)]
pub use treewarden_runtime as runtime;
#[doc(inline)]
pub use treewarden_supervisor as supervisor;
#[cfg(feature = "testkit")]
#[doc(inline)]
pub use treewarden_testkit as testkit;

#[cfg(feature = "cluster")]
pub mod placement;
#[cfg(feature = "cluster")]
pub mod singleton;

/// What most programs need.
pub mod prelude {
    pub use treewarden_runtime::{
        Actor, ActorRef, AskError, Context, ExitReason, Failure, Init, Mailbox, Overflow, Reply,
        Router, Routing, SpawnOptions, System, TellError,
    };
    pub use treewarden_supervisor::{
        Backoff, Child, Pool, Restart, Shutdown, Supervisor, TaskContext, Tree,
    };
}
