//! Only a process that was stopped or slow notices a pause.
//!
//! Source: the design: what a pause forgives, a running process must not be forgiven, or detection would be late.

use treewarden_cluster::membership::Event;

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct PausesAreReal;

impl Invariant for PausesAreReal {
    fn name(&self) -> &'static str {
        "pauses_are_real"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        for event in step.events {
            if let Event::Paused { late } = event
                && !step.disturbed
            {
                return Err(format!("noticed a pause of {late:?} that nobody made"));
            }
        }
        Ok(())
    }
}
