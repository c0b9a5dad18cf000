//! Conformance, simulation and end-to-end tests of Treewarden.
//!
//! The tests are in `tests/`; here is what several of them use.
#![forbid(unsafe_code)]

pub mod fuzzing;
pub mod nodes;
pub mod processes;
pub mod scratch;
pub mod sim;
pub mod supervision;

pub use treewarden_examples::netns;
