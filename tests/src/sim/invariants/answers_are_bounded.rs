//! One packet or timer never sets off more than a bounded number of packets.
//!
//! Source: No amplification: SWIM, section 3.1, has a constant load for each member and period.

use super::{Invariant, Step};

/// Answers to one packet besides the rows of anti-entropy; for a timer, helpers, gossip and nacks together.
const OTHERS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct AnswersAreBounded;

impl Invariant for AnswersAreBounded {
    fn name(&self) -> &'static str {
        "answers_are_bounded"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let allowed = match step.received {
            Some(_) => step.machine.config().sync_packets_max + 4,
            None => OTHERS_MAX,
        };
        match step.sent.len() {
            sent if sent > allowed => Err(format!("{sent} packets at once, of at most {allowed}")),
            _ => Ok(()),
        }
    }
}
