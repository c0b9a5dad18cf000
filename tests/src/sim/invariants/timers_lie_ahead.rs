//! After a step nothing is overdue by more than the pause that would count: a machine never asks to be woken again and again at once.
//!
//! Source: Sans-IO owners loop on the timeout; an overdue one that stays would spin.

use std::time::Duration;

use super::{Invariant, Step};

/// So many wake-ups at one moment are still no spin: news that came in the same moment may each set a timer.
const AT_ONE_MOMENT_MAX: u32 = 1000;

#[derive(Debug, Default)]
pub(super) struct TimersLieAhead {
    last: Option<(usize, Duration)>,
    repeated: u32,
}

impl Invariant for TimersLieAhead {
    fn name(&self) -> &'static str {
        "timers_lie_ahead"
    }

    fn check(&mut self, step: &Step<'_>) -> Result<(), String> {
        let due_now = step
            .machine
            .poll_timeout()
            .is_some_and(|due| due <= step.now);
        let here = Some((step.node, step.now));
        self.repeated = if due_now && step.received.is_none() && self.last == here {
            self.repeated + 1
        } else {
            0
        };
        self.last = here;
        if self.repeated > AT_ONE_MOMENT_MAX {
            Err("it spins".to_owned())
        } else {
            Ok(())
        }
    }
}
