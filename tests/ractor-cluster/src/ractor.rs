//! The same tests, where ractor's messages are a trait that has to be implemented.

#[path = "../../../supervisor/tests/ractor.rs"]
mod suite;

impl ractor::Message for suite::Msg {}
