//! A bounded number of notices waits, and each is sent a bounded number of times.
//!
//! Source: as for news, SWIM, section 4.1; twice as often, because no anti-entropy repairs them.

use super::{Invariant, Step};

/// What the documentation promises.
const WAITING_MAX: usize = 512;

#[derive(Debug, Default)]
pub(super) struct NoticesAreBounded;

impl Invariant for NoticesAreBounded {
    fn name(&self) -> &'static str {
        "notices_are_bounded"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let (waiting, sent) = step.machine.notices_waiting();
        let allowed = step.machine.config().notice_transmits(step.rows.len() + 1);
        if waiting > WAITING_MAX {
            return Err(format!("{waiting} wait"));
        }
        if sent > allowed {
            return Err(format!("sent {sent} times, of at most {allowed}"));
        }
        Ok(())
    }
}
