//! Local health: how far a member trusts its own eyes (Lifeguard, section IV-A).
//!
//! A counter from 0 (healthy) to a bound. Signs that this process is slow or cut off raise it; a probe that succeeds lowers it. Interval
//! *and* timeout of probes are multiplied by one more than it, as the paper says.

use std::time::Duration;

/// What moves the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A probe was answered.
    ProbeAnswered,
    /// A probe failed, and `missing` of the asked members did not even send their nack; without anybody to ask, 1.
    ProbeFailed { missing: usize },
    /// Others suspected this member while it lives.
    Accused,
    /// Timers were handled much too late.
    Paused,
}

#[derive(Clone, Debug)]
pub(super) struct LocalHealth {
    counter: u32,
    max: u32,
    enabled: bool,
}

impl LocalHealth {
    pub(super) fn new(max: u32, enabled: bool) -> Self {
        Self {
            counter: 0,
            max,
            enabled,
        }
    }

    pub(super) fn note(&mut self, sign: Sign) {
        if !self.enabled {
            return;
        }
        self.counter = match sign {
            Sign::ProbeAnswered => self.counter.saturating_sub(1),
            Sign::ProbeFailed { missing } => self.counter.saturating_add(missing as u32),
            Sign::Accused | Sign::Paused => self.counter.saturating_add(1),
        }
        .min(self.max);
    }

    pub(super) fn counter(&self) -> u32 {
        self.counter
    }

    pub(super) fn scale(&self, base: Duration) -> Duration {
        base * (self.counter + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_move_the_counter_within_its_bounds() {
        let mut health = LocalHealth::new(3, true);
        let mut check = |sign, expected| {
            health.note(sign);
            assert_eq!(health.counter(), expected, "after {sign:?}");
        };
        check(Sign::ProbeAnswered, 0);
        check(Sign::ProbeFailed { missing: 0 }, 0);
        check(Sign::ProbeFailed { missing: 2 }, 2);
        check(Sign::Accused, 3);
        check(Sign::Paused, 3);
        check(Sign::ProbeAnswered, 2);
        assert_eq!(health.scale(Duration::from_secs(1)), Duration::from_secs(3));
    }

    #[test]
    fn switched_off_it_never_scales() {
        let mut health = LocalHealth::new(3, false);
        health.note(Sign::Accused);
        assert_eq!(health.scale(Duration::from_secs(1)), Duration::from_secs(1));
    }
}
