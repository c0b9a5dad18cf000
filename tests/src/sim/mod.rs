//! A seeded discrete-event simulation of the membership layer.
//!
//! Many [`Machine`](treewarden_cluster::membership::Machine)s run in one thread and one virtual time. The network between them delays,
//! loses, doubles and reorders packets and can be cut in any direction; processes crash, restart, stop, lose their I/O or become slow.
//! Everything follows from one seed: the same seed gives the same bytes. After every step of a machine the [`invariants`] are checked.
//!
//! What is not modelled: bandwidth, clocks that run at different speeds, packets that are changed on the way (the wire tests do that).

pub mod fault;
pub mod formed;
pub mod invariants;
pub mod network;
pub mod process;
pub mod scenario;
mod streams;
pub mod trace;
pub mod truth;
pub mod world;

pub use fault::Fault;
pub use network::{Latency, Network};
pub use scenario::{Outcome, Scenario};
pub use world::{Broken, World, WorldConfig, keep_majority};
