//! News about a member are sent a bounded number of times, and wait in at most one entry.
//!
//! Source: SWIM, section 4.1: each update is piggybacked at most lambda log n times.

use super::{Invariant, Step};

#[derive(Debug, Default)]
pub(super) struct RetransmitsAreBounded;

impl Invariant for RetransmitsAreBounded {
    fn name(&self) -> &'static str {
        "retransmits_are_bounded"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let (waiting, transmits) = step.machine.broadcasts_waiting();
        // The bound follows the live members; news begun under a greater count may be a step above the present one.
        let allowed = step.machine.config().retransmits(step.rows.len() + 1);
        if transmits > allowed {
            return Err(format!("sent {transmits} times, of at most {allowed}"));
        }
        if waiting > step.rows.len() + 1 {
            return Err(format!(
                "{waiting} entries for {} members",
                step.rows.len() + 1
            ));
        }
        Ok(())
    }
}
